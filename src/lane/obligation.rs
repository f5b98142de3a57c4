//! What travels with a message through a lane: its ticket, and the room that it takes up until it is reported on.

use super::quota::Space;
use super::ticket::Ticket;
use crate::conn::Token;
use std::time::Instant;

/// A message's ticket with its room. Dropping it reports the message as deferred, or in doubt if it was sent, and
/// frees the room.
#[derive(Debug)]
pub struct Obligation {
    /// The room held. It is free before the report is made, also by a drop, which goes in this order: who hears of the one
    /// finds the other.
    pub space: Option<Space>,
    /// The duty to report.
    pub ticket: Ticket,
    /// By when a lane must have taken the message, if it may not wait for ever: so long it is offered to further
    /// servers after one has put it off.
    pub until: Option<Instant>,
}

impl Obligation {
    /// Whether the message need not wait any longer: nobody waits for it, or its time is over.
    pub fn is_void(&self) -> bool {
        self.ticket.is_cancelled() || self.until.is_some_and(|until| until <= Instant::now())
    }
}

impl Token for Obligation {
    fn is_cancelled(&self) -> bool {
        self.ticket.is_cancelled()
    }

    fn sent_whole(&mut self) {
        self.ticket.sent_whole();
    }
}
