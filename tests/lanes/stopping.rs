//! A stop with lanes that rest, that are busy, and that cannot end.

use crate::stage::*;
use pipelane::lane::Inbox;
use pipelane::mail::Verdict;
use std::time::Duration;

#[test]
fn what_is_on_the_wire_ends_and_what_waits_is_deferred() {
    let mut stage = stage(sorted(&[1], 0), 1);
    stage.engine.reconfigure(with_drain(sorted(&[1], 0), LONG));
    let carried: Vec<Inbox> = (0..4).map(|bin| stage.sent(&format!("c{bin}"), SIZES[bin]).0).collect();
    let waiting: Vec<Inbox> = (0..8).map(|n| stage.submit(&format!("w{n}"), SIZES[n % 4])).collect();
    std::thread::scope(|scope| {
        let drained = scope.spawn(|| stage.engine.drain());
        assert!(waiting.iter().all(|inbox| verdict(inbox) == Verdict::Deferred));
        assert!(carried.iter().all(|inbox| inbox.take().is_none()) && !drained.is_finished());
        (0..4).for_each(|bin| stage.answer(&format!("c{bin}")));
        all_delivered(&carried);
    });
    assert_eq!(verdict(&stage.submit("late", SIZES[0])), Verdict::Deferred);
    assert!(stage.nothing_more_is_taken() && stage.script.open() == 0);
}

#[test]
fn what_cannot_end_is_given_up_when_the_time_is_over() {
    let mut stage = stage(sorted(&[1], 0), 2);
    stage.engine.reconfigure(with_drain(sorted(&[1], 0), Duration::ZERO));
    let carried: Vec<Inbox> = (0..4).map(|bin| stage.sent(&format!("c{bin}"), SIZES[bin]).0).collect();
    let waiting: Vec<Inbox> = (0..40).map(|n| stage.submit(&format!("w{n}"), SIZES[n % 4])).collect();
    stage.engine.drain();
    for inbox in carried.iter().chain(&waiting) {
        assert_eq!(report(inbox).outcomes[0].verdict, Verdict::Deferred);
    }
    assert_eq!(stage.script.open(), 0);
}

#[test]
fn a_stop_at_any_moment_leaves_one_report_for_each_message() {
    for round in 0..20 {
        let stage = staged(sorted(&[2], 5), 3, true, move |attempt, _| (attempt + round) % 3 != 0);
        let inboxes: Vec<Inbox> = std::thread::scope(|scope| {
            let submitting = scope.spawn(|| (0..200).map(|n| stage.submit(&n.to_string(), SIZES[n % 4])).collect());
            (0..round * 20).for_each(|_| std::thread::yield_now());
            stage.engine.drain();
            submitting.join().expect("it does not panic")
        });
        inboxes.iter().for_each(|inbox| drop(report(inbox)));
        let held = stage.status();
        assert!(held.lanes.is_empty() && held.bins.iter().all(|bin| bin.waiting == 0), "{held:?}");
    }
}
