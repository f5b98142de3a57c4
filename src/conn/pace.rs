//! Measures flights for the window ([`crate::smtp::window`]): what was answered, in what time, at what round trip.
//!
//! A flight begins when the one before is over, or with the first transaction on an idle connection. It is over when the
//! transaction is answered that was the youngest when its first answer came in: one window, sent and answered.

use crate::smtp::{Flight, TransactionId};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// The stop-watch of one connection.
#[derive(Debug, Default)]
pub struct Pace {
    sent: HashMap<TransactionId, Instant>,
    youngest: Option<TransactionId>,
    flight: Option<Running>,
}

#[derive(Debug)]
struct Running {
    started: Instant,
    until: Option<TransactionId>,
    messages: usize,
    bytes: u64,
    shortest: Option<Duration>,
}

impl Pace {
    /// A transaction was begun, with `in_flight` others unanswered.
    pub fn begun(&mut self, id: TransactionId, in_flight: usize, now: Instant) {
        self.youngest = Some(id);
        if in_flight == 0 {
            self.flight = None;
        }
        self.flight.get_or_insert(Running::starting(now));
    }

    /// The end of its content was handed over.
    pub fn sent_whole(&mut self, id: TransactionId, now: Instant) {
        self.sent.insert(id, now);
    }

    /// A transaction of so many octets was answered. Returns the flight when this ends one.
    pub fn answered(&mut self, id: TransactionId, bytes: u64, now: Instant) -> Option<Flight> {
        let round_trip = self.sent.remove(&id).map(|sent| now - sent);
        let youngest = self.youngest;
        let running = self.flight.as_mut()?;
        let until = *running.until.get_or_insert(youngest.unwrap_or(id));
        running.messages += 1;
        running.bytes += bytes;
        running.shortest = match (running.shortest, round_trip) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        if id < until {
            return None;
        }
        let flight = running.shortest.map(|round_trip| Flight {
            messages: running.messages,
            bytes: running.bytes,
            elapsed: now - running.started,
            round_trip,
        });
        self.flight = Some(Running::starting(now));
        flight
    }
}

impl Running {
    fn starting(now: Instant) -> Running {
        Running { started: now, until: None, messages: 0, bytes: 0, shortest: None }
    }
}
