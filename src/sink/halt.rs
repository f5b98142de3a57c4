//! The word to stop, and the waits that it cuts short: a plain sleep, and the shared line of a given rate.

use crate::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

/// Set once, for good.
#[derive(Debug, Default)]
pub(super) struct Halt {
    set: Mutex<bool>,
    changed: Condvar,
}

impl Halt {
    /// Ends every wait, now and later.
    pub(super) fn set(&self) {
        *self.set.lock() = true;
        self.changed.notify_all();
    }

    pub(super) fn is_set(&self) -> bool {
        *self.set.lock()
    }

    /// Waits until then. Returns `false` when cut short.
    pub(super) fn sleep_until(&self, then: Instant) -> bool {
        let mut set = self.set.lock();
        while !*set {
            if self.changed.wait_until(&mut set, then).timed_out() {
                return !*set;
            }
        }
        false
    }
}

/// A line that carries so many octets a second, shared by all connections: whoever reads waits until the line
/// has carried what was read.
#[derive(Debug)]
pub(super) struct Line {
    octets_per_second: u64,
    free_at: Mutex<Instant>,
}

impl Line {
    pub(super) fn new(kbit: u64) -> Line {
        Line { octets_per_second: (kbit.max(1) * 1000) / 8, free_at: Mutex::new(Instant::now()) }
    }

    /// The most octets to read at once: a packet, or what takes 5 ms.
    pub(super) fn quantum(&self) -> usize {
        usize::try_from(self.octets_per_second / 200).unwrap_or(usize::MAX).max(1460)
    }

    /// A receive buffer that fills in about a quarter of a second, so that the sender sees the line fill up.
    pub(super) fn receive_buffer(&self) -> usize {
        usize::try_from(self.octets_per_second / 4).unwrap_or(usize::MAX).clamp(8 << 10, 512 << 10)
    }

    /// Books the line for so many octets and tells when it has carried them.
    pub(super) fn carry(&self, octets: usize) -> Instant {
        let mut free_at = self.free_at.lock();
        let time = Duration::from_nanos(octets as u64 * 1_000_000_000 / self.octets_per_second);
        *free_at = (*free_at).max(Instant::now()) + time;
        *free_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_sleeper_is_woken() {
        let halt = Arc::new(Halt::default());
        let sleeper = std::thread::spawn({
            let halt = Arc::clone(&halt);
            move || halt.sleep_until(Instant::now() + Duration::from_secs(600))
        });
        halt.set();
        assert!(!sleeper.join().expect("it ends"));
    }

    #[test]
    fn the_line_is_booked_one_after_the_other() {
        let line = Line::new(80);
        let first = line.carry(10_000);
        assert_eq!(line.carry(5_000) - first, Duration::from_millis(500));
    }
}
