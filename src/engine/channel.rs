//! All lanes of one next hop, and its own caps.

use super::Engine;
use crate::config::NextHopSettings;
use crate::lane::status::ChannelStatus;
use crate::lane::{Job, Obligation, Offers, Site, report, worker};
use crate::mail::{Message, NextHop, Outcome};
use crate::sync::Budget;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A channel.
#[derive(Debug)]
pub(super) struct Channel {
    /// Messages that may be held for this next hop.
    pub messages: Arc<Budget>,
    /// Octets that may be held for it.
    pub bytes: Arc<Budget>,
    site: Arc<Site>,
}

impl Channel {
    pub fn new(next_hop: NextHop, settings: Arc<NextHopSettings>, engine: &Engine) -> Channel {
        let site = Site::new(
            next_hop,
            Arc::clone(&settings),
            Arc::clone(&engine.ledger),
            Arc::clone(&engine.connections),
            Arc::clone(&engine.statistics),
            Arc::clone(&engine.connector),
        );
        Channel {
            messages: Budget::new(settings.max_messages),
            bytes: Budget::new(settings.max_bytes),
            site: Arc::new(site),
        }
    }

    pub fn submit(&self, message: Message, obligation: Obligation) {
        let job = Job::new(message, obligation, Instant::now());
        if !job.has_remaining() {
            report::settle(job, None, &self.site.statistics);
            return;
        }
        match self.site.put(job) {
            Ok(entered) => worker::start(&self.site, entered),
            Err((job, outcome)) => self.site.settle_unsent(*job, &outcome),
        }
    }

    /// Other settings are in force from now on.
    pub fn reconfigure(&self, settings: &Arc<NextHopSettings>) {
        if *self.site.settings() == **settings {
            return;
        }
        self.messages.set_limit(settings.max_messages);
        self.bytes.set_limit(settings.max_bytes);
        worker::start(&self.site, self.site.reconfigure(settings));
    }

    /// How it is at this moment.
    pub fn status(&self) -> ChannelStatus {
        self.site.status()
    }

    /// Finds room that is held for messages which nobody waits for any more.
    pub fn tidy(&self) {
        self.site.dispose_of_withdrawn();
    }

    pub fn offers(&self, patience: Duration) -> Result<Offers, Outcome> {
        match self.site.ask() {
            Ok(Some(offers)) => return Ok(offers),
            Err(Some(entered)) => worker::start(&self.site, vec![entered]),
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
        self.site.join();
    }

    /// Whether nothing is held and no lane runs.
    pub fn is_idle(&self) -> bool {
        self.messages.held() == 0 && self.site.lanes() == 0
    }
}
