//! Which sites the scheduler was told to be dead.
//!
//! `deferall` makes the scheduler count an attempt for every message that waits for the host, so it is said once an
//! outage and not for each of the jobs that are here. How long a site is not tried at all is the engine's own affair;
//! this is only what is said of it.

use crate::sync::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// For so long it is not said again.
const SILENCE: Duration = Duration::from_secs(60);

/// Hosts kept at the most.
const MOST: usize = 10_000;

/// What was said.
#[derive(Debug, Default)]
pub(super) struct Outages(Mutex<HashMap<Arc<str>, Instant>>);

impl Outages {
    /// Whether nobody has said so of this host in this outage; from now on somebody has.
    pub fn is_first(&self, host: &Arc<str>, now: Instant) -> bool {
        let mut said = self.0.lock();
        if said.get(host).is_some_and(|at| now.saturating_duration_since(*at) < SILENCE) {
            return false;
        }
        if said.len() >= MOST {
            said.retain(|_, at| now.saturating_duration_since(*at) < SILENCE);
        }
        if said.len() < MOST {
            said.insert(Arc::clone(host), now);
        }
        true
    }

    /// The host takes mail: the next outage is another one.
    pub fn is_over(&self, host: &str) {
        self.0.lock().remove(host);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_once_an_outage() {
        let (outages, now) = (Outages::default(), Instant::now());
        let (host, other): (Arc<str>, Arc<str>) = ("b.test".into(), "c.test".into());
        assert!(outages.is_first(&host, now));
        assert!(!outages.is_first(&host, now + SILENCE / 2));
        assert!(outages.is_first(&other, now));
        assert!(outages.is_first(&host, now + SILENCE));
        outages.is_over("b.test");
        assert!(outages.is_first(&host, now + SILENCE));
    }

    #[test]
    fn hosts_without_end_are_bounded() {
        let (outages, now) = (Outages::default(), Instant::now());
        for n in 0..MOST + 10 {
            assert!(outages.is_first(&format!("h{n}").into(), now));
        }
        assert_eq!(outages.0.lock().len(), MOST);
        assert!(outages.is_first(&"late".into(), now + SILENCE));
        assert_eq!(outages.0.lock().len(), 1);
    }
}
