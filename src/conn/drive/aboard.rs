//! The messages on one connection: how they come aboard, what is left of them to send, and how they are given back.

use super::Connection;
use crate::config::Level;
use crate::conn::delivery::Delivery;
use crate::conn::feed::{Feed, Retry, Token};
use crate::conn::policy;
use crate::smtp::{Cause, End, TransactionId, command};
use log::warn;
use std::time::Instant;

/// A message on this connection and how many transactions it has open.
pub(super) struct Aboard<T> {
    delivery: Delivery<T>,
    open: usize,
    level: Level,
    trouble: Option<Retry>,
}

impl<T: Token> Connection<T> {
    pub(super) fn take_work<F: Feed<Token = T>>(&mut self, feed: &mut F) {
        self.session.set_backlog(feed.waiting() + self.unfinished.len());
        while let Some(berth) = self.unfinished.first().copied() {
            let size = self.aboard.get(&berth).map_or(0, |aboard| aboard.delivery.size());
            if !self.session.has_room(size) {
                return;
            }
            self.begin(berth);
            self.session.want();
        }
        while !feed.is_stopping() && !self.session.is_retired() {
            let session = &self.session;
            let Some(delivery) = feed.next(&|size| session.has_room(size)) else { return };
            self.board(delivery, feed);
            self.session.set_backlog(feed.waiting());
        }
    }

    fn board<F: Feed<Token = T>>(&mut self, mut delivery: Delivery<T>, feed: &mut F) {
        let offered = self.session.offered();
        if let Err(unfit) = command::fits(&delivery.envelope, delivery.content.as_ref(), offered) {
            delivery.give_up(&policy::unfit(unfit));
            feed.settled(delivery, &self.server, self.session.level());
            return;
        }
        delivery.started.get_or_insert_with(Instant::now);
        let berth = self.next_berth;
        self.next_berth += 1;
        self.aboard.insert(berth, Aboard { delivery, open: 0, level: self.session.level(), trouble: None });
        self.unfinished.push(berth);
        self.begin(berth);
        // Its commands are generated now, so that room for the next one is judged with this one in place.
        self.session.want();
    }

    fn begin(&mut self, berth: u64) {
        let Some(aboard) = self.aboard.get_mut(&berth) else { return };
        let (recipients, domains) = (self.session.recipient_limit(), self.session.domain_limit());
        let transaction = aboard.delivery.next_transaction(recipients, domains);
        aboard.open += 1;
        if !aboard.delivery.has_remaining() {
            self.unfinished.retain(|other| *other != berth);
        }
        let named = transaction.recipients.clone();
        let in_flight = self.session.in_flight();
        let id = self.session.begin(transaction);
        self.pace.begun(id, in_flight, Instant::now());
        self.transactions.insert(id, (berth, named));
        self.idle_since = None;
    }

    pub(super) fn supply(&mut self, id: TransactionId, offset: u64, max: usize) {
        let aboard = self.transactions.get(&id).and_then(|(berth, _)| self.aboard.get(berth));
        let Some(aboard) = aboard else { return };
        if aboard.delivery.token.is_cancelled() {
            return self.session.cancel(id);
        }
        let max = max.min(self.buffer.len());
        let read = match &aboard.delivery.content {
            Some(content) => content.read_at(&mut self.buffer[..max], offset),
            None => Ok(0),
        };
        match read {
            Ok(n) if n > 0 => self.session.supply(&self.buffer[..n]),
            Ok(_) => self.session.content_broken("the content ended before its length"),
            Err(error) => {
                warn!("{}: the content cannot be read: {error}", self.server);
                self.session.content_broken("the content could not be read");
            }
        }
    }

    pub(super) fn ended<F: Feed<Token = T>>(&mut self, id: TransactionId, level: Level, end: End, feed: &mut F) {
        let Some((berth, recipients)) = self.transactions.remove(&id) else { return };
        let Some(aboard) = self.aboard.get_mut(&berth) else { return };
        aboard.open -= 1;
        aboard.level = aboard.level.max(level);
        match end {
            End::Answered(answers) => {
                self.accepted += u64::from(answers.is_accepted());
                let flight = self.pace.answered(id, aboard.delivery.size(), Instant::now());
                flight.into_iter().for_each(|flight| self.session.flight_returned(flight));
                aboard.delivery.answered(&recipients, &answers);
            }
            End::InDoubt { cause, recipients: said } => {
                aboard.delivery.in_doubt(&recipients, &said, &policy::in_doubt(&cause));
            }
            End::Unsent { cause, recipients: said } => {
                let gained = aboard.delivery.unsent(&recipients, &said);
                let counts = policy::is_attempt(&cause, gained || self.accepted > 0);
                aboard.trouble.get_or_insert(Retry { cause, counts });
            }
        }
        self.disembark(berth, feed);
    }

    /// Gives a message back when nothing of it is in flight and nothing more is to be sent here.
    pub(super) fn disembark<F: Feed<Token = T>>(&mut self, berth: u64, feed: &mut F) {
        let Some(aboard) = self.aboard.get(&berth) else { return };
        let left = aboard.delivery.has_remaining();
        if left && aboard.trouble.is_none() && !self.session.is_retired() && self.session.closed().is_none() {
            if !self.unfinished.contains(&berth) {
                self.unfinished.push(berth);
            }
            return;
        }
        self.unfinished.retain(|other| *other != berth);
        if aboard.open > 0 {
            return;
        }
        let Some(aboard) = self.aboard.remove(&berth) else { return };
        if left {
            let end_of_line =
                || Retry { cause: Cause::Lost("the connection has served its time".into()), counts: false };
            feed.unsent(aboard.delivery, &self.server, aboard.trouble.unwrap_or_else(end_of_line));
        } else {
            feed.settled(aboard.delivery, &self.server, aboard.level);
        }
    }
}
