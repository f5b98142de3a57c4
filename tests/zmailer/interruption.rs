//! The agent is ended in every way, with jobs at every stage. Nothing may be lost, and nothing marked that was not
//! delivered.

use crate::office::{Office, Posted, to};
use crate::scheduler::Scheduler;
use crate::{addresses, force, no_mistakes, sink, with};
use pipelane::sink::Sink;
use std::collections::HashMap;
use std::process::ExitStatus;

const SIGQUIT: i32 = 3;
const SIGTERM: i32 = 15;

/// Forty messages: each for one who is there, one who is not, and one who has no room at first sight of the mark.
fn fill(office: &Office) -> Vec<Posted> {
    let recipients = |n: usize| {
        vec![
            to("b.test", &format!("u{n}@b.test")),
            to("b.test", &format!("reject-550+{n}@b.test")),
            to("b.test", &format!("v{n}@b.test")),
        ]
    };
    (0..40).map(|n| office.post_simple(&format!("{}-1", 100 + n), recipients(n))).collect()
}

/// How often each address was delivered to.
fn arrivals(sink: &Sink) -> HashMap<String, usize> {
    let mut arrivals = HashMap::new();
    sink.messages().iter().flat_map(addresses).for_each(|address| *arrivals.entry(address).or_default() += 1);
    arrivals
}

/// Every mark says the truth. The addresses marked as delivered, and how many recipients wait or are locked.
fn check_marks(office: &Office, all: &[Posted], arrivals: &HashMap<String, usize>) -> (Vec<String>, usize) {
    let (mut delivered, mut open) = (Vec::new(), 0);
    for posted in all {
        let control = String::from_utf8(office.control(&posted.path)).expect("UTF-8");
        for (offset, (_, user)) in &posted.recipients {
            let diagnosis = control.lines().filter(|line| line.starts_with(&format!("d {offset}:"))).count();
            match &office.mark(&posted.path, *offset)[..1] {
                "+" => {
                    assert!(arrivals.contains_key(user), "{user} is marked and did not arrive");
                    delivered.push(user.clone());
                }
                "-" => assert!(user.starts_with("reject") && diagnosis > 0, "{user} is marked as failed"),
                _ => open += 1,
            }
        }
    }
    (delivered, open)
}

/// A new agent for what is left; then all is done.
fn finish(office: &Office, all: &[Posted], sink: &Sink, open: usize) {
    let mut scheduler = Scheduler::start(office, &force(sink), 5);
    let waits =
        |posted: &&Posted| posted.recipients.keys().any(|offset| office.mark(&posted.path, *offset).starts_with(' '));
    all.iter().filter(waits).for_each(|posted| scheduler.know(posted));
    scheduler.run_until_told(open, &["ok3", "error2"]);
    assert!(scheduler.end().success());
    assert_eq!(check_marks(office, all, &arrivals(sink)).1, 0);
}

/// Killed as soon as so many recipients were reported: before anything was sent, with messages in flight, marked, told,
/// or still waiting in hand.
#[test]
fn killed_with_jobs_at_every_stage() {
    for reported in [0, 1, 30, 75, 110] {
        let (office, sink) = (Office::new(), sink(15));
        let config = office.path().join("pipelane.toml");
        std::fs::write(&config, "[defaults]\nmax_messages = 12\nwindow_messages = 4\n").expect("written");
        let options = with(&sink, &["--config", config.to_str().expect("UTF-8")]);
        let all = fill(&office);
        let mut scheduler = Scheduler::start(&office, &options, 1000);
        all.iter().for_each(|posted| scheduler.know(posted));
        let words = ["ok3", "error2"];
        scheduler.run_until("enough reports", |scheduler| scheduler.count(&words) >= reported && scheduler.lines >= 41);
        scheduler.kill();
        let pid = scheduler.pid();
        assert!(sink.wait_until_idle(crate::scheduler::LONG));
        let before = arrivals(&sink);
        let (delivered, open) = check_marks(&office, &all, &before);
        assert!(reported > 100 || open > 0, "all was done before the kill");
        all.iter().for_each(|posted| office.unlock(posted, pid));
        finish(&office, &all, &sink, open);
        let after = arrivals(&sink);
        for n in 0..40 {
            assert!(["u", "v"].iter().all(|letter| after.contains_key(&format!("{letter}{n}@b.test"))), "{n} is lost");
        }
        for user in delivered {
            assert_eq!((before[&user], after[&user]), (1, 1), "{user} was marked and was sent again");
        }
        no_mistakes(&sink);
    }
}

fn ended(end: impl FnOnce(&mut Scheduler<'_>) -> ExitStatus, all_done: bool) {
    let (office, sink) = (Office::new(), sink(200));
    let all = fill(&office);
    let mut scheduler = Scheduler::start(&office, &force(&sink), 1000);
    all.iter().for_each(|posted| scheduler.know(posted));
    scheduler.run_until("all lines", |scheduler| scheduler.lines >= 41);
    let status = end(&mut scheduler);
    assert!(status.success(), "{status}");
    let (_, open) = check_marks(&office, &all, &arrivals(&sink));
    let locked =
        all.iter().flat_map(|posted| posted.recipients.keys().map(|offset| office.mark(&posted.path, *offset)));
    assert_eq!(locked.filter(|mark| mark.starts_with('~')).count(), 0, "a lock was left");
    assert!(!all_done || open == 0, "{open} were not done");
    finish(&office, &all, &sink, open);
    assert!(arrivals(&sink).values().all(|count| *count == 1), "sent twice");
    no_mistakes(&sink);
}

#[test]
fn an_empty_line_lets_all_that_is_in_hand_be_finished() {
    ended(|scheduler| scheduler.end(), true);
}

#[test]
fn so_does_a_scheduler_that_dies() {
    ended(|scheduler| scheduler.close(), true);
}

/// The reports of a scheduler that is gone go nowhere; the marks are made all the same.
#[test]
fn a_scheduler_that_does_not_read_any_more_changes_nothing() {
    let (office, sink) = (Office::new(), sink(100));
    let all = fill(&office);
    let mut scheduler = Scheduler::start(&office, &force(&sink), 1000);
    all.iter().for_each(|posted| scheduler.know(posted));
    scheduler.run_until("all lines", |scheduler| scheduler.lines >= 41);
    assert!(scheduler.vanish().success());
    assert_eq!(check_marks(&office, &all, &arrivals(&sink)).1, 0);
}

#[test]
fn a_slow_shutdown_finishes_what_was_begun() {
    ended(
        |scheduler| {
            scheduler.signal(SIGQUIT);
            scheduler.write(b"\n\n");
            scheduler.wait()
        },
        false,
    );
}

#[test]
fn a_termination_gives_back_what_is_not_on_the_wire() {
    ended(
        |scheduler| {
            scheduler.signal(SIGTERM);
            scheduler.wait()
        },
        false,
    );
}
