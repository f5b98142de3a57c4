//! What a link carried and dropped.
//!
//! For each direction, what was offered was carried, was dropped, or was still under way when the link was stopped:
//! nothing is counted twice or not at all.

use std::fmt;
use std::time::Duration;

/// Packets, and the octets in them with their IP headers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// IP packets.
    pub packets: u64,
    /// Their octets.
    pub octets: u64,
}

impl Count {
    pub(crate) fn add(&mut self, octets: usize) {
        self.packets += 1;
        self.octets += octets as u64;
    }

    pub(crate) fn take_back(&mut self, octets: usize) {
        self.packets -= 1;
        self.octets -= octets as u64;
    }
}

impl std::ops::Add for Count {
    type Output = Count;

    fn add(self, other: Count) -> Count {
        Count { packets: self.packets + other.packets, octets: self.octets + other.octets }
    }
}

/// What one direction did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// All that the sending end's kernel gave to the link: carried + dropped + under way.
    pub offered: Count,
    /// Given to the receiving end's kernel.
    pub carried: Count,
    /// Found the queue full (or, hardly ever, was not taken by the receiving end's kernel).
    pub dropped: Count,
    /// Neither, as the link was stopped before.
    pub under_way: Count,
    /// The most octets that waited for the rate, the newest packet included.
    pub largest_queue: u64,
    /// Packets that the sending end's kernel dropped because the link did not read them soon enough, and that are
    /// counted nowhere else. Unless it is 0 the machine was too slow for the link, and its figures mean nothing.
    pub unread: u64,
}

/// What a link did from start to stop.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// From near to far.
    pub up: Traffic,
    /// From far to near.
    pub down: Traffic,
    /// From start to stop.
    pub lasted: Duration,
    /// CPU time of the link's thread. The kernel does the work of receiving a packet (IP and TCP) in it.
    pub cpu: Duration,
    /// How long after its time the latest packet arrived. Lateness does not add up.
    pub latest: Duration,
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} packets ({} octets)", self.packets, self.octets)
    }
}

impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "carried {}, dropped {}, ", self.carried, self.dropped)?;
        if self.under_way.packets > 0 {
            write!(f, "still under way {}, ", self.under_way)?;
        }
        if self.unread > 0 {
            write!(f, "NOT READ IN TIME {} packets, ", self.unread)?;
        }
        write!(f, "largest queue {} octets", self.largest_queue)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "up:   {}", self.up)?;
        writeln!(f, "down: {}", self.down)?;
        let (cpu, lasted, latest) = (self.cpu.as_secs_f64(), self.lasted.as_secs_f64(), self.latest.as_secs_f64());
        write!(f, "link: {cpu:.3} s of CPU in {lasted:.3} s, latest packet {:.3} ms late", latest * 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_as_three_lines() {
        let carried = Count { packets: 2, octets: 1540 };
        let up =
            Traffic { carried, dropped: Count { packets: 1, octets: 1500 }, largest_queue: 1500, ..Traffic::default() };
        let down = Traffic { under_way: Count { packets: 1, octets: 40 }, unread: 7, ..Traffic::default() };
        let millis = Duration::from_millis;
        let tally = Tally { up, down, lasted: millis(2500), cpu: millis(20), latest: Duration::from_micros(70) };
        assert_eq!(
            tally.to_string(),
            "up:   carried 2 packets (1540 octets), dropped 1 packets (1500 octets), largest queue 1500 octets\n\
             down: carried 0 packets (0 octets), dropped 0 packets (0 octets), still under way 1 packets (40 octets), \
             NOT READ IN TIME 7 packets, largest queue 0 octets\n\
             link: 0.020 s of CPU in 2.500 s, latest packet 0.070 ms late"
        );
    }
}
