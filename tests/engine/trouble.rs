//! A site that is down: nobody waits for it, nobody storms it, and nobody else is disturbed.

use crate::host::{Host, yes};
use crate::place::*;
use pipelane::config::{NextHopSettings, Order, Timeouts};
use pipelane::mail::Verdict;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The first pause after a failure, which is fixed.
const PAUSE: Duration = Duration::from_secs(5);

/// A server that greets with 421 until it is told that all is well.
fn sick() -> (Host, Arc<AtomicBool>) {
    let well = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&well);
    let host = Host::start(move |_, mut peer| {
        if told.load(Ordering::SeqCst) {
            peer.greet(&[]);
            peer.serve(yes);
        } else {
            peer.say("421 4.3.2 not now\r\n");
        }
    });
    (host, well)
}

#[test]
fn what_waits_and_what_comes_is_deferred_at_once_and_other_next_hops_are_not_disturbed() {
    let ((host, _well), sink) = (sick(), sink());
    let engine = engine(NextHopSettings { lanes: vec![4], ..settings() });
    let (dead, alive) = (hop(host.address), hop(sink.address()));
    let waiting = submit_many(&engine, &dead, "w", 30);
    let fine = submit_many(&engine, &alive, "f", 30);
    assert_eq!(verdicts(&waiting), [Verdict::Deferred; 30]);
    let why = engine.trouble(&dead).expect("in trouble");
    assert_eq!((why.status.to_string().as_str(), why.code), ("4.3.2", Some(421)));
    let begun = Instant::now();
    let later = submit_many(&engine, &dead, "l", 30);
    assert!(later.iter().all(|inbox| inbox.take().is_some()), "reported before submit returns");
    assert!(engine.offers(&dead, LONG).is_err());
    assert!(begun.elapsed() < PAUSE, "{:?}", begun.elapsed());
    assert!(engine.trouble(&alive).is_none());
    all_delivered(&fine);
    assert!(host.connections() <= 4, "{} connections", host.connections());
}

#[test]
fn after_the_pause_one_attempt_is_made_and_a_success_clears_all() {
    let (host, well) = sick();
    let engine = engine(NextHopSettings { lanes: vec![4], ..settings() });
    let hop = hop(host.address);
    submit_many(&engine, &hop, "first", 1).iter().for_each(|inbox| assert_eq!(verdict(inbox), Verdict::Deferred));
    assert_eq!(host.connections(), 1);
    eventually("the pause is over", || engine.trouble(&hop).is_none());
    let again = submit_many(&engine, &hop, "again", 100);
    assert_eq!(verdicts(&again), [Verdict::Deferred; 100]);
    assert_eq!(host.connections(), 2, "one lane tries for all hundred");
    assert!(engine.trouble(&hop).is_some());
    well.store(true, Ordering::SeqCst);
    let begun = Instant::now();
    eventually("the second pause is over", || engine.trouble(&hop).is_none());
    assert!(begun.elapsed() > PAUSE, "the second pause is longer than the first");
    all_delivered(&submit_many(&engine, &hop, "better", 100));
    assert!(engine.trouble(&hop).is_none());
}

#[test]
fn a_server_that_loses_every_connection_is_as_good_as_down() {
    let host = Host::start(|_, mut peer| {
        peer.greet(&["PIPELINING"]);
        peer.hear();
    });
    let engine = engine(settings());
    let inboxes = submit_many(&engine, &hop(host.address), "x", 50);
    assert_eq!(verdicts(&inboxes), [Verdict::Deferred; 50]);
    assert!(engine.trouble(&hop(host.address)).is_some());
    assert!(host.connections() < 10, "{} connections for 50 messages", host.connections());
}

#[test]
fn a_server_that_takes_content_and_never_answers_gets_three_messages_and_no_more() {
    let host = Host::start(|_, mut peer| {
        peer.greet(&[]);
        peer.serve(|line| if line == "DATA" { None } else { yes(line) });
        peer.say("354 go\r\n");
        peer.content();
    });
    let engine = engine(lockstep());
    let verdicts = verdicts(&submit_many(&engine, &hop(host.address), "x", 20));
    let doubt = verdicts.iter().filter(|verdict| **verdict == Verdict::InDoubt).count();
    let deferred = verdicts.iter().filter(|verdict| **verdict == Verdict::Deferred).count();
    assert_eq!((doubt, deferred, host.connections()), (3, 17, 3));
}

#[test]
fn a_server_that_refuses_everything_and_hangs_up_is_not_down() {
    let host = Host::start(|_, mut peer| {
        peer.greet(&[]);
        let mut refused = 0;
        peer.serve(|line| match line {
            _ if line.starts_with("RCPT") && refused < 3 => {
                refused += 1;
                Some("550 5.1.1 no such user\r\n".into())
            }
            _ if refused == 3 => None,
            _ => yes(line),
        });
        peer.say("421 4.7.0 too many errors\r\n");
    });
    let engine = engine(lockstep());
    assert_eq!(verdicts(&submit_many(&engine, &hop(host.address), "x", 30)), [Verdict::Failed; 30]);
    assert!(engine.trouble(&hop(host.address)).is_none());
}

#[test]
fn a_server_that_still_counts_the_connection_before_is_asked_again_in_a_moment() {
    let host = Host::start(|number, mut peer| {
        if number == 1 {
            return peer.say("421 4.7.0 one connection at a time\r\n");
        }
        peer.greet(&[]);
        peer.serve(yes);
    });
    let (engine, hop) = (engine(settings()), hop(host.address));
    all_delivered(&submit_many(&engine, &hop, "first", 1));
    eventually("the idle connection is closed", || {
        engine.status().channels.iter().all(|channel| channel.lanes.iter().all(|lane| lane.server.is_none()))
    });
    all_delivered(&submit_many(&engine, &hop, "second", 5));
    assert_eq!(host.connections(), 3);
}

#[test]
fn what_is_for_a_lane_that_is_never_greeted_goes_over_another() {
    let host = Host::start(|number, mut peer| {
        if number > 0 {
            // In the queue of a server that serves one client at a time.
            return peer.wait_for_end();
        }
        peer.greet(&[]);
        peer.serve(yes);
    });
    let timeouts = Timeouts { idle: LONG * 4, ..Timeouts::default() };
    let engine = engine(NextHopSettings { order: Order::Sorted, timeouts, ..settings() });
    let hop = hop(host.address);
    let small = submit(&engine, message(&hop, "small", "r@b.test", 200));
    all_delivered(&[small]);
    all_delivered(&[submit(&engine, message(&hop, "large", "r@b.test", 100_000))]);
    assert_eq!(host.connections(), 2);
}
