//! A bug in a connection costs its connection, and no message.

use crate::stage::*;
use pipelane::lane::Inbox;
use pipelane::mail::Verdict;

#[test]
fn what_a_panicking_lane_carries_is_reported_by_how_far_it_was() {
    let mut stage = stage(sorted(&[1], 0), 8);
    let (whole, line) = stage.sent("whole", SIZES[0]);
    let (part, same) = stage.sent("part", SIZES[0]);
    let (elsewhere, _) = stage.sent("elsewhere", SIZES[3]);
    assert_eq!(line, same);
    stage.order(line, Do::SendWhole("whole".into()));
    stage.order(line, Do::Panic);
    assert_eq!((verdict(&whole), verdict(&part)), (Verdict::InDoubt, Verdict::Deferred));
    assert!(elsewhere.take().is_none(), "other lanes are not touched");
    let (next, other) = stage.sent("next", SIZES[0]);
    assert_ne!(other, line, "the lane goes on with another connection");
    ["next", "elsewhere"].iter().for_each(|id| stage.answer(id));
    all_delivered(&[next, elsewhere]);
    eventually("nothing is on the account of the dead", || {
        stage.status().bins.iter().all(|bin| bin.unanswered == 0 && bin.waiting == 0)
    });
}

#[test]
fn what_waits_behind_a_panic_is_taken_by_the_next_connection() {
    let mut stage = stage(sorted(&[1], 0), 1);
    let (first, line) = stage.sent("first", SIZES[2]);
    let waiting: Vec<Inbox> = (0..3).map(|n| stage.submit(&n.to_string(), SIZES[2])).collect();
    stage.order(line, Do::Panic);
    assert_eq!(verdict(&first), Verdict::Deferred);
    for id in ["0", "1", "2"] {
        stage.taken(id);
        stage.answer(id);
    }
    all_delivered(&waiting);
}

#[test]
fn a_lost_connection_gives_its_messages_back_in_their_order() {
    let mut stage = stage(sorted(&[1], 0), 2);
    let (first, line) = stage.sent("first", SIZES[2]);
    let (second, _) = stage.sent("second", SIZES[2]);
    let third = stage.submit("third", SIZES[2]);
    stage.order(line, Do::Lose);
    assert_eq!([stage.next_taken().id, stage.next_taken().id], ["first", "second"]);
    stage.answer("first");
    assert_eq!(stage.next_taken().id, "third");
    ["second", "third"].iter().for_each(|id| stage.answer(id));
    all_delivered(&[first, second, third]);
}
