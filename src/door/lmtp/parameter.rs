//! The parameters of MAIL and RCPT: SIZE (RFC 1870), BODY (RFC 6152), SMTPUTF8 (RFC 6531), RET, ENVID, NOTIFY and ORCPT
//! (RFC 3461, RFC 6533), MT-PRIORITY (RFC 6710), each allowed once, in any case of letters.
//!
//! A priority is taken as it is given, never altered: whoever may hand over mail here is the administrator's own MTA,
//! and that has decided whom it believes (RFC 6710 section 11).

use super::super::Reply;
use crate::mail::{Address, Body, Parameter, Priority, Recipient, Return};

/// What stood behind the reverse-path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct MailParameters {
    pub size: Option<u64>,
    pub body: Body,
    pub smtputf8: bool,
    pub ret: Option<Return>,
    pub envelope_id: Option<Parameter>,
    pub priority: Option<Priority>,
}

/// The parameters of MAIL.
pub(super) fn mail(words: &str) -> Result<MailParameters, Reply> {
    const KNOWN: [&str; 6] = ["SIZE", "BODY", "SMTPUTF8", "RET", "ENVID", "MT-PRIORITY"];
    let mut parameters = MailParameters::default();
    each(words, &KNOWN, |key, value| match (key, value) {
        ("SIZE", Some(value)) => number(value).map(|size| parameters.size = Some(size)),
        ("BODY", Some(value)) => body(value).map(|body| parameters.body = body),
        ("SMTPUTF8", None) => {
            parameters.smtputf8 = true;
            Some(())
        }
        ("RET", Some(value)) => Return::parse(value).map(|ret| parameters.ret = Some(ret)),
        ("ENVID", Some(value)) => Parameter::envelope_id(value).map(|id| parameters.envelope_id = Some(id)),
        ("MT-PRIORITY", Some(value)) => Priority::parse(value).ok().map(|given| parameters.priority = Some(given)),
        _ => None,
    })?;
    Ok(parameters)
}

/// The parameters of RCPT, with the address they belong to.
pub(super) fn rcpt(address: Address, words: &str) -> Result<Recipient, Reply> {
    let mut recipient = Recipient::new(address);
    each(words, &["NOTIFY", "ORCPT"], |key, value| match (key, value) {
        ("NOTIFY", Some(value)) => Parameter::notify(value).map(|notify| recipient.notify = Some(notify)),
        ("ORCPT", Some(value)) => Parameter::original(value).map(|original| recipient.original = Some(original)),
        _ => None,
    })?;
    Ok(recipient)
}

/// Gives each `KEY[=value]` to `take`, the key in upper case; `None` from there is a bad value.
fn each(words: &str, known: &[&str], mut take: impl FnMut(&str, Option<&str>) -> Option<()>) -> Result<(), Reply> {
    let mut seen = Vec::new();
    for word in words.split(' ').filter(|word| !word.is_empty()) {
        let (key, value) = word.split_once('=').map_or((word, None), |(key, value)| (key, Some(value)));
        let key = key.to_ascii_uppercase();
        if !known.contains(&key.as_str()) {
            return Err(Reply::new(555, 5, 4, "a parameter is not known here"));
        }
        if seen.contains(&key) {
            return Err(Reply::new(501, 5, 4, format!("{key} is given twice")));
        }
        take(&key, value).ok_or_else(|| Reply::new(501, 5, 4, format!("the value of {key} is wrong")))?;
        seen.push(key);
    }
    Ok(())
}

fn body(value: &str) -> Option<Body> {
    match value.to_ascii_uppercase().as_str() {
        "7BIT" => Some(Body::SevenBit),
        "8BITMIME" => Some(Body::EightBit),
        _ => None,
    }
}

/// Decimal digits and nothing else, at most 20.
pub(super) fn number(text: &str) -> Option<u64> {
    let plain = (1..=20).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_original_recipient_beyond_ascii_is_made_ascii() {
        let address = || Address::parse("a@x").expect("plain");
        let orcpt = |words| rcpt(address(), words).map(|r| r.original.map(|p| p.to_string()));
        assert_eq!(orcpt(" ORCPT=utf-8;d\u{e9}@x"), Ok(Some("utf-8;d\\x{E9}@x".into())));
        assert_eq!(orcpt(" ORCPT=rfc822;a+2Bb@x"), Ok(Some("rfc822;a+2Bb@x".into())));
        assert_eq!(orcpt(" ORCPT=rfc822;d\u{e9}@x").expect_err("not rfc822").code, 501);
    }

    #[test]
    fn a_priority_is_one_number_once() {
        let given = |words: &str| mail(words).map(|parameters| parameters.priority.map(Priority::get));
        for (words, number) in
            [("", None), (" MT-PRIORITY=3", Some(3)), (" mt-priority=-9", Some(-9)), (" SIZE=1 MT-PRIORITY=0", Some(0))]
        {
            assert_eq!(given(words), Ok(number), "{words:?}");
        }
        for value in ["", "+1", "10", "-10", "\u{663}", "-0", "01", "1=1", "MIXER"] {
            let wrong = given(&format!(" MT-PRIORITY={value}")).expect_err(value);
            assert_eq!((wrong.code, wrong.text.as_str()), (501, "the value of MT-PRIORITY is wrong"), "{value:?}");
        }
        assert_eq!(given(" MT-PRIORITY").expect_err("no value").code, 501);
        let twice = given(" MT-PRIORITY=1 Mt-Priority=1").expect_err("twice");
        assert_eq!((twice.code, twice.text.as_str()), (501, "MT-PRIORITY is given twice"));
    }

    #[test]
    fn an_envelope_id_is_bounded_when_decoded() {
        let words = |n: usize| format!(" ENVID={}", "+41".repeat(n));
        assert!(mail(&words(100)).is_ok());
        assert_eq!(mail(&words(101)).expect_err("too long").code, 501);
    }
}
