//! Which lane may take which message, by size alone: pure tables, made from the settings.
//!
//! A message goes to the first **bin** whose bound is not below its size. The bins are dealt out to **groups** of
//! lanes: a group owns one bin, or, where there are fewer connections than bins, some neighbouring ones, and every bin
//! has exactly one group. A lane takes messages of its own group's bins, and smaller ones when it has nothing else to
//! do; larger ones only in the place of a lane that does not come to a connection (`super::crew`).

use crate::config::NextHopSettings;
use std::ops::Range;

/// The size classes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bins {
    /// In octets, rising; `u64::MAX` for the last.
    bounds: Vec<u64>,
}

impl Bins {
    /// Those that the settings ask for.
    pub fn of(settings: &NextHopSettings) -> Bins {
        Bins { bounds: settings.bounds().to_vec() }
    }

    /// How many there are; at least one.
    pub fn len(&self) -> usize {
        self.bounds.len().max(1)
    }

    /// Never.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The bin of a message of so many octets.
    pub fn bin(&self, size: u64) -> usize {
        self.bounds.partition_point(|bound| *bound < size).min(self.len() - 1)
    }

    /// The smallest message of a bin.
    pub fn least(&self, bin: usize) -> u64 {
        let below = bin.checked_sub(1).and_then(|below| self.bounds.get(below));
        below.map_or(0, |bound| bound.saturating_add(1))
    }

    /// The largest message of a bin; `None`: no limit.
    pub fn bound(&self, bin: usize) -> Option<u64> {
        self.bounds.get(bin).copied().filter(|bound| *bound < u64::MAX)
    }
}

/// A group of lanes that are alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The bins that it owns.
    pub bins: Range<usize>,
    /// How many lanes it may have.
    pub lanes: usize,
}

/// Who owns which bins, smallest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    groups: Vec<Group>,
}

impl Plan {
    /// Deals the bins out to at most `most` connections (0: as many as `lanes` says, which has one number for each
    /// bin). With fewer connections than lanes, the bins with most lanes lose some first, of equal ones the larger bin;
    /// with fewer than bins, neighbours share, the largest first.
    pub fn new(lanes: &[usize], most: usize) -> Plan {
        let bins = lanes.len().max(1);
        if (1..bins).contains(&most) {
            let group = |bin: usize| most - 1 - (bins - 1 - bin) * most / bins;
            let range = |n: usize| (0..bins).filter(move |bin| group(*bin) == n);
            let bins_of = |n: usize| range(n).next().unwrap_or(0)..range(n).next_back().map_or(0, |last| last + 1);
            return Plan { groups: (0..most).map(|n| Group { bins: bins_of(n), lanes: 1 }).collect() };
        }
        let mut lanes: Vec<usize> = (0..bins).map(|bin| lanes.get(bin).copied().unwrap_or(1).max(1)).collect();
        while most > 0 && lanes.iter().sum::<usize>() > most {
            let largest = (0..bins).max_by_key(|bin| (lanes[*bin], *bin)).unwrap_or(0);
            lanes[largest] -= 1;
        }
        let group = |(bin, lanes): (usize, usize)| Group { bins: bin..bin + 1, lanes };
        Plan { groups: lanes.into_iter().enumerate().map(group).collect() }
    }

    /// The groups, smallest bins first.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The group that owns a bin.
    pub fn group(&self, bin: usize) -> usize {
        self.groups.partition_point(|group| group.bins.end <= bin).min(self.groups.len() - 1)
    }

    /// The bins of a group; none for a lane that is in no group.
    pub fn bins(&self, group: Option<usize>) -> Range<usize> {
        group.and_then(|group| self.groups.get(group)).map_or(0..0, |group| group.bins.clone())
    }

    /// Lanes in all.
    pub fn lanes(&self) -> usize {
        self.groups.iter().map(|group| group.lanes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bins(bounds: &[u64]) -> Bins {
        Bins { bounds: bounds.to_vec() }
    }

    /// The plan as a text: the bins of each group, and its lanes where there are several.
    fn plan(lanes: &[usize], most: usize) -> String {
        let group = |group: &Group| {
            let bins: Vec<String> = group.bins.clone().map(|bin| bin.to_string()).collect();
            let times = if group.lanes == 1 { String::new() } else { format!("x{}", group.lanes) };
            bins.join("+") + &times
        };
        Plan::new(lanes, most).groups().iter().map(group).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_message_goes_to_the_first_bin_that_holds_it() {
        let bins = bins(&[4096, 65_536, 1_024_000, u64::MAX]);
        for (size, bin) in [(0, 0), (4095, 0), (4096, 0), (4097, 1), (65_536, 1), (65_537, 2), (1_024_000, 2)] {
            assert_eq!(bins.bin(size), bin, "{size}");
        }
        assert_eq!((bins.bin(1_024_001), bins.bin(u64::MAX)), (3, 3));
        assert_eq!((bins.bound(0), bins.bound(3)), (Some(4096), None));
    }

    #[test]
    fn plans() {
        for (lanes, most, expected) in [
            (&[1, 1, 1, 1][..], 0, "0 1 2 3"),
            (&[2, 1, 1, 1], 0, "0x2 1 2 3"),
            (&[2, 1, 1, 1], 9, "0x2 1 2 3"),
            (&[2, 1, 1, 1], 4, "0 1 2 3"),
            (&[3, 1, 1, 2], 5, "0x2 1 2 3"),
            (&[2, 2], 3, "0x2 1"),
            (&[1, 1, 1, 1], 3, "0 1 2+3"),
            (&[1, 1, 1, 1], 2, "0+1 2+3"),
            (&[1, 1, 1, 1], 1, "0+1+2+3"),
            (&[9, 9, 9, 9], 2, "0+1 2+3"),
            (&[1, 1, 1], 2, "0 1+2"),
            (&[5], 0, "0x5"),
            (&[5], 1, "0"),
        ] {
            assert_eq!(plan(lanes, most), expected, "{lanes:?}, {most}");
        }
    }

    proptest! {
        /// Every bin has exactly one group, groups are neighbours in order, each has a lane, and all together no more
        /// than allowed.
        #[test]
        fn every_bin_has_one_group(lanes in prop::collection::vec(1usize..5, 1..17), most in 0usize..40) {
            let plan = Plan::new(&lanes, most);
            let dealt: Vec<usize> = plan.groups().iter().flat_map(|group| group.bins.clone()).collect();
            prop_assert_eq!(dealt, (0..lanes.len()).collect::<Vec<_>>());
            prop_assert!(plan.groups().iter().all(|group| group.lanes > 0 && !group.bins.is_empty()));
            prop_assert!(most == 0 || plan.lanes() <= most);
            prop_assert!(plan.lanes() <= lanes.iter().sum());
            for bin in 0..lanes.len() {
                prop_assert!(plan.bins(Some(plan.group(bin))).contains(&bin));
            }
        }
    }
}
