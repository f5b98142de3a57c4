//! What a link is like, and what it may not be like.
//!
//! Every link has a bound on what it holds: a rate, a delay and a queue that together would hold more than
//! [`HELD_LIMIT`] octets are refused at the start.

use std::time::Duration;

/// The most octets that one direction holds, waiting or on their way. Where no rate bounds it, what is over is dropped.
pub(crate) const HELD_LIMIT: u64 = 256 * 1024 * 1024;
const LONGEST_DELAY: Duration = Duration::from_secs(60);
const HIGHEST_RATE: u64 = 1_000_000_000_000;

/// How much one direction carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Direction {
    /// Bits of IP packets in a second; `None` carries as fast as the machine can.
    pub rate: Option<u64>,
    /// How many octets may wait for the rate. A packet that finds the queue too full for it is dropped; one that finds
    /// nothing before it never is. Without a rate nothing waits.
    pub queue: u64,
}

impl Direction {
    /// As fast as the machine can.
    pub const UNLIMITED: Direction = Direction { rate: None, queue: 0 };
}

/// A link of two directions. The default has no delay and no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkOptions {
    /// From the end of a packet's transmission to its arrival, one way.
    pub delay: Duration,
    /// From near to far.
    pub up: Direction,
    /// From far to near.
    pub down: Direction,
}

impl Default for LinkOptions {
    fn default() -> LinkOptions {
        LinkOptions::symmetric(Duration::ZERO, Direction::UNLIMITED)
    }
}

impl LinkOptions {
    /// The same in both directions.
    pub fn symmetric(delay: Duration, both: Direction) -> LinkOptions {
        LinkOptions { delay, up: both, down: both }
    }

    /// What is wrong with them.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.delay > LONGEST_DELAY {
            return Err(format!("a delay of {:?} is over {LONGEST_DELAY:?}", self.delay));
        }
        [("up", self.up), ("down", self.down)]
            .into_iter()
            .try_for_each(|(name, direction)| direction.check(self.delay).map_err(|why| format!("{name}: {why}")))
    }
}

impl Direction {
    fn check(self, delay: Duration) -> Result<(), String> {
        let Some(rate) = self.rate else { return Ok(()) };
        if rate == 0 || rate > HIGHEST_RATE {
            return Err(format!("a rate is from 1 to {HIGHEST_RATE} bit/s, not {rate}"));
        }
        let on_the_way = u128::from(rate) * delay.as_nanos() / 8_000_000_000;
        let most = on_the_way + u128::from(self.queue);
        if most > u128::from(HELD_LIMIT) {
            return Err(format!("rate, delay and queue could hold {most} octets, over {HELD_LIMIT}"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(delay: Duration, rate: Option<u64>, queue: u64) -> LinkOptions {
        LinkOptions { delay, down: Direction { rate, queue }, ..LinkOptions::default() }
    }

    #[test]
    fn what_could_not_work_or_has_no_bound_is_refused() {
        let second = Duration::from_secs(1);
        assert_eq!(options(second, None, u64::MAX).check(), Ok(()));
        assert_eq!(options(second, Some(1_000_000_000), 1_000_000).check(), Ok(()));
        for (bad, why) in [
            (options(second, Some(0), 1), "down: a rate is from 1"),
            (options(second, Some(u64::MAX), 1), "down: a rate is from 1"),
            (options(second, Some(10_000_000_000), 0), "down: rate, delay and queue could hold 1250000000 octets"),
            (options(second, Some(1), u64::MAX), "down: rate, delay and queue could hold"),
            (options(Duration::MAX, None, 0), "a delay of"),
        ] {
            let told = bad.check().expect_err("refused");
            assert!(told.starts_with(why), "{told}");
        }
    }
}
