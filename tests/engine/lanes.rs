//! Several lanes of a next hop: how many connections there are, and when.

use crate::host::{Host, yes};
use crate::place::*;
use pipelane::config::{Limits, NextHopSettings, Timeouts};
use pipelane::mail::Verdict;
use pipelane::sink::SinkOptions;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

fn four() -> NextHopSettings {
    NextHopSettings { lanes: vec![4], ..lockstep() }
}

fn slow() -> SinkOptions {
    SinkOptions { latency: Duration::from_millis(20), ..SinkOptions::default() }
}

#[test]
fn one_connection_until_backlog_justifies_more_and_never_more_than_lanes() {
    let sink = sink_with(slow());
    let engine = engine(four());
    let hop = hop(sink.address());
    for n in 0..5 {
        all_delivered(&submit_many(&engine, &hop, &format!("single{n}-"), 1));
    }
    assert_eq!(sink.totals().most_connections, 1, "one after another");
    all_delivered(&submit_many(&engine, &hop, "few", 4));
    assert_eq!(sink.totals().most_connections, 1, "a few");
    all_delivered(&submit_many(&engine, &hop, "many", 100));
    assert_eq!(sink.totals().most_connections, 4, "many");
}

#[test]
fn lanes_that_rest_do_not_connect_for_a_single_message() {
    let sink = sink_with(slow());
    // Lanes rest for a while without a connection, since the server ends each after some messages.
    let timeouts = Timeouts { idle: Duration::from_secs(2), ..Timeouts::default() };
    let engine = engine(NextHopSettings { timeouts, messages_per_connection: 10, ..four() });
    let hop = hop(sink.address());
    all_delivered(&submit_many(&engine, &hop, "burst", 80));
    let before = sink.totals().connections;
    all_delivered(&submit_many(&engine, &hop, "single", 1));
    assert!(sink.totals().connections <= before + 1, "{} and then {}", before, sink.totals().connections);
}

#[test]
fn idle_connections_are_closed_and_new_work_opens_one_again() {
    let sink = sink_with(slow());
    let engine = engine(four());
    let hop = hop(sink.address());
    for round in 0..3 {
        all_delivered(&submit_many(&engine, &hop, &format!("r{round}-"), 40));
        assert!(sink.wait_until_idle(LONG), "idle connections are closed");
    }
    assert_eq!(sink.totals().protocol_mistakes, 0);
    assert_eq!(arrived(&sink).len(), 120);
}

#[test]
fn the_limit_on_all_connections_holds_over_several_next_hops() {
    let (open, most) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let hosts: Vec<Host> = (0..4)
        .map(|_| {
            let (open, most) = (Arc::clone(&open), Arc::clone(&most));
            Host::start(move |_, mut peer| {
                most.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                peer.greet(&[]);
                peer.serve(|line| {
                    if line == "QUIT" {
                        // Before the client gives its place to another.
                        return None;
                    }
                    std::thread::sleep(Duration::from_millis(1));
                    yes(line)
                });
                open.fetch_sub(1, Ordering::SeqCst);
            })
        })
        .collect();
    let settings =
        NextHopSettings { timeouts: Timeouts { idle: Duration::from_millis(20), ..Timeouts::default() }, ..four() };
    let engine = engine_with(settings, Limits { connections: 3, ..Limits::default() });
    let inboxes: Vec<_> = hosts
        .iter()
        .enumerate()
        .flat_map(|(n, host)| submit_many(&engine, &hop(host.address), &format!("h{n}-"), 40))
        .collect();
    all_delivered(&inboxes);
    // A server may notice the end of one connection a moment after the next has begun.
    let most = most.load(Ordering::SeqCst);
    assert!((2..=4).contains(&most), "{most} connections at once");
}

#[test]
fn a_server_that_takes_one_connection_only_is_not_stormed() {
    let busy = Arc::new(AtomicUsize::new(0));
    let host = Host::start(move |_, mut peer| {
        if busy.fetch_add(1, Ordering::SeqCst) > 0 {
            busy.fetch_sub(1, Ordering::SeqCst);
            return peer.say("421 4.7.0 too many connections from you\r\n");
        }
        peer.greet(&[]);
        peer.serve(|line| {
            std::thread::sleep(Duration::from_millis(2));
            yes(line)
        });
        busy.fetch_sub(1, Ordering::SeqCst);
    });
    let engine = engine(four());
    let verdicts = verdicts(&submit_many(&engine, &hop(host.address), "m", 200));
    assert!(verdicts.iter().all(|verdict| *verdict == Verdict::Delivered), "{verdicts:?}");
    assert!(host.connections() <= 8, "{} connections", host.connections());
}

#[test]
fn a_lane_that_ends_and_a_message_that_comes_do_not_miss_each_other() {
    let sink = sink();
    // Lanes end after a moment, so that messages come just then.
    let timeouts = Timeouts { idle: Duration::from_millis(2), ..Timeouts::default() };
    let engine = engine(NextHopSettings { timeouts, lanes: vec![2], ..settings() });
    let hop = hop(sink.address());
    let start = Barrier::new(4);
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let (engine, hop, start) = (&engine, &hop, &start);
            scope.spawn(move || {
                start.wait();
                for n in 0..60 {
                    all_delivered(&submit_many(engine, hop, &format!("{thread}-{n}-"), 1));
                    std::thread::sleep(Duration::from_micros(500 * (1 + (n * 7 + thread) % 12)));
                }
            });
        }
    });
    assert_eq!(arrived(&sink).len(), 240);
}
