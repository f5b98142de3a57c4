//! Other settings in mid-flow.

use crate::stage::*;
use pipelane::config::{NextHopSettings, TlsPolicy, TlsSettings};
use pipelane::engine::Engine;
use pipelane::lane::Inbox;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};

#[test]
fn what_waits_is_sorted_anew_and_what_is_on_its_way_is_not_disturbed() {
    let one = NextHopSettings { sizebins: vec![u64::MAX], ..sorted(&[1], 0) };
    let mut stage = stage(one, 1);
    let (first, line) = stage.sent("first", SIZES[3]);
    let waiting: Vec<Inbox> = [3, 2, 1, 0].iter().map(|bin| stage.submit(&bin.to_string(), SIZES[*bin])).collect();
    assert!(stage.nothing_more_is_taken(), "one queue, one lane, one message at a time");
    stage.engine.reconfigure(config(sorted(&[1], 0)));
    let lines: Vec<usize> = ["1", "2", "3"].map(|id| stage.taken(id)).into_iter().collect();
    assert!(!lines.contains(&line), "the first lane is that of the smallest now, and busy: {lines:?}");
    assert!(first.take().is_none() && stage.script.attempts() == 4);
    stage.answer("first");
    assert_eq!(stage.taken("0"), line);
    ["0", "1", "2", "3"].iter().for_each(|id| stage.answer(id));
    all_delivered(&[first]);
    all_delivered(&waiting);
}

#[test]
fn lanes_that_become_too_many_end_what_they_carry() {
    let mut stage = stage(sorted(&[1], 0), 1);
    let (inboxes, lines): (Vec<Inbox>, Vec<usize>) = (0..4).map(|bin| stage.sent(&bin.to_string(), SIZES[bin])).unzip();
    let waiting: Vec<Inbox> = (0..4).map(|bin| stage.submit(&format!("w{bin}"), SIZES[bin])).collect();
    stage.engine.reconfigure(config(unsorted(1)));
    assert!(inboxes.iter().all(|inbox| inbox.take().is_none()));
    (0..4).for_each(|bin| stage.answer(&bin.to_string()));
    all_delivered(&inboxes);
    for expected in ["w0", "w1", "w2", "w3"] {
        let took = stage.next_taken();
        assert_eq!((took.id.as_str(), took.line), (expected, lines[0]), "in the order in which they came");
        stage.answer(expected);
    }
    all_delivered(&waiting);
    eventually("the others have closed", || stage.script.open() == 1);
    assert_eq!(stage.script.attempts(), 4);
}

#[test]
fn later_messages_go_by_the_new_bins() {
    let mut stage = stage(sorted(&[1], 0), 8);
    let (inboxes, lines): (Vec<Inbox>, Vec<usize>) =
        [0, 3].into_iter().map(|bin| stage.sent(&bin.to_string(), SIZES[bin])).unzip();
    let two = NextHopSettings { sizebins: vec![SIZES[3] as u64 - 1, u64::MAX], ..sorted(&[1], 0) };
    stage.engine.reconfigure(config(two));
    let (later, line) = stage.sent("later", SIZES[2]);
    assert_eq!(line, lines[0], "it counts as small now");
    ["0", "3", "later"].iter().for_each(|id| stage.answer(id));
    all_delivered(&inboxes);
    all_delivered(&[later]);
}

#[test]
fn settings_that_change_all_the_time_lose_nothing_and_report_nothing_twice() {
    let stage = staged(sorted(&[1], 0), 2, true, |_, _| true);
    let done = AtomicBool::new(false);
    let inboxes = std::thread::scope(|scope| {
        let changer = scope.spawn(|| {
            for n in 0.. {
                if done.load(Ordering::SeqCst) {
                    return n;
                }
                let settings = match n % 5 {
                    0 => unsorted(2),
                    1 => sorted(&[1], 2),
                    2 => NextHopSettings { sizebins: vec![60, 600, 6_000, 7_000, u64::MAX], ..sorted(&[2], 0) },
                    3 => NextHopSettings { sizebins: vec![u64::MAX], ..sorted(&[1], 1) },
                    _ => sorted(&[1], 0),
                };
                stage.engine.reconfigure(config(settings));
            }
            0
        });
        let inboxes: Vec<Inbox> = (0..2000).map(|n| stage.submit(&n.to_string(), SIZES[n % 4] + n % 30)).collect();
        inboxes.iter().for_each(|inbox| _ = inbox.wait(LONG).map(|report| assert!(report.outcomes[0].is_delivered())));
        done.store(true, Ordering::SeqCst);
        assert!(changer.join().expect("it does not panic") > 0);
        inboxes
    });
    assert!(inboxes.iter().all(|inbox| inbox.take().is_none()), "reported twice");
    assert_eq!(stage.engine.statistics().counts().delivered, 2000);
}

fn strict(settings: NextHopSettings) -> NextHopSettings {
    NextHopSettings { tls: TlsSettings { policy: TlsPolicy::Require, ..TlsSettings::default() }, ..settings }
}

#[test]
fn a_connection_that_was_made_with_a_looser_policy_takes_nothing_more() {
    let mut stage = stage(unsorted(1), 8);
    let (first, line) = stage.sent("first", SIZES[0]);
    stage.engine.reconfigure(config(strict(unsorted(1))));
    let second = stage.submit("second", SIZES[0]);
    stage.answer("first");
    let second_line = stage.taken("second");
    assert_ne!(second_line, line, "it had room, and the policy is another");
    eventually("the first has closed", || stage.script.open() == 1);
    // What has nothing to do with that disturbs nobody.
    stage.engine.reconfigure(config(strict(unsorted(2))));
    let (third, line_of_third) = stage.sent("third", SIZES[0]);
    assert_eq!(line_of_third, second_line);
    ["second", "third"].iter().for_each(|id| stage.answer(id));
    all_delivered(&[first, second, third]);
    assert_eq!(stage.script.attempts(), 2);
    let trouble = stage.status().lanes.iter().any(|lane| lane.last_trouble.is_some());
    assert!(!trouble, "it ends in good order");
}

#[test]
fn an_idle_connection_that_was_made_with_a_looser_policy_ends() {
    let mut stage = stage(unsorted(1), 8);
    let (first, _) = stage.sent("first", SIZES[0]);
    stage.answer("first");
    all_delivered(&[first]);
    stage.engine.reconfigure(config(strict(unsorted(1))));
    eventually("it has closed", || stage.script.open() == 0);
}

#[test]
fn a_connection_that_is_being_made_while_the_policy_changes_takes_nothing() {
    let engine: Arc<OnceLock<Weak<Engine>>> = Arc::default();
    let known = Arc::clone(&engine);
    let mut stage = staged(unsorted(1), 8, false, move |attempt, _| {
        let engine = known.wait().upgrade();
        if let Some(engine) = engine.filter(|_| attempt == 0) {
            engine.reconfigure(config(strict(unsorted(1))));
        }
        true
    });
    engine.set(Arc::downgrade(&stage.engine)).expect("nobody else");
    let (first, line) = stage.sent("first", SIZES[0]);
    assert_eq!((line, stage.script.attempts()), (1, 2));
    stage.answer("first");
    all_delivered(&[first]);
}

#[test]
fn what_waits_behind_a_long_message_on_an_old_connection_gets_one_of_its_own() {
    let mut stage = stage(unsorted(2), 8);
    let (long, line) = stage.sent("long", SIZES[3]);
    stage.engine.reconfigure(config(strict(unsorted(2))));
    let waiting: Vec<Inbox> = (0..8).map(|n| stage.submit(&n.to_string(), SIZES[0])).collect();
    assert_ne!(stage.taken("0"), line);
    (1..8).for_each(|n| _ = stage.taken(&n.to_string()));
    (0..8).for_each(|n| stage.answer(&n.to_string()));
    all_delivered(&waiting);
    stage.answer("long");
    all_delivered(&[long]);
}
