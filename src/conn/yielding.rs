//! When a lane with large content may write while smaller messages are on their way over other lanes.
//!
//! On a narrow link a small message waits behind whatever a large one has put on the line. So, while a smaller bin has
//! anything unanswered, a lane writes **pieces** with pauses between them that leave four fifths of the line's time to
//! the others; once they are done it goes on at full speed. How long a piece occupies the line is not known to a sender
//! whose octets vanish in the kernel. It is reckoned from the line's **rate**: octets acknowledged in time, watched
//! while the lane writes without restraint, or, as long as nothing was seen, what TCP itself reckons with (congestion
//! window by round trip). On a line faster than [`WIDE`] a piece is gone before it matters, and nothing is held back.
//!
//! Pure arithmetic: the clock is the caller's.

use std::time::{Duration, Instant};

/// Octets in a second from which on a line is not narrow: about 10 Mbit/s.
pub const WIDE: f64 = 1_250_000.0;
/// No line is taken to be slower, in octets a second.
const LEAST_RATE: f64 = 100.0;
/// The line's time that a piece may take, and the bounds of a piece in octets: from a packet to a few.
const PIECE_TIME: f64 = 0.05;
const LEAST_PIECE: f64 = 1_400.0;
const LARGEST_PIECE: f64 = 16_384.0;
/// The lane has one part in so many of the line's time.
const SHARE: f64 = 5.0;
/// No pause is longer, so that no server takes the connection for dead (RFC 5321 4.5.3.2.5).
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Round trips in which smaller messages, for which a connection may have to be made first, have the line to
/// themselves: three to connect and greet, some in which TCP begins slowly. And no longer than this.
const HEAD_START: u32 = 8;
const LONGEST_HEAD_START: Duration = Duration::from_secs(3);
/// The rate is measured over times of at least this, and forgotten with about this time where it has fallen.
const SAMPLE: Duration = Duration::from_millis(100);
const MEMORY: f64 = 5.0;

/// What the socket tells.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Traffic {
    /// Octets handed to the kernel since the connection was made.
    pub written: u64,
    /// Of these, octets that the peer has not acknowledged.
    pub unacknowledged: u64,
    /// What TCP may have on its way in a second, by its congestion window and round trip.
    pub window_rate: Option<f64>,
    /// TCP's round trip.
    pub round_trip: Duration,
}

/// What may be written now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// Everything.
    All,
    /// So many octets at the most.
    Piece(usize),
    /// Nothing before this moment.
    Pause(Instant),
}

/// The restraint of one connection. See the [module](self).
#[derive(Debug, Default)]
pub struct Yielding {
    rate: f64,
    /// The beginning of a time in which the line was never idle: when, and octets acknowledged by then.
    sample: Option<(Instant, u64)>,
    /// While yielding: when the next piece may go.
    next: Option<Instant>,
}

impl Yielding {
    /// Whether the lane is held back at this time.
    pub fn is_active(&self) -> bool {
        self.next.is_some()
    }

    /// What may be written now; `wanted`: smaller messages are on their way elsewhere.
    pub fn grant(&mut self, wanted: bool, traffic: Traffic, now: Instant) -> Grant {
        if !wanted {
            self.next = None;
            self.observe(traffic, now);
            return Grant::All;
        }
        let known = Some(self.rate).filter(|rate| *rate > 0.0).or(traffic.window_rate);
        let rate = known.unwrap_or_default().max(LEAST_RATE);
        self.sample = None;
        if rate >= WIDE {
            self.next = None;
            return Grant::All;
        }
        let drained = time_of(traffic.unacknowledged as f64, rate);
        let begin = || now + drained.max(HEAD_START * traffic.round_trip).min(LONGEST_HEAD_START);
        let next = *self.next.get_or_insert_with(begin);
        if now < next {
            return Grant::Pause(next);
        }
        let piece = (rate * PIECE_TIME).clamp(LEAST_PIECE, LARGEST_PIECE);
        self.next = Some(now + time_of(SHARE * piece, rate).min(LONGEST_PAUSE));
        Grant::Piece(piece as usize)
    }

    /// Measures the rate while the lane writes as fast as it can.
    fn observe(&mut self, traffic: Traffic, now: Instant) {
        let acknowledged = traffic.written - traffic.unacknowledged.min(traffic.written);
        let Some((since, before)) = self.sample.filter(|_| traffic.unacknowledged > 0) else {
            self.sample = Some((now, acknowledged));
            return;
        };
        let elapsed = now.saturating_duration_since(since);
        if elapsed < SAMPLE {
            return;
        }
        let seen = acknowledged.saturating_sub(before) as f64 / elapsed.as_secs_f64();
        let forgotten = (elapsed.as_secs_f64() / MEMORY).min(1.0);
        self.rate = if seen >= self.rate { seen } else { self.rate - (self.rate - seen) * forgotten };
        self.sample = Some((now, acknowledged));
    }
}

fn time_of(octets: f64, rate: f64) -> Duration {
    Duration::try_from_secs_f64(octets / rate).unwrap_or(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traffic(written: u64, unacknowledged: u64) -> Traffic {
        Traffic { written, unacknowledged, window_rate: None, round_trip: Duration::ZERO }
    }

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// One that has seen so many octets in a second.
    fn seen(rate: u64, start: Instant) -> Yielding {
        let mut yielding = Yielding::default();
        for tenth in 0..20 {
            let written = 100_000 + tenth * rate / 10;
            assert_eq!(yielding.grant(false, traffic(written, 100_000), start + ms(100 * tenth)), Grant::All);
        }
        yielding
    }

    #[test]
    fn nothing_is_held_back_without_need_or_on_a_wide_line() {
        let start = Instant::now();
        let mut wide = seen(2_000_000, start);
        assert_eq!(wide.grant(true, traffic(9_000_000, 50_000), start + ms(2000)), Grant::All);
        let mut young = Yielding::default();
        let fast = Traffic { window_rate: Some(5e6), ..traffic(0, 0) };
        assert_eq!(young.grant(true, fast, start), Grant::All);
        assert!(!wide.is_active() && !young.is_active());
    }

    #[test]
    fn it_uses_a_fifth_of_the_lines_time_at_the_most() {
        for rate in [1_000, 8_000, 250_000, 1_000_000] {
            let start = Instant::now();
            let mut yielding = seen(rate, start);
            let (begin, mut now, mut sent) = (start + ms(2000), start + ms(2000), 0);
            let end = begin + Duration::from_secs(600);
            while now < end {
                match yielding.grant(true, traffic(1 << 30, 0), now) {
                    Grant::All => panic!("the line is narrow"),
                    Grant::Piece(octets) => sent += octets,
                    Grant::Pause(until) => now = until,
                }
            }
            let share = sent as f64 / rate as f64 / 600.0;
            assert!((0.18..=0.21).contains(&share), "{share} at {rate}");
            assert!(yielding.is_active());
        }
    }

    #[test]
    fn it_lets_the_line_run_empty_first_and_goes_on_at_once_when_the_others_are_done() {
        let start = Instant::now();
        let mut yielding = seen(250_000, start);
        let begin = start + ms(2000);
        let Grant::Pause(until) = yielding.grant(true, traffic(1 << 20, 125_000), begin) else { panic!("a pause") };
        assert!((ms(450)..=ms(550)).contains(&(until - begin)), "{:?}", until - begin);
        assert_eq!(yielding.grant(false, traffic(1 << 20, 0), begin + ms(10)), Grant::All);
        assert!(!yielding.is_active());
    }

    #[test]
    fn a_line_that_became_slow_is_noticed_and_an_idle_one_is_not_slow() {
        let start = Instant::now();
        let mut yielding = seen(1_000_000, start);
        let later = start + Duration::from_secs(100);
        yielding.grant(false, traffic(5_000_000, 0), later);
        assert!(yielding.rate > 900_000.0, "it was idle: {}", yielding.rate);
        for tenth in 1..200 {
            yielding.grant(false, traffic(5_100_000 + tenth * 1_000, 100_000), later + ms(100 * tenth));
        }
        assert!(yielding.rate < 100_000.0, "{}", yielding.rate);
    }

    #[test]
    fn no_pause_is_without_end() {
        let mut yielding = Yielding::default();
        let now = Instant::now();
        let Grant::Pause(until) = yielding.grant(true, traffic(1 << 30, 1 << 20), now) else { panic!("a pause") };
        assert!(until - now <= LONGEST_HEAD_START);
        assert!(matches!(yielding.grant(true, traffic(1 << 30, 0), until), Grant::Piece(_)));
        let Grant::Pause(next) = yielding.grant(true, traffic(1 << 30, 0), until) else { panic!("a pause") };
        assert!(next - until <= LONGEST_PAUSE);
    }
}
