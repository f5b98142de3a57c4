//! Exactly one report per message, however the engine or a server ends.

use crate::host::{Host, black_hole, refusing, yes};
use crate::place::*;
use pipelane::config::{Limits, NextHopSettings, Timeouts};
use pipelane::lane::{Inbox, Ticket};
use pipelane::mail::{Address, Content, Envelope, Message, Verdict};
use pipelane::sink::SinkOptions;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

fn draining_in(drain: Duration) -> Limits {
    Limits { drain, ..Limits::default() }
}

/// Each report says the truth about what the sink holds, and nothing is there twice.
fn check(inboxes: &[Inbox], prefix: &str, arrived: &[String]) -> (usize, usize) {
    let there: BTreeSet<&String> = arrived.iter().collect();
    assert_eq!(there.len(), arrived.len(), "delivered twice");
    let (mut delivered, mut deferred) = (0, 0);
    for (n, inbox) in inboxes.iter().enumerate() {
        let is_there = there.contains(&format!("{prefix}{n}"));
        match verdict(inbox) {
            Verdict::Delivered => delivered += usize::from(is_there),
            Verdict::Deferred => deferred += usize::from(!is_there),
            other => panic!("message {n}: {other:?}"),
        }
    }
    (delivered, deferred)
}

#[test]
fn a_drain_in_mid_flow_finishes_what_is_on_the_wire_and_defers_the_rest() {
    let sink = sink_with(SinkOptions { latency: Duration::from_millis(200), ..SinkOptions::default() });
    let engine = engine(NextHopSettings { window_messages: 16, ..streaming() });
    let inboxes = submit_many(&engine, &hop(sink.address()), "m", 200);
    assert!(sink.wait_for_messages(20, LONG));
    engine.drain();
    let there = arrived(&sink);
    let reported = inboxes.iter().filter(|inbox| inbox.wait(Duration::ZERO).is_some()).count();
    assert_eq!(reported, 200, "all reports are there when the drain is over");
    assert!((20..200).contains(&there.len()), "{} arrived", there.len());
}

#[test]
fn after_a_drain_the_reports_tell_the_truth() {
    let sink = sink_with(SinkOptions { latency: Duration::from_millis(100), ..SinkOptions::default() });
    let engine = engine(NextHopSettings { window_messages: 8, ..streaming() });
    let inboxes = submit_many(&engine, &hop(sink.address()), "m", 100);
    assert!(sink.wait_for_messages(10, LONG));
    engine.drain();
    let (delivered, deferred) = check(&inboxes, "m", &arrived(&sink));
    assert_eq!(delivered + deferred, 100);
    assert!(delivered >= 10 && deferred > 0, "{delivered} {deferred}");
}

#[test]
fn an_engine_that_is_dropped_drains() {
    let sink = sink_with(SinkOptions { latency: Duration::from_millis(100), ..SinkOptions::default() });
    let engine = engine(NextHopSettings { window_messages: 8, ..streaming() });
    let inboxes = submit_many(&engine, &hop(sink.address()), "m", 100);
    assert!(sink.wait_for_messages(1, LONG));
    drop(engine);
    let (delivered, deferred) = check(&inboxes, "m", &arrived(&sink));
    assert_eq!(delivered + deferred, 100);
}

#[test]
fn submitting_while_and_after_it_drains_is_reported_too() {
    let sink = sink();
    let engine = engine(NextHopSettings { lanes: vec![3], ..settings() });
    let hop = hop(sink.address());
    let go_on = Arc::new(AtomicBool::new(true));
    let submitters: Vec<_> = (0..4)
        .map(|number| {
            let (engine, hop, go_on) = (Arc::clone(&engine), hop.clone(), Arc::clone(&go_on));
            std::thread::spawn(move || {
                let (mut inboxes, mut after) = (Vec::new(), 0);
                while after < 20 && inboxes.len() < 5000 {
                    after += usize::from(!go_on.load(Ordering::SeqCst));
                    let id = format!("t{number}-{}", inboxes.len());
                    inboxes.push(submit(&engine, message(&hop, &id, "r@b.test", 200)));
                }
                inboxes
            })
        })
        .collect();
    assert!(sink.wait_for_messages(20, LONG));
    engine.drain();
    go_on.store(false, Ordering::SeqCst);
    let all: Vec<Vec<Inbox>> = submitters.into_iter().map(|thread| thread.join().expect("ends")).collect();
    let there = arrived(&sink);
    for (number, inboxes) in all.iter().enumerate() {
        let mine: Vec<String> = there.iter().filter(|id| id.starts_with(&format!("t{number}-"))).cloned().collect();
        let (delivered, deferred) = check(inboxes, &format!("t{number}-"), &mine);
        assert_eq!(delivered + deferred, inboxes.len());
        assert!(deferred > 0, "the last ones came after the drain");
    }
}

#[test]
fn a_new_next_hop_after_the_drain_is_refused_as_well() {
    let sink = sink();
    let engine = engine(settings());
    engine.drain();
    assert_eq!(verdict(&submit(&engine, message(&hop(sink.address()), "late", "r@b.test", 10))), Verdict::Deferred);
    assert!(engine.offers(&hop(sink.address()), LONG).is_err());
    assert_eq!(sink.totals().connections, 0);
}

/// Drains an engine that is busy with `host` in this way; returns what the message came to.
fn drained(
    limits: Limits,
    settings: NextHopSettings,
    size: usize,
    serve: fn(&mut crate::host::Peer),
) -> (Verdict, Duration) {
    let (sender, receiver) = std::sync::mpsc::channel();
    let sender = std::sync::Mutex::new(sender);
    let host = Host::start(move |_, mut peer| {
        serve(&mut peer);
        sender.lock().expect("no panic").send(()).expect("the test waits");
        peer.be_deaf();
    });
    let engine = engine_with(settings, limits);
    let inbox = submit(&engine, message(&hop(host.address), "x", "r@b.test", size));
    receiver.recv_timeout(LONG).expect("the server is where it should be");
    let begun = Instant::now();
    engine.drain();
    let took = begun.elapsed();
    (verdict(&inbox), took)
}

#[test]
fn a_drain_ends_in_time_while_a_reply_is_owed() {
    let whole = |peer: &mut crate::host::Peer| {
        peer.greet(&[]);
        peer.serve(|line| if line == "DATA" { None } else { yes(line) });
        peer.say("354 go\r\n");
        peer.content();
    };
    let (verdict, took) = drained(draining_in(Duration::from_millis(300)), lockstep(), 100, whole);
    assert_eq!(verdict, Verdict::InDoubt);
    assert!(took >= Duration::from_millis(300) && took < Duration::from_secs(20), "{took:?}");
}

#[test]
fn a_drain_ends_in_time_while_the_server_does_not_read() {
    let deaf = |peer: &mut crate::host::Peer| {
        peer.narrow();
        peer.greet(&[]);
        peer.serve(|line| if line == "DATA" { None } else { yes(line) });
        peer.say("354 go\r\n");
    };
    let (verdict, took) = drained(draining_in(Duration::from_millis(300)), lockstep(), 32 << 20, deaf);
    assert_eq!(verdict, Verdict::Deferred, "it was not sent whole");
    assert!(took < Duration::from_secs(20), "{took:?}");
}

#[test]
fn a_drain_does_not_wait_for_a_greeting() {
    let (verdict, took) = drained(draining_in(LONG), settings(), 100, |_| {});
    assert_eq!(verdict, Verdict::Deferred);
    assert!(took < LONG / 2, "{took:?}");
}

#[test]
fn a_drain_does_not_wait_for_a_dial() {
    let (_held, silent) = black_hole();
    let slow = Timeouts { connect: LONG * 2, ..settings().timeouts };
    let engine = engine_with(NextHopSettings { timeouts: slow, ..settings() }, draining_in(LONG * 2));
    let dialling = submit(&engine, message(&hop(silent), "dialling", "r@b.test", 10));
    assert!(dialling.wait(Duration::from_millis(300)).is_none(), "the dial goes on");
    let begun = Instant::now();
    engine.drain();
    assert!(begun.elapsed() < LONG, "{:?}", begun.elapsed());
    assert_eq!(verdict(&dialling), Verdict::Deferred);
}

#[test]
fn a_message_that_waits_for_a_connection_of_others_is_deferred_by_a_drain() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let sender = std::sync::Mutex::new(sender);
    let host = Host::start(move |_, mut peer| {
        peer.greet(&[]);
        peer.serve(|line| if line.starts_with("RCPT") { None } else { yes(line) });
        sender.lock().expect("no panic").send(()).expect("the test waits");
        peer.wait_for_end();
    });
    let limits = Limits { connections: 1, ..draining_in(Duration::from_millis(300)) };
    let (engine, sink) = (engine_with(lockstep(), limits), sink());
    let first = submit(&engine, message(&hop(host.address), "first", "r@b.test", 10));
    receiver.recv_timeout(LONG).expect("the one connection is taken");
    let waiting = submit(&engine, message(&hop(sink.address()), "waiting", "r@b.test", 10));
    engine.drain();
    assert_eq!(verdicts(&[first, waiting]), [Verdict::Deferred; 2]);
    assert_eq!(sink.totals().connections, 0);
}

#[test]
fn a_server_that_is_not_there_defers() {
    let engine = engine(NextHopSettings {
        timeouts: Timeouts { connect: Duration::from_millis(300), ..settings().timeouts },
        ..settings()
    });
    let ((_socket, refuses), (_held, silent)) = (refusing(), black_hole());
    for (next_hop, status) in [
        (hop(refuses), "4.4.1"),
        (hop(silent), "4.4.1"),
        ("[no-such-host.invalid]:25".parse().expect("a next hop"), "4.4."),
    ] {
        let inboxes = submit_many(&engine, &next_hop, "d", 5);
        for inbox in &inboxes {
            let outcome = report(inbox).outcomes.remove(0);
            assert_eq!(outcome.verdict, Verdict::Deferred, "{next_hop}");
            assert!(outcome.status.to_string().starts_with(status), "{next_hop}: {outcome:?}");
        }
    }
    assert!(engine.statistics().counts().to_string().contains("deferred=15"), "{}", engine.statistics().counts());
}

#[test]
fn a_server_that_takes_the_connection_and_closes_at_once_defers() {
    let host = Host::start(|_, _| {});
    let resets = Host::start(|_, peer| peer.reset());
    let engine = engine(settings());
    for address in [host.address, resets.address] {
        let inboxes = submit_many(&engine, &hop(address), "c", 10);
        assert_eq!(verdicts(&inboxes), [Verdict::Deferred; 10]);
        assert!(engine.trouble(&hop(address)).is_some());
    }
    assert_eq!(host.connections() + resets.connections(), 2);
}

#[test]
fn a_message_to_nobody_is_reported_with_no_outcome() {
    let sink = sink();
    let engine = engine(settings());
    let hop = hop(sink.address());
    let envelope = Envelope::new(Address::null(), Vec::new());
    let content = Some(Content::from_bytes(b"x\r\n").expect("content"));
    let message = Message { queue_id: None, next_hop: hop.clone(), envelope: envelope.into(), content };
    let (ticket, inbox) = Ticket::issue(0);
    engine.submit(message, engine.room(&hop, 3, LONG).expect("room"), ticket);
    assert!(report(&inbox).outcomes.is_empty());
    assert_eq!(sink.totals().connections, 0);
}
