//! A DNS client with plain blocking sockets, and the way to a mail domain's servers.
//!
//! [`Resolver`] asks name servers that look up names for others; it does not begin at the root and validates nothing
//! by itself. On top of it [`route`](route()) is RFC 5321 section 5.1, for a domain, and [`host`] finds one server by
//! its name. Octets of messages are read and written by the `domain` crate; sockets, patience, order and memory are
//! here. `/etc/hosts`, search lists and mDNS do not count: for those there is [`look_up`](crate::net::look_up), which asks
//! the system.
//!
//! Every wait ends by a moment that the caller gives. No thread is started, nothing is logged.

mod answer;
mod cache;
mod exchange;
mod message;
mod name;
mod on_its_way;
mod resolver;
mod resolvers;
mod route;
mod servers;
mod source;

pub use answer::{Answer, Content, Record, SoftFailure, TEXT, Tlsa, Type};
pub use exchange::Wait;
pub use name::{Name, NameError};
pub use resolver::{Resolver, is_proved_alias, tlsa};
pub use resolvers::Resolvers;
pub use route::{Exchanger, MAX_EXCHANGERS, Own, RouteError, host, route};
pub use servers::{DNS_PORT, MAX_SERVERS, Server, Settings};

/// The most aliases (CNAME) that are followed for one question.
pub const CHAIN: usize = 16;

const RESOLV_CONF: &str = "/etc/resolv.conf";

#[cfg(test)]
mod tests;
