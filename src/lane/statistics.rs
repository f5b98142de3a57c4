//! Counts since the start. Relaxed atomics: each is right by itself, and they are not a snapshot.

use crate::mail::Verdict;
use serde::{Deserialize, Serialize};
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
    /// What they are at this moment.
    pub fn counts(&self) -> Counts {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            messages: get(&self.messages),
            connections: get(&self.connections),
            redispatched: get(&self.redispatched),
            delivered: get(&self.delivered),
            deferred: get(&self.deferred),
            failed: get(&self.failed),
            in_doubt: get(&self.in_doubt),
        }
    }

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

/// [`Statistics`] at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Messages that reached a server and were reported on.
    pub messages: u64,
    /// Connections with a session ready.
    pub connections: u64,
    /// Messages that were sent again after a connection was lost.
    pub redispatched: u64,
    /// Recipients delivered.
    pub delivered: u64,
    /// Recipients deferred.
    pub deferred: u64,
    /// Recipients failed.
    pub failed: u64,
    /// Recipients in doubt.
    pub in_doubt: u64,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { messages, connections, redispatched, delivered, deferred, failed, in_doubt } = self;
        write!(
            f,
            "messages={messages} connections={connections} redispatched={redispatched} recipients: delivered={delivered} \
             deferred={deferred} failed={failed} in_doubt={in_doubt}"
        )
    }
}
