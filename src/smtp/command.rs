//! The command lines of a mail transaction (RFC 5321 4.1.1), as octets.
//!
//! Parameters are added only when the server offers their extension; what must not be sent to a server that
//! lacks one ([`Unfit`]) is asked before the first command. The parts were checked when they were
//! built ([`crate::mail`]), so nothing here can leave its place on the line.
//!
//! A priority is one of the parameters that go without loss of the message: a server that does not offer MT-PRIORITY is
//! given the message without it (RFC 6710 4.3). No header field carries it past such a server (RFC 6758); contents stay
//! as they came.

use super::extension::Extensions;
use crate::mail::{Body, Content, Envelope, Recipient, Return};
use std::io::Write;
use thiserror::Error;

/// Why this message must not be offered to this server at all. Each is for good: the server has said what it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Unfit {
    /// RFC 6152 section 3.
    #[error("the content has 8-bit octets and the server does not offer 8BITMIME")]
    EightBit,
    /// RFC 6531 section 3.5.
    #[error("the addresses need SMTPUTF8, which the server does not offer")]
    Utf8,
    /// RFC 1870 section 6.1: a limit declared in EHLO.
    #[error("the message has {size} octets, over the server's limit of {limit}")]
    TooLarge {
        /// Octets of the message.
        size: u64,
        /// Octets that the server takes.
        limit: u64,
    },
}

/// Whether a message may be offered to a server with these extensions.
pub fn fits(envelope: &Envelope, content: Option<&Content>, offered: &Extensions) -> Result<(), Unfit> {
    if envelope.needs_smtputf8() && !offered.smtputf8 {
        return Err(Unfit::Utf8);
    }
    let Some(content) = content else { return Ok(()) };
    if content.is_eight_bit() && !offered.eight_bit_mime {
        return Err(Unfit::EightBit);
    }
    match offered.size {
        Some(limit) if limit > 0 && content.len() > limit => Err(Unfit::TooLarge { size: content.len(), limit }),
        _ => Ok(()),
    }
}

/// Appends `MAIL FROM:<...>` with every parameter that applies.
pub fn mail(envelope: &Envelope, content: Option<&Content>, offered: &Extensions, out: &mut Vec<u8>) {
    put(out, &["MAIL FROM:<", envelope.sender.as_str(), ">"]);
    if let (Some(content), Some(_)) = (content, offered.size) {
        put(out, &[" SIZE="]);
        number(out, content.len());
    }
    let eight_bit = content.is_some_and(Content::is_eight_bit) || envelope.body == Body::EightBit;
    if eight_bit && offered.eight_bit_mime {
        put(out, &[" BODY=8BITMIME"]);
    }
    if envelope.needs_smtputf8() {
        put(out, &[" SMTPUTF8"]);
    }
    if offered.dsn {
        match envelope.ret {
            Some(Return::Full) => put(out, &[" RET=FULL"]),
            Some(Return::Headers) => put(out, &[" RET=HDRS"]),
            None => {}
        }
        if let Some(id) = &envelope.envelope_id {
            put(out, &[" ENVID=", id.as_str()]);
        }
    }
    // Only as it was given. A 0 for each message of which nothing was said would take the server its own policy for
    // those.
    if let (Some(priority), true) = (envelope.priority, offered.mt_priority) {
        put(out, &[" MT-PRIORITY=", &priority.to_string()]);
    }
    put(out, &["\r\n"]);
}

/// Appends `RCPT TO:<...>` with its DSN parameters.
pub fn rcpt(recipient: &Recipient, offered: &Extensions, out: &mut Vec<u8>) {
    put(out, &["RCPT TO:<", recipient.address.as_str(), ">"]);
    if offered.dsn {
        if let Some(notify) = &recipient.notify {
            put(out, &[" NOTIFY=", notify.as_str()]);
        }
        if let Some(original) = &recipient.original {
            put(out, &[" ORCPT=", original.as_str()]);
        }
    }
    put(out, &["\r\n"]);
}

/// Appends `BDAT n` or `BDAT n LAST` (RFC 3030 section 2).
pub fn bdat(octets: u64, last: bool, out: &mut Vec<u8>) {
    put(out, &["BDAT "]);
    number(out, octets);
    put(out, &[if last { " LAST\r\n" } else { "\r\n" }]);
}

/// Appends `EHLO name` or `HELO name`.
pub fn hello(verb: &str, name: &str, out: &mut Vec<u8>) {
    put(out, &[verb, " ", name, "\r\n"]);
}

fn put(out: &mut Vec<u8>, texts: &[&str]) {
    texts.iter().for_each(|text| out.extend_from_slice(text.as_bytes()));
}

fn number(out: &mut Vec<u8>, number: u64) {
    write!(out, "{number}").expect("a Vec takes every octet");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::{Address, Parameter, Priority};

    fn envelope(sender: &str, recipient: &str) -> Envelope {
        Envelope::new(Address::parse_reverse(sender).expect(sender), vec![Address::parse(recipient).expect(recipient)])
    }

    fn line(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn parameters_follow_what_is_offered() {
        let mut from = envelope("a@x", "b@y");
        from.ret = Some(Return::Headers);
        from.envelope_id = Some(Parameter::parse("id+2B1").expect("xtext"));
        from.recipients[0].notify = Some(Parameter::parse("FAILURE,DELAY").expect("value"));
        let content = Content::from_bytes("h\u{e9}\r\n".as_bytes()).expect("content");
        let all = Extensions { size: Some(0), eight_bit_mime: true, dsn: true, ..Extensions::default() };
        assert_eq!(
            line(|out| mail(&from, Some(&content), &all, out)),
            "MAIL FROM:<a@x> SIZE=5 BODY=8BITMIME RET=HDRS ENVID=id+2B1\r\n"
        );
        assert_eq!(line(|out| rcpt(&from.recipients[0], &all, out)), "RCPT TO:<b@y> NOTIFY=FAILURE,DELAY\r\n");
        let none = Extensions::default();
        assert_eq!(line(|out| mail(&from, Some(&content), &none, out)), "MAIL FROM:<a@x>\r\n");
        assert_eq!(line(|out| rcpt(&from.recipients[0], &none, out)), "RCPT TO:<b@y>\r\n");
        assert_eq!(line(|out| mail(&envelope("", "b@y"), None, &all, out)), "MAIL FROM:<>\r\n");
    }

    #[test]
    fn a_priority_is_told_as_it_was_given_to_a_server_that_offers_it() {
        let with = Extensions { mt_priority: true, ..Extensions::default() };
        for (given, told) in
            [(None, ""), (Some(-9), " MT-PRIORITY=-9"), (Some(0), " MT-PRIORITY=0"), (Some(4), " MT-PRIORITY=4")]
        {
            let mut from = envelope("a@x", "b@y");
            from.priority = given.map(|number| Priority::new(number).expect("in the range"));
            assert_eq!(line(|out| mail(&from, None, &with, out)), format!("MAIL FROM:<a@x>{told}\r\n"));
            assert_eq!(line(|out| mail(&from, None, &Extensions::default(), out)), "MAIL FROM:<a@x>\r\n");
            assert_eq!(fits(&from, None, &Extensions::default()), Ok(()));
        }
    }

    #[test]
    fn a_message_that_the_server_cannot_take_is_not_offered() {
        let none = Extensions::default();
        let eight_bit = Content::from_bytes(&[0xe9]).expect("content");
        assert_eq!(fits(&envelope("a@x", "b@y"), Some(&eight_bit), &none), Err(Unfit::EightBit));
        assert_eq!(fits(&envelope("a@x", "b\u{e9}@y"), None, &none), Err(Unfit::Utf8));
        let small = Extensions { size: Some(2000), ..none.clone() };
        let large = Content::from_bytes(&[b'x'; 2000]).expect("content");
        assert_eq!(
            fits(&envelope("a@x", "b@y"), Some(&large), &small),
            Err(Unfit::TooLarge { size: 2002, limit: 2000 })
        );
        assert_eq!(fits(&envelope("a@x", "b@y"), Some(&large), &none), Ok(()));
    }
}
