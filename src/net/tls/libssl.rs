//! TLS by the crate openssl: the system's OpenSSL with all that it can do.
//!
//! Beyond [`super::native`] it resumes sessions, verifies by TLSA records, and tells what was agreed on. TLSA records
//! are looked at behind the handshake and anew for each connection, resumed or not; until then nothing is read or
//! written. A handshake that fails with a session offered forgets all sessions with that server and says
//! [`TlsError::Session`], so that it can be made again without.

use super::below::{Above, Below, Encrypted};
use super::sessions::{Peer, Sessions};
use super::vouching::{nothing, vouched};
use super::{Agreed, Connector, Handshake, Secured, TlsError, Vouched, files};
use crate::config::{TlsPolicy, TlsSettings, TlsVersion};
use crate::net::Duplex;
use crate::net::sys::sessions::{Session, remember};
use openssl::error::ErrorStack;
use openssl::ex_data::Index;
use openssl::pkey::PKey;
use openssl::ssl::{HandshakeError, MidHandshakeSslStream, Ssl, SslConnector, SslConnectorBuilder, SslMethod};
use openssl::ssl::{SslRef, SslStream, SslVerifyMode, SslVersion};
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::{X509, X509VerifyResult};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// Sessions of all connectors.
pub(super) type Kept = Arc<Sessions<Session>>;

/// What a connection's sessions are kept under, and since when its certificate is trusted if it is a resumed one.
#[derive(Debug, Clone)]
struct Origin {
    peer: Peer,
    since: Option<Instant>,
}

/// Makes connections of one kind.
pub(super) struct OpensslConnector {
    connector: SslConnector,
    verifies: bool,
    number: u64,
    origin: Index<Ssl, Origin>,
    kept: Kept,
}

/// Where each connection has its [`Origin`]: one place for all, since OpenSSL never takes one back.
fn origin() -> Result<Index<Ssl, Origin>, ErrorStack> {
    static PLACE: OnceLock<Index<Ssl, Origin>> = OnceLock::new();
    match PLACE.get() {
        Some(place) => Ok(*place),
        None => Ssl::new_ex_index().map(|made| *PLACE.get_or_init(|| made)),
    }
}

impl fmt::Debug for OpensslConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpensslConnector").field("verifies", &self.verifies).field("number", &self.number).finish()
    }
}

impl OpensslConnector {
    pub fn new(settings: &TlsSettings, kept: &Kept) -> Result<OpensslConnector, TlsError> {
        let broken = |error: ErrorStack| TlsError::Settings(format!("TLS: {error}"));
        let verifies = settings.policy == TlsPolicy::Verify;
        let mut builder = SslConnector::builder(SslMethod::tls_client()).map_err(broken)?;
        let minimum = match settings.minimum {
            TlsVersion::V12 => SslVersion::TLS1_2,
            TlsVersion::V13 => SslVersion::TLS1_3,
        };
        builder.set_min_proto_version(Some(minimum)).map_err(broken)?;
        match &settings.ca_file {
            _ if !verifies => builder.set_verify(SslVerifyMode::NONE),
            Some(path) => trust(&mut builder, path)?,
            None => {}
        }
        if let Some(path) = &settings.cert_file {
            identity(&mut builder, path, settings.key_file.as_ref().unwrap_or(path))?;
        }
        let origin = origin().map_err(broken)?;
        let keeper = Arc::clone(kept);
        let number = remember(&mut builder, move |ssl, session| keep(&keeper, ssl, origin, session)).map_err(broken)?;
        Ok(OpensslConnector { connector: builder.build(), verifies, number, origin, kept: Arc::clone(kept) })
    }

    /// A connection before its handshake, and whether a session is offered in it.
    fn configured(&self, peer: &Peer) -> Result<(Ssl, Option<(Session, Instant)>), ErrorStack> {
        let configuration = self.connector.configure()?.verify_hostname(self.verifies);
        let mut ssl = configuration.into_ssl(&peer.name)?;
        let offered = self.kept.take(peer, Instant::now()).filter(|(session, _)| session.offer(&mut ssl));
        let since = offered.as_ref().map(|(_, since)| *since);
        ssl.set_ex_data(self.origin, Origin { peer: peer.clone(), since });
        Ok((ssl, offered))
    }

    fn handshake(&self, ssl: Ssl, duplex: Duplex, how: &Handshake<'_>) -> Result<SslStream<Below>, TlsError> {
        let mut step = ssl.connect(Below::new(duplex));
        loop {
            let mut waiting = match step {
                Ok(stream) => return Ok(stream),
                Err(HandshakeError::SetupFailure(error)) => return Err(self.failed(how, &error.to_string())),
                Err(HandshakeError::Failure(failed)) => return Err(self.failed(how, &self.reason(&failed))),
                Err(HandshakeError::WouldBlock(waiting)) => waiting,
            };
            waiting.get_mut().wait(how)?;
            step = waiting.handshake();
        }
    }

    /// Who vouches for the peer of a handshake that was made.
    fn vouched(&self, ssl: &SslRef, how: &Handshake<'_>) -> Result<Vouched, TlsError> {
        let Some(dane) = how.dane else {
            return Ok(if self.verifies { Vouched::Authority } else { Vouched::Nobody });
        };
        let server = ssl.peer_certificate().ok_or_else(|| self.failed(how, "the server shows no certificate"))?;
        let level = ssl.security_level();
        let found = match ssl.peer_cert_chain() {
            Some(chain) => vouched(dane, &server, chain, level),
            None => {
                nothing().map_err(|error| error.to_string()).and_then(|chain| vouched(dane, &server, &chain, level))
            }
        };
        found.map(Vouched::Dane).map_err(|why| self.failed(how, &why))
    }

    /// Why a handshake failed: what is wrong with the certificate, if that is it. OpenSSL looks at it also where any will do.
    fn reason(&self, failed: &MidHandshakeSslStream<Below>) -> String {
        match failed.ssl().verify_result() {
            wrong if self.verifies && wrong != X509VerifyResult::OK => {
                format!("certificate verify failed: {}", wrong.error_string())
            }
            _ => failed.error().to_string(),
        }
    }

    /// What went wrong, for people.
    fn failed(&self, how: &Handshake<'_>, why: &str) -> TlsError {
        let is_named = self.verifies || how.dane.is_some();
        let whose = if is_named { format!(" for the name {}", how.name) } else { String::new() };
        TlsError::Handshake(format!("the TLS handshake{whose} failed: {why}"))
    }

    /// A session of TLS 1.2 may be used again, where the server has not given another one in its place.
    fn put_back(&self, ssl: &SslRef, peer: Peer, offered: Option<(Session, Instant)>) {
        if let Some((session, since)) = offered
            && ssl.session_reused()
            && ssl.version2() == Some(SslVersion::TLS1_2)
            && !self.kept.has(&peer)
        {
            self.kept.put(peer, session, since);
        }
    }
}

impl Connector for OpensslConnector {
    fn connect(&self, duplex: Duplex, how: &Handshake<'_>) -> Result<Box<dyn Secured>, TlsError> {
        // Neither the server's virtual hosts nor its certificate know the root's dot.
        let name = how.name.trim_end_matches('.').to_owned();
        let peer = Peer { connector: self.number, server: how.server.clone(), name };
        let (ssl, offered) = self.configured(&peer).map_err(|error| self.failed(how, &error.to_string()))?;
        let made = self.handshake(ssl, duplex, how).and_then(|stream| {
            let vouched = self.vouched(stream.ssl(), how)?;
            Ok((stream, vouched))
        });
        match made {
            Ok((stream, vouched)) => {
                self.put_back(stream.ssl(), peer, offered);
                let agreed = agreed(stream.ssl(), vouched);
                Ok(Box::new(Encrypted::new(stream, agreed)))
            }
            Err(error) => {
                self.kept.forget(&peer);
                Err(match error {
                    TlsError::Handshake(text) if offered.is_some() => TlsError::Session(text),
                    error => error,
                })
            }
        }
    }
}

/// A session that the server has given.
fn keep(kept: &Sessions<Session>, ssl: &SslRef, index: Index<Ssl, Origin>, session: Session) {
    if let Some(Origin { peer, since }) = ssl.ex_data(index).cloned() {
        let since = since.filter(|_| ssl.session_reused()).unwrap_or_else(Instant::now);
        kept.put(peer, session, since);
    }
}

impl Above for SslStream<Below> {
    fn below(&self) -> &Below {
        self.get_ref()
    }

    fn below_mut(&mut self) -> &mut Below {
        self.get_mut()
    }

    fn has_decrypted(&self) -> bool {
        self.ssl().pending() > 0
    }

    fn shut_down(&mut self) {
        let _ = self.shutdown();
    }
}

fn agreed(ssl: &SslRef, vouched: Vouched) -> Agreed {
    let cipher = ssl.current_cipher().map(|cipher| cipher.standard_name().unwrap_or_else(|| cipher.name()));
    Agreed { version: Some(ssl.version_str()), cipher, resumed: ssl.session_reused(), vouched }
}

fn unusable(path: &Path, error: &ErrorStack) -> TlsError {
    TlsError::Settings(format!("{}: {error}", path.display()))
}

/// Trusts these authorities instead of the system's.
fn trust(builder: &mut SslConnectorBuilder, path: &Path) -> Result<(), TlsError> {
    let wrong = |error: ErrorStack| unusable(path, &error);
    let authorities = X509::stack_from_pem(&files::read(path)?).map_err(wrong)?;
    if authorities.is_empty() {
        return Err(TlsError::Settings(format!("{}: no certificate in PEM is in it", path.display())));
    }
    let mut store = X509StoreBuilder::new().map_err(wrong)?;
    for one in authorities {
        store.add_cert(one).map_err(wrong)?;
    }
    builder.set_cert_store(store.build());
    Ok(())
}

/// Our own certificate and its key.
fn identity(builder: &mut SslConnectorBuilder, certificate: &Path, key: &Path) -> Result<(), TlsError> {
    let wrong = |error: ErrorStack| unusable(certificate, &error);
    let (chain, pem) = (files::read(certificate)?, files::key(key)?);
    let mut chain = X509::stack_from_pem(&chain).map_err(wrong)?.into_iter();
    let own = chain
        .next()
        .ok_or_else(|| TlsError::Settings(format!("{}: no certificate in PEM is in it", certificate.display())))?;
    builder.set_certificate(&own).map_err(wrong)?;
    for one in chain {
        builder.add_extra_chain_cert(one).map_err(wrong)?;
    }
    let key_of = |error: ErrorStack| unusable(key, &error);
    let own_key = PKey::private_key_from_pem(&pem).map_err(key_of)?;
    builder.set_private_key(&own_key).map_err(key_of)
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_connector_has_the_same_place() {
        let place = || super::origin().expect("a place").as_raw();
        assert_eq!(place(), place());
    }
}
