//! The messages of one channel that no lane has taken yet, sorted into bins.
//!
//! Late binding: a message stays here until a lane can put it on the wire at once. Within a bin the higher priority (RFC 6710) goes
//! first, then who came first; a message that comes back from a lost connection has its old place. **Ageing**: a step of priority is worth
//! [`PRIORITY_STEP`] of waiting, and, where bins share a lane, a smaller bin [`BIN_STEP`] of it, so that neither the low nor the
//! large wait for ever behind a stream of others. Since all age alike, the order never changes by itself: it is one sorted key.
//!
//! **Suspects.** A message that was charged with the end of two connections may be what the server dies of. It is
//! tried again alone, so that others do not share its fate: only on a connection with nothing in flight, and, while
//! others wait, only on one where the server has answered before. A lane that could take it lets its window run empty
//! for it, so that it is not passed over for ever.

use super::Job;
use super::bins::Bins;
use crate::conn::Vacancy;
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

/// How much longer a message may have waited than one a step of priority above it before it goes first.
pub const PRIORITY_STEP: Duration = Duration::from_secs(30);
/// How much longer a message may have waited than one of the next smaller bin before it goes first, on a lane that
/// serves both.
pub const BIN_STEP: Duration = Duration::from_secs(10);

/// When it came, advanced by its priority; and its number, which makes it unique.
type Key = (Instant, u64);

/// Waiting messages by bin. See the [module](self).
#[derive(Debug)]
pub struct Queue {
    bins: Bins,
    waiting: Vec<Waiting>,
    next_place: u64,
}

#[derive(Debug, Default)]
struct Waiting {
    jobs: BTreeMap<Key, Job>,
    octets: u64,
}

/// What taking came to.
#[derive(Debug)]
pub enum Taken {
    /// This message is to be sent, or disposed of if it is over.
    Job(Job),
    /// Messages wait that this lane may take, and there is no room for the one that is next.
    NoRoom,
    /// None waits that it may take.
    Nothing,
}

impl Queue {
    /// An empty one.
    pub fn new(bins: Bins) -> Queue {
        let waiting = (0..bins.len()).map(|_| Waiting::default()).collect();
        Queue { bins, waiting, next_place: 0 }
    }

    /// The size classes.
    pub fn bins(&self) -> &Bins {
        &self.bins
    }

    /// Sorts everything that waits anew.
    pub fn sort_anew(&mut self, bins: Bins) {
        let jobs = self.take_all();
        let next_place = self.next_place;
        *self = Queue { next_place, ..Queue::new(bins) };
        for job in jobs {
            self.put(job);
        }
    }

    /// Adds a new message, or gives one back. Returns its bin.
    pub fn put(&mut self, mut job: Job) -> usize {
        let place = *job.place.get_or_insert(self.next_place);
        self.next_place = self.next_place.max(place + 1);
        let (bin, size) = (self.bins.bin(job.size()), job.size());
        if let Some(waiting) = self.waiting.get_mut(bin) {
            waiting.octets += size;
            waiting.jobs.insert((rank(&job), place), job);
        }
        bin
    }

    /// Takes the next message of these bins that there is room for. One that need not wait any longer is handed out in
    /// any case, to be disposed of.
    pub fn take(&mut self, bins: Range<usize>, vacancy: Vacancy<'_>) -> Taken {
        let Some((bin, key)) = self.front(bins.clone(), |_| true) else { return Taken::Nothing };
        let Some(front) = self.job(bin, key) else { return Taken::Nothing };
        if front.token.is_void() {
            return self.remove(bin, key);
        }
        let next = if front.is_suspect() { self.beside_suspect(bins, (bin, key), vacancy) } else { Some((bin, key)) };
        let fits = |(bin, key): &(usize, Key)| self.job(*bin, *key).is_some_and(|job| (vacancy.fits)(job.size()));
        match next.filter(fits) {
            Some((bin, key)) => self.remove(bin, key),
            None => Taken::NoRoom,
        }
    }

    /// Takes the message of these bins that would be the last, of those that are no suspects and that there is room for.
    /// For a server that has ended one connection after another: those in front may be what it ends them for.
    pub fn take_last(&mut self, bins: Range<usize>, vacancy: Vacancy<'_>) -> Taken {
        let suits = |job: &Job| !job.is_suspect() && (vacancy.fits)(job.size());
        let last = |bin: usize| {
            let jobs = &self.waiting.get(bin)?.jobs;
            jobs.iter().rev().find(|(_, job)| suits(job)).map(|(key, _)| (bin, *key))
        };
        match bins.clone().filter_map(last).max_by_key(|(bin, key)| late(*bin, *key)) {
            Some((bin, key)) => self.remove(bin, key),
            None => self.take(bins, vacancy),
        }
    }

    /// What goes next when the front is a suspect.
    fn beside_suspect(&self, bins: Range<usize>, front: (usize, Key), vacancy: Vacancy<'_>) -> Option<(usize, Key)> {
        if vacancy.is_proven {
            return vacancy.is_empty.then_some(front);
        }
        self.front(bins, |job| !job.is_suspect()).or(vacancy.is_empty.then_some(front))
    }

    /// The first of these bins' messages for which `wanted` holds.
    fn front(&self, bins: Range<usize>, wanted: impl Fn(&Job) -> bool) -> Option<(usize, Key)> {
        let first = |bin: usize| {
            let jobs = &self.waiting.get(bin)?.jobs;
            jobs.iter().find(|(_, job)| wanted(job)).map(|(key, _)| (bin, *key))
        };
        bins.filter_map(first).min_by_key(|(bin, key)| late(*bin, *key))
    }

    fn job(&self, bin: usize, key: Key) -> Option<&Job> {
        self.waiting.get(bin)?.jobs.get(&key)
    }

    fn remove(&mut self, bin: usize, key: Key) -> Taken {
        let Some(waiting) = self.waiting.get_mut(bin) else { return Taken::Nothing };
        let Some(job) = waiting.jobs.remove(&key) else { return Taken::Nothing };
        waiting.octets -= job.size();
        Taken::Job(job)
    }

    /// Takes the messages that need not wait any longer.
    pub fn take_void(&mut self) -> Vec<Job> {
        let mut gone = Vec::new();
        for waiting in &mut self.waiting {
            // Asked often, and mostly for nothing: then nothing is moved.
            if !waiting.jobs.values().any(|job| job.token.is_void()) {
                continue;
            }
            let jobs = std::mem::take(&mut waiting.jobs);
            let (withdrawn, wanted): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|(_, job)| job.token.is_void());
            waiting.jobs = wanted.into_iter().collect();
            waiting.octets -= withdrawn.iter().map(|(_, job)| job.size()).sum::<u64>();
            gone.extend(withdrawn.into_iter().map(|(_, job)| job));
        }
        gone
    }

    /// Takes all of them.
    pub fn take_all(&mut self) -> Vec<Job> {
        self.take_bins(0..self.waiting.len())
    }

    /// Takes all of these bins.
    pub fn take_bins(&mut self, bins: Range<usize>) -> Vec<Job> {
        let mut all: Vec<Job> = Vec::new();
        for waiting in self.waiting.get_mut(bins).unwrap_or_default() {
            all.extend(std::mem::take(waiting).jobs.into_values());
        }
        all
    }

    /// How many wait in these bins.
    pub fn len(&self, bins: Range<usize>) -> usize {
        bins.filter_map(|bin| self.waiting.get(bin)).map(|waiting| waiting.jobs.len()).sum()
    }

    /// Octets of content that wait in these bins.
    pub fn octets(&self, bins: Range<usize>) -> u64 {
        bins.filter_map(|bin| self.waiting.get(bin)).map(|waiting| waiting.octets).sum()
    }

    /// How many wait in all.
    pub fn total(&self) -> usize {
        self.len(0..self.waiting.len())
    }

    /// When the first of those that may not wait for ever is over.
    pub fn next_void(&self) -> Option<Instant> {
        self.waiting.iter().flat_map(|waiting| waiting.jobs.values()).filter_map(|job| job.token.until).min()
    }

    /// When the oldest message of a bin was submitted.
    pub fn oldest(&self, bin: usize) -> Option<Instant> {
        self.waiting.get(bin)?.jobs.values().map(|job| job.submitted).min()
    }
}

/// Where a message of this bin stands among those of others.
fn late(bin: usize, (rank, place): Key) -> Key {
    (rank + BIN_STEP * u32::try_from(bin).unwrap_or(u32::MAX), place)
}

/// Where a message stands among others: as if it had come later by a step for each step of priority below the highest.
fn rank(job: &Job) -> Instant {
    job.submitted + PRIORITY_STEP * job.envelope.priority().steps_below_highest()
}

#[cfg(test)]
mod tests;
