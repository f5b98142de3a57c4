//! Lanes without work leave neither thread nor descriptor. Alone in its program, since it counts all of them.

use pipelane::config::{Config, NextHopSettings, Order, Timeouts};
use pipelane::engine::Engine;
use pipelane::lane::{Inbox, Ticket};
use pipelane::mail::{Address, Content, Envelope, Message};
use pipelane::sink::{Sink, SinkOptions};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(60);

/// Threads and descriptors of this process.
fn held() -> (usize, usize) {
    let count = |folder| std::fs::read_dir(folder).expect("Linux").count();
    (count("/proc/self/task"), count("/proc/self/fd"))
}

/// Waits until no more is held than before; the kernel may list what has ended for a moment longer.
fn back_to(before: (usize, usize), when: &str) {
    let deadline = Instant::now() + LONG;
    loop {
        let now = held();
        if now.0 <= before.0 && now.1 <= before.1 {
            return;
        }
        assert!(Instant::now() < deadline, "{when}: threads and descriptors {now:?}, before {before:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn submit(engine: &Engine, port: u16, count: usize) -> Vec<Inbox> {
    let address = |text: &str| Address::parse(text).expect("an address");
    let one = |_| {
        let message = Message {
            queue_id: None,
            next_hop: format!("[127.0.0.1]:{port}").parse().expect("a next hop"),
            envelope: Envelope::new(address("s@a.test"), vec![address("r@b.test")]).into(),
            content: Some(Content::from_bytes(b"x\r\n").expect("content")),
        };
        let room = engine.room(&message.next_hop, 3, LONG).expect("room");
        let (ticket, inbox) = Ticket::issue(1);
        engine.submit(message, room, ticket);
        inbox
    };
    (0..count).map(one).collect()
}

fn reported(inboxes: Vec<Inbox>) {
    inboxes.iter().for_each(|inbox| drop(inbox.wait(LONG).expect("a report")));
}

#[test]
fn lanes_end_when_idle_and_with_the_engine() {
    let sinks: Vec<Sink> = (0..3)
        .map(|_| {
            Sink::start(SinkOptions { latency: Duration::from_millis(5), ..SinkOptions::default() }).expect("a port")
        })
        .collect();
    let timeouts = Timeouts { idle: Duration::from_millis(100), ..Timeouts::default() };
    let settings = NextHopSettings {
        order: Order::Unsorted,
        lanes: vec![4],
        window_messages: 2,
        timeouts,
        ..NextHopSettings::default()
    };
    let engine = Engine::new(Arc::new(Config { defaults: Arc::new(settings), ..Config::default() }));
    let dead = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port").local_addr().expect("bound").port();
    let before = held();
    for _ in 0..3 {
        let all = sinks.iter().flat_map(|sink| submit(&engine, sink.address().port(), 100));
        reported(all.chain(submit(&engine, dead, 10)).collect());
        assert!(held().0 > before.0, "lanes are still there");
        back_to(before, "idle");
    }
    // Next hops that are only asked about cost no thread.
    for n in 0..3000 {
        assert!(engine.trouble(&format!("[h{n}.test]:25").parse().expect("a next hop")).is_none());
    }
    back_to(before, "asked about");
    let last: Vec<Inbox> = sinks.iter().flat_map(|sink| submit(&engine, sink.address().port(), 100)).collect();
    drop(engine);
    reported(last);
    back_to(before, "dropped");
}
