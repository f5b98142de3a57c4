//! The only place where replies and faults become outcomes.
//!
//! The law: only a server's own 5yz is a failure, and what DNS denies of a domain for sure; whatever is of our own or
//! the network's making is temporary. A reply's enhanced status is used when its class agrees with its code (RFC 2034),
//! else `x.0.0`.
//!
//! | event                                              | outcome                                    |
//! |----------------------------------------------------|--------------------------------------------|
//! | connection refused, timed out, no such host        | deferred 4.4.1, 4.4.3, 4.4.4; site in trouble |
//! | no such domain; null MX; no address; our own host  | failed 5.1.2; 5.1.10; 5.4.4; 5.4.6, unless another destination is only in trouble |
//! | DNS does not say                                   | deferred 4.4.3                             |
//! | no STARTTLS where it is needed                     | next address; at the last: deferred 4.7.4  |
//! | TLS handshake failed, certificate not valid        | the same, 4.7.5; see `secure`     |
//! | octets in clear behind the 220 to STARTTLS         | the same                                   |
//! | TLSA records needed and missing, or not to be had  | the same; see [`super::pledge`]            |
//! | not named by its domain's MTA-STS policy           | the same; see `domain_policy`     |
//! | AUTH refused, with any code                        | the same, 4.7.8 or as the server says      |
//! | AUTH needed and not offered, or not in clear       | the same, 4.7.0                            |
//! | the file of passwords cannot be used               | deferred 4.3.5, nothing dialled            |
//! | a file that the settings of TLS name               | next address; at the last: deferred 4.3.5  |
//! | greeting or EHLO refused, with any code            | next address; at the last: deferred, site in trouble |
//! | 5yz, 4yz to MAIL, DATA, BDAT or the dot            | all recipients failed, deferred            |
//! | the same behind the content, in LMTP               | that recipient failed, deferred            |
//! | 5yz, 4yz to RCPT                                   | that recipient failed, deferred            |
//! | 452 to RCPT behind accepted ones, too many         | that recipient in a transaction of its own |
//! | 421 (to the only RCPTs too), 452 to MAIL behind accepted messages | sent again on another connection, four times in a row at the most |
//! | SIZE, 8BITMIME, SMTPUTF8 not enough                | failed 5.3.4, 5.6.3, 5.6.7, nothing sent   |
//! | connection lost before the content was sent whole  | sent again, a bounded number of times      |
//! | the same, with another message to blame            | sent again, see [`super::aboard`]          |
//! | connection lost after that                         | in doubt, 4.4.2                            |

use super::open::OpenError;
use crate::mail::{EnhancedStatus, Outcome, Verdict};
use crate::net::DialErrorKind;
use crate::net::dns::RouteError;
use crate::smtp::{Cause, Reply, Unfit};

const LOST: EnhancedStatus = EnhancedStatus::new(4, 4, 2);
const UNREACHABLE: EnhancedStatus = EnhancedStatus::new(4, 4, 1);
const RESOLVER: EnhancedStatus = EnhancedStatus::new(4, 4, 3);
const NO_HOST: EnhancedStatus = EnhancedStatus::new(4, 4, 4);
/// Security features not supported (RFC 3463, X.7.4).
const NO_TLS: EnhancedStatus = EnhancedStatus::new(4, 7, 4);
/// Cryptographic failure (RFC 3463, X.7.5).
const TLS_FAILED: EnhancedStatus = EnhancedStatus::new(4, 7, 5);
/// Other security status (RFC 3463, X.7.0).
const NO_AUTH: EnhancedStatus = EnhancedStatus::new(4, 7, 0);
/// Credentials invalid (RFC 5248, X.7.8).
const AUTH_REFUSED: EnhancedStatus = EnhancedStatus::new(4, 7, 8);
/// Too many recipients (RFC 3463, X.5.3).
const FULL: EnhancedStatus = EnhancedStatus::new(4, 5, 3);
/// System incorrectly configured (RFC 3463, X.3.5).
const MISCONFIGURED: EnhancedStatus = EnhancedStatus::new(4, 3, 5);

/// What a reply that decides over a recipient means for it.
pub fn answered(reply: &Reply) -> Outcome {
    let (verdict, class) = match reply.code / 100 {
        2 => (Verdict::Delivered, 2),
        5 => (Verdict::Failed, 5),
        _ => (Verdict::Deferred, 4),
    };
    let status = reply.status().filter(|s| s.class == class).unwrap_or(EnhancedStatus::new(class, 0, 0));
    Outcome { verdict, status, code: Some(reply.code), text: reply.text() }
}

/// The same in a transaction that was cut off, where a recipient that was too many has not got into a further one.
pub fn refused(reply: &Reply, behind_accepted: bool) -> Outcome {
    if is_overflow(reply, behind_accepted) { as_temporary(reply, FULL) } else { answered(reply) }
}

/// What a message comes to that the server has declared not to take.
pub fn unfit(unfit: Unfit) -> Outcome {
    let status = match unfit {
        Unfit::TooLarge { .. } => EnhancedStatus::new(5, 3, 4),
        Unfit::EightBit => EnhancedStatus::new(5, 6, 3),
        Unfit::Utf8 => EnhancedStatus::new(5, 6, 7),
    };
    Outcome { verdict: Verdict::Failed, status, code: None, text: unfit.to_string() }
}

/// Sent whole and never answered.
pub fn in_doubt(cause: &Cause) -> Outcome {
    let text =
        format!("the whole message was sent, then {cause}; it may have been delivered, and a retry may be a duplicate");
    Outcome { verdict: Verdict::InDoubt, status: LOST, code: None, text }
}

/// Not sent whole, and not to be tried again inside pipelane.
pub fn unsent(cause: &Cause) -> Outcome {
    match cause {
        Cause::Closing(reply) => as_temporary(reply, LOST),
        Cause::NotExecuted(reply) => as_temporary(reply, EnhancedStatus::new(4, 5, 0)),
        Cause::Lost(text) => Outcome::deferred(LOST, text.clone()),
        Cause::Cancelled => Outcome::deferred(EnhancedStatus::new(4, 3, 0), cause.to_string()),
    }
}

/// The content that a door stored cannot be read back. Our own fault, so temporary; trying again at once is no use.
pub fn spoiled(text: &str) -> Outcome {
    Outcome::deferred(EnhancedStatus::new(4, 3, 0), format!("the stored content cannot be read: {text}"))
}

/// The site could not be reached or did not want us.
pub fn unopened(error: &OpenError) -> Outcome {
    match error {
        OpenError::NotReady { reply, .. } => as_temporary(reply, UNREACHABLE),
        OpenError::Route(error) => unrouted(error),
        OpenError::Dial(error) => Outcome::deferred(dial_status(&error.kind), error.to_string()),
        OpenError::NotSecure { .. } => Outcome::deferred(NO_TLS, error.to_string()),
        OpenError::Handshake { .. }
        | OpenError::Injected { .. }
        | OpenError::NotVouched { .. }
        | OpenError::NotNamed { .. } => Outcome::deferred(TLS_FAILED, error.to_string()),
        OpenError::NotAuthenticated { reply: Some(reply), .. } if reply.code == 535 => {
            as_temporary(reply, AUTH_REFUSED)
        }
        OpenError::NotAuthenticated { reply: Some(reply), .. } => as_temporary(reply, NO_AUTH),
        OpenError::NotAuthenticated { .. } => Outcome::deferred(NO_AUTH, error.to_string()),
        OpenError::Credentials(_) | OpenError::TlsSettings { .. } => {
            Outcome::deferred(MISCONFIGURED, error.to_string())
        }
        OpenError::Broken { .. } => Outcome::deferred(LOST, error.to_string()),
    }
}

/// Whether a server that could not be reached may have no room for one connection more: it does not answer, hangs up, or
/// says so.
pub fn is_turned_away(outcome: &Outcome) -> bool {
    outcome.code == Some(421) || (outcome.code.is_none() && [UNREACHABLE, LOST].contains(&outcome.status))
}

/// There was no server to try. No next hop is without one, so this is our own fault.
pub fn no_server() -> Outcome {
    Outcome::deferred(EnhancedStatus::new(4, 3, 5), "the next hop has no server")
}

fn unrouted(error: &RouteError) -> Outcome {
    let (status, text) = (error.status(), error.to_string());
    let verdict = if status.class == 5 { Verdict::Failed } else { Verdict::Deferred };
    Outcome { verdict, status, code: None, text }
}

fn dial_status(kind: &DialErrorKind) -> EnhancedStatus {
    match kind {
        DialErrorKind::NoSuchHost(_) => NO_HOST,
        DialErrorKind::ResolverFailed(_) => RESOLVER,
        _ => UNREACHABLE,
    }
}

/// A reply whose refusal is not for good, whatever its code says.
fn as_temporary(reply: &Reply, otherwise: EnhancedStatus) -> Outcome {
    let status = reply.status().map_or(otherwise, |s| EnhancedStatus::new(4, s.subject, s.detail));
    Outcome { verdict: Verdict::Deferred, status, code: Some(reply.code), text: reply.text() }
}

/// Whether a refused RCPT only says that the transaction is full (RFC 5321 section 4.5.3.1.10), so that the recipient
/// belongs in another one. `behind_accepted`: a recipient before it was accepted, so each round settles at least one.
pub fn is_overflow(reply: &Reply, behind_accepted: bool) -> bool {
    behind_accepted && reply.says_too_many_recipients()
}

/// Whether sending again costs one of the bounded attempts: not after a farewell of a server that answered others on
/// the same connection, or recipients of this message. Each round settles something then, so this ends too.
pub fn is_attempt(cause: &Cause, progress: bool) -> bool {
    !(progress && matches!(cause, Cause::Closing(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(code: u16, text: &str) -> Reply {
        Reply::new(code, &[text])
    }

    #[test]
    fn the_class_of_the_status_agrees_with_the_code() {
        for (code, text, verdict, status) in [
            (250, "2.0.0 Ok: queued as 4F", Verdict::Delivered, "2.0.0"),
            (550, "no such user", Verdict::Failed, "5.0.0"),
            (550, "4.1.1 odd", Verdict::Failed, "5.0.0"),
            (450, "4.2.0 greylisted", Verdict::Deferred, "4.2.0"),
        ] {
            let outcome = answered(&reply(code, text));
            assert_eq!((outcome.verdict, outcome.status.to_string().as_str()), (verdict, status), "{code} {text}");
        }
    }

    #[test]
    fn nothing_of_our_own_making_is_for_good() {
        let refused = reply(554, "5.7.1 go away");
        for cause in [
            Cause::Closing(refused.clone()),
            Cause::NotExecuted(refused.clone()),
            Cause::Lost("lost".into()),
            Cause::Cancelled,
        ] {
            assert_eq!((unsent(&cause).verdict, unsent(&cause).status.class), (Verdict::Deferred, 4), "{cause:?}");
            assert_eq!((in_doubt(&cause).verdict, in_doubt(&cause).status.class), (Verdict::InDoubt, 4), "{cause:?}");
        }
        let open = OpenError::NotReady { server: "mx".into(), reply: refused };
        assert_eq!(unopened(&open).status.to_string(), "4.7.1");
    }

    #[test]
    fn only_too_many_recipients_overflow() {
        assert!(is_overflow(&reply(452, "4.5.3 too many"), true));
        assert!(is_overflow(&reply(452, "too many"), true));
        assert!(!is_overflow(&reply(452, "4.2.2 mailbox full"), true));
        assert!(!is_overflow(&reply(452, "4.5.3 too many"), false));
        assert!(!is_overflow(&reply(552, "5.2.2 mailbox full"), true));
    }
}
