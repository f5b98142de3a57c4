//! Enhanced mail system status codes (RFC 3463), `class.subject.detail`.
//!
//! Parsing is strict about form and indifferent to meaning: codes that no registry knows are passed on.

use std::fmt;
use std::str::FromStr;

/// A status such as `4.4.1`. The class is 2 (success), 4 (temporary) or 5 (permanent).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EnhancedStatus {
    /// 2, 4 or 5.
    pub class: u8,
    /// 0 to 999: 1 addressing, 2 mailbox, 3 system, 4 network, 5 protocol, 6 content, 7 policy.
    pub subject: u16,
    /// 0 to 999, the meaning depends on the subject.
    pub detail: u16,
}

impl EnhancedStatus {
    /// A status from its three numbers; for constants of our own making.
    pub const fn new(class: u8, subject: u16, detail: u16) -> EnhancedStatus {
        EnhancedStatus { class, subject, detail }
    }

    /// Splits `4.2.2 mailbox full` into the status and the text behind it, when the text begins with one
    /// and is followed by a space or nothing (RFC 2034 section 4).
    pub fn split(text: &str) -> Option<(EnhancedStatus, &str)> {
        let (head, rest) = text.split_once(' ').unwrap_or((text, ""));
        head.parse().ok().map(|status| (status, rest))
    }
}

impl FromStr for EnhancedStatus {
    type Err = ();

    fn from_str(text: &str) -> Result<EnhancedStatus, ()> {
        // Octet by octet: each reply of a server is asked for one.
        let (class, rest) = match text.as_bytes() {
            [class @ (b'2' | b'4' | b'5'), b'.', rest @ ..] => (class - b'0', rest),
            _ => return Err(()),
        };
        let dot = rest.iter().position(|octet| *octet == b'.').ok_or(())?;
        let (subject, detail) = (number(&rest[..dot])?, number(&rest[dot + 1..])?);
        Ok(EnhancedStatus { class, subject, detail })
    }
}

fn number(digits: &[u8]) -> Result<u16, ()> {
    if !(1..=3).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return Err(());
    }
    Ok(digits.iter().fold(0, |number, digit| number * 10 + u16::from(digit - b'0')))
}

impl fmt::Display for EnhancedStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_split_from_its_text() {
        let (status, rest) = EnhancedStatus::split("4.2.2 mailbox full").expect("well formed");
        assert_eq!((status, rest), (EnhancedStatus::new(4, 2, 2), "mailbox full"));
        assert_eq!(EnhancedStatus::split("2.0.0"), Some((EnhancedStatus::new(2, 0, 0), "")));
    }

    #[test]
    fn text_that_only_resembles_a_status_is_left_alone() {
        for text in ["", "3.0.0 x", "5.1", "5.1.1.1 x", "5.1.1x", "5..1", "5.1.1234 x", "192.0.2.1 said no", "5.+1.1"] {
            assert_eq!(EnhancedStatus::split(text), None, "{text}");
        }
    }
}
