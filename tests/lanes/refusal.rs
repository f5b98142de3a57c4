//! Servers that take fewer connections than there are lanes, or none.

use crate::stage::*;
use pipelane::lane::Inbox;
use pipelane::mail::Verdict;
use pipelane::sync::bounded;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn a_server_that_takes_one_connection_only_gets_everything_over_it() {
    let stage = staged(sorted(&[1], 0), 4, true, |_, open| open == 0);
    let inboxes: Vec<Inbox> = (0..200).map(|n| stage.submit(&n.to_string(), SIZES[n % 4])).collect();
    all_delivered(&inboxes);
    let attempts = stage.script.attempts();
    assert!(attempts <= 5, "{attempts} attempts: it is not stormed");
    assert!(stage.status().trouble.is_none(), "no trouble: it takes mail");
}

#[test]
fn bins_whose_lane_was_refused_are_served_by_the_ones_there_are() {
    let mut stage = staged(sorted(&[1], 0), 1, false, |_, open| open == 0);
    let (large, line) = stage.sent("large", SIZES[3]);
    let small = stage.submit("small", SIZES[0]);
    eventually("the server has refused", || stage.script.attempts() == 2);
    eventually("they share", || stage.status().max_connections == 1);
    stage.answer("large");
    assert_eq!(stage.taken("small"), line);
    stage.answer("small");
    all_delivered(&[large, small]);
}

#[test]
fn when_nobody_can_connect_the_site_is_in_trouble_and_recovers_when_the_pause_is_over() {
    let up = Arc::new(AtomicBool::new(false));
    let stage = staged(sorted(&[1], 0), 4, true, {
        let up = Arc::clone(&up);
        move |_, _| up.load(Ordering::SeqCst)
    });
    let inboxes: Vec<Inbox> = (0..20).map(|n| stage.submit(&n.to_string(), SIZES[n % 4])).collect();
    for inbox in &inboxes {
        let report = report(inbox);
        assert_eq!(
            (report.outcomes[0].verdict, report.outcomes[0].text.as_str()),
            (Verdict::Deferred, "refused by the script")
        );
    }
    assert!(stage.engine.trouble(&hop(0)).is_some());
    let attempts = stage.script.attempts();
    assert_eq!(verdict(&stage.submit("during", SIZES[1])), Verdict::Deferred);
    assert_eq!(stage.script.attempts(), attempts, "nothing is tried in the pause");
    up.store(true, Ordering::SeqCst);
    eventually("the pause is over", || stage.engine.trouble(&hop(0)).is_none());
    let inboxes: Vec<Inbox> = (0..20).map(|n| stage.submit(&n.to_string(), SIZES[n % 4])).collect();
    all_delivered(&inboxes);
    assert!(stage.status().trouble.is_none());
}

#[test]
fn in_doubt_one_attempt_at_a_time_is_made() {
    let (up, (open_gate, gate)) = (Arc::new(AtomicBool::new(false)), bounded::<()>(0));
    let stage = staged(sorted(&[1], 0), 4, true, {
        let (up, gate) = (Arc::clone(&up), gate);
        // The attempt lasts until the test ends it.
        move |_, _| up.load(Ordering::SeqCst) && gate.recv().is_err()
    });
    assert_eq!(verdict(&stage.submit("before", SIZES[1])), Verdict::Deferred);
    up.store(true, Ordering::SeqCst);
    eventually("the pause is over", || stage.engine.trouble(&hop(0)).is_none());
    let before = stage.script.attempts();
    let inboxes: Vec<Inbox> = (0..40).map(|n| stage.submit(&n.to_string(), SIZES[n % 4])).collect();
    eventually("all lanes run", || stage.status().lanes.len() == 4);
    eventually("one tries", || stage.script.attempts() > before);
    // Whatever the others do meanwhile, they do not try too.
    for _ in 0..1000 {
        assert_eq!(stage.script.attempts(), before + 1);
        std::thread::yield_now();
    }
    drop(open_gate);
    all_delivered(&inboxes);
}
