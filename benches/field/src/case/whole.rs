//! The whole way: a Postfix with its queue, pipelane behind it by LMTP, and the server; beside Postfix alone.

use super::long::there;
use super::{Case, Entry, entry};
use crate::pipelane::Pipelane;
use crate::postfix::Setup;
use crate::sample::Sample;
use crate::senders::postfix;
use crate::work::Work;
use crate::world::{Distance, World};

const WORK: Work = Work::messages(1000, 4000);

/// The case.
pub fn case() -> Case {
    Case {
        name: "whole",
        title: "1000 messages of 4 kB from a Postfix queue, round trip 300 ms",
        notes: "The mail is in the queue of a Postfix, which is then told to send it. Times are from the log of that Postfix: from the first \
            message that it takes up to its last `status=sent`. Through pipelane it hands over by LMTP as README.md tells, \
            100 messages at a time: with 100 in flight, 1000 need ten round trips, whatever the window.",
        more_is_better: false,
        side_by_side: false,
        axis: None,
        entries,
    }
}

fn entries() -> Vec<Entry> {
    let entry = |who, how, run: fn(&World) -> Result<Sample, String>| {
        entry(who, how, move || there(Distance::trip(300), Setup::discarding, run))
    };
    vec![
        entry("pipelane", "Postfix, LMTP, pipelane, 100 handed over at a time", |world| through_pipelane(world, "")),
        entry("pipelane", "the same with 200 at a time", |world| {
            let two_hundred = "lanes_destination_concurrency_limit=200\nlanes_initial_destination_concurrency=200";
            through_pipelane(world, two_hundred)
        }),
        entry("Postfix", "defaults: 20 connections", |world| postfix::run(world, WORK, "").map(swapped)),
        entry("Postfix", "100 connections", |world| {
            let limits = "smtp_destination_concurrency_limit=100\nsmtp_initial_destination_concurrency=100";
            postfix::run(world, WORK, limits).map(swapped)
        }),
    ]
}

fn through_pipelane(world: &World, main: &str) -> Result<Sample, String> {
    world.near(|| {
        let served = Pipelane::serve(&world.server.next_hop(), "trust = \"stream\"\nwindow_messages = 256\nlanes = 1");
        postfix::through(world, WORK, &served.transport(), main).map(swapped)
    })
}

/// From the start is what counts here.
fn swapped(mut sample: Sample) -> Sample {
    sample.0.swap(0, 1);
    sample
}
