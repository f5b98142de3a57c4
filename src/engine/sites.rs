//! The sites of one next hop: the one that all messages come to, and one for what certain servers do not take for now.
//!
//! A recipient that a server puts off (4yz) is offered to the next server of its next hop (RFC 5321 5.1), as far as
//! there is one. That is another site: the same next hop without the servers that were passed. It lives on until the
//! channel ends, with lanes only while it has work.

use super::Engine;
use crate::config::NextHopSettings;
use crate::lane::status::ChannelStatus;
use crate::lane::{Job, Onward, Site, worker};
use crate::mail::NextHop;
use crate::sync::Mutex;
use std::sync::{Arc, Weak};
use std::time::Instant;

/// Sites of one next hop beside the first. Each needs a server that is there and takes no mail.
const FURTHER: usize = 20;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Sites {
    first: Arc<Site>,
    further: Mutex<Further>,
}

#[derive(Debug, Default)]
struct Further {
    sites: Vec<Arc<Site>>,
    /// Nothing new begins.
    stopped: bool,
}

impl Sites {
    pub fn new(next_hop: NextHop, settings: Arc<NextHopSettings>, engine: &Engine) -> Arc<Sites> {
        Arc::new_cyclic(|me: &Weak<Sites>| {
            let first = Site::new(
                next_hop,
                settings,
                Arc::clone(&engine.ledger),
                Arc::clone(&engine.connections),
                Arc::clone(&engine.statistics),
                Arc::clone(&engine.connector),
            );
            Sites { first: Arc::new(first.handing_on(me.clone())), further: Mutex::default() }
        })
    }

    /// The site that messages come to.
    pub fn first(&self) -> &Arc<Site> {
        &self.first
    }

    /// The first and all others.
    pub fn all(&self) -> Vec<Arc<Site>> {
        let mut all = vec![Arc::clone(&self.first)];
        all.extend(self.further.lock().sites.iter().cloned());
        all
    }

    /// Other settings are in force from now on.
    pub fn reconfigure(&self, settings: &Arc<NextHopSettings>) {
        // The first one before the others are looked for: a site that is made meanwhile has its settings.
        worker::start(&self.first, self.first.reconfigure(settings));
        let further = self.further.lock().sites.clone();
        further.iter().for_each(|site| worker::start(site, site.reconfigure(settings)));
    }

    /// How they are; those of passed servers only while they have something to tell.
    pub fn status(&self) -> Vec<ChannelStatus> {
        let first = std::iter::once(self.first.status());
        let further: Vec<Arc<Site>> = self.further.lock().sites.clone();
        first.chain(further.iter().map(|site| site.status()).filter(ChannelStatus::is_of_interest)).collect()
    }

    pub fn stop(&self, ends: Instant) {
        self.further.lock().stopped = true;
        self.all().iter().for_each(|site| site.stop(ends));
    }

    /// The site for what these servers have put off.
    fn behind(&self, passed: Vec<String>) -> Option<Arc<Site>> {
        let mut further = self.further.lock();
        if further.stopped {
            return None;
        }
        if let Some(site) = further.sites.iter().find(|site| *site.passed == *passed) {
            return Some(Arc::clone(site));
        }
        if further.sites.len() >= FURTHER {
            return None;
        }
        let site = Arc::new(self.first.without(passed));
        further.sites.push(Arc::clone(&site));
        Some(site)
    }
}

impl Onward for Sites {
    fn hand_on(&self, job: Job, mut passed: Vec<String>) -> Result<(), Box<Job>> {
        passed.sort();
        let Some(site) = self.behind(passed) else { return Err(Box::new(job)) };
        let entered = site.put(job).map_err(|(job, _)| job)?;
        worker::start(&site, entered);
        Ok(())
    }
}
