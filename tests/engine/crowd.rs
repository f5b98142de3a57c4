//! Many threads, many messages, several next hops: each message exactly once.

use crate::place::*;
use pipelane::config::{Limits, NextHopSettings};
use pipelane::sink::Sink;
use std::collections::BTreeMap;

const THREADS: usize = 100;
const MESSAGES: usize = 20;
const HOPS: usize = 5;

#[test]
fn a_hundred_threads_and_five_next_hops_deliver_each_message_exactly_once() {
    let sinks: Vec<Sink> = (0..HOPS).map(|_| sink()).collect();
    let hops: Vec<_> = sinks.iter().map(|sink| hop(sink.address())).collect();
    let settings = NextHopSettings { lanes: vec![3], max_messages: 150, ..settings() };
    let engine = engine_with(settings, Limits { connections: 8, messages: 500, ..Limits::default() });
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (engine, hops) = (&engine, &hops);
            scope.spawn(move || {
                let submit = |n: usize| {
                    let id = format!("{thread}-{n}");
                    submit(engine, message(&hops[(thread + n) % HOPS], &id, "r@b.test", 300))
                };
                let inboxes: Vec<_> = (0..MESSAGES).map(submit).collect();
                all_delivered(&inboxes);
            });
        }
    });
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    sinks.iter().flat_map(arrived).for_each(|id| *seen.entry(id).or_default() += 1);
    assert_eq!(seen.len(), THREADS * MESSAGES);
    assert!(seen.values().all(|copies| *copies == 1));
    assert!(sinks.iter().all(|sink| sink.totals().protocol_mistakes == 0));
    assert!(engine.statistics().counts().to_string().contains("delivered=2000"), "{}", engine.statistics().counts());
}
