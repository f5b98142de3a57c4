//! An engine whose connections are played: what a lane takes is told to the test, which says what becomes of it.
//!
//! A connection waits on its lane's wake, as a real one does beside its socket, and an order of the test signals that
//! wake. What the test must wait for comes through a channel.

#![allow(dead_code)] // Each test binary uses its own part.

use pipelane::config::{Config, Level, Limits, NextHopSettings, Order as Sorting, Timeouts};
use pipelane::conn::{Feed, Opener, Retry, Token, Vacancy};
use pipelane::engine::Engine;
use pipelane::lane::{Carrier, Connector, Inbox, Job, Obligation, Ticket};
use pipelane::mail::{Address, Content, EnhancedStatus, Envelope, Message, NextHop, Outcome, Report, Verdict};
use pipelane::net::{Interest, Wake, Watch, poll};
use pipelane::smtp::{Cause, CloseReason, Extensions};
use pipelane::sync::{Mutex, Receiver, Sender, unbounded};
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Far longer than anything takes on a loaded machine: what lasts so long is stuck.
pub const LONG: Duration = Duration::from_secs(60);
/// Messages of up to 100, 1000, 10 000 octets, and all others.
pub const BOUNDS: [u64; 4] = [100, 1000, 10_000, u64::MAX];
/// A size of each of them.
pub const SIZES: [usize; 4] = [50, 500, 5_000, 20_000];

/// What the test says to a connection.
#[derive(Debug, Clone)]
pub enum Do {
    /// The server takes this message.
    Answer(String),
    /// All of this message is on its way.
    SendWhole(String),
    /// The connection is lost; the oldest message is charged with it.
    Lose,
    /// A bug.
    Panic,
}

/// A message has been taken by a lane, over this connection (counted from 0).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Took {
    pub line: usize,
    pub id: String,
}

/// Whether an attempt to connect succeeds: it is told the attempt's number from 0, and how many connections are open.
type Decision = dyn Fn(usize, usize) -> bool + Send + Sync;

/// How connections are played.
pub struct Script {
    decide: Box<Decision>,
    /// Messages that a connection takes at a time.
    pub window: usize,
    /// Messages are answered as soon as they are taken.
    pub answers: bool,
    attempts: AtomicUsize,
    lines: AtomicUsize,
    open: Arc<AtomicUsize>,
    orders: Mutex<HashMap<usize, (Sender<Do>, Wake)>>,
    took: Sender<Took>,
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Script")
    }
}

impl Script {
    pub fn attempts(&self) -> usize {
        self.attempts.load(Ordering::SeqCst)
    }

    pub fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }
}

/// The script that lanes are given.
#[derive(Debug)]
struct Player(Arc<Script>);

impl Connector for Player {
    fn connect(&self, opener: &Opener, _: &dyn Fn() -> bool) -> Result<Box<dyn Carrier>, Outcome> {
        let script = &self.0;
        let attempt = script.attempts.fetch_add(1, Ordering::SeqCst);
        if !(script.decide)(attempt, script.open()) {
            return Err(Outcome::deferred(EnhancedStatus::new(4, 4, 1), "refused by the script"));
        }
        let line = script.lines.fetch_add(1, Ordering::SeqCst);
        script.open.fetch_add(1, Ordering::SeqCst);
        let (sender, orders) = unbounded();
        script.orders.lock().insert(line, (sender, opener.news.clone()));
        let server = format!("line {line}");
        let open = Arc::clone(&script.open);
        Ok(Box::new(Line {
            line,
            server,
            news: opener.news.clone(),
            script: Arc::clone(script),
            orders,
            aboard: VecDeque::new(),
            answered: 0,
            open,
        }))
    }
}

/// A connection.
struct Line {
    line: usize,
    server: String,
    news: Wake,
    script: Arc<Script>,
    orders: Receiver<Do>,
    aboard: VecDeque<Job>,
    answered: u64,
    open: Arc<AtomicUsize>,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Line {
    fn take_work(&mut self, feed: &mut dyn Feed<Token = Obligation>) {
        while !feed.is_stopping() {
            let (carried, window) = (self.aboard.len(), self.script.window);
            let alone = self.aboard.iter().any(|job| job.is_suspect());
            let fits = |_| !alone && carried < window;
            let vacancy = Vacancy { fits: &fits, is_empty: carried == 0, is_proven: self.answered > 0 };
            let Some(job) = feed.next(vacancy) else { return };
            let id = job.queue_id.clone().unwrap_or_default();
            self.aboard.push_back(job);
            // A test that has ended does not listen any more.
            let _ = self.script.took.send(Took { line: self.line, id });
            if self.script.answers {
                self.answer(feed, 0);
            }
        }
    }

    fn answer(&mut self, feed: &mut dyn Feed<Token = Obligation>, at: usize) {
        let mut job = self.aboard.remove(at).expect("a message that is aboard");
        let status = EnhancedStatus::new(2, 0, 0);
        job.give_up(&Outcome { verdict: Verdict::Delivered, status, code: Some(250), text: "taken".into() });
        self.answered += 1;
        feed.settled(job, &self.server, Level::Stream);
    }

    fn lose(&mut self, feed: &mut dyn Feed<Token = Obligation>, why: &str, charged: bool) -> CloseReason {
        for (n, job) in std::mem::take(&mut self.aboard).into_iter().enumerate() {
            let retry = Retry { cause: Cause::Lost(why.into()), counts: charged && n == 0 };
            feed.unsent(job, &self.server, Level::Stream, retry);
        }
        CloseReason::Lost(why.into())
    }

    fn find(&self, id: &str) -> usize {
        let is_it = |job: &Job| job.queue_id.as_deref() == Some(id);
        self.aboard.iter().position(is_it).expect("the script names what is aboard")
    }

    /// Does what the test says; a reason when that is the end.
    fn obey(&mut self, feed: &mut dyn Feed<Token = Obligation>) -> Option<CloseReason> {
        while let Ok(order) = self.orders.try_recv() {
            match order {
                Do::Answer(id) => self.answer(feed, self.find(&id)),
                Do::SendWhole(id) => {
                    let at = self.find(&id);
                    self.aboard[at].token.sent_whole();
                }
                Do::Lose => return Some(self.lose(feed, "lost by the script", true)),
                Do::Panic => panic!("a bug, on purpose"),
            }
        }
        None
    }
}

impl Carrier for Line {
    fn run(&mut self, feed: &mut dyn Feed<Token = Obligation>) -> CloseReason {
        feed.offered(&Extensions::default(), &self.server);
        loop {
            if let Some(reason) = self.obey(feed) {
                return reason;
            }
            self.take_work(feed);
            if feed.is_stopping() && self.aboard.is_empty() {
                return CloseReason::Quit(None);
            }
            let ends = feed.must_end_by();
            if ends.is_some_and(|ends| ends <= Instant::now()) {
                self.lose(feed, "pipelane is stopping", false);
                return CloseReason::Abandoned("pipelane is stopping");
            }
            poll(&mut [Watch::new(self.news.fd(), Interest::Read)], ends).expect("a descriptor");
            self.news.clear();
        }
    }

    fn answered(&self) -> u64 {
        self.answered
    }

    fn is_fruitless(&self, _: bool) -> bool {
        self.answered == 0
    }

    fn close(self: Box<Self>, _: &CloseReason) {}
}

/// The engine, and what its lanes have taken.
pub struct Stage {
    pub engine: Arc<Engine>,
    pub script: Arc<Script>,
    took: Receiver<Took>,
    /// What was taken and not asked for yet.
    seen: Vec<Took>,
    /// On which line each message was last.
    lines: HashMap<String, usize>,
}

/// Messages are held until the test answers them; every attempt to connect succeeds.
pub fn stage(settings: NextHopSettings, window: usize) -> Stage {
    staged(settings, window, false, |_, _| true)
}

/// A stage by this decision; `answers`: messages are answered as soon as they are taken.
pub fn staged(
    settings: NextHopSettings,
    window: usize,
    answers: bool,
    decide: impl Fn(usize, usize) -> bool + Send + Sync + 'static,
) -> Stage {
    let (sender, took) = unbounded();
    let script = Arc::new(Script {
        decide: Box::new(decide),
        window,
        answers,
        attempts: AtomicUsize::new(0),
        lines: AtomicUsize::new(0),
        open: Arc::default(),
        orders: Mutex::default(),
        took: sender,
    });
    let engine = Engine::with_connector(config(settings), Arc::new(Player(Arc::clone(&script))));
    Stage { engine, script, took, seen: Vec::new(), lines: HashMap::new() }
}

pub fn config(settings: NextHopSettings) -> Arc<Config> {
    Arc::new(Config { defaults: Arc::new(settings), ..Config::default() })
}

/// The same, where a stop waits so long for what is on the wire.
pub fn with_drain(settings: NextHopSettings, drain: Duration) -> Arc<Config> {
    let limits = Limits { drain, ..Limits::default() };
    Arc::new(Config { defaults: Arc::new(settings), limits, ..Config::default() })
}

/// Settings with [`BOUNDS`]. Lanes stay for the whole test.
pub fn sorted(lanes: &[usize], max_connections: usize) -> NextHopSettings {
    let timeouts = Timeouts { idle: LONG, ..Timeouts::default() };
    NextHopSettings {
        sizebins: BOUNDS.to_vec(),
        lanes: lanes.to_vec(),
        max_connections,
        timeouts,
        ..Default::default()
    }
}

pub fn unsorted(lanes: usize) -> NextHopSettings {
    NextHopSettings { order: Sorting::Unsorted, ..sorted(&[lanes], 0) }
}

pub fn hop(number: usize) -> NextHop {
    format!("[mx{number}.test]:25").parse().expect("a next hop")
}

impl Stage {
    /// Submits a message of so many octets to the usual next hop.
    pub fn submit(&self, id: &str, size: usize) -> Inbox {
        self.submit_to(hop(0), id, size)
    }

    pub fn submit_to(&self, next_hop: NextHop, id: &str, size: usize) -> Inbox {
        let address = |text: &str| Address::parse(text).expect("an address");
        let message = Message {
            queue_id: Some(id.into()),
            next_hop,
            envelope: Envelope::new(address("s@a.test"), vec![address("r@b.test")]).into(),
            content: Some(Content::from_bytes(&vec![b'x'; size - 2]).expect("content")),
        };
        let room = self.engine.room(&message.next_hop, message.size(), LONG).expect("room");
        let (ticket, inbox) = Ticket::issue(1);
        self.engine.submit(message, room, ticket);
        inbox
    }

    /// Waits until a lane takes this message, and tells over which line.
    pub fn taken(&mut self, id: &str) -> usize {
        loop {
            if let Some(at) = self.seen.iter().position(|took| took.id == id) {
                let took = self.seen.remove(at);
                self.lines.insert(took.id, took.line);
                return took.line;
            }
            self.seen.push(self.took.recv_timeout(LONG).unwrap_or_else(|_| panic!("nobody takes {id}")));
        }
    }

    /// Submits a message and waits until a lane has taken it.
    pub fn sent(&mut self, id: &str, size: usize) -> (Inbox, usize) {
        let inbox = self.submit(id, size);
        (inbox, self.taken(id))
    }

    /// The next message that any lane takes.
    pub fn next_taken(&mut self) -> Took {
        if self.seen.is_empty() {
            self.seen.push(self.took.recv_timeout(LONG).expect("somebody takes a message"));
        }
        let took = self.seen.remove(0);
        self.lines.insert(took.id.clone(), took.line);
        took
    }

    /// Whether nothing has been taken that the test has not asked for.
    pub fn nothing_more_is_taken(&mut self) -> bool {
        self.seen.is_empty() && self.took.try_recv().is_err()
    }

    pub fn order(&self, line: usize, order: Do) {
        let orders = self.script.orders.lock();
        let (sender, wake) = orders.get(&line).expect("a line that was made");
        sender.send(order).expect("the line is open");
        wake.signal();
    }

    /// The server takes this message.
    pub fn answer(&self, id: &str) {
        self.order(self.lines[id], Do::Answer(id.into()));
    }

    pub fn status(&self) -> pipelane::lane::status::ChannelStatus {
        self.engine.status().channels.into_iter().next().expect("a channel")
    }
}

/// The report, and that there is no second one.
pub fn report(inbox: &Inbox) -> Report {
    let report = inbox.wait(LONG).expect("a report in time");
    assert!(inbox.take().is_none(), "reported twice");
    report
}

pub fn verdict(inbox: &Inbox) -> Verdict {
    report(inbox).outcomes[0].verdict
}

pub fn all_delivered(inboxes: &[Inbox]) {
    for (n, inbox) in inboxes.iter().enumerate() {
        let report = report(inbox);
        assert_eq!(report.outcomes[0].verdict, Verdict::Delivered, "message {n}: {report:?}");
    }
}

/// Waits until something is so of which no channel tells.
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !is_so() {
        assert!(Instant::now() < deadline, "it never came about that {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
