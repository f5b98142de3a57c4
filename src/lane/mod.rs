//! Floor 4: lanes, the threads that own at most one connection each, and the queue they share.
//!
//! A channel ([`Site`]) has one queue, sorted by size ([`bins`], [`queue`]); a lane takes from it what it can put on
//! the wire at once ([`worker`]). How many lanes there are, and for which sizes, is [`crew`]'s account, whether the
//! site can be used `trouble`'s. The duty to report travels with the message as a [`Ticket`] and ends in [`report`], or
//! by being dropped.

pub mod bins;
pub mod carrier;
pub mod crew;
#[cfg(test)]
mod fixture;
pub mod member;
pub mod obligation;
pub mod offers;
pub mod queue;
pub mod quota;
pub mod report;
pub mod site;
pub mod statistics;
pub mod status;
pub mod ticket;
mod trouble;
pub mod worker;

pub use carrier::{Carrier, Connector, Dialler};
pub use obligation::Obligation;
pub use offers::Offers;
pub use quota::{Quota, Space};
pub use site::{Onward, Share, Site};
pub use statistics::Statistics;
pub use ticket::{Bell, Inbox, Receive, Ring, Ticket, Withdrawal};

/// A message with its obligation.
pub type Job = crate::conn::Delivery<Obligation>;
