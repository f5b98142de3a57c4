//! How transactions and sessions end: answered, unsent, or in doubt.
//!
//! The law: an explicit reply settles the transaction that it answers, and a 421 all behind it. A transaction whose
//! last content octet was handed to the kernel, and that no reply settles, is in doubt. Any other may be sent again.
//! Where each recipient has a reply of its own (LMTP), the law holds for each by itself.

use super::receiving::BEHIND_A_DOT;
use super::{Answers, Event, Flying, Owed, Said, Session, State};
use crate::config::{Level, Trust};
use crate::smtp::ladder::{Fact, Proof};
use crate::smtp::reply::Reply;
use crate::smtp::tally::Fate;
use std::fmt;

/// How a transaction ended.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// Every command of it was answered.
    Answered(Answers),
    /// The server has not taken it: it may be sent again.
    Unsent {
        /// What happened.
        cause: Cause,
        /// A refused RCPT in it stands, and every verdict.
        said: Said,
    },
    /// The server was given all of it and never said what it did.
    InDoubt {
        /// What happened.
        cause: Cause,
        /// A refused RCPT in it stands, and every verdict: the doubt is about the others.
        said: Said,
    },
}

impl End {
    /// Not sent, and nothing said to any recipient.
    pub(super) fn unsent(cause: Cause) -> End {
        End::Unsent { cause, said: Said::default() }
    }
}

/// Why a transaction did not run to its end.
#[derive(Debug, Clone, PartialEq)]
pub enum Cause {
    /// The server has said that it closes the connection (421), or that this connection has had enough (452 to MAIL).
    Closing(Reply),
    /// The server answered, but not as one that executes what it is sent.
    NotExecuted(Reply),
    /// The connection ended.
    Lost(String),
    /// The caller withdrew it.
    Cancelled,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Closing(reply) | Cause::NotExecuted(reply) => write!(f, "said: {reply}"),
            Cause::Lost(text) => f.write_str(text),
            Cause::Cancelled => write!(f, "withdrawn by the caller"),
        }
    }
}

/// Why a session is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CloseReason {
    /// We said QUIT, perhaps because the connection had served its time.
    Quit(Option<&'static str>),
    /// The greeting or EHLO was refused: the site does not want us now.
    NotReady(Reply),
    /// The connection is not encrypted, cannot be by STARTTLS, and must be.
    NotSecure(String),
    /// There are credentials for the server, and AUTH cannot be said or was refused.
    NotAuthenticated {
        /// What stands against it.
        text: String,
        /// The server's words, where it refused.
        reply: Option<Reply>,
    },
    /// The server said 421.
    ByServer(Reply),
    /// The connection ended without a word.
    Lost(String),
    /// The server does not speak the protocol. The connection is to be aborted.
    Protocol(String),
    /// Somebody has put octets in clear behind the 220 to STARTTLS. The connection is to be aborted.
    Injected(&'static str),
    /// We gave it up inside something that cannot be finished. The connection is to be aborted.
    Abandoned(&'static str),
}

impl CloseReason {
    /// Whether the connection must be reset rather than closed: something unfinished is in it.
    pub fn must_abort(&self) -> bool {
        matches!(self, CloseReason::Protocol(_) | CloseReason::Injected(_) | CloseReason::Abandoned(_))
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CloseReason::Quit(None) => write!(f, "closed in good order"),
            CloseReason::Quit(Some(why)) => write!(f, "closed in good order: {why}"),
            CloseReason::NotReady(reply) => write!(f, "the server is not ready: {reply}"),
            CloseReason::NotAuthenticated { text, reply: Some(reply) } => write!(f, "{text}: {reply}"),
            CloseReason::NotAuthenticated { text, reply: None } => f.write_str(text),
            CloseReason::ByServer(reply) => write!(f, "closed by the server: {reply}"),
            CloseReason::NotSecure(text) | CloseReason::Lost(text) | CloseReason::Protocol(text) => f.write_str(text),
            CloseReason::Injected(why) | CloseReason::Abandoned(why) => f.write_str(why),
        }
    }
}

impl Session {
    /// The connection has ended (`what` is said to people: "the server closed the connection", "connection reset").
    pub fn lost(&mut self, what: &str) {
        if matches!(self.state, State::Closed(_)) {
            return;
        }
        self.blame_the_level();
        let text = match self.stage() {
            Some(stage) => format!("{what} while the reply to {} was owed", stage.name()),
            None => what.to_owned(),
        };
        let reason = match self.closing.take() {
            Some(reply) => CloseReason::ByServer(reply),
            None => CloseReason::Lost(text),
        };
        self.fail(reason);
    }

    /// The oldest unanswered command was not answered in its time.
    pub fn timed_out(&mut self) {
        match self.owed.front() {
            Some(Owed::ProbeSurplus) => {
                // By the code it does not know BDAT, by the count it does: not trusted either way, but in step.
                self.owed.pop_front();
            }
            Some(Owed::ProofReset) => {
                self.overlap_failed();
                self.abandon(BEHIND_A_DOT);
            }
            Some(Owed::Reset(id)) if self.flights.iter().any(|f| f.id == *id && f.overlaps) => {
                self.overlap_failed();
                self.abandon(BEHIND_A_DOT);
            }
            _ => self.lost("the time ran out"),
        }
    }

    /// What a lost connection says about the level that it was used at.
    fn blame_the_level(&mut self) {
        // A close in the place of the first reply behind a dot is that proof's result; once the server has passed it,
        // it is a connection lost like any other.
        let behind_a_dot = match self.owed.front() {
            Some(Owed::ProofReset) => true,
            Some(Owed::Reset(id)) => self.flights.iter().any(|f| f.id == *id && f.overlaps),
            _ => false,
        };
        if behind_a_dot && self.closing.is_none() && self.known.overlap != Proof::Earned {
            return self.overlap_failed();
        }
        if matches!(self.owed.front(), Some(Owed::ProbeChunk | Owed::ProbeReset)) {
            return self.learn(Fact::Chunk(Proof::Refused));
        }
        let Some(level) = self.flights.front().filter(|f| f.owed > 0).map(|f| f.level) else { return };
        let proving = self.owed.back() == Some(&Owed::ProofReset);
        let level = if proving { Level::Overlap } else { level };
        if self.closing.is_none() && self.options.trust == Trust::Learned && level > Level::Envelope {
            self.learn(Fact::Lost(level));
        }
    }

    /// Ends the session at once, from our side, with the connection to be aborted.
    pub(super) fn abandon(&mut self, why: &'static str) {
        self.fail(CloseReason::Abandoned(why));
    }

    /// Ends the session: every transaction still open is settled by what is known of it.
    pub(super) fn fail(&mut self, reason: CloseReason) {
        while let Some(flight) = self.flights.pop_front() {
            self.learn_recipient_limit(recipient_limit(&flight));
            let (id, level) = (flight.id, flight.level);
            let end = interrupted(flight, self.written, &reason);
            self.events.push_back(Event::Ended { id, level, end });
        }
        self.owed.clear();
        self.close(reason);
    }

    pub(super) fn close(&mut self, reason: CloseReason) {
        self.output.clear();
        self.state = State::Closed(reason);
    }

    /// Ends the transactions at the front that are over.
    pub(super) fn settle_ended(&mut self) {
        while self.flights.front().is_some_and(Flying::is_over) {
            let Some(flight) = self.flights.pop_front() else { break };
            self.settle(flight);
        }
        let at_rest = self.state == State::Ready && self.flights.is_empty() && self.owed.is_empty();
        if let Some(reply) = self.closing.take_if(|_| at_rest) {
            self.close(CloseReason::ByServer(reply));
        }
    }

    fn settle(&mut self, mut flight: Flying) {
        self.bytes_in_flight -= flight.what.size();
        let (id, level) = (flight.id, flight.level);
        let has_reset = flight.has_reset;
        let end = conclude(&mut flight);
        let fate = match &end {
            End::Answered(answers) if answers.is_accepted() => Fate::Accepted,
            End::Answered(answers) if !answers.has_refusal() => Fate::Empty,
            End::Unsent { cause: Cause::Cancelled, .. } => Fate::Empty,
            _ => Fate::Refused,
        };
        self.tally.ended(fate, has_reset);
        if fate == Fate::Accepted && level == Level::Lockstep {
            // RFC 5321 section 4.1.1.4: the end of content clears the server's buffers. A round trip saved.
            self.clean = true;
        }
        self.events.push_back(Event::Ended { id, level, end });
    }

    pub(super) fn learn_recipient_limit(&mut self, limit: Option<u32>) {
        if let Some(limit) = limit.filter(|limit| self.known.rcpt_max != Some(*limit)) {
            self.learn(Fact::RcptMax(limit));
        }
    }
}

/// What is known of a transaction that the end of its session has cut short.
fn interrupted(mut flight: Flying, written: u64, reason: &CloseReason) -> End {
    let settled = flight.is_refused() || flight.is_decided();
    let stands = settled && flight.void.is_none() && !flight.was_told_to_leave();
    if let Some(answers) = stands.then(|| flight.answers()).flatten() {
        return End::Answered(answers);
    }
    let whole = flight.is_sent_whole(written);
    if let Some(reply) = flight.void.as_ref().filter(|_| !whole) {
        return End::unsent(refused_in_front(reply.clone()));
    }
    if let Some(cause) = flight.given_up.take_if(|_| !whole) {
        return End::unsent(cause);
    }
    let is_partly_known = flight.unsure && flight.verdicts.first().is_some_and(|verdict| verdict.1.code != 421);
    let said = flight.take_said();
    let said = if is_partly_known { said.certain() } else { said };
    match reason {
        CloseReason::ByServer(reply) if !is_partly_known => {
            End::Unsent { cause: Cause::Closing(reply.clone()), said: said.without_farewells() }
        }
        other if whole => End::InDoubt { cause: Cause::Lost(other.to_string()), said },
        other => End::Unsent { cause: Cause::Lost(other.to_string()), said },
    }
}

/// What a refusal of its RSET, or of its place in line, means for a transaction.
fn refused_in_front(reply: Reply) -> Cause {
    match reply.code {
        421 | 452 => Cause::Closing(reply),
        _ => Cause::NotExecuted(reply),
    }
}

/// What the replies of a transaction amount to.
fn conclude(flight: &mut Flying) -> End {
    let taken = flight.is_taken();
    if let Some(reply) = flight.void.take() {
        let cause = refused_in_front(reply);
        // Its RSET or its place in line was refused, and yet a content was taken: under which envelope, nobody can say.
        return if taken { End::InDoubt { cause, said: Said::default() } } else { End::unsent(cause) };
    }
    if let Some(cause) = flight.given_up.take_if(|_| flight.content_end.is_none()) {
        return End::unsent(cause);
    }
    if let Some(cause) = farewell(flight) {
        let is_last = flight.verdicts.last().is_some_and(|verdict| verdict.1.code == 421);
        let said = flight.take_said().without_farewells();
        // It may have come instead of replies that the server has left out.
        return match flight.unsure && is_last && said.has_verdicts() {
            true => End::InDoubt { cause, said: said.certain() },
            false => End::Unsent { cause, said },
        };
    }
    match flight.answers() {
        Some(answers) => End::Answered(answers),
        None => End::unsent(Cause::Cancelled),
    }
}

/// A farewell in the place of the verdict on MAIL, on recipients of whom none is accepted, or on the accepted ones is no
/// verdict.
fn farewell(flight: &Flying) -> Option<Cause> {
    let (decides, to_recipients) = match (flight.has_accepted_recipient(), flight.mail_refused()) {
        (true, _) => (&flight.decision, [].iter()),
        (false, true) => (&flight.mail, [].iter()),
        (false, false) => (&flight.mail, flight.recipients.iter()),
    };
    let verdicts = flight.verdicts.iter().map(|verdict| &verdict.1);
    let found = decides.iter().chain(to_recipients).chain(verdicts).find(|reply| reply.code == 421);
    found.map(|reply| Cause::Closing(reply.clone()))
}

/// "Too many recipients" (RFC 5321 section 4.5.3.1.10): from some place on, after accepted ones, every RCPT was refused,
/// the first of them because the transaction is full.
pub(super) fn recipient_limit(flight: &Flying) -> Option<u32> {
    let full = flight.recipients.iter().position(Reply::says_too_many_recipients)?;
    let (before, rest) = flight.recipients.split_at(full);
    let accepted = before.iter().filter(|reply| reply.is_positive()).count();
    let limit = accepted > 0 && rest.iter().all(Reply::is_negative);
    limit.then(|| u32::try_from(accepted).unwrap_or(u32::MAX))
}
