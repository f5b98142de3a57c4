//! Two hundred messages, some of them refused in every way, to each kind of server that the sink can be.
//!
//! Whatever the server does: each message arrives exactly once and whole, under its own sender, for the recipients that
//! were not refused; each recipient has the right outcome; nothing stalls; and what the server taught is remembered.

use pipelane::config::{Config, Level, NextHopSettings, Timeouts, Trust};
use pipelane::conn::Opener;
use pipelane::engine::Engine;
use pipelane::lane::{Carrier, Connector, Dialler, Inbox, Ticket};
use pipelane::mail::{Address, Content, Envelope, Message, Outcome, Report, Verdict};
use pipelane::sink::{Extensions, Personality, Received, Sink, SinkOptions, Store};
use pipelane::smtp::{Knowledge, Proof};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

const MESSAGES: usize = 200;
/// Far beyond what any run takes; a report that is not there by then is a stall.
const PATIENCE: Duration = Duration::from_secs(300);

/// Connects once all messages are here. A near server could else answer faster than they are handed over; then none
/// waits, and nothing has to be proved.
#[derive(Debug)]
struct WhenAllAreHere(Arc<OnceLock<()>>);

impl Connector for WhenAllAreHere {
    fn connect(
        &self,
        opener: &Opener,
        is_stopping: &dyn Fn() -> bool,
    ) -> std::result::Result<Box<dyn Carrier>, Outcome> {
        self.0.wait();
        Dialler::default().connect(opener, is_stopping)
    }
}

/// One server, one run.
struct Run {
    like: Personality,
    latency: Duration,
    trust: Trust,
    /// One message in so many is refused in one way or another; 0 for none.
    refusals: usize,
}

struct Result {
    reports: Vec<Report>,
    second: Vec<Report>,
    received: Vec<Received>,
    known: Knowledge,
    mistakes: Vec<String>,
    elapsed: Duration,
    connections: u64,
}

/// The sender of a message and its recipients; which are refused follows from the local part.
fn addresses(number: usize, refusals: usize) -> (String, Vec<String>) {
    let good = |n: usize| format!("good{number}-{n}@b.test");
    let sender = format!("sender{number}@a.test");
    if refusals == 0 || !number.is_multiple_of(refusals) {
        return (sender, vec![good(1), good(2)]);
    }
    let bad = |what: &str| format!("{what}@b.test");
    match (number / refusals) % 5 {
        0 => (sender, vec![bad("reject-550")]),
        1 => (sender, vec![good(1), bad("reject-550"), bad("defer-450"), good(2)]),
        2 => ("reject-553@a.test".into(), vec![good(1)]),
        3 => (sender, vec![good(1), bad("dot-550")]),
        _ => (sender, vec![bad("reject-550"), bad("defer-450")]),
    }
}

fn content(number: usize) -> Vec<u8> {
    let body = format!("Message-ID: <{number}@a.test>\r\n\r\n.dot\r\n").into_bytes();
    [body, format!("line {number}\r\n").repeat(1 + number * 7 % 300).into_bytes()].concat()
}

fn expected(sender: &str, recipients: &[String], recipient: &str) -> Verdict {
    let at_the_end = recipients.iter().any(|r| r.starts_with("dot-550"));
    match recipient {
        _ if sender.starts_with("reject") => Verdict::Failed,
        r if r.starts_with("reject") => Verdict::Failed,
        r if r.starts_with("defer") => Verdict::Deferred,
        _ if at_the_end => Verdict::Failed,
        _ => Verdict::Delivered,
    }
}

fn submit(engine: &Engine, sink: &Sink, number: usize, refusals: usize) -> Inbox {
    let (sender, recipients) = addresses(number, refusals);
    let address = |text: &String| Address::parse(text).expect("an address");
    let message = Message {
        queue_id: Some(format!("Q{number}")),
        next_hop: format!("[127.0.0.1]:{}", sink.address().port()).parse().expect("a next hop"),
        envelope: Envelope::new(address(&sender), recipients.iter().map(address).collect()).into(),
        content: Some(Content::from_bytes(&content(number)).expect("content")),
    };
    let room = engine.room(&message.next_hop, message.size(), Duration::ZERO).expect("room");
    let (ticket, inbox) = Ticket::issue(recipients.len());
    engine.submit(message, room, ticket);
    inbox
}

fn wait(inboxes: Vec<Inbox>, run: &Run) -> Vec<Report> {
    let report = |(n, inbox): (usize, Inbox)| {
        inbox.wait(PATIENCE).unwrap_or_else(|| panic!("{}: message {n} has stalled", run.like))
    };
    inboxes.into_iter().enumerate().map(report).collect()
}

fn deliver(run: &Run) -> Result {
    let mut options =
        SinkOptions { latency: run.latency, store: Store::Memory, like: Some(run.like), ..SinkOptions::default() };
    options.tarpit = Some(Duration::from_millis(1));
    options.extensions = Extensions::ALL;
    let sink = Sink::start(options).expect("a sink");
    let timeouts = Timeouts { idle: Duration::from_millis(50), ..Timeouts::default() };
    let settings = NextHopSettings { trust: run.trust, timeouts, redispatches: 5, ..NextHopSettings::default() };
    let config = Arc::new(Config { defaults: Arc::new(settings), ..Config::default() });
    let all_are_here = Arc::new(OnceLock::new());
    let engine = Engine::with_connector(config, Arc::new(WhenAllAreHere(Arc::clone(&all_are_here))));
    let started = Instant::now();
    let inboxes = (0..MESSAGES).map(|number| submit(&engine, &sink, number, run.refusals)).collect();
    all_are_here.set(()).expect("said once");
    let reports = wait(inboxes, run);
    let elapsed = started.elapsed();
    assert!(sink.wait_until_idle(PATIENCE), "{}: an idle connection is closed", run.like);
    let connections = sink.totals().connections;
    let inboxes = (MESSAGES..MESSAGES + 10).map(|number| submit(&engine, &sink, number, 0)).collect();
    let second = wait(inboxes, run);
    let known = engine.ledger().servers(Instant::now()).pop().map(|(_, known)| known).unwrap_or_default();
    engine.drain();
    let mistakes = sink.totals().mistake_texts.iter().map(ToString::to_string).collect();
    Result { reports, second, received: sink.messages(), known, mistakes, elapsed, connections }
}

/// Checks outcomes and arrivals; returns how many recipients are in doubt.
fn check(run: &Run, result: &Result) -> usize {
    let mut arrived: BTreeMap<usize, Vec<&Received>> = BTreeMap::new();
    for received in &result.received {
        let text = String::from_utf8_lossy(&received.content);
        let number = text.strip_prefix("Message-ID: <").and_then(|t| t.split('@').next()).and_then(|n| n.parse().ok());
        arrived.entry(number.expect("a message of ours")).or_default().push(received);
    }
    let mut doubt = 0;
    for (number, report) in result.reports.iter().chain(&result.second).enumerate() {
        let refusals = if number < MESSAGES { run.refusals } else { 0 };
        doubt += check_one(run, number, refusals, report, arrived.get(&number).map_or(&[], Vec::as_slice));
    }
    doubt
}

fn check_one(run: &Run, number: usize, refusals: usize, report: &Report, arrived: &[&Received]) -> usize {
    let (sender, recipients) = addresses(number, refusals);
    let mut doubt = 0;
    for (recipient, outcome) in recipients.iter().zip(&report.outcomes) {
        let expected = expected(&sender, &recipients, recipient);
        let copies = arrived.iter().filter(|m| m.recipients.iter().any(|r| r.address == *recipient)).count();
        let at = format!("{} {:?}: message {number}, {recipient}, {copies} copies: {outcome:?}", run.like, run.trust);
        if outcome.verdict == Verdict::InDoubt {
            assert!(copies <= 1, "{at}");
            doubt += 1;
            continue;
        }
        assert_eq!(outcome.verdict, expected, "{at}");
        assert_eq!(copies, usize::from(expected == Verdict::Delivered), "{at}");
    }
    for message in arrived {
        assert_eq!(message.sender, sender, "{}: message {number} under another's sender", run.like);
        assert_eq!(message.content, content(number), "{}: message {number} has changed", run.like);
    }
    doubt
}

fn run(like: Personality, latency: u64, trust: Trust, refusals: usize) {
    let run = Run { like, latency: Duration::from_millis(latency), trust, refusals };
    let result = deliver(&run);
    let doubt = check(&run, &result);
    let levels =
        |reports: &[Report]| reports.first().and_then(|report| report.route.as_ref()).map_or("-", |route| route.level);
    println!(
        "{:<15} {latency:>3} ms {trust:?}: {:.2} s, {} connections, first at {}, second connection at {}, in doubt {doubt}",
        like.name(),
        result.elapsed.as_secs_f64(),
        result.connections,
        levels(&result.reports),
        levels(&result.second),
    );
    assert!(result.mistakes.is_empty(), "{like}: the server complains: {:?}", result.mistakes);
    if trust == Trust::Learned {
        let destroys = matches!(like, Personality::PostfixErrors | Personality::EximResets);
        assert!(doubt == 0 || destroys, "{like}: {doubt} in doubt");
        check_lesson(like, &result);
    }
}

/// What the ledger must show, and that the next connection starts where the last one ended.
fn check_lesson(like: Personality, result: &Result) {
    use Personality::*;
    let level: Level = result.second[0].route.as_ref().and_then(|route| route.level.parse().ok()).expect("a level");
    let (overlap, chunk) = (result.known.overlap, result.known.chunk);
    let (expected_overlap, expected_chunk, expected_level) = match like {
        Haraka | LostInput | Chasquid => (Proof::Refused, Proof::Unknown, Level::Envelope),
        GoSmtp | Bdat500 => (Proof::Earned, Proof::Refused, Level::Overlap),
        OneCommand | NoEhlo => (Proof::Unknown, Proof::Unknown, Level::Lockstep),
        _ => (Proof::Earned, Proof::Earned, Level::Stream),
    };
    assert_eq!(
        (overlap, chunk, level),
        (expected_overlap, expected_chunk, expected_level),
        "{like}: {:?}",
        result.known
    );
    match like {
        // Learned as transactions; the sink counts messages, so that refused ones come on top.
        Hundred => assert!(matches!(result.known.mail_max, Some(100..=125)), "{:?}", result.known),
        Max421 => assert!(matches!(result.known.mail_max, Some(10..=13)), "{:?}", result.known),
        _ => {}
    }
}

/// Every kind of server that takes mail at all.
fn servers() -> impl Iterator<Item = Personality> {
    Personality::ALL.into_iter().filter(|like| !matches!(like, Personality::Busy | Personality::Mute))
}

/// One message in ten is refused. A tarpit makes each refusal cost twice the one before, so it gets few; and refusals
/// would end the connection before its hundredth message.
fn refusals(like: Personality) -> usize {
    if matches!(like, Personality::Tarpit | Personality::Hundred) { 70 } else { 10 }
}

fn all(latency: u64, trust: Trust, only: &[Personality]) {
    let _ = env_logger::builder().is_test(true).try_init();
    std::thread::scope(|scope| {
        for like in servers().filter(|like| only.is_empty() || only.contains(like)) {
            scope.spawn(move || run(like, latency, trust, refusals(like)));
        }
    });
}

#[test]
fn every_server_nearby() {
    all(0, Trust::Learned, &[]);
}

#[test]
fn every_server_a_tenth_of_a_second_away() {
    all(100, Trust::Learned, &[]);
}

#[test]
fn trust_that_is_justified() {
    use Personality::*;
    all(10, Trust::Stream, &[Honest, Hundred, Max421, Nagle, Limits, OneCommand, NoEhlo, NoNoop]);
}

#[test]
fn trust_that_is_not_justified_loses_no_message() {
    use Personality::*;
    all(10, Trust::Stream, &[Haraka, Chasquid, LostInput, GoSmtp, Bdat500, PostfixErrors, EximResets, ThirdError]);
}

#[test]
fn a_server_that_is_busy_or_mute_defers_everything() {
    for like in [Personality::Busy, Personality::Mute] {
        let sink = Sink::start(SinkOptions { like: Some(like), ..SinkOptions::default() }).expect("a sink");
        let timeouts = Timeouts { greeting: Duration::from_millis(300), ..Timeouts::default() };
        let settings = NextHopSettings { timeouts, ..NextHopSettings::default() };
        let engine = Engine::new(Arc::new(Config { defaults: Arc::new(settings), ..Config::default() }));
        let inboxes: Vec<Inbox> = (0..20).map(|number| submit(&engine, &sink, number, 0)).collect();
        for inbox in inboxes {
            let report = inbox.wait(PATIENCE).expect("a report");
            assert!(
                report.outcomes.iter().all(|o| o.verdict == Verdict::Deferred && o.status.class == 4),
                "{report:?}"
            );
        }
        let next_hop = format!("[127.0.0.1]:{}", sink.address().port()).parse().expect("a next hop");
        assert!(engine.trouble(&next_hop).is_some(), "the doors can say so");
    }
}
