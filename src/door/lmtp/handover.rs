//! A message from a session to the engine and its results back.
//!
//! The accepted recipients of one transaction are grouped by next hop, one [`Message`] each with the same content; the
//! replies come back in the order of the recipients, exactly one each. While the engine works the client is watched:
//! when it goes away, the inboxes are dropped, which cancels what is not past the point of no return.

use super::super::{Delivery, Reply};
use super::client::Client;
use super::wire::{End, Wire};
use crate::lane::{Inbox, Ticket};
use crate::mail::{Message, NextHop, Recipient, Report, Verdict};
use crate::net::Wake;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long the engine is asked for room before the client is looked at again.
const SLICE: Duration = Duration::from_millis(200);

/// A recipient that the door took, and where it goes.
#[derive(Debug, Clone)]
pub(super) struct Accepted {
    pub recipient: Recipient,
    pub next_hop: NextHop,
}

/// A message to be submitted, and which recipients of the transaction its own are.
pub(super) struct Order<R> {
    pub message: Message,
    pub room: R,
    pub members: Vec<usize>,
}

/// An order that was submitted.
struct Waiting {
    inbox: Inbox,
    log_id: String,
    next_hop: NextHop,
    size: u64,
    members: Vec<usize>,
    report: Option<Report>,
}

/// The next hops of these recipients in order of first appearance, each with the recipients' positions.
pub(super) fn by_next_hop(accepted: &[Accepted]) -> Vec<(NextHop, Vec<usize>)> {
    let mut groups: Vec<(NextHop, Vec<usize>)> = Vec::new();
    let mut places: HashMap<&NextHop, usize> = HashMap::new();
    for (index, one) in accepted.iter().enumerate() {
        let place = *places.entry(&one.next_hop).or_insert_with(|| {
            groups.push((one.next_hop.clone(), Vec::new()));
            groups.len() - 1
        });
        groups[place].1.push(index);
    }
    groups
}

/// Room for a message to each of these next hops, or `None` when the time ran out or the door closes. The client is
/// watched meanwhile; replies that were not sent stay unsent, so that its timer for the first of them runs and not the
/// shorter one for DATA.
pub(super) fn rooms<D: Delivery, C: Client>(
    delivery: &D,
    wire: &mut Wire<C>,
    wake: &Wake,
    next_hops: &[NextHop],
    size: u64,
    patience: Duration,
) -> Result<Option<Vec<D::Room>>, End> {
    let deadline = Instant::now() + patience;
    let mut rooms = Vec::with_capacity(next_hops.len());
    wake.clear();
    while let Some(next_hop) = next_hops.get(rooms.len()) {
        let left = deadline.saturating_duration_since(Instant::now());
        match delivery.room(next_hop, size, left.min(SLICE)) {
            Some(room) => rooms.push(room),
            None if left.is_zero() || wire.is_stopping() => return Ok(None),
            None => wire.watch(wake, Some(Duration::ZERO))?,
        }
    }
    Ok(Some(rooms))
}

/// Submits the orders, waits for all reports, and gives each of the `recipients` its reply.
pub(super) fn hand_over<D: Delivery, C: Client>(
    delivery: &D,
    wire: &mut Wire<C>,
    wake: &Wake,
    orders: Vec<Order<D::Room>>,
    recipients: usize,
) -> Result<Vec<Reply>, End> {
    wire.flush()?;
    let mut waiting: Vec<Waiting> = orders.into_iter().map(|order| submit(delivery, wake, order)).collect();
    loop {
        // Cleared before looking: a report that comes in between signals again.
        wake.clear();
        for one in waiting.iter_mut().filter(|one| one.report.is_none()) {
            one.report = one.inbox.take();
        }
        if waiting.iter().all(|one| one.report.is_some()) {
            break;
        }
        wire.watch(wake, None).inspect_err(|_| log_cancelled(&waiting))?;
    }
    let mut replies = vec![Reply::new(451, 3, 0, "pipelane lost the result of this recipient"); recipients];
    for one in &waiting {
        let Some(report) = &one.report else { continue };
        log_done(one, report);
        for (place, &index) in one.members.iter().enumerate() {
            replies[index] = Reply::of_report(report, place);
        }
    }
    Ok(replies)
}

fn submit<D: Delivery>(delivery: &D, wake: &Wake, order: Order<D::Room>) -> Waiting {
    let Order { message, room, members } = order;
    let (ticket, inbox) = Ticket::issue_with(members.len(), Some(wake.clone()));
    let log_id = message.log_id().to_owned();
    let (next_hop, size) = (message.next_hop.clone(), message.size());
    delivery.submit(message, room, ticket);
    Waiting { inbox, log_id, next_hop, size, members, report: None }
}

fn log_cancelled(waiting: &[Waiting]) {
    for one in waiting.iter().filter(|one| one.report.is_none()) {
        log::info!("{}: to {}: the client went away before the result; given up", one.log_id, one.next_hop);
    }
}

fn log_done(one: &Waiting, report: &Report) {
    let count = |verdict| report.outcomes.iter().filter(|outcome| outcome.verdict == verdict).count();
    log::debug!(
        "{}: to {}: {} octets; {} delivered, {} deferred, {} failed, {} in doubt; queued {:.3} s, delivery {:.3} s",
        one.log_id,
        one.next_hop,
        one.size,
        count(Verdict::Delivered),
        count(Verdict::Deferred),
        count(Verdict::Failed),
        count(Verdict::InDoubt),
        report.timings.queued.as_secs_f64(),
        report.timings.delivery.as_secs_f64(),
    );
}
