//! One recipient of a control file as a message needs it, and as marks and reports need it. Pure.

use super::control::Entry;
use crate::mail::{Address, Parameter, Recipient, Return};

/// What is known of a recipient beside its envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    /// Of its `r`: by this the scheduler knows it.
    pub offset: usize,
    /// Its address, as it was written.
    pub user: String,
    /// Of its headers' first octet.
    pub headers: Option<usize>,
    /// Of its `N` line.
    pub dsn: Option<usize>,
    /// It wants to be told of a delivery.
    pub wants_success: bool,
    /// Its sender wants to be told of a failure.
    pub wants_failure: bool,
}

/// What the `N` line of a recipient asks for (RFC 3461).
#[derive(Debug, Clone, PartialEq, Eq)]
struct Asked {
    notify: Option<Parameter>,
    original: Option<Parameter>,
    success: bool,
    failure: bool,
}

impl Asked {
    /// Without a line, and without NOTIFY on it, failures are told of. Words that are not known are passed over.
    fn parse(line: &str) -> Asked {
        let mut asked = Asked { notify: None, original: None, success: false, failure: true };
        for word in line.split_ascii_whitespace() {
            match word.split_once('=') {
                Some((name, value)) if name.eq_ignore_ascii_case("NOTIFY") => asked.notify(value),
                Some((name, value)) if name.eq_ignore_ascii_case("ORCPT") => {
                    asked.original = Parameter::original(value)
                }
                _ => {}
            }
        }
        asked
    }

    /// TRACE is not known to any server. What cannot be read changes nothing: no failure may go unheard by mistake.
    fn notify(&mut self, value: &str) {
        let words = value.split(',').filter(|word| !word.eq_ignore_ascii_case("TRACE"));
        let words = words.collect::<Vec<_>>().join(",");
        let Some(notify) = Parameter::notify(&words) else { return };
        let has = |name: &str| notify.as_str().split(',').any(|word| word == name);
        (self.success, self.failure) = (has("SUCCESS"), has("FAILURE"));
        self.notify = Some(notify);
    }
}

impl Listed {
    /// The recipient of this entry, and where it goes in an envelope; an error is why no server can be told its
    /// address.
    pub fn of(entry: &Entry<'_>, headers: Option<usize>) -> (Listed, Result<Recipient, String>) {
        let (dsn, value) = entry.dsn.map_or((None, &b""[..]), |(offset, value)| (Some(offset), value));
        let asked = Asked::parse(&String::from_utf8_lossy(value));
        let listed = Listed {
            offset: entry.offset,
            user: String::from_utf8_lossy(entry.place.user).into_owned(),
            headers,
            dsn,
            wants_success: asked.success,
            wants_failure: asked.failure,
        };
        let address = address(entry.place.user);
        let recipient = address.map(|address| Recipient { address, notify: asked.notify, original: asked.original });
        (listed, recipient)
    }
}

/// The address of a user field.
pub(super) fn address(user: &[u8]) -> Result<Address, String> {
    let text = std::str::from_utf8(user).map_err(|_| "the address is not UTF-8".to_owned())?;
    Address::parse(text).map_err(|error| error.to_string())
}

/// The value of an `R` line.
pub(super) fn ret(value: &[u8]) -> Option<Return> {
    Return::parse(std::str::from_utf8(value.trim_ascii()).ok()?)
}

/// The value of an `n` line.
pub(super) fn envelope_id(value: &[u8]) -> Option<Parameter> {
    Parameter::envelope_id(std::str::from_utf8(value.trim_ascii()).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_told_on_and_the_rest_is_not() {
        for (line, notify, original, success, failure) in [
            ("", None, None, false, true),
            ("ORCPT=rfc822;bob@b", None, Some("rfc822;bob@b"), false, true),
            ("NOTIFY=FAILURE,DELAY ORCPT=rfc822;bob@b", Some("FAILURE,DELAY"), Some("rfc822;bob@b"), false, true),
            ("notify=success,failure,trace", Some("SUCCESS,FAILURE"), None, true, true),
            ("NOTIFY=NEVER INRCPT=x INFROM=y BY=60;R EZMLM=z", Some("NEVER"), None, false, false),
            ("NOTIFY=SUCCESS", Some("SUCCESS"), None, true, false),
            ("NOTIFY=DELAY", Some("DELAY"), None, false, false),
            ("NOTIFY=x\x01 ORCPT=b", None, None, false, true),
            ("NOTIFY=", None, None, false, true),
            ("NOTIFY=TRACE", None, None, false, true),
            ("NOTIFY=NEVER,SUCCESS", None, None, false, true),
            ("NOTIFY=SUCCESS,SUCCESS", None, None, false, true),
            ("NOTIFY=FALURE", None, None, false, true),
            ("NOTIFY=SUCCESS NOTIFY=x", Some("SUCCESS"), None, true, false),
        ] {
            let asked = Asked::parse(line);
            let text = |parameter: &Option<Parameter>| parameter.as_ref().map(|value| value.as_str().to_owned());
            assert_eq!(
                (text(&asked.notify).as_deref(), text(&asked.original).as_deref()),
                (notify, original),
                "{line}"
            );
            assert_eq!((asked.success, asked.failure), (success, failure), "{line}");
        }
    }

    #[test]
    fn parameters_of_the_message() {
        assert_eq!((ret(b"FULL"), ret(b"hdrs "), ret(b"x")), (Some(Return::Full), Some(Return::Headers), None));
        assert_eq!(envelope_id(b" E1 ").expect("good").as_str(), "E1");
        assert_eq!((envelope_id(b""), envelope_id(b"a b")), (None, None));
    }
}
