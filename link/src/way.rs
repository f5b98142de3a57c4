//! One direction of a link as arithmetic: which packets are dropped, and when the others arrive. No clock and no
//! socket: the caller says what time it is, counted from any moment of its choice, and never goes back.
//!
//! A packet's transmission begins when the one before it is transmitted, or now; it takes its octets by the rate; and
//! the packet arrives by the delay later. All this is fixed when it is offered, so that a caller who looks late makes
//! one packet late and no other.
//!
//! Promises:
//! - Packets arrive in the order in which they were offered.
//! - The rate is never exceeded. A packet's time is rounded up to a nanosecond.
//! - A packet is dropped only if something waits before it and both together are more than the queue takes, or if
//!   [`HELD_LIMIT`] is reached.
//! - What was offered is carried, dropped or under way.

use crate::options::{Direction, HELD_LIMIT};
use crate::tally::Traffic;
use std::collections::VecDeque;
use std::time::Duration;

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Way {
    direction: Direction,
    delay: Duration,
    /// When all that was taken is transmitted.
    free_at: Duration,
    under_way: VecDeque<Packet>,
    traffic: Traffic,
}

/// A packet that has been taken.
#[derive(Debug)]
pub(crate) struct Packet {
    /// When it arrives.
    pub(crate) due: Duration,
    /// All of it, from the IP header on.
    pub(crate) octets: Box<[u8]>,
}

impl Way {
    /// A free line. A rate of 0 would never transmit anything and is taken as 1.
    pub(crate) fn new(direction: Direction, delay: Duration) -> Way {
        let direction = Direction { rate: direction.rate.map(|rate| rate.max(1)), ..direction };
        Way { direction, delay, free_at: Duration::ZERO, under_way: VecDeque::new(), traffic: Traffic::default() }
    }

    /// A packet comes in. Whether it was taken.
    pub(crate) fn offer(&mut self, now: Duration, packet: &[u8]) -> bool {
        let (backlog, length) = (self.backlog(now), packet.len() as u64);
        self.traffic.offered.add(packet.len());
        let too_full = backlog > 0 && backlog + length > self.direction.queue;
        if too_full || self.traffic.under_way.octets + length > HELD_LIMIT {
            self.traffic.dropped.add(packet.len());
            return false;
        }
        self.free_at = self.free_at.max(now) + self.transmission(length);
        self.traffic.under_way.add(packet.len());
        if self.direction.rate.is_some() {
            self.traffic.largest_queue = self.traffic.largest_queue.max(backlog + length);
        }
        self.under_way.push_back(Packet { due: self.free_at + self.delay, octets: packet.into() });
        true
    }

    /// When the next packet arrives.
    pub(crate) fn next(&self) -> Option<Duration> {
        self.under_way.front().map(|packet| packet.due)
    }

    /// The next packet that has arrived by now.
    pub(crate) fn arrive(&mut self, now: Duration) -> Option<Packet> {
        self.next().filter(|due| *due <= now)?;
        let packet = self.under_way.pop_front()?;
        self.traffic.under_way.take_back(packet.octets.len());
        self.traffic.carried.add(packet.octets.len());
        Some(packet)
    }

    /// A packet that arrived was not taken by whom it was for.
    pub(crate) fn refused(&mut self, packet: &Packet) {
        self.traffic.carried.take_back(packet.octets.len());
        self.traffic.dropped.add(packet.octets.len());
    }

    /// What it did so far.
    pub(crate) fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// Octets that wait for the rate; of a packet half transmitted, half.
    fn backlog(&self, now: Duration) -> u64 {
        let left = self.free_at.saturating_sub(now).as_nanos();
        let octets = |rate: u64| (left * u128::from(rate)).div_ceil(8_000_000_000);
        self.direction.rate.map_or(0, |rate| u64::try_from(octets(rate)).unwrap_or(u64::MAX))
    }

    fn transmission(&self, octets: u64) -> Duration {
        let nanos = |rate: u64| (u128::from(octets) * 8_000_000_000).div_ceil(u128::from(rate));
        let nanos = self.direction.rate.map_or(0, |rate| u64::try_from(nanos(rate)).unwrap_or(u64::MAX));
        Duration::from_nanos(nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally::Count;
    use proptest::prelude::*;

    fn millis(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// 8 kbit/s: an octet in a millisecond.
    fn slow(queue: u64, delay: Duration) -> Way {
        Way::new(Direction { rate: Some(8000), queue }, delay)
    }

    fn arrivals(way: &mut Way) -> Vec<(Duration, usize)> {
        std::iter::from_fn(|| way.arrive(Duration::MAX)).map(|packet| (packet.due, packet.octets.len())).collect()
    }

    #[test]
    fn a_packet_takes_its_transmission_and_the_delay() {
        let mut way = slow(1000, millis(300));
        assert!(way.offer(millis(5), &[1; 40]));
        assert!(way.offer(millis(15), &[2; 10]));
        assert!(way.offer(millis(100), &[3; 1]));
        assert_eq!(way.next(), Some(millis(345)));
        assert!(way.arrive(millis(345) - Duration::from_nanos(1)).is_none(), "not a nanosecond before its time");
        assert_eq!(arrivals(&mut way), [(millis(345), 40), (millis(355), 10), (millis(401), 1)]);
        assert_eq!(way.next(), None);
    }

    #[test]
    fn the_queue_drops_at_its_end_and_recovers() {
        let mut way = slow(100, Duration::ZERO);
        assert!(way.offer(Duration::ZERO, &[0; 60]));
        assert!(way.offer(Duration::ZERO, &[0; 40]));
        assert!(!way.offer(Duration::ZERO, &[0; 1]), "100 octets wait");
        assert!(way.offer(millis(1), &[0; 1]), "one has gone");
        assert!(!way.offer(millis(1), &[0; 1]));
        let traffic = way.traffic();
        assert_eq!((traffic.dropped, traffic.largest_queue), (Count { packets: 2, octets: 2 }, 100));
        assert_eq!(arrivals(&mut way), [(millis(60), 60), (millis(100), 40), (millis(101), 1)]);
    }

    #[test]
    fn a_free_line_takes_a_packet_larger_than_its_queue() {
        let mut way = slow(0, Duration::ZERO);
        assert!(way.offer(Duration::ZERO, &[0; 100]));
        assert!(!way.offer(millis(99), &[0; 1]));
        assert!(way.offer(millis(100), &[0; 1]));
    }

    #[test]
    fn without_a_rate_all_arrives_by_the_delay_later() {
        let mut way = Way::new(Direction::UNLIMITED, millis(20));
        for _ in 0..1000 {
            assert!(way.offer(millis(1), &[0; 1500]));
        }
        assert_eq!(way.traffic().largest_queue, 0);
        assert!(arrivals(&mut way).iter().all(|arrival| *arrival == (millis(21), 1500)));
    }

    #[test]
    fn what_the_receiver_refuses_counts_as_dropped() {
        let mut way = Way::new(Direction::UNLIMITED, Duration::ZERO);
        way.offer(Duration::ZERO, &[0; 7]);
        let packet = way.arrive(Duration::ZERO).expect("due");
        way.refused(&packet);
        let one = Count { packets: 1, octets: 7 };
        assert_eq!(way.traffic(), Traffic { offered: one, dropped: one, ..Traffic::default() });
    }

    #[test]
    fn what_is_held_has_a_bound_without_a_rate_too() {
        let mut way = Way::new(Direction::UNLIMITED, millis(1));
        let large = vec![0; 1024 * 1024];
        let taken = (0..300).filter(|_| way.offer(Duration::ZERO, &large)).count();
        assert_eq!(taken as u64, HELD_LIMIT / large.len() as u64);
    }

    /// Gaps between packets in microseconds, and their lengths.
    fn packets() -> impl Strategy<Value = Vec<(u64, usize)>> {
        prop::collection::vec((prop_oneof![Just(0), 0..20_000u64], 1..1500usize), 1..200)
    }

    /// Offers them all, the number of each in its first octets. Which were taken, and when each was offered.
    fn offer_all(way: &mut Way, packets: &[(u64, usize)]) -> Vec<(bool, Duration)> {
        let mut now = Duration::ZERO;
        let mut offer = |(number, (gap, length)): (usize, &(u64, usize))| {
            now += Duration::from_micros(*gap);
            let mut octets = vec![0; length + 8];
            octets[..8].copy_from_slice(&(number as u64).to_be_bytes());
            (way.offer(now, &octets), now)
        };
        packets.iter().enumerate().map(&mut offer).collect()
    }

    fn number(packet: &Packet) -> usize {
        u64::from_be_bytes(packet.octets[..8].try_into().expect("eight octets")) as usize
    }

    proptest! {
        #[test]
        fn order_delay_rate_and_sums_hold(
            rate in prop_oneof![Just(None), (1000..200_000_000u64).prop_map(Some)],
            queue in 0..100_000u64, delay in 0..400u64, packets in packets(),
        ) {
            let mut way = Way::new(Direction { rate, queue }, millis(delay));
            let offered = offer_all(&mut way, &packets);
            let before = way.traffic();
            prop_assert_eq!(before.offered, before.dropped + before.under_way);
            prop_assert!(before.largest_queue <= queue.max(1508));
            let arrived: Vec<Packet> = std::iter::from_fn(|| way.arrive(Duration::MAX)).collect();
            let taken: Vec<usize> = (0..offered.len()).filter(|n| offered[*n].0).collect();
            prop_assert_eq!(arrived.iter().map(number).collect::<Vec<_>>(), taken, "in order, and all that was taken");
            let after = way.traffic();
            prop_assert_eq!(after.offered, after.carried + after.dropped);
            prop_assert_eq!(after.carried, before.under_way);

            let mut free_at = Duration::ZERO;
            for packet in &arrived {
                let start = offered[number(packet)].1.max(free_at);
                let transmitted = packet.due - millis(delay);
                let bits = packet.octets.len() as u128 * 8;
                match rate {
                    None => prop_assert_eq!(transmitted, start),
                    Some(rate) => {
                        let could = (transmitted - start).as_nanos() * u128::from(rate);
                        prop_assert!(could >= bits * 1_000_000_000, "the rate is exceeded");
                        prop_assert!(could < bits * 1_000_000_000 + u128::from(rate), "over a nanosecond too slow");
                    }
                }
                free_at = transmitted;
            }
        }

        /// A packet is dropped just when octets wait before it and there is no place behind them.
        #[test]
        fn drops_are_those_of_a_queue_of_octets(rate in 1000..50_000_000u64, queue in 0..20_000u64, packets in packets()) {
            let mut way = Way::new(Direction { rate: Some(rate), queue }, Duration::ZERO);
            let offered = offer_all(&mut way, &packets);
            let arrived: Vec<(Duration, usize, usize)> =
                std::iter::from_fn(|| way.arrive(Duration::MAX)).map(|p| (p.due, number(&p), p.octets.len())).collect();
            for (n, (taken, now)) in offered.into_iter().enumerate() {
                let earlier = arrived.iter().filter(|(due, number, _)| *number < n && *due > now);
                let whole: usize = earlier.clone().map(|(_, _, length)| length).sum();
                let length = packets[n].1 + 8;
                // The oldest of those that wait may be transmitted in part.
                let oldest = earlier.clone().next().map_or(0, |(_, _, length)| *length);
                if taken {
                    prop_assert!(whole == 0 || (whole - oldest + length) as u64 <= queue);
                } else {
                    // Nanoseconds rounded up add up to an octet or two.
                    prop_assert!(whole > 0 && (whole + length + 2) as u64 > queue);
                }
            }
        }

        /// Looking often or seldom changes nothing but when one sees it.
        #[test]
        fn when_one_looks_does_not_matter(queue in 0..50_000u64, packets in packets(), looks in prop::collection::vec(any::<bool>(), 200)) {
            let direction = Direction { rate: Some(1_000_000), queue };
            let (mut often, mut never) = (Way::new(direction, millis(3)), Way::new(direction, millis(3)));
            let (mut now, mut seen) = (Duration::ZERO, Vec::new());
            for ((gap, length), look) in packets.iter().zip(looks) {
                now += Duration::from_micros(*gap);
                let packet = vec![0; *length];
                prop_assert_eq!(often.offer(now, &packet), never.offer(now, &packet));
                while look && let Some(packet) = often.arrive(now) {
                    seen.push((packet.due, packet.octets.len()));
                }
            }
            seen.extend(arrivals(&mut often));
            prop_assert_eq!(seen, arrivals(&mut never));
            prop_assert_eq!(often.traffic(), never.traffic());
        }
    }
}
