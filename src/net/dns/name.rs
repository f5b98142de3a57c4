//! A domain name as text: lower case, without the final dot; the root is `.`.
//!
//! Promises: a name has at most 253 characters in labels of 1 to 63 octets (RFC 1035 2.3.4), and two names are equal
//! when DNS takes them for the same. A name that a caller gives ([`Name::parse`]) has letters, digits, `-` and `_`
//! only. One that a server gave may have more, escaped as in a zone file; [`Name::is_host`] tells whether it can go
//! where a host name is expected. Names of other alphabets are the caller's to convert (IDNA).

use domain::base::name::Name as WireName;
use std::fmt;
use thiserror::Error;

/// A domain name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Box<str>);

/// Why a text is no domain name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("\"{0}\" is no domain name")]
pub struct NameError(String);

impl Name {
    /// A name that somebody wrote, with or without a dot at its end.
    pub fn parse(text: &str) -> Result<Name, NameError> {
        let text = text.to_ascii_lowercase();
        let name = Name(text.strip_suffix('.').unwrap_or(&text).into());
        // The bound comes first, so that the text of the error has one too.
        match name.0.len() <= 253 && name.is_host() {
            true => Ok(name),
            false => Err(NameError(text.chars().take(253).flat_map(char::escape_debug).collect())),
        }
    }

    /// A name out of a message.
    pub(super) fn of_wire(name: &impl fmt::Display) -> Name {
        let text = name.to_string().to_ascii_lowercase();
        let text = text.strip_suffix('.').unwrap_or(&text);
        Name(if text.is_empty() { "." } else { text }.into())
    }

    /// The same for a message.
    pub(super) fn to_wire(&self) -> Option<WireName<Vec<u8>>> {
        WireName::vec_from_str(&self.0).ok()
    }

    /// This name with labels before it: `_25._tcp` for TLSA. `None` when that is too long.
    pub fn below(&self, labels: &str) -> Option<Name> {
        let name = Name(format!("{labels}.{}", self.0).into());
        name.to_wire().map(|_| name)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the root, which as a mail exchanger means "no mail" (RFC 7505).
    pub fn is_root(&self) -> bool {
        &*self.0 == "."
    }

    /// Whether it has only what host names have (and `_`, which some do).
    pub fn is_host(&self) -> bool {
        let fits = |label: &str| {
            (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        };
        self.0.split('.').all(fits)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_lower_case_and_without_its_last_dot() {
        assert_eq!(Name::parse("Mail.Example.ORG.").expect("a name").as_str(), "mail.example.org");
        assert_eq!(Name::parse("mx_1.test"), Name::parse("MX_1.test"));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let long = "a".repeat(64);
        let longer = vec!["abcdefg"; 40].join(".");
        for text in ["", ".", "..", "a..b", ".a", "a b", "a\\.b", "a/b", "ä.test", "a\0", &long, &longer] {
            assert!(Name::parse(text).is_err(), "{text:?}");
        }
        let error = Name::parse("a\nb").expect_err("no name").to_string();
        assert_eq!(error, "\"a\\nb\" is no domain name");
    }

    #[test]
    fn a_name_from_a_server_keeps_what_is_strange_and_tells_so() {
        let wire = WireName::from_octets(b"\x03a b\x04TEST\0".to_vec()).expect("a name");
        let name = Name::of_wire(&wire);
        assert!(!name.is_host());
        assert_eq!(Name::of_wire(&name.to_wire().expect("it fits")), name);
        assert!(Name::of_wire(&WireName::root_vec()).is_root());
        assert!(!Name::of_wire(&WireName::root_vec()).is_host());
    }

    #[test]
    fn labels_go_before_a_name_as_far_as_it_fits() {
        let name = Name::parse("mx.test").expect("a name");
        assert_eq!(name.below("_25._tcp").expect("short").as_str(), "_25._tcp.mx.test");
        let long = Name::parse(&vec!["a2345678"; 28].join(".")).expect("251 characters");
        assert_eq!(long.below("_25._tcp"), None);
    }
}
