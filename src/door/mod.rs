//! Floor 6: the doors, the ways in which an MTA hands messages over, and one to look in by.
//!
//! A door turns what a client says into [`Message`]s, submits them through [`Delivery`], waits, and tells each
//! recipient's result in the client's own terms. It holds nothing: a message whose client has gone is cancelled, and a
//! client is told "delivered" only after the server took the message.
//!
//! The doors know the engine only as [`Delivery`], so that each can be tested against a script. [`control`] is the odd
//! one: nothing is handed over there, it is asked how the engine is.

pub mod control;
pub mod lmtp;
pub mod pipe;
mod reply;
mod socket;
pub mod zmailer;

pub use reply::Reply;
pub use socket::DoorError;

use crate::config::Config;
use crate::engine::{Engine, Offers, Room};
use crate::lane::Ticket;
use crate::mail::{Message, NextHop, Outcome};
use std::sync::Arc;
use std::time::Duration;

/// What a door needs of the engine; the contracts are those of the methods of [`Engine`] with the same names.
pub trait Delivery: Send + Sync + 'static {
    /// The right to hold one message, given back when its report is made.
    type Room: Send;

    /// The configuration in force.
    fn config(&self) -> Arc<Config>;

    /// Waits up to `patience` for room to hold a message of about `size` octets for this next hop.
    fn room(&self, next_hop: &NextHop, size: u64, patience: Duration) -> Option<Self::Room>;

    /// Hands a message over; exactly one report follows, through the ticket.
    fn submit(&self, message: Message, room: Self::Room, ticket: Ticket);

    /// What the next hop's server offers; an error is the deferral to tell the client.
    fn offers(&self, next_hop: &NextHop, patience: Duration) -> Result<Offers, Outcome>;

    /// Why the next hop cannot be reached at this time, if that is so.
    fn trouble(&self, next_hop: &NextHop) -> Option<Outcome>;
}

impl Delivery for Engine {
    type Room = Room;

    fn config(&self) -> Arc<Config> {
        Engine::config(self)
    }

    fn room(&self, next_hop: &NextHop, size: u64, patience: Duration) -> Option<Room> {
        Engine::room(self, next_hop, size, patience)
    }

    fn submit(&self, message: Message, room: Room, ticket: Ticket) {
        Engine::submit(self, message, room, ticket);
    }

    fn offers(&self, next_hop: &NextHop, patience: Duration) -> Result<Offers, Outcome> {
        Engine::offers(self, next_hop, patience)
    }

    fn trouble(&self, next_hop: &NextHop) -> Option<Outcome> {
        Engine::trouble(self, next_hop)
    }
}
