//! Loopback, without delay: what the clients themselves cost, in time and in CPU seconds.

use super::long::there;
use super::{Case, Entry, entry};
use crate::postfix::Setup;
use crate::sample::Sample;
use crate::senders::pipelane::Options;
use crate::senders::{COLD, CPU, esmtp, lettre, pipelane, postfix};
use crate::work::Work;
use crate::world::{Distance, World};

const ONE: Options = &[("trust", "stream"), ("window_messages", "256"), ("order", "unsorted"), ("lanes", "1")];
const FOUR: Options = &[("trust", "stream"), ("window_messages", "256"), ("order", "unsorted"), ("lanes", "4")];
const SORTED: Options = &[("trust", "stream"), ("window_messages", "256"), ("lanes", "1")];
const ONE_CONNECTION: &str = "smtp_destination_concurrency_limit=1\nsmtp_initial_destination_concurrency=1";

/// Those of this file.
pub fn cases() -> [Case; 3] {
    let case = |name, title, notes, entries| Case {
        name,
        title,
        notes,
        more_is_better: true,
        side_by_side: false,
        axis: None,
        entries,
    };
    [
        case("rate", "Messages a second: 2000 of 4 kB over loopback", RATE, rate),
        case("size-100k", "Octets a second: 100 messages of 100 kB over loopback", SIZE, || sizes(&MEDIUM)),
        case("size-10m", "Octets a second: 10 messages of 10 MB over loopback", SIZE, || sizes(&LARGE)),
    ]
}

const RATE: &str = "Client and server share the machine. The server is the bound: smtpd(8) and cleanup(8) of one connection need about a processor, \
    so that the rate tells of Postfix as a server, and the CPU seconds for 1000 messages tell of the client. Those are of the \
    client alone: for Postfix smtp(8), qmgr(8) and scache(8), for pipelane the engine in one process. From the start, with connecting.";
const SIZE: &str = "The server writes what it gets to disk. pipelane is shown with lanes by size, whose lanes for large mail let the kernel hold no \
    more than 16 kB that are not sent yet, and with one lane for everything, which has no such limit: the difference is what \
    the limit costs on the shortest of all paths.";
const MEDIUM: Work = Work::messages(100, 100_000);
const LARGE: Work = Work::messages(10, 10_000_000);

type Run = fn(&World, Work) -> Result<Sample, String>;

fn here(who: &'static str, how: &str, work: Work, run: Run, measure: fn(&Work, &Sample) -> Sample) -> Entry {
    entry(who, how, move || {
        let sample = there(Distance::Loopback, Setup::discarding, |world| run(world, work))?;
        Ok(measure(&work, &sample).with(sample))
    })
}

fn rate() -> Vec<Entry> {
    let measure = |work: &Work, sample: &Sample| {
        let messages = work.messages as f64;
        Sample::default().and("messages a second", "", messages / sample.get(COLD)).and(
            "CPU for 1000",
            "s",
            sample.get(CPU) / messages * 1000.0,
        )
    };
    let here = |who, how, run: Run| here(who, how, Work::messages(2000, 4000), run, measure);
    vec![
        here("pipelane", "1 lane", |world, work| pipelane::run(world, work, ONE)),
        here("pipelane", "4 lanes", |world, work| pipelane::run(world, work, FOUR)),
        here("Postfix", "1 connection", |world, work| postfix::run(world, work, ONE_CONNECTION)),
        here("Postfix", "defaults: 20 connections", |world, work| postfix::run(world, work, "")),
        here("libESMTP", "1 session", esmtp::run),
        here("lettre", "1 connection", |world, work| lettre::run(world, work, 1)),
        here("lettre", "pool of 4", |world, work| lettre::run(world, work, 4)),
    ]
}

fn sizes(work: &'static Work) -> Vec<Entry> {
    let measure = |work: &Work, sample: &Sample| {
        Sample::default().and("MB a second", "", work.octets() / sample.get(COLD) / 1e6).and(
            "CPU for 100 MB",
            "s",
            sample.get(CPU) / work.octets() * 1e8,
        )
    };
    let here = |who, how, run: Run| here(who, how, *work, run, measure);
    vec![
        here("pipelane", "by size, 1 lane each", |world, work| pipelane::run(world, work, SORTED)),
        here("pipelane", "not by size, 1 lane", |world, work| pipelane::run(world, work, ONE)),
        here("Postfix", "1 connection", |world, work| postfix::run(world, work, ONE_CONNECTION)),
        here("libESMTP", "1 session", esmtp::run),
        here("lettre", "1 connection", |world, work| lettre::run(world, work, 1)),
    ]
}
