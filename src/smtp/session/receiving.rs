//! The receiving cursor: each reply pops one entry of the FIFO and is judged by that entry's type. How many replies the
//! end of content has in LMTP is in `verdicts.rs`.

use super::ending::recipient_limit;
use super::{CloseReason, Flying, Owed, Probe, Session, State, Step, TransactionId};
use crate::config::Protocol;
use crate::smtp::ladder::{Fact, Proof};
use crate::smtp::reply::Reply;

/// Messages that must have been accepted before a 421 to MAIL is taken for a limit; servers say 421 for much else.
const ACCEPTED_BEFORE_421: u32 = 10;
/// Why a connection is given up whose server lost what stood behind a dot.
pub(super) const BEHIND_A_DOT: &str = "the server does not execute what is sent behind a final dot";

impl Session {
    /// Octets from the server, cut anywhere.
    pub fn input(&mut self, mut octets: &[u8]) {
        while !matches!(self.state, State::Closed(_) | State::Quitting) {
            if self.state == State::Handshake {
                return self.heard_in_clear(octets);
            }
            match self.parser.feed(&mut octets) {
                Ok(Some(reply)) => self.answered(reply),
                Ok(None) => return,
                Err(error) => return self.fail(CloseReason::Protocol(self.no_reply(&error))),
            }
        }
    }

    fn answered(&mut self, reply: Reply) {
        let mut reply = self.veiled(reply);
        self.pass_over_silence(&reply);
        let Some(owed) = self.owed.pop_front() else { return self.unasked(reply) };
        // What is refused behind a farewell is refused for that: it is no error that the server counts.
        let is_counted = self.closing.is_none() || !reply.is_negative();
        let says_farewell = reply.code == 421 && is_counted;
        if is_counted && !matches!(owed, Owed::ProbeChunk | Owed::ProbeReset | Owed::ProbeSurplus) {
            self.tally.reply(&reply);
        }
        match (&self.closing, reply.code) {
            (_, 421) => self.closing = Some(reply.clone()),
            // A server that goes on after its 421 has not closed: that 421 was meant for one command.
            (_, 200..400) => self.closing = None,
            // One that refuses everything after its 421 has: that is no verdict on what is behind it.
            (Some(farewell), 500..) => reply = farewell.clone(),
            _ => {}
        }
        if says_farewell && self.tally.errors_are_to_blame() {
            self.learn(Fact::ErrorMax(self.tally.errors()));
        }
        self.judge(owed, reply);
        self.settle_ended();
        self.retire_when_spent();
    }

    fn judge(&mut self, owed: Owed, reply: Reply) {
        match owed {
            Owed::Greeting => self.greeted(reply),
            Owed::Ehlo | Owed::Helo => self.hello_answered(reply, owed == Owed::Ehlo),
            Owed::StartTls => self.starttls_answered(reply),
            Owed::Auth => self.auth_answered(reply),
            Owed::AuthCancel => self.auth_cancelled(reply),
            Owed::ProbeChunk | Owed::ProbeReset | Owed::ProbeSurplus => self.probe_answered(owed, &reply),
            Owed::ProofReset => self.proof_answered(&reply),
            Owed::SilenceReset => self.silence_answered(reply),
            Owed::Reset(id) => self.reset_answered(id, reply),
            Owed::Mail(id) => self.mail_answered(id, reply),
            Owed::Rcpt(id) => self.rcpt_answered(id, reply),
            Owed::Data(id) => self.data_answered(id, reply),
            Owed::Dot(id) => self.dot_answered(id, reply),
            Owed::LoneDot(id) => self.paid(id),
            Owed::Chunk { id, last, end } => self.chunk_answered(id, last, end, reply),
        }
    }

    /// A reply with nothing owed (it would pair with the next command): the honesty probe's third, a farewell, or the
    /// end.
    fn unasked(&mut self, reply: Reply) {
        if self.probe == Probe::JustAnswered {
            self.probe = Probe::Settled;
            self.learn(Fact::Chunk(Proof::Refused));
        } else if reply.code == 421 {
            self.fail(CloseReason::ByServer(reply));
        } else {
            self.fail(CloseReason::Protocol(format!("the server sent \"{reply}\", for which nothing was sent")));
        }
    }

    fn probe_answered(&mut self, owed: Owed, reply: &Reply) {
        let refused = match owed {
            // BDAT is not known, or the chunk was taken: the octets of the chunk are a command's.
            Owed::ProbeChunk => !reply.is_negative() || matches!(reply.code, 500..=502),
            Owed::ProbeReset => !reply.is_positive(),
            _ => false,
        };
        if refused && self.known.chunk != Proof::Refused {
            self.learn(Fact::Chunk(Proof::Refused));
            self.probe = Probe::Settled;
            if owed == Owed::ProbeChunk {
                self.owed.push_back(Owed::ProbeSurplus);
            }
        }
        if owed == Owed::ProbeReset && self.probe == Probe::Sent {
            self.probe = Probe::JustAnswered;
        }
    }

    fn proof_answered(&mut self, reply: &Reply) {
        if reply.is_positive() {
            self.learn(Fact::Overlap(Proof::Earned));
        } else {
            self.overlap_failed();
        }
    }

    /// What stood behind a dot was not executed. The count of replies can no longer be relied on: finish here.
    pub(super) fn overlap_failed(&mut self) {
        self.learn(Fact::Overlap(Proof::Refused));
        self.retire(BEHIND_A_DOT);
    }

    fn reset_answered(&mut self, id: TransactionId, reply: Reply) {
        self.paid(id);
        let Some(flight) = self.flight(id) else { return };
        let overlaps = flight.overlaps;
        if !reply.is_positive() {
            flight.void = Some(reply.clone());
        } else {
            if overlaps && self.known.overlap == Proof::Unknown {
                // The administrator's trust is borne out.
                self.learn(Fact::Overlap(Proof::Earned));
            }
            return;
        }
        self.retire("the server refused RSET");
        if overlaps && reply.is_permanent() {
            // Which command the next reply is for, nobody can say.
            self.overlap_failed();
            self.abandon(BEHIND_A_DOT);
        } else if self.options.protocol == Protocol::Lmtp {
            self.lose_count(reply);
        }
    }

    fn mail_answered(&mut self, id: TransactionId, reply: Reply) {
        self.paid(id);
        if self.is_out_of_step(&reply) {
            return;
        }
        let before = u32::try_from(id.0).unwrap_or(u32::MAX);
        let full = reply.code == 452 && self.tally.accepted() > 0 && !says_no_storage(&reply);
        let limit = reply.code == 421 || full;
        let believed = self.tally.accepted() >= ACCEPTED_BEFORE_421 && !self.tally.errors_are_to_blame();
        if limit && (full || believed) && self.retired.is_none() {
            self.learn(Fact::MailMax(before));
        }
        if limit {
            self.retire("the server takes no more transactions on this connection");
        }
        let Some(flight) = self.flight(id) else { return };
        if limit {
            flight.void.get_or_insert(reply.clone());
        }
        flight.mail = Some(reply);
    }

    fn rcpt_answered(&mut self, id: TransactionId, reply: Reply) {
        self.paid(id);
        if self.is_out_of_step(&reply) {
            return;
        }
        let Some(flight) = self.flight(id) else { return };
        flight.recipients.push(reply);
        if flight.recipients.len() == flight.what.recipients.len() {
            let limit = recipient_limit(flight);
            self.learn_recipient_limit(limit);
        }
    }

    /// 3yz to a command that no 3yz answers: the replies no longer pair.
    fn is_out_of_step(&mut self, reply: &Reply) -> bool {
        let out = reply.code / 100 == 3;
        if out {
            self.fail(CloseReason::Protocol(format!("the server answered \"{reply}\" to MAIL or RCPT")));
        }
        out
    }

    fn data_answered(&mut self, id: TransactionId, reply: Reply) {
        self.paid(id);
        let unverified = self.probe == Probe::Unverified;
        let Some(flight) = self.flight(id) else { return };
        let accepted = flight.has_accepted_recipient();
        if reply.code == 354 {
            return self.go_ahead(id);
        }
        flight.step = Step::Done;
        if !reply.is_negative() {
            return self.miscounted(format!("the server answered \"{reply}\" to DATA"), unverified);
        }
        if unverified && accepted {
            return self.miscounted(format!("the server accepted a recipient and answered \"{reply}\" to DATA"), true);
        }
        if let Some(flight) = self.flight(id) {
            flight.decision = Some(reply);
        }
    }

    /// The replies are off by one. After the honesty probe that has one reason: a third reply, late.
    fn miscounted(&mut self, text: String, unverified: bool) {
        if unverified {
            self.probe = Probe::Settled;
            self.learn(Fact::Chunk(Proof::Refused));
        }
        self.fail(CloseReason::Protocol(text));
    }

    fn go_ahead(&mut self, id: TransactionId) {
        if self.probe == Probe::Unverified {
            self.probe = Probe::Settled;
            self.learn(Fact::Chunk(Proof::Earned));
        }
        let Some(flight) = self.flight(id) else { return };
        let wanted = flight.has_accepted_recipient() && flight.given_up.is_none();
        // A dot under an envelope that is another's, or accepted in part, would deliver an empty message.
        let to_nobody = flight.void.is_none() && !flight.said_yes_to_a_recipient();
        match (wanted, to_nobody) {
            (true, _) => self.start_content(),
            (false, true) if self.options.protocol == Protocol::Smtp => self.send_lone_dot(),
            _ => self.abandon("the server asked for content under an envelope that is not to be sent"),
        }
    }

    fn dot_answered(&mut self, id: TransactionId, reply: Reply) {
        self.paid(id);
        let written = self.written;
        let Some(flight) = self.flight(id) else { return };
        let early = !flight.is_sent_whole(written);
        if (early && !reply.is_negative()) || reply.code / 100 == 3 {
            return self.fail(CloseReason::Protocol(format!("the server answered \"{reply}\" to unfinished content")));
        }
        flight.step = Step::Done;
        self.decided(Owed::Dot(id), id, reply);
        if early {
            self.settle_ended();
            self.abandon("the server refused the content before its end");
        }
    }

    fn chunk_answered(&mut self, id: TransactionId, last: bool, end: u64, reply: Reply) {
        self.paid(id);
        let early = self.written < end;
        let Some(flight) = self.flight(id) else { return };
        if is_not_consumed(flight, &reply) {
            return self.chunk_failed(id, reply);
        }
        if (early && !reply.is_negative()) || reply.code / 100 == 3 {
            return self.fail(CloseReason::Protocol(format!("the server answered \"{reply}\" to an unfinished chunk")));
        }
        if last {
            self.decided(Owed::Chunk { id, last, end }, id, reply);
        } else if reply.is_negative() {
            flight.decision.get_or_insert(reply);
        }
        let Some(flight) = self.flight(id) else { return };
        // A chunk that was answered before its end is still finished to the octet, unless that is too much.
        const WORTH_FINISHING: u64 = 256 * 1024;
        if let Step::Content { sent, chunk_end } = flight.step
            && flight.is_decided()
            && flight.owed == 0
            && chunk_end - sent > WORTH_FINISHING
        {
            flight.step = Step::Done;
            self.settle_ended();
            self.abandon("the server refused the content before its end");
        }
    }

    /// A server that does not know BDAT, or lost its place, is about to run content as commands: stop at once.
    fn chunk_failed(&mut self, id: TransactionId, reply: Reply) {
        let text = format!("the server answered \"{reply}\" to BDAT");
        if let Some(flight) = self.flight(id) {
            // What was refused before the chunk came stays refused.
            let place = if flight.is_refused() { &mut flight.decision } else { &mut flight.void };
            place.get_or_insert(reply);
            flight.owed = 0;
            flight.step = Step::Done;
        }
        self.learn(Fact::Chunk(Proof::Refused));
        self.settle_ended();
        self.fail(CloseReason::Protocol(text));
    }

    pub(super) fn paid(&mut self, id: TransactionId) {
        if let Some(flight) = self.flight(id) {
            flight.owed = flight.owed.saturating_sub(1);
        }
    }

    fn retire_when_spent(&mut self) {
        if self.tally.is_spent(self.known.error_max) {
            self.retire("the server's patience with refusals on this connection is nearly used up");
        }
    }
}

/// Whether a reply to BDAT says that the chunk was not read as a chunk.
fn is_not_consumed(flight: &Flying, reply: &Reply) -> bool {
    match reply.code {
        // One recipient's verdict on content that the others have theirs on.
        _ if !flight.verdicts.is_empty() => false,
        500 | 502 => true,
        501 | 503 => flight.has_accepted_recipient() && flight.decision.is_none(),
        _ => false,
    }
}

/// Whether a 452 speaks of the server's disk rather than of the connection (RFC 3463: X.3.1 and X.3.4; X.4.5 is
/// Sendmail's).
fn says_no_storage(reply: &Reply) -> bool {
    reply.status().is_some_and(|status| matches!((status.subject, status.detail), (3, 1 | 4) | (4, 5)))
}
