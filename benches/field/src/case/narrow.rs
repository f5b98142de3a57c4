//! A line of 64 kbit/s and 600 ms: how much of it is used.

use super::long::STREAM;
use super::{Case, Entry, entry};
use crate::postfix::Setup;
use crate::sample::Sample;
use crate::senders::{COLD, WARM, esmtp, exim, lettre, pipelane, postfix};
use crate::work::Work;
use crate::world::{Distance, World};

const RATE: u64 = 64_000;
/// About four seconds of the line, as such lines have.
const QUEUE: u64 = 30_000;

/// The case.
pub fn case() -> Case {
    Case {
        name: "narrow",
        title: "1 kB messages on 64 kbit/s, round trip 600 ms",
        notes: "Use of the line: the octets that it has to carry (content, commands, TCP and IP headers; what TCP sends twice is not \
            counted) against what it could carry from the first MAIL to the last reply. Connecting and closing are in the \
            octets of the others too, but hardly count. `content` is the share of the content alone: commands and \
            headers are the rest.",
        more_is_better: true,
        side_by_side: true,
        axis: None,
        entries,
    }
}

fn entries() -> Vec<Entry> {
    let entry =
        |who, how, count, run: fn(&World, Work) -> Result<Sample, String>| entry(who, how, move || used(count, run));
    const ONE: &str = "smtp_destination_concurrency_limit=1\nsmtp_initial_destination_concurrency=1";
    vec![
        entry("pipelane", "trust = \"stream\", window_messages = 256, 1 connection", 300, |world, work| {
            pipelane::run(world, work, STREAM)
        }),
        entry("pipelane", "learned trust, 1 connection", 300, |world, work| {
            pipelane::run(world, work, &[("lanes", "1")])
        }),
        entry("Postfix", "1 connection", 30, |world, work| postfix::run(world, work, ONE)),
        entry("Postfix", "defaults: 20 connections", 300, |world, work| postfix::run(world, work, "")),
        entry("Exim", "one queue run, a connection for each message", 30, exim::run),
        entry("libESMTP", "1 session", 30, esmtp::run),
        entry("lettre", "pool of 10", 60, |world, work| lettre::run(world, work, 10)),
    ]
}

fn used(count: usize, run: fn(&World, Work) -> Result<Sample, String>) -> Result<Sample, String> {
    let world = World::start(Distance::Link(600, Some(RATE), QUEUE), Setup::discarding())?;
    let work = Work::messages(count, 1000);
    let sample = run(&world, work)?;
    let time = if sample.get(WARM).is_nan() { sample.get(COLD) } else { sample.get(WARM) };
    let carried = world.end()?.ok_or("no link")?;
    let could = RATE as f64 / 8.0 * time;
    let use_of = |octets: f64| octets / could * 100.0;
    Ok(Sample::default()
        .and("use of the line", "%", use_of(carried.useful))
        .and("content", "%", use_of(work.octets()))
        .and("a message", "s", time / count as f64)
        .and("dropped packets", "", carried.tally.up.dropped.packets as f64)
        .with(sample))
}
