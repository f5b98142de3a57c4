//! How cost grows: with the number of messages, and with the number of lanes.

use super::long::there;
use super::{Case, Entry, entry};
use crate::postfix::Setup;
use crate::sample::Sample;
use crate::senders::pipelane::Options;
use crate::senders::{COLD, CPU, lettre, pipelane, postfix};
use crate::work::Work;
use crate::world::Distance;

/// Those of this file.
pub fn cases() -> [Case; 2] {
    let case = |name, title, notes, axis, entries| Case {
        name,
        title,
        notes,
        more_is_better: false,
        side_by_side: false,
        axis: Some(axis),
        entries,
    };
    [
        case(
            "growth-messages",
            "From 10 to 10000 messages of 4 kB, round trip 20 ms",
            "Time from the start, with connecting.",
            "messages",
            by_messages,
        ),
        case(
            "growth-lanes",
            "2000 messages of 4 kB by 1 to 64 lanes, round trip 20 ms",
            "Time from the start, with connecting. Lanes are connections of one channel that take from one queue. Client and server \
             share the machine, which is busy with the server from a few connections on.",
            "lanes",
            by_lanes,
        ),
    ]
}

const FAR: Distance = Distance::trip(20);
const ONE: Options = &[("trust", "stream"), ("window_messages", "256"), ("order", "unsorted"), ("lanes", "1")];

fn figures(work: Work, sample: Sample) -> Sample {
    Sample::default().and("time", "s", sample.get(COLD)).and(
        "CPU for 1000",
        "s",
        sample.get(CPU) / work.messages as f64 * 1000.0,
    )
}

fn by_messages() -> Vec<Entry> {
    let mut entries = Vec::new();
    for (messages, peers) in [(10, true), (100, true), (1000, true), (10_000, false)] {
        let work = Work::messages(messages, 4000);
        let at = |entry: Entry| entry.at(messages as f64);
        let run = move |how: Options| {
            there(FAR, Setup::discarding, |world| Ok(figures(work, pipelane::run(world, work, how)?)))
        };
        entries.push(at(entry("pipelane", "1 lane", move || run(ONE))));
        if peers {
            entries.push(at(entry("Postfix", "20 connections", move || {
                there(FAR, Setup::discarding, |world| Ok(figures(work, postfix::run(world, work, "")?)))
            })));
            entries.push(at(entry("lettre", "pool of 10", move || {
                there(FAR, Setup::discarding, |world| Ok(figures(work, lettre::run(world, work, 10)?)))
            })));
        }
    }
    entries
}

fn by_lanes() -> Vec<Entry> {
    const LANES: [(f64, Options); 7] = [
        (1.0, ONE),
        (2.0, &[("trust", "stream"), ("order", "unsorted"), ("lanes", "2")]),
        (4.0, &[("trust", "stream"), ("order", "unsorted"), ("lanes", "4")]),
        (8.0, &[("trust", "stream"), ("order", "unsorted"), ("lanes", "8")]),
        (16.0, &[("trust", "stream"), ("order", "unsorted"), ("lanes", "16")]),
        (32.0, &[("trust", "stream"), ("order", "unsorted"), ("lanes", "32")]),
        (64.0, &[("trust", "stream"), ("order", "unsorted"), ("lanes", "64"), ("max_connections", "64")]),
    ];
    let work = Work::messages(2000, 4000);
    let lanes = |(count, options): (f64, Options)| {
        let run =
            move || there(FAR, Setup::discarding, |world| Ok(figures(work, pipelane::run(world, work, options)?)));
        entry("pipelane", "", run).at(count)
    };
    LANES.into_iter().map(lanes).collect()
}
