//! What the tests share: an engine, messages, reports, and a log that can be read and made to panic.

use pipelane::config::{Config, Level, Limits, NextHopSettings, Order, Timeouts, Trust};
use pipelane::engine::Engine;
use pipelane::lane::{Inbox, Ticket};
use pipelane::mail::{Address, Content, Envelope, Message, NextHop, Report, Verdict};
use pipelane::sink::{Sink, SinkOptions, Store};
use pipelane::sync::Mutex;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

/// Far longer than anything takes on a loaded machine: what lasts so long is stuck.
pub const LONG: Duration = Duration::from_secs(60);

/// An engine with these settings for every next hop.
pub fn engine(settings: NextHopSettings) -> Arc<Engine> {
    engine_with(settings, Limits::default())
}

pub fn engine_with(settings: NextHopSettings, limits: Limits) -> Arc<Engine> {
    LazyLock::force(&LOG);
    Engine::new(Arc::new(Config { defaults: Arc::new(settings), limits, ..Config::default() }))
}

/// Connections without work end at once, so that tests do. One queue and one lane; a test of lanes says otherwise.
pub fn settings() -> NextHopSettings {
    let timeouts = Timeouts { idle: Duration::from_millis(100), ..Timeouts::default() };
    NextHopSettings {
        order: Order::Unsorted,
        timeouts,
        helo_name: Some("client.test".into()),
        ..NextHopSettings::default()
    }
}

/// One command and one reply at a time, so that a test knows what is on the wire.
pub fn lockstep() -> NextHopSettings {
    NextHopSettings { max_level: Level::Lockstep, ..settings() }
}

pub fn streaming() -> NextHopSettings {
    NextHopSettings { trust: Trust::Stream, ..settings() }
}

/// A sink that keeps what it gets.
pub fn sink() -> Sink {
    sink_with(SinkOptions::default())
}

pub fn sink_with(options: SinkOptions) -> Sink {
    Sink::start(SinkOptions { store: Store::Memory, ..options }).expect("a sink")
}

pub fn hop(address: SocketAddr) -> NextHop {
    format!("[{}]:{}", address.ip(), address.port()).parse().expect("a next hop")
}

/// A message of about `size` octets to one recipient, its queue id in the content.
pub fn message(hop: &NextHop, id: &str, recipient: &str, size: usize) -> Message {
    let address = |text: &str| Address::parse(text).expect("an address");
    let line = "0123456789012345678901234567890123456789012345678901234567890123456789\r\n";
    let content = format!("Message-ID: <{id}>\r\n\r\n{}", line.repeat(size / line.len()));
    Message {
        queue_id: Some(id.into()),
        next_hop: hop.clone(),
        envelope: Envelope::new(address("sender@a.test"), vec![address(recipient)]).into(),
        content: Some(Content::from_bytes(content.as_bytes()).expect("content")),
    }
}

pub fn submit(engine: &Engine, message: Message) -> Inbox {
    let room = engine.room(&message.next_hop, message.size(), LONG).expect("room");
    let (ticket, inbox) = Ticket::issue(message.envelope.recipients.len());
    engine.submit(message, room, ticket);
    inbox
}

/// Submits `count` small messages; their ids are `prefix` and a number.
pub fn submit_many(engine: &Engine, hop: &NextHop, prefix: &str, count: usize) -> Vec<Inbox> {
    (0..count).map(|n| submit(engine, message(hop, &format!("{prefix}{n}"), "r@b.test", 200))).collect()
}

/// The report, and that there is no second one.
pub fn report(inbox: &Inbox) -> Report {
    let report = inbox.wait(LONG).expect("a report in time");
    assert!(inbox.take().is_none(), "reported twice");
    report
}

pub fn verdict(inbox: &Inbox) -> Verdict {
    let report = report(inbox);
    assert_eq!(report.outcomes.len(), 1);
    report.outcomes[0].verdict
}

pub fn verdicts(inboxes: &[Inbox]) -> Vec<Verdict> {
    inboxes.iter().map(verdict).collect()
}

pub fn all_delivered(inboxes: &[Inbox]) {
    for (n, inbox) in inboxes.iter().enumerate() {
        let report = report(inbox);
        assert_eq!(report.outcomes[0].verdict, Verdict::Delivered, "message {n}: {report:?}");
    }
}

/// The ids of what the sink holds, in the order in which it was accepted.
pub fn arrived(sink: &Sink) -> Vec<String> {
    sink.messages().iter().map(|message| id_of(&message.content)).collect()
}

pub fn id_of(content: &[u8]) -> String {
    let text = String::from_utf8_lossy(content);
    let id = text.strip_prefix("Message-ID: <").and_then(|rest| rest.split('>').next());
    id.expect("a message of ours").to_owned()
}

/// Waits until something is so.
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !is_so() {
        assert!(Instant::now() < deadline, "it never came about that {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A log line with this text makes the thread that writes it panic: a bug at a place of the test's choice.
pub const PANIC: &str = "panic-on-purpose";

struct Log {
    lines: Mutex<Vec<String>>,
}

static LOG: LazyLock<&'static Log> = LazyLock::new(|| {
    let log: &'static Log = Box::leak(Box::new(Log { lines: Mutex::default() }));
    log::set_logger(log).expect("the only logger");
    log::set_max_level(log::LevelFilter::Debug);
    log
});

impl log::Log for Log {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let line = format!("{} {}", record.level(), record.args());
        self.lines.lock().push(line.clone());
        assert!(!line.contains(PANIC), "a bug, on purpose");
    }

    fn flush(&self) {}
}

/// All log lines so far with this text.
pub fn logged(text: &str) -> Vec<String> {
    LOG.lines.lock().iter().filter(|line| line.contains(text)).cloned().collect()
}
