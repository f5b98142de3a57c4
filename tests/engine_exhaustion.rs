//! A process without descriptors: every message is reported, and all is well again when there are some. The test runs
//! itself under a low limit, so that it can use them up.

use pipelane::config::{Config, NextHopSettings, Timeouts};
use pipelane::engine::Engine;
use pipelane::lane::Ticket;
use pipelane::mail::{Address, Content, Envelope, Message, Verdict};
use pipelane::sink::{Sink, SinkOptions};
use std::fs::File;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(60);
const INNER: &str = "under_a_low_limit";

#[test]
fn a_process_without_descriptors_defers_and_recovers() {
    let own = std::env::current_exe().expect("Linux");
    let limited = format!("ulimit -n 64 && exec \"$0\" --ignored --exact {INNER}");
    let output = Command::new("sh").arg("-c").arg(limited).arg(own).output().expect("a shell");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{}", String::from_utf8_lossy(&output.stderr));
}

fn deliver(engine: &Engine, sink: &Sink) -> Verdict {
    let address = |text: &str| Address::parse(text).expect("an address");
    let message = Message {
        queue_id: None,
        next_hop: format!("[127.0.0.1]:{}", sink.address().port()).parse().expect("a next hop"),
        envelope: Envelope::new(address("s@a.test"), vec![address("r@b.test")]).into(),
        content: Some(Content::from_bytes(b"x\r\n").expect("content")),
    };
    let room = engine.room(&message.next_hop, 3, LONG).expect("room");
    let (ticket, inbox) = Ticket::issue(1);
    engine.submit(message, room, ticket);
    inbox.wait(LONG).expect("a report").outcomes[0].verdict
}

#[test]
#[ignore = "run by the other test, under a limit"]
fn under_a_low_limit() {
    // The sink shares this process: without a descriptor it cannot take the connection, and so is a mute server.
    let greeting = Duration::from_secs(2);
    let timeouts = Timeouts { idle: Duration::from_millis(20), greeting, ..Timeouts::default() };
    let settings = NextHopSettings { timeouts, ..NextHopSettings::default() };
    // With none left, with enough for a lane's own descriptors only, and with enough for half of a connection's.
    for spare in 0..5 {
        let sink = Sink::start(SinkOptions::default()).expect("a port");
        let engine = Engine::new(Arc::new(Config { defaults: Arc::new(settings.clone()), ..Config::default() }));
        let mut fillers: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
        assert!(fillers.len() > spare, "a limit is reached");
        fillers.truncate(fillers.len() - spare);
        let scarce = deliver(&engine, &sink);
        assert!(spare > 2 || scarce == Verdict::Deferred, "{spare} to spare: {scarce:?}");
        drop(fillers);
        let deadline = Instant::now() + LONG;
        while deliver(&engine, &sink) != Verdict::Delivered {
            assert!(Instant::now() < deadline, "{spare} to spare: it has not recovered");
            std::thread::sleep(Duration::from_millis(50));
        }
        engine.drain();
    }
}
