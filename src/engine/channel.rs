//! All lanes of one next hop, and its own caps.

use super::Engine;
use crate::config::NextHopSettings;
use crate::lane::crew::Member;
use crate::lane::{Job, Obligation, Offers, Site, report, worker};
use crate::mail::{Message, NextHop, Outcome};
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
        if !job.has_remaining() {
            return report::settle(job, None, &self.site.statistics);
        }
        match self.site.put(job) {
            Ok(Some(member)) => self.start_lane(member),
            Ok(None) => {}
            Err((job, outcome)) => self.site.settle_unsent(*job, &outcome),
        }
    }

    /// Finds room that is held for messages which nobody waits for any more.
    pub fn tidy(&self) {
        self.site.dispose_of_withdrawn();
    }

    pub fn offers(&self, patience: Duration) -> Result<Offers, Outcome> {
        match self.site.ask() {
            Ok(Some(offers)) => return Ok(offers),
            Err(Some(member)) => self.start_lane(member),
            Ok(None) | Err(None) => {}
        }
        self.site.await_offers(patience)
    }

    pub fn trouble(&self) -> Option<Outcome> {
        self.site.trouble()
    }

    pub fn stop(&self, ends: Instant) {
        self.site.stop(ends);
    }

    pub fn join(&self) {
        let threads = std::mem::take(&mut *self.threads.lock());
        threads.into_iter().for_each(join);
    }

    /// Whether nothing is held and no lane runs.
    pub fn is_idle(&self) -> bool {
        self.messages.held() == 0 && self.site.lanes() == 0
    }

    fn start_lane(&self, member: Member) {
        let number = member.number;
        let Some(thread) = worker::start(&self.site, member) else { return self.site.not_started(number) };
        let mut threads = self.threads.lock();
        threads.push(thread);
        let ended: Vec<_> = threads.extract_if(.., |thread| thread.is_finished()).collect();
        drop(threads);
        ended.into_iter().for_each(join);
    }
}

fn join(thread: JoinHandle<()>) {
    // A lane catches its panics and says so in the log; there is nothing more to learn.
    let _ = thread.join();
}
