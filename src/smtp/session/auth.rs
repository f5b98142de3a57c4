//! AUTH (RFC 4954): between the last EHLO and the first transaction, where there are credentials for this server.
//!
//! AUTH ends its group: nothing is sent behind it, and nothing behind a response, before the server has answered.
//! Credentials go over an encrypted connection only, unless they are allowed in clear. A server that wants more than
//! the mechanism has to say, or says something that is no challenge, is told `*`, and its answer to that ends the
//! session. No mechanism here has a security layer, so EHLO is not said again and what it offered holds. What a
//! server says while it knows our secrets is shown to nobody if it repeats them.

use super::{CloseReason, Event, Owed, Session, State};
use crate::config::secret::wipe;
use crate::config::{Credentials, Mechanism};
use crate::smtp::reply::{Reply, ReplyError};
use crate::smtp::sasl::{self, Exchange};
use std::fmt;

/// As whom the session logs in, and how.
#[derive(Debug, Clone)]
pub struct Auth {
    /// User and password.
    pub credentials: Credentials,
    /// What may be used.
    pub mechanisms: Vec<Mechanism>,
    /// Over a connection in clear too.
    pub in_clear: bool,
    /// Only by a mechanism that does not tell the server what the password is; why.
    pub undisclosed: Option<&'static str>,
}

impl Auth {
    /// The mechanisms that may be used with this server.
    fn usable(&self) -> Vec<Mechanism> {
        let may = |mechanism: &Mechanism| self.undisclosed.is_none() || !mechanism.discloses();
        self.mechanisms.iter().copied().filter(may).collect()
    }

    /// Why no mechanism can be used.
    fn nothing_in_common(&self, offered: &[String]) -> String {
        if offered.is_empty() {
            return "there is a password for it, and the server does not offer AUTH".to_owned();
        }
        let usable: Vec<&str> = self.usable().iter().map(|mechanism| mechanism.name()).collect();
        let usable = if usable.is_empty() { "none".to_owned() } else { usable.join(" ") };
        let offered = offered.join(" ");
        let why = self.undisclosed.map(|why| format!(": {why}")).unwrap_or_default();
        format!("of the mechanisms for AUTH the server offers {offered}, and {usable} may be used{why}")
    }
}

impl Session {
    /// Whether nothing but an encrypted connection is of use, because of what is to be said over it.
    pub fn must_not_be_in_clear(&self) -> bool {
        self.options.auth.as_ref().is_some_and(|auth| !auth.in_clear)
    }

    /// By which mechanism the session has logged in, if it has.
    pub fn logged_in(&self) -> Option<Mechanism> {
        self.logged_in
    }

    /// All that stands in front of AUTH is done.
    pub(super) fn log_in(&mut self) {
        let Some(auth) = self.options.auth.take() else { return self.ready() };
        if !self.options.secured && !auth.in_clear {
            let text = "the connection is not encrypted, and auth_in_clear = \"no\" keeps the password off it";
            return self.not_authenticated(text.to_owned(), None);
        }
        let Some(mechanism) = sasl::strongest(&auth.usable(), &self.offered.auth) else {
            return self.not_authenticated(auth.nothing_in_common(&self.offered.auth), None);
        };
        match Exchange::begin(mechanism, &auth.credentials) {
            Ok((exchange, command)) => {
                self.say_secret(command.expose(), Owed::Auth);
                self.exchange = Some(exchange);
            }
            Err(error) => self.not_authenticated(error.to_string(), None),
        }
    }

    /// Transactions may begin.
    fn ready(&mut self) {
        self.state = State::Ready;
        self.events.push_back(Event::Ready);
    }

    fn say_secret(&mut self, line: &str, owed: Owed) {
        // Room for all of it at once: no copy is left behind by growing.
        self.output.reserve(line.len() + 2);
        self.output.extend_from_slice(line.as_bytes());
        self.output.extend_from_slice(b"\r\n");
        self.owed.push_back(owed);
    }

    /// A reply to AUTH or to a response.
    pub(super) fn auth_answered(&mut self, reply: Reply) {
        let Some(exchange) = &self.exchange else { return };
        let mechanism = exchange.mechanism();
        match reply.code {
            _ if !self.output.is_empty() => {
                self.fail(CloseReason::Protocol("the server answered AUTH before it was asked".to_owned()));
            }
            334 => self.challenged(&reply),
            200..300 if exchange.may_succeed() => self.authenticated(mechanism),
            200..300 => {
                let text = format!("the server takes the password by {mechanism} and has not proved that it knows it");
                self.not_authenticated(text, None);
            }
            421 => self.close(CloseReason::NotReady(reply)),
            400.. => self.not_authenticated(format!("the server refused AUTH {mechanism}"), Some(reply)),
            _ => self.fail(CloseReason::Protocol(format!("the server answered \"{reply}\" to AUTH"))),
        }
    }

    fn authenticated(&mut self, mechanism: Mechanism) {
        self.exchange = None;
        self.logged_in = Some(mechanism);
        self.ready();
    }

    /// What was said of AUTH is written: it does not stay in memory.
    pub(super) fn forget_what_was_said(&mut self) {
        if self.exchange.is_some() && self.output.is_empty() {
            wipe(&mut self.output);
        }
    }

    fn challenged(&mut self, reply: &Reply) {
        let Some(exchange) = &mut self.exchange else { return };
        let mut lines = reply.lines();
        let answer = match (lines.next(), lines.next()) {
            (Some(challenge), None) => exchange.answer(challenge).map_err(|error| error.to_string()),
            _ => Err("the server's challenge has more than one line".to_owned()),
        };
        match answer {
            Ok(line) => self.say_secret(line.expose(), Owed::Auth),
            Err(why) => {
                self.cancelled = Some(why);
                self.say_secret("*", Owed::AuthCancel);
            }
        }
    }

    /// The reply to `*`: whatever it is, there is no AUTH here.
    pub(super) fn auth_cancelled(&mut self, reply: Reply) {
        let why = self.cancelled.take().unwrap_or_default();
        match reply.code {
            421 => self.close(CloseReason::NotReady(reply)),
            _ => self.not_authenticated(format!("AUTH was broken off: {why}"), None),
        }
    }

    fn not_authenticated(&mut self, text: String, reply: Option<Reply>) {
        self.exchange = None;
        self.close(CloseReason::NotAuthenticated { text, reply });
    }

    /// A reply as people may see it.
    pub(super) fn veiled(&self, reply: Reply) -> Reply {
        // A challenge is for the mechanism, and is shown to nobody.
        let Some(exchange) = self.exchange.as_ref().filter(|_| reply.code != 334) else { return reply };
        let repeats = reply.lines().any(|line| exchange.is_repeated_in(line));
        if !repeats && !exchange.is_repeated_in(&reply.lines().collect::<String>()) {
            return reply;
        }
        let status = reply.status().map(|status| format!("{status} ")).unwrap_or_default();
        Reply::new(reply.code, &[&format!("{status}(its words repeat what is secret)")])
    }

    /// What is wrong with the server's octets, as people may see it.
    pub(super) fn no_reply(&self, error: &ReplyError) -> String {
        match error {
            ReplyError::Malformed(_) if self.exchange.is_some() => {
                "the server sent something that is no SMTP reply while it was to answer AUTH".to_owned()
            }
            error => error.to_string(),
        }
    }
}

impl Drop for Session {
    /// A connection that ends in the midst of AUTH leaves no secret behind.
    fn drop(&mut self) {
        if self.exchange.is_some() {
            wipe(&mut self.output);
        }
    }
}

impl fmt::Debug for Session {
    /// Without its output, which may be a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Session");
        shown.field("state", &self.state).field("owed", &self.owed).field("flights", &self.flights);
        shown.field("written", &self.written).field("output", &self.output.len()).finish_non_exhaustive()
    }
}
