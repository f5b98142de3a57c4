//! Encryption of a connection: what one attempt does about it, and the handshake between session and socket.
//!
//! What each policy comes to (RFC 3207, RFC 7435, RFC 8314). `dane` is one of these by what DNSSEC says of the server
//! ([`super::pledge`]), or as `verify` with a certificate that must be as DNSSEC says; where a domain's MTA-STS policy
//! is enforced ([`super::domain_policy`]), each of them is as `verify`:
//!
//! | what happens                                | `may`                       | `require`, `verify`         |
//! |---------------------------------------------|-----------------------------|-----------------------------|
//! | STARTTLS not offered, or refused            | goes on in clear            | next address; deferred 4.7.4 |
//! | the handshake fails with a session offered  | once more, without one      | once more, without one      |
//! | the handshake fails                         | a new connection, in clear, | next address; deferred 4.7.5 |
//! |                                             | and so for ten minutes      |                             |
//! | a file of our own settings cannot be used   | next address; deferred 4.3.5 | next address; deferred 4.3.5 |
//! | the certificate is not valid                | goes on, encrypted          | `verify`: the same          |
//! | octets in clear behind the 220 to STARTTLS  | next address; deferred 4.7.5 | next address; deferred 4.7.5 |
//!
//! Nothing else decides over mail in clear. TLS from the first octet has no clear text to go on in: `may` is then as
//! `require`.

use super::drive::Connection;
use super::line::Line;
use super::open::{OpenError, Opened, Opener};
use super::pledge::Pledge;
use super::servers::Server;
use crate::config::{TlsPolicy, TlsSettings};
use crate::net::Endpoint;
use crate::net::tls::{Agreed, Connectors, Handshake, TlsError};
use crate::smtp::{Auth, StartTls};
use crate::sync::after;
use log::{debug, info, warn};
use std::sync::Arc;
use std::time::Instant;

/// What one attempt at a connection does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encryption {
    /// No TLS at all.
    Clear,
    /// As the server and the policy allow.
    StartTls,
    /// From the first octet.
    Wrapped,
}

impl Encryption {
    /// The first attempt under these settings.
    fn of(settings: &TlsSettings) -> Encryption {
        match settings.policy {
            TlsPolicy::None => Encryption::Clear,
            _ if settings.wrapped => Encryption::Wrapped,
            _ => Encryption::StartTls,
        }
    }

    /// What the session is to say. `policy` is what it comes to with this server.
    pub fn starttls(self, policy: TlsPolicy) -> StartTls {
        match (self, policy) {
            (Encryption::Clear | Encryption::Wrapped, _) | (_, TlsPolicy::None) => StartTls::Never,
            (_, TlsPolicy::May) => StartTls::IfOffered,
            _ => StartTls::Needed,
        }
    }
}

/// A connection that is asked to end by some time, once it tells one.
pub(super) type EndsBy<'a> = &'a dyn Fn() -> Option<Instant>;

impl Opener {
    /// The first attempt with this server. Where a handshake has just failed and clear text is allowed, none is tried;
    /// nor over a UNIX socket, which nobody listens to. For a password that must not be said in clear it always is.
    pub(super) fn encryption(&self, at: &Server, address: &Endpoint, auth: Option<&Auth>) -> Encryption {
        let tls = &self.settings.tls;
        match Encryption::of(&at.pledge.settings(tls)) {
            Encryption::StartTls
                if at.pledge.policy(tls.policy) == TlsPolicy::May
                    && auth.is_none_or(|auth| auth.in_clear)
                    && (address.is_local() || self.ledger.has_broken_tls(address, tls, Instant::now())) =>
            {
                Encryption::Clear
            }
            first => first,
        }
    }

    /// Makes the handshake on a connection that has just been made, or has just agreed to it.
    pub(super) fn secure(
        &self,
        connectors: &Connectors,
        line: Line,
        at: &Server,
        address: &Endpoint,
        server: &str,
        must_end_by: EndsBy<'_>,
    ) -> Result<Line, OpenError> {
        let tls = at.pledge.settings(&self.settings.tls);
        let is_given_up = || must_end_by().is_some_and(|end| Instant::now() >= end);
        let (name, dane) = match &at.pledge {
            Pledge::Certificate { dane, name } => (name.as_str(), Some(dane)),
            _ => (name_of(&tls, at), None),
        };
        let until = after(self.settings.timeouts.starttls);
        let how = Handshake { name, server: address.clone(), dane, until, is_given_up: &is_given_up };
        let secured = connectors.get(&tls).and_then(|connector| line.secured(&*connector, &how));
        let line = secured.map_err(|error| self.unsecured(error, at, server))?;
        if let Some(agreed) = line.agreed() {
            info!("{}: {}: {server}: encrypted: {agreed}", self.next_hop, self.lane);
        }
        Ok(line)
    }

    /// The server does not do TLS, which it is to.
    pub(super) fn in_clear(&self, at: &Server, server: String, text: &str) -> OpenError {
        let policy = at.pledge.settings(&self.settings.tls).policy;
        OpenError::NotSecure { server, policy, text: format!("{text}{}", at.pledge.because()) }
    }

    fn unsecured(&self, error: TlsError, at: &Server, server: &str) -> OpenError {
        let (server, policy) = (server.to_owned(), at.pledge.settings(&self.settings.tls).policy);
        let resumed = matches!(error, TlsError::Session(_));
        match error {
            TlsError::Settings(text) => {
                // The administrator's to mend, and no server's fault: nothing is remembered of it, and nothing goes in
                // clear for it.
                warn!("{}: {text}", self.next_hop);
                OpenError::TlsSettings { server, text }
            }
            TlsError::GivenUp => OpenError::Broken { server, text: error.to_string() },
            _ => OpenError::Handshake { server, policy, text: format!("{error}{}", at.pledge.because()), resumed },
        }
    }
}

impl<T: super::Token> Connection<T> {
    /// A session over the socket; where TLS is wanted and fails, and clear text is allowed, over a further one in
    /// clear.
    pub(super) fn establish(
        opener: &Opener,
        connectors: &Connectors,
        opened: Opened,
        must_end_by: EndsBy<'_>,
    ) -> Result<Connection<T>, (OpenError, Option<Endpoint>)> {
        let (at, address, encryption) = (Arc::clone(&opened.at), opened.address.clone(), opened.encryption);
        let is_allowed = !opened.session.must_not_be_in_clear();
        let again = |encryption| {
            let opened = opener.dial_again(&at, &address, encryption)?;
            Connection::over(opener, connectors, opened, must_end_by)
        };
        let mut attempt = Connection::over(opener, connectors, opened, must_end_by);
        if let Err(error @ OpenError::Handshake { resumed: true, .. }) = &attempt {
            debug!("{}: {}: {error}; once more without an earlier session", opener.next_hop, opener.lane);
            attempt = again(encryption);
        }
        let policy = at.pledge.policy(opener.settings.tls.policy);
        let may = encryption == Encryption::StartTls && policy == TlsPolicy::May && is_allowed;
        if let Err(error @ OpenError::Handshake { .. }) = &attempt
            && may
        {
            info!("{}: {}: {error}; going on in clear", opener.next_hop, opener.lane);
            opener.ledger.note_broken_tls(address.clone(), &opener.settings.tls, Instant::now());
            attempt = again(Encryption::Clear);
        }
        attempt.map_err(|error| (error, Some(address.clone())))
    }

    /// How it is encrypted, if it is.
    pub fn agreed(&self) -> Option<Agreed> {
        self.line.agreed()
    }

    /// The server has agreed to STARTTLS.
    pub(super) fn starttls(
        mut self,
        connectors: &Connectors,
        must_end_by: EndsBy<'_>,
    ) -> Result<Connection<T>, OpenError> {
        self.line.listen_in_clear(&mut self.session);
        if self.session.closed().is_some() {
            return Err(self.not_opened());
        }
        let mut connection = self.secured(connectors, must_end_by)?;
        connection.session.secured();
        Ok(connection)
    }
}

/// The name that a server is asked for, and must have. The administrator's own is not that of a fallback relay.
pub(super) fn name_of<'a>(tls: &'a TlsSettings, at: &'a Server) -> &'a str {
    tls.name.as_deref().filter(|_| !at.owner.is_relay).unwrap_or(&at.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::NextHopSettings;
    use crate::conn::fixture::{self, Nothing, serve};
    use crate::conn::{Servers, Ways};
    use std::net::{Ipv4Addr, TcpListener};

    #[test]
    fn for_a_file_of_ours_that_cannot_be_used_nothing_goes_in_clear_and_no_server_is_blamed() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let next_hop = format!("[127.0.0.1]:{}", listener.local_addr().expect("bound").port());
        let tls = TlsSettings { cert_file: Some("/nowhere/mail.pem".into()), ..TlsSettings::default() };
        let opener = fixture::opener(&next_hop, NextHopSettings { tls, ..NextHopSettings::default() });
        let server = serve(listener, &["220 x\r\n", "250-x\r\n250 STARTTLS\r\n", "220 go\r\n"]);
        let at = Arc::new(Servers::of(&opener, &Ways::default()).next().expect("one").expect("an address"));
        let opened = Connection::<Nothing>::open(&opener, &Connectors::default(), &at, &[], &|| None);
        let (error, address) = opened.err().expect("not opened");
        let outcome = crate::conn::policy::unopened(&error);
        assert_eq!(outcome.status.to_string(), "4.3.5");
        assert!(outcome.text.contains("/nowhere/mail.pem"), "{outcome:?}");
        let address = address.expect("it was reached");
        assert!(!opener.ledger.has_broken_tls(&address, &opener.settings.tls, Instant::now()));
        assert!(server.join().expect("ends").ends_with("STARTTLS\r\n"));
    }
}
