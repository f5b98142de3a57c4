//! Command lines (RFC 5321 4.1, RFC 3030 for BDAT): text in, one [`Command`] out. Pure.
//!
//! Strict about what a client sends; where real servers are lenient the command is understood and carries a remark.

use crate::mail::Address;
use crate::mail::address::closing_bracket;

/// A command.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    Helo,
    Ehlo,
    Mail(Path),
    Rcpt(Path),
    Data,
    Bdat { octets: u64, last: bool },
    Rset,
    Noop,
    Quit,
    Vrfy,
}

/// The address and the parameters of MAIL or RCPT.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Path {
    pub address: String,
    pub parameters: Vec<String>,
    /// What is wrong with it, although it can be understood.
    pub remark: Option<&'static str>,
}

/// Why a line is no command.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// No such verb: 500.
    Unknown,
    /// A verb that this server does not offer: 502.
    NotOffered(&'static str),
    /// 501.
    Syntax(&'static str, String),
    /// Over the limit of a line: 500.
    TooLong,
    /// Octets that no command may have: 500.
    Octets(&'static str),
    /// A BDAT whose length is unknown, so that what follows cannot be told apart.
    Framing(&'static str),
}

impl Command {
    /// The verb.
    pub(super) fn verb(&self) -> &'static str {
        match self {
            Command::Helo => "HELO",
            Command::Ehlo => "EHLO",
            Command::Mail(_) => "MAIL",
            Command::Rcpt(_) => "RCPT",
            Command::Data => "DATA",
            Command::Bdat { .. } => "BDAT",
            Command::Rset => "RSET",
            Command::Noop => "NOOP",
            Command::Quit => "QUIT",
            Command::Vrfy => "VRFY",
        }
    }

    /// Whether a group of commands must end with it (RFC 2920 3.1; HELO is not for groups at all).
    pub(super) fn ends_group(&self) -> bool {
        !matches!(self, Command::Mail(_) | Command::Rcpt(_) | Command::Rset | Command::Bdat { .. })
    }

    /// Reads a line without its CRLF.
    pub(super) fn parse(line: &str) -> Result<Command, Wrong> {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb.to_ascii_uppercase().as_str() {
            "HELO" => name("HELO", rest).map(|()| Command::Helo),
            "EHLO" => name("EHLO", rest).map(|()| Command::Ehlo),
            "MAIL" => path("MAIL", "FROM:", rest).map(Command::Mail),
            "RCPT" => path("RCPT", "TO:", rest).map(Command::Rcpt),
            "BDAT" => bdat(rest),
            "DATA" => bare("DATA", line, Command::Data),
            "RSET" => bare("RSET", line, Command::Rset),
            "QUIT" => bare("QUIT", line, Command::Quit),
            "NOOP" => Ok(Command::Noop),
            "VRFY" => name("VRFY", rest).map(|()| Command::Vrfy),
            "STARTTLS" => Err(Wrong::NotOffered("STARTTLS")),
            "AUTH" => Err(Wrong::NotOffered("AUTH")),
            "EXPN" => Err(Wrong::NotOffered("EXPN")),
            "HELP" => Err(Wrong::NotOffered("HELP")),
            _ => Err(Wrong::Unknown),
        }
    }
}

fn name(verb: &'static str, rest: &str) -> Result<(), Wrong> {
    match rest.is_empty() || rest.starts_with(' ') {
        true => Err(Wrong::Syntax(verb, "needs an argument behind one space".to_owned())),
        false => Ok(()),
    }
}

fn bare(verb: &'static str, line: &str, command: Command) -> Result<Command, Wrong> {
    match line.len() == verb.len() {
        true => Ok(command),
        false => Err(Wrong::Syntax(verb, "takes no argument".to_owned())),
    }
}

fn bdat(rest: &str) -> Result<Command, Wrong> {
    let (digits, last) = match rest.split_once(' ') {
        None => (rest, false),
        Some((digits, word)) if word.eq_ignore_ascii_case("LAST") => (digits, true),
        Some(_) => return Err(Wrong::Framing("something other than LAST behind the length")),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Wrong::Framing("no length"));
    }
    let octets = digits.parse().map_err(|_| Wrong::Framing("a length beyond all bounds"))?;
    Ok(Command::Bdat { octets, last })
}

fn path(verb: &'static str, keyword: &str, rest: &str) -> Result<Path, Wrong> {
    let wrong = |what: &str| Wrong::Syntax(verb, what.to_owned());
    let head = rest.get(..keyword.len()).filter(|head| head.eq_ignore_ascii_case(keyword));
    let rest = head.map(|head| &rest[head.len()..]).ok_or_else(|| wrong("lacks FROM:< or TO:<"))?;
    let tight = rest.trim_start_matches(' ');
    let mut remark = (tight.len() != rest.len()).then_some("a blank behind the colon");
    let inner = tight.strip_prefix('<').ok_or_else(|| wrong("lacks the angle bracket"))?;
    let end = closing_bracket(inner).ok_or_else(|| wrong("lacks the closing angle bracket"))?;
    let (address, rest) = (&inner[..end], &inner[end + 1..]);
    let checked = match verb {
        "MAIL" => Address::parse_reverse(address),
        _ => Address::parse(address),
    };
    checked.map_err(|error| wrong(&error.to_string()))?;
    if !rest.is_empty() && !rest.starts_with(' ') {
        return Err(wrong("has something right behind the closing angle bracket"));
    }
    let parameters: Vec<String> = rest.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect();
    if rest.len() != parameters.iter().map(|word| word.len() + 1).sum::<usize>() {
        remark = Some("blanks too many between or behind the parameters");
    }
    Ok(Path { address: address.to_owned(), parameters, remark })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path_of(line: &str) -> Path {
        match Command::parse(line) {
            Ok(Command::Mail(path) | Command::Rcpt(path)) => path,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn paths_and_parameters_are_told_apart() {
        let path = path_of("mail FROM:<\"a >b\"@x> SIZE=5 BODY=8BITMIME");
        assert_eq!(path.address, "\"a >b\"@x");
        assert_eq!(path.parameters, ["SIZE=5", "BODY=8BITMIME"]);
        assert_eq!(path.remark, None);
        assert_eq!(path_of("MAIL FROM:<>").address, "");
        assert!(path_of("RCPT TO: <a@x>").remark.is_some());
        assert!(path_of("RCPT TO:<a@x> ").remark.is_some());
        assert!(path_of("RCPT TO:<a@x>  NOTIFY=NEVER").remark.is_some());
    }

    #[test]
    fn malformed_commands_are_refused() {
        for line in [
            "MAIL",
            "MAIL FROM:",
            "MAIL FROM:a@x",
            "MAIL FROM:<a@x",
            "MAIL FROM:<a b@x>",
            "RCPT TO:<>",
            "RCPT TO:<a@x>SIZE=1",
            "MAIL TO:<a@x>",
            "RCPT FROM:<a@x>",
            "EHLO",
            "EHLO ",
            "DATA x",
            "RSET ",
            "QUIT now",
            "MAIL é",
        ] {
            assert!(matches!(Command::parse(line), Err(Wrong::Syntax(..))), "{line}");
        }
        assert_eq!(Command::parse("XYZZY"), Err(Wrong::Unknown));
        assert_eq!(Command::parse(""), Err(Wrong::Unknown));
        assert_eq!(Command::parse("STARTTLS"), Err(Wrong::NotOffered("STARTTLS")));
    }

    #[test]
    fn the_length_of_a_chunk_is_a_plain_number() {
        assert_eq!(Command::parse("BDAT 12 last"), Ok(Command::Bdat { octets: 12, last: true }));
        assert_eq!(Command::parse("BDAT 0"), Ok(Command::Bdat { octets: 0, last: false }));
        for line in
            ["BDAT", "BDAT ", "BDAT x", "BDAT +1", "BDAT -1", "BDAT 1 LUST", "BDAT 1 ", "BDAT 99999999999999999999"]
        {
            assert!(matches!(Command::parse(line), Err(Wrong::Framing(_))), "{line}");
        }
    }
}
