//! A next hop with several servers: who is asked when one cannot be reached, and when one does not take a recipient for
//! now.

use crate::host::{Host, Peer, refusing, yes};
use crate::place::*;
use pipelane::config::{NextHopSettings, Routing, Timeouts};
use pipelane::engine::Engine;
use pipelane::mail::{Address, Envelope, Message, NextHop, Report, Verdict};
use pipelane::sync::Mutex;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// These, one after the other.
fn list(addresses: &[SocketAddr]) -> NextHop {
    let each: Vec<String> = addresses.iter().map(|address| hop(*address).to_string()).collect();
    each.join(", ").parse().expect("a next hop")
}

/// A server that answers RCPT by what the recipient's name says: `put-off`, `refused`, or anything else. It notes whom
/// it was asked for.
fn choosy(put_off: &'static str) -> (Host, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let noted = Arc::clone(&asked);
    let host = Host::start(move |_, mut peer: Peer| {
        peer.greet(&["PIPELINING", "ENHANCEDSTATUSCODES"]);
        peer.serve(|line| {
            let Some(rest) = line.strip_prefix("RCPT TO:<") else { return yes(line) };
            let name = rest.split('@').next().unwrap_or_default().to_owned();
            let reply = match &*name {
                "put-off" => put_off,
                "refused" => "550 5.1.1 nobody\r\n",
                _ => "250 2.1.5 ok\r\n",
            };
            noted.lock().push(name);
            Some(reply.to_owned())
        });
    });
    (host, asked)
}

fn to_three(next_hop: &NextHop) -> Message {
    let one = message(next_hop, "three", "r@b.test", 500);
    let recipients = ["put-off@b.test", "refused@b.test", "fine@b.test"];
    let recipients = recipients.map(|text| Address::parse(text).expect("an address")).to_vec();
    Message { envelope: Envelope::new(Address::parse("s@a.test").expect("an address"), recipients).into(), ..one }
}

fn outcomes(engine: &Engine, message: Message) -> Vec<(Verdict, String)> {
    let report = report(&submit(engine, message));
    report.outcomes.iter().map(|outcome| (outcome.verdict, outcome.status.to_string())).collect()
}

/// The address of the server that has decided of this recipient.
fn decider(report: &Report, recipient: usize) -> SocketAddr {
    let server = &report.route_of(recipient).expect("a route").server;
    let port = server.rsplit_once(':').expect("a port").1;
    SocketAddr::from(([127, 0, 0, 1], port.parse().expect("a number")))
}

fn told(verdict: Verdict, status: &str) -> (Verdict, String) {
    (verdict, status.to_owned())
}

#[test]
fn one_that_cannot_be_reached_is_followed_by_the_next() {
    let ((_bound, dead), sink) = (refusing(), sink());
    let engine = engine(settings());
    all_delivered(&submit_many(&engine, &list(&[dead, sink.address()]), "x", 20));
    assert_eq!(sink.messages().len(), 20);
}

#[test]
fn a_fallback_relay_is_asked_last() {
    let ((_bound, dead), sink) = (refusing(), sink());
    let routing = Routing { fallback_relay: Some(hop(sink.address())), ..Routing::default() };
    let engine = engine(NextHopSettings { routing, ..settings() });
    all_delivered(&submit_many(&engine, &hop(dead), "x", 20));
    assert_eq!(sink.messages().len(), 20);
}

#[test]
fn only_the_recipient_that_is_put_off_is_offered_to_the_next() {
    let ((host, asked), sink) = (choosy("450 4.2.0 later\r\n"), sink());
    let engine = engine(settings());
    let report = report(&submit(&engine, to_three(&list(&[host.address, sink.address()]))));
    let verdicts: Vec<Verdict> = report.outcomes.iter().map(|outcome| outcome.verdict).collect();
    assert_eq!(verdicts, [Verdict::Delivered, Verdict::Failed, Verdict::Delivered]);
    assert_eq!(report.outcomes[1].status.to_string(), "5.1.1");
    let deciders: Vec<SocketAddr> = (0..3).map(|index| decider(&report, index)).collect();
    assert_eq!(deciders, [sink.address(), host.address, host.address]);
    assert_eq!(*asked.lock(), ["put-off", "refused", "fine"]);
    let stored = sink.messages();
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0].recipients.len(), 1, "{:?}", stored[0].recipients);
    let place = format!("three: 1 of 3 recipients are put off by 127.0.0.1[127.0.0.1]:{};", host.address.port());
    assert_eq!(logged(&place).len(), 1);
}

#[test]
fn when_all_put_it_off_the_last_word_stands_and_each_was_asked_once() {
    let (first, second) = (choosy("450 4.2.0 later\r\n"), choosy("451 4.7.1 not now\r\n"));
    let engine = engine(settings());
    let found = outcomes(&engine, to_three(&list(&[first.0.address, second.0.address])));
    assert_eq!(found[0], told(Verdict::Deferred, "4.7.1"));
    assert_eq!((first.1.lock().len(), second.1.lock().len()), (3, 1));
}

#[test]
fn when_no_other_can_be_reached_what_the_first_said_stands() {
    let ((host, asked), (_bound, dead)) = (choosy("450 4.2.0 later\r\n"), refusing());
    let engine = engine(settings());
    let report = report(&submit(&engine, to_three(&list(&[host.address, dead]))));
    assert_eq!(report.outcomes[0].status.to_string(), "4.2.0");
    assert_eq!(report.outcomes[2].verdict, Verdict::Delivered);
    assert!((0..3).all(|index| decider(&report, index) == host.address), "{report:?}");
    assert_eq!(engine.statistics().counts().messages, 1);
    assert_eq!(asked.lock().len(), 3);
    assert_eq!(
        logged(&format!("three: to=<put-off@b.test>, server=127.0.0.1[127.0.0.1]:{}", host.address.port())).len(),
        1
    );
    // While the others are known to be down nobody asks them.
    let found = outcomes(&engine, to_three(&list(&[host.address, dead])));
    assert_eq!(found[0], told(Verdict::Deferred, "4.2.0"));
}

/// How long a recipient that was put off waits for the next server, where that has an end soon.
const NEXT_SERVER: Duration = Duration::from_millis(300);

/// Settings by which it has.
fn with_an_end(max_connections: usize) -> NextHopSettings {
    let timeouts = Timeouts { next_server: NEXT_SERVER, idle: 10 * LONG, ..Timeouts::default() };
    NextHopSettings { timeouts, max_connections, ..settings() }
}

#[test]
fn nobody_waits_for_ever_for_a_further_server_that_says_nothing() {
    let (host, _) = choosy("450 4.2.0 later\r\n");
    let silent = Host::start(|_, mut peer: Peer| peer.wait_for_end());
    let engine = engine(with_an_end(0));
    let next_hop = list(&[host.address, silent.address]);
    let waiting: Vec<_> = (0..3).map(|_| submit(&engine, to_three(&next_hop))).collect();
    for inbox in &waiting {
        let report = report(inbox);
        assert_eq!(report.outcomes[0].status.to_string(), "4.2.0");
        assert_eq!(report.outcomes[2].verdict, Verdict::Delivered);
        assert!((0..3).all(|index| decider(&report, index) == host.address), "{report:?}");
    }
    assert_eq!(silent.connections(), 1);
    engine.drain();
    assert_eq!(engine.statistics().counts().messages, 3);
}

#[test]
fn nor_for_one_that_takes_the_message_and_loses_it() {
    let (host, _) = choosy("450 4.2.0 later\r\n");
    // It takes one message, drops the connection at the second when the time is over, and says nothing on any other.
    let loses = Host::start(|connection, mut peer: Peer| {
        if connection == 0 {
            peer.greet(&["PIPELINING"]);
            let mut messages = 0;
            peer.serve(|line| {
                messages += usize::from(line.starts_with("MAIL"));
                if messages > 1 { None } else { yes(line) }
            });
            return std::thread::sleep(2 * NEXT_SERVER);
        }
        peer.wait_for_end();
    });
    let engine = engine(with_an_end(0));
    let next_hop = list(&[host.address, loses.address]);
    assert_eq!(report(&submit(&engine, to_three(&next_hop))).outcomes[0].verdict, Verdict::Delivered);
    let report = report(&submit(&engine, to_three(&next_hop)));
    assert_eq!(report.outcomes[0].status.to_string(), "4.2.0");
    assert!((0..3).all(|index| decider(&report, index) == host.address), "{report:?}");
    engine.drain_until(Instant::now());
}

/// A server that puts everybody off but `stuck`, and says nothing any more once it is asked for that one.
fn busy() -> Host {
    Host::start(|_, mut peer: Peer| {
        peer.greet(&["PIPELINING", "ENHANCEDSTATUSCODES"]);
        peer.serve(|line| match line {
            "RCPT TO:<stuck@b.test>" => None,
            line if line.starts_with("RCPT") => Some("450 4.2.0 later\r\n".to_owned()),
            line => yes(line),
        });
        peer.wait_for_end();
    })
}

#[test]
fn the_servers_of_a_next_hop_share_its_connections() {
    for (max_connections, verdict) in [(1, Verdict::Deferred), (2, Verdict::Delivered)] {
        let (host, sink) = (busy(), sink());
        let engine = engine(with_an_end(max_connections));
        let next_hop = list(&[host.address, sink.address()]);
        let put_off = submit(&engine, message(&next_hop, "shared", "put-off@b.test", 300));
        let stuck = submit(&engine, message(&next_hop, "shared", "stuck@b.test", 300));
        assert_eq!(report(&put_off).outcomes[0].verdict, verdict, "{max_connections}");
        assert_eq!(engine.statistics().counts().connections, max_connections as u64);
        engine.drain_until(Instant::now());
        drop(stuck);
    }
}

#[test]
fn a_connection_without_work_makes_way_for_one_to_another_server() {
    let ((host, _), sink) = (choosy("450 4.2.0 later\r\n"), sink());
    let engine = engine(NextHopSettings {
        timeouts: Timeouts { idle: 10 * LONG, next_server: LONG, ..Timeouts::default() },
        ..with_an_end(1)
    });
    let next_hop = list(&[host.address, sink.address()]);
    // There, back, and there again, without a connection having to grow old.
    for _ in 0..2 {
        let report = report(&submit(&engine, to_three(&next_hop)));
        assert_eq!(report.outcomes[0].verdict, Verdict::Delivered);
        assert_eq!(report.outcomes[2].verdict, Verdict::Delivered);
    }
    assert_eq!(engine.statistics().counts().connections, 4);
    engine.drain();
}

#[test]
fn who_was_answered_before_a_server_closed_has_its_answer_and_not_the_next_one_s() {
    // It takes one recipient in a transaction, closes at the second transaction, and takes no further session.
    let closing = Host::start(|connection, mut peer: Peer| {
        if connection > 0 {
            return peer.say("421 4.3.2 busy\r\n");
        }
        peer.greet(&["PIPELINING", "ENHANCEDSTATUSCODES", "LIMITS RCPTMAX=1"]);
        let mut transactions = 0;
        peer.serve(|line| {
            transactions += usize::from(line.starts_with("MAIL"));
            if transactions > 1 { None } else { yes(line) }
        });
        peer.say("421 4.3.2 closing\r\n");
        peer.close();
    });
    let sink = sink();
    let engine = engine(settings());
    let report = report(&submit(&engine, to_three(&list(&[closing.address, sink.address()]))));
    assert!(report.outcomes.iter().all(|outcome| outcome.verdict == Verdict::Delivered), "{report:?}");
    let deciders: Vec<SocketAddr> = (0..3).map(|index| decider(&report, index)).collect();
    assert_eq!(deciders, [closing.address, sink.address(), sink.address()]);
}

#[test]
fn a_single_server_is_asked_once() {
    let (host, asked) = choosy("450 4.2.0 later\r\n");
    let engine = engine(settings());
    let found = outcomes(&engine, to_three(&hop(host.address)));
    assert_eq!(found[0], told(Verdict::Deferred, "4.2.0"));
    assert_eq!((asked.lock().len(), host.connections()), (3, 1));
}

#[test]
fn many_messages_find_their_way_to_the_next_server_while_others_stream() {
    let ((host, _), sink) = (choosy("450 4.2.0 later\r\n"), sink());
    let engine = engine(NextHopSettings { lanes: vec![3], ..settings() });
    let next_hop = list(&[host.address, sink.address()]);
    let inboxes: Vec<_> = (0..200)
        .map(|n| {
            let to = if n % 2 == 0 { "put-off@b.test" } else { "fine@b.test" };
            submit(&engine, message(&next_hop, &format!("m{n}"), to, 300))
        })
        .collect();
    all_delivered(&inboxes);
    let mut arrived = arrived(&sink);
    arrived.sort();
    let mut expected: Vec<String> = (0..200).step_by(2).map(|n| format!("m{n}")).collect();
    expected.sort();
    assert_eq!(arrived, expected);
    engine.drain();
}
