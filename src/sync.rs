//! Floor 0: the locks, channels and budgets that every floor above may use.
//!
//! `parking_lot` and `crossbeam-channel` are named here and nowhere else, so that the schedule explorer's twins
//! (`explored`) or another implementation can be put in their place at one point. What lanes share uses [`thread`] and
//! [`atomic`] from here for the same reason. Poisoning does not exist here: a thread that panics leaves its lock open,
//! and the [`crate::lane::ticket`] law (a dropped ticket is a deferred report) keeps the messages right.

use self::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

#[cfg(pipelane_shuttle)]
mod explored;

#[cfg(not(pipelane_shuttle))]
pub use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded, unbounded};
#[cfg(pipelane_shuttle)]
pub use explored::*;
#[cfg(not(pipelane_shuttle))]
pub use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};
#[cfg(not(pipelane_shuttle))]
pub use std::{sync::atomic, thread};

/// No wait is longer, so that the clock cannot overflow whatever a caller asks for.
pub const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// The moment when this patience, which begins now, is over.
pub fn after(patience: Duration) -> Instant {
    Instant::now() + patience.min(LONGEST)
}

/// A bounded amount of something (bytes held, messages held, connections open) shared by many threads.
///
/// [`Budget::take`] waits until there is room; the [`Permit`] it returns gives its share back when dropped.
/// A single request larger than the whole budget is let through when nothing else is held, so that a
/// large message is slow rather than impossible.
#[derive(Debug)]
pub struct Budget {
    limit: AtomicU64,
    held: AtomicU64,
    /// How many wait for room. Whoever gives some back tells them only if there are any: nearly always there are none.
    waiting: Mutex<()>,
    waiters: AtomicU64,
    freed: Condvar,
}

impl Budget {
    /// A budget of `limit` units, none of them held, that gives permits.
    pub fn new(limit: u64) -> Arc<Budget> {
        Arc::new(Budget::of(limit))
    }

    /// The same for who keeps account of what it holds.
    pub fn of(limit: u64) -> Budget {
        Budget {
            limit: AtomicU64::new(limit),
            held: AtomicU64::new(0),
            waiting: Mutex::new(()),
            waiters: AtomicU64::new(0),
            freed: Condvar::new(),
        }
    }

    /// Takes `amount` units, waiting up to `patience` for others to give theirs back.
    /// Returns `None` when the time ran out.
    pub fn take(self: &Arc<Budget>, amount: u64, patience: Duration) -> Option<Permit> {
        self.hold(amount, patience).then(|| Permit { budget: Arc::clone(self), amount })
    }

    /// The same without a permit: who gets `true` must give back as much, once.
    pub fn hold(&self, amount: u64, patience: Duration) -> bool {
        self.grab(amount) || (!patience.is_zero() && self.wait(amount, after(patience)))
    }

    /// Takes `amount` units only if they are free at this moment.
    pub fn try_take(self: &Arc<Budget>, amount: u64) -> Option<Permit> {
        self.take(amount, Duration::ZERO)
    }

    /// Changes the limit. What is held already stays held, be it too much.
    pub fn set_limit(&self, limit: u64) {
        self.limit.store(limit, Ordering::SeqCst);
        self.tell();
    }

    /// Units held at this moment.
    pub fn held(&self) -> u64 {
        self.held.load(Ordering::SeqCst)
    }

    /// Takes units if they are free.
    fn grab(&self, amount: u64) -> bool {
        let taken = |held: u64| self.fits(held, amount).then(|| held.saturating_add(amount));
        self.held.fetch_update(Ordering::SeqCst, Ordering::SeqCst, taken).is_ok()
    }

    /// Waits for units and takes them; `false` when the time ran out. Who counts as waiting looks once more before it
    /// waits, and who gives back looks afterwards whether anybody waits: one of them sees the other.
    fn wait(&self, amount: u64, deadline: Instant) -> bool {
        let mut waiting = self.waiting.lock();
        self.waiters.fetch_add(1, Ordering::SeqCst);
        let mut got = self.grab(amount);
        while !got {
            let late = self.freed.wait_until(&mut waiting, deadline).timed_out();
            got = self.grab(amount);
            if late {
                break;
            }
        }
        self.waiters.fetch_sub(1, Ordering::SeqCst);
        got
    }

    fn tell(&self) {
        if self.waiters.load(Ordering::SeqCst) > 0 {
            let _waiting = self.waiting.lock();
            self.freed.notify_all();
        }
    }

    fn fits(&self, held: u64, amount: u64) -> bool {
        held == 0 || held.saturating_add(amount) <= self.limit.load(Ordering::SeqCst)
    }

    /// Ends a [`Budget::hold`].
    pub fn give_back(&self, amount: u64) {
        self.held.fetch_sub(amount, Ordering::SeqCst);
        self.tell();
    }
}

/// A share of a [`Budget`], given back when dropped.
#[derive(Debug)]
pub struct Permit {
    budget: Arc<Budget>,
    amount: u64,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.budget.give_back(self.amount);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_lends_no_more_than_it_has() {
        let budget = Budget::new(10);
        let seven = budget.try_take(7).expect("seven of ten");
        assert!(budget.try_take(4).is_none());
        let three = budget.try_take(3).expect("the last three");
        drop(seven);
        assert_eq!(budget.held(), 3);
        drop(three);
        assert_eq!(budget.held(), 0);
    }

    #[test]
    fn an_oversized_request_is_served_alone() {
        let budget = Budget::new(10);
        let whole = budget.try_take(50).expect("nothing else is held");
        assert!(budget.try_take(1).is_none());
        drop(whole);
        assert!(budget.try_take(1).is_some());
    }

    #[test]
    fn a_patience_without_end_is_no_overflow() {
        let budget = Budget::new(1);
        assert!(budget.take(1, Duration::MAX).is_some());
        assert!(after(Duration::MAX) > Instant::now());
    }

    #[test]
    fn a_waiter_is_woken_by_what_is_given_back() {
        // One that is not told waits for ever.
        let wakes = |wake: fn(&Budget, Permit) -> Option<Permit>| {
            let budget = Budget::new(1);
            let held = budget.try_take(1).expect("free");
            let waiting = std::thread::spawn({
                let budget = Arc::clone(&budget);
                move || budget.take(1, LONGEST).is_some()
            });
            while budget.waiters.load(Ordering::SeqCst) == 0 {
                std::thread::yield_now();
            }
            let _still_held = wake(&budget, held);
            assert!(waiting.join().expect("the waiter ends"));
        };
        wakes(|_, held| {
            drop(held);
            None
        });
        wakes(|budget, held| {
            budget.set_limit(2);
            Some(held)
        });
    }
}
