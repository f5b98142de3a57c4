//! A message on its way: which recipients still need a transaction, and what is known of the others.
//!
//! One message may take several transactions (a server's limit on recipients, a 452 in the middle, a connection
//! lost); each recipient gets exactly one outcome.

use super::policy;
use crate::mail::{Content, Envelope, Message, NextHop, Outcome, Route, Verdict};
use crate::smtp::{Answers, Reply, Said, Transaction};
use std::collections::{BTreeMap, HashSet};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Instant;

/// Farewells in a row after which a message is not sent again.
const FAREWELLS: u32 = 3;

/// A message with its progress. `T` is whatever the floor above needs back with it (the ticket).
///
/// It goes from hand to hand many times, so what moves is a pointer.
#[derive(Debug)]
pub struct Delivery<T>(Box<Progress<T>>);

/// What a [`Delivery`] is.
#[derive(Debug)]
pub struct Progress<T> {
    /// For logs.
    pub queue_id: Option<String>,
    /// Where it goes.
    pub next_hop: NextHop,
    /// The whole envelope.
    pub envelope: Arc<Envelope>,
    /// What is sent, or nothing for an address verification.
    pub content: Option<Content>,
    /// What came with it.
    pub token: T,
    /// Attempts spent on connections that were lost and that it is to blame for.
    pub attempts: u32,
    /// Connections in a row that the server has ended by a farewell (421, or 452 to MAIL) in the place of an answer to
    /// it.
    pub farewells: u32,
    /// Its place in the queue, by which it is known there.
    pub place: Option<u64>,
    /// When it was submitted.
    pub submitted: Instant,
    /// When its first octet went out, once it has.
    pub started: Option<Instant>,
    outcomes: Vec<Option<Outcome>>,
    remaining: Vec<usize>,
    /// What was said to recipients that a server has put off and another is to be asked about.
    put_off: BTreeMap<usize, Outcome>,
    /// How it went to the server that has said what is known of a recipient, where that is not the one that is asked
    /// now.
    earlier: BTreeMap<usize, Arc<Route>>,
    /// The last of these routes.
    left: Option<Arc<Route>>,
}

impl<T> Delivery<T> {
    /// A message of which nothing was sent yet.
    pub fn new(message: Message, token: T, now: Instant) -> Delivery<T> {
        let count = message.envelope.recipients.len();
        Delivery(Box::new(Progress {
            queue_id: message.queue_id,
            next_hop: message.next_hop,
            envelope: message.envelope,
            content: message.content,
            token,
            attempts: 0,
            farewells: 0,
            place: None,
            submitted: now,
            started: None,
            outcomes: vec![None; count],
            remaining: (0..count).collect(),
            put_off: BTreeMap::new(),
            earlier: BTreeMap::new(),
            left: None,
        }))
    }

    /// Lets go of all but what came with it.
    pub fn into_token(self) -> T {
        self.0.token
    }
}

impl<T> Deref for Delivery<T> {
    type Target = Progress<T>;

    fn deref(&self) -> &Progress<T> {
        &self.0
    }
}

impl<T> DerefMut for Delivery<T> {
    fn deref_mut(&mut self) -> &mut Progress<T> {
        &mut self.0
    }
}

impl<T> Progress<T> {
    /// Octets of content.
    pub fn size(&self) -> u64 {
        self.content.as_ref().map_or(0, Content::len)
    }

    /// Whether connections have ended with it more than once, so that it may be what the server dies of. Once is
    /// chance.
    pub fn is_suspect(&self) -> bool {
        self.attempts > 1
    }

    /// Whether so many farewells have answered it that it must be what they are for. A server that takes so many
    /// messages a connection says them to whoever is next, which is chance.
    pub fn is_unwelcome(&self) -> bool {
        self.farewells > FAREWELLS
    }

    /// Whether a recipient is left that has no outcome and is in no transaction.
    pub fn has_remaining(&self) -> bool {
        !self.remaining.is_empty()
    }

    /// The next transaction: the first recipients that are left, no more of them and of their domains than given.
    pub fn next_transaction(&mut self, recipients: usize, domains: usize) -> Transaction {
        let count = self.of_domains(recipients.clamp(1, self.remaining.len().max(1)), domains.max(1));
        let recipients = match count == self.remaining.len() {
            true => std::mem::take(&mut self.remaining),
            false => self.remaining.drain(..count).collect(),
        };
        Transaction { envelope: Arc::clone(&self.envelope), recipients, content: self.content.clone() }
    }

    /// How many of these first recipients that are left have no more domains than given.
    fn of_domains(&self, recipients: usize, domains: usize) -> usize {
        // So few have no more domains, whatever they are; nearly always there is one recipient, or no limit.
        let first = self.remaining.iter().take(recipients);
        if recipients <= domains {
            return first.count();
        }
        let mut seen = HashSet::new();
        let in_few = first.take_while(|index| {
            let address = self.envelope.recipients.get(**index).map(|r| &r.address);
            seen.insert(address.and_then(|a| a.domain()).unwrap_or("").to_ascii_lowercase());
            seen.len() <= domains
        });
        in_few.count()
    }

    /// A transaction ran to its end: each of its recipients has its outcome, or goes into a further one.
    pub fn answered(&mut self, recipients: &[usize], answers: &Answers) {
        let mut accepted = false;
        let mut overflow = Vec::new();
        for (place, index) in recipients.iter().enumerate() {
            let to_rcpt = answers.recipient(place);
            match to_rcpt {
                Some(reply) if policy::is_overflow(reply, accepted) => overflow.push(*index),
                _ => self.settle(*index, policy::answered(answers.decisive(place))),
            }
            accepted = accepted || to_rcpt.is_some_and(Reply::is_positive);
        }
        self.remaining.extend(overflow);
    }

    /// A transaction was sent whole and not answered to its end; what was said to single recipients stands.
    pub fn in_doubt(&mut self, recipients: &[usize], said: &Said, outcome: &Outcome) {
        for (place, index) in recipients.iter().enumerate() {
            let refused = || said.recipient(place).filter(|reply| reply.is_negative());
            match said.verdict(place).or_else(refused) {
                Some(reply) => self.settle(*index, policy::refused(reply, said.is_behind_an_accepted(place))),
                None => self.settle(*index, outcome.clone()),
            }
        }
    }

    /// A transaction was not taken: its recipients are left to be sent to, but for those that were refused for good
    /// before that, or have their verdict. Whether there were any: then something was gained.
    pub fn unsent(&mut self, recipients: &[usize], said: &Said) -> bool {
        let before = self.remaining.len();
        for (place, index) in recipients.iter().enumerate() {
            let is_full = |reply: &Reply| policy::is_overflow(reply, said.is_behind_an_accepted(place));
            let refused = || said.recipient(place).filter(|reply| reply.is_permanent() && !is_full(reply));
            match said.verdict(place).or_else(refused) {
                Some(reply) => self.settle(*index, policy::answered(reply)),
                None => self.remaining.push(*index),
            }
        }
        self.remaining.len() - before < recipients.len()
    }

    /// Takes back the outcome of every recipient that a server has answered with 4yz, so that another server may be
    /// asked. Whether there are any. Where no other answers, that outcome is the one they keep. [`Progress::leaves`]
    /// says whose it is.
    pub fn put_off(&mut self) -> bool {
        let is_for_now = |outcome: &mut Outcome| outcome.verdict == Verdict::Deferred && outcome.code.is_some();
        for (index, outcome) in self.outcomes.iter_mut().enumerate() {
            if let Some(outcome) = outcome.take_if(is_for_now) {
                self.put_off.insert(index, outcome);
                self.remaining.push(index);
            }
        }
        self.has_remaining()
    }

    /// The message leaves the server that it went to by this route, which has said what is known by now.
    pub fn leaves(&mut self, route: &Arc<Route>) {
        if !self.was_answered() {
            return;
        }
        self.left = Some(Arc::clone(route));
        let answered =
            self.outcomes.iter().enumerate().filter(|(_, outcome)| outcome.is_some()).map(|(index, _)| index);
        for index in answered.chain(self.put_off.keys().copied()) {
            self.earlier.entry(index).or_insert_with(|| Arc::clone(route));
        }
    }

    /// The routes to servers that it has left, by the recipients of whom they have decided; and the last of them.
    pub fn take_earlier(&mut self) -> (BTreeMap<usize, Arc<Route>>, Option<Arc<Route>>) {
        (std::mem::take(&mut self.earlier), self.left.take())
    }

    /// Gives every recipient that is left this outcome, or what a server has said of it before.
    pub fn give_up(&mut self, outcome: &Outcome) {
        for index in std::mem::take(&mut self.remaining) {
            let said = self.put_off.remove(&index);
            self.keep(index, said.unwrap_or_else(|| outcome.clone()));
        }
    }

    /// How many recipients are left.
    pub fn left(&self) -> usize {
        self.remaining.len()
    }

    /// Whether some recipient was answered already.
    pub fn was_answered(&self) -> bool {
        self.outcomes.iter().any(Option::is_some) || !self.put_off.is_empty()
    }

    /// All outcomes in the envelope's order. A recipient without one would be a bug; it is deferred.
    pub fn outcomes(&mut self) -> Vec<Outcome> {
        let missing = || {
            let status = crate::mail::EnhancedStatus::new(4, 3, 0);
            Outcome::deferred(status, "no result is known for this recipient")
        };
        std::mem::take(&mut self.outcomes).into_iter().map(|outcome| outcome.unwrap_or_else(missing)).collect()
    }

    /// The server that is asked now has decided, or what happened to it.
    fn settle(&mut self, index: usize, outcome: Outcome) {
        self.earlier.remove(&index);
        self.keep(index, outcome);
    }

    fn keep(&mut self, index: usize, outcome: Outcome) {
        if let Some(place) = self.outcomes.get_mut(index) {
            debug_assert!(place.is_none(), "a recipient has one outcome");
            place.get_or_insert(outcome);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::Address;

    fn delivery(recipients: &[&str]) -> Delivery<()> {
        let recipients = recipients.iter().map(|a| Address::parse(a).expect(a)).collect();
        let message = Message {
            queue_id: None,
            next_hop: "mx.test".parse().expect("a next hop"),
            envelope: Envelope::new(Address::null(), recipients).into(),
            content: None,
        };
        Delivery::new(message, (), Instant::now())
    }

    #[test]
    fn recipients_are_split_by_number_and_by_domain() {
        let mut four = delivery(&["a@x", "b@X", "c@y", "d@y"]);
        assert_eq!(four.next_transaction(3, usize::MAX).recipients, [0, 1, 2]);
        assert_eq!(four.next_transaction(3, usize::MAX).recipients, [3]);
        assert!(!four.has_remaining());
        let mut four = delivery(&["a@x", "b@X", "c@y", "d@y"]);
        assert_eq!(four.next_transaction(9, 1).recipients, [0, 1]);
        assert_eq!(four.next_transaction(9, 1).recipients, [2, 3]);
    }

    #[test]
    fn who_is_put_off_is_left_and_keeps_what_was_said_when_nobody_else_answers() {
        let mut three = delivery(&["a@x", "b@x", "c@x"]);
        let all = three.next_transaction(9, 9).recipients;
        let said = ["250 2.1.5 ok", "450 4.2.0 later", "550 5.1.1 no"]
            .map(|text| Reply::new(text[..3].parse().expect("a code"), &[&text[4..]]));
        all.iter().zip(&said).for_each(|(index, reply)| three.settle(*index, policy::answered(reply)));
        assert!(three.put_off() && three.left() == 1);
        assert_eq!(three.next_transaction(9, 9).recipients, [1]);
        three.unsent(&[1], &Said::default());
        three.give_up(&policy::no_server());
        let outcomes: Vec<String> = three.outcomes().iter().map(|outcome| outcome.status.to_string()).collect();
        assert_eq!(outcomes, ["2.1.5", "4.2.0", "5.1.1"]);
        let mut one = delivery(&["a@x"]);
        one.next_transaction(9, 9);
        one.settle(0, Outcome::deferred(crate::mail::EnhancedStatus::new(4, 4, 2), "our own"));
        assert!(!one.put_off(), "no server has said so");
    }

    #[test]
    fn who_was_too_many_in_a_transaction_that_was_cut_off_is_no_failure() {
        let said = || {
            let full = Reply::new(552, &["5.5.3 too many recipients"]);
            Said::new(vec![Reply::new(250, &["ok"]), full.clone(), Reply::new(550, &["5.1.1 no"]), full], Vec::new())
        };
        let mut unsent = delivery(&["a@x", "b@x", "c@x", "d@x"]);
        let transaction = unsent.next_transaction(9, 9);
        assert!(unsent.unsent(&transaction.recipients, &said()), "one is settled");
        assert_eq!(unsent.next_transaction(9, 9).recipients, [0, 1, 3]);
        let mut doubtful = delivery(&["a@x", "b@x", "c@x", "d@x"]);
        let transaction = doubtful.next_transaction(9, 9);
        let doubt = policy::in_doubt(&crate::smtp::Cause::Lost("gone".into()));
        doubtful.in_doubt(&transaction.recipients, &said(), &doubt);
        let verdicts: Vec<Verdict> = doubtful.outcomes().iter().map(|o| o.verdict).collect();
        assert_eq!(verdicts, [Verdict::InDoubt, Verdict::Deferred, Verdict::Failed, Verdict::Deferred]);
    }

    #[test]
    fn every_recipient_has_an_outcome_whatever_happens() {
        let mut three = delivery(&["a@x", "b@x", "c@x"]);
        let transaction = three.next_transaction(2, 9);
        let doubt = policy::in_doubt(&crate::smtp::Cause::Lost("gone".into()));
        let refused = Reply::new(550, &["5.1.1 no"]);
        three.in_doubt(&transaction.recipients, &Said::new(vec![refused], Vec::new()), &doubt);
        let verdicts: Vec<Verdict> = three.outcomes().iter().map(|o| o.verdict).collect();
        assert_eq!(verdicts, [Verdict::Failed, Verdict::InDoubt, Verdict::Deferred]);
    }

    #[test]
    fn a_verdict_of_its_own_stands_whatever_becomes_of_the_others() {
        let reply = |code| Reply::new(code, &["said"]);
        let said = || Said::new(vec![reply(250); 3], vec![(0, reply(250)), (1, reply(452))]);
        let mut doubtful = delivery(&["a@x", "b@x", "c@x"]);
        let transaction = doubtful.next_transaction(9, 9);
        let doubt = policy::in_doubt(&crate::smtp::Cause::Lost("gone".into()));
        doubtful.in_doubt(&transaction.recipients, &said(), &doubt);
        let verdicts: Vec<Verdict> = doubtful.outcomes().iter().map(|o| o.verdict).collect();
        assert_eq!(verdicts, [Verdict::Delivered, Verdict::Deferred, Verdict::InDoubt]);
        let mut unsent = delivery(&["a@x", "b@x", "c@x"]);
        let transaction = unsent.next_transaction(9, 9);
        assert!(unsent.unsent(&transaction.recipients, &said()), "two are settled");
        assert_eq!(unsent.next_transaction(9, 9).recipients, [2]);
    }
}
