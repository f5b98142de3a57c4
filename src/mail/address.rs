//! Mailbox addresses as they stand between the angle brackets of MAIL and RCPT (RFC 5321 4.1.2).
//!
//! What an address *means* is the server's business: mail exists for local parts that the grammar does not allow, so
//! nothing is refused for its shape. What could leave its place on the wire is refused: control characters (CR, LF and
//! NUL among them, and those of Unicode), unquoted angle brackets and blanks, and more octets than any server takes.
//! Text beyond ASCII is kept (RFC 6531) and can be asked for by [`Address::is_ascii`].

use std::fmt;
use thiserror::Error;

/// The most octets an address may have. RFC 5321 4.5.3.1 gives 64 for the local part and 255 for the domain.
pub const MAX_ADDRESS: usize = 64 + 1 + 255;

/// A mailbox, or the null reverse-path `<>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address(Box<str>);

/// Why a text is no address. The text itself is not repeated raw: it may hold line ends.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AddressError {
    /// An empty text where a mailbox is needed.
    #[error("the address is empty")]
    Empty,
    /// Over [`MAX_ADDRESS`] octets.
    #[error("the address has {0} octets, over {MAX_ADDRESS}")]
    TooLong(usize),
    /// A byte that would not stay in its place on an SMTP command line.
    #[error("the address has {what} at octet {at}")]
    Forbidden {
        /// Which kind of byte.
        what: &'static str,
        /// Where, counted from 1.
        at: usize,
    },
}

impl Address {
    /// The null reverse-path, `<>`: the sender of bounces (RFC 5321 4.5.5).
    pub fn null() -> Address {
        Address("".into())
    }

    /// An address from the text between the angle brackets; the text must not be empty.
    pub fn parse(text: &str) -> Result<Address, AddressError> {
        if text.is_empty() {
            return Err(AddressError::Empty);
        }
        if text.len() > MAX_ADDRESS {
            return Err(AddressError::TooLong(text.len()));
        }
        check(text)?;
        Ok(Address(text.into()))
    }

    /// A reverse-path: an address, or the null one for an empty text.
    pub fn parse_reverse(text: &str) -> Result<Address, AddressError> {
        if text.is_empty() { Ok(Address::null()) } else { Address::parse(text) }
    }

    /// The text between the angle brackets.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the null reverse-path.
    pub fn is_null(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a server without SMTPUTF8 can be given this address (RFC 6531).
    pub fn is_ascii(&self) -> bool {
        self.0.is_ascii()
    }

    /// The domain behind the last `@`; `None` for the null address and for a bare `postmaster`.
    pub fn domain(&self) -> Option<&str> {
        self.0.rsplit_once('@').map(|(_, domain)| domain)
    }
}

/// Walks the text once, knowing whether it is inside a quoted string, where blanks and brackets may stand.
fn check(text: &str) -> Result<(), AddressError> {
    let (mut quoted, mut escaped) = (false, false);
    if let Some((at, _)) = text.char_indices().find(|(_, c)| !c.is_ascii() && c.is_control()) {
        return Err(AddressError::Forbidden { what: "a control character", at: at + 1 });
    }
    for (at, byte) in text.bytes().enumerate() {
        let what = match byte {
            b'\r' => Some("a carriage return"),
            b'\n' => Some("a line feed"),
            0 => Some("a NUL"),
            1..=31 | 127 => Some("a control character"),
            b' ' if !quoted => Some("a blank outside quotes"),
            b'<' | b'>' if !quoted => Some("an angle bracket outside quotes"),
            _ => None,
        };
        if let Some(what) = what {
            return Err(AddressError::Forbidden { what, at: at + 1 });
        }
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ => {}
        }
    }
    if quoted {
        return Err(AddressError::Forbidden { what: "a quote that is never closed", at: text.len() });
    }
    Ok(())
}

/// Where a path ends: the first `>` outside a quoted string (RFC 5321 4.1.2).
pub fn closing_bracket(path: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in path.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'>' if !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_world_oddities_pass() {
        for text in [
            "a@example.org",
            "a..b@example.org",
            "postmaster",
            "\"a b>\"@example.org",
            "\"q\\\"<\"@x",
            "dé@exämple.org",
        ] {
            assert_eq!(Address::parse(text).expect(text).as_str(), text);
        }
        assert!(Address::parse_reverse("").expect("null").is_null());
    }

    #[test]
    fn nothing_leaves_its_place() {
        for text in [
            "a\r\nRCPT TO:<b@x>",
            "a\nb@x",
            "a\0@x",
            "a@x> NOTIFY=NEVER",
            "a b@x",
            "\"a@x",
            "\"a\r\"@x",
            "\t@x",
            "a\u{9b}@x",
        ] {
            assert!(matches!(Address::parse(text), Err(AddressError::Forbidden { .. })), "{text:?}");
        }
        assert_eq!(Address::parse(""), Err(AddressError::Empty));
        assert_eq!(Address::parse(&"x".repeat(321)), Err(AddressError::TooLong(321)));
    }

    #[test]
    fn the_domain_is_behind_the_last_at() {
        assert_eq!(Address::parse("\"a@b\"@c.example").expect("quoted").domain(), Some("c.example"));
        assert_eq!(Address::null().domain(), None);
    }
}
