//! What the tests of the doors share: an engine that answers by a script, and an LMTP client that reads its replies.
//!
//! The script is in the local parts: `ok…` is delivered, `defer…` deferred, `fail…` refused, `doubt…` in doubt, `gone…`
//! gets a 421.

#![allow(dead_code)] // Each test binary uses its own part.

use pipelane::config::{Config, NextHopSettings};
use pipelane::door::Delivery;
use pipelane::engine::Offers;
use pipelane::lane::Ticket;
use pipelane::mail::{Content, EnhancedStatus, Message, NextHop, Outcome, Report, Route, Timings, Verdict};
use pipelane::sync::{Condvar, Mutex};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Long enough for a busy machine; a test that waits so long has failed.
pub const LONG: Duration = Duration::from_secs(30);

pub const HOP: &str = "[relay.example.net]:2525";

/// A message as the script saw it.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    pub queue_id: Option<String>,
    pub next_hop: String,
    pub sender: String,
    pub recipients: Vec<String>,
    /// `None` for a question about the addresses.
    pub content: Option<String>,
    pub smtputf8: bool,
    pub envelope_id: Option<String>,
    pub priority: Option<i8>,
    /// NOTIFY and ORCPT of each recipient.
    pub dsn: Vec<Dsn>,
}

pub type Dsn = (Option<String>, Option<String>);

/// What the script does besides answering by local part.
pub struct Behaviour {
    pub offers: Result<Offers, Outcome>,
    pub trouble: Option<Outcome>,
    pub room: bool,
    /// Tickets are kept until [`Script::release`].
    pub hold: bool,
    pub panics: bool,
}

pub struct Script {
    pub config: Arc<Config>,
    pub behaviour: Mutex<Behaviour>,
    seen: Mutex<Vec<Seen>>,
    held: Mutex<Vec<(Message, Ticket)>>,
    came: Condvar,
}

impl Script {
    pub fn new(config: Config) -> Arc<Script> {
        let offers =
            Offers { eight_bit_mime: true, smtputf8: true, dsn: true, size: Some(100_000), server: "mx".into() };
        let behaviour = Behaviour { offers: Ok(offers), trouble: None, room: true, hold: false, panics: false };
        Arc::new(Script {
            config: Arc::new(config),
            behaviour: Mutex::new(behaviour),
            seen: Mutex::default(),
            held: Mutex::default(),
            came: Condvar::new(),
        })
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }

    /// Waits until so many messages were submitted.
    pub fn await_seen(&self, count: usize) {
        let deadline = Instant::now() + LONG;
        let mut seen = self.seen.lock();
        while seen.len() < count {
            assert!(!self.came.wait_until(&mut seen, deadline).timed_out(), "only {} messages came", seen.len());
        }
    }

    /// Answers what was held.
    pub fn release(&self) {
        for (message, ticket) in std::mem::take(&mut *self.held.lock()) {
            ticket.settle(report(&message));
        }
    }

    /// Whether the client of every held message has gone.
    pub fn all_cancelled(&self) -> bool {
        self.held.lock().iter().all(|(_, ticket)| ticket.is_cancelled())
    }
}

impl Delivery for Script {
    type Room = ();

    fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config)
    }

    fn room(&self, _: &NextHop, _: u64, _: Duration) -> Option<()> {
        self.behaviour.lock().room.then_some(())
    }

    fn submit(&self, message: Message, (): (), ticket: Ticket) {
        let behaviour = self.behaviour.lock();
        assert!(!behaviour.panics, "on purpose");
        self.seen.lock().push(seen(&message));
        match behaviour.hold {
            true => self.held.lock().push((message, ticket)),
            false => drop(ticket.settle(report(&message))),
        }
        self.came.notify_all();
    }

    fn offers(&self, _: &NextHop, _: Duration) -> Result<Offers, Outcome> {
        self.behaviour.lock().offers.clone()
    }

    fn trouble(&self, _: &NextHop) -> Option<Outcome> {
        self.behaviour.lock().trouble.clone()
    }
}

fn seen(message: &Message) -> Seen {
    let parameter = |p: &Option<pipelane::mail::Parameter>| p.as_ref().map(ToString::to_string);
    let envelope = &message.envelope;
    Seen {
        queue_id: message.queue_id.clone(),
        next_hop: message.next_hop.to_string(),
        sender: envelope.sender.to_string(),
        recipients: envelope.recipients.iter().map(|r| r.address.to_string()).collect(),
        content: message.content.as_ref().map(text),
        smtputf8: envelope.smtputf8,
        envelope_id: parameter(&envelope.envelope_id),
        priority: envelope.priority.map(pipelane::mail::Priority::get),
        dsn: envelope.recipients.iter().map(|r| (parameter(&r.notify), parameter(&r.original))).collect(),
    }
}

pub fn text(content: &Content) -> String {
    let mut octets = vec![0; content.len() as usize];
    let mut filled = 0;
    while filled < octets.len() {
        filled += content.read_at(&mut octets[filled..], filled as u64).expect("readable");
    }
    String::from_utf8_lossy(&octets).into_owned()
}

fn report(message: &Message) -> Report {
    let outcome = |address: &str| {
        let (verdict, class, subject, detail, code, text) = match address {
            a if a.starts_with("defer") => (Verdict::Deferred, 4, 2, 1, Some(450), "mailbox busy"),
            a if a.starts_with("fail") => (Verdict::Failed, 5, 1, 1, Some(550), "no such user"),
            a if a.starts_with("doubt") => (Verdict::InDoubt, 4, 4, 2, None, "connection lost"),
            a if a.starts_with("gone") => (Verdict::Deferred, 4, 3, 2, Some(421), "shutting down"),
            _ => (Verdict::Delivered, 2, 0, 0, Some(250), "Ok: queued as ABC"),
        };
        Outcome { verdict, status: EnhancedStatus::new(class, subject, detail), code, text: text.into() }
    };
    Report {
        outcomes: message.envelope.recipients.iter().map(|r| outcome(r.address.as_str())).collect(),
        route: Some(Arc::new(Route {
            server: "mx.example.net[192.0.2.1]:25".into(),
            lane: "lane 1".into(),
            level: "stream",
            dsn: false,
        })),
        earlier: BTreeMap::new(),
        timings: Timings::default(),
    }
}

/// A configuration with one next hop, its sockets below `directory`.
pub fn config(directory: &Path) -> Config {
    let mut config = Config::default();
    config.listen.runtime_directory = directory.to_owned();
    config.next_hops.insert(HOP.parse().expect("a next hop"), Arc::new(NextHopSettings::default()));
    config
}

/// Yields until the condition holds.
pub fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + LONG;
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not come to be");
        std::thread::yield_now();
    }
}

/// An LMTP client for transcripts.
pub struct Talk<S> {
    reader: BufReader<S>,
}

impl Talk<UnixStream> {
    /// Connected, with the greeting unread.
    pub fn to(config: &Config) -> Talk<UnixStream> {
        let path = config.listen.socket_path(&HOP.parse().expect("a next hop"));
        let stream = UnixStream::connect(path).expect("the door is open");
        stream.set_read_timeout(Some(LONG)).expect("a timeout");
        Talk::over(stream)
    }

    /// Greeted, and LHLO said.
    pub fn begun(config: &Config) -> Talk<UnixStream> {
        let mut talk = Talk::to(config);
        talk.expect("220 ");
        talk.say("LHLO mail.example.org\r\n");
        talk.expect("250-");
        talk
    }

    /// Says nothing more, and goes on reading.
    pub fn close_sending(&self) {
        self.reader.get_ref().shutdown(Shutdown::Write).expect("open until now");
    }

    pub fn hang_up(self) {
        self.reader.get_ref().shutdown(Shutdown::Both).expect("open until now");
    }
}

impl<S: Read + Write> Talk<S> {
    pub fn over(stream: S) -> Talk<S> {
        Talk { reader: BufReader::new(stream) }
    }

    pub fn say(&mut self, text: impl AsRef<[u8]>) {
        self.reader.get_mut().write_all(text.as_ref()).expect("the door reads");
    }

    /// The next reply, all its lines.
    pub fn reply(&mut self) -> String {
        let mut reply = String::new();
        loop {
            let start = reply.len();
            self.reader.read_line(&mut reply).expect("a reply in time");
            assert!(reply.len() > start && reply.ends_with("\r\n"), "the door closed after {reply:?}");
            assert!(reply.len() - start <= 512, "an over-long line: {reply:?}");
            if reply.as_bytes()[start..].get(3) != Some(&b'-') {
                return reply.trim_end().to_owned();
            }
        }
    }

    /// Takes the next reply, which must begin so.
    pub fn expect(&mut self, beginning: &str) -> String {
        let reply = self.reply();
        assert!(reply.starts_with(beginning), "expected {beginning:?}, got {reply:?}");
        reply
    }

    /// Says it, and takes a reply for each of these beginnings.
    pub fn ask(&mut self, text: impl AsRef<[u8]>, beginnings: &[&str]) {
        self.say(text);
        for beginning in beginnings {
            self.expect(beginning);
        }
    }

    /// The door has closed, with nothing more to say.
    pub fn expect_end(&mut self) {
        let mut rest = Vec::new();
        // A reset is an end too: the door did not read all that we said.
        if self.reader.read_to_end(&mut rest).is_ok() {
            assert!(rest.is_empty(), "more came: {:?}", String::from_utf8_lossy(&rest));
        }
    }
}
