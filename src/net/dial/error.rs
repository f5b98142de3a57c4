//! Why no connection came about: a kind for programs, a sentence for people.
//!
//! Nothing here is a verdict on a message. A caller that wants to treat [`DialErrorKind::NoSuchHost`] as lasting
//! decides that by itself.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Why [`super::dial_addresses`] or [`super::look_up`] has no connection to give. Its text names the host and each address tried.
#[derive(Debug)]
pub struct DialError {
    pub(super) host: String,
    /// None for a UNIX socket, whose path stands for the host.
    pub(super) port: Option<u16>,
    /// What to do about it.
    pub kind: DialErrorKind,
    /// What happened to each address, in the order in which that became known.
    pub attempts: Vec<Attempt>,
}

/// The reasons that a caller can tell apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DialErrorKind {
    /// The resolver says that the name does not exist or has no address; its text.
    NoSuchHost(String),
    /// The resolver could not tell, another time it may; its text.
    ResolverFailed(String),
    /// Every address of the host is excluded: all have been tried in this round.
    Exhausted,
    /// The host has no address of this source address's family.
    NoAddressForSource(IpAddr),
    /// The UNIX socket could not be connected to; what the system said.
    NotConnected(String),
    /// Every attempt failed before the time was over.
    Unreachable,
    /// The budget, which is this long, was over before any address answered.
    TimedOut(Duration),
    /// The wake was signalled. This says nothing about the server.
    Interrupted,
}

/// One address that was tried in vain.
#[derive(Debug)]
pub struct Attempt {
    /// Where to.
    pub address: SocketAddr,
    /// What the system said; `None` when the attempt was given up while it was under way.
    pub error: Option<io::Error>,
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.host.escape_debug();
        let port = self.port.map_or(String::new(), |port| format!(":{port}"));
        for (place, Attempt { address, error }) in self.attempts.iter().enumerate() {
            let separator = if place == 0 { "" } else { "; " };
            write!(f, "{separator}connect to {host}[{}]:{}: ", address.ip(), address.port())?;
            match (error, &self.kind) {
                (Some(error), _) => f.write_str(&without_number(error))?,
                (None, DialErrorKind::TimedOut(budget)) => write!(f, "no answer within {budget:?}")?,
                (None, _) => f.write_str("given up on request")?,
            }
        }
        match &self.kind {
            _ if !self.attempts.is_empty() => Ok(()),
            DialErrorKind::NoSuchHost(text) => write!(f, "no address for {host}: {text}"),
            DialErrorKind::ResolverFailed(text) => write!(f, "cannot look up {host} now: {text}"),
            DialErrorKind::Exhausted => write!(f, "every address of {host} has been tried in this round"),
            DialErrorKind::NoAddressForSource(source) => {
                let family = if source.is_ipv4() { "IPv4" } else { "IPv6" };
                write!(f, "{host} has no {family} address, which the source address {source} needs")
            }
            DialErrorKind::NotConnected(text) => write!(f, "connect to {host}: {text}"),
            DialErrorKind::Unreachable => write!(f, "connect to {host}{port}: impossible"),
            DialErrorKind::TimedOut(budget) => write!(f, "connect to {host}{port}: not within {budget:?}"),
            DialErrorKind::Interrupted => write!(f, "connect to {host}{port}: given up on request"),
        }
    }
}

impl std::error::Error for DialError {}

/// An error's text without Rust's " (os error 111)": the sentence goes to people.
pub(super) fn without_number(error: &io::Error) -> String {
    let text = error.to_string();
    match (error.raw_os_error(), text.rfind(" (os error ")) {
        (Some(_), Some(end)) => text[..end].to_owned(),
        _ => text,
    }
}
