//! Measured deliveries to a [`crate::sink`] in the same process: what the demonstration, the benchmark and the tests
//! run.
//!
//! A trial makes a sink at a chosen distance, an engine with chosen settings, and messages; it submits them all, waits
//! for every report, and says how long that took, in seconds and in round trips. Nothing is estimated here.

use crate::config::{Config, NextHopSettings};
use crate::engine::Engine;
use crate::lane::{Inbox, Ticket};
use crate::mail::{Address, AddressError, Content, ContentError, Envelope, Message, Report, Verdict};
use crate::sink::{Sink, SinkOptions, Totals};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use thiserror::Error;

/// The longest that a message of a trial may take.
const PATIENCE: Duration = Duration::from_secs(1800);

/// What is to be tried.
#[derive(Debug, Clone)]
pub struct Trial {
    /// The server.
    pub sink: SinkOptions,
    /// How to deliver to it.
    pub settings: NextHopSettings,
    /// How many messages, submitted at once.
    pub messages: usize,
    /// Recipients of each.
    pub recipients: usize,
    /// Octets of each, about.
    pub size: usize,
}

/// What came of it.
#[derive(Debug)]
pub struct Measured {
    /// From the first submission to the last report, with connecting and EHLO.
    pub elapsed: Duration,
    /// From the first octet of a message on the wire to the last report.
    pub delivery: Duration,
    /// One report per message, in the order of submission.
    pub reports: Vec<Report>,
    /// What the server counted.
    pub totals: Totals,
}

/// Why a trial could not be run.
#[derive(Debug, Error)]
pub enum TrialError {
    /// No socket, no thread, no memory.
    #[error("cannot start the trial: {0}")]
    System(#[from] io::Error),
    /// The messages to send cannot be made.
    #[error("cannot make the messages: {0}")]
    Address(#[from] AddressError),
    /// The messages to send cannot be made.
    #[error("cannot make the messages: {0}")]
    Content(#[from] ContentError),
    /// A limit is too small for what is to be sent.
    #[error("the settings leave no room for so many messages")]
    NoRoom,
    /// A message was not reported on.
    #[error("a message was not reported on within {} minutes", PATIENCE.as_secs() / 60)]
    Silent,
}

impl Trial {
    /// Runs it; `progress` is told the number of recipients answered by the server, now and then.
    pub fn run(&self, progress: &dyn Fn(u64)) -> Result<Measured, TrialError> {
        let sink = Sink::start(self.sink.clone())?;
        let settings = NextHopSettings { max_messages: u64::MAX, ..self.settings.clone() };
        let mut config = Config { defaults: Arc::new(settings), ..Config::default() };
        config.limits.messages = u64::MAX;
        let engine = Engine::new(Arc::new(config));
        let messages = self.messages(&sink)?;
        let started = Instant::now();
        let mut inboxes = Vec::new();
        for message in messages {
            inboxes.push(submit(&engine, message)?);
        }
        let counters = sink.counters();
        let tell = || {
            let totals = counters.totals();
            progress(totals.recipients_accepted + totals.recipients_refused);
        };
        let reports = inboxes.iter().map(|inbox| wait(inbox, &tell)).collect::<Result<Vec<_>, _>>()?;
        let elapsed = started.elapsed();
        let queued = reports.iter().map(|report| report.timings.queued).min().unwrap_or_default();
        tell();
        engine.drain();
        Ok(Measured { elapsed, delivery: elapsed.saturating_sub(queued), reports, totals: sink.totals() })
    }

    fn messages(&self, sink: &Sink) -> Result<Vec<Message>, TrialError> {
        let next_hop = format!("[127.0.0.1]:{}", sink.address().port());
        let line = b"The quick brown fox jumps over the lazy dog, and does so again.\r\n";
        let content = Content::from_bytes(&line.repeat(self.size.div_ceil(line.len())))?;
        let sender = Address::parse("list@trial.invalid")?;
        let one = |message: usize| -> Result<Message, TrialError> {
            let recipient = |n: usize| Address::parse(&format!("subscriber{n}@trial.invalid"));
            let recipients = (0..self.recipients).map(recipient).collect::<Result<Vec<_>, _>>()?;
            let envelope = Envelope::new(sender.clone(), recipients);
            let next_hop = next_hop.parse().map_err(io::Error::other)?;
            Ok(Message {
                queue_id: Some(format!("trial{message}")),
                next_hop,
                envelope: envelope.into(),
                content: Some(content.clone()),
            })
        };
        (0..self.messages).map(one).collect()
    }
}

fn submit(engine: &Engine, message: Message) -> Result<Inbox, TrialError> {
    let room = engine.room(&message.next_hop, message.size(), Duration::ZERO).ok_or(TrialError::NoRoom)?;
    let (ticket, inbox) = Ticket::issue(message.envelope.recipients.len());
    engine.submit(message, room, ticket);
    Ok(inbox)
}

fn wait(inbox: &Inbox, tell: &dyn Fn()) -> Result<Report, TrialError> {
    const TICK: Duration = Duration::from_millis(50);
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(report) = inbox.wait(TICK) {
            return Ok(report);
        }
        tell();
    }
    Err(TrialError::Silent)
}

impl Measured {
    /// Recipients with this verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.reports.iter().flat_map(|report| &report.outcomes).filter(|o| o.verdict == verdict).count()
    }

    /// The time as a multiple of the round trip.
    pub fn round_trips(&self, round_trip: Duration) -> f64 {
        self.elapsed.as_secs_f64() / round_trip.as_secs_f64()
    }
}
