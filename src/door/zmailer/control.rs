//! A control file of ZMailer's (its transport specification): octets in, values out, and nothing else. It borrows from
//! the octets.
//!
//! Lines of a tag, a state octet and a value. Understood are all tags that ZMailer 3.0 writes; lines of others are
//! passed over. Recipients have the offsets that marks and reports are made by. A file with an unknown layout flag,
//! without a spool file or a body offset, or cut off in the middle of headers is refused as a whole. A recipient whose
//! line cannot be read is left out, with what belongs to it, and the others are read.
//!
//! Two layouts of recipients are known: with the PID and delay fields that the flags of the `@` line tell of, and
//! without them. The layout is one for the whole file.

use super::words;
use memchr::{memchr, memmem};
use std::ops::Range;
use thiserror::Error;

/// The most octets that a control file may have.
pub const MAX_FILE: u64 = 32 << 20;

/// The most recipients that one may have.
pub const MAX_RECIPIENTS: usize = 200_000;

/// The most recipients that it is told of why they were left out.
pub const MAX_LEFT_OUT: usize = 10;

/// Recipients have a field of six octets for the PID of who holds the lock.
const WITH_PID: u32 = 1;
/// They have a field of four octets for a delay.
const WITH_DELAY: u32 = 2;
/// All flags that are known: 4 is that there may be MIME structure.
const KNOWN: u32 = 7;

/// A control file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlFile<'a> {
    /// Octets that a lock writes: the state, and the PID where there is a field for it.
    pub lock_width: usize,
    /// `i`: the name of the spool file.
    pub spool: &'a [u8],
    /// `o`: where in it the body begins.
    pub body: u64,
    /// `l`: what logs call the message.
    pub ident: &'a [u8],
    /// `v`: the file that a trace for the user goes to.
    pub verbose: Option<&'a [u8]>,
    /// `T`: no message, but a request of ETRN.
    pub is_turn: bool,
    /// `s`, in the order of the file.
    pub senders: Vec<Place<'a>>,
    /// `r`, in the order of the file.
    pub recipients: Vec<Entry<'a>>,
    /// `m`: where each set of headers is, without the empty line behind it.
    pub headers: Vec<Range<usize>>,
    /// Why recipients were left out; the first [`MAX_LEFT_OUT`] of them.
    pub left_out: Vec<ControlError>,
}

/// What stands on an `s` line, and in an `r` line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// Compared octet by octet.
    pub channel: &'a [u8],
    /// Compared without regard to case.
    pub host: &'a [u8],
    /// The address.
    pub user: &'a [u8],
}

/// One recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Of the `r` that opens its line.
    pub offset: usize,
    /// What has become of it.
    pub state: State,
    /// Channel, host and address.
    pub place: Place<'a>,
    /// Index of its sender; `None` when no `s` line came before.
    pub sender: Option<usize>,
    /// Index of its headers; `None` when the file ends before them.
    pub headers: Option<usize>,
    /// The offset and the value of its `N` line.
    pub dsn: Option<(usize, &'a [u8])>,
    /// `R`
    pub ret: &'a [u8],
    /// `n`
    pub envelope_id: &'a [u8],
}

/// The state octet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nobody has it; perhaps deferred.
    Waiting,
    /// A transport agent has it.
    Locked,
    /// Delivered or failed.
    Done,
}

impl State {
    /// The state that this octet is. An unknown one is not ours to touch.
    pub fn of(octet: u8) -> State {
        match octet {
            b' ' => State::Waiting,
            b'~' => State::Locked,
            _ => State::Done,
        }
    }
}

/// Why a file is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ControlError {
    /// Over [`MAX_FILE`].
    #[error("it has over {MAX_FILE} octets")]
    TooLarge,
    /// Over [`MAX_RECIPIENTS`].
    #[error("it has over {MAX_RECIPIENTS} recipients")]
    TooMany,
    /// Something is in it that this version does not know; its recipients' lines may be laid out otherwise.
    #[error("its layout flags {0:#x} are not known here (offset 0)")]
    UnknownFlags(u32),
    /// A line that must be there.
    #[error("it has no line \"{0}\"")]
    Missing(char),
    /// A line that cannot be read.
    #[error("the line \"{tag}\" at offset {offset} cannot be read: {why}")]
    Malformed {
        /// Its tag.
        tag: char,
        /// Where it begins.
        offset: usize,
        /// What is wrong.
        why: &'static str,
    },
}

/// Reads a whole file. A last line without its end is passed over.
pub fn parse(octets: &[u8]) -> Result<ControlFile<'_>, ControlError> {
    if octets.len() as u64 > MAX_FILE {
        return Err(ControlError::TooLarge);
    }
    let mut reading = Reading::new();
    let mut at = 0;
    while let Some(length) = memchr(b'\n', &octets[at..]) {
        let line = &octets[at..at + length];
        let next = at + length + 1;
        at = match line.first() {
            Some(b'm') => reading.headers(octets, next)?,
            Some(b'M') => end_of_block(octets, next).ok_or_else(|| cut_off('M', at))?.1,
            _ => {
                reading.line(at, line)?;
                next
            }
        };
    }
    reading.finish()
}

/// Where the lines that begin here end, at the empty line, and what is behind that.
fn end_of_block(octets: &[u8], begin: usize) -> Option<(usize, usize)> {
    if octets.get(begin) == Some(&b'\n') {
        return Some((begin, begin + 1));
    }
    let found = memmem::find(octets.get(begin..)?, b"\n\n")?;
    Some((begin + found + 1, begin + found + 2))
}

fn cut_off(tag: char, offset: usize) -> ControlError {
    ControlError::Malformed { tag, offset, why: "the file ends before the empty line behind it" }
}

/// A file that is read as far as this.
struct Reading<'a> {
    file: ControlFile<'a>,
    flags: u32,
    has_spool: bool,
    has_body: bool,
    /// Parameters that follow belong to a recipient that was left out.
    is_left_out: bool,
}

impl<'a> Reading<'a> {
    fn new() -> Reading<'a> {
        let file = ControlFile {
            lock_width: 1,
            spool: b"",
            body: 0,
            ident: b"",
            verbose: None,
            is_turn: false,
            senders: Vec::new(),
            recipients: Vec::new(),
            headers: Vec::new(),
            left_out: Vec::new(),
        };
        Reading { file, flags: 0, has_spool: false, has_body: false, is_left_out: false }
    }

    fn line(&mut self, offset: usize, line: &'a [u8]) -> Result<(), ControlError> {
        let Some(&tag) = line.first() else { return Ok(()) };
        let value = line.get(2..).unwrap_or_default();
        let malformed = |why| ControlError::Malformed { tag: char::from(tag), offset, why };
        match tag {
            b'@' => self.flags(value).map_err(malformed)?,
            b'i' => (self.file.spool, self.has_spool) = (value, true),
            b'o' => {
                self.file.body = number(value).ok_or_else(|| malformed("not a number"))?;
                self.has_body = true;
            }
            b'l' => self.file.ident = value,
            b'v' => self.file.verbose = Some(value),
            b'T' => self.file.is_turn = true,
            b's' => self.file.senders.push(place(value).0),
            b'r' => self.entry(offset, line)?,
            b'N' | b'R' | b'n' => self.parameter(tag, offset, value),
            _ => {}
        }
        match self.flags & !KNOWN {
            0 => Ok(()),
            _ => Err(ControlError::UnknownFlags(self.flags)),
        }
    }

    fn flags(&mut self, value: &[u8]) -> Result<(), &'static str> {
        const NO_NUMBER: &str = "not a number in hexadecimal";
        if !self.file.recipients.is_empty() {
            return Err("recipients come before it, whose layout it would change");
        }
        let text = std::str::from_utf8(value).map_err(|_| NO_NUMBER)?.trim();
        let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
        if !digits.bytes().all(|octet| octet.is_ascii_hexdigit()) {
            return Err(NO_NUMBER);
        }
        self.flags = u32::from_str_radix(digits, 16).map_err(|_| NO_NUMBER)?;
        self.file.lock_width = if self.flags & WITH_PID > 0 { 7 } else { 1 };
        Ok(())
    }

    /// A recipient, or why it is left out.
    fn entry(&mut self, offset: usize, line: &'a [u8]) -> Result<(), ControlError> {
        if self.file.recipients.len() >= MAX_RECIPIENTS {
            return Err(ControlError::TooMany);
        }
        let read = self.recipient(offset, line);
        self.is_left_out = read.is_err();
        match read {
            Ok(entry) => self.file.recipients.push(entry),
            Err(why) if self.file.left_out.len() < MAX_LEFT_OUT => {
                self.file.left_out.push(ControlError::Malformed { tag: 'r', offset, why });
            }
            Err(_) => {}
        }
        Ok(())
    }

    fn recipient(&self, offset: usize, line: &'a [u8]) -> Result<Entry<'a>, &'static str> {
        const SHORT: &str = "it is too short for its fields";
        let state = *line.get(1).ok_or("it has no state")?;
        let rest = line.get(1 + self.file.lock_width..).ok_or(SHORT)?;
        let (place, _) = place(self.behind_the_delay(rest).ok_or(SHORT)?);
        if place.user.is_empty() {
            return Err("channel, host and user are not all there");
        }
        let sender = self.file.senders.len().checked_sub(1);
        let state = State::of(state);
        Ok(Entry { offset, state, place, sender, headers: None, dsn: None, ret: b"", envelope_id: b"" })
    }

    /// The delay is told of by a flag, or stands there as blanks and digits all the same.
    fn behind_the_delay(&self, rest: &'a [u8]) -> Option<&'a [u8]> {
        if self.flags & WITH_DELAY > 0 {
            return rest.get(4..);
        }
        let looks = |field: &[u8]| field.iter().all(|octet| *octet == b' ' || octet.is_ascii_digit());
        match rest.get(..4) {
            Some(field) if self.flags & WITH_PID > 0 && looks(field) => rest.get(4..),
            _ => Some(rest),
        }
    }

    /// A parameter of the recipient before it; one before all recipients belongs to nobody.
    fn parameter(&mut self, tag: u8, offset: usize, value: &'a [u8]) {
        let Some(entry) = self.file.recipients.last_mut().filter(|_| !self.is_left_out) else { return };
        match tag {
            b'N' => entry.dsn = Some((offset, value)),
            b'R' => entry.ret = value,
            _ => entry.envelope_id = value,
        }
    }

    /// A set of headers, for all recipients that have none yet.
    fn headers(&mut self, octets: &[u8], begin: usize) -> Result<usize, ControlError> {
        let (end, next) = end_of_block(octets, begin).ok_or_else(|| cut_off('m', begin.saturating_sub(2)))?;
        let index = self.file.headers.len();
        self.file.headers.push(begin..end);
        for entry in self.file.recipients.iter_mut().rev().take_while(|entry| entry.headers.is_none()) {
            entry.headers = Some(index);
        }
        Ok(next)
    }

    fn finish(self) -> Result<ControlFile<'a>, ControlError> {
        match (self.has_spool || self.file.is_turn, self.has_body || self.file.is_turn) {
            (false, _) => Err(ControlError::Missing('i')),
            (_, false) => Err(ControlError::Missing('o')),
            _ => Ok(self.file),
        }
    }
}

/// Channel, host and user, and what is behind them.
fn place(value: &[u8]) -> (Place<'_>, &[u8]) {
    let (channel, rest) = words::split(value);
    let (host, rest) = words::split(rest);
    let (user, rest) = words::split(rest);
    (Place { channel, host, user }, rest)
}

fn number(value: &[u8]) -> Option<u64> {
    let digits = value.trim_ascii();
    let all = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    all.then(|| std::str::from_utf8(digits).ok()?.parse().ok())?
}

#[cfg(test)]
mod tests;
