//! Where a connection's messages come from and go back to, as the connection sees it: the floor above.

use super::aboard::{Retry, Token};
use super::delivery::Delivery;
use crate::config::Level;
use crate::smtp::Extensions;
use std::time::Instant;

/// What a connection has room for.
#[derive(Clone, Copy)]
pub struct Vacancy<'a> {
    /// Whether a message of so many octets would go on the wire at once.
    pub fits: &'a dyn Fn(u64) -> bool,
    /// Nothing is in flight.
    pub is_empty: bool,
    /// The server has answered a transaction on this connection.
    pub is_proven: bool,
}

/// Where messages come from and go back to; the lane.
pub trait Feed {
    /// What travels with each message.
    type Token: Token;

    /// The next message that there is room for.
    fn next(&mut self, vacancy: Vacancy<'_>) -> Option<Delivery<Self::Token>>;
    /// Messages that wait.
    fn waiting(&self) -> usize;
    /// When to look for messages again, where nothing is in flight and nobody tells of any.
    fn look_again_at(&self) -> Option<Instant> {
        None
    }
    /// Whether large content is to be held back, because smaller messages are on their way over other connections.
    fn must_yield(&self) -> bool {
        false
    }
    /// Every recipient has an outcome.
    fn settled(&mut self, delivery: Delivery<Self::Token>, server: &str, level: Level);
    /// Every recipient was answered, and some are put off by the server with this label
    /// ([`super::Server::label`]), which is not the last of its next hop.
    fn put_off(&mut self, delivery: Delivery<Self::Token>, by: &str, server: &str, level: Level);
    /// Not sent; some recipients have no outcome.
    fn unsent(&mut self, delivery: Delivery<Self::Token>, server: &str, level: Level, retry: Retry);
    /// The connection is about to wait for the server or for work: what was given back until now has come together.
    fn waits(&mut self) {}
    /// The server is ready and offers this.
    fn offered(&mut self, offered: &Extensions, server: &str);
    /// Whether to finish what is in flight and take no more.
    fn is_stopping(&self) -> bool;
    /// The time at which even what is in flight is given up, once stopping has such an end.
    fn must_end_by(&self) -> Option<Instant>;
}
