//! pipelane's engine, in this process.

use super::{CPU, PATIENCE, times};
use crate::machine;
use crate::mail::Mail;
use crate::sample::Sample;
use crate::work::Work;
use crate::world::World;
use nix::sys::resource::UsageWho;
use pipelane::config::keys::set_next_hop;
use pipelane::config::{Config, NextHopSettings};
use pipelane::engine::Engine;
use pipelane::lane::{Inbox, Ticket};
use pipelane::mail::{Address, Content, Envelope, Message, NextHop, Report};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Settings by their names in the configuration.
pub type Options = &'static [(&'static str, &'static str)];

/// An engine with these settings. Limits on what it holds are for servers, not for a measurement.
pub fn engine(options: Options) -> Result<Arc<Engine>, String> {
    let mut settings = NextHopSettings { max_messages: u64::MAX, max_bytes: u64::MAX, ..NextHopSettings::default() };
    for (key, value) in options {
        set_next_hop(&mut settings, key, value).map_err(|error| format!("{key}: {error:?}"))?;
    }
    let mut config = Config { defaults: Arc::new(settings), ..Config::default() };
    (config.limits.messages, config.limits.bytes) = (u64::MAX, u64::MAX);
    Ok(Engine::new(Arc::new(config)))
}

/// As a door would make it.
pub fn message(hop: &NextHop, mail: &Mail) -> Message {
    let address = |text: &String| Address::parse(text).expect("an address");
    Message {
        queue_id: Some(mail.id.clone()),
        next_hop: hop.clone(),
        envelope: Envelope::new(address(&mail.sender), mail.recipients.iter().map(address).collect()).into(),
        content: Some(Content::from_bytes(&mail.content).expect("content")),
    }
}

/// A message under way.
#[derive(Debug)]
pub struct Submitted {
    at: Instant,
    inbox: Inbox,
}

/// When it was on the wire: from the first octet to the last reply.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// It was handed over.
    pub submitted: Instant,
    /// The first octet.
    pub begun: Instant,
    /// The last reply.
    pub ended: Instant,
}

/// Hands it over.
pub fn submit(engine: &Engine, message: Message) -> Result<Submitted, String> {
    let room = engine.room(&message.next_hop, message.size(), Duration::ZERO).ok_or("no room")?;
    let (ticket, inbox) = Ticket::issue(message.envelope.recipients.len());
    let at = Instant::now();
    engine.submit(message, room, ticket);
    Ok(Submitted { at, inbox })
}

impl Submitted {
    /// Waits for its report, in which every recipient must be delivered.
    pub fn wait(self) -> Result<Span, String> {
        let report: Report = self.inbox.wait(PATIENCE).ok_or("no report in time")?;
        if let Some(bad) = report.outcomes.iter().find(|outcome| !outcome.is_delivered()) {
            return Err(format!("not delivered: {bad:?}"));
        }
        let begun = self.at + report.timings.queued;
        Ok(Span { submitted: self.at, begun, ended: begun + report.timings.delivery })
    }
}

/// Delivers all of it.
pub fn run(world: &World, work: Work, options: Options) -> Result<Sample, String> {
    let hop: NextHop = world.server.next_hop().parse().map_err(|error| format!("{error:?}"))?;
    let messages: Vec<Message> = work.mails("m").iter().map(|mail| message(&hop, mail)).collect();
    let before = machine::cpu(UsageWho::RUSAGE_SELF);
    let spans = world.near(|| -> Result<Vec<Span>, String> {
        let engine = engine(options)?;
        let submitted = messages.into_iter().map(|one| submit(&engine, one)).collect::<Result<Vec<_>, _>>()?;
        let spans = submitted.into_iter().map(Submitted::wait).collect();
        engine.drain();
        spans
    })?;
    let used = machine::cpu(UsageWho::RUSAGE_SELF) - before;
    let (cold, warm) = whole(&spans);
    Ok(times(world, warm, cold).and(CPU, "s", used))
}

/// From the first submission, and from the first octet, to the last reply, in seconds.
pub fn whole(spans: &[Span]) -> (f64, f64) {
    let ended = spans.iter().map(|span| span.ended).max().expect("a message");
    let submitted = spans.iter().map(|span| span.submitted).min().expect("a message");
    let begun = spans.iter().map(|span| span.begun).min().expect("a message");
    ((ended - submitted).as_secs_f64(), (ended - begun).as_secs_f64())
}
