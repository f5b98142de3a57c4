//! The socket as an implementation of TLS sees it, whichever it is.
//!
//! A read never blocks, and a write that does not go on is "would block", whether the peer must be read first or a
//! deadline has passed: OpenSSL then keeps the record that it has encrypted, and the connection stays usable. It
//! decides nothing.

use super::{Handshake, TlsError};
use crate::net::Duplex;
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

/// A stream of TLS over a [`Below`], which it lets us reach.
pub(super) trait Above: Read + Write {
    fn below(&mut self) -> &mut Below;
}

/// As [`super::Secured::try_read`].
pub(super) fn try_read(stream: &mut impl Above, into: &mut [u8]) -> io::Result<Option<usize>> {
    stream.below().peeks = true;
    let read = stream.read(into);
    stream.below().peeks = false;
    match read {
        Ok(octets) => Ok(Some(octets)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

/// As [`super::Secured::write`]. `held` becomes what [`super::Secured::held`] is to tell.
pub(super) fn write(stream: &mut impl Above, bytes: &[u8], held: &mut usize) -> io::Result<usize> {
    let bytes = &bytes[..bytes.len().min(RECORD)];
    loop {
        match stream.write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                *held = bytes.len();
                if !stream.below().reads {
                    return Err(error);
                }
                // TLS must hear from the peer before it can write; until then there is nothing for the caller to read.
                stream.below().duplex.wait(None, None)?;
            }
            written => {
                *held = 0;
                return written;
            }
        }
    }
}
