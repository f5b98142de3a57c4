//! The half of a session that takes content: DATA and BDAT, from the wait for room to the reply for each recipient.

use super::super::{Delivery, Reply};
use super::client::Client;
use super::handover;
use super::intake::{self, Intake};
use super::session::{Session, size_limit};
use super::trace;
use super::transaction::Chunks;
use super::wire::End;
use crate::config::Config;
use crate::mail::NextHop;

impl<D: Delivery, C: Client> Session<'_, D, C> {
    pub(super) fn data(&mut self) -> Result<(), End> {
        let Some(transaction) = &self.transaction else {
            return self.out_of_order("DATA needs MAIL and RCPT before it");
        };
        if transaction.chunks.is_some() {
            return self.mistake(Reply::new(503, 5, 1, "DATA behind BDAT"));
        }
        if transaction.accepted.is_empty() {
            return self.reply(Reply::new(503, 5, 1, "no recipient was accepted"));
        }
        let (mut intake, rooms) = self.open_intake(0)?;
        if let Some(fault) = intake.fault().cloned() {
            return self.reply(fault);
        }
        self.wire.say(b"354 End data with <CR><LF>.<CR><LF>\r\n")?;
        intake::read_data(&mut self.wire, &mut intake, self.patience.content)?;
        self.conclude(intake, rooms)
    }

    pub(super) fn bdat(&mut self, octets: u64, last: bool) -> Result<(), End> {
        let Some((mut intake, rooms)) = self.chunks(octets)? else {
            intake::read_chunk(&mut self.wire, None, octets, self.patience.content)?;
            return self.out_of_order("BDAT needs MAIL and an accepted RCPT before it");
        };
        intake::read_chunk(&mut self.wire, Some(&mut intake), octets, self.patience.content)?;
        if last {
            return self.conclude(intake, rooms);
        }
        let reply = intake.fault().cloned();
        let reply = reply.unwrap_or_else(|| Reply::new(250, 0, 0, format!("{octets} octets received")));
        if let Some(transaction) = &mut self.transaction {
            transaction.chunks = Some((intake, rooms));
        }
        self.reply(reply)
    }

    /// What this transaction's chunks go into; `None` when there is no recipient for them.
    fn chunks(&mut self, octets: u64) -> Result<Option<Chunks<D::Room>>, End> {
        match &mut self.transaction {
            Some(transaction) if transaction.accepted.is_empty() => Ok(None),
            Some(transaction) => match transaction.chunks.take() {
                Some(chunks) => Ok(Some(chunks)),
                None => self.open_intake(octets).map(Some),
            },
            None => Ok(None),
        }
    }

    /// Waits for room for the message; without it, the intake is one that refuses.
    fn open_intake(&mut self, octets: u64) -> Result<Chunks<D::Room>, End> {
        let (Some(transaction), Some(offers)) = (&self.transaction, &self.offers) else {
            return Ok((Intake::refused(Reply::new(503, 5, 1, "no transaction")), Vec::new()));
        };
        let next_hops = transaction.next_hops(0);
        let mut rules = intake::rules(&self.config, &next_hops, size_limit(&self.config, offers));
        // One message must not take all the room there is, however much its client announces.
        let most = holdable(&self.config, &next_hops);
        rules.size_limit = if rules.size_limit == 0 { most } else { rules.size_limit.min(most) };
        // Without SIZE= the content may be anything; what is kept in memory is counted at least.
        let size = transaction.parameters.size.unwrap_or(self.config.limits.content_memory).max(octets);
        if size > most {
            let text = format!("pipelane holds at most {most} octets (max_bytes, [limits] bytes)");
            return Ok((Intake::refused(Reply::new(552, 3, 4, text)), Vec::new()));
        }
        let patience = if self.wire.has_unsent() { self.patience.room } else { self.patience.room_at_data };
        let rooms = handover::rooms(self.delivery, &mut self.wire, &self.wake, &next_hops, size, patience)?;
        Ok(match rooms {
            Some(rooms) => (Intake::new(rules), rooms),
            None => (Intake::refused(no_room(&next_hops)), Vec::new()),
        })
    }

    /// The content is in: submits it and gives each accepted recipient its reply.
    fn conclude(&mut self, intake: Intake, rooms: Vec<D::Room>) -> Result<(), End> {
        let Some(transaction) = self.transaction.take() else { return Ok(()) };
        let recipients = transaction.accepted.len();
        let replies = match intake.finish() {
            Err(reply) => {
                log::info!("{}: not taken: {reply}", self.queue_id.as_deref().unwrap_or("-"));
                vec![reply; recipients]
            }
            Ok(content) => {
                let queue_id = self.queue_id.take().or_else(|| trace::queue_id(&content));
                let orders = transaction.orders(0, queue_id, Some(&content), rooms);
                handover::hand_over(self.delivery, &mut self.wire, &self.wake, orders, recipients)?
            }
        };
        self.reset();
        self.mistakes = 0;
        replies.iter().try_for_each(|reply| self.wire.tell(reply))
    }
}

/// The most octets that may be held for each of these next hops.
fn holdable(config: &Config, next_hops: &[NextHop]) -> u64 {
    let own = next_hops.iter().map(|hop| config.settings(hop).max_bytes);
    own.chain([config.limits.bytes]).min().unwrap_or(u64::MAX)
}

/// The reply when the engine is full.
pub(super) fn no_room(next_hops: &[NextHop]) -> Reply {
    let first = next_hops.first().map(NextHop::as_str).unwrap_or_default();
    Reply::new(452, 3, 1, format!("pipelane holds as many messages for {first} as it may; try again later"))
}
