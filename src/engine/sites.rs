//! The sites of one next hop: the one that all messages come to, and one for what certain servers do not take for now.
//!
//! A recipient that a server puts off (4yz) is offered to the next server of its next hop (RFC 5321 5.1), as far as
//! there is one. That is another site: the same next hop without the servers that were passed. It lives on until the
//! channel ends, with lanes only while it has work.
//!
//! The results of the message's other recipients wait meanwhile, and a client that waits too long sends all of it
//! again. So there is an end to it, `next_server_timeout`: a thread that runs only while such messages wait defers what
//! no lane has taken by then.

use super::Engine;
use crate::config::NextHopSettings;
use crate::lane::status::ChannelStatus;
use crate::lane::{Job, Onward, Share, Site, worker};
use crate::mail::NextHop;
use crate::net::with_signals_blocked;
use crate::sync::thread::{self, JoinHandle};
use crate::sync::{Condvar, Mutex, after};
use log::error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::time::Instant;

/// Sites of one next hop beside the first. Each needs a server that is there and takes no mail.
const FURTHER: usize = 20;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Sites {
    first: Arc<Site>,
    further: Mutex<Further>,
    /// There is an earlier end to wait for, or nothing more to wait for.
    changed: Condvar,
    me: Weak<Sites>,
}

#[derive(Debug, Default)]
struct Further {
    sites: Vec<Arc<Site>>,
    /// Nothing new begins.
    stopped: bool,
    /// A thread waits for the end of what waits here.
    is_timed: bool,
    /// That thread, or the last one.
    timer: Option<JoinHandle<()>>,
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
            let own_connections = Share::new(most_connections(&first.settings()));
            let first = Arc::new(first.handing_on(me.clone(), own_connections));
            Sites { first, further: Mutex::default(), changed: Condvar::new(), me: me.clone() }
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
        self.first.own_connections.set_most(most_connections(settings));
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
        self.changed.notify_all();
        self.all().iter().for_each(|site| site.stop(ends));
    }

    /// Waits until no thread is left. For sites that were stopped.
    pub fn join(&self) {
        self.all().iter().for_each(|site| site.join());
        let timer = self.further.lock().timer.take();
        timer.into_iter().for_each(join);
    }

    /// Whether no thread runs.
    pub fn are_idle(&self) -> bool {
        !self.further.lock().is_timed && self.all().iter().all(|site| site.lanes() == 0)
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

impl Sites {
    /// Sees to it that what waits at further sites has an end.
    fn time(&self) {
        let mut further = self.further.lock();
        self.changed.notify_all();
        if further.is_timed || further.stopped {
            return;
        }
        let Some(me) = self.me.upgrade() else { return };
        let body = move || while catch_unwind(AssertUnwindSafe(|| me.keep_time())).is_err() {};
        let spawn = || with_signals_blocked(|| thread::Builder::new().name("next server".into()).spawn(body));
        match spawn() {
            Ok(timer) => {
                further.is_timed = true;
                let last = further.timer.replace(timer);
                drop(further);
                last.into_iter().for_each(join);
            }
            Err(error) => {
                drop(further);
                error!("{}: what waits for another server has no end: no thread: {error}", self.first.next_hop);
            }
        }
    }

    /// Until nothing waits any more that has an end.
    fn keep_time(&self) {
        let mut further = self.further.lock();
        loop {
            let next = further.sites.iter().filter_map(|site| site.next_void()).min();
            let Some(next) = next.filter(|_| !further.stopped) else { break };
            if Instant::now() < next {
                self.changed.wait_until(&mut further, next);
                continue;
            }
            let sites = further.sites.clone();
            drop(further);
            sites.iter().for_each(|site| site.dispose_of_void());
            further = self.further.lock();
        }
        further.is_timed = false;
    }
}

impl Onward for Sites {
    fn hand_on(&self, mut job: Job, mut passed: Vec<String>) -> Result<(), Job> {
        passed.sort();
        let Some(site) = self.behind(passed) else { return Err(job) };
        // All servers together have this long.
        job.token.until.get_or_insert_with(|| after(site.settings().timeouts.next_server));
        let entered = site.put(job).map_err(|(job, _)| job)?;
        worker::start(&site, entered);
        self.time();
        Ok(())
    }

    fn waits_again(&self) {
        self.time();
    }

    fn make_way(&self) {
        self.all().iter().for_each(|site| site.make_way());
    }
}

/// Each site has its lanes; what is set for the next hop holds for all of them together.
fn most_connections(settings: &NextHopSettings) -> u64 {
    match settings.max_connections {
        0 => u64::MAX,
        most => most as u64,
    }
}

fn join(timer: JoinHandle<()>) {
    // It catches its panics; there is nothing more to learn.
    let _ = timer.join();
}
