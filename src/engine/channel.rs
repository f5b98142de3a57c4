//! All lanes of one next hop, and its own caps.

use super::Engine;
use crate::config::NextHopSettings;
use crate::lane::{Job, Obligation, Offers, Site, report, worker};
use crate::mail::{Message, NextHop, Outcome};
use crate::net::Wake;
use crate::sync::{Budget, Mutex};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A channel.
#[derive(Debug)]
pub(super) struct Channel {
    /// Messages that may be held for this next hop.
    pub messages: Arc<Budget>,
    /// Octets that may be held for it.
    pub bytes: Arc<Budget>,
    site: Arc<Site>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Channel {
    pub fn new(next_hop: NextHop, settings: Arc<NextHopSettings>, engine: &Engine) -> Channel {
        let site = Site::new(
            next_hop,
            Arc::clone(&settings),
            Arc::clone(&engine.ledger),
            Arc::clone(&engine.connections),
            Arc::clone(&engine.statistics),
        );
        Channel {
            messages: Budget::new(settings.max_messages),
            bytes: Budget::new(settings.max_bytes),
            site: Arc::new(site),
            threads: Mutex::default(),
        }
    }

    pub fn submit(&self, message: Message, obligation: Obligation) {
        let job = Job::new(message, obligation, Instant::now());
        if let Err((mut job, outcome)) = self.site.put(job, |number| self.start_lane(number)) {
            job.give_up(&outcome);
            report::settle(*job, None);
        }
    }

    pub fn offers(&self, patience: Duration) -> Result<Offers, Outcome> {
        self.site.offers(patience, |number| self.start_lane(number))
    }

    pub fn trouble(&self) -> Option<Outcome> {
        self.site.trouble()
    }

    pub fn stop(&self, ends: Instant) {
        self.site.stop(ends);
    }

    pub fn join(&self) {
        let threads = std::mem::take(&mut *self.threads.lock());
        threads.into_iter().for_each(|thread| {
            // A lane that panicked has said so in the log, and its messages are reported.
            let _ = thread.join();
        });
    }

    /// Whether nothing is held and no lane runs.
    pub fn is_idle(&self) -> bool {
        self.messages.held() == 0 && self.site.lanes() == 0
    }

    fn start_lane(&self, number: usize) -> Option<Wake> {
        let (wake, thread) = worker::start(&self.site, number)?;
        let mut threads = self.threads.lock();
        threads.retain(|thread| !thread.is_finished());
        threads.push(thread);
        Some(wake)
    }
}
