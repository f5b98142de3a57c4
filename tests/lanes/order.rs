//! Which lane takes which message.

use crate::stage::*;

#[test]
fn a_small_message_overtakes_a_large_one() {
    let mut stage = stage(sorted(&[1], 0), 8);
    let (large, line) = stage.sent("large", SIZES[3]);
    let (small, other) = stage.sent("small", SIZES[0]);
    assert_ne!(line, other);
    stage.answer("small");
    all_delivered(&[small]);
    assert!(large.take().is_none(), "it is on its way still");
    stage.answer("large");
    all_delivered(&[large]);
}

#[test]
fn no_message_is_on_a_lane_behind_a_larger_one() {
    let mut stage = stage(sorted(&[1], 0), 100);
    let sizes = [20_000, 50, 5_000, 60, 500, 30_000, 70, 6_000, 600, 80];
    let inboxes: Vec<_> = sizes.iter().map(|size| stage.submit(&size.to_string(), *size)).collect();
    let bin = |size: usize| BOUNDS.partition_point(|bound| *bound < size as u64);
    let mut carried: std::collections::HashMap<usize, Vec<usize>> = std::collections::HashMap::new();
    for _ in sizes {
        let took = stage.next_taken();
        carried.entry(took.line).or_default().push(bin(took.id.parse().expect("a size")));
    }
    for (line, bins) in &carried {
        assert!(bins.is_sorted(), "line {line} has carried messages of bins {bins:?} in this order");
    }
    sizes.iter().for_each(|size| stage.answer(&size.to_string()));
    all_delivered(&inboxes);
}

#[test]
fn a_larger_lane_that_is_idle_takes_small_messages_too() {
    let mut stage = stage(sorted(&[1], 0), 8);
    let (large, line) = stage.sent("large", SIZES[3]);
    stage.answer("large");
    all_delivered(&[large]);
    // The lane may be told of its own message's end a moment later than we are.
    eventually("the lane is idle", || stage.status().bins[3].unanswered == 0);
    let (small, helper) = stage.sent("small", SIZES[0]);
    assert_eq!((helper, stage.script.attempts()), (line, 1), "no further connection is made");
    let (own, same) = stage.sent("own", SIZES[3]);
    assert_eq!(same, line, "and it has room for its own");
    let (next, other) = stage.sent("next", SIZES[0]);
    assert_ne!(other, line, "but does not help any more");
    ["small", "own", "next"].iter().for_each(|id| stage.answer(id));
    all_delivered(&[small, own, next]);
}

#[test]
fn a_smaller_lane_never_helps() {
    let mut stage = stage(sorted(&[1], 0), 8);
    let (small, line) = stage.sent("small", SIZES[0]);
    stage.answer("small");
    all_delivered(&[small]);
    let (large, other) = stage.sent("large", SIZES[1]);
    assert_ne!(line, other);
    stage.answer("large");
    all_delivered(&[large]);
}

#[test]
fn unsorted_the_next_message_goes_to_the_lane_that_has_just_finished() {
    let mut stage = stage(unsorted(3), 1);
    let inboxes: Vec<_> = (0..30).map(|n| stage.submit(&n.to_string(), SIZES[n % 4])).collect();
    let mut on_their_way: Vec<Took> = (0..3).map(|_| stage.next_taken()).collect();
    for expected in 3..30 {
        assert!(stage.nothing_more_is_taken(), "all three are busy");
        // Any of the three may be the first to finish.
        let done = on_their_way.remove(expected * 7 % 3);
        stage.answer(&done.id);
        let next = stage.next_taken();
        assert_eq!((next.line, next.id.clone()), (done.line, expected.to_string()));
        on_their_way.push(next);
    }
    on_their_way.iter().for_each(|took| stage.answer(&took.id));
    all_delivered(&inboxes);
    assert_eq!(stage.script.attempts(), 3);
}

#[test]
fn one_connection_for_all_bins_takes_the_smallest_first() {
    let mut stage = stage(sorted(&[1], 1), 1);
    let (first, _) = stage.sent("first", SIZES[2]);
    let inboxes: Vec<_> = [3, 2, 1, 0].iter().map(|bin| stage.submit(&bin.to_string(), SIZES[*bin])).collect();
    stage.answer("first");
    for expected in ["0", "1", "2", "3"] {
        assert_eq!(stage.next_taken().id, expected);
        stage.answer(expected);
    }
    all_delivered(&[first]);
    all_delivered(&inboxes);
    assert_eq!(stage.script.attempts(), 1);
}

#[test]
fn two_connections_for_four_bins_are_shared_by_neighbours() {
    let mut stage = stage(sorted(&[1], 2), 1);
    let (small, one) = stage.sent("small", SIZES[1]);
    let (large, two) = stage.sent("large", SIZES[2]);
    assert_ne!(one, two);
    let inboxes: Vec<_> = (0..4).map(|bin| stage.submit(&bin.to_string(), SIZES[bin])).collect();
    stage.answer("small");
    assert_eq!((stage.taken("0"), stage.script.attempts()), (one, 2));
    stage.answer("large");
    assert_eq!(stage.taken("2"), two);
    stage.answer("0");
    assert_eq!(stage.taken("1"), one);
    stage.answer("2");
    assert_eq!(stage.taken("3"), two);
    ["1", "3"].iter().for_each(|id| stage.answer(id));
    all_delivered(&[small, large]);
    all_delivered(&inboxes);
}
