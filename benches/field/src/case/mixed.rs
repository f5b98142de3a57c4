//! Large and small mail for one next hop on a narrow line: how long the small mail takes, and what that costs the
//! large.

use super::{Case, Entry, entry};
use crate::postfix::Setup;
use crate::sample::{Sample, quantile};
use crate::senders::pipelane::{Options, Span, engine, message, submit, whole};
use crate::senders::postfix;
use crate::work::Work;
use crate::world::{Distance, World};
use pipelane::mail::NextHop;
use std::thread;
use std::time::Duration;

const RATE: u64 = 2_000_000;
/// What the line holds in 300 ms.
const QUEUE: u64 = 75_000;
const LARGE: Work = Work::messages(20, 1_000_000);
const SMALL: Work = Work::messages(100, 2000);
/// The large ones are under way: a few seconds of the eighty that they need.
const UNDER_WAY: Duration = Duration::from_secs(8);

/// The case.
pub fn case() -> Case {
    Case {
        name: "mixed",
        title: "20 messages of 1 MB under way, then 100 of 2 kB, on 2 Mbit/s, round trip 300 ms",
        notes: "How long the small messages took, each from its submission to its last reply, and how long all took against the \
            link's own time: what it has to carry divided by its rate. `all / link` counts what it has to carry in IP octets (content, \
            commands, headers; what TCP sent twice is not counted), `all / content` the content alone. The queue before the line holds \
            75 kB, which is the line's own 300 ms. With the congestion control BBR the kernel sends next to nothing for 200 ms \
            every ten seconds or so, to measure the round trip; on a line that one connection fills, that is up to 2 % of the \
            time, and more where several connections take turns at it.",
        more_is_better: false,
        side_by_side: true,
        axis: None,
        entries,
    }
}

const TWO_SMALL: Options = &[("trust", "stream"), ("window_messages", "256"), ("lanes", "2 1 1 1")];
const SORTED: Options = &[("trust", "stream"), ("window_messages", "256"), ("lanes", "1")];
const LEARNED: Options = &[("lanes", "2 1 1 1")];
const ONE_LANE: Options = &[("trust", "stream"), ("window_messages", "256"), ("max_connections", "1")];
const UNSORTED: Options = &[("trust", "stream"), ("window_messages", "256"), ("order", "unsorted"), ("lanes", "4")];

fn entries() -> Vec<Entry> {
    let entry = |how, options: Options| entry("pipelane", how, move || there(|world| by_pipelane(world, options)));
    vec![
        entry("by size, lanes = \"2 1 1 1\", trust = \"stream\"", TWO_SMALL),
        entry("by size, lanes = 1, trust = \"stream\"", SORTED),
        entry("by size, lanes = \"2 1 1 1\", learned trust", LEARNED),
        entry("one connection for all, trust = \"stream\"", ONE_LANE),
        entry("not by size, 4 lanes, trust = \"stream\"", UNSORTED),
        super::entry("Postfix", "defaults: 20 connections", || there(by_postfix)),
    ]
}

/// When each was submitted, begun and ended, in seconds.
struct Times {
    small: Vec<f64>,
    all: f64,
}

fn there(run: impl Fn(&World) -> Result<Times, String>) -> Result<Sample, String> {
    let world = World::start(Distance::Link(300, Some(RATE), QUEUE), Setup::discarding())?;
    let Times { mut small, all } = run(&world)?;
    small.sort_by(f64::total_cmp);
    let carried = world.end()?.ok_or("no link")?;
    let own = |octets: f64| octets * 8.0 / RATE as f64;
    Ok(Sample::default()
        .and("small: 95th", "s", quantile(&small, 0.95))
        .and("median", "s", quantile(&small, 0.5))
        .and("longest", "s", quantile(&small, 1.0))
        .and("all", "s", all)
        .and("all / link", "", all / own(carried.useful))
        .and("all / content", "", all / own(LARGE.octets() + SMALL.octets()))
        .and("dropped packets", "", carried.tally.up.dropped.packets as f64))
}

fn by_pipelane(world: &World, options: Options) -> Result<Times, String> {
    let hop: NextHop = world.server.next_hop().parse().map_err(|error| format!("{error:?}"))?;
    let messages = |work: Work, name: &str| work.mails(name).iter().map(|mail| message(&hop, mail)).collect::<Vec<_>>();
    let (large, small) = (messages(LARGE, "large"), messages(SMALL, "small"));
    let spans = world.near(|| -> Result<[Vec<Span>; 2], String> {
        let engine = engine(options)?;
        let submitted = large.into_iter().map(|one| submit(&engine, one)).collect::<Result<Vec<_>, _>>()?;
        thread::sleep(UNDER_WAY);
        let small = small.into_iter().map(|one| submit(&engine, one)).collect::<Result<Vec<_>, _>>()?;
        let small = small.into_iter().map(|one| one.wait()).collect::<Result<_, _>>()?;
        let large = submitted.into_iter().map(|one| one.wait()).collect::<Result<_, _>>()?;
        Ok([small, large])
    })?;
    let [small, large] = spans;
    let times = small.iter().map(|span| (span.ended - span.submitted).as_secs_f64()).collect();
    Ok(Times { small: times, all: whole(&[small, large].concat()).0 })
}

/// Its small mail is counted from the end of its submission to Postfix, which takes a moment itself.
fn by_postfix(world: &World) -> Result<Times, String> {
    let sender = postfix::start(world, &format!("smtp:{}", world.server.next_hop()), "smtpd_client_restrictions=");
    world.near(|| sender.submit(&LARGE.mails("large")));
    thread::sleep(UNDER_WAY);
    world.near(|| sender.submit(&SMALL.mails("small")));
    let spans = postfix::spans(&sender, LARGE.messages + SMALL.messages)?;
    let mut by_arrival = spans.clone();
    by_arrival.sort_by(|a, b| a.arrived.total_cmp(&b.arrived));
    // The large ones were in the queue long before.
    let small = by_arrival.iter().rev().take(SMALL.messages).map(|span| span.ended - span.arrived).collect();
    Ok(Times { small, all: postfix::whole(&spans).0 })
}
