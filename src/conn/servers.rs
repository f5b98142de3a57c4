//! The servers of a next hop, in the order in which they are tried (RFC 5321 5.1).
//!
//! A domain's servers are those of its MX records, best first; a host is its own server; behind all destinations of the
//! next hop come those of its fallback relay. Servers that are to be passed are left out. Nothing is looked up before its turn comes. At most [`PER_DESTINATION`]
//! servers of a domain are tried. What each look-up failure means is [`super::policy`]'s.

use super::open::{OpenError, Opener};
use crate::config::HostLookup;
use crate::mail::{Destination, SMTP_PORT};
use crate::net::dns::{self, Exchanger, Name, Resolvers, Wait};
use crate::net::{Target, host_name, look_up};
use crate::sync::after;
use std::collections::VecDeque;
use std::net::SocketAddr;

/// Servers of one domain that are tried.
pub const PER_DESTINATION: usize = 5;

/// A server to be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// The name that its MX record or the next hop has for it, or its address.
    pub name: String,
    /// At least one, in no order that counts but that of the families.
    pub addresses: Vec<SocketAddr>,
    /// What DNS says of it; `None` when the system was asked.
    pub exchanger: Option<Exchanger>,
    /// No other comes behind it.
    pub is_last: bool,
}

impl Server {
    /// `host:port`, by which it is told from the others of a next hop.
    pub fn label(&self) -> String {
        let port = self.addresses.first().map_or(0, SocketAddr::port);
        format!("{}:{port}", self.name)
    }
}

/// Finds them one after the other. An error is of one destination; others may follow.
pub struct Servers<'a> {
    opener: &'a Opener,
    resolvers: &'a Resolvers,
    destinations: VecDeque<&'a Destination>,
    found: VecDeque<Server>,
}

impl<'a> Servers<'a> {
    /// Those of the opener's next hop.
    pub fn of(opener: &'a Opener, resolvers: &'a Resolvers) -> Servers<'a> {
        let fallback = opener.settings.routing.fallback_relay.as_ref().filter(|relay| **relay != opener.next_hop);
        let relays = fallback.into_iter().flat_map(|relay| relay.destinations());
        let destinations = opener.next_hop.destinations().iter().chain(relays).collect();
        Servers { opener, resolvers, destinations, found: VecDeque::new() }
    }

    fn look_up(&self, destination: &Destination) -> Result<Vec<Server>, OpenError> {
        match destination {
            Destination::Domain { name, port } => self.of_domain(name, *port),
            Destination::Host { name, port } if self.asks_dns(name) => {
                let exchanger = dns::host(&self.resolver(), name, &self.wait())?;
                Ok(vec![known(exchanger, *port)])
            }
            Destination::Host { name, port } => {
                let addresses = look_up(&Target { host: name, port: *port })?;
                Ok(vec![Server { name: name.clone(), addresses, exchanger: None, is_last: true }])
            }
            Destination::Socket(_) => Err(OpenError::Broken {
                server: destination.to_string(),
                text: "UNIX sockets are not connected to".into(),
            }),
        }
    }

    /// An address needs no look-up; one of IPv6 is no name at all.
    fn asks_dns(&self, host: &str) -> bool {
        self.opener.settings.routing.host_lookup == HostLookup::Dns && !host.contains(':')
    }

    fn of_domain(&self, domain: &str, port: u16) -> Result<Vec<Server>, OpenError> {
        // On another port this system is not what mail for a domain comes to.
        let own = if port == SMTP_PORT { self.own_names() } else { Vec::new() };
        let exchangers = dns::route(&self.resolver(), domain, &own, &self.wait())?;
        Ok(exchangers.into_iter().take(PER_DESTINATION).map(|exchanger| known(exchanger, port)).collect())
    }

    fn own_names(&self) -> Vec<Name> {
        let settings = &self.opener.settings;
        let own = settings.routing.own_names.iter().chain(&settings.helo_name).map(String::as_str);
        own.chain([host_name().as_str()]).filter_map(|name| Name::parse(name).ok()).collect()
    }

    fn resolver(&self) -> std::sync::Arc<dns::Resolver> {
        self.resolvers.get(&self.opener.settings.routing.name_servers)
    }

    fn wait(&self) -> Wait<'_> {
        Wait { until: after(self.opener.settings.timeouts.connect), wake: Some(&self.opener.halt) }
    }
}

fn known(exchanger: Exchanger, port: u16) -> Server {
    Server {
        name: exchanger.name.as_str().to_owned(),
        addresses: exchanger.addresses.iter().map(|address| SocketAddr::new(*address, port)).collect(),
        exchanger: Some(exchanger),
        is_last: true,
    }
}

impl Iterator for Servers<'_> {
    type Item = Result<Server, OpenError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(server) = self.found.pop_front() {
                let is_last = self.found.is_empty() && self.destinations.is_empty();
                return Some(Ok(Server { is_last, ..server }));
            }
            let destination = self.destinations.pop_front()?;
            match self.look_up(destination) {
                Ok(mut servers) => {
                    servers.retain(|server| !self.opener.passed.contains(&server.label()));
                    self.found = servers.into();
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
