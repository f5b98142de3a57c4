//! The SMTP and LMTP client session (RFC 5321, RFC 2033) with pipelining inside and across transactions (RFC 2920, RFC
//! 3030), as a pure state machine: octets in, octets and events out. No socket, no clock, no thread, no log.
//!
//! Two cursors run over one queue of transactions. The **sending cursor** (`sending`) stands in the youngest one and
//! generates what its level allows to be sent ahead; the **receiving cursor** (`receiving`) stands in the oldest
//! unanswered one. Between them lies the FIFO of what was sent and not yet answered: each reply pops one entry and is
//! judged by that entry's type, never by its own code or text.
//!
//! ```text
//!            begin()                                   next_event() -> Ended
//!               |                                            ^
//!               v                                            |
//!        [ youngest ] ... [ transaction ] ... [ oldest unanswered ]
//!          sending                                 receiving
//!             |                                        ^
//!   output()  v     owed: Reset Mail Rcpt Rcpt Chunk   |  input()
//!   ----------+------------------------------------->--+---------
//!
//!   Greeting --220--> Hello --250--> Ready --quit()--> Closed
//!       \_ other      ^   \_ 5yz to EHLO: HELO      \_ lost, protocol error, server's 421
//!                     |   |\_ AUTH, if there are credentials --235--> Ready
//!                     |   \_ STARTTLS offered and wanted
//!                     |            |220
//!               secured() ---- Handshake
//!
//!   one transaction, sending:
//!     Reset -> Mail -> Rcpt.. -> Data --(DATA)--> AwaitGo --354--> Content -> Done
//!                                  \--(BDAT)---> Content -> NextChunk -> Content -> Done
//! ```
//!
//! How it is driven: [`Session::begin`] while [`Session::has_room`]; then do what [`Session::want`] says until it says
//! `Closed`; give it what arrives with [`Session::input`], and what goes wrong with [`Session::lost`] or
//! [`Session::timed_out`]. Every transaction begun ends with exactly one [`Event::Ended`].
//!
//! What it promises: replies pair by order and type; every transaction but a connection's first has a RSET in front (at
//! `lockstep` only where the one before did not end with its content accepted), and later 250s count only if that RSET
//! and its own MAIL got 250; groups end where RFC 2920 says; a chunk is finished to the octet or the connection is to
//! be aborted; QUIT is sent only when nothing is owed.

mod auth;
mod ending;
mod hello;
mod options;
mod receiving;
mod sending;
mod stage;
#[cfg(test)]
mod tests;
mod transaction;
mod verdicts;

use super::extension::Extensions;
use super::ladder::{self, Fact, Knowledge, Proof};
use super::reply::{Reply, ReplyParser};
use super::sasl::Exchange;
use super::stuffing::Stuffer;
use super::tally::Tally;
use super::window::{Flight, Window};
use crate::config::{Level, Mechanism, Trust};
use std::collections::VecDeque;

pub use auth::Auth;
pub use ending::{Cause, CloseReason, End};
pub use hello::StartTls;
pub use options::SessionOptions;
pub use stage::Stage;
pub use transaction::{Answers, Said, Transaction, TransactionId};
use transaction::{Flying, Step};

/// What the session wants its driver to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// Read content of this transaction from `offset`, at most `max` octets, and [`Session::supply`] it.
    Content {
        /// Whose content.
        id: TransactionId,
        /// From which octet.
        offset: u64,
        /// How many octets at the most.
        max: usize,
    },
    /// Write [`Session::output`] and report it with [`Session::wrote`].
    Write,
    /// Wait for the server, for as long as the stage allows.
    Read,
    /// Make the TLS handshake, then say [`Session::secured`].
    Handshake,
    /// Nothing is owed and nothing is to be sent.
    Idle,
    /// The session is over.
    Closed,
}

/// What the driver is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The server has greeted and said what it offers; transactions may begin.
    Ready,
    /// The last octet of this transaction's content was handed over: from now on only the server knows.
    SentWhole(TransactionId),
    /// A transaction is over.
    Ended {
        /// Which.
        id: TransactionId,
        /// The level at which it was sent.
        level: Level,
        /// How.
        end: End,
    },
    /// Something about the server that is worth remembering.
    Learned(Fact),
}

/// One entry of the FIFO: what a reply is owed for; in LMTP, for the end of content, more than one ([`verdicts`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owed {
    Greeting,
    /// EHLO or LHLO.
    Ehlo,
    Helo,
    StartTls,
    Auth,
    AuthCancel,
    ProbeChunk,
    ProbeReset,
    ProbeSurplus,
    /// The RSET that earns `overlap`.
    ProofReset,
    /// The RSET behind content for nobody, which LMTP need not answer.
    SilenceReset,
    Reset(TransactionId),
    Mail(TransactionId),
    Rcpt(TransactionId),
    Data(TransactionId),
    Dot(TransactionId),
    LoneDot(TransactionId),
    Chunk {
        id: TransactionId,
        last: bool,
        /// The place in the output behind its last octet.
        end: u64,
    },
}

/// The course of the honesty probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Probe {
    NotSent,
    Sent,
    /// Two replies came; a third would still be in place.
    JustAnswered,
    /// Two replies came and something was sent since. Until a 354 stands where it belongs, a late third could hide in
    /// the count.
    Unverified,
    Settled,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Greeting,
    Hello,
    /// The server has said 220 to STARTTLS: nothing may come in clear any more.
    Handshake,
    Ready,
    /// QUIT is in the output.
    Quitting,
    Closed(CloseReason),
}

/// An SMTP client session. See the module's head.
pub struct Session {
    options: SessionOptions,
    state: State,
    greeting: String,
    offered: Extensions,
    known: Knowledge,
    parser: ReplyParser,
    flights: VecDeque<Flying>,
    begun: u64,
    owed: VecDeque<Owed>,
    output: Vec<u8>,
    /// Octets of output written since the start of the connection.
    written: u64,
    /// The output up to here is to be written by itself.
    barrier: u64,
    /// The end of content behind which an overlapped envelope is being sent.
    behind: u64,
    stuffer: Stuffer,
    tally: Tally,
    window: Window,
    bytes_in_flight: u64,
    backlog: usize,
    probe: Probe,
    /// The server is known to have no open transaction: the next one needs no RSET of its own.
    clean: bool,
    /// A RSET has made it so.
    clean_by_reset: bool,
    /// The server has said 421 and nothing positive since.
    closing: Option<Reply>,
    /// AUTH that has not ended.
    exchange: Option<Exchange>,
    /// Why it was broken off.
    cancelled: Option<String>,
    logged_in: Option<Mechanism>,
    /// Why no further transaction is begun here.
    retired: Option<&'static str>,
    events: VecDeque<Event>,
}

impl Session {
    /// A session on a connection that was just made; the server speaks first.
    pub fn new(options: SessionOptions, known: Knowledge) -> Session {
        let start = if options.trust == Trust::Stream { options.window.messages } else { known.window };
        Session {
            window: Window::new(options.window, start),
            options,
            state: State::Greeting,
            greeting: String::new(),
            offered: Extensions::default(),
            known,
            parser: ReplyParser::default(),
            flights: VecDeque::new(),
            begun: 0,
            owed: VecDeque::from([Owed::Greeting]),
            output: Vec::new(),
            written: 0,
            barrier: 0,
            behind: 0,
            stuffer: Stuffer::default(),
            tally: Tally::default(),
            bytes_in_flight: 0,
            backlog: 0,
            probe: Probe::NotSent,
            clean: true,
            clean_by_reset: false,
            closing: None,
            exchange: None,
            cancelled: None,
            logged_in: None,
            retired: None,
            events: VecDeque::new(),
        }
    }

    /// What was learned of this server on other connections since; given once the greeting tells which server it is,
    /// before the first transaction.
    pub fn remember(&mut self, known: Knowledge) {
        if self.options.trust == Trust::Learned {
            self.window = Window::new(self.options.window, known.window);
        }
        self.known = known;
    }

    /// The text of the server's 220.
    pub fn greeting(&self) -> &str {
        &self.greeting
    }

    /// What the server offers; empty before [`Event::Ready`].
    pub fn offered(&self) -> &Extensions {
        &self.offered
    }

    /// The level at which a transaction begun now would be sent.
    pub fn level(&self) -> Level {
        let level = ladder::level(&self.offered, &self.known, self.options.max_level, self.options.trust);
        if self.tally.is_cautious() { level.min(Level::Envelope) } else { level }
    }

    /// Tells how many messages wait behind the ones already begun: a probe is made only where it pays.
    pub fn set_backlog(&mut self, waiting: usize) {
        self.backlog = waiting;
    }

    /// Whether a transaction begun now would go on the wire at once.
    pub fn has_room(&self) -> bool {
        let open = self.state == State::Ready && self.closing.is_none() && self.retired.is_none();
        let proving = self.owed.back() == Some(&Owed::ProofReset);
        open && !proving && self.flights.back().is_none_or(Flying::is_fully_generated) && self.level_has_room()
    }

    fn level_has_room(&self) -> bool {
        let in_flight = self.flights.len();
        match self.level() {
            Level::Lockstep | Level::Envelope | Level::Chunk => in_flight == 0,
            Level::Overlap => in_flight <= 1 && self.owed.len() <= 1,
            Level::Stream => {
                in_flight < self.tally.allowed_in_flight() && self.window.has_room(in_flight, self.bytes_in_flight)
            }
        }
    }

    /// Begins a transaction. To be called while [`Session::has_room`]; on a session that is over it ends at once,
    /// unsent.
    pub fn begin(&mut self, what: Transaction) -> TransactionId {
        let id = TransactionId(self.begun);
        self.begun += 1;
        if let State::Closed(reason) = &self.state {
            let end = End::unsent(Cause::Lost(reason.to_string()));
            self.events.push_back(Event::Ended { id, level: Level::Lockstep, end });
            return id;
        }
        let size = what.size();
        let level = self.level();
        let chunked = self.offered.chunking && level >= Level::Overlap && self.known.chunk != Proof::Refused;
        let first = if self.clean { Step::Mail } else { Step::Reset };
        let mut flight = Flying::new(id, what, level, chunked, first);
        flight.has_reset = !self.clean || self.clean_by_reset;
        flight.unsure = self.may_leave_out(&flight.what);
        self.tally.begun();
        self.bytes_in_flight += size;
        self.flights.push_back(flight);
        if self.tally.transactions() >= self.transaction_limit() {
            self.retired = Some("the server takes no more transactions on one connection");
        }
        id
    }

    fn transaction_limit(&self) -> u32 {
        let own = Some(self.options.messages).filter(|n| *n > 0);
        [self.offered.limits.mail_max, self.known.mail_max, own].into_iter().flatten().min().unwrap_or(u32::MAX)
    }

    /// The caller no longer wants this transaction. What has not passed the point of no return is not sent.
    pub fn cancel(&mut self, id: TransactionId) {
        if let Some(flight) = self.flight(id) {
            flight.given_up.get_or_insert(Cause::Cancelled);
        }
    }

    /// Whether the session will begin no further transaction although it is open: finish, and connect anew.
    pub fn is_retired(&self) -> bool {
        self.retired.is_some() || self.closing.is_some()
    }

    /// Transactions begun and not ended.
    pub fn in_flight(&self) -> usize {
        self.flights.len()
    }

    /// Octets of content in them.
    pub fn bytes_in_flight(&self) -> u64 {
        self.bytes_in_flight
    }

    /// The window's present size, for status and for the ledger.
    pub fn window(&self) -> (usize, u64) {
        (self.window.messages(), self.window.bytes())
    }

    /// A flight came back; the driver has the clock.
    pub fn flight_returned(&mut self, flight: Flight) {
        self.window.clean(flight);
    }

    /// Whether the session is over, and why.
    pub fn closed(&self) -> Option<&CloseReason> {
        match &self.state {
            State::Closed(reason) => Some(reason),
            _ => None,
        }
    }

    /// The next thing to tell, oldest first.
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn flight(&mut self, id: TransactionId) -> Option<&mut Flying> {
        let first = self.flights.front()?.id.0;
        let place = usize::try_from(id.0.checked_sub(first)?).ok()?;
        self.flights.get_mut(place)
    }

    /// The place behind the last octet generated.
    fn generated(&self) -> u64 {
        self.written + self.output.len() as u64
    }

    fn learn(&mut self, fact: Fact) {
        self.known.learn(&fact);
        if matches!(fact, Fact::Overlap(Proof::Refused) | Fact::Chunk(Proof::Refused) | Fact::Lost(_)) {
            self.window.halve();
        }
        self.events.push_back(Event::Learned(fact));
    }

    fn retire(&mut self, why: &'static str) {
        self.retired.get_or_insert(why);
    }
}
