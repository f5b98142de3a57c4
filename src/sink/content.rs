//! DATA (RFC 5321 4.1.1.4) and BDAT (RFC 3030): how a content comes in, and the moment at which it becomes a message.

use super::End;
use super::answers::Reply;
use super::counters::{Counters, Level};
use super::envelope::Transaction;
use super::inspection::Inspection;
use super::personality::{BdatHabit, BehindDot, Closing};
use super::script::Wish;
use super::session::Session;
use super::storage::{By, Draft, Received, Storage};
use crate::smtp::stuffing::Unstuffer;
use std::io;
use std::time::Instant;

/// A content that is being received.
#[derive(Debug)]
pub(super) struct Incoming {
    draft: Result<Draft, Reply>,
    inspection: Inspection,
    octets: u64,
    unstuffed_dots: u64,
}

impl Incoming {
    fn new(storage: &Storage) -> Incoming {
        let draft = storage.begin().map_err(|error| no_room(&error));
        Incoming { draft, inspection: Inspection::default(), octets: 0, unstuffed_dots: 0 }
    }

    fn push(&mut self, bytes: &[u8], max_size: u64) {
        self.octets += bytes.len() as u64;
        self.inspection.push(bytes);
        let Ok(draft) = &mut self.draft else { return };
        if self.octets > max_size {
            self.draft = Err(Reply::new(552, "5.3.4", "Message too large"));
        } else if let Err(error) = draft.push(bytes) {
            self.draft = Err(no_room(&error));
        }
    }
}

fn no_room(error: &io::Error) -> Reply {
    log::error!("sink: the content cannot be stored: {error}");
    Reply::new(452, "4.3.1", "No room for the message")
}

impl Session<'_> {
    pub(super) fn data(&mut self) -> Result<(), End> {
        if let Some(reply) = self.content_refusal("DATA") {
            self.failed = true;
            self.answer(reply)?;
            self.must_wait("DATA");
            return Ok(());
        }
        self.say(&Reply::new(354, "", "End with a dot"), None);
        self.must_wait("DATA");
        self.receiving = true;
        let mut incoming = Incoming::new(&self.shared.storage);
        let (mut unstuffer, mut plain, mut ended) = (Unstuffer::default(), Vec::new(), false);
        while !ended {
            if self.input.buffered().is_empty() {
                self.more()?;
            }
            plain.clear();
            let octets;
            (octets, ended) = unstuffer.push(self.input.buffered(), &mut plain);
            self.input.consume(octets);
            incoming.push(&plain, self.shared.options.max_size);
        }
        incoming.unstuffed_dots = unstuffer.unstuffed_dots();
        self.alone()?;
        self.finish(incoming, By::Data)?;
        self.behind_dot();
        self.must_wait_without_pipelining("the dot");
        Ok(())
    }

    pub(super) fn bdat(&mut self, octets: u64, last: bool) -> Result<(), End> {
        if !self.offered().chunking {
            self.mistake("BDAT was not offered");
            return self.refuse_unconsumed(octets, Reply::new(500, "5.5.1", "No such command"));
        }
        match (self.shared.behaviour.bdat, self.content_refusal("BDAT")) {
            (BdatHabit::Unknown, _) => self.refuse_unconsumed(octets, Reply::new(500, "5.5.1", "No such command")),
            (BdatHabit::RunsRefused, Some(_)) => {
                self.refuse_unconsumed(octets, Reply::new(502, "5.5.1", "Missing RCPT TO command"))
            }
            (BdatHabit::Honest, Some(reply)) => self.refuse_chunk(octets, last, reply),
            (_, None) => self.chunk(octets, last),
        }
    }

    /// A chunk of an accepted transaction.
    fn chunk(&mut self, octets: u64, last: bool) -> Result<(), End> {
        self.receiving = true;
        self.transaction.chunks += 1;
        let mut incoming = self.transaction.content.take().unwrap_or_else(|| Incoming::new(&self.shared.storage));
        self.consume(octets, Some(&mut incoming))?;
        if last {
            let chunks = self.transaction.chunks;
            return self.finish(incoming, By::Bdat { chunks });
        }
        match &incoming.draft {
            Ok(_) => {
                self.transaction.content = Some(incoming);
                self.answer(Reply::new(250, "2.0.0", &format!("{octets} octets received")))
            }
            Err(reply) => {
                let reply = reply.clone();
                self.receiving = false;
                self.give_up_chunks();
                self.answer(reply)
            }
        }
    }

    /// A chunk that is refused and consumed. The last one ends the transaction, as in Postfix.
    fn refuse_chunk(&mut self, octets: u64, last: bool, reply: Reply) -> Result<(), End> {
        self.give_up_chunks();
        self.consume(octets, None)?;
        if last {
            self.transaction = Transaction::default();
        }
        self.answer(reply)
    }

    /// A chunk that is refused and then taken for commands.
    fn refuse_unconsumed(&mut self, octets: u64, reply: Reply) -> Result<(), End> {
        Counters::one(&self.shared.counters.refused_chunks);
        self.failed = true;
        self.stray_until = self.input.position().saturating_add(octets);
        self.answer(reply)
    }

    fn give_up_chunks(&mut self) {
        Counters::one(&self.shared.counters.refused_chunks);
        self.transaction.chunk_failed = true;
        self.failed = true;
    }

    /// Takes the octets of a chunk.
    fn consume(&mut self, mut octets: u64, mut incoming: Option<&mut Incoming>) -> Result<(), End> {
        while octets > 0 {
            if self.input.buffered().is_empty() {
                self.more()?;
            }
            let buffered = self.input.buffered();
            let here = usize::try_from(octets).unwrap_or(usize::MAX).min(buffered.len());
            if let Some(incoming) = &mut incoming {
                incoming.push(&buffered[..here], self.shared.options.max_size);
            }
            self.input.consume(here);
            octets -= here as u64;
        }
        Ok(())
    }

    /// Why there can be no content now.
    fn content_refusal(&mut self, verb: &str) -> Option<Reply> {
        let transaction = &self.transaction;
        let (reply, mistake) = if verb == "DATA" && transaction.chunks > 0 {
            (Reply::new(503, "5.5.1", "DATA behind BDAT"), true)
        } else if transaction.chunk_failed {
            (Reply::new(503, "5.5.1", "An earlier chunk was refused"), false)
        } else if transaction.sender.is_none() {
            // BDAT outside a transaction is how a careful client finds out what becomes of a refused chunk.
            (Reply::new(503, "5.5.1", "MAIL first"), !transaction.mail_seen && verb == "DATA")
        } else if transaction.recipients.is_empty() {
            let code = self.shared.behaviour.no_recipients;
            (Reply::new(code, "5.5.1", "No valid recipients"), !transaction.rcpt_seen)
        } else {
            return None;
        };
        if mistake {
            self.mistake(&format!("{verb} out of order: {}", reply.text));
        }
        Some(reply)
    }

    /// The content is whole: stores the message, or not, and answers.
    fn finish(&mut self, incoming: Incoming, by: By) -> Result<(), End> {
        let in_flight = self.shared.counters.rise(Level::InFlight);
        self.receiving = false;
        let transaction = std::mem::take(&mut self.transaction);
        let eight_bit = transaction.sender.as_ref().is_some_and(|sender| sender.parameters.eight_bit);
        for mistake in incoming.inspection.mistakes(eight_bit, incoming.unstuffed_dots) {
            self.mistake(mistake);
        }
        let wish = transaction.content_wish.unwrap_or(Wish::Accept);
        let stored = match wish {
            Wish::RefuseContent(code) => Err(Some(Reply::wished(code))),
            Wish::DropContent => Err(None),
            _ => self.store(transaction, incoming, by).map_err(Some),
        };
        let reply = match stored {
            Ok(()) => {
                self.accepted();
                Reply::new(250, "2.0.0", &format!("Stored as number {} of this connection", self.messages))
            }
            Err(refusal) => {
                Counters::one(&self.shared.counters.contents_refused);
                self.failed = true;
                let Some(reply) = refusal else { return Err(End::Close(Closing::Drain)) };
                reply
            }
        };
        if wish == Wish::EatContent || (by == By::Data && self.too_much_behind_dot()) {
            return Err(End::Close(Closing::Drain));
        }
        self.answer_message(reply, Some(in_flight))
    }

    /// Makes a message of it. It is counted exactly when it is kept.
    fn store(&mut self, transaction: Transaction, incoming: Incoming, by: By) -> Result<(), Reply> {
        let draft = incoming.draft?;
        let sender = transaction.sender.expect("a content is only taken behind an accepted MAIL");
        let (deliveries, size) = (transaction.recipients.len() as u64, incoming.octets);
        let received = Received {
            sender: sender.address,
            parameters: sender.words,
            priority: sender.parameters.priority,
            recipients: transaction.recipients,
            content: Vec::new(),
            size,
            connection: self.number,
            transaction: self.transactions,
            by,
            at: Instant::now(),
        };
        self.shared.storage.keep(draft, received).map_err(|error| no_room(&error))?;
        let counters = &self.shared.counters;
        Counters::many(&counters.deliveries, deliveries);
        Counters::many(&counters.content_octets, size);
        Counters::one(&counters.messages);
        Ok(())
    }

    fn too_much_behind_dot(&self) -> bool {
        matches!(self.shared.behaviour.behind_dot, BehindDot::Refuse { at_most } if self.input.buffered().len() > at_most)
    }

    /// What the personality does with input that came together with the dot.
    fn behind_dot(&mut self) {
        let octets = self.input.buffered().len();
        match self.shared.behaviour.behind_dot {
            BehindDot::Run => {}
            BehindDot::Refuse { .. } => self.refuse_until = self.input.position() + octets as u64,
            BehindDot::Lose => {
                self.input.consume(octets);
                self.blind |= octets > 0;
            }
        }
    }
}
