//! A connection as its lane sees it, so that lanes can be tried without a server, a socket or a wait.
//!
//! [`Dialler`] makes the real ones: [`crate::conn::Connection`]. A test makes others, which carry messages as its
//! script says.

use super::Obligation;
use crate::config::Limits;
use crate::conn::{Connection, Feed, Opener, Server, Servers, Ways};
use crate::mail::Outcome;
use crate::net::Endpoint;
use crate::smtp::CloseReason;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Instant;

/// A session that is ready.
pub trait Carrier {
    /// Carries messages until the connection ends. Every message taken from `feed` has then been given back to it.
    fn run(&mut self, feed: &mut dyn Feed<Token = Obligation>) -> CloseReason;
    /// Transactions that the server has answered, with whatever verdict.
    fn answered(&self) -> u64;
    /// Whether it has ended before any was answered, though some were begun or `wanted` to be.
    fn is_fruitless(&self, wanted: bool) -> bool;
    /// Closes the connection in the way that the reason asks for.
    fn close(self: Box<Self>, reason: &CloseReason);
}

/// How a lane comes to a connection.
pub trait Connector: Debug + Send + Sync {
    /// Tries until one gives a session; an error is what to tell of the site. Ends early when `is_stopping`.
    fn connect(&self, opener: &Opener, is_stopping: &dyn Fn() -> bool) -> Result<Box<dyn Carrier>, Outcome>;
}

/// Connects over TCP, or to a UNIX socket.
#[derive(Debug, Default)]
pub struct Dialler {
    ways: Ways,
}

impl Dialler {
    /// One that keeps what is to outlive it where the limits say.
    pub fn new(limits: &Limits) -> Dialler {
        Dialler::over(Ways::new(limits))
    }

    /// One for these ways.
    pub fn over(ways: Ways) -> Dialler {
        Dialler { ways }
    }
}

impl Connector for Dialler {
    fn connect(&self, opener: &Opener, is_stopping: &dyn Fn() -> bool) -> Result<Box<dyn Carrier>, Outcome> {
        // Nothing is on the wire yet: a stop ends the attempt at once.
        let must_end_by = || is_stopping().then(Instant::now);
        let open = |server: &Arc<Server>, refused: &[Endpoint]| {
            Connection::<Obligation>::open(opener, &self.ways.connectors, server, refused, &must_end_by)
        };
        let connection = Opener::in_turn(Servers::of(opener, &self.ways), open, is_stopping)?;
        Ok(Box::new(connection))
    }
}

impl Carrier for Connection<Obligation> {
    fn run(&mut self, feed: &mut dyn Feed<Token = Obligation>) -> CloseReason {
        Connection::run(self, feed)
    }

    fn answered(&self) -> u64 {
        Connection::answered(self)
    }

    fn is_fruitless(&self, wanted: bool) -> bool {
        Connection::is_fruitless(self, wanted)
    }

    fn close(self: Box<Self>, reason: &CloseReason) {
        Connection::close(*self, reason);
    }
}
