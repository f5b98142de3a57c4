//! The crew's decisions as tables: who may run, connect, help, and who holds back. Bins are those of
//! [`fixture`](crate::lane::fixture).

use super::Standing::*;
use super::*;
use crate::lane::fixture::{SIZES, sorted, unsorted};

impl Crew {
    /// As if every pause were over.
    pub(in crate::lane) fn end_pause(&mut self, now: Instant) {
        self.crowding.iter_mut().for_each(|crowding| crowding.until = now);
    }
}

/// Messages that wait in each bin, all of the bin's usual size.
struct Waits<'a>(&'a [usize]);

impl Backlog for Waits<'_> {
    fn messages(&self, bins: Range<usize>) -> usize {
        bins.map(|bin| self.0.get(bin).copied().unwrap_or(0)).sum()
    }

    fn octets(&self, bins: Range<usize>) -> u64 {
        bins.map(|bin| self.0.get(bin).map_or(0, |count| (count * SIZES[bin]) as u64)).sum()
    }
}

/// Nothing.
const NONE: Waits<'static> = Waits(&[]);

/// One lane: its bin, how far it is, what it carries by bin, and whether it is full.
#[derive(Clone, Copy)]
struct Lane(usize, Standing, &'static [usize], bool);

const fn resting(bin: usize) -> Lane {
    Lane(bin, Resting, &[], false)
}

const fn connecting(bin: usize) -> Lane {
    Lane(bin, Connecting, &[], false)
}

const fn idle(bin: usize) -> Lane {
    Lane(bin, Connected, &[], false)
}

const fn busy(bin: usize, carries: &'static [usize]) -> Lane {
    Lane(bin, Connected, carries, false)
}

const fn full(bin: usize, carries: &'static [usize]) -> Lane {
    Lane(bin, Connected, carries, true)
}

/// A crew of these lanes, numbered from 1 in this order, all of them unaware of anything new.
fn crew_of(settings: &NextHopSettings, lanes: &[Lane], now: Instant) -> Crew {
    let mut crew = Crew::new(settings);
    for (n, Lane(bin, standing, carries, is_full)) in lanes.iter().enumerate() {
        let number = crew.enter(*bin, now).expect("a descriptor").number;
        assert_eq!(number, n + 1);
        crew.stand(number, *standing, now);
        for (place, bin) in carries.iter().enumerate() {
            crew.carry(number, (number * 100 + place) as u64, SIZES[*bin] as u64, now);
        }
        crew.member_mut(number).expect("entered").is_full = *is_full;
    }
    forget_news(&crew);
    crew
}

fn forget_news(crew: &Crew) {
    for member in crew.members() {
        member.handle.news.clear();
    }
}

fn crew(lanes: &[Lane]) -> Crew {
    crew_of(&sorted(&[1], 0), lanes, Instant::now())
}

/// The bins of each lane, in the order of their numbers: `0 1+2 -`.
fn places(crew: &Crew) -> String {
    let mut members: Vec<&Member> = crew.members().iter().collect();
    members.sort_by_key(|member| member.number());
    let place = |member: &&Member| {
        let bins: Vec<String> = crew.own_bins(member.number()).map(|bin| bin.to_string()).collect();
        if bins.is_empty() { "-".to_owned() } else { bins.join("+") }
    };
    members.iter().map(place).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_lane_is_started_for_what_no_other_can_take() {
    for (lanes, waits, bin, wanted, why) in [
        (&[][..], &[1, 0, 0, 0][..], 0, true, "nobody is there"),
        (&[resting(0)], &[1, 0, 0, 0], 0, false, "it need only connect"),
        (&[connecting(0)], &[9, 0, 0, 0], 0, false, "one lane of this bin is allowed"),
        (&[idle(3)], &[1, 0, 0, 0], 0, false, "an idle larger one helps"),
        (&[busy(3, &[0, 0])], &[1, 0, 0, 0], 0, false, "it helps already and has room"),
        (&[full(3, &[0, 0])], &[1, 0, 0, 0], 0, true, "it helps already and has no room"),
        (&[busy(3, &[3])], &[1, 0, 0, 0], 0, true, "the larger one is busy with its own"),
        (&[busy(3, &[0, 3])], &[1, 0, 0, 0], 0, true, "its own are among what it carries"),
        (&[connecting(3)], &[1, 0, 0, 0], 0, true, "the larger one has no session yet"),
        (&[resting(3)], &[1, 0, 0, 0], 0, true, "the larger one rests"),
        (&[idle(0)], &[0, 0, 0, 1], 3, true, "a smaller one never helps"),
        (&[idle(1), idle(2)], &[0, 0, 0, 1], 3, true, "nor do several"),
    ] {
        assert_eq!(crew(lanes).wants_member(bin, &Waits(waits), Instant::now()), wanted, "{why}");
    }
}

#[test]
fn a_further_lane_of_a_bin_pays_by_what_waits_behind_each() {
    let two = sorted(&[2], 0);
    for (settings, lanes, waits, bin, wanted, why) in [
        (&two, &[idle(0)][..], &[4, 0, 0, 0][..], 0, false, "four are no backlog"),
        (&two, &[idle(0)], &[5, 0, 0, 0], 0, true, "five are"),
        (&two, &[idle(0), idle(0)], &[99, 0, 0, 0], 0, false, "two are allowed"),
        (&two, &[idle(3)], &[0, 0, 0, 1], 3, false, "one large message"),
        (&two, &[idle(0)], &[4, 9, 9, 9], 0, false, "those of other bins do not count"),
        (&unsorted(3), &[idle(0), idle(0)], &[8], 0, false, "four each"),
        (&unsorted(3), &[idle(0), idle(0)], &[9], 0, true, "more than four each"),
    ] {
        let now = Instant::now();
        assert_eq!(crew_of(settings, lanes, now).wants_member(bin, &Waits(waits), now), wanted, "{why}");
    }
}

#[test]
fn octets_are_a_backlog_too() {
    struct Large;
    impl Backlog for Large {
        fn messages(&self, _: Range<usize>) -> usize {
            2
        }
        fn octets(&self, _: Range<usize>) -> u64 {
            BACKLOG_OCTETS + 1
        }
    }
    let now = Instant::now();
    assert!(crew_of(&unsorted(2), &[idle(0)], now).wants_member(0, &Large, now));
    assert!(!crew_of(&unsorted(3), &[idle(0), idle(0)], now).wants_member(0, &Large, now), "half a backlog each");
}

#[test]
fn a_connection_is_made_for_what_no_open_lane_has_room_for() {
    for (lanes, number, waits, wanted, why) in [
        (&[resting(0)][..], 1, &[0, 0, 0, 0][..], false, "there is nothing"),
        (&[resting(0)], 1, &[1, 0, 0, 0], true, "its own wait"),
        (&[resting(0)], 1, &[0, 0, 0, 9], false, "larger ones are not for it"),
        (&[resting(0), idle(2)], 1, &[1, 0, 0, 0], false, "an idle larger lane helps"),
        (&[resting(0), full(2, &[0])], 1, &[1, 0, 0, 0], true, "the helper is full"),
        (&[resting(0), busy(2, &[2])], 1, &[1, 0, 0, 0], true, "the larger lane has its own"),
        (&[resting(0), connecting(2)], 1, &[1, 0, 0, 0], true, "the larger lane is not ready"),
        (&[idle(0), resting(3)], 2, &[0, 0, 0, 1], true, "a smaller lane does not help"),
        (&[resting(3)], 1, &[1, 0, 0, 0], true, "the last resort: no lane runs for it"),
        (&[resting(3), resting(0)], 1, &[1, 0, 0, 0], false, "one runs for it"),
        (&[resting(3), idle(2)], 1, &[1, 0, 0, 0], false, "another helps"),
        (&[resting(1), resting(3)], 2, &[0, 0, 1, 0], true, "the nearest larger is not there"),
    ] {
        let now = Instant::now();
        assert_eq!(crew(lanes).wants_connection(number, &Waits(waits), false, false, now), wanted, "{why}");
    }
}

#[test]
fn a_further_connection_of_a_bin_needs_full_lanes_and_a_backlog() {
    for (lanes, waits, wanted, why) in [
        (&[resting(0), idle(0)][..], &[99][..], false, "the open one has room"),
        (&[resting(0), full(0, &[0])], &[4], false, "it is full, and four wait"),
        (&[resting(0), full(0, &[0])], &[5], true, "it is full, and five wait"),
        (&[resting(0), connecting(0)], &[4], false, "one is being made"),
        (&[resting(0), connecting(0)], &[5], true, "one is being made and will not do"),
        (&[resting(0), full(0, &[0]), full(0, &[0])], &[8], false, "four each"),
        (&[resting(0), full(0, &[0]), full(0, &[0])], &[9], true, "more than four each"),
        (&[resting(0), full(0, &[0]), idle(0)], &[99], false, "one of them has room"),
    ] {
        let now = Instant::now();
        let crew = crew_of(&unsorted(3), lanes, now);
        assert_eq!(crew.wants_connection(1, &Waits(waits), false, false, now), wanted, "{why}");
    }
}

#[test]
fn after_a_failure_one_attempt_at_a_time() {
    let (now, waits) = (Instant::now(), Waits(&[1, 1, 1, 1]));
    let crew = crew(&[resting(0), connecting(1)]);
    assert!(crew.wants_connection(1, &waits, false, false, now));
    assert!(!crew.wants_connection(1, &waits, false, true, now), "in doubt the other's outcome is awaited");
}

#[test]
fn who_asks_for_the_offers_gets_one_connection() {
    let now = Instant::now();
    assert!(crew(&[resting(0)]).wants_connection(1, &NONE, true, false, now));
    assert!(!crew(&[resting(0), connecting(1)]).wants_connection(1, &NONE, true, false, now));
    assert!(!crew(&[resting(0)]).wants_connection(1, &NONE, false, false, now));
}

#[test]
fn a_larger_lane_helps_when_it_has_nothing_else_to_do_and_never_the_reverse() {
    for (lane, waits, bins, why) in [
        (idle(2), &[5, 5, 0, 0][..], 0..2, "it is idle"),
        (idle(2), &[5, 5, 0, 9], 0..2, "larger ones are not its business"),
        (idle(2), &[5, 5, 1, 0], 0..0, "its own wait"),
        (busy(2, &[0, 1]), &[5, 5, 0, 0], 0..2, "it goes on helping"),
        (busy(2, &[2]), &[5, 5, 0, 0], 0..0, "it carries its own"),
        (idle(0), &[0, 5, 5, 5], 0..0, "there are none below"),
    ] {
        assert_eq!(crew(&[lane]).bins_to_help(1, &Waits(waits)), bins, "{why}");
    }
}

#[test]
fn larger_lanes_hold_back_while_smaller_messages_are_under_way_elsewhere() {
    for (lanes, waits, number, yields, why) in [
        (&[busy(0, &[0]), busy(3, &[3])][..], &[0; 4][..], 2, true, "a small one is unanswered"),
        (&[busy(0, &[0]), busy(3, &[3])], &[0; 4], 1, false, "the small lane does not"),
        (&[idle(0), busy(3, &[3])], &[0; 4], 2, false, "nothing is under way"),
        (&[idle(0), busy(3, &[0, 3])], &[0; 4], 2, false, "the small one is on this very lane"),
        (&[busy(2, &[0]), busy(3, &[3])], &[0; 4], 2, true, "a helper carries it"),
        (&[busy(2, &[2]), busy(1, &[1])], &[0; 4], 1, true, "the next smaller bin is smaller"),
        (&[connecting(0), busy(3, &[3])], &[1, 0, 0, 0], 2, true, "it waits for a connection that comes"),
        (&[resting(0), busy(3, &[3])], &[1, 0, 0, 0], 2, false, "no connection comes for it"),
        (&[full(0, &[]), busy(3, &[3])], &[1, 0, 0, 0], 2, true, "it waits for room"),
        (&[idle(0), busy(3, &[3])], &[0, 1, 0, 0], 2, false, "that lane is not for it"),
    ] {
        assert_eq!(crew(lanes).must_yield(number, &Waits(waits), Instant::now()), yields, "{why}");
    }
}

#[test]
fn a_connection_that_does_not_come_holds_nobody_back_for_long() {
    let (start, waits) = (Instant::now(), Waits(&[1, 0, 0, 0]));
    let crew = crew_of(&sorted(&[1], 0), &[connecting(0), busy(3, &[3])], start);
    assert!(crew.must_yield(2, &waits, start + HEAD_START - Duration::from_millis(1)));
    assert!(!crew.must_yield(2, &waits, start + HEAD_START));
}

#[test]
fn lanes_of_one_bin_do_not_hold_back_for_each_other() {
    let now = Instant::now();
    let crew = crew_of(&unsorted(2), &[busy(0, &[0]), busy(0, &[0])], now);
    assert!(!crew.must_yield(1, &Waits(&[5]), now) && !crew.must_yield(2, &Waits(&[5]), now));
}

#[test]
fn fewer_connections_than_bins_make_neighbours_share() {
    for (most, lanes, expected) in [
        (1, &[idle(0)][..], "0+1+2+3"),
        (1, &[idle(3)], "0+1+2+3"),
        (2, &[idle(0), idle(3)], "0+1 2+3"),
        (2, &[idle(3), idle(0)], "2+3 0+1"),
        (3, &[idle(1), idle(0), idle(3)], "1 0 2+3"),
        (0, &[idle(2), idle(0), idle(3), idle(1)], "2 0 3 1"),
    ] {
        assert_eq!(places(&crew_of(&sorted(&[1], most), lanes, Instant::now())), expected, "{most}");
    }
}

#[test]
fn lanes_with_a_connection_keep_their_place_and_others_give_way() {
    for (most, lanes, expected, why) in [
        (1, &[resting(0), idle(3)][..], "- 0+1+2+3", "who has a connection serves all"),
        (2, &[idle(0), idle(1), idle(3)], "0+1 2+3 -", "the second moves up and the largest finds no place"),
        (2, &[resting(0), connecting(1), idle(3)], "- 0+1 2+3", "who tries has the first claim after them"),
    ] {
        assert_eq!(places(&crew_of(&sorted(&[1], most), lanes, Instant::now())), expected, "{why}");
    }
}

#[test]
fn a_server_that_refuses_makes_the_bins_share_what_there_is() {
    let now = Instant::now();
    let mut crew = crew(&[idle(0), resting(1), resting(2), resting(3)]);
    assert_eq!((places(&crew).as_str(), crew.max_connections()), ("0 1 2 3", 4));
    crew.crowded(now, 1.0);
    assert_eq!((places(&crew).as_str(), crew.max_connections()), ("0+1+2+3 - - -", 1));
    let waits = Waits(&[9, 9, 9, 9]);
    for number in 2..=4 {
        assert!(!crew.wants_connection(number, &waits, false, false, now), "it is left alone for a while");
    }
    assert_eq!(crew.probe_at(), Some(now + FIRST_PAUSE));
    let later = now + FIRST_PAUSE;
    assert!(crew.wants_connection(2, &waits, false, false, later));
    assert!(!crew.wants_connection(2, &Waits(&[1, 1, 1, 1]), false, false, later), "without a backlog it does not pay");
    crew.stand(2, Connecting, later);
    assert!(!crew.wants_connection(3, &waits, false, false, later), "one at a time");
    crew.stand(2, Connected, later);
    assert_eq!((places(&crew).as_str(), crew.max_connections()), ("0+1 2+3 - -", 2), "the success is made use of");
    assert!(crew.wants_connection(3, &waits, false, false, later), "and the next may try at once");
    for number in [3, 4] {
        crew.stand(number, Connected, later);
    }
    assert_eq!((crew.max_connections(), crew.probe_at()), (4, None), "nothing is left of it");
    assert_eq!(places(&crew).split(' ').filter(|bins| bins.len() == 1).count(), 4);
}

#[test]
fn the_pause_doubles_with_every_probe_that_fails_and_is_scattered() {
    let mut now = Instant::now();
    let mut crew = crew(&[idle(0), resting(1)]);
    for seconds in [5, 10, 20, 40, 80, 160, 300, 300] {
        crew.crowded(now, 1.0);
        assert_eq!(crew.probe_at(), Some(now + Duration::from_secs(seconds)));
        now += Duration::from_secs(seconds);
        crew.stand(2, Connecting, now);
        crew.stand(2, Resting, now);
    }
    crew.crowded(now, 0.0);
    assert_eq!(crew.probe_at(), Some(now + LONGEST_PAUSE / 2));
}

#[test]
fn lanes_that_are_refused_together_make_one_pause() {
    let now = Instant::now();
    let mut crew = crew(&[idle(0), connecting(1), connecting(2), connecting(3)]);
    for (number, connections) in [(2, 3), (3, 2), (4, 1)] {
        crew.stand(number, Resting, now);
        crew.crowded(now, 1.0);
        assert_eq!((crew.max_connections(), crew.probe_at()), (connections, Some(now + FIRST_PAUSE)));
    }
}

#[test]
fn a_crowded_server_is_tried_again_for_a_single_message_in_the_way_of_another() {
    let (now, one_small) = (Instant::now(), Waits(&[1, 0, 0, 0]));
    for (lane, waits, pays, why) in [
        (full(0, &[3]), &one_small, true, "it waits behind a large one"),
        (full(0, &[0]), &one_small, false, "it waits behind its like"),
        (busy(0, &[3]), &one_small, false, "there is room for it"),
        (full(0, &[3]), &NONE, false, "nothing waits"),
    ] {
        let mut crew = crew(&[lane]);
        crew.crowded(now, 1.0);
        assert!(!crew.wants_member(0, waits, now), "it is left alone for a while");
        let later = now + FIRST_PAUSE;
        assert_eq!(crew.wants_member(0, waits, later), pays, "{why}");
        let number = crew.enter(0, later).expect("a descriptor").number;
        assert_eq!(crew.wants_connection(number, waits, false, false, later), pays, "{why}");
    }
}

#[test]
fn crowding_ends_with_the_last_connection_once_the_pause_is_over() {
    let now = Instant::now();
    let mut crew = crew(&[idle(0), resting(1)]);
    crew.crowded(now, 1.0);
    crew.stand(1, Resting, now);
    assert_eq!(crew.max_connections(), 1, "the server has just refused");
    crew.stand(1, Connecting, now + FIRST_PAUSE);
    assert_eq!((crew.max_connections(), crew.probe_at()), (4, None));
}

#[test]
fn one_thread_at_a_time_is_started_to_try_a_crowded_server() {
    let now = Instant::now();
    let (mut crew, waits) = (crew(&[idle(0)]), Waits(&[9, 9, 9, 9]));
    crew.crowded(now, 1.0);
    assert!((0..4).all(|bin| !crew.wants_member(bin, &waits, now)), "during the pause");
    let later = now + FIRST_PAUSE;
    assert!(crew.wants_member(2, &waits, later));
    crew.enter(2, later).expect("a descriptor");
    assert_eq!(places(&crew), "0+1+2+3 -");
    assert!((0..4).all(|bin| !crew.wants_member(bin, &waits, later)), "one is there to try");
}

#[test]
fn other_settings_give_every_lane_its_place_or_none() {
    let two = NextHopSettings { sizebins: vec![1000, u64::MAX], ..sorted(&[1], 0) };
    let sixteen = NextHopSettings { sizebins: (1..16).map(|n| n * 10).chain([u64::MAX]).collect(), ..sorted(&[1], 0) };
    for (settings, expected, why) in [
        (&sorted(&[1], 0), "0 1 2 3", "the same again"),
        (&sorted(&[1], 2), "0+1 2+3 - -", "fewer connections"),
        (&two, "0 1 - -", "fewer bins"),
        (&unsorted(1), "0 - - -", "one queue, one lane"),
        (&unsorted(9), "0 0 0 0", "one queue, many lanes"),
        (&sixteen, "0 10 15 14", "more bins: each by its least message"),
    ] {
        let mut crew = crew(&[idle(0), idle(1), idle(2), idle(3)]);
        crew.reform(settings);
        assert_eq!(places(&crew), expected, "{why}");
        crew.reform(&sorted(&[1], 0));
        let mut back: Vec<String> = places(&crew).split(' ').map(str::to_owned).collect();
        back.sort();
        assert_eq!(back, ["0", "1", "2", "3"], "and back, after: {why}");
    }
}

#[test]
fn what_is_carried_is_counted_by_the_bins_in_force() {
    let mut crew = crew(&[busy(0, &[0]), busy(3, &[3, 3])]);
    crew.reform(&unsorted(2));
    let carries = |crew: &Crew, number| crew.member(number).map(|member| (member.carries(0), member.carried()));
    assert_eq!((carries(&crew, 1), carries(&crew, 2)), (Some((1, 1)), Some((2, 2))));
    crew.release(2, 200);
    crew.reform(&sorted(&[1], 0));
    assert_eq!(crew.member(2).map(|member| (member.carries(0), member.carries(3))), Some((0, 1)));
}

#[test]
fn numbers_are_used_again_and_never_twice_at_a_time() {
    let now = Instant::now();
    let mut crew = crew(&[idle(0), idle(1), idle(2)]);
    crew.leave(2);
    assert_eq!([crew.enter(1, now), crew.enter(3, now)].map(|handle| handle.expect("entered").number), [2, 4]);
    assert_eq!(places(&crew), "0 1 2 3");
}

#[test]
fn the_lanes_that_may_take_a_message_are_told_of_it() {
    for (bin, expected) in [(0, [true, true, true]), (1, [false, true, true]), (3, [false, false, true])] {
        let crew = crew(&[idle(0), resting(2), idle(3)]);
        crew.tell_of(bin);
        assert_eq!(told(&crew), expected, "{bin}");
    }
}

/// Which lanes have been told that there is news, in the order of their numbers.
fn told(crew: &Crew) -> Vec<bool> {
    crew.members().iter().map(|member| member.handle.news.is_signalled()).collect()
}

#[test]
fn who_relied_on_a_larger_lane_is_told_when_it_takes_a_message_of_its_own() {
    let now = Instant::now();
    let mut crew = crew(&[resting(0), idle(1), idle(2), resting(3)]);
    crew.carry(3, 1, SIZES[0] as u64, now);
    assert_eq!(told(&crew), [false; 4], "it helps");
    crew.carry(3, 2, SIZES[2] as u64, now);
    assert_eq!(told(&crew), [true, false, false, false], "it cannot help any more");
    forget_news(&crew);
    crew.carry(3, 3, SIZES[2] as u64, now);
    assert_eq!(told(&crew), [false; 4], "nor could it before");
}

#[test]
fn who_gets_other_bins_is_told() {
    let now = Instant::now();
    let mut crew = crew(&[idle(0), idle(3)]);
    crew.enter(1, now).expect("a descriptor");
    assert_eq!(told(&crew)[..2], [false, false], "theirs are as before");
    crew.crowded(now, 1.0);
    assert_eq!(told(&crew), [true; 3], "two share, and the third is left over");
}

#[test]
fn lanes_reach_down_to_the_smallest_and_not_up() {
    for (lanes, reach) in [(&[][..], 0), (&[resting(0)], 1), (&[resting(2), idle(0)], 3), (&[connecting(3)], 4)] {
        assert_eq!(crew(lanes).reach(), reach);
    }
}

#[test]
fn who_holds_back_is_told_when_the_last_of_a_bin_is_done() {
    let mut crew = crew(&[busy(0, &[0, 0]), busy(3, &[3])]);
    crew.release(1, 100);
    assert!(!told(&crew)[1], "one is left");
    crew.release(1, 101);
    assert!(told(&crew)[1]);
}

#[test]
fn a_lane_is_the_only_one_of_its_group_or_not() {
    let now = Instant::now();
    let crew = crew_of(&sorted(&[2, 1, 1, 1], 0), &[idle(0), resting(0), resting(1)], now);
    assert_eq!([1, 2, 3, 4].map(|number| crew.is_only_of_its_group(number)), [false, false, true, false]);
}
