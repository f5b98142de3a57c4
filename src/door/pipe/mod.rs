//! The pipe door: one message, envelope in arguments and content on a stream, one [`Ending`] for all of it.
//!
//! This is how an MTA hands over by running a command (Postfix pipe(8), Exim's pipe transport, Sendmail mailers). The
//! content is read whole before anything is begun; then it is delivered through an engine in this process ([`deliver`])
//! or through the socket of a resident one ([`deliver_via`]). Both end before their deadline and never wait beyond it.
//!
//! A command's exit status speaks for all recipients alike. With several recipients and several results the ending is
//! temporary and its text says which were delivered: those get the message again. One recipient a command
//! (`<transport>_destination_recipient_limit = 1`) avoids that.

mod ending;
pub mod sysexits;
mod via;

pub use ending::{Ending, MAX_OUTPUT};
pub use via::deliver_via;

use super::lmtp::intake;
use super::{Delivery, Reply};
use crate::config::Config;
use crate::lane::Ticket;
use crate::mail::{Content, ContentBuilder, ContentRules, Message, NextHop};
use std::io::{self, Read};
use std::time::{Duration, Instant};

/// Octets that are read at once.
const PIECE: usize = 64 * 1024;

/// The rules for a content on standard input: those of the next hop, but line ends may be LF, as commands are given
/// them.
pub fn content_rules(config: &Config, next_hop: &NextHop) -> ContentRules {
    let rules = intake::rules(config, std::slice::from_ref(next_hop), config.limits.message_size);
    ContentRules { normalise_newlines: true, ..rules }
}

/// Reads a content to its end; line ends may be LF or CRLF.
pub fn read_content(input: &mut impl Read, rules: ContentRules) -> Result<Content, Ending> {
    let mut builder = ContentBuilder::new(rules);
    let mut piece = vec![0; PIECE];
    loop {
        let refused = |error| Ending::of_reply(&intake::refusal(&error));
        match input.read(&mut piece) {
            Ok(0) => return builder.finish().map_err(refused),
            Ok(octets) => builder.push(&piece[..octets]).map_err(refused)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Ending::temporary(3, 0, format!("cannot read the message: {error}"))),
        }
    }
}

/// Delivers through an engine in this process.
pub fn deliver<D: Delivery>(delivery: &D, message: Message, deadline: Instant) -> Ending {
    let recipients = message.envelope.recipients.clone();
    let left = || deadline.saturating_duration_since(Instant::now());
    let Some(room) = delivery.room(&message.next_hop, message.size(), left()) else {
        return Ending::temporary(3, 1, "pipelane holds as many messages as it may; try again later");
    };
    let (ticket, inbox) = Ticket::issue(recipients.len());
    delivery.submit(message, room, ticket);
    // A ticket always reports; the shortest wait lets one that is settled already be seen at the deadline.
    match inbox.wait(left().max(Duration::from_millis(1))) {
        Some(report) => {
            let replies: Vec<Reply> = (0..recipients.len()).map(|index| Reply::of_report(&report, index)).collect();
            Ending::of_replies(&recipients, &replies)
        }
        None => Ending::out_of_time(),
    }
}
