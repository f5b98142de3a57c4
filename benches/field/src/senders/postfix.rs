//! Postfix's smtp(8), in a private instance of its own.
//!
//! The mail is in its queue before it may leave. Times come from its log: a queue id tells when the message arrived, to
//! the microsecond, and `delays=` how long it was in the queue, in connecting and on the wire.

use super::{CPU, PATIENCE, times};
use crate::mail::Mail;
use crate::postfix::{DOMAIN, Postfix, Setup};
use crate::sample::Sample;
use crate::work::Work;
use crate::world::World;
use crate::{machine, place};
use std::fs;

/// smtp(8) as Postfix sets it up: at most 50 recipients in a transaction, and 20 connections.
pub const DEFAULTS: &str = "smtp_destination_recipient_limit=50";

/// When a recipient's message was on the wire, in seconds of the day's clock.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// The message came into the queue.
    pub arrived: f64,
    /// The client took it up.
    pub taken: f64,
    /// The connection was ready.
    pub begun: f64,
    /// The last reply.
    pub ended: f64,
}

/// An instance at the near end that holds what it gets.
pub fn start(world: &World, transport: &str, main: &str) -> Postfix {
    let precise = "delay_logging_resolution_limit=6\nin_flow_delay=0";
    // What it had to defer, as connections were lost, is tried again soon.
    let soon = "minimal_backoff_time=10s\nmaximal_backoff_time=10s\nqueue_run_delay=10s";
    let setup = Setup::sending(transport).on_hold().main(precise).main(soon).main(main);
    Postfix::start(world.near_setup(setup))
}

/// Puts it into the queue.
pub fn fill(world: &World, sender: &Postfix, mails: &[Mail]) {
    let queued = sender.queued();
    world.near(|| sender.submit(mails));
    sender.wait_queued(queued + mails.len());
}

/// Waits until so many recipients are delivered.
pub fn spans(sender: &Postfix, count: usize) -> Result<Vec<Span>, String> {
    let log = sender.folder().join("maillog");
    let mut spans = Vec::new();
    place::wait(
        "deliveries",
        PATIENCE,
        || sender.trouble(),
        || {
            spans = fs::read_to_string(&log).unwrap_or_default().lines().filter_map(span).collect();
            (spans.len() >= count).then_some(())
        },
    );
    Ok(spans)
}

/// Delivers all of it.
pub fn run(world: &World, work: Work, main: &str) -> Result<Sample, String> {
    through(world, work, &format!("smtp:{}", world.server.next_hop()), main)
}

/// Delivers all of it by this transport.
pub fn through(world: &World, work: Work, transport: &str, main: &str) -> Result<Sample, String> {
    let sender = start(world, transport, main);
    fill(world, &sender, &work.mails("m"));
    sender.unhold();
    let spans = spans(&sender, work.messages * work.recipients)?;
    let used = machine::cpu_of_children(sender.master().unwrap_or_default(), &["smtp", "lmtp", "qmgr", "scache"]);
    let (cold, warm) = whole(&spans);
    Ok(times(world, warm, cold).and(CPU, "s", used))
}

/// From the first message taken up, and from the first octet, to the last reply.
pub fn whole(spans: &[Span]) -> (f64, f64) {
    let ended = spans.iter().map(|span| span.ended).fold(f64::MIN, f64::max);
    let least = |of: fn(&Span) -> f64| spans.iter().map(of).fold(f64::MAX, f64::min);
    (ended - least(|span| span.taken), ended - least(|span| span.begun))
}

/// A line of the log that says that a recipient got its message.
fn span(line: &str) -> Option<Span> {
    let (head, facts) = line.split_once(&format!("@{DOMAIN}>, "))?;
    let id = head.split_once("]: ")?.1.split(':').next()?;
    facts.contains("status=sent").then_some(())?;
    let fact = |name: &str| facts.split(", ").find_map(|fact| fact.strip_prefix(name));
    let delays = fact("delays=")?.split('/').map(str::parse).collect::<Result<Vec<f64>, _>>().ok()?;
    let [before, queue, connecting, wire] = delays[..] else { return None };
    let arrived = arrival(id)?;
    let taken = arrived + before + queue;
    Some(Span { arrived, taken, begun: taken + connecting, ended: taken + connecting + wire })
}

/// The time in a long queue id: seconds in base 52, but for the last four, which are microseconds.
fn arrival(id: &str) -> Option<f64> {
    const DIGITS: &[u8] = b"0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz";
    // The seconds have six digits until the year 2597.
    let number = |text: &str| {
        text.bytes().try_fold(0_u64, |sum, one| Some(sum * 52 + DIGITS.iter().position(|digit| *digit == one)? as u64))
    };
    Some(number(id.get(..6)?)? as f64 + number(id.get(6..10)?)? as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_is_read_to_the_microsecond() {
        let line = "Nov 25 12:00:00 near postfix/smtp[7]: 4Zz0b10000z9zz: to=<r@example.test>, relay=198.18.0.2[198.18.0.2]:25, \
                    delay=4, delays=1/0.5/0.9/1.6, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 4Zz)";
        let read = span(line).expect("a delivery");
        let near = |a: f64, b: f64| (a - b).abs() < 1e-6;
        assert!(near(read.begun - read.taken, 0.9) && near(read.ended - read.begun, 1.6), "{read:?}");
        assert!(span(&line.replace("sent", "deferred")).is_none());
    }

    #[test]
    fn a_queue_id_tells_when_the_message_came() {
        // 52 seconds and 53 microseconds after the beginning.
        assert_eq!(arrival("0000100011z9zz"), Some(52.000053));
    }
}
