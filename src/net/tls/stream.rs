//! A connection in clear or encrypted, with the calls of a [`Duplex`] that a lane needs.

use super::{Agreed, Connector, Handshake, Secured, TlsError};
use crate::net::{Duplex, Path, Ready, Wake};
use std::io::{self, Write};
use std::time::Instant;

/// A connection, and whether it is encrypted.
#[derive(Debug)]
pub enum Stream {
    /// As it was connected.
    Clear(Duplex),
    /// After a handshake.
    Secured(Box<dyn Secured>),
}

impl Stream {
    /// Makes the handshake. A stream that is encrypted already stays as it is.
    pub fn secured(self, connector: &dyn Connector, how: &Handshake<'_>) -> Result<Stream, TlsError> {
        match self {
            Stream::Clear(duplex) => connector.connect(duplex, how).map(Stream::Secured),
            secured => Ok(secured),
        }
    }

    /// What its handshake came to, if it is.
    pub fn agreed(&self) -> Option<Agreed> {
        match self {
            Stream::Clear(_) => None,
            Stream::Secured(secured) => Some(secured.agreed()),
        }
    }

    fn duplex(&self) -> &Duplex {
        match self {
            Stream::Clear(duplex) => duplex,
            Stream::Secured(secured) => secured.duplex(),
        }
    }

    fn duplex_mut(&mut self) -> &mut Duplex {
        match self {
            Stream::Clear(duplex) => duplex,
            Stream::Secured(secured) => secured.duplex_mut(),
        }
    }

    /// As [`Duplex::set_deadline`].
    pub fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.duplex_mut().set_deadline(deadline);
    }

    /// Writes some of `bytes`, at most `most` of them. Of octets that were given before and are encrypted already more
    /// are written than that, if need be.
    pub fn write(&mut self, bytes: &[u8], most: usize) -> io::Result<usize> {
        match self {
            Stream::Clear(duplex) => duplex.write(&bytes[..bytes.len().min(most)]),
            Stream::Secured(secured) => secured.write(&bytes[..bytes.len().min(most.max(secured.held()))]),
        }
    }

    /// As [`Duplex::try_read`].
    pub fn try_read(&mut self, into: &mut [u8]) -> io::Result<Option<usize>> {
        match self {
            Stream::Clear(duplex) => duplex.try_read(into),
            Stream::Secured(secured) => secured.try_read(into),
        }
    }

    /// As [`Duplex::wait`]. Encrypted, "readable" may come to nothing: TLS has messages of its own.
    pub fn wait(&mut self, wake: Option<&Wake>, until: Option<Instant>) -> io::Result<Ready> {
        if let Stream::Secured(secured) = self
            && secured.has_decrypted()
        {
            return Ok(Ready { readable: true, woken: wake.is_some_and(Wake::is_signalled), timed_out: false });
        }
        self.duplex_mut().wait(wake, until)
    }

    /// As [`Duplex::unsent`]: octets on the wire.
    pub fn unsent(&self) -> io::Result<usize> {
        self.duplex().unsent()
    }

    /// As [`Duplex::path`].
    pub fn path(&self) -> Option<Path> {
        self.duplex().path()
    }

    /// Ends the connection with a RST, and without a close_notify.
    pub fn abort(self) {
        self.duplex().reset_on_close();
    }

    /// Tells an encrypted peer that nothing more follows. Not inside something unfinished.
    pub fn farewell(&mut self) {
        if let Stream::Secured(secured) = self {
            secured.farewell();
        }
    }
}
