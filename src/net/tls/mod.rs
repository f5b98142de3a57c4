//! TLS over a [`Duplex`] (RFC 8446, RFC 5246), for a caller who never blocks in it.
//!
//! A [`Stream`] is a connection in clear or encrypted, with the same few calls for both: write what fits, read what is
//! there, wait. TLS sits above the `Duplex`, so a write that waits goes on receiving, encrypted or not, and cannot
//! stand still with both directions full. [`Secured`] is what an implementation must be able to do; there are `libssl`,
//! which does all, and `native`, which can be had everywhere. [`Connectors`] keeps what is costly to make, one for each
//! kind of settings. [`Dane`] is what DNSSEC says of a server's certificate.
//!
//! Promises: a handshake ends at its deadline or when it is given up; nothing is read ahead of it, so that octets which
//! came in clear cannot count as encrypted; a close_notify is sent only where [`Stream::farewell`] is called, never on
//! a drop. It decides nothing about whom to trust: that is in the settings, and what a failure means is the caller's.

mod agreed;
mod below;
mod connectors;
mod dane;
mod files;
#[cfg(all(unix, not(target_vendor = "apple")))]
mod libssl;
mod native;
mod sessions;
mod stream;
#[cfg(all(unix, not(target_vendor = "apple")))]
mod vouching;

pub use agreed::{Agreed, Vouched};
pub use connectors::Connectors;
pub use dane::Dane;
pub use stream::Stream;

use super::Duplex;
use crate::net::Endpoint;
use std::fmt;
use std::io;
use std::time::Instant;
use thiserror::Error;

/// An encrypted connection.
pub trait Secured: fmt::Debug + Send {
    /// What is below: for waiting, for deadlines, and for looking at the line.
    fn duplex(&self) -> &Duplex;

    /// The same.
    fn duplex_mut(&mut self) -> &mut Duplex;

    /// As [`Duplex::try_read`].
    fn try_read(&mut self, into: &mut [u8]) -> io::Result<Option<usize>>;

    /// As [`std::io::Write::write`] of a `Duplex`. After `WouldBlock` or `TimedOut` the same octets are to be given
    /// again, at least the first [`Secured::held`] of them: these are encrypted, and perhaps partly sent. The peer can
    /// do nothing with a part.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Octets that the next write must have at least.
    fn held(&self) -> usize;

    /// Whether decrypted octets wait, so that the socket is not to be waited for.
    fn has_decrypted(&self) -> bool;

    /// What the handshake came to.
    fn agreed(&self) -> Agreed;

    /// Tells the peer that nothing more follows (close_notify), if that fits at once.
    fn farewell(&mut self);
}

/// Makes encrypted connections of one kind.
pub trait Connector: fmt::Debug + Send + Sync {
    /// Makes the handshake, as a client.
    fn connect(&self, duplex: Duplex, how: &Handshake<'_>) -> Result<Box<dyn Secured>, TlsError>;
}

/// One handshake.
pub struct Handshake<'a> {
    /// The name asked for, and verified where the connector does.
    pub name: &'a str,
    /// Whose sessions may be resumed.
    pub server: Endpoint,
    /// What the certificate has to match, whatever the connector verifies besides.
    pub dane: Option<&'a Dane>,
    /// When it has failed.
    pub until: Instant,
    /// Asked a few times a second: whether to give up.
    pub is_given_up: &'a dyn Fn() -> bool,
}

/// Why there is no encrypted connection.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file of the settings cannot be used: our own mistake.
    #[error("{0}")]
    Settings(String),
    /// The handshake failed, or the certificate is not valid.
    #[error("{0}")]
    Handshake(String),
    /// The same while an earlier session was offered. All with this server are forgotten, so another try has none.
    #[error("{0}")]
    Session(String),
    /// It was not done in its time.
    #[error("the TLS handshake was not done in time")]
    TimedOut,
    /// It was given up.
    #[error("pipelane is stopping")]
    GivenUp,
}

#[cfg(test)]
#[path = "../../../tests/certificates/mod.rs"]
mod certificates;
#[cfg(test)]
mod resumption_tests;
#[cfg(test)]
mod tests;
