//! What a connection shows of itself to whoever looks, at any time and from any thread, without stopping it.
//!
//! Relaxed atomics: each figure is right by itself, and together they are no snapshot. What does not fit into one is
//! behind a lock that is taken once for a connection and once for a look.

use crate::config::Level;
use crate::net::tls::Agreed;
use crate::smtp::Session;
use crate::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

/// The figures of one lane, kept from one of its connections to the next.
#[derive(Debug, Default)]
pub struct Gauge {
    /// One more than the level's place in [`Level::ALL`]; 0 without a connection.
    level: AtomicU8,
    transactions: AtomicU64,
    transactions_limit: AtomicU64,
    octets: AtomicU64,
    octets_limit: AtomicU64,
    yielding: AtomicBool,
    messages_done: AtomicU64,
    octets_done: AtomicU64,
    in_doubt: AtomicU64,
    tls: Mutex<Option<Agreed>>,
}

/// A [`Gauge`] at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reading {
    /// The level at which the next transaction would be sent; `None` without a connection.
    pub level: Option<Level>,
    /// Transactions on their way, and how many the window holds.
    pub transactions: (u64, u64),
    /// Octets of content on their way, and how many the window holds.
    pub octets: (u64, u64),
    /// Content is held back for the sake of smaller messages.
    pub yielding: bool,
    /// Messages done, and their octets.
    pub done: (u64, u64),
    /// Recipients in doubt.
    pub in_doubt: u64,
    /// How the connection is encrypted; `None` without one, or in clear.
    pub tls: Option<Agreed>,
}

impl Gauge {
    /// How the session is now.
    pub(super) fn show(&self, session: &Session) {
        let level = Level::ALL.iter().position(|level| *level == session.level());
        let (transactions, octets) = session.window();
        self.level.store(level.map_or(0, |place| place as u8 + 1), Ordering::Relaxed);
        self.transactions.store(session.in_flight() as u64, Ordering::Relaxed);
        self.transactions_limit.store(transactions as u64, Ordering::Relaxed);
        self.octets.store(session.bytes_in_flight(), Ordering::Relaxed);
        self.octets_limit.store(octets, Ordering::Relaxed);
    }

    /// Whether content is held back.
    pub(super) fn set_yielding(&self, yielding: bool) {
        self.yielding.store(yielding, Ordering::Relaxed);
    }

    /// How the connection is encrypted, if it is.
    pub(super) fn set_tls(&self, agreed: Option<Agreed>) {
        *self.tls.lock() = agreed;
    }

    /// There is no connection any more.
    pub fn clear(&self) {
        let figures = [&self.transactions, &self.transactions_limit, &self.octets, &self.octets_limit];
        figures.into_iter().for_each(|figure| figure.store(0, Ordering::Relaxed));
        self.level.store(0, Ordering::Relaxed);
        self.set_yielding(false);
        self.set_tls(None);
    }

    /// A message is done; so many of its recipients are in doubt.
    pub fn done(&self, octets: u64, in_doubt: u64) {
        self.messages_done.fetch_add(1, Ordering::Relaxed);
        self.octets_done.fetch_add(octets, Ordering::Relaxed);
        self.in_doubt.fetch_add(in_doubt, Ordering::Relaxed);
    }

    /// How the connection is encrypted; `None` without one, or in clear.
    pub fn tls(&self) -> Option<Agreed> {
        *self.tls.lock()
    }

    /// What it shows.
    pub fn read(&self) -> Reading {
        let get = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        let level = usize::from(self.level.load(Ordering::Relaxed));
        Reading {
            level: level.checked_sub(1).and_then(|place| Level::ALL.get(place)).copied(),
            transactions: (get(&self.transactions), get(&self.transactions_limit)),
            octets: (get(&self.octets), get(&self.octets_limit)),
            yielding: self.yielding.load(Ordering::Relaxed),
            done: (get(&self.messages_done), get(&self.octets_done)),
            in_doubt: get(&self.in_doubt),
            tls: self.tls(),
        }
    }
}
