//! One mail transaction (RFC 5321 3.3): what was asked for, how far it has been sent, and what was answered.

use super::{Cause, Session};
use crate::config::Level;
use crate::mail::{Content, Envelope};
use crate::smtp::reply::Reply;
use std::sync::Arc;

/// Names a transaction of one session, in the order in which they were begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionId(pub(super) u64);

/// What a transaction is to do: the envelope, which of its recipients, and the content.
#[derive(Debug, Clone)]
pub struct Transaction {
    /// The envelope of the message.
    pub envelope: Arc<Envelope>,
    /// Which recipients this transaction names, by their place in the envelope; at least one.
    pub recipients: Vec<usize>,
    /// The content; `None` asks about the envelope only.
    pub content: Option<Content>,
}

impl Transaction {
    pub(super) fn size(&self) -> u64 {
        self.content.as_ref().map_or(0, Content::len)
    }
}

/// What was said to single recipients of a transaction. Each is named by its place in [`Transaction::recipients`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// The replies to the first so many RCPTs.
    recipients: Vec<Reply>,
    /// LMTP's replies to the content, by rising place.
    verdicts: Vec<(usize, Reply)>,
}

impl Said {
    /// For tests of what becomes of it.
    #[cfg(test)]
    pub fn new(recipients: Vec<Reply>, verdicts: Vec<(usize, Reply)>) -> Said {
        Said { recipients, verdicts }
    }

    /// The reply to its RCPT.
    pub fn recipient(&self, place: usize) -> Option<&Reply> {
        self.recipients.get(place)
    }

    /// The reply to the content that was for this recipient alone (LMTP).
    pub fn verdict(&self, place: usize) -> Option<&Reply> {
        let found = self.verdicts.binary_search_by_key(&place, |verdict| verdict.0).ok()?;
        self.verdicts.get(found).map(|verdict| &verdict.1)
    }

    /// Whether a RCPT got 421.
    pub fn has_farewell_to_a_recipient(&self) -> bool {
        self.recipients.iter().any(|reply| reply.code == 421)
    }

    /// Whether a recipient in front of this one was accepted.
    pub fn is_behind_an_accepted(&self, place: usize) -> bool {
        self.recipients.iter().take(place).any(Reply::is_positive)
    }

    /// Whether a recipient has its verdict.
    pub(super) fn has_verdicts(&self) -> bool {
        !self.verdicts.is_empty()
    }

    /// Only the verdicts that hold whichever recipients the server has left out: the first, and those behind it that say
    /// the same.
    pub(super) fn certain(mut self) -> Said {
        let first = self.verdicts.first().map_or(0, |verdict| verdict.1.code / 100);
        let same = self.verdicts.iter().take_while(|verdict| verdict.1.code / 100 == first).count();
        self.verdicts.truncate(same);
        self
    }

    /// Without the verdicts that are a 421: what that refuses is the connection.
    pub(super) fn without_farewells(mut self) -> Said {
        self.verdicts.retain(|(_, reply)| reply.code != 421);
        self
    }
}

impl Session {
    /// The most recipients that one transaction should name.
    pub fn recipient_limit(&self) -> usize {
        let limits = [self.offered.limits.rcpt_max, self.known.rcpt_max];
        limits.into_iter().flatten().min().map_or(usize::MAX, |n| n.max(1) as usize)
    }

    /// The most recipient domains that one transaction should name (RFC 9422, RCPTDOMAINMAX).
    pub fn domain_limit(&self) -> usize {
        self.offered.limits.rcpt_domain_max.map_or(usize::MAX, |n| n as usize)
    }
}

/// The replies to a transaction that ran to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answers {
    mail: Reply,
    said: Said,
    decision: Option<Reply>,
}

impl Answers {
    /// The reply that decides over the transaction's recipient at `index` (a place in [`Transaction::recipients`]):
    /// the refused MAIL, else the refused RCPT, else the reply to the content (all of it, or for this recipient), else
    /// (envelope only) the RCPT's 250.
    pub fn decisive(&self, index: usize) -> &Reply {
        let to_recipient = self.recipient(index).filter(|_| self.mail.is_positive());
        match (to_recipient, &self.decision) {
            (None, _) => &self.mail,
            (Some(reply), Some(decision)) if reply.is_positive() => decision,
            (Some(reply), None) if reply.is_positive() => self.said.verdict(index).unwrap_or(reply),
            (Some(reply), _) => reply,
        }
    }

    /// Whether the server took the message for at least one recipient.
    pub fn is_accepted(&self) -> bool {
        let to_somebody = self.mail.is_positive() && self.said.recipients.iter().any(Reply::is_positive);
        to_somebody && is_taken(self.decision.as_ref(), &self.said.verdicts)
    }

    /// Whether any reply that decides is a refusal.
    pub fn has_refusal(&self) -> bool {
        (0..self.said.recipients.len().max(1)).any(|index| self.decisive(index).is_negative())
    }

    /// The reply to RCPT, for a reader who looks for a limit on recipients.
    pub fn recipient(&self, index: usize) -> Option<&Reply> {
        self.said.recipient(index)
    }
}

/// Whether a reply to the content says that it was taken, for all or for somebody.
fn is_taken(decision: Option<&Reply>, verdicts: &[(usize, Reply)]) -> bool {
    decision.is_some_and(Reply::is_positive) || verdicts.iter().any(|verdict| verdict.1.is_positive())
}

/// Where the sending cursor stands in a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// RSET is next.
    Reset,
    /// MAIL is next.
    Mail,
    /// The RCPT of the recipient at this place is next.
    Rcpt(usize),
    /// DATA, or the first BDAT, is next.
    Data,
    /// DATA was sent: its reply must come first.
    AwaitGo,
    /// Content is being sent, so many octets of it are. `chunk_end` is where the chunk ends (BDAT), or the content
    /// (DATA).
    Content { sent: u64, chunk_end: u64 },
    /// A chunk is complete and more content follows.
    NextChunk { sent: u64 },
    /// Nothing more is sent for this transaction.
    Done,
}

/// A transaction that has been begun and has not ended.
#[derive(Debug)]
pub(super) struct Flying {
    pub id: TransactionId,
    pub what: Transaction,
    pub level: Level,
    pub step: Step,
    /// Content goes by BDAT rather than DATA.
    pub chunked: bool,
    /// A RSET stands in front of it (its own, or the one behind the dot before it).
    pub has_reset: bool,
    /// The server may answer its content fewer times than it has accepted recipients.
    pub unsure: bool,
    /// Its RSET was sent behind an end of content that was not yet answered (level `overlap`).
    pub overlaps: bool,
    /// Its RSET was answered other than 250: no later reply counts.
    pub void: Option<Reply>,
    pub mail: Option<Reply>,
    pub recipients: Vec<Reply>,
    /// The reply to DATA when it was not 354, to the dot, or to the BDAT that settled it: one for all recipients.
    pub decision: Option<Reply>,
    /// LMTP's replies to the content, with the places of their recipients.
    pub verdicts: Vec<(usize, Reply)>,
    /// Replies owed by the server.
    pub owed: usize,
    /// The place in the output behind the last octet of content and its end mark, once that was generated.
    pub content_end: Option<u64>,
    /// Why it is not to be sent after all: withdrawn, or its content cannot be had.
    pub given_up: Option<Cause>,
}

impl Flying {
    pub fn new(id: TransactionId, what: Transaction, level: Level, chunked: bool, first: Step) -> Flying {
        Flying {
            id,
            what,
            level,
            step: first,
            chunked,
            has_reset: false,
            unsure: false,
            overlaps: false,
            void: None,
            mail: None,
            recipients: Vec::new(),
            decision: None,
            verdicts: Vec::new(),
            owed: 0,
            content_end: None,
            given_up: None,
        }
    }

    /// Whether the sender was refused; `false` while that is unknown.
    pub fn mail_refused(&self) -> bool {
        self.mail.as_ref().is_some_and(|reply| !reply.is_positive())
    }

    /// Whether the server has accepted a recipient under this transaction's own sender.
    pub fn has_accepted_recipient(&self) -> bool {
        self.void.is_none() && !self.mail_refused() && self.said_yes_to_a_recipient()
    }

    /// Whether a RCPT got 250, whatever that is worth.
    pub fn said_yes_to_a_recipient(&self) -> bool {
        self.recipients.iter().any(Reply::is_positive)
    }

    /// Whether every RCPT was answered and none with 250, or the sender was refused: no content is needed.
    pub fn is_refused(&self) -> bool {
        let all_answered = self.recipients.len() == self.what.recipients.len();
        self.void.is_some() || self.mail_refused() || (all_answered && !self.said_yes_to_a_recipient())
    }

    /// Whether a 421 is among its replies: what that refuses is the connection.
    pub fn was_told_to_leave(&self) -> bool {
        if let Some(refusal) = self.mail.as_ref().filter(|_| self.mail_refused()) {
            // Whatever stands behind it follows from it.
            return refusal.code == 421;
        }
        let to_all = [&self.mail, &self.decision].into_iter().flatten();
        let to_some = self.recipients.iter().chain(self.verdicts.iter().map(|verdict| &verdict.1));
        to_all.chain(to_some).any(|reply| reply.code == 421)
    }

    /// Whether a reply says that content was taken, under whichever envelope.
    pub fn is_taken(&self) -> bool {
        is_taken(self.decision.as_ref(), &self.verdicts)
    }

    /// Whether it is over: all was sent, all is answered.
    pub fn is_over(&self) -> bool {
        self.step == Step::Done && self.owed == 0
    }

    /// Whether the server may have taken the message: the end of its content was handed to the kernel.
    pub fn is_sent_whole(&self, written: u64) -> bool {
        self.content_end.is_some_and(|end| end <= written)
    }

    /// Whether the end of its content has been generated or it has none: what is behind it may follow.
    pub fn is_fully_generated(&self) -> bool {
        self.step == Step::Done
    }

    /// What was said to its recipients, as far as it counts: under a RSET and a MAIL that were accepted.
    pub fn take_said(&mut self) -> Said {
        let counts = self.void.is_none() && self.mail.as_ref().is_some_and(Reply::is_positive);
        if counts { self.said() } else { Said::default() }
    }

    fn said(&mut self) -> Said {
        Said { recipients: std::mem::take(&mut self.recipients), verdicts: std::mem::take(&mut self.verdicts) }
    }

    /// The replies, when it ran to its end.
    pub fn answers(&mut self) -> Option<Answers> {
        let mail = self.mail.take()?;
        Some(Answers { mail, said: self.said(), decision: self.decision.take() })
    }
}
