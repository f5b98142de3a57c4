//! Latency and rate. Lower bounds are exact; upper bounds only tell one latency from many.

use crate::raw::{Client, start};
use crate::{RECIPIENT, SENDER, no_mistakes, transaction};
use pipelane::sink::{Personality, SinkOptions};
use std::time::{Duration, Instant};

const LATENCY: Duration = Duration::from_millis(200);

fn far() -> SinkOptions {
    SinkOptions { latency: LATENCY, ..SinkOptions::default() }
}

#[test]
fn every_step_costs_one_latency() {
    let sink = start(far());
    let started = Instant::now();
    let mut client = Client::ready(&sink);
    assert_eq!(client.ask("NOOP\r\n").code, 250);
    assert!(started.elapsed() >= LATENCY * 3);
    no_mistakes(&sink);
}

#[test]
fn a_group_costs_one_latency_in_all() {
    let sink = start(far());
    let mut client = Client::ready(&sink);
    let started = Instant::now();
    let flight: String = (0..50).map(|_| transaction(&["b@example.net"], "x\r\n")).collect();
    assert_eq!(client.group(flight, 200), [250; 200]);
    assert!(started.elapsed() >= LATENCY);
    assert!(started.elapsed() < LATENCY * 20, "200 replies took {:?}", started.elapsed());
    assert_eq!(sink.totals().most_in_flight, 50);
    assert_eq!(sink.totals().in_flight, 0);
}

#[test]
fn reading_does_not_wait_for_replies() {
    let sink = start(SinkOptions { latency: Duration::from_secs(600), ..SinkOptions::default() });
    let mut client = Client::connect(&sink);
    client.send("EHLO x\r\n");
    client.send(transaction(&["b@example.net"], "x\r\n"));
    assert!(sink.wait_for_messages(1, Duration::from_secs(20)), "stored long before the greeting");
}

#[test]
fn replies_due_together_leave_together() {
    let sink = start(far());
    let mut client = Client::ready(&sink);
    client.send(format!("{SENDER}{}", RECIPIENT.repeat(20)));
    assert_eq!(client.one_read(), "250 2.1.0 Ok\r\n".len() + 20 * "250 2.1.5 Ok\r\n".len());
}

#[test]
fn a_narrow_line_takes_its_time_for_all_connections_together() {
    // 800 kbit/s is 100 kB a second.
    let sink = start(SinkOptions { rate_kbit: Some(800), ..SinkOptions::default() });
    let content = format!("{}\r\n", "x".repeat(98)).repeat(300);
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut client = Client::ready(&sink);
                assert_eq!(client.group(transaction(&["b@example.net"], &content), 4), [250; 4]);
            });
        }
    });
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(600) && took < Duration::from_secs(6), "60 kB took {took:?}");
    assert_eq!(sink.totals().content_octets, 60_000);
    no_mistakes(&sink);
}

#[test]
fn errors_are_answered_later_and_later_by_a_tarpit() {
    let options = SinkOptions {
        like: Some(Personality::Tarpit),
        tarpit: Some(Duration::from_millis(20)),
        ..SinkOptions::default()
    };
    let sink = start(options);
    let mut client = Client::ready(&sink);
    let started = Instant::now();
    let refused = "RCPT TO:<reject-550@example.net>\r\n".repeat(4);
    assert_eq!(client.group(format!("{SENDER}{refused}"), 5), [250, 550, 550, 550, 550]);
    assert!(started.elapsed() >= Duration::from_millis(20 + 40 + 80 + 160));
}

#[test]
fn stopping_cuts_everything_short() {
    let mut sink = start(SinkOptions { latency: Duration::from_secs(600), ..SinkOptions::default() });
    let mut waiting = Client::connect(&sink);
    let mut slow = Client::connect(&sink);
    slow.send("EHLO x\r\nMAIL FROM:<slow-60000ms@example.org>\r\n");
    let commands = sink.counters();
    while commands.commands.load(std::sync::atomic::Ordering::SeqCst) < 2 {
        std::thread::yield_now();
    }
    let started = Instant::now();
    sink.stop();
    assert!(started.elapsed() < Duration::from_secs(20));
    assert!(waiting.is_closed() && slow.is_closed());
    assert!(std::net::TcpStream::connect(sink.address()).is_err(), "nobody listens any more");
    assert_eq!(sink.totals().open_connections, 0);
}
