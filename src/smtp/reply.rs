//! Server replies (RFC 5321 4.2) with enhanced status (RFC 2034), parsed as the octets come in.
//!
//! The grammar is held where a mistake could pair a reply with the wrong command (three digits, every line of a reply
//! has the same code) and relaxed where it could not (a bare LF ends a line, the text may be missing or 8-bit). Line
//! length, lines per reply and octets per reply are bounded: a server cannot make us hold more than [`MAX_REPLY`]. Text
//! is kept for people: control characters are replaced, so that it can go into a log or another reply.

use crate::mail::EnhancedStatus;
use memchr::memchr;
use std::fmt;
use thiserror::Error;

/// Octets in one line. RFC 5321 4.5.3.1.5 allows 512; real servers write more.
pub const MAX_LINE: usize = 4096;
/// Lines in one reply.
pub const MAX_LINES: usize = 256;
/// Octets in one reply.
pub const MAX_REPLY: usize = 64 * 1024;

/// One whole reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// 200 to 599.
    pub code: u16,
    /// The text of each line, without code, and LF between them: nearly every reply has one line.
    lines: String,
}

/// Why the server's octets are no reply. The connection cannot be used further.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReplyError {
    /// A line without three digits from 200 to 599, or with something else behind them.
    #[error("the server sent \"{0}\", which is no SMTP reply")]
    Malformed(String),
    /// A continuation line with another code (RFC 5321 4.2.1).
    #[error("the server sent a reply whose lines have the codes {0} and {1}")]
    CodesDiffer(u16, u16),
    /// One of the bounds was passed.
    #[error("the server sent a reply over the bound of {0}")]
    TooLong(&'static str),
}

impl Reply {
    /// One with this text of its lines, without LF in any of them.
    pub fn new(code: u16, lines: &[&str]) -> Reply {
        debug_assert!(lines.iter().all(|line| !line.contains('\n')));
        Reply { code, lines: lines.join("\n") }
    }

    /// The text of each line, without code; at least one.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.split('\n')
    }

    /// 2yz
    pub fn is_positive(&self) -> bool {
        self.code / 100 == 2
    }

    /// 5yz
    pub fn is_permanent(&self) -> bool {
        self.code / 100 == 5
    }

    /// 4yz or 5yz
    pub fn is_negative(&self) -> bool {
        self.code >= 400
    }

    /// The enhanced status, when the first line begins with one whose class agrees with the code.
    pub fn status(&self) -> Option<EnhancedStatus> {
        let (status, _) = EnhancedStatus::split(self.lines().next()?)?;
        (u16::from(status.class) == self.code / 100).then_some(status)
    }

    /// Whether it, as the reply to a RCPT, says that the transaction has as many recipients as it may (RFC 5321 section
    /// 4.5.3.1.10): by the code made for that, by the enhanced status (RFC 3463, X.5.3), or in words.
    pub fn says_too_many_recipients(&self) -> bool {
        let by_status = |status: EnhancedStatus| status.subject == 5 && status.detail == 3;
        match self.code {
            421 => false,
            452 => self.status().is_none_or(by_status),
            552 => self.status().is_some_and(by_status),
            // Courier says so by a code of its own, 431, and without a status.
            400..500 => match self.status() {
                Some(status) => by_status(status),
                None => self.text().to_ascii_lowercase().contains("too many recipients"),
            },
            _ => false,
        }
    }

    /// The text of all lines without their statuses, joined by blanks.
    pub fn text(&self) -> String {
        let bare = |line| EnhancedStatus::split(line).map_or(line, |(_, rest)| rest).trim();
        let mut text = String::new();
        for line in self.lines() {
            let bare = bare(line);
            text.push_str(if text.is_empty() || bare.is_empty() { "" } else { " " });
            text.push_str(bare);
        }
        text
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(status) = self.status() {
            write!(f, " {status}")?;
        }
        let text = self.text();
        if text.is_empty() { Ok(()) } else { write!(f, " {text}") }
    }
}

/// Makes replies from octets cut anywhere.
#[derive(Debug, Default)]
pub struct ReplyParser {
    line: Vec<u8>,
    code: Option<u16>,
    /// The text of the lines that are here, as in [`Reply`].
    lines: String,
    count: usize,
    octets: usize,
}

impl ReplyParser {
    /// Takes octets from the front of `input` up to the end of one reply and returns it; `None` when the input was
    /// used up first. The cost is linear in the octets, however they are cut.
    pub fn feed(&mut self, input: &mut &[u8]) -> Result<Option<Reply>, ReplyError> {
        while !input.is_empty() {
            let Some(end) = memchr(b'\n', input) else {
                self.keep(input)?;
                *input = &[];
                return Ok(None);
            };
            self.keep(&input[..end])?;
            *input = &input[end + 1..];
            if let Some(reply) = self.end_line()? {
                return Ok(Some(reply));
            }
        }
        Ok(None)
    }

    fn keep(&mut self, part: &[u8]) -> Result<(), ReplyError> {
        self.octets += part.len() + 1;
        if self.line.len() + part.len() > MAX_LINE {
            return Err(ReplyError::TooLong("4096 octets a line"));
        }
        if self.octets > MAX_REPLY {
            return Err(ReplyError::TooLong("65536 octets"));
        }
        self.line.extend_from_slice(part);
        Ok(())
    }

    fn end_line(&mut self) -> Result<Option<Reply>, ReplyError> {
        let line = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
        let (code, more, text) = split(line).ok_or_else(|| ReplyError::Malformed(readable(line, 80)))?;
        match self.code {
            Some(first) if first != code => return Err(ReplyError::CodesDiffer(first, code)),
            _ => self.code = Some(code),
        }
        if self.count == MAX_LINES {
            return Err(ReplyError::TooLong("256 lines"));
        }
        if self.count > 0 {
            self.lines.push('\n');
        }
        append_readable(&mut self.lines, text, MAX_LINE);
        self.count += 1;
        self.line.clear();
        if more {
            return Ok(None);
        }
        (self.code, self.count, self.octets) = (None, 0, 0);
        Ok(Some(Reply { code, lines: std::mem::take(&mut self.lines) }))
    }
}

/// Code, "more lines follow", text.
fn split(line: &[u8]) -> Option<(u16, bool, &[u8])> {
    let (digits, rest) = line.split_at_checked(3)?;
    if !(b'2'..=b'5').contains(&digits[0]) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let code = digits.iter().fold(0, |n, d| n * 10 + u16::from(d - b'0'));
    match rest.split_first() {
        None => Some((code, false, rest)),
        Some((b' ', text)) => Some((code, false, text)),
        Some((b'-', text)) => Some((code, true, text)),
        Some(_) => None,
    }
}

/// Text that is safe to show: one line, no control characters, at most `limit` characters.
fn readable(bytes: &[u8], limit: usize) -> String {
    let mut text = String::new();
    append_readable(&mut text, bytes, limit);
    text
}

/// Adds such text.
fn append_readable(to: &mut String, bytes: &[u8], limit: usize) {
    // Nearly every reply is like this.
    if let (true, Ok(text)) = (bytes.len() <= limit, std::str::from_utf8(bytes))
        && bytes.iter().all(|b| (b' '..=b'~').contains(b))
    {
        return to.push_str(text);
    }
    let text = String::from_utf8_lossy(bytes);
    to.extend(text.chars().take(limit).map(|c| if c.is_control() { '?' } else { c }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(mut input: &[u8]) -> Result<Vec<Reply>, ReplyError> {
        let (mut parser, mut replies) = (ReplyParser::default(), Vec::new());
        while let Some(reply) = parser.feed(&mut input)? {
            replies.push(reply);
        }
        Ok(replies)
    }

    fn one(input: &str) -> Reply {
        let mut replies = parse(input.as_bytes()).expect("well formed");
        assert_eq!(replies.len(), 1);
        replies.remove(0)
    }

    #[test]
    fn a_reply_of_several_lines() {
        let reply = one("550-5.1.1 no such user\r\n550-5.1.1 try\r\n550 5.1.1 elsewhere\r\n");
        assert_eq!((reply.code, reply.status()), (550, Some(EnhancedStatus::new(5, 1, 1))));
        assert_eq!(reply.text(), "no such user try elsewhere");
        assert_eq!(reply.to_string(), "550 5.1.1 no such user try elsewhere");
    }

    #[test]
    fn what_is_tolerated() {
        assert_eq!(one("250\r\n").text(), "");
        assert_eq!(one("250 ok\n").text(), "ok");
        assert_eq!(one("250 \r\n").lines().collect::<Vec<_>>(), [""]);
        assert_eq!(one("250 caf\u{e9} \x07\r\n").text(), "caf\u{e9} ?");
    }

    #[test]
    fn a_status_of_another_class_is_text_only() {
        assert_eq!(one("250 5.1.1 odd\r\n").status(), None);
    }

    #[test]
    fn nonsense_is_an_error() {
        for input in
            ["hello\r\n", "25\r\n", "\r\n", "099 x\r\n", "999 x\r\n", "250x\r\n", "2 0 x\r\n", "HTTP/1.1 200 OK\r\n"]
        {
            assert!(matches!(parse(input.as_bytes()), Err(ReplyError::Malformed(_))), "{input:?}");
        }
        assert_eq!(parse(b"250-a\r\n550 b\r\n"), Err(ReplyError::CodesDiffer(250, 550)));
    }

    #[test]
    fn every_bound_holds() {
        let line = format!("250 {}", "x".repeat(MAX_LINE));
        assert_eq!(parse(line.as_bytes()), Err(ReplyError::TooLong("4096 octets a line")));
        assert_eq!(parse("250-x\r\n".repeat(300).as_bytes()), Err(ReplyError::TooLong("256 lines")));
        let long = format!("250-{}\r\n", "x".repeat(4000)).repeat(20);
        assert_eq!(parse(long.as_bytes()), Err(ReplyError::TooLong("65536 octets")));
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_replies(texts in proptest::collection::vec("[ -~]{0,20}", 1..10), cuts in proptest::collection::vec(1usize..7, 1..20)) {
            let wire: String = texts.iter().enumerate()
                .map(|(i, t)| format!("25{}{}{}\r\n", (i / 2) % 10, if i % 2 == 0 && i + 1 < texts.len() { '-' } else { ' ' }, t)).collect();
            let whole = parse(wire.as_bytes()).expect("well formed");
            let (mut parser, mut replies, mut rest, mut sizes) = (ReplyParser::default(), Vec::new(), wire.as_bytes(), cuts.iter().cycle());
            while !rest.is_empty() {
                let (mut piece, later) = rest.split_at((*sizes.next().expect("cycle")).min(rest.len()));
                while let Some(reply) = parser.feed(&mut piece).expect("well formed") {
                    replies.push(reply);
                }
                rest = later;
            }
            prop_assert_eq!(whole, replies);
        }

        #[test]
        fn arbitrary_octets_never_panic(input in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&input);
        }
    }
}
