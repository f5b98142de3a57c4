//! Encryption of a connection: what one attempt does about it, and the handshake between session and socket.
//!
//! What each policy comes to (RFC 3207, RFC 7435, RFC 8314):
//!
//! | what happens                                | `may`                       | `require`, `verify`         |
//! |---------------------------------------------|-----------------------------|-----------------------------|
//! | STARTTLS not offered, or refused            | goes on in clear            | next address; deferred 4.7.4 |
//! | the handshake fails                         | a new connection, in clear, | next address; deferred 4.7.5 |
//! |                                             | and so for ten minutes      |                             |
//! | the certificate is not valid                | goes on, encrypted          | `verify`: the same          |
//! | octets in clear behind the 220 to STARTTLS  | next address; deferred      | next address; deferred      |
//!
//! Nothing else decides over mail in clear. TLS from the first octet has no clear text to go on in: `may` is then as `require`.

use super::drive::Connection;
use super::line::Line;
use super::open::{OpenError, Opened, Opener};
use super::servers::Server;
use crate::config::{TlsPolicy, TlsSettings};
use crate::net::tls::{Connectors, Handshake, TlsError};
use crate::smtp::StartTls;
use crate::sync::after;
use log::{debug, info, warn};
use std::net::SocketAddr;
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

    /// What the session is to say.
    pub fn starttls(self, policy: TlsPolicy) -> StartTls {
        match (self, policy) {
            (Encryption::Clear | Encryption::Wrapped, _) | (_, TlsPolicy::None) => StartTls::Never,
            (_, TlsPolicy::May) => StartTls::IfOffered,
            (_, TlsPolicy::Require | TlsPolicy::Verify) => StartTls::Needed,
        }
    }
}

/// A connection that is asked to end by some time, once it tells one.
pub(super) type EndsBy<'a> = &'a dyn Fn() -> Option<Instant>;

impl Opener {
    /// The first attempt with this server. Where a handshake has just failed and clear text is allowed, none is tried.
    pub(super) fn encryption(&self, address: SocketAddr) -> Encryption {
        match Encryption::of(&self.settings.tls) {
            Encryption::StartTls
                if self.settings.tls.policy == TlsPolicy::May
                    && self.ledger.has_broken_tls(address, Instant::now()) =>
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
        server: &str,
        must_end_by: EndsBy<'_>,
    ) -> Result<Line, OpenError> {
        let tls = &self.settings.tls;
        let is_given_up = || must_end_by().is_some_and(|end| Instant::now() >= end);
        let how = Handshake {
            name: tls.name.as_deref().unwrap_or(&at.name),
            until: after(self.settings.timeouts.greeting),
            is_given_up: &is_given_up,
        };
        let secured = connectors.get(tls).and_then(|connector| line.secured(&*connector, &how));
        let line = secured.map_err(|error| match error {
            TlsError::Settings(text) => {
                // The administrator's to mend, and under `may` nothing else would tell of it.
                warn!("{}: {text}", self.next_hop);
                OpenError::Handshake { server: server.to_owned(), policy: tls.policy, text }
            }
            TlsError::GivenUp => OpenError::Broken { server: server.to_owned(), text: error.to_string() },
            _ => OpenError::Handshake { server: server.to_owned(), policy: tls.policy, text: error.to_string() },
        })?;
        debug!("{}: {}: {server}: encrypted", self.next_hop, self.lane);
        Ok(line)
    }
}

impl<T: super::Token> Connection<T> {
    /// A session over the socket; where TLS is wanted and fails, and clear text is allowed, over a further one in clear.
    pub(super) fn establish(
        opener: &Opener,
        connectors: &Connectors,
        opened: Opened,
        must_end_by: EndsBy<'_>,
    ) -> Result<Connection<T>, (OpenError, Option<SocketAddr>)> {
        let (at, address) = (Arc::clone(&opened.at), opened.address);
        let in_clear = opened.encryption == Encryption::StartTls && opener.settings.tls.policy == TlsPolicy::May;
        let error = match Connection::over(opener, connectors, opened, must_end_by) {
            Ok(connection) => return Ok(connection),
            Err(error) => error,
        };
        if !(in_clear && matches!(error, OpenError::Handshake { .. })) {
            return Err((error, Some(address)));
        }
        info!("{}: {}: {error}; going on in clear", opener.next_hop, opener.lane);
        opener.ledger.note_broken_tls(address, Instant::now());
        let opened = opener.dial_again(&at, address).map_err(|error| (error, Some(address)))?;
        Connection::over(opener, connectors, opened, must_end_by).map_err(|error| (error, Some(address)))
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
