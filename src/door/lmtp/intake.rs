//! Content on its way in: from DATA (RFC 5321 4.1.1.4) or BDAT (RFC 3030) into a [`Content`].
//!
//! Promises: all of the client's content is read, also when it is refused, so that no octet of it is ever taken for a
//! command; what is refused is told as one [`Reply`] for every recipient: full disk 452, over the size 552, against the
//! rules 554.

use super::super::Reply;
use super::client::Client;
use super::wire::{End, Filled, Wire};
use crate::config::Config;
use crate::mail::{Content, ContentBuilder, ContentError, ContentRules, NextHop};
use crate::smtp::stuffing::Unstuffer;
use std::time::Duration;

/// Content that is being received, or why it will not be taken.
#[derive(Debug)]
pub(super) struct Intake(Result<ContentBuilder, Reply>);

impl Intake {
    /// Nothing received yet.
    pub(super) fn new(rules: ContentRules) -> Intake {
        Intake(Ok(ContentBuilder::new(rules)))
    }

    /// Content that is only thrown away.
    pub(super) fn refused(reply: Reply) -> Intake {
        Intake(Err(reply))
    }

    /// Why the content is refused, as far as it is known.
    pub(super) fn fault(&self) -> Option<&Reply> {
        self.0.as_ref().err()
    }

    /// The end of the content.
    pub(super) fn finish(self) -> Result<Content, Reply> {
        self.0?.finish().map_err(|error| refusal(&error))
    }

    fn push(&mut self, piece: &[u8]) {
        if let Ok(builder) = &mut self.0
            && let Err(error) = builder.push(piece)
        {
            self.0 = Err(refusal(&error));
        }
    }
}

/// The rules for a content that goes to all of these next hops: the strictest of each.
pub(in crate::door) fn rules(config: &Config, next_hops: &[NextHop], size_limit: u64) -> ContentRules {
    let settings: Vec<_> = next_hops.iter().map(|hop| config.settings(hop)).collect();
    ContentRules {
        normalise_newlines: settings.iter().all(|s| s.normalise_newlines),
        refuse_long_lines: settings.iter().any(|s| s.refuse_long_lines),
        memory_limit: config.limits.content_memory,
        size_limit,
        directory: config.limits.content_directory.clone(),
    }
}

/// Why a content cannot be taken, as a reply.
pub(in crate::door) fn refusal(error: &ContentError) -> Reply {
    match error {
        ContentError::Refused { .. } => Reply::new(554, 6, 0, error.to_string()),
        ContentError::TooLarge(_) => Reply::new(552, 3, 4, error.to_string()),
        ContentError::Storage { .. } => Reply::new(452, 3, 1, error.to_string()),
    }
}

/// Reads up to and with the final dot line.
pub(super) fn read_data<C: Client>(wire: &mut Wire<C>, intake: &mut Intake, patience: Duration) -> Result<(), End> {
    let mut unstuffer = Unstuffer::default();
    let mut piece = Vec::new();
    loop {
        await_content(wire, patience)?;
        piece.clear();
        let (used, ended) = unstuffer.push(wire.buffered(), &mut piece);
        wire.consume(used);
        intake.push(&piece);
        if ended {
            return Ok(());
        }
    }
}

/// Reads a chunk, to the octet; `None` throws it away.
pub(super) fn read_chunk<C: Client>(
    wire: &mut Wire<C>,
    mut intake: Option<&mut Intake>,
    mut octets: u64,
    patience: Duration,
) -> Result<(), End> {
    while octets > 0 {
        await_content(wire, patience)?;
        let buffered = wire.buffered();
        let piece = &buffered[..usize::try_from(octets).map_or(buffered.len(), |o| o.min(buffered.len()))];
        if let Some(intake) = &mut intake {
            intake.push(piece);
        }
        let used = piece.len();
        wire.consume(used);
        octets -= used as u64;
    }
    Ok(())
}

/// Waits until there is content to read; a client that sends none is told so and left.
fn await_content<C: Client>(wire: &mut Wire<C>, patience: Duration) -> Result<(), End> {
    if !wire.buffered().is_empty() {
        return Ok(());
    }
    let reply = match wire.fill(patience)? {
        Filled::More => return Ok(()),
        Filled::Stopping => Reply::new(421, 3, 2, "pipelane is being stopped; nothing of this message was sent"),
        Filled::TimedOut => Reply::new(421, 4, 2, "the content did not come in time"),
    };
    wire.tell(&reply)?;
    Err(End::Bye)
}
