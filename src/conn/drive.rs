//! The loop: one session over one stream, fed with messages, until the connection ends.
//!
//! This is the only place that knows both the protocol and the socket. Each turn takes the work that has room, does the one
//! thing the session wants, and passes on what it tells. A lane's thread lives in here; it waits in one
//! `poll(2)` on its socket and its wake.
//!
//! Promises to the floor above ([`Feed`]): every delivery taken comes back exactly once, settled or unsent; work is
//! taken only when it goes on the wire at once; what the server said before it closed is read before anything is judged.

mod aboard;

use super::feed::{Feed, Token};
use super::ledger::ServerKey;
use super::open::{OpenError, Opened, Opener};
use super::pace::Pace;
use crate::net::Duplex;
use crate::smtp::{CloseReason, Event, Extensions, Fact, Session, Stage, TransactionId, Want};
use aboard::Aboard;
use log::{debug, info, warn};
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// One connection.
pub struct Connection<T> {
    opener: Opener,
    duplex: Duplex,
    session: Session,
    key: ServerKey,
    server: String,
    address: SocketAddr,
    aboard: HashMap<u64, Aboard<T>>,
    next_berth: u64,
    /// Messages aboard with recipients left, oldest first.
    unfinished: Vec<u64>,
    transactions: HashMap<TransactionId, (u64, Vec<usize>)>,
    pace: Pace,
    heard: Instant,
    unsent: usize,
    round_trip: Duration,
    idle_since: Option<Instant>,
    accepted: u64,
    buffer: Vec<u8>,
}

impl<T: Token> Connection<T> {
    /// Dials and makes the session ready. `exclude` are addresses not to be tried (again).
    /// `must_end_by` is asked while waiting: once it tells a time, the attempt ends by then. An error comes with the
    /// address that was reached, if one was.
    pub fn open(
        opener: &Opener,
        exclude: &[SocketAddr],
        must_end_by: &dyn Fn() -> Option<Instant>,
    ) -> Result<Connection<T>, (OpenError, Option<SocketAddr>)> {
        let opened = opener.dial(exclude).map_err(|error| (error, None))?;
        let address = opened.address;
        let mut connection = Connection::new(opener.clone(), opened);
        match connection.greet(must_end_by) {
            Ok(()) => Ok(connection),
            Err(error) => Err((error, Some(address))),
        }
    }

    fn new(opener: Opener, opened: Opened) -> Connection<T> {
        Connection {
            key: ServerKey::new(opened.address, ""),
            opener,
            duplex: opened.duplex,
            session: opened.session,
            server: opened.server,
            address: opened.address,
            aboard: HashMap::new(),
            next_berth: 0,
            unfinished: Vec::new(),
            transactions: HashMap::new(),
            pace: Pace::default(),
            heard: Instant::now(),
            unsent: 0,
            round_trip: Duration::ZERO,
            idle_since: None,
            accepted: 0,
            buffer: vec![0; 64 * 1024],
        }
    }

    /// `host[address]:port`
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The address connected to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the server offers.
    pub fn offered(&self) -> &Extensions {
        self.session.offered()
    }

    /// Messages that the server accepted on this connection.
    pub fn accepted(&self) -> u64 {
        self.accepted
    }

    /// Reply of the server to EHLO, measured.
    pub fn round_trip(&self) -> Duration {
        self.round_trip
    }

    /// The session, for a look at what it has reached.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// From the connect until EHLO is answered. No message is at stake.
    fn greet(&mut self, must_end_by: &dyn Fn() -> Option<Instant>) -> Result<(), OpenError> {
        let mut asked = Instant::now();
        loop {
            match self.session.want() {
                Want::Write => {
                    asked = Instant::now();
                    self.write(must_end_by());
                }
                Want::Read => self.read(must_end_by()),
                Want::Idle | Want::Content { .. } => {}
                Want::Closed => return Err(self.not_opened()),
            }
            if !self.session.greeting().is_empty() && self.key.is_unnamed() {
                self.key = ServerKey::new(self.address, self.session.greeting());
                self.session.remember(self.opener.ledger.recall(&self.key, Instant::now()));
            }
            if let Some(Event::Ready) = self.session.next_event() {
                self.round_trip = asked.elapsed();
                return Ok(());
            }
        }
    }

    fn not_opened(&self) -> OpenError {
        let server = self.server.clone();
        match self.session.closed() {
            Some(CloseReason::NotReady(reply) | CloseReason::ByServer(reply)) => {
                OpenError::NotReady { server, reply: reply.clone() }
            }
            Some(reason) => OpenError::Broken { server, text: reason.to_string() },
            None => OpenError::Broken { server, text: "the session is not ready".into() },
        }
    }

    /// Makes the honesty probe without a message and waits for what it shows, then a moment for a reply too many.
    /// `None` where it is not to be made: CHUNKING is not offered, or what is known already decides.
    pub fn probe(&mut self) -> Option<bool> {
        if !self.session.probe() {
            return None;
        }
        let mut until = None;
        loop {
            match self.session.want() {
                Want::Write => self.write(None),
                Want::Read => self.read(None),
                _ if self.session.is_honest_so_far() => {
                    let end = *until.get_or_insert_with(|| Instant::now() + self.patience(Some(Stage::Proof)));
                    self.duplex.set_deadline(None);
                    match self.duplex.wait(None, Some(end)) {
                        Ok(ready) if ready.readable => self.take_replies(),
                        _ => return Some(true),
                    }
                }
                _ => return Some(false),
            }
        }
    }

    /// Carries messages until the connection ends. Every delivery taken has then been given back.
    pub fn run<F: Feed<Token = T>>(&mut self, feed: &mut F) -> CloseReason {
        feed.offered(self.session.offered(), &self.server);
        loop {
            self.take_work(feed);
            let want = self.session.want();
            // Deciding what to send may have ended a transaction: that is told before anything is waited for.
            if self.pass_on_events(feed) {
                continue;
            }
            match want {
                Want::Content { id, offset, max } => self.supply(id, offset, max),
                Want::Write => self.write(feed.must_end_by()),
                Want::Read => self.read(feed.must_end_by()),
                Want::Idle => self.idle(feed),
                Want::Closed => return self.finish(feed),
            }
            self.pass_on_events(feed);
        }
    }

    fn write(&mut self, must_end_by: Option<Instant>) {
        let due = Instant::now() + self.opener.settings.timeouts.data_transfer;
        self.duplex.set_deadline(Some(must_end_by.map_or(due, |end| end.min(due))));
        let written = self.duplex.write(self.session.output());
        match written {
            Ok(n) => {
                self.session.wrote(n);
                self.heard = Instant::now();
                self.take_replies();
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.take_replies(),
            Err(error) => self.write_failed(&error),
        }
    }

    /// A write error is not yet the verdict: what the server said before it closed is read first.
    fn write_failed(&mut self, error: &io::Error) {
        self.take_replies();
        self.session.lost(&describe(error));
    }

    /// Takes the replies that are here, without waiting.
    fn take_replies(&mut self) {
        loop {
            match self.duplex.try_read(&mut self.buffer) {
                Ok(None) => return,
                Ok(Some(0)) => return self.session.lost("the server closed the connection"),
                Ok(Some(n)) => self.hear(n),
                Err(error) => return self.session.lost(&describe(&error)),
            }
            if self.session.closed().is_some() {
                return;
            }
        }
    }

    fn hear(&mut self, octets: usize) {
        self.heard = Instant::now();
        self.session.input(&self.buffer[..octets]);
    }

    /// Waits for the server as long as the oldest unanswered command may take, or until new work is signalled.
    fn read(&mut self, must_end_by: Option<Instant>) {
        let due = self.heard + self.patience(self.session.stage());
        let until = must_end_by.map_or(due, |end| end.min(due));
        self.duplex.set_deadline(None);
        let ready = match self.duplex.wait(Some(&self.opener.wake), Some(until)) {
            Ok(ready) => ready,
            Err(error) => return self.session.lost(&describe(&error)),
        };
        if ready.woken {
            self.opener.wake.clear();
        }
        if ready.readable {
            match self.duplex.read(&mut self.buffer) {
                Ok(0) => self.session.lost("the server closed the connection"),
                Ok(n) => self.hear(n),
                Err(error) => self.session.lost(&describe(&error)),
            }
        } else if must_end_by.is_some_and(|end| Instant::now() >= end) {
            self.session.lost("pipelane is stopping");
        } else if ready.timed_out && !self.line_is_moving() {
            self.session.timed_out();
        }
    }

    /// On a slow line a command may not have arrived yet: as long as the peer acknowledges octets, the clock starts anew.
    fn line_is_moving(&mut self) -> bool {
        let unsent = self.duplex.unsent().unwrap_or(0);
        let moving = unsent > 0 && unsent != self.unsent && self.session.stage() != Some(Stage::Proof);
        self.unsent = unsent;
        if moving {
            self.heard = Instant::now();
        }
        moving
    }

    fn patience(&self, stage: Option<Stage>) -> Duration {
        let timeouts = &self.opener.settings.timeouts;
        match stage {
            Some(Stage::Greeting) => timeouts.greeting,
            Some(Stage::Reset) => timeouts.rset,
            Some(Stage::Proof) => Duration::from_secs(1).max(3 * self.round_trip),
            Some(Stage::Mail) => timeouts.mail,
            Some(Stage::Rcpt) => timeouts.rcpt,
            Some(Stage::Data) => timeouts.data_init,
            Some(Stage::Content) => timeouts.data_done,
            None => timeouts.idle,
        }
    }

    /// Nothing to do: wait for work, for the server's farewell, or for the end of our patience.
    fn idle<F: Feed<Token = T>>(&mut self, feed: &F) {
        let since = *self.idle_since.get_or_insert_with(Instant::now);
        let until = since + self.opener.settings.timeouts.idle;
        if feed.is_stopping() || Instant::now() >= until {
            return self.session.quit();
        }
        self.duplex.set_deadline(None);
        match self.duplex.wait(Some(&self.opener.wake), Some(until)) {
            Ok(ready) => {
                if ready.woken {
                    self.opener.wake.clear();
                }
                if ready.readable {
                    self.take_replies();
                }
            }
            Err(error) => self.session.lost(&describe(&error)),
        }
    }

    /// Tells the floor above what has happened; whether anything had.
    fn pass_on_events<F: Feed<Token = T>>(&mut self, feed: &mut F) -> bool {
        let mut any = false;
        while let Some(event) = self.session.next_event() {
            any = true;
            match event {
                Event::Ready => {}
                Event::SentWhole(id) => self.pace.sent_whole(id, Instant::now()),
                Event::Learned(fact) => self.learn(fact),
                Event::Ended { id, level, end } => self.ended(id, level, end, feed),
            }
        }
        any
    }

    fn learn(&self, fact: Fact) {
        if self.opener.ledger.learn(&self.key, fact.clone(), Instant::now()) {
            let level = if matches!(fact, Fact::Lost(_)) { log::Level::Warn } else { log::Level::Info };
            log::log!(level, "{}: {}: learned: {fact}", self.opener.next_hop, self.server);
        }
    }

    /// The session is over: give back what is still aboard, remember, close or reset the socket.
    fn finish<F: Feed<Token = T>>(&mut self, feed: &mut F) -> CloseReason {
        let berths: Vec<u64> = self.aboard.keys().copied().collect();
        berths.into_iter().for_each(|berth| self.disembark(berth, feed));
        self.opener.ledger.set_window(&self.key, self.session.window().0, Instant::now());
        let reason = self.session.closed().cloned().unwrap_or(CloseReason::Quit(None));
        match &reason {
            CloseReason::Quit(_) => debug!("{}: {}: {}: {reason}", self.opener.next_hop, self.opener.lane, self.server),
            CloseReason::ByServer(_) => {
                info!("{}: {}: {}: {reason}", self.opener.next_hop, self.opener.lane, self.server)
            }
            _ => warn!("{}: {}: {}: {reason}", self.opener.next_hop, self.opener.lane, self.server),
        }
        reason
    }

    /// Says QUIT and closes, after a probe.
    pub fn leave(mut self) {
        self.session.quit();
        while self.session.want() == Want::Write {
            self.write(None);
        }
    }

    /// Closes the socket in the way that the reason asks for.
    pub fn close(self, reason: &CloseReason) {
        if reason.must_abort() {
            self.duplex.abort();
        }
    }
}

/// A socket error in words.
fn describe(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::TimedOut if error.raw_os_error().is_none() => "the server took no data in time".into(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => "the server reset the connection".into(),
        _ => format!("the connection failed: {error}"),
    }
}
