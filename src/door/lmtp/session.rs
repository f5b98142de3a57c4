//! One client's LMTP dialogue (RFC 2033 over RFC 5321; PIPELINING RFC 2920, CHUNKING RFC 3030).
//!
//! ```text
//!   greeting ─ LHLO ─┬─ MAIL ─ RCPT… ─┬─ DATA … .  ────────┬─ submit, wait, one reply per recipient ─┐
//!                    │                ├─ BDAT… BDAT n LAST ┘                                        │
//!                    │                └─ RSET or QUIT: an address probe, asked live                  │
//!                    └───────────────────────────────────────────────────────────────────────────────┘
//! ```
//! LHLO mirrors what the next hop's server offers, so that the MTA converts and refuses as it would for the server
//! itself. What asks nothing of the server is always offered; MT-PRIORITY is (RFC 6710 section 6), because the priority
//! is logged here, whether or not the server is told it. Replies to RCPT are held while the rest of the client's group
//! is already here: a group that ends in RSET or QUIT is an address verification, whose replies must be the server's
//! own. All other replies are made at once and leave before the session waits.
//!
//! Promises: one reply per command in order, one per accepted recipient behind the content; nothing is submitted from a
//! client that went away within its content.

use super::super::{Delivery, Reply};
use super::client::Client;
use super::command::{self, Command, Refusal};
use super::content::no_room;
use super::handover::{self, Accepted};
use super::parameter::MailParameters;
use super::transaction::Transaction;
use super::wire::{End, Filled, Line, Stop, Wire};
use crate::config::Config;
use crate::engine::Offers;
use crate::mail::{Address, NextHop, Recipient};
use crate::net::Wake;
use std::sync::Arc;
use std::time::Duration;

/// Recipients of one transaction at the most.
pub const MAX_RECIPIENTS: usize = 50_000;

/// Commands that are not LMTP, after which a client is left.
const MAX_MISTAKES: u32 = 20;

/// Replies held back while more commands are at hand.
const MAX_HELD: usize = 10_000;

/// How long a session waits for what.
#[derive(Debug, Clone)]
pub struct Patience {
    /// A command; Postfix keeps idle connections for up to 300 s.
    pub command: Duration,
    /// The next bytes of content.
    pub content: Duration,
    /// Room for the message, while the client still waits for its reply to MAIL (Postfix: 300 s).
    pub room: Duration,
    /// Room for the message, when only DATA is unanswered (Postfix: 120 s).
    pub room_at_data: Duration,
    /// What the server offers, at LHLO (Postfix: 300 s).
    pub offers: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        let seconds = Duration::from_secs;
        Patience {
            command: seconds(330),
            content: seconds(330),
            room: seconds(240),
            room_at_data: seconds(100),
            offers: seconds(120),
        }
    }
}

/// A reply that waits for its turn.
enum Held {
    Ready(Reply),
    /// The reply to the next undecided recipient.
    Recipient,
}

/// How the replies to undecided recipients are found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Settle {
    /// Accepted here; the result comes behind the content.
    Accept,
    /// The server is asked.
    Ask,
}

/// The dialogue with one client.
pub(super) struct Session<'a, D: Delivery, C> {
    pub(super) delivery: &'a D,
    pub(super) config: Arc<Config>,
    /// `None`: each recipient's own, by route.
    next_hop: Option<NextHop>,
    name: &'a str,
    pub(super) patience: Patience,
    pub(super) wire: Wire<C>,
    pub(super) wake: Wake,
    pub(super) offers: Option<Offers>,
    pub(super) transaction: Option<Transaction<D::Room>>,
    /// MAIL was refused, so what rides behind it in the same group is no mistake of its own.
    mail_refused: bool,
    held: Vec<Held>,
    pub(super) queue_id: Option<String>,
    pub(super) mistakes: u32,
}

impl<'a, D: Delivery, C: Client> Session<'a, D, C> {
    pub(super) fn new(
        delivery: &'a D,
        next_hop: Option<NextHop>,
        name: &'a str,
        patience: Patience,
        client: C,
        stop: Stop,
    ) -> std::io::Result<Session<'a, D, C>> {
        Ok(Session {
            delivery,
            config: delivery.config(),
            next_hop,
            name,
            patience,
            wire: Wire::new(client, stop),
            wake: Wake::new()?,
            offers: None,
            transaction: None,
            mail_refused: false,
            held: Vec::new(),
            queue_id: None,
            mistakes: 0,
        })
    }

    /// The whole dialogue. It ends with the client, a QUIT, a 421, or the door.
    pub(super) fn run(mut self) {
        let ended = self.greet().and_then(|()| self.converse());
        if let Err(End::Bye) = ended {
            // The client may have gone by now; then there is nobody to tell.
            let _ = self.wire.flush();
        }
    }

    fn greet(&mut self) -> Result<(), End> {
        match self.next_hop.as_ref().and_then(|hop| self.delivery.trouble(hop)) {
            Some(outcome) => self.leave(Reply::of_site(&outcome)),
            None => self.wire.say(format!("220 {} pipelane LMTP\r\n", self.name).as_bytes()),
        }
    }

    fn converse(&mut self) -> Result<(), End> {
        loop {
            if self.wire.is_stopping() {
                return self.close();
            }
            let Some(line) = self.wire.line() else {
                self.await_line()?;
                continue;
            };
            match line {
                Line::Whole(line) => match command::parse(&line) {
                    Ok(command) => self.obey(command)?,
                    Err(refusal) => self.refuse(refusal)?,
                },
                Line::Unusable(why) => self.mistake(Reply::new(500, 5, 2, why))?,
            }
        }
    }

    /// No whole command is buffered: looks whether more is there, and only if not gives the replies owed and waits.
    fn await_line(&mut self) -> Result<(), End> {
        if self.wire.more()? {
            return Ok(());
        }
        self.settle(self.by_sender())?;
        match self.wire.fill(self.patience.command)? {
            Filled::More => Ok(()),
            Filled::Stopping => self.close(),
            Filled::TimedOut => self.leave(Reply::new(421, 4, 2, "no command came in time")),
        }
    }

    fn obey(&mut self, command: Command) -> Result<(), End> {
        match command {
            Command::Rcpt(recipient) => return self.rcpt(recipient),
            Command::Data | Command::Bdat { .. } => self.settle(Settle::Accept)?,
            Command::Rset | Command::Quit => self.settle(Settle::Ask)?,
            _ => self.settle(self.by_sender())?,
        }
        match command {
            Command::Lhlo => self.lhlo(),
            Command::Forward { queue_id } => self.forward(queue_id),
            Command::Mail { sender, parameters } => self.mail(sender, parameters),
            Command::Rcpt(recipient) => self.rcpt(recipient),
            Command::Data => self.data(),
            Command::Bdat { octets, last } => self.bdat(octets, last),
            Command::Rset => {
                self.reset();
                self.reply(Reply::new(250, 0, 0, "Ok"))
            }
            Command::Noop => self.reply(Reply::new(250, 0, 0, "Ok")),
            Command::Vrfy => self.reply(Reply::new(252, 0, 0, "ask by MAIL, RCPT and RSET in one group")),
            Command::Help => {
                self.reply(Reply::new(214, 0, 0, "LHLO XFORWARD MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT"))
            }
            Command::Quit => self.leave(Reply::new(221, 0, 0, "Bye")),
        }
    }

    fn lhlo(&mut self) -> Result<(), End> {
        self.reset();
        let offers = match &self.next_hop {
            None => Offers::everything(),
            Some(hop) => {
                let timeouts = &self.config.settings(hop).timeouts;
                let patience = (timeouts.connect + timeouts.greeting).min(self.patience.offers);
                match self.delivery.offers(hop, patience) {
                    Ok(offers) => offers,
                    Err(outcome) => return self.leave(Reply::of_site(&outcome)),
                }
            }
        };
        let limit = size_limit(&self.config, &offers);
        let mut text = format!(
            "250-{}\r\n250-PIPELINING\r\n250-ENHANCEDSTATUSCODES\r\n250-CHUNKING\r\n250-MT-PRIORITY\r\n\
            250-XFORWARD NAME ADDR PROTO HELO SOURCE PORT IDENT\r\n",
            self.name
        );
        for (offered, keyword) in
            [(offers.eight_bit_mime, "8BITMIME"), (offers.smtputf8, "SMTPUTF8"), (offers.dsn, "DSN")]
        {
            if offered {
                text.push_str(&format!("250-{keyword}\r\n"));
            }
        }
        // Always offered: the size is for the choice of a lane, whether or not the server is told it.
        text.push_str(&if limit > 0 { format!("250 SIZE {limit}\r\n") } else { "250 SIZE\r\n".into() });
        self.offers = Some(offers);
        self.wire.say(text.as_bytes())
    }

    fn forward(&mut self, queue_id: Option<String>) -> Result<(), End> {
        if self.offers.is_none() || self.transaction.is_some() {
            return self.mistake(Reply::new(503, 5, 1, "XFORWARD comes behind LHLO and before MAIL"));
        }
        self.queue_id = queue_id.or(self.queue_id.take());
        self.reply(Reply::new(250, 0, 0, "Ok"))
    }

    fn mail(&mut self, sender: Address, parameters: MailParameters) -> Result<(), End> {
        let Some(offers) = &self.offers else {
            self.mail_refused = true;
            return self.mistake(Reply::new(503, 5, 1, "say LHLO first"));
        };
        if self.transaction.is_some() {
            return self.mistake(Reply::new(503, 5, 1, "MAIL within a transaction"));
        }
        // Looked at for every message: a client that reuses its connection may have forgotten the limit.
        let limit = size_limit(&self.config, offers);
        if limit > 0 && parameters.size.is_some_and(|size| size > limit) {
            self.mail_refused = true;
            return self.reply(Reply::new(552, 3, 4, format!("the message is over the limit of {limit} octets")));
        }
        self.mail_refused = false;
        self.transaction = Some(Transaction::open(sender, parameters));
        self.reply(Reply::new(250, 1, 0, "Ok"))
    }

    fn rcpt(&mut self, recipient: Recipient) -> Result<(), End> {
        let domain = recipient.address.domain().unwrap_or_default();
        let next_hop = self.next_hop.clone().or_else(|| self.config.route(domain));
        let Some(transaction) = &mut self.transaction else {
            return self.out_of_order("RCPT needs MAIL before it");
        };
        if transaction.chunks.is_some() {
            return self.mistake(Reply::new(503, 5, 1, "RCPT behind BDAT"));
        }
        if transaction.accepted.len() >= MAX_RECIPIENTS {
            return self.reply(Reply::new(452, 5, 3, format!("over {MAX_RECIPIENTS} recipients")));
        }
        let Some(next_hop) = next_hop else {
            return self.reply(Reply::new(
                451,
                3,
                5,
                "no next hop for this recipient; a \"*\" in [route] would be one",
            ));
        };
        transaction.accepted.push(Accepted { recipient, next_hop });
        self.held.push(Held::Recipient);
        if self.held.len() >= MAX_HELD { self.settle(self.by_sender()) } else { Ok(()) }
    }

    /// Gives the held replies. Recipients whose reply is the server's, and not a good one, leave the transaction.
    fn settle(&mut self, how: Settle) -> Result<(), End> {
        let held = std::mem::take(&mut self.held);
        if held.is_empty() {
            return Ok(());
        }
        let asked = if how == Settle::Ask { self.ask()? } else { Vec::new() };
        let mut asked = asked.into_iter();
        let mut kept = Vec::new();
        for one in held {
            let reply = match one {
                Held::Ready(reply) => reply,
                Held::Recipient => {
                    let reply = asked.next().unwrap_or_else(|| Reply::new(250, 1, 5, "Ok"));
                    kept.push(reply.is_success());
                    reply
                }
            };
            self.wire.tell(&reply)?;
        }
        if let Some(transaction) = &mut self.transaction {
            let mut kept = kept.into_iter();
            let undecided = transaction.accepted.split_off(transaction.decided);
            transaction.accepted.extend(undecided.into_iter().filter(|_| kept.next().unwrap_or(false)));
            transaction.decided = transaction.accepted.len();
        }
        Ok(())
    }

    /// Asks the server about the undecided recipients: MAIL and RCPT without content.
    fn ask(&mut self) -> Result<Vec<Reply>, End> {
        let Some(transaction) = &self.transaction else { return Ok(Vec::new()) };
        let count = transaction.accepted.len() - transaction.decided;
        let next_hops = transaction.next_hops(transaction.decided);
        let patience = self.patience.room_at_data;
        let rooms = handover::rooms(self.delivery, &mut self.wire, &self.wake, &next_hops, 0, patience)?;
        let Some(rooms) = rooms else { return Ok(vec![no_room(&next_hops); count]) };
        let orders = transaction.orders(transaction.decided, self.queue_id.clone(), None, rooms);
        handover::hand_over(self.delivery, &mut self.wire, &self.wake, orders, count)
    }

    /// How recipients are decided when the end of their group is not known: the sender of Postfix's address probes gets
    /// the server's own answer.
    fn by_sender(&self) -> Settle {
        match &self.transaction {
            Some(transaction) if transaction.may_be_probe() => Settle::Ask,
            _ => Settle::Accept,
        }
    }

    fn refuse(&mut self, refusal: Refusal) -> Result<(), End> {
        match refusal {
            Refusal::Unknown(reply) => self.mistake(reply),
            Refusal::Argument(reply) => self.reply(reply),
            Refusal::Lost(reply) => self.leave(reply),
        }
    }

    /// A command at the wrong place; no fault of its own behind a refused MAIL.
    pub(super) fn out_of_order(&mut self, why: &str) -> Result<(), End> {
        let reply = Reply::new(503, 5, 1, why);
        if self.mail_refused || self.transaction.is_some() { self.reply(reply) } else { self.mistake(reply) }
    }

    pub(super) fn mistake(&mut self, reply: Reply) -> Result<(), End> {
        self.reply(reply)?;
        self.mistakes += 1;
        if self.mistakes < MAX_MISTAKES {
            return Ok(());
        }
        log::warn!("an LMTP client was left after {MAX_MISTAKES} commands that are not LMTP or out of order");
        self.leave(Reply::new(421, 7, 0, "too many mistakes"))
    }

    /// The reply in its turn.
    pub(super) fn reply(&mut self, reply: Reply) -> Result<(), End> {
        if self.held.is_empty() {
            return self.wire.tell(&reply);
        }
        self.held.push(Held::Ready(reply));
        if self.held.len() >= MAX_HELD { self.settle(self.by_sender()) } else { Ok(()) }
    }

    /// The door closes: what is not submitted yet is not begun.
    fn close(&mut self) -> Result<(), End> {
        self.held.clear();
        self.leave(Reply::new(421, 3, 2, "pipelane is being stopped"))
    }

    /// The last reply.
    fn leave(&mut self, reply: Reply) -> Result<(), End> {
        self.settle(Settle::Accept)?;
        self.wire.tell(&reply)?;
        Err(End::Bye)
    }

    pub(super) fn reset(&mut self) {
        self.transaction = None;
        self.mail_refused = false;
        self.queue_id = None;
    }
}

/// The smaller of the server's limit and our own; 0 for none.
pub(super) fn size_limit(config: &Config, offers: &Offers) -> u64 {
    let limits = [offers.size.unwrap_or(0), config.limits.message_size];
    limits.into_iter().filter(|limit| *limit > 0).min().unwrap_or(0)
}
