//! The TXT record by which a domain says that it has a policy, and which one (RFC 8461 section 3.1).
//!
//! Promises: of all texts under the name only those that begin with `v=STSv1;` count; where that is not exactly one,
//! or it is not written as the RFC says, there is none. Nothing panics, whatever the octets are.

use crate::net::dns::{Record, TEXT};

/// What a text must begin with to count.
const VERSION: &[u8] = b"v=STSv1;";

/// The longest name of a field, and the longest id.
const LONGEST: usize = 32;

/// Which policy a domain has: 1 to 32 letters and digits. Another id is another policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyId(Box<str>);

impl PolicyId {
    /// The id that this text is.
    pub fn parse(text: &str) -> Option<PolicyId> {
        let fits = (1..=LONGEST).contains(&text.len()) && text.bytes().all(|octet| octet.is_ascii_alphanumeric());
        fits.then(|| PolicyId(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The id in the records of `_mta-sts.DOMAIN`.
pub fn id(records: &[Record]) -> Option<PolicyId> {
    let mut texts = records.iter().filter_map(|record| match record {
        Record::Txt(text) if text.starts_with(VERSION) => Some(text),
        _ => None,
    });
    match (texts.next(), texts.next()) {
        // One of full length may have been cut.
        (Some(text), None) if text.len() < TEXT => of_text(text),
        _ => None,
    }
}

fn of_text(text: &[u8]) -> Option<PolicyId> {
    let fields = std::str::from_utf8(text.strip_prefix(VERSION)?).ok()?;
    let mut fields: Vec<&str> = fields.split(';').map(|field| field.trim_matches([' ', '\t'])).collect();
    // One semicolon may stand at the end.
    if fields.last() == Some(&"") {
        fields.pop();
    }
    let mut found = None;
    for field in fields {
        let (name, value) = field.split_once('=')?;
        match name {
            "id" if found.is_none() => found = Some(PolicyId::parse(value)?),
            "id" => return None,
            _ if is_extension(name, value) => {}
            _ => return None,
        }
    }
    found
}

/// Whether this is a field that somebody may add one day.
fn is_extension(name: &str, value: &str) -> bool {
    is_name(name) && !value.is_empty() && value.bytes().all(|octet| matches!(octet, 0x21..=0x7e if octet != b'='))
}

/// Whether it can be the name of a field, in a record or in a policy.
pub(super) fn is_name(name: &str) -> bool {
    let (first, rest) = name.as_bytes().split_first().unwrap_or((&b'.', &[]));
    let fits = |octet: &u8| octet.is_ascii_alphanumeric() || b"_-.".contains(octet);
    first.is_ascii_alphanumeric() && rest.len() < LONGEST && rest.iter().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(texts: &[&str]) -> Option<String> {
        let records: Vec<Record> = texts.iter().map(|text| Record::Txt(text.as_bytes().into())).collect();
        id(&records).map(|id| id.as_str().to_owned())
    }

    #[test]
    fn the_id_of_a_record() {
        let longest = "a".repeat(32);
        for (text, expected) in [
            ("v=STSv1; id=20160831085700Z;", "20160831085700Z"),
            ("v=STSv1;id=1", "1"),
            ("v=STSv1; \t id=1 \t;", "1"),
            ("v=STSv1; x-y.z=a:b,c; id=1; n0=~", "1"),
            (&format!("v=STSv1; id={longest};"), longest.as_str()),
        ] {
            assert_eq!(of(&[text]).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_record() {
        let (long_id, long_name) = (format!("v=STSv1; id={};", "a".repeat(33)), "n".repeat(33));
        let (long_name, cut) =
            (format!("v=STSv1; id=1; {long_name}=1;"), format!("v=STSv1; id=1; x={}", "a".repeat(TEXT)));
        for text in [
            "",
            "v=STSv1",
            "v=STSv1;",
            "v=STSv1;;",
            "v=STSv1; id=;",
            "v=STSv1; id=1;;",
            "v=STSv1; ; id=1",
            "v=STSv1; id=1; id=2;",
            "v=STSv1; id=1; id=1;",
            "v=STSv1; id=a-b;",
            "v=STSv1; id=a b;",
            "v=STSv1; id= 1;",
            "v=STSv1; id =1;",
            "v=STSv1; ID=1;",
            "v=STSv1; id=ä;",
            "v=STSv1; id=1; nothing",
            "v=STSv1; id=1; x=",
            "v=STSv1; id=1; =x",
            "v=STSv1; id=1; -x=1",
            "v=STSv1; id=1; x=a=b",
            "v=STSv1; id=1; x=a b",
            "v=STSv1; id=1; x=\u{7f}",
            " v=STSv1; id=1;",
            "V=STSv1; id=1;",
            "v=STSv2; id=1;",
            "v=STSv1x; id=1;",
            "id=1; v=STSv1;",
            &long_id,
            &long_name,
            &cut[..TEXT],
        ] {
            assert_eq!(of(&[text]), None, "{text}");
        }
    }

    #[test]
    fn there_must_be_one_among_whatever_others() {
        let good = "v=STSv1; id=1;";
        assert_eq!(of(&["v=spf1 -all", good, "v=STSv1", ""]).as_deref(), Some("1"));
        assert_eq!(of(&[good, "v=STSv1; id=2;"]), None);
        assert_eq!(of(&[good, "v=STSv1; broken"]), None);
        assert_eq!(of(&[]), None);
        assert_eq!(id(&[Record::Address([192, 0, 2, 1].into())]), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_octets_are_survived(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            for text in [octets.clone(), [VERSION, &octets].concat(), [VERSION, b"id=1;", &octets].concat()] {
                let found = id(&[Record::Txt(text.into())]);
                prop_assert!(found.is_none_or(|id| PolicyId::parse(id.as_str()).is_some()));
            }
        }

        #[test]
        fn an_id_is_found_wherever_it_stands(
            before in "(x[0-9]=[a-z]{1,9};[ \t]{0,2}){0,3}",
            id in "[a-zA-Z0-9]{1,32}",
            after in "(;[ \t]{0,2}y[0-9]=[!-:<>-~]{1,9}){0,3};?",
        ) {
            prop_assert_eq!(of(&[&format!("v=STSv1;{before}id={id}{after}")]), Some(id));
        }
    }
}
