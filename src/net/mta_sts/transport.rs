//! An encrypted connection as the HTTP client `ureq` wants one. How it is connected and whom it trusts is ours, so
//! that an errand ends at its moment or when its wake is signalled, wherever it is.
//!
//! `ureq` was chosen of the two small blocking clients that are kept well (this and `minreq`): it alone lets its
//! caller bring addresses, sockets and TLS, and bounds body and redirects by itself. Of its own TLS, compression,
//! cookies and proxies nothing is built.

use super::fetch::Errand;
use crate::net::Wake;
use crate::net::tls::Stream;
use crate::sync::Mutex;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Instant;
use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport};

/// Octets of a buffer in each direction. A response's head must fit into it.
pub(super) const BUFFER: usize = 16 * 1024;

/// Gives the connection that has been made already, once.
#[derive(Debug)]
pub(super) struct Given(Mutex<Option<Connection>>);

/// Its address, which nobody uses.
#[derive(Debug)]
pub(super) struct GivenAddress(pub SocketAddr);

/// See the [module](self).
pub(super) struct Connection {
    stream: Mutex<Stream>,
    buffers: LazyBuffers,
    until: Instant,
    wake: Option<Wake>,
}

impl Given {
    pub(super) fn new(stream: Stream, errand: &Errand<'_>) -> Given {
        let buffers = LazyBuffers::new(BUFFER, BUFFER);
        let (until, wake) = (errand.wait.until, errand.wait.wake.cloned());
        Given(Mutex::new(Some(Connection { stream: Mutex::new(stream), buffers, until, wake })))
    }
}

impl Connector for Given {
    type Out = Connection;

    fn connect(&self, _: &ConnectionDetails<'_>, _: Option<()>) -> Result<Option<Connection>, Error> {
        Ok(self.0.lock().take())
    }
}

impl Resolver for GivenAddress {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let mut addresses = self.empty();
        addresses.push(self.0);
        Ok(addresses)
    }
}

impl Transport for Connection {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), Error> {
        let mut stream = self.stream.lock();
        stream.set_deadline(Some(self.until));
        let mut rest = &self.buffers.output()[..amount];
        while !rest.is_empty() {
            let written = stream.write(rest, rest.len())?;
            rest = &rest[written..];
        }
        Ok(())
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, Error> {
        let mut stream = self.stream.lock();
        stream.set_deadline(None);
        let room = self.buffers.input_append_buf();
        if room.is_empty() {
            return Err(io::Error::other("a line of it is too long").into());
        }
        loop {
            // Also where the peer never stops sending.
            if self.wake.as_ref().is_some_and(Wake::is_signalled) {
                return Err(io::Error::other("interrupted").into());
            }
            if Instant::now() >= self.until {
                return Err(io::Error::from(io::ErrorKind::TimedOut).into());
            }
            if let Some(octets) = stream.try_read(room)? {
                self.buffers.input_appended(octets);
                return Ok(octets > 0);
            }
            stream.wait(self.wake.as_ref(), Some(self.until))?;
        }
    }

    /// It is for one request.
    fn is_open(&mut self) -> bool {
        false
    }

    fn is_tls(&self) -> bool {
        true
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("until", &self.until).finish_non_exhaustive()
    }
}
