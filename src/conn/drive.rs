//! The loop: one session over one stream, fed with messages, until the connection ends.
//!
//! This is the only place that knows both the protocol and the socket. Each turn takes the work that has room, does the
//! one thing the session wants, and passes on what it tells. A lane's thread lives in here; it waits in one `poll(2)`
//! on its socket and its wake. The socket's side is in `line.rs`, the account of messages in `aboard.rs`.
//!
//! Promises to the floor above ([`Feed`], in `feed.rs`): every delivery taken comes back exactly once, settled or
//! unsent; work is taken only when it goes on the wire at once; what the server said before it closed is read before
//! anything is judged; a message that is suspected of ending connections is alone on this one.

use super::aboard::{Aboard, Leaving, Token};
use super::delivery::Delivery;
use super::feed::{Feed, Vacancy};
use super::ledger::ServerKey;
use super::line::Line;
use super::open::{OpenError, Opened, Opener};
use super::pace::Pace;
use super::policy;
use super::secure::{Encryption, EndsBy};
use super::servers::Server;
use super::yielding::{Grant, Yielding};
use crate::config::Level;
use crate::net::Endpoint;
use crate::net::tls::Connectors;
use crate::smtp::{Cause, CloseReason, End, Event, Extensions, Fact, Session, Stage, TransactionId, Want, command};
use log::{debug, warn};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One connection.
pub struct Connection<T> {
    opener: Opener,
    pub(super) line: Line,
    pub(super) session: Session,
    key: ServerKey,
    at: Arc<Server>,
    pub(super) server: String,
    address: Endpoint,
    aboard: Aboard<T>,
    pace: Pace,
    yielding: Yielding,
    idle_since: Option<Instant>,
    /// The server has taken a sender and said 421 to a recipient: it lives, whatever it has against that one.
    is_alive: bool,
    begun: u64,
    answered: u64,
}

impl<T: Token> Connection<T> {
    /// Dials a server and makes the session ready. `exclude` are addresses not to be tried (again).
    /// `must_end_by` is asked while waiting: once it tells a time, the attempt ends by then. An error comes with the
    /// address that was reached, if one was.
    pub fn open(
        opener: &Opener,
        connectors: &Connectors,
        at: &Arc<Server>,
        exclude: &[Endpoint],
        must_end_by: EndsBy<'_>,
    ) -> Result<Connection<T>, (OpenError, Option<Endpoint>)> {
        let opened = opener.dial(at, exclude).map_err(|error| (error, None))?;
        Connection::establish(opener, connectors, opened, must_end_by)
    }

    pub(super) fn over(
        opener: &Opener,
        connectors: &Connectors,
        opened: Opened,
        must_end_by: EndsBy<'_>,
    ) -> Result<Connection<T>, OpenError> {
        let wrapped = opened.encryption == Encryption::Wrapped;
        let mut connection = Connection::new(opener.clone(), opened);
        if wrapped {
            connection = connection.secured(connectors, must_end_by)?;
        }
        connection.greeted(connectors, must_end_by)
    }

    /// The same connection, encrypted.
    pub(super) fn secured(self, connectors: &Connectors, must_end_by: EndsBy<'_>) -> Result<Connection<T>, OpenError> {
        let line = self.opener.secure(connectors, self.line, &self.at, &self.address, &self.server, must_end_by)?;
        Ok(Connection { line, ..self })
    }

    fn new(opener: Opener, opened: Opened) -> Connection<T> {
        Connection {
            key: ServerKey::new(opened.address.clone(), ""),
            line: Line::new(opened.duplex, opener.news.clone(), opener.settings.timeouts.clone()),
            opener,
            session: opened.session,
            at: opened.at,
            server: opened.server,
            address: opened.address,
            aboard: Aboard::new(),
            pace: Pace::default(),
            yielding: Yielding::default(),
            idle_since: None,
            is_alive: false,
            begun: 0,
            answered: 0,
        }
    }

    /// `host[address]:port`, or `unix:/path`
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The address connected to.
    pub fn address(&self) -> &Endpoint {
        &self.address
    }

    /// What the server offers.
    pub fn offered(&self) -> &Extensions {
        self.session.offered()
    }

    /// Transactions that the server has answered on this connection, with whatever verdict.
    pub fn answered(&self) -> u64 {
        self.answered
    }

    /// Whether it has ended before the server had answered a transaction, though some were begun or `wanted` to be.
    pub fn is_fruitless(&self, wanted: bool) -> bool {
        let in_order = matches!(self.session.closed(), Some(CloseReason::Quit(_)));
        self.answered == 0 && !self.is_alive && (self.begun > 0 || (wanted && !in_order))
    }

    /// Reply of the server to EHLO, measured.
    pub fn round_trip(&self) -> Duration {
        self.line.round_trip
    }

    /// The session, for a look at what it has reached.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Until EHLO is answered, in clear and encrypted, and AUTH, whose time is not the line's. No message is at stake.
    fn greeted(mut self, connectors: &Connectors, must_end_by: EndsBy<'_>) -> Result<Connection<T>, OpenError> {
        let (mut asked, mut round_trip) = (Instant::now(), None);
        loop {
            match self.session.want() {
                Want::Write => {
                    if self.session.stage() == Some(Stage::Auth) {
                        round_trip.get_or_insert_with(|| asked.elapsed());
                    }
                    asked = Instant::now();
                    self.line.write(&mut self.session, usize::MAX, must_end_by());
                }
                Want::Read => self.line.read(&mut self.session, must_end_by()),
                Want::Handshake => self = self.starttls(connectors, must_end_by)?,
                Want::Idle | Want::Content { .. } | Want::Closed => return Err(self.not_opened()),
            }
            // What the server says in one breath with its reply to EHLO may have ended the session: then there was
            // none.
            if let Some(CloseReason::ByServer(_) | CloseReason::Protocol(_) | CloseReason::Injected(_)) =
                self.session.closed()
            {
                return Err(self.not_opened());
            }
            if let Some(Event::Ready) = self.session.next_event() {
                self.line.round_trip = round_trip.unwrap_or_else(|| asked.elapsed());
                if let Some(mechanism) = self.session.logged_in() {
                    debug!("{}: {}: {}: logged in by {mechanism}", self.opener.next_hop, self.opener.lane, self.server);
                }
                self.key = ServerKey::new(self.address.clone(), self.session.greeting());
                self.opener.gauge.set_tls(self.line.agreed());
                self.session.remember(self.opener.ledger.recall(&self.key, Instant::now()));
                return Ok(self);
            }
        }
    }

    pub(super) fn not_opened(&self) -> OpenError {
        let server = self.server.clone();
        match self.session.closed() {
            Some(CloseReason::NotReady(reply) | CloseReason::ByServer(reply)) => {
                OpenError::NotReady { server, reply: reply.clone() }
            }
            Some(CloseReason::NotSecure(text)) => self.opener.in_clear(&self.at, server, text),
            Some(CloseReason::Injected(why)) => OpenError::Injected { server, text: (*why).to_owned() },
            Some(CloseReason::NotAuthenticated { text, reply }) => {
                OpenError::NotAuthenticated { server, text: text.clone(), reply: reply.clone() }
            }
            Some(reason) => OpenError::Broken { server, text: reason.to_string() },
            None => OpenError::Broken { server, text: "the session is not ready".into() },
        }
    }

    /// Carries messages until the connection ends. Every delivery taken has then been given back.
    pub fn run<F: Feed<Token = T> + ?Sized>(&mut self, feed: &mut F) -> CloseReason {
        feed.offered(self.session.offered(), &self.server);
        loop {
            self.take_work(feed);
            let want = self.session.want();
            // Deciding what to send may have ended a transaction: that is told before anything is waited for.
            if self.pass_on_events(feed) {
                continue;
            }
            if !matches!(want, Want::Content { .. }) {
                feed.waits();
            }
            match want {
                Want::Content { id, offset, max } => self.supply(id, offset, max),
                Want::Write => self.write(feed),
                Want::Read => self.line.read(&mut self.session, feed.must_end_by()),
                Want::Idle | Want::Handshake => self.idle(feed),
                Want::Closed => return self.finish(feed),
            }
            self.pass_on_events(feed);
            self.opener.gauge.show(&self.session);
        }
    }

    /// Writes all that there is, or, while smaller messages are on their way elsewhere, a piece now and then.
    fn write<F: Feed<Token = T> + ?Sized>(&mut self, feed: &F) {
        match self.grant(feed) {
            Grant::All => self.line.write(&mut self.session, usize::MAX, feed.must_end_by()),
            Grant::Piece(octets) => self.line.write(&mut self.session, octets, feed.must_end_by()),
            Grant::Pause(until) => self.line.pause(&mut self.session, until, feed.must_end_by()),
        }
    }

    fn grant<F: Feed<Token = T> + ?Sized>(&mut self, feed: &F) -> Grant {
        if !self.opener.manners.yields || self.address.is_local() {
            return Grant::All;
        }
        let grant = self.yielding.grant(feed.must_yield(), self.line.traffic(), Instant::now());
        self.opener.gauge.set_yielding(self.yielding.is_active());
        grant
    }

    fn take_work<F: Feed<Token = T> + ?Sized>(&mut self, feed: &mut F) {
        self.session.set_backlog(feed.waiting() + self.aboard.unfinished());
        while let Some(berth) = self.aboard.first_unfinished().filter(|_| self.session.has_room()) {
            self.begin(berth);
        }
        let has_room = self.aboard.unfinished() == 0;
        // Asked also when nothing can be taken: so the floor above knows that what waits needs another connection.
        while !feed.is_stopping() {
            let session = &self.session;
            let takes_more = has_room && !session.is_retired() && !self.aboard.wants_to_be_alone();
            let vacancy = Vacancy {
                fits: &|_| takes_more && session.has_room(),
                is_empty: session.in_flight() == 0,
                is_proven: self.answered > 0,
            };
            let Some(delivery) = feed.next(vacancy) else { return };
            self.board(delivery, feed);
            self.session.set_backlog(feed.waiting());
        }
    }

    fn board<F: Feed<Token = T> + ?Sized>(&mut self, mut delivery: Delivery<T>, feed: &mut F) {
        let offered = self.session.offered();
        if let Err(unfit) = command::fits(&delivery.envelope, delivery.content.as_ref(), offered) {
            delivery.give_up(&policy::unfit(unfit));
            feed.settled(delivery, &self.server, self.session.level());
            return;
        }
        delivery.started.get_or_insert_with(Instant::now);
        let berth = self.aboard.board(delivery, self.session.level());
        self.begin(berth);
    }

    fn begin(&mut self, berth: u64) {
        let (recipients, domains) = (self.session.recipient_limit(), self.session.domain_limit());
        let Some(transaction) = self.aboard.next_transaction(berth, recipients, domains) else { return };
        let named = transaction.recipients.clone();
        let in_flight = self.session.in_flight();
        let id = self.session.begin(transaction);
        self.begun += 1;
        self.pace.begun(id, in_flight, Instant::now());
        self.aboard.begun(id, berth, named);
        self.idle_since = None;
        // Its commands are generated now, so that room for the next one is judged with this one in place.
        self.session.want();
    }

    fn supply(&mut self, id: TransactionId, offset: u64, max: usize) {
        let Some(delivery) = self.aboard.delivery(id) else {
            return self.session.content_broken("the message is not here any more");
        };
        if delivery.token.is_cancelled() {
            return self.session.cancel(id);
        }
        let max = max.min(self.line.buffer.len());
        let read = match &delivery.content {
            Some(content) => content.read_at(&mut self.line.buffer[..max], offset),
            None => Ok(0),
        };
        let text = match read {
            Ok(n) if n > 0 => return self.session.supply(&self.line.buffer[..n]),
            Ok(_) => "it ended before its length".to_owned(),
            Err(error) => error.to_string(),
        };
        warn!("{}: the stored content cannot be read: {text}", delivery.queue_id.as_deref().unwrap_or("-"));
        self.aboard.spoil(id, policy::spoiled(&text));
        // As if it had been withdrawn: what was sent before it is answered first.
        self.session.cancel(id);
    }

    /// Nothing to do: wait for work, for the server's farewell, or for the end of our patience.
    fn idle<F: Feed<Token = T> + ?Sized>(&mut self, feed: &F) {
        if feed.is_stopping() {
            return self.session.quit();
        }
        let since = *self.idle_since.get_or_insert_with(Instant::now);
        self.line.idle(&mut self.session, since, feed.look_again_at());
    }

    /// Tells the floor above what has happened; whether anything had.
    fn pass_on_events<F: Feed<Token = T> + ?Sized>(&mut self, feed: &mut F) -> bool {
        let mut any = false;
        while let Some(event) = self.session.next_event() {
            any = true;
            match event {
                Event::Ready => {}
                Event::SentWhole(id) => {
                    self.pace.sent_whole(id, Instant::now());
                    self.aboard.sent_whole(id);
                }
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

    fn ended<F: Feed<Token = T> + ?Sized>(&mut self, id: TransactionId, level: Level, end: End, feed: &mut F) {
        if matches!(end, End::Answered(_)) {
            self.answered += 1;
            let size = self.aboard.delivery(id).map_or(0, |delivery| delivery.size());
            let flight = self.pace.answered(id, size, Instant::now());
            flight.into_iter().for_each(|flight| self.session.flight_returned(flight));
        } else if let End::Unsent { cause: Cause::Closing(_), said } = &end {
            self.is_alive = self.is_alive || said.has_farewell_to_a_recipient();
        }
        let Some(berth) = self.aboard.ended(id, level, end, self.answered > 0) else { return };
        let goes_on = !self.session.is_retired() && self.session.closed().is_none();
        if let Some(leaving) = self.aboard.leave(berth, goes_on) {
            self.give_back(leaving, feed);
        }
    }

    fn give_back<F: Feed<Token = T> + ?Sized>(&self, leaving: Leaving<T>, feed: &mut F) {
        match leaving {
            Leaving::Settled(mut delivery, level) => match !self.at.is_last && delivery.put_off() {
                true => feed.put_off(delivery, &self.at.label(), &self.server, level),
                false => feed.settled(delivery, &self.server, level),
            },
            Leaving::Unsent(delivery, level, retry) => feed.unsent(delivery, &self.server, level, retry),
        }
    }

    /// The session is over: give back what is still aboard, and remember.
    fn finish<F: Feed<Token = T> + ?Sized>(&mut self, feed: &mut F) -> CloseReason {
        let leaving = self.aboard.disembark();
        leaving.into_iter().for_each(|one| self.give_back(one, feed));
        self.opener.ledger.set_window(&self.key, self.session.window().0, Instant::now());
        let reason = self.session.closed().cloned().unwrap_or(CloseReason::Quit(None));
        let level = match &reason {
            CloseReason::Quit(_) => log::Level::Debug,
            CloseReason::ByServer(_) => log::Level::Info,
            _ => log::Level::Warn,
        };
        log::log!(level, "{}: {}: {}: {reason}", self.opener.next_hop, self.opener.lane, self.server);
        reason
    }

    /// Closes the socket in the way that the reason asks for.
    pub fn close(self, reason: &CloseReason) {
        if reason.must_abort() {
            self.line.abort();
        } else if matches!(reason, CloseReason::Quit(_)) {
            self.line.hang_up();
        }
    }
}
