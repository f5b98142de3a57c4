//! Single courses of events, each of which once left a message behind, and those that a random order seldom meets.

use super::world::{Window, World};
use crate::config::NextHopSettings;
use crate::lane::fixture::{SIZES, sorted, unsorted};

const WIDE: Window = Window { messages: 5, octets: 50_000 };
const ONE: Window = Window { messages: 1, octets: 1 };

/// A world in which these bins have a lane that is connected and idle.
fn connected(settings: NextHopSettings, window: Window, bins: &[usize]) -> World {
    let mut world = World::new(settings, window);
    for bin in bins {
        world.submit(SIZES[*bin], 0, true);
    }
    for _ in 0..3 {
        world.settle();
        world.dialling().into_iter().for_each(|lane| world.connect(lane));
    }
    world.settle();
    (0..bins.len()).for_each(|_| world.busy().into_iter().for_each(|lane| world.answer(lane, 0)));
    world.settle();
    assert!(world.busy().is_empty() && world.serving().len() == bins.len());
    world
}

#[test]
fn a_small_message_is_not_left_behind_when_its_helper_turns_to_a_large_one() {
    let mut world = connected(sorted(&[1], 0), WIDE, &[0, 3]);
    let (small, large) = (world.serving()[0], world.serving()[1]);
    world.lose(small);
    world.settle();
    assert_eq!((world.resting(), world.serving()), (vec![small], vec![large]));
    world.submit(SIZES[3], 0, true);
    world.submit(SIZES[0], 0, true);
    // The small lane looks first, and relies on the large one, which is idle still.
    world.step(small);
    world.step(small);
    assert_eq!(world.resting(), [small]);
    world.settle();
    assert_eq!(world.dialling(), [small], "the large lane has a message of its own");
}

#[test]
fn a_large_message_without_a_thread_comes_back_although_a_small_lane_runs() {
    let mut world = connected(sorted(&[1], 0), WIDE, &[0]);
    let large = world.submit(SIZES[3], 0, false);
    assert!(world.is_reported(large), "no lane that runs may take it");
    let small = world.submit(SIZES[0], 0, false);
    world.settle();
    assert!(!world.is_reported(small) && world.busy().len() == 1);
}

#[test]
fn a_larger_lane_is_told_when_the_thread_of_a_smaller_one_cannot_be_had() {
    let mut world = connected(sorted(&[1], 0), WIDE, &[3]);
    let large = world.serving()[0];
    world.lose(large);
    world.settle();
    let (small, entered) = world.put(SIZES[0], 0);
    world.settle();
    assert_eq!(world.resting(), [large], "a lane for it is about to be started");
    world.cannot_start(entered);
    world.settle();
    assert_eq!(world.dialling(), [large], "as the last resort");
    world.bring_home();
    assert!(world.is_reported(small));
}

#[test]
fn the_end_of_a_crowding_leaves_no_bin_without_a_lane() {
    let mut world = connected(sorted(&[1], 0), ONE, &[0]);
    let first = world.serving()[0];
    // Few enough that nobody tries for their sake whether the server takes more.
    world.submit(SIZES[0], 0, true);
    world.submit(SIZES[2], 0, true);
    world.settle();
    let second = world.dialling()[0];
    world.refuse(second);
    world.settle();
    assert_eq!(world.busy(), [first], "one lane serves all bins now");
    // The lane that was refused grows tired; then the server closes the connection that was left.
    world.tire(second);
    world.end_pauses();
    world.lose(first);
    world.bring_home();
    world.check_accounts();
    world.check_reports();
    assert_eq!(world.site.statistics.counts().deferred, 0, "a lane was started for them");
}

#[test]
fn a_lane_with_a_suspect_is_no_help_to_others() {
    let mut world = connected(sorted(&[1], 0), WIDE, &[0, 1]);
    let (small, helper) = (world.serving()[0], world.serving()[1]);
    world.lose(small);
    world.settle();
    world.submit(SIZES[0], 0, true);
    for _ in 0..2 {
        world.settle();
        world.lose(helper);
        world.settle();
        world.dialling().into_iter().for_each(|lane| world.connect(lane));
    }
    world.settle();
    let innocent = world.submit(SIZES[0], 0, true);
    world.settle();
    world.check_settled();
    world.dialling().into_iter().for_each(|lane| world.connect(lane));
    world.settle();
    assert_eq!(world.carriers_of(innocent).len(), 1, "it does not wait for the suspect");
}

#[test]
fn whoever_shares_a_lane_with_an_endless_stream_of_small_messages_has_its_turn() {
    for settings in [sorted(&[1], 1), sorted(&[1], 2)] {
        let mut world = World::new(settings, ONE);
        let large = world.submit(SIZES[1], 100, true);
        // Small ones come for ever, each a second younger than the one before.
        let mut turns = 0;
        while !world.is_reported(large) {
            assert!(turns < 40, "it starves");
            world.submit(SIZES[0], 100 - turns, true);
            world.submit(SIZES[0], 100 - turns, true);
            world.settle();
            world.dialling().into_iter().for_each(|lane| world.connect(lane));
            world.settle();
            world.busy().into_iter().for_each(|lane| world.answer(lane, 0));
            turns += 1;
        }
        assert!(turns > 10, "small ones go first for a while: {turns}");
    }
}

#[test]
fn any_lane_takes_the_next_message_when_unsorted() {
    let mut world = connected(unsorted(1), ONE, &[0]);
    let order: Vec<usize> = [3, 0, 2, 1].into_iter().map(|bin| world.submit(SIZES[bin], 0, true)).collect();
    for message in order {
        world.settle();
        assert_eq!(world.carriers_of(message).len(), 1, "in the order in which they came");
        world.busy().into_iter().for_each(|lane| world.answer(lane, 0));
    }
}

#[test]
fn lanes_that_are_left_over_end_what_they_carry_and_go() {
    let mut world = connected(sorted(&[1], 0), WIDE, &[0, 1, 2, 3]);
    let messages: Vec<usize> = (0..4).map(|bin| world.submit(SIZES[bin], 0, true)).collect();
    world.settle();
    assert_eq!(world.busy().len(), 4);
    world.reconfigure(unsorted(1));
    world.settle();
    assert_eq!(world.busy().len(), 4, "what is on its way is not disturbed");
    let more = world.submit(SIZES[3], 0, true);
    world.settle();
    assert_eq!(world.carriers_of(more).len(), 1);
    let stays = world.carriers_of(more)[0];
    world.busy().into_iter().for_each(|lane| world.answer(lane, 0));
    world.settle();
    assert_eq!(world.serving(), [stays], "the others have no place any more");
    world.resting().into_iter().for_each(|lane| world.tire(lane));
    assert_eq!(world.lanes(), [stays]);
    world.bring_home();
    assert!(messages.into_iter().all(|message| world.is_reported(message)));
}

#[test]
fn what_waits_goes_by_the_new_bins_after_a_change() {
    let two = NextHopSettings { sizebins: vec![1000, u64::MAX], ..sorted(&[1], 0) };
    let mut world = connected(two, ONE, &[2]);
    let first = world.submit(SIZES[2], 0, true);
    world.settle();
    let second = world.submit(SIZES[3], 0, true);
    world.settle();
    assert!(world.dialling().is_empty(), "they are of one bin");
    world.reconfigure(sorted(&[1], 0));
    world.settle();
    assert_eq!(world.dialling().len(), 1, "they are of two");
    world.dialling().into_iter().for_each(|lane| world.connect(lane));
    world.settle();
    assert!(world.carriers_of(first) != world.carriers_of(second) && world.busy().len() == 2);
}
