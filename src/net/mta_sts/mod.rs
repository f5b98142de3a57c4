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
//! - A clock that is set back ends no policy: one from the future holds, is renewed at once where that can be done, and
//!   ends after half its time or more, counted from when it was noticed.
//! - What could not be fetched is not tried again for [`PAUSE`].
//! - One thread fetches a domain's policy; others that need it wait for that one, and those that have one that holds
//!   do not wait. All end by the moment, and at the wake, that the caller gives; who only renews waits [`RENEWING`].
//! - At most [`REMEMBERED`] domains are in memory, each with a policy of bounded size. Those without a policy make room
//!   first, then those that were asked for longest ago; what is on disk is found again.
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
use crate::sync::atomic::{AtomicBool, Ordering};
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
    /// How old it is.
    fn age(&self, now: SystemTime) -> Duration {
        now.duration_since(self.fetched).unwrap_or_default()
    }

    /// The age at which it is time to see if the domain has renewed it.
    fn old_age(&self) -> Duration {
        (self.policy.max_age / 2).min(DAY)
    }

    /// The same, if it holds. A clock was set back since one from the future was fetched, and how far nobody knows: such
    /// a one is as old as one that is to be renewed, so that it ends by this clock too. Others read the clock a moment
    /// earlier or later, which is no such thing.
    fn holding(mut self, now: SystemTime) -> Option<Kept> {
        if self.fetched > now && apart(self.fetched, now) >= PAUSE {
            self.fetched = now.checked_sub(self.old_age()).unwrap_or(now);
        }
        self.holds(now).then_some(self)
    }

    fn holds(&self, now: SystemTime) -> bool {
        self.age(now) < self.policy.max_age
    }

    /// Whether it is time to see if the domain has renewed it.
    fn is_old(&self, now: SystemTime) -> bool {
        self.age(now) >= self.old_age()
    }
}

fn apart(one: SystemTime, other: SystemTime) -> Duration {
    one.duration_since(other).unwrap_or_else(|error| error.duration())
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

impl Entry {
    /// The policy that holds; it, or else the other one, is what is kept.
    fn holding(&mut self, now: SystemTime, other: Option<Kept>) -> Option<Kept> {
        self.kept = self.kept.take().and_then(|kept| kept.holding(now)).or(other);
        self.kept.clone()
    }

    fn is_paused(&self, now: SystemTime) -> bool {
        self.failed.is_some_and(|at| apart(at, now) < PAUSE)
    }
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
    /// The store has been swept, once for each start.
    swept: AtomicBool,
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
        let (memory, fetched, swept) = (Mutex::default(), Condvar::new(), AtomicBool::new(false));
        Policies { memory, fetched, store, swept, port: HTTPS_PORT }
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
            (Ok(Some(id)), kept) => self.renew((domain, &id), kept, errand, now, &mut news),
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
        if let Some(kept) = self.memory.lock().known(domain).and_then(|entry| entry.holding(now, None)) {
            return Some(kept);
        }
        let store = self.store.as_ref()?;
        if !self.swept.swap(true, Ordering::Relaxed) {
            store.sweep(now);
        }
        let kept = store.read(domain).unwrap_or_else(|error| {
            news.push(News::Unread(store.directory().to_owned(), error));
            None
        })?;
        let Some(holding) = kept.holding(now) else {
            store.remove(domain);
            return None;
        };
        // Another may have fetched one meanwhile, which is newer.
        self.memory.lock().entry(domain).holding(now, Some(holding))
    }

    /// The policy with this id, or else the one that holds, which is at hand unless there is none.
    fn renew(
        &self,
        (domain, id): (&Name, &PolicyId),
        at_hand: Option<Kept>,
        errand: &Errand<'_>,
        now: SystemTime,
        news: &mut Vec<News>,
    ) -> Option<Policy> {
        let holding = {
            let mut memory = self.wait_for_others(domain, at_hand.is_some(), errand)?;
            let entry = memory.entry(domain);
            // It may have had to make room meanwhile.
            let kept = entry.holding(now, at_hand);
            let is_current = kept.as_ref().is_some_and(|kept| kept.id == *id && !kept.is_old(now));
            if is_current || entry.is_paused(now) || entry.is_fetching {
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

    /// Waits until nobody fetches this domain's policy, unless one is `at_hand`. `None` when it takes too long.
    fn wait_for_others(&self, domain: &Name, at_hand: bool, errand: &Errand<'_>) -> Option<MutexGuard<'_, Memory>> {
        let mut memory = self.memory.lock();
        while !at_hand && memory.entries.get(domain).is_some_and(|entry| entry.is_fetching) {
            if errand.is_stopped() || Instant::now() >= errand.wait.until {
                return None;
            }
            self.fetched.wait_until(&mut memory, after(SLICE));
        }
        Some(memory)
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
            let least = idle.min_by_key(|(_, entry)| (entry.kept.is_some(), entry.used)).map(|(name, _)| name.clone());
            least.map(|name| self.entries.remove(&name));
        }
        self.uses += 1;
        let entry = self.entries.entry(domain.clone()).or_default();
        entry.used = self.uses;
        entry
    }

    /// The same, if anything is known of it.
    fn known(&mut self, domain: &Name) -> Option<&mut Entry> {
        self.uses += 1;
        let entry = self.entries.get_mut(domain)?;
        entry.used = self.uses;
        Some(entry)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::dns::{Resolver, Settings};
    use crate::net::tls::Connectors;

    fn name(text: &str) -> Name {
        Name::parse(text).expect(text)
    }

    fn id() -> PolicyId {
        PolicyId::parse("1").expect("an id")
    }

    fn kept(fetched: SystemTime) -> Kept {
        let policy = b"version: STSv1\nmode: enforce\nmx: mx.test\nmax_age: 86400\n";
        Kept { id: id(), policy: Policy::parse(policy).expect("a policy"), fetched }
    }

    #[test]
    fn a_policy_from_the_future_holds_and_is_old_and_ends() {
        let (now, second) = (SystemTime::now(), Duration::from_secs(1));
        let clamped = kept(now + 9 * DAY).holding(now).expect("it holds");
        assert!(clamped.is_old(now));
        assert!(clamped.clone().holding(now + DAY / 2 - second).is_some());
        assert_eq!(clamped.holding(now + DAY / 2), None);
        // Another lane has read the clock a moment later.
        let fresh = kept(now + second).holding(now).expect("it holds");
        assert!(!fresh.is_old(now) && fresh.fetched == now + second);
        assert!(kept(now).holding(SystemTime::UNIX_EPOCH).is_some(), "no clock is too early");
    }

    #[test]
    fn what_has_no_policy_makes_room_first_and_then_what_was_not_asked_for() {
        let (mut memory, now) = (Memory::default(), SystemTime::now());
        for n in 0..REMEMBERED - 1 {
            memory.entry(&name(&format!("n{n}.test"))).kept = Some(kept(now));
        }
        assert!(memory.known(&name("n0.test")).is_some(), "now the last used but one");
        for n in 0..100 {
            memory.entry(&name(&format!("empty{n}.test"))).failed = Some(now);
        }
        let policies = memory.entries.values().filter(|entry| entry.kept.is_some()).count();
        assert_eq!((policies, memory.entries.len()), (REMEMBERED - 1, REMEMBERED));
        memory.entry(&name("empty99.test")).kept = Some(kept(now));
        memory.entry(&name("next.test")).kept = Some(kept(now));
        let has = |of: &str| memory.entries.contains_key(&name(of));
        assert!(has("n0.test") && !has("n1.test") && has("n2.test") && has("empty99.test"));
    }

    #[test]
    fn a_policy_that_had_to_make_room_is_still_the_one_at_hand() {
        let (policies, now) = (Policies::default(), SystemTime::now());
        let (resolver, connectors) = (Resolver::new(Settings::of(Vec::new())), Connectors::default());
        let wait = Wait { until: Instant::now(), wake: None };
        let tls = &crate::config::TlsSettings::default();
        let errand = Errand { resolver: &resolver, connectors: &connectors, tls, source_address: None, wait };
        let of = |at_hand: Option<Kept>| {
            policies.renew((&name("a.test"), &id()), at_hand, &errand, now, &mut Vec::new()).is_some()
        };
        policies.memory.lock().entry(&name("a.test")).failed = Some(now);
        assert!(!of(None));
        assert!(of(Some(kept(now - DAY / 2))), "it was not fetched again, and holds");
        assert!(of(None), "it is in memory again");
        // Nor is it forgotten while another fetches.
        policies.memory.lock().entry(&name("a.test")).is_fetching = true;
        assert!(of(Some(kept(now - DAY / 2))));
    }
}
