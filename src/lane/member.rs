//! One lane in the account of its crew: where it stands, which bins are its own, what it carries. Pure but for its wakes.

use super::bins::Bins;
use crate::conn::Gauge;
use crate::net::Wake;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How far a lane is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// No connection, and none is being made.
    Resting,
    /// It tries to get one.
    Connecting,
    /// It has a session ready.
    Connected,
}

/// A lane's number, and the ways to reach it and to see how it is doing.
#[derive(Debug, Clone)]
pub struct Handle {
    /// From 1; free again when the lane ends.
    pub number: usize,
    /// Signalled with news; the lane clears it.
    pub news: Wake,
    /// Signalled for good when the lane is to stop.
    pub halt: Wake,
    /// What its connection shows.
    pub gauge: Arc<Gauge>,
}

/// A message on a lane.
#[derive(Debug, Clone, Copy)]
pub struct Carried {
    /// Its octets.
    pub size: u64,
    /// Its bin.
    pub bin: usize,
    /// When the lane took it.
    pub since: Instant,
}

/// See the [module](self).
#[derive(Debug)]
pub struct Member {
    /// How it is reached.
    pub handle: Handle,
    /// The group of the plan that it works in; `None` for one that is left over.
    pub group: Option<usize>,
    /// How far it is.
    pub standing: Standing,
    /// It had no room for the message that was next.
    pub is_full: bool,
    /// The server of its connection, as logs name it.
    pub server: Option<String>,
    /// The last thing that went wrong.
    pub trouble: Option<String>,
    /// The bin that it was made for or has moved to, and the size by which that is found among other bins.
    home: usize,
    home_size: u64,
    since: Instant,
    aboard: BTreeMap<u64, Carried>,
    by_bin: Vec<usize>,
}

impl Member {
    /// A lane that is about to be started, for this bin. Fails when no descriptor is left.
    pub fn new(number: usize, bin: usize, bins: &Bins, now: Instant) -> std::io::Result<Member> {
        let handle = Handle { number, news: Wake::new()?, halt: Wake::new()?, gauge: Arc::default() };
        let (group, standing, home_size) = (None, Standing::Resting, bins.least(bin));
        Ok(Member {
            handle,
            group,
            standing,
            is_full: false,
            server: None,
            trouble: None,
            home: bin,
            home_size,
            since: now,
            aboard: BTreeMap::new(),
            by_bin: vec![0; bins.len()],
        })
    }

    /// From 1.
    pub fn number(&self) -> usize {
        self.handle.number
    }

    /// The bin that it was made for or has moved to.
    pub fn home(&self) -> usize {
        self.home
    }

    /// From now on it belongs to this bin.
    pub fn move_to(&mut self, bin: usize, bins: &Bins) {
        (self.home, self.home_size) = (bin, bins.least(bin));
    }

    /// Whether it has a connection or tries to get one.
    pub fn is_open(&self) -> bool {
        self.standing != Standing::Resting
    }

    /// Takes another standing and tells the one before. Whoever has no session ready carries nothing and has no lack of room.
    pub fn stand(&mut self, standing: Standing, now: Instant) -> Standing {
        if standing != Standing::Connected {
            self.is_full = false;
            self.server = None;
            self.aboard.clear();
            self.by_bin.fill(0);
        }
        self.since = now;
        std::mem::replace(&mut self.standing, standing)
    }

    /// Whether it has a session ready, or has tried to get one for no longer than this.
    pub fn is_ready_within(&self, patience: Duration, now: Instant) -> bool {
        match self.standing {
            Standing::Resting => false,
            Standing::Connecting => now.saturating_duration_since(self.since) < patience,
            Standing::Connected => true,
        }
    }

    /// It takes a message, known by its place in the queue.
    pub fn take(&mut self, place: u64, carried: Carried) {
        self.is_full = false;
        self.count(carried.bin, 1);
        self.aboard.insert(place, carried);
    }

    /// It carries that message no longer. Tells its bin.
    pub fn release(&mut self, place: u64) -> Option<usize> {
        let carried = self.aboard.remove(&place)?;
        self.is_full = false;
        self.count(carried.bin, -1);
        Some(carried.bin)
    }

    /// There are other bins now.
    pub fn resort(&mut self, bins: &Bins) {
        self.home = bins.bin(self.home_size);
        self.by_bin = vec![0; bins.len()];
        self.aboard.values_mut().for_each(|carried| carried.bin = bins.bin(carried.size));
        let carried: Vec<usize> = self.aboard.values().map(|carried| carried.bin).collect();
        carried.into_iter().for_each(|bin| self.count(bin, 1));
    }

    fn count(&mut self, bin: usize, change: isize) {
        if let Some(count) = self.by_bin.get_mut(bin) {
            *count = count.saturating_add_signed(change);
        }
    }

    /// Messages of this bin that it carries.
    pub fn carries(&self, bin: usize) -> usize {
        self.by_bin.get(bin).copied().unwrap_or(0)
    }

    /// Whether all that it carries, if anything, is of smaller bins than this one.
    pub fn carries_only_below(&self, bin: usize) -> bool {
        self.by_bin.iter().skip(bin).all(|count| *count == 0)
    }

    /// Messages that it carries.
    pub fn carried(&self) -> usize {
        self.aboard.len()
    }

    /// Since when it has carried the oldest of them.
    pub fn oldest(&self) -> Option<Instant> {
        self.aboard.values().map(|carried| carried.since).min()
    }
}
