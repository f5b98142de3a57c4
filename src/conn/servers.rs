//! The servers of a next hop, in the order in which they are tried (RFC 5321 5.1).
//!
//! A domain's servers are those of its MX records, best first; a host is its own server, and so is a UNIX socket;
//! behind all destinations of the next hop come those of its fallback relay. Servers that are to be passed are left
//! out. Nothing is looked up before its turn comes. At most [`PER_DESTINATION`] servers of a domain are tried. What
//! each look-up failure means is [`super::policy`]'s.

use super::domain_policy::DomainPolicy;
use super::open::{OpenError, Opener};
use super::pledge::{Asked, Pledge};
use crate::config::{HostLookup, Limits};
use crate::mail::{Destination, SMTP_PORT};
use crate::net::dns::{self, Exchanger, Name, Own, Resolvers, Wait};
use crate::net::mta_sts::Policies;
use crate::net::tls::Connectors;
use crate::net::{Endpoint, Target, host_name, interface_addresses, look_up};
use crate::sync::after;
use std::collections::VecDeque;
use std::net::SocketAddr;

/// Servers of one domain that are tried.
pub const PER_DESTINATION: usize = 5;

/// What all lanes have together for their ways to servers.
#[derive(Debug, Default)]
pub struct Ways {
    /// For encrypted connections.
    pub connectors: Connectors,
    /// For names.
    pub resolvers: Resolvers,
    /// What mail domains say of their servers.
    pub policies: Policies,
}

impl Ways {
    /// With a memory on disk, as the limits say.
    pub fn new(limits: &Limits) -> Ways {
        Ways { policies: Policies::new(limits.mta_sts_directory.clone()), ..Ways::default() }
    }
}

/// A server to be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// The name that its MX record or the next hop has for it, or its address.
    pub name: String,
    /// At least one, in no order that counts but that of the families. A UNIX socket is alone.
    pub addresses: Vec<Endpoint>,
    /// What DNS says of it; `None` when the system was asked.
    pub exchanger: Option<Exchanger>,
    /// What DNSSEC or its domain's policy say of its encryption, where they are asked.
    pub pledge: Pledge,
    /// Whose it is.
    pub owner: Owner,
    /// No other comes behind it.
    pub is_last: bool,
}

/// The destination that a server was found for: what the administrator wrote, whatever DNS has made of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Owner {
    /// The host or the mail domain, without port; empty for a UNIX socket.
    pub name: String,
    /// As the next hop, or the fallback relay, has it.
    pub written: String,
    /// It is the fallback relay's: what the settings say of the next hop's own servers, `protocol` and `tls_name`, is
    /// not said of it.
    pub is_relay: bool,
}

impl Server {
    /// `host:port`, or `unix:/path`, by which it is told from the others of a next hop.
    pub fn label(&self) -> String {
        match self.addresses.first() {
            Some(Endpoint::Tcp(address)) => format!("{}:{}", self.name, address.port()),
            Some(Endpoint::Unix(_)) | None => self.name.clone(),
        }
    }

    /// `host[address]:port`, or `unix:/path`, for people.
    pub fn at(&self, endpoint: &Endpoint) -> String {
        if endpoint.is_local() { endpoint.to_string() } else { format!("{}{endpoint}", self.name) }
    }
}

/// A destination as it is written, and whether it is one of the fallback relay's.
type Owned<'a> = (&'a str, &'a Destination, bool);

/// Finds them one after the other. An error is of one destination; others may follow.
pub struct Servers<'a> {
    opener: &'a Opener,
    ways: &'a Ways,
    destinations: VecDeque<Owned<'a>>,
    found: VecDeque<Server>,
    /// The mail domain whose they are, if it is one.
    domain: Option<Name>,
    /// That domain's policy.
    policy: Option<DomainPolicy>,
}

impl<'a> Servers<'a> {
    /// Those of the opener's next hop.
    pub fn of(opener: &'a Opener, ways: &'a Ways) -> Servers<'a> {
        let fallback = opener.settings.routing.fallback_relay.as_ref().filter(|relay| **relay != opener.next_hop);
        let relays = fallback.into_iter().flat_map(|relay| relay.written()).map(|(text, relay)| (text, relay, true));
        let own = opener.next_hop.written().map(|(text, destination)| (text, destination, false));
        let destinations = own.chain(relays).collect();
        Servers { opener, ways, destinations, found: VecDeque::new(), domain: None, policy: None }
    }

    fn look_up(&self, destination: &Destination) -> Result<Vec<Server>, OpenError> {
        match destination {
            Destination::Domain { name, port } => self.of_domain(name, *port),
            Destination::Host { name, port } if self.asks_dns(name) => {
                let exchanger = dns::host(&self.resolver(), name, &self.wait())?;
                Ok(vec![known(exchanger, *port)])
            }
            Destination::Host { name, port } => {
                let addresses = look_up(&Target { host: name, port: *port }, Some(&self.opener.halt))?;
                Ok(vec![asked_for(name.clone(), addresses.into_iter().map(Endpoint::Tcp).collect())])
            }
            Destination::Socket(path) => {
                Ok(vec![asked_for(destination.to_string(), vec![Endpoint::from(path.as_path())])])
            }
        }
    }

    /// An address needs no look-up; one of IPv6 is no name at all. What the system says, DNSSEC proves nothing of.
    fn asks_dns(&self, host: &str) -> bool {
        let settings = &self.opener.settings;
        (settings.routing.host_lookup == HostLookup::Dns || settings.tls.policy.is_dane()) && !host.contains(':')
    }

    /// The server with what DNSSEC and its domain's policy say of it.
    fn pledged(&self, server: Server) -> Result<Server, OpenError> {
        let pledge = self.proved(&server)?;
        let pledge = match (&self.policy, &server.exchanger) {
            (Some(policy), Some(exchanger)) => policy.applied(&exchanger.name, pledge)?,
            _ => pledge,
        };
        Ok(Server { pledge, ..server })
    }

    /// What DNSSEC says of it.
    fn proved(&self, server: &Server) -> Result<Pledge, OpenError> {
        let policy = self.opener.settings.tls.policy;
        if !policy.is_dane() {
            return Ok(Pledge::None);
        }
        let asked = Asked {
            policy,
            server: &server.name,
            port: server.addresses.first().and_then(Endpoint::tcp).map_or(0, |address| address.port()),
            exchanger: server.exchanger.as_ref(),
            domain: self.domain.as_ref(),
        };
        asked.pledge(&self.resolver(), &self.wait())
    }

    fn of_domain(&self, domain: &str, port: u16) -> Result<Vec<Server>, OpenError> {
        // On another port this system is not what mail for a domain comes to.
        let own = if port == SMTP_PORT { self.own() } else { Own::default() };
        let exchangers = self.wanted(dns::route(&self.resolver(), domain, &own, &self.wait())?)?;
        Ok(exchangers.into_iter().take(PER_DESTINATION).map(|exchanger| known(exchanger, port)).collect())
    }

    /// Those that the domain's policy names, where it is enforced. With DANE each is asked for its own TLSA records.
    fn wanted(&self, mut exchangers: Vec<Exchanger>) -> Result<Vec<Exchanger>, OpenError> {
        let enforced = self.policy.as_ref().filter(|policy| policy.is_enforced());
        if let Some(policy) = enforced.filter(|_| !self.opener.settings.tls.policy.is_dane()) {
            let best = exchangers.first().map(|exchanger| policy.refusal(exchanger.name.as_str()));
            exchangers.retain(|exchanger| policy.names(&exchanger.name));
            if let (true, Some(error)) = (exchangers.is_empty(), best) {
                return Err(error);
            }
        }
        Ok(exchangers)
    }

    fn own(&self) -> Own {
        let settings = &self.opener.settings;
        let names = settings.routing.own_names.iter().chain(&settings.helo_name).map(String::as_str);
        let names = names.chain([host_name().as_str()]).filter_map(|name| Name::parse(name).ok()).collect();
        // Without the list there are still those that nobody else can have.
        let addresses = settings.routing.own_addresses.then(|| interface_addresses().unwrap_or_default());
        Own { names, addresses }
    }

    fn resolver(&self) -> std::sync::Arc<dns::Resolver> {
        let settings = &self.opener.settings;
        self.ways.resolvers.get(&settings.routing.name_servers, settings.tls.policy.is_dane())
    }

    fn wait(&self) -> Wait<'_> {
        Wait { until: after(self.opener.settings.timeouts.connect), wake: Some(&self.opener.halt) }
    }
}

fn owner(written: &str, destination: &Destination, is_relay: bool) -> Owner {
    let name = match destination {
        Destination::Domain { name, .. } | Destination::Host { name, .. } => name.clone(),
        Destination::Socket(_) => String::new(),
    };
    Owner { name, written: written.to_owned(), is_relay }
}

/// One that DNS says nothing of.
fn asked_for(name: String, addresses: Vec<Endpoint>) -> Server {
    Server { name, addresses, exchanger: None, pledge: Pledge::None, owner: Owner::default(), is_last: true }
}

fn known(exchanger: Exchanger, port: u16) -> Server {
    Server {
        name: exchanger.name.as_str().to_owned(),
        addresses: exchanger.addresses.iter().map(|address| SocketAddr::new(*address, port).into()).collect(),
        exchanger: Some(exchanger),
        pledge: Pledge::None,
        owner: Owner::default(),
        is_last: true,
    }
}

impl Iterator for Servers<'_> {
    type Item = Result<Server, OpenError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(server) = self.found.pop_front() {
                let is_last = self.found.is_empty() && self.destinations.is_empty();
                return Some(self.pledged(Server { is_last, ..server }));
            }
            let (written, destination, is_relay) = self.destinations.pop_front()?;
            self.domain = match destination {
                Destination::Domain { name, .. } => Name::parse(name).ok(),
                _ => None,
            };
            let of_domain = |domain: &Name| DomainPolicy::find(self.opener, self.ways, &self.resolver(), domain);
            self.policy = self.domain.as_ref().and_then(of_domain);
            match self.look_up(destination) {
                Ok(mut servers) => {
                    servers.retain(|server| !self.opener.passed.contains(&server.label()));
                    servers.iter_mut().for_each(|server| server.owner = owner(written, destination, is_relay));
                    self.found = servers.into();
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
