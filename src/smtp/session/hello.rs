//! From the greeting until transactions may begin: EHLO or HELO, and STARTTLS (RFC 3207) between two EHLOs. In LMTP it
//! is LHLO, with nothing to fall back to (RFC 2033 section 4.1). AUTH is in `auth`.
//!
//! STARTTLS ends its group. What the server said in clear is worth nothing once the connection is encrypted: its offers
//! are forgotten and EHLO is said again. Octets behind the 220 to STARTTLS, whether in the same write or later, are
//! somebody's who wants them to count as encrypted (CVE-2011-0411 and its like): the session ends at once. Where
//! encryption is needed, nothing that a server or somebody between says leads to [`Event::Ready`] without it.

use super::{CloseReason, Owed, Session, State};
use crate::config::Protocol;
use crate::smtp::command;
use crate::smtp::extension::Extensions;
use crate::smtp::reply::{Reply, ReplyParser};

/// Whether the session asks for encryption (RFC 3207).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StartTls {
    /// It does not; or the connection is encrypted already.
    #[default]
    Never,
    /// Where it is offered. A refusal changes nothing.
    IfOffered,
    /// Without it the session ends before any message.
    Needed,
}

impl Session {
    pub(super) fn greeted(&mut self, reply: Reply) {
        if reply.code != 220 {
            return self.close(CloseReason::NotReady(reply));
        }
        self.greeting = reply.lines().collect::<Vec<_>>().join(" ");
        // Firewalls that blank out the greeting break ESMTP too. But where HELO is of no use it is not tried.
        let masked = self.greeting.contains("***") || self.greeting.bytes().all(|b| b"*20 ".contains(&b));
        let is_of_use = self.has_helo() && !self.needs_tls() && self.options.auth.is_none();
        if masked && !self.greeting.is_empty() && is_of_use {
            self.say_hello("HELO", Owed::Helo);
        } else {
            self.introduce();
        }
    }

    fn introduce(&mut self) {
        self.say_hello(if self.has_helo() { "EHLO" } else { "LHLO" }, Owed::Ehlo);
    }

    /// Whether the protocol has a greeting older than the one with extensions.
    fn has_helo(&self) -> bool {
        self.options.protocol == Protocol::Smtp
    }

    fn say_hello(&mut self, verb: &str, owed: Owed) {
        command::hello(verb, &self.options.helo_name, &mut self.output);
        self.owed.push_back(owed);
        self.state = State::Hello;
    }

    pub(super) fn hello_answered(&mut self, reply: Reply, esmtp: bool) {
        if reply.is_positive() {
            if esmtp {
                self.offered = Extensions::parse(&reply, &self.options.ignore_extensions);
            }
            self.introduced();
        } else if !(esmtp && reply.is_permanent() && self.has_helo()) {
            self.close(CloseReason::NotReady(reply));
        } else if self.needs_tls() {
            self.close(CloseReason::NotSecure(format!("the server refused EHLO, and so offers no TLS: {reply}")));
        } else {
            self.say_hello("HELO", Owed::Helo);
        }
    }

    /// EHLO, LHLO or HELO is answered: encryption is next, or all is ready.
    fn introduced(&mut self) {
        match self.options.starttls {
            StartTls::IfOffered | StartTls::Needed if self.offered.starttls => {
                self.output.extend_from_slice(b"STARTTLS\r\n");
                self.owed.push_back(Owed::StartTls);
            }
            StartTls::Needed => self.close(CloseReason::NotSecure("the server does not offer STARTTLS".into())),
            StartTls::IfOffered | StartTls::Never => self.log_in(),
        }
    }

    fn needs_tls(&self) -> bool {
        self.options.starttls == StartTls::Needed
    }

    pub(super) fn starttls_answered(&mut self, reply: Reply) {
        match (reply.code, self.options.starttls) {
            (220, _) => self.state = State::Handshake,
            (421, _) => self.close(CloseReason::NotReady(reply)),
            (_, StartTls::Needed) => {
                self.close(CloseReason::NotSecure(format!("the server offers STARTTLS and refused it: {reply}")));
            }
            _ => {
                self.options.starttls = StartTls::Never;
                self.introduced();
            }
        }
    }

    /// Whether nothing may be read from the connection before it is encrypted.
    pub fn awaits_handshake(&self) -> bool {
        self.state == State::Handshake
    }

    /// Octets that came in clear behind the 220 to STARTTLS.
    pub(super) fn heard_in_clear(&mut self, octets: &[u8]) {
        if !octets.is_empty() {
            let text = "the server's 220 to STARTTLS had something behind it that was not encrypted";
            self.fail(CloseReason::Injected(text));
        }
    }

    /// The connection is encrypted from now on, as [`super::Want::Handshake`] wanted: the session begins anew behind
    /// the greeting.
    pub fn secured(&mut self) {
        if self.state == State::Handshake {
            self.offered = Extensions::default();
            self.parser = ReplyParser::default();
            self.closing = None;
            self.options.starttls = StartTls::Never;
            self.options.secured = true;
            self.introduce();
        }
    }
}
