//! The messages on one connection, and which transactions they have open there.
//!
//! It keeps account and touches neither socket nor session. Every message that boards leaves exactly once,
//! settled or unsent; one whose transaction is over stays when recipients are left and the connection goes on.
//!
//! **Who is to blame.** When a connection ends with work undone, one message is charged with an attempt: the first that was not
//! sent whole. It is the oldest unanswered one, or, if that was sent whole (then it is in doubt, and will not come
//! again), the one that was being sent. The others have only shared the connection, and may be sent again without
//! limit: each lost connection settles a message for good or brings one nearer to its bound, so this ends.

use super::delivery::Delivery;
use super::policy;
use crate::config::Level;
use crate::mail::Outcome;
use crate::smtp::{Answers, Cause, End, Said, Transaction, TransactionId};
use std::collections::BTreeMap;

/// Lets a connection ask and tell about the one who waits for a message's result.
pub trait Token {
    /// Whether nobody waits for the result any more.
    fn is_cancelled(&self) -> bool;
    /// The message was sent whole: from now on the server may have it.
    fn sent_whole(&mut self);
}

/// Why a delivery comes back unsent.
#[derive(Debug, Clone)]
pub struct Retry {
    /// What happened.
    pub cause: Cause,
    /// Whether it counts against the bound on attempts.
    pub counts: bool,
}

/// How a message leaves the connection.
#[derive(Debug)]
pub(super) enum Leaving<T> {
    /// Every recipient has an outcome.
    Settled(Delivery<T>, Level),
    /// Some have none.
    Unsent(Delivery<T>, Level, Retry),
}

/// A message on this connection.
#[derive(Debug)]
struct Passenger<T> {
    delivery: Delivery<T>,
    /// Transactions open.
    open: usize,
    level: Level,
    trouble: Option<Retry>,
    /// Its content cannot be read: what becomes of the recipients that are left.
    spoiled: Option<Outcome>,
}

/// One open transaction.
#[derive(Debug)]
struct Leg {
    berth: u64,
    recipients: Vec<usize>,
    sent_whole: bool,
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Aboard<T> {
    /// By berth: in the order in which they boarded.
    passengers: BTreeMap<u64, Passenger<T>>,
    next_berth: u64,
    legs: BTreeMap<TransactionId, Leg>,
    /// Messages with recipients left, oldest first.
    unfinished: Vec<u64>,
    /// A message was charged with the end of this connection.
    charged: bool,
}

impl<T: Token> Aboard<T> {
    pub fn new() -> Aboard<T> {
        Aboard {
            passengers: BTreeMap::new(),
            next_berth: 0,
            legs: BTreeMap::new(),
            unfinished: Vec::new(),
            charged: false,
        }
    }

    /// Takes a message in. Its first transaction is to be begun now.
    pub fn board(&mut self, delivery: Delivery<T>, level: Level) -> u64 {
        let berth = self.next_berth;
        self.next_berth += 1;
        self.passengers.insert(berth, Passenger { delivery, open: 0, level, trouble: None, spoiled: None });
        self.unfinished.push(berth);
        berth
    }

    /// The oldest message with recipients left.
    pub fn first_unfinished(&self) -> Option<u64> {
        self.unfinished.first().copied()
    }

    /// Messages with recipients left.
    pub fn unfinished(&self) -> usize {
        self.unfinished.len()
    }

    /// Whether one of them is to be alone on the connection, because connections were lost with it before.
    pub fn wants_to_be_alone(&self) -> bool {
        self.passengers.values().any(|passenger| passenger.delivery.is_suspect())
    }

    /// The next transaction of a message.
    pub fn next_transaction(&mut self, berth: u64, recipients: usize, domains: usize) -> Option<Transaction> {
        let passenger = self.passengers.get_mut(&berth)?;
        let transaction = passenger.delivery.next_transaction(recipients, domains);
        passenger.open += 1;
        if !passenger.delivery.has_remaining() {
            self.unfinished.retain(|other| *other != berth);
        }
        Some(transaction)
    }

    /// That transaction was begun under this name.
    pub fn begun(&mut self, id: TransactionId, berth: u64, recipients: Vec<usize>) {
        self.legs.insert(id, Leg { berth, recipients, sent_whole: false });
    }

    /// The message that a transaction is of.
    pub fn delivery(&self, id: TransactionId) -> Option<&Delivery<T>> {
        let leg = self.legs.get(&id)?;
        self.passengers.get(&leg.berth).map(|passenger| &passenger.delivery)
    }

    /// All content of a transaction is on its way.
    pub fn sent_whole(&mut self, id: TransactionId) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        leg.sent_whole = true;
        if let Some(passenger) = self.passengers.get_mut(&leg.berth) {
            passenger.delivery.token.sent_whole();
        }
    }

    /// The content of a transaction cannot be read: its message is not tried again.
    pub fn spoil(&mut self, id: TransactionId, outcome: Outcome) {
        let Some(leg) = self.legs.get(&id) else { return };
        if let Some(passenger) = self.passengers.get_mut(&leg.berth) {
            passenger.spoiled = Some(outcome);
        }
    }

    /// A transaction is over. `progress`: the server has answered one on this connection before it. Returns whose it
    /// was.
    pub fn ended(&mut self, id: TransactionId, level: Level, end: End, progress: bool) -> Option<u64> {
        let leg = self.legs.remove(&id)?;
        let passenger = self.passengers.get_mut(&leg.berth)?;
        passenger.open -= 1;
        passenger.level = passenger.level.max(level);
        match end {
            End::Answered(answers) => passenger.answered(&leg.recipients, &answers),
            End::InDoubt { cause, said } => {
                passenger.delivery.in_doubt(&leg.recipients, &said, &policy::in_doubt(&cause));
            }
            End::Unsent { cause, said } => {
                let first = cause == Cause::Cancelled || !std::mem::replace(&mut self.charged, true);
                passenger.unsent(&leg.recipients, &said, cause, first, progress);
            }
        }
        Some(leg.berth)
    }

    /// Lets a message go when nothing of it is in flight and nothing more of it is to be sent here. `goes_on`: the
    /// connection takes further transactions.
    pub fn leave(&mut self, berth: u64, goes_on: bool) -> Option<Leaving<T>> {
        let passenger = self.passengers.get(&berth)?;
        let left = passenger.delivery.has_remaining();
        if left && goes_on && passenger.trouble.is_none() {
            if !self.unfinished.contains(&berth) {
                self.unfinished.push(berth);
            }
            return None;
        }
        self.unfinished.retain(|other| *other != berth);
        if passenger.open > 0 {
            return None;
        }
        let passenger = self.passengers.remove(&berth)?;
        let (delivery, level) = (passenger.delivery, passenger.level);
        if !left {
            return Some(Leaving::Settled(delivery, level));
        }
        let served = || Retry { cause: Cause::Lost("the connection has served its time".into()), counts: false };
        Some(Leaving::Unsent(delivery, level, passenger.trouble.unwrap_or_else(served)))
    }

    /// Everybody leaves. A transaction that the session has not ended would be a bug there; it is judged by what was
    /// sent.
    pub fn disembark(&mut self) -> Vec<Leaving<T>> {
        let cause = Cause::Lost("the connection ended".into());
        let open: Vec<(TransactionId, bool)> = self.legs.iter().map(|(id, leg)| (*id, leg.sent_whole)).collect();
        for (id, sent_whole) in open {
            let (cause, said) = (cause.clone(), Said::default());
            let end = if sent_whole { End::InDoubt { cause, said } } else { End::Unsent { cause, said } };
            self.ended(id, Level::Lockstep, end, false);
        }
        let berths: Vec<u64> = self.passengers.keys().copied().collect();
        berths.into_iter().filter_map(|berth| self.leave(berth, false)).collect()
    }
}

impl<T> Passenger<T> {
    fn answered(&mut self, recipients: &[usize], answers: &Answers) {
        self.delivery.farewells = 0;
        self.delivery.answered(recipients, answers);
    }

    fn unsent(&mut self, recipients: &[usize], said: &Said, cause: Cause, first: bool, progress: bool) {
        let gained = self.delivery.unsent(recipients, said);
        match &self.spoiled {
            Some(outcome) => self.delivery.give_up(outcome),
            None => {
                let counts = first && policy::is_attempt(&cause, gained || progress);
                if gained {
                    self.delivery.farewells = 0;
                } else if first && matches!(cause, Cause::Closing(_)) {
                    self.delivery.farewells += 1;
                }
                self.trouble.get_or_insert(Retry { cause, counts });
            }
        }
    }
}
