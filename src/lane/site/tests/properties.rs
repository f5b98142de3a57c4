//! What holds in whatever order things happen.

use super::world::{Window, World};
use crate::config::NextHopSettings;
use crate::lane::fixture::{SIZES, sorted, unsorted};
use proptest::prelude::*;

/// What may happen next; numbers choose among the lanes to which it can happen.
#[derive(Debug, Clone, Copy)]
enum Event {
    Submit { bin: usize, waited: u64 },
    Step(usize),
    Settle,
    Connect(usize),
    Refuse(usize),
    Answer(usize, usize),
    Lose(usize),
    GiveBack(usize, usize),
    Panic(usize),
    Tire(usize),
    Withdraw(usize),
    NoThread(usize),
    Reconfigure(usize),
    EndPauses,
    Dispose,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let n = || 0usize..64;
    let event = prop_oneof![
        12 => (0usize..4, 0u64..100).prop_map(|(bin, waited)| Event::Submit { bin, waited }),
        12 => n().prop_map(Event::Step),
        6 => Just(Event::Settle),
        8 => n().prop_map(Event::Connect),
        2 => n().prop_map(Event::Refuse),
        8 => (n(), n()).prop_map(|(lane, which)| Event::Answer(lane, which)),
        2 => n().prop_map(Event::Lose),
        2 => (n(), n()).prop_map(|(lane, which)| Event::GiveBack(lane, which)),
        1 => n().prop_map(Event::Panic),
        2 => n().prop_map(Event::Tire),
        1 => n().prop_map(Event::Withdraw),
        1 => (0usize..4).prop_map(Event::NoThread),
        1 => n().prop_map(Event::Reconfigure),
        2 => Just(Event::EndPauses),
        1 => Just(Event::Dispose),
    ];
    prop::collection::vec(event, 1..150)
}

/// Every kind of settings: four bins, few connections, many lanes, one queue, other bins.
fn settings(n: usize) -> NextHopSettings {
    match n % 8 {
        0 => sorted(&[1], 0),
        1 => sorted(&[1], 1),
        2 => sorted(&[1], 2),
        3 => sorted(&[2, 1, 1, 1], 0),
        4 => unsorted(1),
        5 => unsorted(3),
        6 => NextHopSettings { sizebins: vec![1000, u64::MAX], ..sorted(&[2], 3) },
        _ => NextHopSettings { sizebins: vec![10, 60, 70, 600, 700, 6000, u64::MAX], ..sorted(&[1], 3) },
    }
}

fn windows() -> impl Strategy<Value = Window> {
    (1usize..6, prop::sample::select(vec![1u64, 600, 6_000, 50_000]))
        .prop_map(|(messages, octets)| Window { messages, octets })
}

fn pick(from: Vec<usize>, n: usize) -> Option<usize> {
    (!from.is_empty()).then(|| from[n % from.len()])
}

fn happen(world: &mut World, event: &Event) {
    match event {
        Event::Submit { bin, waited } => _ = world.submit(SIZES[*bin], *waited, true),
        Event::NoThread(bin) => _ = world.submit(SIZES[*bin], 0, false),
        Event::Step(n) => pick(world.lanes(), *n).into_iter().for_each(|lane| world.step(lane)),
        Event::Settle => {
            world.settle();
            world.check_settled();
        }
        Event::Connect(n) => pick(world.dialling(), *n).into_iter().for_each(|lane| world.connect(lane)),
        Event::Refuse(n) => pick(world.dialling(), *n).into_iter().for_each(|lane| world.refuse(lane)),
        Event::Answer(n, which) => pick(world.busy(), *n).into_iter().for_each(|lane| world.answer(lane, *which)),
        Event::Lose(n) => pick(world.serving(), *n).into_iter().for_each(|lane| world.lose(lane)),
        Event::GiveBack(n, which) => pick(world.busy(), *n).into_iter().for_each(|lane| world.give_back(lane, *which)),
        Event::Panic(n) => pick(world.serving(), *n).into_iter().for_each(|lane| world.panic(lane)),
        Event::Tire(n) => pick(world.resting(), *n).into_iter().for_each(|lane| world.tire(lane)),
        Event::Withdraw(n) => world.withdraw(*n),
        Event::Reconfigure(n) => world.reconfigure(settings(*n)),
        Event::EndPauses => world.end_pauses(),
        Event::Dispose => world.site.dispose_of_void(),
    }
}

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) }
}

proptest! {
    #![proptest_config(config())]

    /// Whenever all lanes wait, none has missed anything; and in a kind world every message comes home, without a lane
    /// having to grow tired first.
    #[test]
    fn nobody_is_forgotten(n in 0usize..8, window in windows(), events in events()) {
        let mut world = World::new(settings(n), window);
        events.iter().for_each(|event| happen(&mut world, event));
        world.settle();
        world.check_settled();
        world.bring_home();
        world.check_accounts();
        world.check_reports();
        world.end();
    }

    /// A stop at any moment ends every lane and leaves no message without its one report.
    #[test]
    fn a_stop_ends_all(n in 0usize..8, window in windows(), events in events()) {
        let mut world = World::new(settings(n), window);
        events.iter().for_each(|event| happen(&mut world, event));
        world.stop();
        world.submit(50, 0, true);
        world.end();
        world.check_accounts();
        world.check_reports();
    }
}
