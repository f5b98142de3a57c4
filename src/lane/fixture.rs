//! What the tests of lanes share: settings with small bins, and messages of a wanted size.

use super::{Inbox, Job, Obligation, Space, Ticket};
use crate::config::{NextHopSettings, Order};
use crate::mail::{Address, Content, Envelope, Message};
use std::time::Instant;

/// Bins for messages up to 100, 1000, 10 000 octets, and for all others.
pub const BOUNDS: [u64; 4] = [100, 1000, 10_000, u64::MAX];
/// A message of each of [`BOUNDS`].
pub const SIZES: [usize; 4] = [50, 500, 5_000, 20_000];

/// Settings with [`BOUNDS`], so many lanes of each bin, and so many connections at the most.
pub fn sorted(lanes: &[usize], max_connections: usize) -> NextHopSettings {
    NextHopSettings { sizebins: BOUNDS.to_vec(), lanes: lanes.to_vec(), max_connections, ..NextHopSettings::default() }
}

/// Settings with one bin and so many lanes.
pub fn unsorted(lanes: usize) -> NextHopSettings {
    NextHopSettings { order: Order::Unsorted, lanes: vec![lanes], ..NextHopSettings::default() }
}

/// A message of so many octets, at least 2, submitted now.
pub fn job(size: usize) -> (Job, Inbox) {
    job_with(size, Instant::now(), None)
}

/// The same, submitted at a time of the test's choice, with this room.
pub fn job_with(size: usize, submitted: Instant, space: Option<Space>) -> (Job, Inbox) {
    let message = Message {
        queue_id: None,
        next_hop: "mx.test".parse().expect("a next hop"),
        envelope: Envelope::new(Address::null(), vec![Address::parse("a@x").expect("an address")]).into(),
        content: Some(Content::from_bytes(&vec![b'x'; size - 2]).expect("content")),
    };
    let (ticket, inbox) = Ticket::issue(1);
    (Job::new(message, Obligation { ticket, space, until: None }, submitted), inbox)
}
