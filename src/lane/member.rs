//! One lane in the account of its crew: where it stands, which bins are its own, what it carries. Pure but for its
//! wakes.

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

    /// Takes another standing and tells the one before. Whoever has no session ready carries nothing and has no lack of
    /// room.
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

    /// Whether it has a session and nothing to do.
    pub fn is_idle(&self) -> bool {
        self.standing == Standing::Connected && self.carried() == 0
    }

    /// Since when it stands as it does.
    pub fn since(&self) -> Instant {
        self.since
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

#[cfg(test)]
mod tests {
    use super::Standing::*;
    use super::*;
    use crate::config::NextHopSettings;
    use crate::lane::fixture::{BOUNDS, SIZES, sorted};

    fn bins(settings: &NextHopSettings) -> Bins {
        Bins::of(settings)
    }

    /// A lane of the bin for up to 1000 octets, connected, which carries one message of each of these bins.
    fn carrying(of: &[usize]) -> Member {
        let (now, bins) = (Instant::now(), bins(&sorted(&[1], 0)));
        let mut member = Member::new(1, 1, &bins, now).expect("a descriptor");
        member.stand(Connected, now);
        for (place, bin) in of.iter().enumerate() {
            let carried = Carried { size: SIZES[*bin] as u64, bin: *bin, since: now };
            member.take(place as u64, carried);
        }
        member
    }

    #[test]
    fn what_it_carries_is_counted_by_bin_and_comes_back_to_nothing() {
        let mut member = carrying(&[0, 0, 1]);
        assert_eq!([0, 1, 2, 3, 4].map(|bin| member.carries(bin)), [2, 1, 0, 0, 0]);
        assert!(!member.carries_only_below(1) && member.carries_only_below(2));
        assert!(member.oldest().is_some());
        assert_eq!([2, 0, 1].map(|place| member.release(place)), [Some(1), Some(0), Some(0)]);
        assert_eq!(member.release(1), None, "released already");
        assert!(member.carries_only_below(0) && member.carried() == 0 && member.oldest().is_none());
    }

    #[test]
    fn without_a_session_it_carries_nothing_and_has_no_lack_of_room() {
        for standing in [Resting, Connecting] {
            let mut member = carrying(&[0, 1]);
            (member.is_full, member.server) = (true, Some("mx".into()));
            assert_eq!(member.stand(standing, Instant::now()), Connected);
            assert_eq!((member.carried(), member.carries(0), member.carries(1)), (0, 0, 0));
            assert!(!member.is_full && member.server.is_none());
            assert_eq!(member.release(0), None, "what comes back late is not counted");
        }
    }

    #[test]
    fn room_is_looked_for_again_when_a_message_comes_or_goes() {
        let mut member = carrying(&[0]);
        member.is_full = true;
        member.release(0);
        assert!(!member.is_full);
        member.is_full = true;
        member.take(7, Carried { size: 50, bin: 0, since: Instant::now() });
        assert!(!member.is_full);
    }

    #[test]
    fn other_bins_sort_what_it_carries_anew_and_it_finds_back_to_its_own() {
        let mut member = carrying(&[0, 1, 2, 3]);
        let two = NextHopSettings { sizebins: vec![1000, u64::MAX], ..sorted(&[1], 0) };
        member.resort(&bins(&two));
        assert_eq!(([0, 1, 2].map(|bin| member.carries(bin)), member.home()), ([2, 2, 0], 0));
        let one = NextHopSettings { sizebins: vec![u64::MAX], ..sorted(&[1], 0) };
        member.resort(&bins(&one));
        assert_eq!((member.carries(0), member.home()), (4, 0));
        let four = NextHopSettings { sizebins: BOUNDS.to_vec(), ..sorted(&[1], 0) };
        member.resort(&bins(&four));
        assert_eq!(([0, 1, 2, 3].map(|bin| member.carries(bin)), member.home()), ([1, 1, 1, 1], 1));
        assert_eq!([0, 1, 2, 3].map(|place| member.release(place)), [Some(0), Some(1), Some(2), Some(3)]);
    }

    #[test]
    fn an_attempt_to_connect_is_waited_for_a_while_only() {
        let (mut member, now, second) = (carrying(&[]), Instant::now(), Duration::from_secs(1));
        assert!(member.is_ready_within(second, now));
        member.stand(Connecting, now);
        assert!(member.is_ready_within(second, now) && !member.is_ready_within(second, now + second));
        member.stand(Resting, now);
        assert!(!member.is_ready_within(second, now));
    }
}
