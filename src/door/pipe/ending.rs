//! How a command ends: an exit status and one line that begins with an enhanced status, which together say the same.
//!
//! Promises: "delivered" only if every recipient was; permanent only if the server refused every one; everything else,
//! all trouble of our own included, is temporary. The line has at most [`MAX_OUTPUT`] octets and no tab or line end
//! inside (Postfix reads 4096 octets and takes a status at the very beginning only).

use super::super::Reply;
use super::super::reply::{clean, cut};
use super::sysexits::{EX_CANTCREAT, EX_DATAERR, EX_NOHOST, EX_NOPERM, EX_NOUSER, EX_OK, EX_PROTOCOL, EX_TEMPFAIL};
use crate::mail::{EnhancedStatus, Recipient};

/// The most octets of the line, its end included.
pub const MAX_OUTPUT: usize = 4000;

/// An exit status and its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// One of [`super::sysexits`].
    pub exit: u8,
    /// `D.S.N text`, without a line end.
    pub line: String,
}

impl Ending {
    /// Trouble of our own, `4.subject.detail`: the MTA tries again.
    pub fn temporary(subject: u16, detail: u16, text: impl AsRef<str>) -> Ending {
        Ending::new(EX_TEMPFAIL, EnhancedStatus::new(4, subject, detail), text.as_ref())
    }

    /// The deadline came before the result.
    pub fn out_of_time() -> Ending {
        Ending::temporary(4, 2, "no result before the time limit; the message may be delivered already")
    }

    /// One reply for all recipients.
    pub fn of_reply(reply: &Reply) -> Ending {
        let exit = match reply {
            reply if reply.is_success() => EX_OK,
            reply if reply.is_permanent() => exit_for(reply.status),
            _ => EX_TEMPFAIL,
        };
        Ending::new(exit, reply.status, &reply.text)
    }

    /// One reply per recipient.
    pub fn of_replies(recipients: &[Recipient], replies: &[Reply]) -> Ending {
        let Some(first) = replies.first() else {
            return Ending::temporary(3, 0, "there is no recipient");
        };
        let all_alike = replies.iter().all(|reply| (reply.status, &reply.text) == (first.status, &first.text));
        if all_alike || replies.iter().all(Reply::is_success) {
            return Ending::of_reply(first);
        }
        let text = each(recipients, replies);
        if replies.iter().all(Reply::is_permanent) {
            return Ending::new(exit_for(first.status), first.status, &text);
        }
        let temporary = replies.iter().find(|reply| !reply.is_success() && !reply.is_permanent());
        let status = temporary.map_or(EnhancedStatus::new(4, 3, 0), |reply| reply.status);
        Ending::new(EX_TEMPFAIL, status, &text)
    }

    fn new(exit: u8, status: EnhancedStatus, text: &str) -> Ending {
        let line = format!("{status} {}", clean(text));
        Ending { exit, line: cut(&line, MAX_OUTPUT - 1).to_owned() }
    }
}

/// `delivered: a, b; failed: c (550 …); deferred: d (451 …)`
fn each(recipients: &[Recipient], replies: &[Reply]) -> String {
    let mut parts = Vec::new();
    let pairs = || recipients.iter().zip(replies);
    let done: Vec<_> = pairs().filter(|(_, reply)| reply.is_success()).map(|(to, _)| to.address.as_str()).collect();
    if !done.is_empty() {
        parts.push(format!("delivered: {}", done.join(", ")));
    }
    for (name, permanent) in [("failed", true), ("deferred", false)] {
        let of = pairs().filter(|(_, reply)| !reply.is_success() && reply.is_permanent() == permanent);
        let texts: Vec<_> = of.map(|(to, reply)| format!("{} ({reply})", to.address)).collect();
        if !texts.is_empty() {
            parts.push(format!("{name}: {}", texts.join(", ")));
        }
    }
    parts.join("; ")
}

/// The exit status that says nearest to what a permanent status says.
fn exit_for(status: EnhancedStatus) -> u8 {
    match (status.subject, status.detail) {
        (1, 2) => EX_NOHOST,
        (1, _) => EX_NOUSER,
        (2, _) => EX_CANTCREAT,
        (3, 4) | (6, _) => EX_DATAERR,
        (4, _) => EX_NOHOST,
        (7, _) => EX_NOPERM,
        _ => EX_PROTOCOL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::Address;
    use proptest::prelude::*;

    fn ending(replies: &[(u16, u16, u16, &str)]) -> Ending {
        let address = |n: usize| Recipient::new(Address::parse(&format!("r{n}@x")).expect("plain"));
        let recipients: Vec<_> = (0..replies.len()).map(address).collect();
        let replies: Vec<_> = replies.iter().map(|(code, s, d, text)| Reply::new(*code, *s, *d, text)).collect();
        Ending::of_replies(&recipients, &replies)
    }

    #[test]
    fn all_delivered_is_success() {
        assert_eq!(ending(&[(250, 0, 0, "Ok")]), Ending { exit: 0, line: "2.0.0 Ok".into() });
        assert_eq!(ending(&[(250, 0, 0, "A"), (250, 0, 0, "B")]), Ending { exit: 0, line: "2.0.0 A".into() });
    }

    #[test]
    fn all_refused_is_a_bounce_that_says_why() {
        assert_eq!(ending(&[(550, 1, 1, "no"), (550, 1, 1, "no")]), Ending { exit: 67, line: "5.1.1 no".into() });
        let two = ending(&[(550, 7, 1, "no"), (552, 3, 4, "big")]);
        assert_eq!((two.exit, two.line.as_str()), (77, "5.7.1 failed: r0@x (550 5.7.1 no), r1@x (552 5.3.4 big)"));
    }

    #[test]
    fn anything_else_is_tried_again_and_names_what_was_done() {
        let mixed = ending(&[(250, 0, 0, "Ok"), (550, 1, 1, "no"), (250, 0, 0, "Ok")]);
        assert_eq!((mixed.exit, mixed.line.as_str()), (75, "4.3.0 delivered: r0@x, r2@x; failed: r1@x (550 5.1.1 no)"));
        let deferred = ending(&[(550, 1, 1, "no"), (451, 4, 2, "lost")]);
        assert_eq!(
            (deferred.exit, deferred.line.as_str()),
            (75, "4.4.2 failed: r0@x (550 5.1.1 no); deferred: r1@x (451 4.4.2 lost)")
        );
        assert_eq!(ending(&[(451, 4, 1, "x")]), Ending { exit: 75, line: "4.4.1 x".into() });
        assert_eq!(ending(&[]).exit, 75);
    }

    #[test]
    fn no_exit_status_that_postfix_misreads_is_ever_used() {
        for subject in 0..8 {
            for detail in 0..20 {
                let exit = ending(&[(554, subject, detail, "x")]).exit;
                assert!([65, 67, 68, 73, 76, 77].contains(&exit), "5.{subject}.{detail}: {exit}");
            }
        }
    }

    proptest! {
        #[test]
        fn the_line_is_one_short_line(texts in proptest::collection::vec("\\PC{0,200}[\t\r\n]?é{0,200}", 1..40), code in 400u16..600) {
            let replies: Vec<_> = texts.iter().enumerate().map(|(n, t)| (code + n as u16 % 2, 1, 1, t.as_str())).collect();
            let line = ending(&replies).line;
            prop_assert!(line.len() < MAX_OUTPUT && !line.chars().any(char::is_control), "{}", line);
            prop_assert!(EnhancedStatus::split(&line).is_some());
        }
    }
}
