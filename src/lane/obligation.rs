//! What travels with a message through a lane: its ticket, and the room that it takes up until it is reported on.

use super::ticket::Ticket;
use crate::conn::Token;
use crate::sync::Permit;

/// A message's ticket with its permits. Dropping it reports the message as deferred, or in doubt if it was sent, and
/// frees the room.
#[derive(Debug)]
pub struct Obligation {
    /// The duty to report.
    pub ticket: Ticket,
    /// Room held; given back when the report is made.
    pub room: Vec<Permit>,
}

impl Token for Obligation {
    fn is_cancelled(&self) -> bool {
        self.ticket.is_cancelled()
    }

    fn sent_whole(&mut self) {
        self.ticket.sent_whole();
    }
}
