//! Floor 5: the engine: next hop to channel of lanes, limits, drain and shutdown, statistics.
//!
//! (Interface fixed, inside under construction.)

use crate::config::Config;
use crate::lane::Ticket;
use crate::mail::{Message, NextHop, Outcome};
use crate::sync::Permit;
use std::sync::Arc;
use std::time::Duration;

/// What a next hop's server offers, for a door to mirror.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Offers {
    /// 8BITMIME
    pub eight_bit_mime: bool,
    /// SMTPUTF8
    pub smtputf8: bool,
    /// DSN
    pub dsn: bool,
    /// SIZE: `Some(0)` is offered without a limit.
    pub size: Option<u64>,
    /// `host[address]:port`
    pub server: String,
}

/// Room for one message, to be asked for before its content is read; given back when the message's report is made.
#[derive(Debug)]
pub struct Room {
    #[allow(dead_code)]
    permits: Vec<Permit>,
}

/// The engine. Cheap to share by `Arc`; every method may be called from any thread.
#[derive(Debug)]
pub struct Engine {}

impl Engine {
    /// An engine with this configuration. No thread or connection is made before there is work.
    pub fn new(config: Arc<Config>) -> Arc<Engine> {
        let _ = config;
        todo!()
    }

    /// The configuration in force.
    pub fn config(&self) -> Arc<Config> {
        todo!()
    }

    /// Waits up to `patience` for room to hold a message of about `size` octets for this next hop: per next hop
    /// and in total, messages and octets. `None`: still full.
    pub fn room(&self, next_hop: &NextHop, size: u64, patience: Duration) -> Option<Room> {
        let _ = (next_hop, size, patience);
        todo!()
    }

    /// Hands a message over. Never waits for the network. Exactly one report follows, through the ticket, also when the engine is draining.
    pub fn submit(&self, message: Message, room: Room, ticket: Ticket) {
        let _ = (message, room, ticket);
        todo!()
    }

    /// What the next hop's server offers: the last known, or else found out now by connecting, waiting up to `patience`.
    /// An error is the deferral to tell the client (4.4.1 ...).
    pub fn offers(&self, next_hop: &NextHop, patience: Duration) -> Result<Offers, Outcome> {
        let _ = (next_hop, patience);
        todo!()
    }

    /// Why the next hop cannot be reached at this time (for a 421 greeting), or `None` when it can, is not known, or
    /// it is time to try again.
    pub fn trouble(&self, next_hop: &NextHop) -> Option<Outcome> {
        let _ = next_hop;
        todo!()
    }

    /// Takes no new work, lets what is on the wire finish up to the configured time, defers the rest, joins all threads.
    pub fn drain(&self) {
        todo!()
    }
}
