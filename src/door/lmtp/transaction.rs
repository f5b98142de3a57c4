//! The mail transaction of a session (RFC 5321 3.3): what MAIL and RCPT said, until the content or RSET ends it, and
//! the messages it becomes.

use super::handover::{self, Accepted, Order};
use super::intake::Intake;
use super::parameter::MailParameters;
use crate::mail::{Address, Content, Envelope, Message, NextHop};

/// Content on its way in, and the room that it has.
pub(super) type Chunks<R> = (Intake, Vec<R>);

/// A transaction that MAIL opened.
pub(super) struct Transaction<R> {
    pub sender: Address,
    pub parameters: MailParameters,
    pub accepted: Vec<Accepted>,
    /// Recipients before this one have their reply; the others wait in the session.
    pub decided: usize,
    pub chunks: Option<Chunks<R>>,
}

impl<R> Transaction<R> {
    /// A transaction without recipients.
    pub(super) fn open(sender: Address, parameters: MailParameters) -> Transaction<R> {
        Transaction { sender, parameters, accepted: Vec::new(), decided: 0, chunks: None }
    }

    /// Whether it may come from an address verification of Postfix, whose sender is `double-bounce` unless set
    /// otherwise. Real mail has that sender too, so only the end of the group tells.
    pub(super) fn may_be_probe(&self) -> bool {
        let local = self.sender.as_str().split('@').next().unwrap_or_default();
        local.eq_ignore_ascii_case("double-bounce")
    }

    /// The next hops of the recipients from `first` on, each once.
    pub(super) fn next_hops(&self, first: usize) -> Vec<NextHop> {
        handover::by_next_hop(&self.accepted[first..]).into_iter().map(|(next_hop, _)| next_hop).collect()
    }

    /// One order per next hop for the recipients from `first` on; `rooms` are in the order of
    /// [`Transaction::next_hops`].
    pub(super) fn orders(
        &self,
        first: usize,
        queue_id: Option<String>,
        content: Option<&Content>,
        rooms: Vec<R>,
    ) -> Vec<Order<R>> {
        let accepted = &self.accepted[first..];
        let groups = handover::by_next_hop(accepted).into_iter().zip(rooms);
        let order = |((next_hop, members), room): ((NextHop, Vec<usize>), R)| {
            let envelope = Envelope {
                sender: self.sender.clone(),
                ret: self.parameters.ret,
                envelope_id: self.parameters.envelope_id.clone(),
                body: self.parameters.body,
                smtputf8: self.parameters.smtputf8,
                priority: self.parameters.priority,
                recipients: members.iter().map(|&index| accepted[index].recipient.clone()).collect(),
            };
            let message =
                Message { queue_id: queue_id.clone(), next_hop, envelope: envelope.into(), content: content.cloned() };
            Order { message, room, members }
        };
        groups.map(order).collect()
    }
}
