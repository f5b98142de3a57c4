//! MTA Strict Transport Security (RFC 8461): which servers a mail domain has, and that they do TLS with a certificate
//! which is valid for their names, as the domain itself says over HTTPS.
//!
//! [`Policies::find`] is the whole of it: the domain's record in DNS says whether there is a policy and which; a policy
//! is fetched when none is kept, when the record has another id, or when it is a day old or has passed half its time;
//! and it is kept in memory and, where there is a directory, in a file. Promises:
//!
//! - A policy holds from when it was fetched until its time is over, and not a moment longer. Until then it holds
//!   whatever happens: without the record, with DNS or the host gone, after a restart (RFC 8461 sections 3.3, 5.1).
//!   Without one that holds, a domain that cannot be asked is as one without a policy.
//! - What could not be fetched is not tried again for [`PAUSE`].
//! - One thread fetches a domain's policy; others that need it wait for that one, and those that have one that holds
//!   do not wait. All end by the moment, and at the wake, that the caller gives; who only renews waits [`RENEWING`].
//! - At most [`REMEMBERED`] domains are in memory, each with a policy of bounded size.
//!
//! What a policy means for mail is [`crate::conn`]'s.

mod fetch;
mod news;
mod policy;
mod record;
mod store;
mod transport;

pub use fetch::{Errand, FetchError, HTTPS_PORT, fetch};
pub use news::News;
pub use policy::{BadPolicy, LONGEST, Mode, PATTERNS, POLICY, Pattern, Policy, SHORTEST};
pub use record::{PolicyId, id};

use super::dns::{Name, SoftFailure, Type, Wait};
use crate::sync::{Condvar, Mutex, MutexGuard, after};
use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};
use store::Store;

/// How long a policy that could not be fetched is not asked for again (RFC 8461 section 3.3).
pub const PAUSE: Duration = Duration::from_secs(300);

/// How long a fetch may take that a policy can wait for, since one that holds is at hand.
pub const RENEWING: Duration = Duration::from_secs(10);

/// The most domains in memory.
pub const REMEMBERED: usize = 1000;

/// A policy is renewed at this age at the latest.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Who waits for another's fetch looks this often whether it is to stop.
const SLICE: Duration = Duration::from_millis(250);

/// A policy, and since when it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The id that the record had.
    pub id: PolicyId,
    /// The policy.
    pub policy: Policy,
    /// When it was fetched.
    pub fetched: SystemTime,
}

impl Kept {
    /// How old it is. One from the future, by a clock that was set back since, is as old as it can be.
    fn age(&self, now: SystemTime) -> Duration {
        now.duration_since(self.fetched).unwrap_or(LONGEST)
    }

    fn holds(&self, now: SystemTime) -> bool {
        self.age(now) < self.policy.max_age
    }

    /// Whether it is time to see if the domain has renewed it.
    fn is_old(&self, now: SystemTime) -> bool {
        self.age(now) >= (self.policy.max_age / 2).min(DAY)
    }
}

/// What is known of one domain.
#[derive(Debug, Default)]
struct Entry {
    kept: Option<Kept>,
    /// When a fetch failed, the last time.
    failed: Option<SystemTime>,
    is_fetching: bool,
    /// Larger than that of all that were used earlier.
    used: u64,
}

#[derive(Debug, Default)]
struct Memory {
    entries: HashMap<Name, Entry>,
    uses: u64,
}

/// The policies of domains. Any thread.
#[derive(Debug)]
pub struct Policies {
    memory: Mutex<Memory>,
    /// Some fetch has ended.
    fetched: Condvar,
    store: Option<Store>,
    port: u16,
}

/// In memory only.
impl Default for Policies {
    fn default() -> Policies {
        Policies::new(None)
    }
}

/// What there is for a domain.
#[derive(Debug, Default)]
pub struct Found {
    /// The policy that holds; `None` when there is none, or none can be had.
    pub policy: Option<Policy>,
    /// What has happened meanwhile, for a log.
    pub news: Vec<News>,
}

impl Policies {
    /// Kept in this directory too, which is made when it is needed. `None`: in memory only.
    pub fn new(directory: Option<PathBuf>) -> Policies {
        let store = directory.map(Store::new);
        Policies { memory: Mutex::default(), fetched: Condvar::new(), store, port: HTTPS_PORT }
    }

    /// The same, with policies on another port: for tests.
    pub fn on_port(self, port: u16) -> Policies {
        Policies { port, ..self }
    }

    /// The policy of a domain that holds at this moment.
    pub fn find(&self, domain: &Name, errand: &Errand<'_>, now: SystemTime) -> Found {
        let mut news = Vec::new();
        let kept = self.recall(domain, now, &mut news);
        let is_current = |kept: &Kept, id: &PolicyId| kept.id == *id && !kept.is_old(now);
        let policy = match (record(domain, errand, kept.is_some()), kept) {
            (Ok(Some(id)), Some(kept)) if is_current(&kept, &id) => Some(kept.policy),
            (Ok(Some(id)), _) => self.renew(domain, &id, errand, now, &mut news),
            (Ok(None), kept) => kept.map(|kept| kept.policy),
            (Err(error), kept) => {
                if !errand.is_stopped() {
                    news.push(News::NotAsked(error));
                }
                kept.map(|kept| kept.policy)
            }
        };
        Found { policy, news }
    }

    /// What is in memory, or else on disk.
    fn recall(&self, domain: &Name, now: SystemTime, news: &mut Vec<News>) -> Option<Kept> {
        if let Some(entry) = self.memory.lock().entries.get(domain) {
            return entry.kept.clone().filter(|kept| kept.holds(now));
        }
        let store = self.store.as_ref()?;
        let kept = store.read(domain).unwrap_or_else(|error| {
            news.push(News::Unread(store.directory().to_owned(), error));
            None
        });
        if kept.as_ref().is_some_and(|kept| !kept.holds(now)) {
            store.remove(domain);
        }
        let kept = kept.filter(|kept| kept.holds(now))?;
        // Another may have fetched one meanwhile, which is newer.
        let mut memory = self.memory.lock();
        Some(memory.entry(domain).kept.get_or_insert(kept).clone())
    }

    /// The policy with this id, or else the one that holds.
    fn renew(
        &self,
        domain: &Name,
        id: &PolicyId,
        errand: &Errand<'_>,
        now: SystemTime,
        news: &mut Vec<News>,
    ) -> Option<Policy> {
        let holding = {
            let mut memory = self.wait_for_others(domain, errand, now)?;
            let entry = memory.entry(domain);
            let kept = entry.kept.clone().filter(|kept| kept.holds(now));
            let is_current = kept.as_ref().is_some_and(|kept| kept.id == *id && !kept.is_old(now));
            let is_paused = entry.failed.is_some_and(|at| now.duration_since(at).is_ok_and(|since| since < PAUSE));
            if is_current || is_paused || entry.is_fetching {
                return kept.map(|kept| kept.policy);
            }
            entry.is_fetching = true;
            kept
        };
        // Dropped last, when all is kept that the others wait for.
        let _fetching = Fetching { policies: self, domain };
        let until = if holding.is_some() { errand.wait.until.min(after(RENEWING)) } else { errand.wait.until };
        match fetch(domain, self.port, &Errand { wait: Wait { until, ..errand.wait }, ..*errand }) {
            Ok(policy) => Some(self.keep(domain, Kept { id: id.clone(), policy, fetched: now }, news)),
            // It was not the domain that failed.
            Err(_) if errand.is_stopped() => holding.map(|kept| kept.policy),
            Err(error) => {
                self.memory.lock().entry(domain).failed = Some(now);
                news.push(News::NotFetched { error, holds: holding.is_some() });
                holding.map(|kept| kept.policy)
            }
        }
    }

    /// Waits until nobody fetches this domain's policy, unless one is there that holds. `None` when it takes too long.
    fn wait_for_others(&self, domain: &Name, errand: &Errand<'_>, now: SystemTime) -> Option<MutexGuard<'_, Memory>> {
        let mut memory = self.memory.lock();
        loop {
            let Some(entry) = memory.entries.get(domain) else { return Some(memory) };
            if !entry.is_fetching || entry.kept.as_ref().is_some_and(|kept| kept.holds(now)) {
                return Some(memory);
            }
            if errand.is_stopped() || Instant::now() >= errand.wait.until {
                return None;
            }
            self.fetched.wait_until(&mut memory, after(SLICE));
        }
    }

    fn keep(&self, domain: &Name, kept: Kept, news: &mut Vec<News>) -> Policy {
        let policy = kept.policy.clone();
        news.push(News::Fetched { id: kept.id.clone(), mode: policy.mode });
        if let Some(store) = &self.store
            && let Err(error) = store.write(domain, &kept)
        {
            news.push(News::Unwritten(store.directory().to_owned(), error));
        }
        let mut memory = self.memory.lock();
        let entry = memory.entry(domain);
        (entry.kept, entry.failed) = (Some(kept), None);
        policy
    }
}

impl Memory {
    /// What is known of this domain, which is now the last used.
    fn entry(&mut self, domain: &Name) -> &mut Entry {
        if self.entries.len() >= REMEMBERED && !self.entries.contains_key(domain) {
            let idle = self.entries.iter().filter(|(_, entry)| !entry.is_fetching);
            let oldest = idle.min_by_key(|(_, entry)| entry.used).map(|(name, _)| name.clone());
            oldest.map(|name| self.entries.remove(&name));
        }
        self.uses += 1;
        let entry = self.entries.entry(domain.clone()).or_default();
        entry.used = self.uses;
        entry
    }
}

/// Tells the others, however the fetch ends.
struct Fetching<'a> {
    policies: &'a Policies,
    domain: &'a Name,
}

impl Drop for Fetching<'_> {
    fn drop(&mut self) {
        if let Some(entry) = self.policies.memory.lock().entries.get_mut(self.domain) {
            entry.is_fetching = false;
        }
        self.policies.fetched.notify_all();
    }
}

/// The id in the domain's record; `None` when it has none.
fn record(domain: &Name, errand: &Errand<'_>, holds: bool) -> Result<Option<PolicyId>, SoftFailure> {
    let Some(name) = domain.below("_mta-sts") else { return Ok(None) };
    let until = if holds { errand.wait.until.min(after(RENEWING)) } else { errand.wait.until };
    let answer = errand.resolver.query(&name, Type::Txt, &Wait { until, ..errand.wait })?;
    Ok(id(answer.records()))
}
