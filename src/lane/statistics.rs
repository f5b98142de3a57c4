//! Counts since the start. Relaxed atomics: each is right by itself, and they are not a snapshot.

use crate::mail::Verdict;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// The counts.
#[derive(Debug, Default)]
pub struct Statistics {
    /// Messages that reached a server and were reported on.
    pub messages: AtomicU64,
    /// Connections with a session ready.
    pub connections: AtomicU64,
    /// Messages that were sent again after a connection was lost.
    pub redispatched: AtomicU64,
    /// Recipients delivered.
    pub delivered: AtomicU64,
    /// Recipients deferred.
    pub deferred: AtomicU64,
    /// Recipients failed.
    pub failed: AtomicU64,
    /// Recipients in doubt.
    pub in_doubt: AtomicU64,
}

impl Statistics {
    /// Counts one recipient.
    pub fn count(&self, verdict: Verdict) {
        let counter = match verdict {
            Verdict::Delivered => &self.delivered,
            Verdict::Deferred => &self.deferred,
            Verdict::Failed => &self.failed,
            Verdict::InDoubt => &self.in_doubt,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl fmt::Display for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        write!(
            f,
            "messages={} connections={} redispatched={} recipients: delivered={} deferred={} failed={} in_doubt={}",
            get(&self.messages),
            get(&self.connections),
            get(&self.redispatched),
            get(&self.delivered),
            get(&self.deferred),
            get(&self.failed),
            get(&self.in_doubt)
        )
    }
}
