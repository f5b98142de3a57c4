//! Large and small mail for one next hop on a narrow line.

use crate::postfix::{Postfix, Setup};
use pipelane::config::keys::set_next_hop;
use pipelane::config::{Config, NextHopSettings};
use pipelane::engine::Engine;
use pipelane::lane::Ticket;
use pipelane::mail::{Address, Content, Envelope, Message, NextHop};
use pipelane_link::{Direction, Link, LinkOptions};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(600);

fn message(hop: &NextHop, id: &str, size: usize) -> Message {
    let line = "0123456789012345678901234567890123456789012345678901234567890123456789\r\n";
    let head = format!("Subject: {id}\r\n\r\n");
    let body = line.repeat(size / line.len() + 1);
    let content = format!("{head}{}\r\n", &body[..size - head.len() - 2]);
    Message {
        queue_id: Some(id.into()),
        next_hop: hop.clone(),
        envelope: Envelope::new(
            Address::parse("sender@client.test").expect("an address"),
            vec![Address::parse("r@example.test").expect("an address")],
        ),
        content: Some(Content::from_bytes(content.as_bytes()).expect("content")),
    }
}

/// Submits and returns a thread that tells how long the report took.
fn deliver(engine: &Arc<Engine>, message: Message) -> thread::JoinHandle<(f64, Instant)> {
    let engine = Arc::clone(engine);
    let room = engine.room(&message.next_hop, message.size(), PATIENCE).expect("room");
    let begun = Instant::now();
    let (ticket, inbox) = Ticket::issue(1);
    engine.submit(message, room, ticket);
    thread::spawn(move || {
        let report = inbox.wait(PATIENCE).expect("a report");
        assert!(report.outcomes[0].is_delivered(), "{report:?}");
        (begun.elapsed().as_secs_f64(), Instant::now())
    })
}

fn once(name: &str, options: &[(&str, &str)]) {
    let line = Direction { rate: Some(2_000_000), queue: queue() };
    let link = Link::start(LinkOptions::symmetric(Duration::from_millis(150), line)).expect("a link");
    let postfix = Postfix::start(Setup::discarding().at(link.far()));
    let hop: NextHop = postfix.next_hop().parse().expect("a next hop");
    let mut settings = NextHopSettings::default();
    for (key, value) in options {
        set_next_hop(&mut settings, key, value).expect("a setting");
    }
    let config = Config { defaults: Arc::new(settings), ..Config::default() };
    let (small, all, total) = link
        .near()
        .run(|| {
            let engine = Engine::new(Arc::new(config));
            let begun = Instant::now();
            let large: Vec<_> = (0..20).map(|n| deliver(&engine, message(&hop, &format!("L{n}"), 1_000_000))).collect();
            // They are under way: a few seconds of the eighty that they need.
            thread::sleep(Duration::from_secs(8));
            let small: Vec<_> = (0..100).map(|n| deliver(&engine, message(&hop, &format!("s{n}"), 2_000))).collect();
            let mut times: Vec<f64> = small.into_iter().map(|one| one.join().expect("ends").0).collect();
            let ends: Vec<Instant> = large.into_iter().map(|one| one.join().expect("ends").1).collect();
            eprintln!(
                "{:?}",
                ends.iter().map(|e| ((*e - begun).as_secs_f64() * 100.0).round() / 100.0).collect::<Vec<_>>()
            );
            eprintln!("{:?}", times.iter().map(|t| (t * 100.0).round() / 100.0).collect::<Vec<_>>());
            let last = ends.into_iter().max().expect("some");
            times.sort_by(f64::total_cmp);
            (times, (last - begun).as_secs_f64(), 20.0 * 1e6 + 100.0 * 2e3)
        })
        .expect("the near side");
    let own = total * 8.0 / 2e6;
    println!(
        "{name:<24} small: median {:.2} s, 95th {:.2} s, longest {:.2} s; all {all:.2} s, the line's own time {own:.2} s: {:.3}",
        small[50],
        small[94],
        small[99],
        all / own
    );
    println!("{}", link.stop().expect("a tally"));
}

fn queue() -> u64 {
    std::env::var("QUEUE").ok().and_then(|text| text.parse().ok()).unwrap_or(75_000)
}

/// Runs all of it.
pub fn run() {
    let only = std::env::args().nth(1).unwrap_or_default();
    let cases: [(&str, &[(&str, &str)]); 6] = [
        ("sorted-trust", &[("trust", "stream"), ("window_messages", "256")]),
        ("two-small", &[("trust", "stream"), ("lanes", "2 1 1 1")]),
        ("sorted-learned", &[]),
        (
            "cubic-sorted",
            &[
                ("trust", "stream"),
                ("window_messages", "256"),
                ("congestion", "bbr bbr cubic cubic"),
                ("lanes", "2 1 1 1"),
            ],
        ),
        ("one-lane", &[("trust", "stream"), ("window_messages", "256"), ("max_connections", "1")]),
        ("unsorted-4", &[("trust", "stream"), ("window_messages", "256"), ("order", "unsorted"), ("lanes", "4")]),
    ];
    for (name, options) in cases.iter().filter(|(name, _)| name.contains(&only)) {
        once(name, options);
    }
}
