//! Back-pressure: four budgets, per next hop and in all, of messages and of octets.

use crate::host::{Host, yes};
use crate::place::*;
use pipelane::config::{Limits, NextHopSettings};
use pipelane::engine::{Engine, Room};
use pipelane::mail::NextHop;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

fn next_hop(name: &str) -> NextHop {
    format!("[{name}.test]:25").parse().expect("a next hop")
}

fn small() -> Arc<Engine> {
    let settings = NextHopSettings { max_messages: 3, max_bytes: 1000, ..settings() };
    engine_with(settings, Limits { messages: 5, bytes: 1500, ..Limits::default() })
}

fn now(engine: &Engine, hop: &NextHop, size: u64) -> Option<Room> {
    engine.room(hop, size, Duration::ZERO)
}

#[test]
fn messages_are_bounded_for_each_next_hop_and_in_all() {
    let (engine, a, b) = (small(), next_hop("a"), next_hop("b"));
    let mut held: Vec<Room> = (0..3).map(|_| now(&engine, &a, 1).expect("three for each")).collect();
    assert!(now(&engine, &a, 1).is_none());
    held.extend((0..2).map(|_| now(&engine, &b, 1).expect("five in all")));
    assert!(now(&engine, &b, 1).is_none());
    held.clear();
    assert!(now(&engine, &b, 1).is_some(), "room comes back");
}

#[test]
fn octets_are_bounded_for_each_next_hop_and_in_all() {
    let (engine, a, b) = (small(), next_hop("a"), next_hop("b"));
    let first = now(&engine, &a, 900).expect("room");
    assert!(now(&engine, &a, 101).is_none(), "1000 for each");
    let second = now(&engine, &b, 600).expect("1500 in all");
    assert!(now(&engine, &b, 1).is_none());
    drop(first);
    assert!(now(&engine, &b, 1).is_some());
    drop(second);
}

#[test]
fn what_was_taken_of_the_first_budgets_comes_back_when_a_later_one_is_full() {
    let (engine, a, b) = (small(), next_hop("a"), next_hop("b"));
    let held = now(&engine, &a, 1000).expect("room");
    for _ in 0..10 {
        assert!(now(&engine, &b, 501).is_none(), "1500 in all");
    }
    assert!(now(&engine, &b, 500).is_some(), "nothing of the ten is still held");
    drop(held);
}

#[test]
fn a_message_over_the_whole_budget_goes_alone() {
    let (engine, a) = (small(), next_hop("a"));
    let one = now(&engine, &a, 10).expect("room");
    assert!(now(&engine, &a, 5000).is_none());
    drop(one);
    let large = now(&engine, &a, 5000).expect("alone");
    assert!(now(&engine, &a, 1).is_none() && now(&engine, &next_hop("b"), 1).is_none());
    drop(large);
}

#[test]
fn a_wait_for_room_ends_with_room_or_with_the_patience() {
    let (engine, a) = (small(), next_hop("a"));
    let held = now(&engine, &a, 1000).expect("room");
    let begun = Instant::now();
    assert!(engine.room(&a, 1, Duration::from_millis(50)).is_none());
    assert!(begun.elapsed() >= Duration::from_millis(50));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| engine.room(&a, 1, Duration::MAX).is_some());
        drop(held);
        assert!(waiting.join().expect("ends"));
    });
}

#[test]
fn many_threads_that_fill_all_budgets_never_stick() {
    let engine = small();
    let taken = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for number in 0..12u64 {
            let (engine, taken) = (&engine, &taken);
            scope.spawn(move || {
                let hops = [next_hop("a"), next_hop("b"), next_hop("c")];
                for round in 0..200 {
                    let size = (number * 131 + round * 97) % 1200;
                    let hop = &hops[(number + round) as usize % 3];
                    let room = engine.room(hop, size, LONG).expect("no deadlock");
                    taken.fetch_add(1, Ordering::SeqCst);
                    drop(room);
                }
            });
        }
    });
    assert_eq!(taken.load(Ordering::SeqCst), 12 * 200);
}

#[test]
fn room_is_given_back_with_the_report_and_not_before() {
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let gone = std::sync::Mutex::new(gone);
    let host = Host::start(move |_, mut peer| {
        peer.greet(&[]);
        peer.serve(|line| if line.starts_with("RCPT") { None } else { yes(line) });
        let _ = gone.lock().expect("no panic").recv();
        peer.say("250 ok\r\n");
        peer.serve(yes);
    });
    let engine = engine(NextHopSettings { max_messages: 1, ..lockstep() });
    let hop = hop(host.address);
    let inbox = submit(&engine, message(&hop, "held", "r@b.test", 100));
    assert!(engine.room(&hop, 1, Duration::from_millis(200)).is_none());
    drop(go);
    all_delivered(&[inbox]);
    assert!(now(&engine, &hop, 1).is_some(), "room is there when the report is");
}

#[test]
fn room_comes_back_from_a_message_that_was_withdrawn() {
    let sink = sink();
    let engine = engine(NextHopSettings { max_messages: 2, ..settings() });
    let hop = hop(sink.address());
    for n in 0..50 {
        drop(submit(&engine, message(&hop, &format!("gone{n}"), "r@b.test", 100)));
    }
    all_delivered(&submit_many(&engine, &hop, "stays", 2));
    eventually("all room is back", || {
        let both = [now(&engine, &hop, 1), now(&engine, &hop, 1)];
        both.iter().all(Option::is_some)
    });
}

#[test]
fn room_held_for_withdrawn_messages_behind_one_that_is_stuck_is_found() {
    let host = Host::start(|_, mut peer| {
        peer.greet(&[]);
        peer.serve(|line| if line.starts_with("RCPT") { None } else { yes(line) });
        peer.wait_for_end();
    });
    let engine = engine_with(
        NextHopSettings { max_messages: 5, ..lockstep() },
        Limits { drain: Duration::ZERO, ..Limits::default() },
    );
    let hop = hop(host.address);
    let stuck = submit(&engine, message(&hop, "stuck", "r@b.test", 100));
    eventually("it is on the wire", || host.connections() == 1);
    let wanted = submit(&engine, message(&hop, "wanted", "r@b.test", 100));
    let withdrawn: Vec<_> = (0..3).map(|n| submit(&engine, message(&hop, &format!("w{n}"), "r@b.test", 100))).collect();
    assert!(now(&engine, &hop, 1).is_none());
    drop(withdrawn);
    let found: Vec<Option<Room>> = (0..4).map(|_| now(&engine, &hop, 1)).collect();
    assert_eq!(found.iter().flatten().count(), 3, "three are gone, two are held");
    engine.drain();
    assert!(stuck.take().is_some() && wanted.take().is_some());
}
