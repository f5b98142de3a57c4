//! What can be chosen for a sink: where it listens, how far away it seems, what it offers, and what it does with
//! messages. Plain data.

use super::Personality;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Everything about a sink, with a default that offers all and keeps nothing.
#[derive(Debug, Clone)]
pub struct SinkOptions {
    /// Where it listens; port 0 takes a free one, see [`super::Sink::address`].
    pub listen: SocketAddr,
    /// The name in the greeting and in the EHLO reply.
    pub hostname: String,
    /// A full round trip: what is received at one moment is answered that much later. Reading does not wait.
    pub latency: Duration,
    /// Kilobits a second that all connections together may receive.
    pub rate_kbit: Option<u64>,
    /// What becomes of messages.
    pub store: Store,
    /// What may be offered; a personality offers no more than this.
    pub extensions: Extensions,
    /// LIMITS (RFC 9422) to offer and to enforce; the personality's own if none is set.
    pub limits: Limits,
    /// The most octets of a message, said with SIZE.
    pub max_size: u64,
    /// Recipients of a transaction beyond this get 452 4.5.3.
    pub max_recipients: Option<usize>,
    /// Messages of a connection; beyond this MAIL gets 452, or 421 and the end, as the personality has it.
    pub max_messages: Option<u64>,
    /// Connections beyond this are turned away with 421.
    pub max_connections: usize,
    /// Which server to be like; an honest one if none is named.
    pub like: Option<Personality>,
    /// The first delay of a personality that delays its errors.
    pub tarpit: Option<Duration>,
    /// A connection that says nothing for so long is closed with 421.
    pub idle_timeout: Duration,
    /// The most octets that [`Store::Memory`] holds; beyond this a message gets 452 4.3.1.
    pub memory_limit: u64,
    /// A file to which one line of JSON is added for each message stored.
    pub envelope_log: Option<PathBuf>,
}

impl Default for SinkOptions {
    fn default() -> SinkOptions {
        SinkOptions {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            hostname: "sink.invalid".to_owned(),
            latency: Duration::ZERO,
            rate_kbit: None,
            store: Store::Discard,
            extensions: Extensions::ALL,
            limits: Limits::NONE,
            max_size: 64 << 20,
            max_recipients: None,
            max_messages: None,
            max_connections: 500,
            like: None,
            tarpit: None,
            idle_timeout: Duration::from_secs(300),
            memory_limit: 1 << 30,
            envelope_log: None,
        }
    }
}

/// What becomes of a message. It is accepted exactly when this is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Store {
    /// Counted and forgotten.
    Discard,
    /// A file in `new/` of this folder, content byte for byte, nothing added. Not flushed to the disk: this is for
    /// trials.
    Maildir(PathBuf),
    /// Kept for [`super::Sink::messages`].
    Memory,
}

/// The service extensions that are offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extensions {
    /// RFC 2920.
    pub pipelining: bool,
    /// RFC 1870.
    pub size: bool,
    /// RFC 6152.
    pub eight_bit_mime: bool,
    /// RFC 6531.
    pub smtputf8: bool,
    /// RFC 3461.
    pub dsn: bool,
    /// RFC 3030.
    pub chunking: bool,
    /// RFC 2034.
    pub enhanced_status_codes: bool,
    /// RFC 6710, without the name of a policy.
    pub mt_priority: bool,
}

impl Extensions {
    /// Every one.
    pub const ALL: Extensions = Extensions {
        pipelining: true,
        size: true,
        eight_bit_mime: true,
        smtputf8: true,
        dsn: true,
        chunking: true,
        enhanced_status_codes: true,
        mt_priority: true,
    };

    /// None, as for a client that says HELO.
    pub const NONE: Extensions = Extensions {
        pipelining: false,
        size: false,
        eight_bit_mime: false,
        smtputf8: false,
        dsn: false,
        chunking: false,
        enhanced_status_codes: false,
        mt_priority: false,
    };

    /// The names, as EHLO gives them, in the order of the reply.
    pub const NAMES: [&str; 8] =
        ["PIPELINING", "SIZE", "8BITMIME", "SMTPUTF8", "DSN", "CHUNKING", "ENHANCEDSTATUSCODES", "MT-PRIORITY"];

    /// The same without the extension of this name. The error is for people.
    pub fn without(mut self, name: &str) -> Result<Extensions, String> {
        let known = Extensions::NAMES.iter().position(|known| known.eq_ignore_ascii_case(name));
        match known {
            Some(at) => *self.switches()[at] = false,
            None => return Err(format!("no extension \"{name}\"; there are {}", Extensions::NAMES.join(", "))),
        }
        Ok(self)
    }

    /// What both offer.
    pub(super) fn and(mut self, mut other: Extensions) -> Extensions {
        for (mine, others) in self.switches().into_iter().zip(other.switches()) {
            *mine = *mine && *others;
        }
        self
    }

    /// The names of those that are on.
    pub(super) fn offered(mut self) -> Vec<&'static str> {
        let names = Extensions::NAMES.into_iter().zip(self.switches());
        names.filter_map(|(name, on)| on.then_some(name)).collect()
    }

    /// One switch for each of [`Extensions::NAMES`].
    fn switches(&mut self) -> [&mut bool; 8] {
        [
            &mut self.pipelining,
            &mut self.size,
            &mut self.eight_bit_mime,
            &mut self.smtputf8,
            &mut self.dsn,
            &mut self.chunking,
            &mut self.enhanced_status_codes,
            &mut self.mt_priority,
        ]
    }
}

/// LIMITS (RFC 9422): offered if any is set, and enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Transactions of a connection; the next MAIL gets 421 and the end.
    pub mail_max: Option<u64>,
    /// Recipients of a transaction; the next gets 452 4.5.3.
    pub rcpt_max: Option<u64>,
}

impl Limits {
    /// None.
    pub const NONE: Limits = Limits { mail_max: None, rcpt_max: None };

    /// Limits from `MAILMAX=20 RCPTMAX=50`, as EHLO gives them. The error is for people.
    pub fn parse(text: &str) -> Result<Limits, String> {
        let mut limits = Limits::NONE;
        for word in text.split_whitespace() {
            let (name, value) = word.split_once('=').ok_or_else(|| format!("\"{word}\" is not NAME=NUMBER"))?;
            let value = value.parse().ok().filter(|&n: &u64| n > 0);
            let value = Some(value.ok_or_else(|| format!("\"{word}\" has no number above 0"))?);
            match name.to_ascii_uppercase().as_str() {
                "MAILMAX" => limits.mail_max = value,
                "RCPTMAX" => limits.rcpt_max = value,
                _ => return Err(format!("no limit \"{name}\"; there are MAILMAX and RCPTMAX")),
            }
        }
        Ok(limits)
    }

    /// The EHLO line, if there is any limit.
    pub(super) fn line(self) -> Option<String> {
        let words = [("MAILMAX", self.mail_max), ("RCPTMAX", self.rcpt_max)];
        let words: Vec<String> =
            words.iter().filter_map(|(name, value)| value.map(|value| format!(" {name}={value}"))).collect();
        (!words.is_empty()).then(|| format!("LIMITS{}", words.concat()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extension_is_switched_off_by_its_name() {
        let less = Extensions::ALL.without("chunking").and_then(|e| e.without("DSN")).expect("both exist");
        let left = ["PIPELINING", "SIZE", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "MT-PRIORITY"];
        assert_eq!(less.offered(), left);
        assert_eq!(less.without("mt-priority").expect("it exists").offered(), left[..5]);
        assert!(Extensions::ALL.without("XYZ").expect_err("unknown").contains("PIPELINING"));
    }

    #[test]
    fn limits_are_read_as_they_are_offered() {
        let limits = Limits::parse("MAILMAX=20 RCPTMAX=50").expect("both known");
        assert_eq!(limits.line().as_deref(), Some("LIMITS MAILMAX=20 RCPTMAX=50"));
        assert_eq!(Limits::NONE.line(), None);
        for wrong in ["MAILMAX", "MAILMAX=0", "MAILMAX=x", "XMAX=1"] {
            assert!(Limits::parse(wrong).is_err(), "{wrong}");
        }
    }
}
