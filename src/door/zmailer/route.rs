//! From the host field of a recipient to the next hop, by the options of the command line. Pure.
//!
//! ZMailer has decided the routing by then: the host is a name (with MX unless `-x`), an address, an address literal,
//! or a list of such. `-F` puts one destination in the place of all; `-p` is the port of whatever has none.

use super::words;
use crate::mail::NextHop;
use crate::mail::next_hop::{MAX_DESTINATIONS, NextHopError};
use std::net::IpAddr;

/// How hosts become next hops.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Route {
    /// `-F`: where everything goes.
    pub force: Option<NextHop>,
    /// `-p`
    pub port: Option<u16>,
    /// `-x`: hosts are hosts, and not mail domains.
    pub no_mx: bool,
}

impl Route {
    /// The next hop of a host field; an error says why there is none.
    pub fn next_hop(&self, host: &str) -> Result<NextHop, String> {
        if let Some(force) = &self.force {
            return Ok(force.clone());
        }
        // More than a next hop can have would not be tried in the end either.
        let members = words::hosts(host).into_iter().take(MAX_DESTINATIONS);
        let members: Vec<String> = members.map(|member| self.member(member)).collect();
        members.join(",").parse().map_err(|error: NextHopError| error.to_string())
    }

    /// One host of the field as a next hop is written.
    pub fn member(&self, host: &str) -> String {
        let bracketed = host.starts_with('[');
        let is_address = host.parse::<IpAddr>().is_ok();
        let host = match !bracketed && (self.no_mx || is_address) {
            true => format!("[{host}]"),
            false => host.to_owned(),
        };
        match self.port {
            Some(port) => format!("{host}:{port}"),
            None => host,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_options() {
        let plain = Route::default();
        let port = Route { port: Some(2525), ..Route::default() };
        let no_mx = Route { no_mx: true, ..port.clone() };
        let force = Route { force: Some("[192.0.2.1]:26".parse().expect("good")), ..no_mx.clone() };
        for (route, host, next_hop) in [
            (&plain, "b.test", "b.test"),
            (&plain, "[1.2.3.4]", "[1.2.3.4]"),
            (&plain, "1.2.3.4", "[1.2.3.4]"),
            (&plain, "[IPv6:::1]", "[ipv6:::1]"),
            (&port, "b.test", "b.test:2525"),
            (&port, "[1.2.3.4]", "[1.2.3.4]:2525"),
            (&no_mx, "b.test", "[b.test]:2525"),
            (&no_mx, "[1.2.3.4]", "[1.2.3.4]:2525"),
            (&force, "b.test", "[192.0.2.1]:26"),
        ] {
            assert_eq!(route.next_hop(host).expect(host).as_str(), next_hop, "{host}");
        }
        let list = no_mx.next_hop("((mx1.b)(mx2 mx3))").expect("good");
        assert_eq!(list.as_str(), "[mx1.b]:2525,[mx2]:2525,[mx3]:2525");
        let long = format!("({})", "(mx) ".repeat(50));
        assert_eq!(plain.next_hop(&long).expect("the first of them").destinations().len(), MAX_DESTINATIONS);
        for host in ["", "()", "a b", "\"x\"", "a/b", "../x"] {
            assert!(plain.next_hop(host).is_err(), "{host}");
        }
    }
}
