//! How many messages may be held, with how many octets together, here and in the larger quota that this one is a part
//! of.
//!
//! A channel has one within the engine's. [`Quota::take`] waits until there is room in both; the [`Space`] it returns
//! is free again when dropped.

use crate::sync::{Budget, after};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// See the [module](self).
#[derive(Debug)]
pub struct Quota {
    messages: Budget,
    octets: Budget,
    within: Option<Arc<Quota>>,
}

/// The room that one message takes up.
#[derive(Debug)]
pub struct Space {
    quota: Arc<Quota>,
    octets: u64,
}

impl Quota {
    /// So many messages and octets.
    pub fn new(messages: u64, octets: u64) -> Quota {
        Quota { messages: Budget::of(messages), octets: Budget::of(octets), within: None }
    }

    /// The same as a part of another: what is held here is held there too.
    pub fn within(other: &Arc<Quota>, messages: u64, octets: u64) -> Quota {
        Quota { within: Some(Arc::clone(other)), ..Quota::new(messages, octets) }
    }

    /// Changes the limits, but for those of what it is within. What is held already stays held, be it too much.
    pub fn set_limits(&self, messages: u64, octets: u64) {
        self.messages.set_limit(messages);
        self.octets.set_limit(octets);
    }

    /// Messages held here.
    pub fn messages(&self) -> u64 {
        self.messages.held()
    }

    /// Takes room for a message, waiting up to `patience` for others to give theirs back. `None` when the time ran out.
    pub fn take(self: &Arc<Quota>, octets: u64, patience: Duration) -> Option<Space> {
        // The clock is not read for who does not wait.
        let deadline = (!patience.is_zero()).then(|| after(patience));
        self.hold(octets, deadline).then(|| Space { quota: Arc::clone(self), octets })
    }

    /// The narrow budgets first: whoever waits there holds nothing that others need. All take them in this order.
    fn hold(&self, octets: u64, deadline: Option<Instant>) -> bool {
        let left = || deadline.map_or(Duration::ZERO, |end| end.saturating_duration_since(Instant::now()));
        if !self.messages.hold(1, left()) {
            return false;
        }
        if self.octets.hold(octets, left()) {
            if self.within.as_ref().is_none_or(|other| other.hold(octets, deadline)) {
                return true;
            }
            self.octets.give_back(octets);
        }
        self.messages.give_back(1);
        false
    }

    fn give_back(&self, octets: u64) {
        self.messages.give_back(1);
        self.octets.give_back(octets);
        if let Some(other) = &self.within {
            other.give_back(octets);
        }
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        self.quota.give_back(self.octets);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::ZERO;

    fn nested(whole: (u64, u64), part: (u64, u64)) -> (Arc<Quota>, Arc<Quota>) {
        let whole = Arc::new(Quota::new(whole.0, whole.1));
        let part = Arc::new(Quota::within(&whole, part.0, part.1));
        (whole, part)
    }

    #[test]
    fn what_is_taken_is_held_in_both_and_given_back_to_both() {
        let (whole, part) = nested((10, 100), (10, 100));
        let spaces = [part.take(30, NOW).expect("room"), whole.take(20, NOW).expect("room")];
        assert_eq!([&whole, &part].map(|s| (s.messages(), s.octets.held())), [(2, 50), (1, 30)]);
        drop(spaces);
        assert_eq!([&whole, &part].map(|s| (s.messages(), s.octets.held())), [(0, 0), (0, 0)]);
    }

    #[test]
    fn whichever_budget_is_short_nothing_is_held_for_who_gets_nothing() {
        for (whole, part) in [((9, 99), (1, 99)), ((9, 99), (9, 50)), ((1, 99), (9, 99)), ((9, 50), (9, 99))] {
            let (whole, part) = nested(whole, part);
            let first = part.take(30, NOW).expect("the first");
            for patience in [NOW, Duration::from_millis(1)] {
                assert!(part.take(30, patience).is_none());
            }
            assert_eq!([&whole, &part].map(|s| (s.messages(), s.octets.held())), [(1, 30), (1, 30)]);
            drop(first);
            assert!(part.take(30, NOW).is_some());
        }
    }

    #[test]
    fn who_waits_for_the_whole_is_woken_by_who_left_another_part() {
        let (whole, part) = nested((1, 100), (9, 100));
        let held = whole.take(1, NOW).expect("room");
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| part.take(1, Duration::from_secs(600)).is_some());
            while part.messages() == 0 {
                std::thread::yield_now();
            }
            drop(held);
            assert!(waiting.join().expect("it ends"));
        });
    }
}
