//! LMTP commands (RFC 2033; RFC 5321 4.1.1; BDAT RFC 3030; XFORWARD as Postfix documents it), parsed and validated.
//!
//! What comes out of here is safe to put on another wire. A refusal is the reply to give; it never repeats the client's
//! words raw.

use super::super::Reply;
use super::parameter::{self, MailParameters};
use crate::mail::address::closing_bracket;
use crate::mail::envelope::from_xtext;
use crate::mail::{Address, Recipient};

/// The longest queue id that is believed.
pub const MAX_QUEUE_ID: usize = 64;

/// A command that can be obeyed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    Lhlo,
    /// Attributes of the message's origin; only the queue id is used.
    Forward {
        queue_id: Option<String>,
    },
    Mail {
        sender: Address,
        parameters: MailParameters,
    },
    Rcpt(Recipient),
    Data,
    Bdat {
        octets: u64,
        last: bool,
    },
    Rset,
    Noop,
    Vrfy,
    Help,
    Quit,
}

/// Why a command is not obeyed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The client does not speak this language; it is allowed so only a number of times.
    Unknown(Reply),
    /// An argument is wrong; that may be the sender's fault, so it is not counted.
    Argument(Reply),
    /// BDAT without a number: where the next command begins is not known.
    Lost(Reply),
}

/// Parses a command line that holds no control character.
pub(super) fn parse(line: &[u8]) -> Result<Command, Refusal> {
    let end = line.iter().position(|b| *b == b' ').unwrap_or(line.len());
    let (verb, rest) = (line[..end].to_ascii_uppercase(), &line[end..]);
    let argument = std::str::from_utf8(rest).map(|text| text.trim_matches(' '));
    match (&verb[..], argument) {
        (b"MAIL", Ok(argument)) => mail(argument),
        (b"MAIL", Err(_)) => Err(Refusal::Argument(Reply::new(501, 1, 7, "the sender address is not UTF-8"))),
        (b"RCPT", Ok(argument)) => rcpt(argument),
        (b"RCPT", Err(_)) => Err(Refusal::Argument(Reply::new(501, 1, 3, "the recipient address is not UTF-8"))),
        (b"BDAT", argument) => bdat(argument.unwrap_or_default()),
        (b"XFORWARD", argument) => forward(argument.unwrap_or_default()),
        (b"LHLO", Ok(name)) if !name.is_empty() => Ok(Command::Lhlo),
        (b"LHLO", _) => Err(Refusal::Unknown(Reply::new(501, 5, 4, "LHLO needs the client's name"))),
        (b"NOOP", _) => Ok(Command::Noop),
        (b"VRFY", _) => Ok(Command::Vrfy),
        (b"HELP", _) => Ok(Command::Help),
        (b"DATA", argument) => bare(Command::Data, argument),
        (b"RSET", argument) => bare(Command::Rset, argument),
        (b"QUIT", argument) => bare(Command::Quit, argument),
        (b"EHLO" | b"HELO", _) => Err(Refusal::Unknown(Reply::new(500, 5, 1, "this is LMTP: say LHLO"))),
        _ => Err(Refusal::Unknown(Reply::new(500, 5, 1, "the command is not known"))),
    }
}

/// A verb that takes no argument.
fn bare(command: Command, argument: Result<&str, std::str::Utf8Error>) -> Result<Command, Refusal> {
    match argument {
        Ok("") => Ok(command),
        _ => Err(Refusal::Unknown(Reply::new(501, 5, 4, "the command takes no argument"))),
    }
}

fn mail(argument: &str) -> Result<Command, Refusal> {
    let (path, words) = path_of(argument, "FROM:").ok_or_else(|| argument_error("MAIL FROM:<address>"))?;
    let sender = Address::parse_reverse(path);
    let sender = sender.map_err(|e| Refusal::Argument(Reply::new(501, 1, 7, e.to_string())))?;
    let parameters = parameter::mail(words).map_err(Refusal::Argument)?;
    Ok(Command::Mail { sender, parameters })
}

fn rcpt(argument: &str) -> Result<Command, Refusal> {
    let (path, words) = path_of(argument, "TO:").ok_or_else(|| argument_error("RCPT TO:<address>"))?;
    let address = Address::parse(path);
    let address = address.map_err(|e| Refusal::Argument(Reply::new(501, 1, 3, e.to_string())))?;
    parameter::rcpt(address, words).map(Command::Rcpt).map_err(Refusal::Argument)
}

fn argument_error(expected: &str) -> Refusal {
    Refusal::Argument(Reply::new(501, 5, 4, format!("expected {expected}")))
}

/// Cuts `FROM:<path> words` into the path, without a source route (RFC 5321 appendix C), and the words.
fn path_of<'a>(argument: &'a str, prefix: &str) -> Option<(&'a str, &'a str)> {
    let head = argument.get(..prefix.len()).filter(|head| head.eq_ignore_ascii_case(prefix))?;
    let path = argument[head.len()..].trim_start_matches(' ').strip_prefix('<')?;
    let end = closing_bracket(path)?;
    let words = &path[end + 1..];
    if !(words.is_empty() || words.starts_with(' ')) {
        return None;
    }
    let path = &path[..end];
    let mailbox = if path.starts_with('@') { path.split_once(':').map_or(path, |(_, mailbox)| mailbox) } else { path };
    Some((mailbox, words))
}

fn bdat(argument: &str) -> Result<Command, Refusal> {
    let (digits, rest) = argument.split_once(' ').unwrap_or((argument, ""));
    let last = match rest.trim_matches(' ') {
        "" => Some(false),
        word => word.eq_ignore_ascii_case("LAST").then_some(true),
    };
    match (parameter::number(digits), last) {
        (Some(octets), Some(last)) => Ok(Command::Bdat { octets, last }),
        _ => Err(Refusal::Lost(Reply::new(501, 5, 4, "expected BDAT octets [LAST]"))),
    }
}

fn forward(argument: &str) -> Result<Command, Refusal> {
    const KNOWN: [&str; 7] = ["NAME", "ADDR", "PROTO", "HELO", "SOURCE", "PORT", "IDENT"];
    let wrong = |text| Refusal::Argument(Reply::new(501, 5, 4, text));
    if argument.is_empty() {
        return Err(wrong("XFORWARD needs attributes"));
    }
    let mut queue_id = None;
    for word in argument.split(' ').filter(|word| !word.is_empty()) {
        let (name, value) = word.split_once('=').ok_or_else(|| wrong("expected XFORWARD name=value"))?;
        let name = name.to_ascii_uppercase();
        if !KNOWN.contains(&name.as_str()) {
            return Err(wrong("the XFORWARD attribute is not known"));
        }
        let value = from_xtext(value).ok_or_else(|| wrong("the XFORWARD value is no xtext"))?;
        if name == "IDENT" {
            queue_id = Some(value).filter(|id| is_queue_id(id));
        }
    }
    Ok(Command::Forward { queue_id })
}

/// Whether a text may stand in a log line as a queue id. Postfix writes `[UNAVAILABLE]` for none.
pub fn is_queue_id(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    !text.is_empty() && text.len() <= MAX_QUEUE_ID && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::Body;

    fn code(line: &str) -> String {
        match parse(line.as_bytes()) {
            Err(Refusal::Unknown(r) | Refusal::Argument(r) | Refusal::Lost(r)) => format!("{} {}", r.code, r.status),
            Ok(command) => panic!("{line}: {command:?}"),
        }
    }

    #[test]
    fn verbs_and_keywords_have_no_case() {
        let Ok(Command::Mail { sender, parameters }) = parse(b"mail from: <a@x> size=42 Body=8bitmime smtputf8") else {
            panic!("a good MAIL")
        };
        assert_eq!((sender.as_str(), parameters.size, parameters.body), ("a@x", Some(42), Body::EightBit));
        assert!(parameters.smtputf8);
        assert_eq!(parse(b"bdat 7 last"), Ok(Command::Bdat { octets: 7, last: true }));
        assert_eq!(parse(b"data "), Ok(Command::Data));
        assert_eq!(parse(b"lhlo mail.example.org"), Ok(Command::Lhlo));
    }

    #[test]
    fn a_path_ends_at_the_bracket_outside_quotes() {
        let Ok(Command::Rcpt(recipient)) = parse(b"RCPT TO:<\"a> b\"@x> NOTIFY=never") else { panic!("a good RCPT") };
        assert_eq!(recipient.address.as_str(), "\"a> b\"@x");
        assert_eq!(recipient.notify.expect("given").as_str(), "NEVER");
        let Ok(Command::Rcpt(recipient)) = parse(b"RCPT TO:<@a,@b:c@d>") else { panic!("a source route") };
        assert_eq!(recipient.address.as_str(), "c@d");
    }

    #[test]
    fn each_mistake_has_its_reply() {
        for (line, reply) in [
            ("EHLO x", "500 5.5.1"),
            ("FOO", "500 5.5.1"),
            ("", "500 5.5.1"),
            ("LHLO", "501 5.5.4"),
            ("DATA now", "501 5.5.4"),
            ("MAIL", "501 5.5.4"),
            ("MAIL FROM:a@x", "501 5.5.4"),
            ("MAIL FROM:<a@x>SIZE=1", "501 5.5.4"),
            ("MAIL FROM:<a b@x>", "501 5.1.7"),
            ("MAIL FROM:<a@x> SIZE=x", "501 5.5.4"),
            ("MAIL FROM:<a@x> SIZE=-1", "501 5.5.4"),
            ("MAIL FROM:<a@x> SIZE=1 SIZE=1", "501 5.5.4"),
            ("MAIL FROM:<a@x> BODY=BINARYMIME", "501 5.5.4"),
            ("MAIL FROM:<a@x> RET=ALL", "501 5.5.4"),
            ("MAIL FROM:<a@x> FOO=1", "555 5.5.4"),
            ("RCPT TO:<>", "501 5.1.3"),
            ("RCPT TO:<a<b@x>", "501 5.1.3"),
            ("RCPT TO:<a@x> SIZE=1", "555 5.5.4"),
            ("RCPT TO:<a@x> NOTIFY=NEVER,FAILURE", "501 5.5.4"),
            ("RCPT TO:<a@x> ORCPT=a@x", "501 5.5.4"),
            ("BDAT", "501 5.5.4"),
            ("BDAT 5 FIRST", "501 5.5.4"),
            ("BDAT 99999999999999999999", "501 5.5.4"),
            ("XFORWARD FOO=1", "501 5.5.4"),
            ("XFORWARD IDENT=+4", "501 5.5.4"),
        ] {
            assert_eq!(code(line), reply, "{line}");
        }
        assert!(matches!(parse(b"RCPT TO:<\xff@x>"), Err(Refusal::Argument(r)) if r.code == 501));
    }

    #[test]
    fn the_queue_id_is_decoded_and_must_be_one() {
        let id = |line: &str| match parse(line.as_bytes()) {
            Ok(Command::Forward { queue_id }) => queue_id,
            other => panic!("{line}: {other:?}"),
        };
        assert_eq!(id("XFORWARD NAME=a+2Bb ident=4bXYZ+2D1"), Some("4bXYZ-1".to_owned()));
        assert_eq!(id("XFORWARD IDENT=[UNAVAILABLE]"), None);
        assert_eq!(id("XFORWARD IDENT=a+0D+0Ab"), None);
        assert_eq!(id(&format!("XFORWARD IDENT={}", "x".repeat(65))), None);
    }
}
