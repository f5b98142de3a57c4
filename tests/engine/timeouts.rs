//! Each stage has its own patience (RFC 5321 section 4.5.3.2), and what is slow but moves is not given up.

use crate::host::{Host, Peer, yes};
use crate::place::*;
use pipelane::config::{NextHopSettings, Timeouts, TlsPolicy, TlsSettings};
use pipelane::mail::{Outcome, Verdict};
use std::time::{Duration, Instant};

const SHORT: Duration = Duration::from_millis(300);

/// A server that answers everything up to the first line that begins like this.
fn mute_at(word: &'static str) -> Host {
    Host::start(move |_, mut peer| {
        if word != "greeting" {
            peer.greet(if word == "STARTTLS" { &["STARTTLS"] } else { &[] });
            let dot = word == ".";
            let last =
                peer.serve(|line| if line.starts_with(word) || (dot && line == "DATA") { None } else { yes(line) });
            if dot && last == "DATA" {
                peer.say("354 go\r\n");
            }
        }
        peer.wait_for_end();
    })
}

/// Delivers a message of this size with one short timeout; every other is far longer than the test may last.
fn deliver(host: &Host, size: usize, shorten: fn(&mut Timeouts) -> &mut Duration) -> (Outcome, Duration) {
    let long = LONG * 4;
    let mut timeouts = Timeouts {
        connect: long,
        greeting: long,
        starttls: long,
        mail: long,
        rcpt: long,
        data_init: long,
        data_transfer: long,
        data_done: long,
        rset: long,
        idle: SHORT,
        next_server: long,
    };
    *shorten(&mut timeouts) = SHORT;
    let engine = engine(NextHopSettings { timeouts, redispatches: 0, ..lockstep() });
    let begun = Instant::now();
    let inbox = submit(&engine, message(&hop(host.address), "slow", "r@b.test", size));
    let outcome = report(&inbox).outcomes.remove(0);
    (outcome, begun.elapsed())
}

#[test]
fn every_stage_has_its_own_patience() {
    type Stage = (&'static str, fn(&mut Timeouts) -> &mut Duration, Verdict, &'static str);
    let stages: [Stage; 6] = [
        ("greeting", |t| &mut t.greeting, Verdict::Deferred, "greeting"),
        ("STARTTLS", |t| &mut t.starttls, Verdict::Deferred, "STARTTLS"),
        ("MAIL", |t| &mut t.mail, Verdict::Deferred, "MAIL"),
        ("RCPT", |t| &mut t.rcpt, Verdict::Deferred, "RCPT"),
        ("DATA", |t| &mut t.data_init, Verdict::Deferred, "DATA"),
        (".", |t| &mut t.data_done, Verdict::InDoubt, "the end of the content"),
    ];
    for (word, shorten, verdict, said) in stages {
        let host = mute_at(word);
        let (outcome, took) = deliver(&host, 100, shorten);
        assert_eq!(outcome.verdict, verdict, "{word}: {outcome:?}");
        assert!(outcome.text.contains(said), "{word}: {outcome:?}");
        assert!(took >= SHORT && took < LONG, "{word}: {took:?}");
    }
}

#[test]
fn a_server_that_acknowledges_and_is_silent_is_waited_for_once() {
    const PATIENCE: Duration = Duration::from_secs(4);
    let host = mute_at("MAIL");
    let timeouts = Timeouts { mail: PATIENCE, ..Timeouts::default() };
    let engine = engine(NextHopSettings { timeouts, redispatches: 0, ..lockstep() });
    let begun = Instant::now();
    let outcome = report(&submit(&engine, message(&hop(host.address), "mute", "r@b.test", 100))).outcomes.remove(0);
    let took = begun.elapsed();
    assert!(outcome.text.contains("MAIL"), "{outcome:?}");
    assert!(took >= PATIENCE && took < 2 * PATIENCE, "{took:?}");
}

#[test]
fn a_handshake_has_the_patience_of_starttls() {
    let host = Host::start(|_, mut peer| {
        peer.greet(&["STARTTLS"]);
        peer.hear();
        peer.say("220 go\r\n");
        peer.wait_for_end();
    });
    let timeouts = Timeouts { starttls: SHORT, ..Timeouts::default() };
    let tls = TlsSettings { policy: TlsPolicy::Require, ..TlsSettings::default() };
    let engine = engine(NextHopSettings { timeouts, tls, ..lockstep() });
    let begun = Instant::now();
    let outcome = report(&submit(&engine, message(&hop(host.address), "no-hello", "r@b.test", 100))).outcomes.remove(0);
    assert_eq!((outcome.verdict, outcome.status.to_string().as_str()), (Verdict::Deferred, "4.7.5"), "{outcome:?}");
    assert!(begun.elapsed() >= SHORT && begun.elapsed() < LONG, "{:?}", begun.elapsed());
}

#[test]
fn content_that_the_server_does_not_read_is_given_up_and_was_not_sent_whole() {
    let host = Host::start(|_, mut peer| {
        peer.narrow();
        peer.greet(&[]);
        peer.serve(|line| if line == "DATA" { None } else { yes(line) });
        peer.say("354 go\r\n");
        peer.be_deaf();
    });
    let (outcome, took) = deliver(&host, 32 << 20, |t| &mut t.data_transfer);
    assert_eq!(outcome.verdict, Verdict::Deferred, "{outcome:?}");
    assert!(outcome.text.contains("took no data"), "{outcome:?}");
    assert!(took >= SHORT && took < LONG, "{took:?}");
}

#[test]
fn a_line_that_is_slow_and_moves_is_not_given_up() {
    // The content fits into the kernel's buffers at once, and leaves them in steps, each within the patience for the
    // reply; all of them together take several times as long.
    let host = Host::start(|_, mut peer| {
        peer.narrow();
        peer.greet(&[]);
        peer.serve(|line| if line == "DATA" { None } else { yes(line) });
        peer.say("354 go\r\n");
        slowly(&mut peer);
        peer.content();
        peer.say("250 ok\r\n");
        peer.serve(yes);
    });
    let (outcome, took) = deliver(&host, 1 << 20, |t| &mut t.data_done);
    assert_eq!(outcome.verdict, Verdict::Delivered, "{outcome:?}");
    assert!(took >= 2 * SHORT, "{took:?}");
}

/// Reads a megabyte but for its end, in steps.
fn slowly(peer: &mut Peer) {
    for _ in 0..15 {
        std::thread::sleep(SHORT / 4);
        peer.swallow(64 << 10);
    }
}

#[test]
fn every_reply_starts_the_clock_anew() {
    let host = Host::start(|_, mut peer| {
        peer.greet(&["PIPELINING"]);
        peer.serve(|line| {
            std::thread::sleep(SHORT * 2 / 3);
            yes(line)
        });
    });
    let (outcome, took) = deliver(&host, 100, |t| {
        (t.mail, t.rcpt, t.data_init) = (SHORT, SHORT, SHORT);
        &mut t.data_done
    });
    assert_eq!(outcome.verdict, Verdict::Delivered, "{outcome:?}");
    assert!(took > SHORT, "{took:?}");
}
