//! The SMTP envelope: who it is from, who it is for, and the parameters that came with them
//! (RFC 5321 2.3.1; DSN parameters RFC 3461; BODY RFC 6152; SMTPUTF8 RFC 6531; MT-PRIORITY RFC 6710).
//!
//! SIZE is not here: it is a property of the content.

use super::{Address, Priority};
use std::fmt::{self, Write};
use thiserror::Error;

/// The most octets one parameter value may have; RFC 3461 5.4 allows ORCPT the most, 500.
pub const MAX_PARAMETER: usize = 500;

/// The most octets of an ENVID before it was encoded (RFC 3461 4.4).
const MAX_ENVELOPE_ID: usize = 100;

/// The value of a MAIL or RCPT parameter: printable ASCII without blanks or `=`, as `esmtp-value` in RFC 5321 4.1.2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter(Box<str>);

/// Why a text is no parameter value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ParameterError {
    /// Nothing behind the `=`.
    #[error("the parameter value is empty")]
    Empty,
    /// Over [`MAX_PARAMETER`] octets.
    #[error("the parameter value has {0} octets, over {MAX_PARAMETER}")]
    TooLong(usize),
    /// A byte outside printable ASCII, or `=`.
    #[error("the parameter value has a forbidden byte at octet {0}")]
    Forbidden(usize),
}

impl Parameter {
    /// A parameter value, checked.
    pub fn parse(text: &str) -> Result<Parameter, ParameterError> {
        if text.is_empty() {
            return Err(ParameterError::Empty);
        }
        if text.len() > MAX_PARAMETER {
            return Err(ParameterError::TooLong(text.len()));
        }
        match text.bytes().position(|b| !(33..=126).contains(&b) || b == b'=') {
            Some(at) => Err(ParameterError::Forbidden(at + 1)),
            None => Ok(Parameter(text.into())),
        }
    }

    /// The value of NOTIFY (RFC 3461 4.1), in upper case: NEVER alone, or some of the others, each once.
    pub fn notify(value: &str) -> Option<Parameter> {
        let value = value.to_ascii_uppercase();
        let words: Vec<&str> = value.split(',').collect();
        let distinct = words.iter().enumerate().all(|(at, word)| !words[..at].contains(word));
        let list = words.iter().all(|word| ["SUCCESS", "FAILURE", "DELAY"].contains(word));
        (value == "NEVER" || (list && distinct)).then(|| Parameter::parse(&value).ok())?
    }

    /// The value of ENVID (RFC 3461 4.4): xtext, at most 100 octets before it was encoded.
    pub fn envelope_id(value: &str) -> Option<Parameter> {
        from_xtext(value).filter(|id| id.len() <= MAX_ENVELOPE_ID)?;
        Parameter::parse(value).ok()
    }

    /// The value of ORCPT (RFC 3461 4.2), `type;address`. An address beyond ASCII, which a client may write as it is
    /// when it gave SMTPUTF8, is put in the form of RFC 6533 3 that every server with DSN can be given.
    pub fn original(value: &str) -> Option<Parameter> {
        let (kind, address) = value.split_once(';')?;
        if kind.is_empty() || address.is_empty() {
            return None;
        }
        if address.is_ascii() {
            return Parameter::parse(value).ok();
        }
        if !kind.eq_ignore_ascii_case("utf-8") {
            return None;
        }
        let mut ascii = format!("{kind};");
        for letter in address.chars() {
            match letter.is_ascii() {
                true => ascii.push(letter),
                false => write!(ascii, "\\x{{{:X}}}", u32::from(letter)).ok()?,
            }
        }
        Parameter::parse(&ascii).ok()
    }

    /// The value as it stands on the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a failure notice returns of the message (RFC 3461 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Return {
    /// `RET=FULL`
    Full,
    /// `RET=HDRS`
    Headers,
}

impl Return {
    /// The value of RET, in any case of letters.
    pub fn parse(value: &str) -> Option<Return> {
        match value.to_ascii_uppercase().as_str() {
            "FULL" => Some(Return::Full),
            "HDRS" => Some(Return::Headers),
            _ => None,
        }
    }
}

/// What an xtext (RFC 3461 4) stands for, `None` when it is none or not UTF-8.
pub fn from_xtext(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        if first != b'+' {
            out.push(first);
            continue;
        }
        let hex = std::str::from_utf8(rest.get(..2)?).ok()?;
        if !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        out.push(u8::from_str_radix(hex, 16).ok()?);
        rest = &rest[2..];
    }
    String::from_utf8(out).ok()
}

/// The declared type of the content (RFC 6152).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Body {
    /// Nothing was declared; the content itself tells.
    #[default]
    Unspecified,
    /// `BODY=7BIT`
    SevenBit,
    /// `BODY=8BITMIME`
    EightBit,
}

/// One forward-path with its DSN parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// The mailbox.
    pub address: Address,
    /// `NOTIFY=` (RFC 3461 4.1), as it was given.
    pub notify: Option<Parameter>,
    /// `ORCPT=` (RFC 3461 4.2), as it was given.
    pub original: Option<Parameter>,
}

impl Recipient {
    /// A recipient without DSN parameters.
    pub fn new(address: Address) -> Recipient {
        Recipient { address, notify: None, original: None }
    }
}

/// A whole envelope. At least one recipient is expected; an empty list is answered by an empty report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The reverse-path, perhaps null.
    pub sender: Address,
    /// `RET=`
    pub ret: Option<Return>,
    /// `ENVID=` (RFC 3461 4.4)
    pub envelope_id: Option<Parameter>,
    /// `BODY=`
    pub body: Body,
    /// `SMTPUTF8` was given: headers or addresses go beyond ASCII.
    pub smtputf8: bool,
    /// `MT-PRIORITY=`, if it was given. `Some(0)` is not `None`: a server may give a message of which nothing was said
    /// another priority than 0 (RFC 6710 4.1), so 0 is told on only when somebody asked for it.
    pub priority: Option<Priority>,
    /// The forward-paths, in the order in which their results are reported.
    pub recipients: Vec<Recipient>,
}

impl Envelope {
    /// An envelope without parameters.
    pub fn new(sender: Address, recipients: Vec<Address>) -> Envelope {
        let recipients = recipients.into_iter().map(Recipient::new).collect();
        Envelope {
            sender,
            ret: None,
            envelope_id: None,
            body: Body::default(),
            smtputf8: false,
            priority: None,
            recipients,
        }
    }

    /// The priority that the message has here: 0 when nothing was said.
    pub fn priority(&self) -> Priority {
        self.priority.unwrap_or_default()
    }

    /// Whether only a server with SMTPUTF8 can take this message (RFC 6531 3.1).
    pub fn needs_smtputf8(&self) -> bool {
        self.smtputf8 || !self.sender.is_ascii() || self.recipients.iter().any(|r| !r.address.is_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xtext_is_decoded_or_refused() {
        assert_eq!(from_xtext("a+2Bb+3D"), Some("a+b=".into()));
        for text in ["+", "+4", "+4g", "+-1", "+ff"] {
            assert_eq!(from_xtext(text), None, "{text}");
        }
    }

    #[test]
    fn an_envelope_id_is_bounded_before_it_was_encoded() {
        assert!(Parameter::envelope_id(&"+41".repeat(100)).is_some());
        assert_eq!(Parameter::envelope_id(&"+41".repeat(101)), None);
        assert_eq!(Parameter::envelope_id("+4"), None);
        assert_eq!((Return::parse("hdrs"), Return::parse("ALL")), (Some(Return::Headers), None));
    }

    #[test]
    fn a_parameter_holds_no_line_end_blank_or_equals_sign() {
        assert_eq!(Parameter::parse("rfc822;a+2Bb@x").expect("xtext").as_str(), "rfc822;a+2Bb@x");
        for (text, at) in [("a b", 2), ("a\r\nDATA", 2), ("a=b", 2), ("\0", 1), ("é", 1)] {
            assert_eq!(Parameter::parse(text), Err(ParameterError::Forbidden(at)), "{text:?}");
        }
        assert_eq!(Parameter::parse(&"x".repeat(501)), Err(ParameterError::TooLong(501)));
    }

    #[test]
    fn a_message_of_which_nothing_was_said_has_the_priority_0() {
        let mut envelope = Envelope::new(Address::null(), Vec::new());
        assert_eq!((envelope.priority, envelope.priority().get()), (None, 0));
        envelope.priority = Some(Priority::LOWEST);
        assert_eq!(envelope.priority(), Priority::LOWEST);
    }
}
