//! Parameters of MAIL and RCPT: may they be given at all, and are they well formed? (RFC 1870, 3461, 6152, 6531, 6710.)
//! Pure.

use super::options::Extensions;
use crate::mail::Priority;

/// What MAIL's parameters say.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct MailParameters {
    pub size: Option<u64>,
    pub eight_bit: bool,
    pub smtputf8: bool,
    pub priority: Option<Priority>,
}

/// Why a parameter is refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Not offered: 555.
    NotOffered(String),
    /// Malformed or given twice: 501.
    Malformed(String),
}

/// Checks the parameters of MAIL.
pub(super) fn mail(words: &[String], offered: Extensions) -> Result<MailParameters, Refused> {
    let mut result = MailParameters::default();
    for (keyword, value, word) in each(words)? {
        let (offered, good) = match keyword.as_str() {
            "SIZE" => {
                result.size = value.filter(|v| v.bytes().all(|b| b.is_ascii_digit())).and_then(|v| v.parse().ok());
                (offered.size, result.size.is_some())
            }
            "BODY" => {
                let value = value.unwrap_or_default().to_ascii_uppercase();
                result.eight_bit = value == "8BITMIME";
                (offered.eight_bit_mime, result.eight_bit || value == "7BIT")
            }
            "SMTPUTF8" => {
                result.smtputf8 = true;
                (offered.smtputf8, value.is_none())
            }
            "RET" => {
                let good = value.is_some_and(|v| ["FULL", "HDRS"].iter().any(|r| v.eq_ignore_ascii_case(r)));
                (offered.dsn, good)
            }
            "MT-PRIORITY" => {
                result.priority = value.and_then(|value| value.parse().ok());
                (offered.mt_priority, result.priority.is_some())
            }
            "ENVID" => (offered.dsn, value.is_some_and(|v| v.len() <= 100 && is_xtext(v))),
            _ => (false, false),
        };
        judge(word, offered, good)?;
    }
    Ok(result)
}

/// Checks the parameters of RCPT.
pub(super) fn rcpt(words: &[String], offered: Extensions) -> Result<(), Refused> {
    for (keyword, value, word) in each(words)? {
        let (offered, good) = match keyword.as_str() {
            "NOTIFY" => (offered.dsn, value.is_some_and(is_notify)),
            "ORCPT" => (offered.dsn, value.is_some_and(is_original_recipient)),
            _ => (false, false),
        };
        judge(word, offered, good)?;
    }
    Ok(())
}

/// A parameter: its keyword in upper case, its value, and the whole word.
type Parameter<'a> = (String, Option<&'a str>, &'a str);

/// Splits the words, in upper case, and refuses a keyword that comes twice.
fn each(words: &[String]) -> Result<Vec<Parameter<'_>>, Refused> {
    let mut split: Vec<Parameter<'_>> = Vec::new();
    for word in words {
        let (keyword, value) = word.split_once('=').map_or((word.as_str(), None), |(k, v)| (k, Some(v)));
        let keyword = keyword.to_ascii_uppercase();
        if split.iter().any(|(seen, ..)| *seen == keyword) {
            return Err(Refused::Malformed(format!("{keyword} given twice")));
        }
        split.push((keyword, value, word));
    }
    Ok(split)
}

fn judge(word: &str, offered: bool, good: bool) -> Result<(), Refused> {
    match (offered, good) {
        (true, true) => Ok(()),
        (true, false) => Err(Refused::Malformed(format!("{word} is malformed"))),
        (false, _) => Err(Refused::NotOffered(format!("{word} was not offered"))),
    }
}

fn is_notify(value: &str) -> bool {
    let known = |word: &str| ["SUCCESS", "FAILURE", "DELAY"].iter().any(|n| word.eq_ignore_ascii_case(n));
    value.eq_ignore_ascii_case("NEVER") || value.split(',').all(known)
}

/// `type;xtext`; for `utf-8` (RFC 6533) any text will do.
fn is_original_recipient(value: &str) -> bool {
    match value.split_once(';') {
        Some((kind, _)) if kind.eq_ignore_ascii_case("utf-8") => true,
        Some((kind, address)) => !kind.is_empty() && is_xtext(address),
        None => false,
    }
}

/// xtext (RFC 3461 section 4): printable, with `+XX` for `+` and `=`.
fn is_xtext(text: &str) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let good = match byte {
            b'+' => {
                let mut hex = || bytes.next().is_some_and(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F'));
                hex() && hex()
            }
            b'=' => false,
            _ => byte.is_ascii_graphic(),
        };
        if !good {
            return false;
        }
    }
    !text.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn good_parameters_are_understood() {
        let all = mail(&words("SIZE=12 body=8bitmime SMTPUTF8 RET=HDRS ENVID=a+2Bb mt-priority=-9"), Extensions::ALL);
        let priority = Some(Priority::LOWEST);
        assert_eq!(all, Ok(MailParameters { size: Some(12), eight_bit: true, smtputf8: true, priority }));
        assert_eq!(rcpt(&words("NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a@x"), Extensions::ALL), Ok(()));
    }

    #[test]
    fn what_was_not_offered_or_is_malformed_is_refused() {
        for word in ["SIZE", "SIZE=", "SIZE=+1", "SIZE=x", "BODY=9BIT", "SMTPUTF8=1", "RET=ALL", "ENVID=a+2b", "ENVID="]
        {
            assert!(matches!(mail(&words(word), Extensions::ALL), Err(Refused::Malformed(_))), "{word}");
        }
        for word in ["NOTIFY=", "NOTIFY=NEVER,SUCCESS", "ORCPT=a@x", "ORCPT=rfc822;a=b"] {
            assert!(matches!(rcpt(&words(word), Extensions::ALL), Err(Refused::Malformed(_))), "{word}");
        }
        for value in ["", "+1", "10", "-10", "-0", "01", "\u{0663}", "1=1"] {
            let word = format!("MT-PRIORITY={value}");
            assert!(matches!(mail(&words(&word), Extensions::ALL), Err(Refused::Malformed(_))), "{word}");
        }
        for word in ["MT-PRIORITY", "MT-PRIORITY=1 MT-PRIORITY=1", "SIZE=1 SIZE=2"] {
            assert!(matches!(mail(&words(word), Extensions::ALL), Err(Refused::Malformed(_))), "{word}");
        }
        let none = Extensions { size: false, dsn: false, mt_priority: false, ..Extensions::ALL };
        assert!(matches!(mail(&words("MT-PRIORITY=1"), none), Err(Refused::NotOffered(_))));
        assert!(matches!(mail(&words("SIZE=1"), none), Err(Refused::NotOffered(_))));
        assert!(matches!(mail(&words("AUTH=<>"), Extensions::ALL), Err(Refused::NotOffered(_))));
        assert!(matches!(rcpt(&words("NOTIFY=NEVER"), none), Err(Refused::NotOffered(_))));
    }
}
