//! Lanes that do not come to a connection: what a server does that takes a connection and does not greet, because it
//! serves no more than it has. Nobody waits for them for longer than [`HEAD_START`]: lanes with a session and nothing
//! to do take what is theirs.

use super::{Backlog, Crew, HEAD_START};
use crate::lane::member::Standing;
use std::ops::Range;
use std::time::Instant;

impl Crew {
    /// The bins of the lanes that are waited for no longer.
    pub fn late(&self, now: Instant) -> impl Iterator<Item = Range<usize>> {
        let is_late = move |member: &(Range<usize>, Instant)| member.1 <= now;
        self.expected().filter(is_late).map(|(bins, _)| bins)
    }

    /// When the next one will be late for which messages wait.
    pub fn late_at(&self, waiting: &dyn Backlog, now: Instant) -> Option<Instant> {
        let is_missed = |(bins, at): &(Range<usize>, Instant)| *at > now && waiting.messages(bins.clone()) > 0;
        self.expected().filter(is_missed).map(|(_, at)| at).min()
    }

    /// Wakes the lanes with a session and nothing to do: one more tries to get a connection, which may come late.
    pub fn tell_idle(&self) {
        self.members.iter().filter(|member| member.is_idle()).for_each(|member| member.handle.news.signal());
    }

    /// Whether a lane that tries to get a connection has this bin.
    pub(super) fn is_expected(&self, bin: usize) -> bool {
        self.expected().any(|(bins, _)| bins.contains(&bin))
    }

    /// Lanes that try to get a connection: their bins, and until when they are waited for.
    fn expected(&self) -> impl Iterator<Item = (Range<usize>, Instant)> {
        let tries = |member: &&super::Member| member.standing == Standing::Connecting;
        self.members.iter().filter(tries).map(|member| (self.plan.bins(member.group), member.since() + HEAD_START))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lane::fixture::sorted;
    use std::time::Duration;

    struct Waiting([usize; 4]);

    impl Backlog for Waiting {
        fn messages(&self, bins: Range<usize>) -> usize {
            bins.map(|bin| self.0[bin]).sum()
        }

        fn octets(&self, _: Range<usize>) -> u64 {
            0
        }
    }

    #[test]
    fn a_lane_is_late_while_it_tries_for_too_long_and_then_no_more() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut crew = Crew::new(&sorted(&[1], 0));
        let (small, large) =
            (crew.enter(0, start).expect("a wake").number, crew.enter(3, start).expect("a wake").number);
        crew.stand(small, Standing::Connected, start);
        crew.stand(large, Standing::Connecting, start);
        assert!(crew.is_expected(3) && !crew.is_expected(0));
        let late = |crew: &Crew, now: Instant| crew.late(now).collect::<Vec<_>>();
        assert_eq!(crew.late_at(&Waiting([0, 0, 0, 1]), start), Some(start + HEAD_START));
        assert_eq!(crew.late_at(&Waiting([1, 0, 0, 0]), start), None, "nothing waits for it");
        assert!(late(&crew, start + HEAD_START - second).is_empty());
        assert_eq!(late(&crew, start + HEAD_START).first(), Some(&(3..4)));
        assert_eq!(crew.late_at(&Waiting([0, 0, 0, 1]), start + HEAD_START), None, "it is late already");
        crew.stand(large, Standing::Connected, start + HEAD_START);
        assert!(late(&crew, start + HEAD_START).is_empty() && !crew.is_expected(3));
    }
}
