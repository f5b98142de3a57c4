//! Where a run takes place: a real Postfix that throws away what it gets, at the far end of an emulated link or on
//! loopback.
//!
//! A world is made for one run and ends with it, so that no run finds warm connections or full queues of another.

use crate::machine;
use crate::postfix::{Postfix, Setup};
use pipelane_link::{DEVICE, Direction, Link, LinkOptions, Tally};
use std::process::Stdio;
use std::time::Duration;

/// A packet later than this tells of a machine that stood still or was too busy: the run is told of.
const LATE: Duration = Duration::from_millis(20);

/// How far away the server is.
#[derive(Debug, Clone, Copy)]
pub enum Distance {
    /// On this host's loopback interface.
    Loopback,
    /// At the end of a link with this round trip, rate in bit/s and queue in octets.
    Link(u64, Option<u64>, u64),
}

impl Distance {
    /// A round trip of so many milliseconds, without a limit of rate.
    pub const fn trip(milliseconds: u64) -> Distance {
        Distance::Link(milliseconds, None, 0)
    }

    fn options(self) -> Option<LinkOptions> {
        let Distance::Link(trip, rate, queue) = self else { return None };
        Some(LinkOptions::symmetric(Duration::from_millis(trip) / 2, Direction { rate, queue }))
    }
}

/// A server and the way to it.
#[derive(Debug)]
pub struct World {
    /// The server.
    pub server: Postfix,
    link: Option<Link>,
}

/// What the link did, and what of it was sent twice.
#[derive(Debug, Clone, Copy)]
pub struct Carried {
    /// The link's own account.
    pub tally: Tally,
    /// Octets from near to far without what TCP sent again, headers included.
    pub useful: f64,
}

impl World {
    /// A server of this kind, so far away.
    pub fn start(distance: Distance, setup: Setup) -> Result<World, String> {
        let link = distance.options().map(Link::start).transpose().map_err(|error| error.to_string())?;
        let setup = link.iter().fold(setup, |setup, link| setup.at(link.far()));
        let world = World { server: Postfix::start(setup), link };
        world.watch()?;
        Ok(world)
    }

    /// Starts the shell command in `PIPELANE_WATCH` at the near end, for a person who looks into a run. It should end
    /// by itself.
    fn watch(&self) -> Result<(), String> {
        let (Some(command), Some(link)) = (std::env::var_os("PIPELANE_WATCH"), &self.link) else { return Ok(()) };
        let started = link.near().command("sh").arg("-c").arg(command).stdin(Stdio::null()).spawn();
        started.map(drop).map_err(|error| error.to_string())
    }

    /// What a new connection may send to the server in its first round trip, in packets (ip-route(8), `initcwnd`).
    pub fn set_initial_window(&self, packets: u32) -> Result<(), String> {
        let Some(link) = &self.link else { return Ok(()) };
        let (server, packets) = (link.far().address().to_string(), packets.to_string());
        let arguments = ["route", "replace", &server, "dev", DEVICE, "initcwnd", &packets];
        let status = link.near().command("ip").args(arguments).status().map_err(|error| format!("ip: {error}"))?;
        if status.success() { Ok(()) } else { Err(format!("ip {}: {status}", arguments.join(" "))) }
    }

    /// Does something at the near end.
    pub fn near<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        match &self.link {
            Some(link) => link.near().run(work).expect("the near end can be entered"),
            None => work(),
        }
    }

    /// This instance, at the near end. It still takes mail on loopback.
    pub fn near_setup(&self, setup: Setup) -> Setup {
        self.link.iter().fold(setup, |setup, link| setup.at(link.near()).main("inet_interfaces=all"))
    }

    /// The server's address and port.
    pub fn address(&self) -> (String, u16) {
        let hop = self.server.next_hop();
        (hop.trim_start_matches('[').split(']').next().unwrap_or_default().to_owned(), self.server.port())
    }

    /// The end of it; tells what the link carried.
    pub fn end(mut self) -> Result<Option<Carried>, String> {
        let again = self.near(machine::retransmitted);
        let Some(link) = self.link.take() else { return Ok(None) };
        let tally = link.stop().map_err(|error| error.to_string())?;
        if tally.latest > LATE {
            eprintln!("the latest packet was {:.0} ms late", tally.latest.as_secs_f64() * 1e3);
        }
        if tally.up.unread + tally.down.unread > 0 {
            return Err(format!("the machine was too slow for the link: {tally}"));
        }
        let useful = tally.up.carried.octets as f64 - again as f64 * f64::from(pipelane_link::MTU);
        Ok(Some(Carried { tally, useful }))
    }
}
