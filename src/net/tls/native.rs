//! TLS by the crate native-tls, which is the system's OpenSSL here.
//!
//! Below it the socket never blocks to read, and a write that does not go on is "would block", whether the peer must be
//! read first or a deadline has passed: OpenSSL then keeps the record that it has encrypted, and the connection stays usable.
//! At most one record is given to it at a time, so what it may keep is known.

use super::{Connector, Handshake, Secured, TlsError};
use crate::config::{TlsPolicy, TlsSettings, TlsVersion};
use crate::net::Duplex;
use native_tls::{Certificate, HandshakeError, Identity, MidHandshakeTlsStream, Protocol, TlsConnector, TlsStream};
use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// Octets of one record at the most (RFC 8446 section 5.1).
const RECORD: usize = 16 * 1024;
/// A handshake that waits looks this often whether it is given up.
const SLICE: Duration = Duration::from_millis(250);

/// The socket as TLS sees it.
#[derive(Debug)]
struct Below {
    duplex: Duplex,
    /// What stood still last was a read.
    reads: bool,
    /// We only look whether there is something to read.
    peeks: bool,
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
            // TLS has something of its own to say, such as new keys; a peer that takes nothing must not hold us up by it.
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

/// Makes connections of one kind.
#[derive(Debug)]
pub(super) struct NativeConnector {
    connector: TlsConnector,
    verifies: bool,
}

impl NativeConnector {
    pub fn new(settings: &TlsSettings) -> Result<NativeConnector, TlsError> {
        let verifies = settings.policy == TlsPolicy::Verify;
        let mut builder = TlsConnector::builder();
        builder.min_protocol_version(Some(match settings.minimum {
            TlsVersion::V12 => Protocol::Tlsv12,
            TlsVersion::V13 => Protocol::Tlsv13,
        }));
        builder.danger_accept_invalid_certs(!verifies).danger_accept_invalid_hostnames(!verifies);
        builder.disable_built_in_roots(!verifies || settings.ca_file.is_some());
        if let Some(path) = settings.ca_file.as_ref().filter(|_| verifies) {
            let authorities = Certificate::stack_from_pem(&read(path)?).map_err(|error| unusable(path, &error))?;
            if authorities.is_empty() {
                return Err(TlsError::Settings(format!("{}: no certificate in PEM is in it", path.display())));
            }
            for one in authorities {
                builder.add_root_certificate(one);
            }
        }
        if let Some(path) = &settings.cert_file {
            let key = settings.key_file.as_ref().unwrap_or(path);
            builder.identity(identity(path, key)?);
        }
        let connector = builder.build().map_err(|error| TlsError::Settings(format!("TLS: {error}")))?;
        Ok(NativeConnector { connector, verifies })
    }

    /// What went wrong, for people.
    fn failure(&self, error: &native_tls::Error, name: &str) -> TlsError {
        let whose = if self.verifies { format!(" for the name {name}") } else { String::new() };
        TlsError::Handshake(format!("the TLS handshake{whose} failed: {error}"))
    }
}

impl Connector for NativeConnector {
    fn connect(&self, duplex: Duplex, how: &Handshake<'_>) -> Result<Box<dyn Secured>, TlsError> {
        // Neither the server's virtual hosts nor its certificate know the root's dot.
        let name = how.name.trim_end_matches('.');
        let mut step = self.connector.connect(name, Below { duplex, reads: false, peeks: false });
        loop {
            let mut waiting = match step {
                Ok(stream) => return Ok(Box::new(NativeStream { stream, held: 0 })),
                Err(HandshakeError::Failure(error)) => return Err(self.failure(&error, name)),
                Err(HandshakeError::WouldBlock(waiting)) => waiting,
            };
            wait(&mut waiting, how)?;
            step = waiting.handshake();
        }
    }
}

/// Waits a while for the peer.
fn wait(waiting: &mut MidHandshakeTlsStream<Below>, how: &Handshake<'_>) -> Result<(), TlsError> {
    let now = Instant::now();
    if (how.is_given_up)() {
        return Err(TlsError::GivenUp);
    }
    if now >= how.until {
        return Err(TlsError::TimedOut);
    }
    let slice = how.until.min(now + SLICE);
    let below = waiting.get_mut();
    below.duplex.set_deadline(Some(slice));
    if below.reads {
        below.duplex.set_deadline(None);
        // What is wrong with the socket, the handshake will be told by it.
        let _ = below.duplex.wait(None, Some(slice));
    }
    Ok(())
}

/// An encrypted connection.
#[derive(Debug)]
struct NativeStream {
    stream: TlsStream<Below>,
    held: usize,
}

impl Secured for NativeStream {
    fn duplex(&self) -> &Duplex {
        &self.stream.get_ref().duplex
    }

    fn duplex_mut(&mut self) -> &mut Duplex {
        &mut self.stream.get_mut().duplex
    }

    fn try_read(&mut self, into: &mut [u8]) -> io::Result<Option<usize>> {
        self.stream.get_mut().peeks = true;
        let read = self.stream.read(into);
        self.stream.get_mut().peeks = false;
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
                    if !self.stream.get_ref().reads {
                        return Err(error);
                    }
                    // TLS must hear from the peer before it can write; until then there is nothing for the caller to read.
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
        self.stream.buffered_read_size().is_ok_and(|octets| octets > 0)
    }

    fn farewell(&mut self) {
        // Behind a record that is half sent it would be no message of TLS.
        if self.held == 0 {
            self.duplex_mut().set_deadline(Some(Instant::now()));
            let _ = self.stream.shutdown();
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|error| TlsError::Settings(format!("{}: {error}", path.display())))
}

fn unusable(path: &Path, error: &native_tls::Error) -> TlsError {
    TlsError::Settings(format!("{}: {error}", path.display()))
}

/// Our own certificate and its key.
fn identity(certificate: &Path, key: &Path) -> Result<Identity, TlsError> {
    let (chain, pem) = (read(certificate)?, read(key)?);
    // Both may be in one file; the key must be the first thing in what is given on.
    let begin = b"-----BEGIN PRIVATE KEY-----";
    let at = pem.windows(begin.len()).position(|part| part == begin).ok_or_else(|| {
        TlsError::Settings(format!("{}: no key in PKCS#8 (BEGIN PRIVATE KEY) is in it", key.display()))
    })?;
    Identity::from_pkcs8(&chain, &pem[at..]).map_err(|error| unusable(certificate, &error))
}
