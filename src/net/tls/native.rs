//! TLS by the crate native-tls: what the system has of its own, which is OpenSSL on most.
//!
//! It makes a handshake and no more: sessions are not resumed, TLSA records cannot be verified, and nobody tells what
//! was agreed on.

use super::below::{Above, Below, Encrypted};
use super::{Agreed, Connector, Handshake, Secured, TlsError, Vouched, files};
use crate::config::{TlsPolicy, TlsSettings, TlsVersion};
use crate::net::Duplex;
use native_tls::{Certificate, HandshakeError, Identity, Protocol, TlsConnector, TlsStream};
use std::path::Path;

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
            let authorities =
                Certificate::stack_from_pem(&files::read(path)?).map_err(|error| unusable(path, &error))?;
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

    /// All that this library tells.
    fn agreed(&self) -> Agreed {
        let vouched = if self.verifies { Vouched::Authority } else { Vouched::Nobody };
        Agreed { version: None, cipher: None, resumed: false, vouched }
    }

    /// What went wrong, for people.
    fn failure(&self, error: &native_tls::Error, name: &str) -> TlsError {
        let whose = if self.verifies { format!(" for the name {name}") } else { String::new() };
        TlsError::Handshake(format!("the TLS handshake{whose} failed: {error}"))
    }
}

impl Connector for NativeConnector {
    fn connect(&self, duplex: Duplex, how: &Handshake<'_>) -> Result<Box<dyn Secured>, TlsError> {
        if how.dane.is_some() {
            return Err(TlsError::Settings("tls_library = \"native\" cannot verify by TLSA records".into()));
        }
        // Neither the server's virtual hosts nor its certificate know the root's dot.
        let name = how.name.trim_end_matches('.');
        let mut step = self.connector.connect(name, Below::new(duplex));
        loop {
            let mut waiting = match step {
                Ok(stream) => return Ok(Box::new(Encrypted::new(stream, self.agreed()))),
                Err(HandshakeError::Failure(error)) => return Err(self.failure(&error, name)),
                Err(HandshakeError::WouldBlock(waiting)) => waiting,
            };
            waiting.get_mut().wait(how)?;
            step = waiting.handshake();
        }
    }
}

impl Above for TlsStream<Below> {
    fn below(&self) -> &Below {
        self.get_ref()
    }

    fn below_mut(&mut self) -> &mut Below {
        self.get_mut()
    }

    fn has_decrypted(&self) -> bool {
        self.buffered_read_size().is_ok_and(|octets| octets > 0)
    }

    fn shut_down(&mut self) {
        let _ = self.shutdown();
    }
}

fn unusable(path: &Path, error: &native_tls::Error) -> TlsError {
    TlsError::Settings(format!("{}: {error}", path.display()))
}

/// Our own certificate and its key.
fn identity(certificate: &Path, key: &Path) -> Result<Identity, TlsError> {
    let (chain, pem) = (files::read(certificate)?, files::key(key)?);
    Identity::from_pkcs8(&chain, &pem).map_err(|error| unusable(certificate, &error))
}
