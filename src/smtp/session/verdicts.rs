//! How many replies the end of content has. In SMTP it is one. In LMTP (RFC 2033) it is one for each recipient that was
//! accepted, in their order, and each decides over that recipient alone.
//!
//! The entry in the FIFO for a dot or a last chunk stays in front until the last of these replies has come. How many
//! they are is known by then: RCPTs are answered before. Three rules keep the count certain, since a reply that is
//! paired with the wrong command tells of mail that was never taken:
//! - Content for **nobody**. DATA is refused then (section 4.2). A last chunk that was sent ahead has no reply at all (section 4.3), and yet some
//!   servers refuse it. A RSET follows it in any case, which is never refused; so a refusal is the chunk's, and anything else is
//!   the reply to what is behind it.
//! - A **refused chunk** in the middle leaves open what the last one gets: the last one waits for those before it.
//! - A **refused RSET** leaves open which recipients the server still has: the session ends.
//!
//! A server that gives **fewer replies than recipients**, against the RFC, is not found out here: it has answered LHLO.
//! (Known are some that answer once for all, and some for which addresses that differ in case are one.) So nothing is
//! sent behind a content for several recipients until all its replies are in. Where some do not come, those that did
//! count as far as they hold whoever was left out ([`super::Said`]), and the rest is in doubt. Only of a server that the
//! administrator vouches for (`trust = "stream"`) it is taken that it does what the RFC says.

use super::{CloseReason, Flying, Owed, Session, Step, Transaction, TransactionId};
use crate::config::{Protocol, Trust};
use crate::smtp::reply::Reply;

impl Flying {
    /// The place of the recipient that the next reply to the content is for, in LMTP.
    fn next_judged(&self) -> Option<usize> {
        let behind = self.verdicts.last().map_or(0, |verdict| verdict.0 + 1);
        let rest = self.recipients.get(behind..)?;
        rest.iter().position(Reply::is_positive).map(|place| behind + place)
    }

    /// Whether the content has all its replies.
    pub fn is_decided(&self) -> bool {
        self.decision.is_some() || (!self.verdicts.is_empty() && self.next_judged().is_none())
    }

    /// Whether every RCPT was answered, and none with 250.
    fn is_for_nobody(&self) -> bool {
        self.recipients.len() == self.what.recipients.len() && !self.said_yes_to_a_recipient()
    }
}

impl Session {
    /// Takes a reply to the end of content, for which `owed` was popped. While further ones are due, `owed` goes back.
    pub(super) fn decided(&mut self, owed: Owed, id: TransactionId, reply: Reply) {
        let one_for_each = self.options.protocol == Protocol::Lmtp;
        let Some(flight) = self.flight(id) else { return };
        match flight.next_judged().filter(|_| one_for_each) {
            Some(place) => {
                flight.verdicts.push((place, reply));
                if flight.next_judged().is_some() {
                    flight.owed += 1;
                    self.owed.push_front(owed);
                }
            }
            None => drop(flight.decision.get_or_insert(reply)),
        }
    }

    /// Whether the server may answer this message fewer times than there are recipients.
    pub(super) fn may_leave_out(&self, what: &Transaction) -> bool {
        let is_vouched_for = self.options.trust == Trust::Stream;
        self.options.protocol == Protocol::Lmtp && !is_vouched_for && what.recipients.len() > 1
    }

    /// Whether all verdicts on a message in front of the youngest have to be in before anything else is sent.
    pub(super) fn awaits_verdicts(&self) -> bool {
        self.flights.iter().rev().skip(1).any(|flight| flight.unsure)
    }

    /// Whether a further chunk is next and has to wait for the replies to those in front of it.
    pub(super) fn awaits_a_chunk(&self, flight: &Flying) -> bool {
        let is_next = matches!(flight.step, Step::NextChunk { .. });
        is_next && self.options.protocol == Protocol::Lmtp && flight.owed > 0
    }

    /// The transaction whose last chunk is next to be answered, and was for nobody.
    fn silent(&self) -> Option<TransactionId> {
        let Some(Owed::Chunk { id, last: true, .. }) = self.owed.front() else { return None };
        self.flights.front().filter(|flight| flight.id == *id && flight.is_for_nobody()).map(|flight| flight.id)
    }

    /// A reply came that is not for the last chunk in front, because that has none. (So with the chunk of the honesty
    /// probe.)
    pub(super) fn pass_over_silence(&mut self, reply: &Reply) {
        if self.options.protocol == Protocol::Smtp || reply.is_negative() {
            return;
        }
        if self.owed.front() == Some(&Owed::ProbeChunk) {
            self.owed.pop_front();
        } else if let Some(id) = self.silent() {
            self.owed.pop_front();
            self.paid(id);
        }
    }

    /// Whether only a RSET tells that a last chunk has no reply: nothing is behind it, or may be.
    pub(super) fn silence_is_due(&self) -> bool {
        let nothing_comes = || self.flights.back().is_none_or(|last| last.step == Step::Done) || self.awaits_verdicts();
        self.options.protocol == Protocol::Lmtp && self.owed.len() == 1 && self.silent().is_some() && nothing_comes()
    }

    pub(super) fn say_silence_reset(&mut self) -> bool {
        self.output.extend_from_slice(b"RSET\r\n");
        self.owed.push_back(Owed::SilenceReset);
        self.clean = true;
        self.clean_by_reset = true;
        true
    }

    pub(super) fn silence_answered(&mut self, reply: Reply) {
        if !reply.is_positive() {
            self.lose_count(reply);
        }
    }

    /// RSET was refused: the replies to come can no longer be counted.
    pub(super) fn lose_count(&mut self, reply: Reply) {
        match reply.code {
            421 => self.fail(CloseReason::ByServer(reply)),
            _ => self.fail(CloseReason::Protocol(format!("the server refused RSET: {reply}"))),
        }
    }
}
