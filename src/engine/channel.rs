//! All lanes of one next hop, and its own caps.

use super::Engine;
use super::sites::Sites;
use crate::config::NextHopSettings;
use crate::lane::status::ChannelStatus;
use crate::lane::{Job, Obligation, Offers, Quota, report, worker};
use crate::mail::{Message, NextHop, Outcome};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A channel.
#[derive(Debug)]
pub(super) struct Channel {
    /// What may be held for this next hop.
    pub quota: Arc<Quota>,
    sites: Arc<Sites>,
}

impl Channel {
    pub fn new(next_hop: NextHop, settings: Arc<NextHopSettings>, engine: &Engine) -> Channel {
        Channel {
            quota: Quota::within(&engine.quota, settings.max_messages, settings.max_bytes).into(),
            sites: Sites::new(next_hop, settings, engine),
        }
    }

    pub fn next_hop(&self) -> &NextHop {
        &self.sites.first().next_hop
    }

    pub fn submit(&self, message: Message, obligation: Obligation) {
        let site = self.sites.first();
        let job = Job::new(message, obligation, Instant::now());
        if !job.has_remaining() {
            report::settle(job, None, &site.statistics);
            return;
        }
        match site.put(job) {
            Ok(entered) => worker::start(site, entered),
            Err((job, outcome)) => site.settle_unsent(job, &outcome),
        }
    }

    /// Other settings are in force from now on.
    pub fn reconfigure(&self, settings: &Arc<NextHopSettings>) {
        if *self.sites.first().settings() == **settings {
            return;
        }
        self.quota.set_limits(settings.max_messages, settings.max_bytes);
        self.sites.reconfigure(settings);
    }

    /// How it is at this moment.
    pub fn status(&self) -> Vec<ChannelStatus> {
        self.sites.status()
    }

    /// Finds room that is held for messages which nobody waits for any more.
    pub fn tidy(&self) {
        self.sites.all().iter().for_each(|site| site.dispose_of_void());
    }

    pub fn offers(&self, patience: Duration) -> Result<Offers, Outcome> {
        let site = self.sites.first();
        match site.ask() {
            Ok(Some(offers)) => return Ok(offers),
            Err(Some(entered)) => worker::start(site, vec![entered]),
            Ok(None) | Err(None) => {}
        }
        site.await_offers(patience)
    }

    pub fn trouble(&self) -> Option<Outcome> {
        self.sites.first().trouble()
    }

    pub fn stop(&self, ends: Instant) {
        self.sites.stop(ends);
    }

    pub fn join(&self) {
        self.sites.join();
    }

    /// Whether nothing is held and no lane runs.
    pub fn is_idle(&self) -> bool {
        self.quota.messages() == 0 && self.sites.are_idle()
    }
}
