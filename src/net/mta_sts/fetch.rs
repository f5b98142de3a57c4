//! Fetching a policy: `https://mta-sts.DOMAIN/.well-known/mta-sts.txt` (RFC 8461 section 3.3).
//!
//! Promises: the certificate must be valid for that name, whatever else is trusted elsewhere; nothing but a 200 of type
//! text/plain is a policy, whole by what the response itself says of its length, and no redirect is followed; no more
//! than [`POLICY`] octets are read. It all ends at one
//! moment, or when the wake is signalled. No proxy is used and nothing is remembered.

use super::policy::{BadPolicy, POLICY, Policy};
use super::transport::{BUFFER, Given, GivenAddress};
use crate::config::{TlsPolicy, TlsSettings};
use crate::net::dns::{self, Name, Resolver, RouteError, Wait};
use crate::net::tls::{Connectors, Handshake, Stream, TlsError};
use crate::net::{DialError, DialOptions, Duplex, Target, Wake, dial_addresses};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;
use thiserror::Error;
use ureq::Agent;
use ureq::http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use ureq::http::{HeaderMap, StatusCode, Version};

/// The port of HTTPS.
pub const HTTPS_PORT: u16 = 443;

/// Everything that fetching takes, but for whose policy.
pub struct Errand<'a> {
    /// Finds the record, and the host that has the policy.
    pub resolver: &'a Resolver,
    /// For TLS.
    pub connectors: &'a Connectors,
    /// Whose authorities and oldest version of TLS hold; all else in here does not.
    pub tls: &'a TlsSettings,
    /// Where connections come from.
    pub source_address: Option<IpAddr>,
    /// How long all of it may take.
    pub wait: Wait<'a>,
}

impl Errand<'_> {
    /// Whether its wake is signalled.
    pub(super) fn is_stopped(&self) -> bool {
        self.wait.wake.is_some_and(Wake::is_signalled)
    }
}

/// Why there is no policy to be had. For people.
#[derive(Debug, Error)]
pub enum FetchError {
    /// The domain's name leaves no place for `mta-sts.`.
    #[error("its name is too long")]
    Name,
    /// The host cannot be found.
    #[error("{0}")]
    Route(#[from] RouteError),
    /// No connection.
    #[error("{0}")]
    Dial(#[from] DialError),
    /// The socket fails.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// No TLS, or no valid certificate.
    #[error("{0}")]
    Tls(#[from] TlsError),
    /// It does not speak HTTP as it should.
    #[error("{0}")]
    Http(#[from] ureq::Error),
    /// It has no policy there.
    #[error("the server answers {0}")]
    Status(StatusCode),
    /// It could have been cut.
    #[error("the server does not tell how long it is")]
    NoLength,
    /// It is a page.
    #[error("it is not of type text/plain but {0:?}")]
    Type(String),
    /// It is no policy.
    #[error("it is no policy: {0}")]
    Policy(#[from] BadPolicy),
}

/// Fetches the policy of a domain. `port` is [`HTTPS_PORT`], but in tests.
pub fn fetch(domain: &Name, port: u16, errand: &Errand<'_>) -> Result<Policy, FetchError> {
    let host = domain.below("mta-sts").ok_or(FetchError::Name)?;
    let (stream, address) = connect(&host, port, errand)?;
    let port = if port == HTTPS_PORT { String::new() } else { format!(":{port}") };
    let agent = Agent::with_parts(config(), Given::new(stream, errand), GivenAddress(address));
    let mut response = agent.get(format!("https://{host}{port}/.well-known/mta-sts.txt")).call()?;
    if response.status() != StatusCode::OK {
        return Err(FetchError::Status(response.status()));
    }
    if !has_length(response.version(), response.headers()) {
        return Err(FetchError::NoLength);
    }
    let body = response.body_mut();
    match body.mime_type() {
        Some(kind) if kind.eq_ignore_ascii_case("text/plain") => {}
        kind => return Err(FetchError::Type(kind.unwrap_or_default().chars().take(80).collect())),
    }
    let octets = body.with_config().limit(POLICY as u64).read_to_vec()?;
    Ok(Policy::parse(&octets)?)
}

/// Whether it shows where the body ends. One that lasts as long as the connection could be cut by anybody on the way,
/// for not all of TLS tells a cut from an end; half a policy may be another one.
fn has_length(version: Version, headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => headers.contains_key(CONTENT_LENGTH),
        // Before HTTP/1.1 there were no chunks, and another coding shows no end (RFC 9112 section 6.3).
        (Some(only), None) => version == Version::HTTP_11 && only.as_bytes().eq_ignore_ascii_case(b"chunked"),
        (Some(_), Some(_)) => false,
    }
}

fn config() -> ureq::config::Config {
    let config = Agent::config_builder().https_only(true).proxy(None).max_redirects(0).http_status_as_error(false);
    let config = config.max_response_header_size(BUFFER).max_idle_connections(0);
    config.user_agent("pipelane").accept("text/plain").build()
}

/// An encrypted connection with the host, whose certificate is valid.
fn connect(host: &Name, port: u16, errand: &Errand<'_>) -> Result<(Stream, SocketAddr), FetchError> {
    let wait = &errand.wait;
    let found = dns::host(errand.resolver, host.as_str(), wait)?;
    let addresses = found.addresses.iter().map(|address| SocketAddr::new(*address, port)).collect();
    let target = Target { host: host.as_str(), port };
    let budget = wait.until.saturating_duration_since(Instant::now());
    let options = DialOptions { source_address: errand.source_address, wake: wait.wake, ..DialOptions::new(budget) };
    let dialled = dial_addresses(&target, addresses, &options)?;
    let tls = TlsSettings {
        policy: TlsPolicy::Verify,
        ca_file: errand.tls.ca_file.clone(),
        minimum: errand.tls.minimum,
        library: errand.tls.library,
        ..TlsSettings::default()
    };
    let is_given_up = || errand.is_stopped();
    let server = dialled.address.into();
    let how = Handshake { name: host.as_str(), server, dane: None, until: wait.until, is_given_up: &is_given_up };
    let clear = Stream::Clear(Duplex::new(dialled.stream)?);
    let secured = clear.secured(&*errand.connectors.get(&tls)?, &how)?;
    Ok((secured, dialled.address))
}
