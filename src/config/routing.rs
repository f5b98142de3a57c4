//! How the servers of a next hop are found, as values. The finding is `conn`'s, with what `net::dns` has.

use crate::mail::NextHop;
use std::net::SocketAddr;
use std::str::FromStr;

/// Who turns the name of a single host into addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum HostLookup {
    /// The system, so that `/etc/hosts` counts.
    #[default]
    System,
    /// Our own DNS client.
    Dns,
}

impl FromStr for HostLookup {
    type Err = ();

    fn from_str(name: &str) -> Result<HostLookup, ()> {
        match name {
            "system" => Ok(HostLookup::System),
            "dns" => Ok(HostLookup::Dns),
            _ => Err(()),
        }
    }
}

/// Which name servers are asked, and whether they are believed. One DNS client is made for each of these.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct NameServers {
    /// Empty for those of resolv.conf(5).
    pub addresses: Vec<SocketAddr>,
    /// Whether they are believed that an answer is secure (the AD bit, RFC 4035 3.2.3) though they are not on this
    /// machine. Of those in resolv.conf its own `trust-ad` says so. Where DANE is asked for and one is believed, those
    /// that are not are not asked.
    pub trusted: bool,
}

/// Everything that can be set about the way to the servers of one next hop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routing {
    /// Whom to ask.
    pub name_servers: NameServers,
    /// For `[host]`.
    pub host_lookup: HostLookup,
    /// Further names by which this system is the server of mail domains, in lower case.
    pub own_names: Vec<String>,
    /// Whether a server at an address of this machine is this machine.
    pub own_addresses: bool,
    /// Where mail goes when no server of the next hop can be reached.
    pub fallback_relay: Option<NextHop>,
    /// Whether mail domains are asked for their MTA-STS policy (RFC 8461).
    pub mta_sts: bool,
}

impl Default for Routing {
    fn default() -> Routing {
        Routing {
            name_servers: NameServers::default(),
            host_lookup: HostLookup::default(),
            own_names: Vec::new(),
            own_addresses: true,
            fallback_relay: None,
            mta_sts: false,
        }
    }
}
