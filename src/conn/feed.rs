//! What the loop asks of the floor above: messages, and somebody to give them back to.

use super::delivery::Delivery;
use crate::config::Level;
use crate::smtp::{Cause, Extensions};
use std::time::Instant;

/// Lets the loop ask whether a message is still wanted.
pub trait Token {
    /// Whether nobody waits for the result any more.
    fn is_cancelled(&self) -> bool;
}

/// Why a delivery comes back unsent.
#[derive(Debug, Clone)]
pub struct Retry {
    /// What happened.
    pub cause: Cause,
    /// Whether it counts against the bound on attempts.
    pub counts: bool,
}

/// Where messages come from and go back to; the lane.
pub trait Feed {
    /// What travels with each message.
    type Token: Token;

    /// The next message, if `has_room` for its size.
    fn next(&mut self, has_room: &dyn Fn(u64) -> bool) -> Option<Delivery<Self::Token>>;
    /// Messages that wait.
    fn waiting(&self) -> usize;
    /// Every recipient has an outcome.
    fn settled(&mut self, delivery: Delivery<Self::Token>, server: &str, level: Level);
    /// Not sent; some recipients have no outcome.
    fn unsent(&mut self, delivery: Delivery<Self::Token>, server: &str, retry: Retry);
    /// The server is ready and offers this.
    fn offered(&mut self, offered: &Extensions, server: &str);
    /// Whether to finish what is in flight and take no more.
    fn is_stopping(&self) -> bool;
    /// The time at which even what is in flight is given up, once stopping has such an end.
    fn must_end_by(&self) -> Option<Instant>;
}
