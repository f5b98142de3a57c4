//! The socket as an implementation of TLS sees it, and the connection that comes of it, whichever implementation it is.
//!
//! A read never blocks, and a write that does not go on is "would block", whether the peer must be read first or a
//! deadline has passed: OpenSSL then keeps the record that it has encrypted, and the connection stays usable. It
//! decides nothing.

use super::{Agreed, Handshake, Secured, TlsError};
use crate::net::Duplex;
use std::fmt;
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

/// Octets of one record at the most (RFC 8446 section 5.1). No more is given to TLS at a time, so what it may keep is
/// known.
const RECORD: usize = 16 * 1024;
/// A handshake that waits looks this often whether it is given up.
const SLICE: Duration = Duration::from_millis(250);

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Below {
    pub duplex: Duplex,
    /// What stood still last was a read.
    reads: bool,
    /// We only look whether there is something to read.
    peeks: bool,
}

impl Below {
    pub fn new(duplex: Duplex) -> Below {
        Below { duplex, reads: false, peeks: false }
    }

    /// Waits a while for the peer of a handshake.
    pub fn wait(&mut self, how: &Handshake<'_>) -> Result<(), TlsError> {
        let now = Instant::now();
        if (how.is_given_up)() {
            return Err(TlsError::GivenUp);
        }
        if now >= how.until {
            return Err(TlsError::TimedOut);
        }
        let slice = how.until.min(now + SLICE);
        self.duplex.set_deadline(Some(slice));
        if self.reads {
            self.duplex.set_deadline(None);
            // What is wrong with the socket, the handshake will be told by it.
            let _ = self.duplex.wait(None, Some(slice));
        }
        Ok(())
    }
}

impl Read for Below {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.reads = true;
        self.duplex.try_read(into)?.ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }
}

impl Write for Below {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.reads = false;
        if self.peeks {
            // TLS has something of its own to say, such as new keys; a peer that takes nothing must not hold us up by
            // it.
            self.duplex.set_deadline(Some(Instant::now()));
        }
        self.duplex.write(bytes).map_err(|error| match error.kind() {
            // A deadline of ours; the kernel's ETIMEDOUT has a number.
            io::ErrorKind::TimedOut if error.raw_os_error().is_none() => io::ErrorKind::WouldBlock.into(),
            _ => error,
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A stream of TLS over a [`Below`], as a library has it.
pub(super) trait Above: Read + Write + fmt::Debug + Send {
    fn below(&self) -> &Below;
    fn below_mut(&mut self) -> &mut Below;
    /// Whether decrypted octets wait in the library.
    fn has_decrypted(&self) -> bool;
    /// Says close_notify.
    fn shut_down(&mut self);
}

/// An encrypted connection, by whichever library.
#[derive(Debug)]
pub(super) struct Encrypted<S> {
    stream: S,
    held: usize,
    agreed: Agreed,
}

impl<S: Above> Encrypted<S> {
    /// What a handshake has come to.
    pub fn new(stream: S, agreed: Agreed) -> Encrypted<S> {
        Encrypted { stream, held: 0, agreed }
    }
}

impl<S: Above> Secured for Encrypted<S> {
    fn duplex(&self) -> &Duplex {
        &self.stream.below().duplex
    }

    fn duplex_mut(&mut self) -> &mut Duplex {
        &mut self.stream.below_mut().duplex
    }

    fn try_read(&mut self, into: &mut [u8]) -> io::Result<Option<usize>> {
        self.stream.below_mut().peeks = true;
        let read = self.stream.read(into);
        self.stream.below_mut().peeks = false;
        match read {
            Ok(octets) => Ok(Some(octets)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bytes = &bytes[..bytes.len().min(RECORD)];
        loop {
            match self.stream.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.held = bytes.len();
                    if !self.stream.below().reads {
                        return Err(error);
                    }
                    // TLS must hear from the peer before it can write; until then there is nothing for the caller to
                    // read.
                    self.duplex_mut().wait(None, None)?;
                }
                written => {
                    self.held = 0;
                    return written;
                }
            }
        }
    }

    fn held(&self) -> usize {
        self.held
    }

    fn has_decrypted(&self) -> bool {
        self.stream.has_decrypted()
    }

    fn agreed(&self) -> Agreed {
        self.agreed
    }

    fn farewell(&mut self) {
        // Behind a record that is half sent it would be no message of TLS.
        if self.held == 0 {
            self.duplex_mut().set_deadline(Some(Instant::now()));
            self.stream.shut_down();
        }
    }
}
