//! Control files with more messages in them than may be on their way at once: each recipient is tried once in a job,
//! whatever becomes of it, and no job waits for room that nobody will free.

use crate::office::{Group, Office, Posted, group, to};
use crate::scheduler::Scheduler;
use crate::{addresses, no_mistakes, sink, with};

/// Options for this sink, with these lines of configuration.
fn configured(office: &Office, sink: &pipelane::sink::Sink, lines: &str) -> Vec<String> {
    let config = office.path().join("pipelane.toml");
    std::fs::write(&config, lines).expect("written");
    with(sink, &["--config", config.to_str().expect("UTF-8")])
}

/// A message of so many groups, each with its own headers and one recipient.
fn many(office: &Office, path: &str, host: &str, word: &str, count: usize, body: &str) -> Posted {
    let one = |n: usize| group(vec![to(host, &format!("{word}+{path}.{n}@b.test"))], &format!("Subject: {n}\n"));
    let groups: Vec<Group> = (0..count).map(one).collect();
    office.post(path, &[], &groups, body)
}

/// Nobody is told of twice without being fed again.
fn told_once(scheduler: &Scheduler<'_>) {
    assert!(scheduler.told.values().all(|told| told.len() == 1), "{:?}", scheduler.told);
}

#[test]
fn many_groups_that_are_put_off_are_each_tried_once() {
    let (office, sink) = (Office::new(), sink(0));
    let options = configured(&office, &sink, "[defaults]\nmax_messages = 3\n");
    let mut scheduler = Scheduler::start(&office, &options, 0);
    scheduler.know(&many(&office, "99-1", "b.test", "defer-450", 20, "x\n"));
    scheduler.know(&many(&office, "98-1", "b.test", "reject-550", 20, "x\n"));
    scheduler.run_until_told(40, &["deferred", "error2"]);
    assert!(scheduler.end().success());
    told_once(&scheduler);
    assert_eq!((scheduler.count(&["deferred"]), scheduler.count(&["error2"])), (20, 20));
    assert_eq!(sink.totals().recipients_refused, 40);
    no_mistakes(&sink);
}

/// More of them than are on their way at a time in any case, and the end comes in the middle.
#[test]
fn the_end_lets_all_groups_be_tried_once() {
    let (office, sink) = (Office::new(), sink(20));
    let options = configured(&office, &sink, "");
    let mut scheduler = Scheduler::start(&office, &options, 0);
    scheduler.know(&many(&office, "99-1", "b.test", "defer-450", 150, "x\n"));
    scheduler.run_until("the line is taken", |scheduler| scheduler.hungry == 2);
    assert!(scheduler.close().success());
    told_once(&scheduler);
    assert_eq!(scheduler.count(&["deferred"]), 150);
    no_mistakes(&sink);
}

/// The server takes each message and closes without a word. What is in doubt is not sent again.
#[test]
fn many_groups_that_are_in_doubt_are_not_sent_again() {
    let (office, sink) = (Office::new(), sink(0));
    let options = configured(&office, &sink, "[defaults]\nmax_messages = 2\n");
    let mut scheduler = Scheduler::start(&office, &options, 0);
    scheduler.know(&many(&office, "99-1", "b.test", "eatdot", 12, "x\n"));
    scheduler.run_until_told(12, &["deferred", "deferall", "retryat"]);
    assert!(scheduler.close().success());
    told_once(&scheduler);
    let mut arrived: Vec<String> = sink.messages().iter().flat_map(addresses).collect();
    let count = arrived.len();
    arrived.sort();
    arrived.dedup();
    assert!(count > 0 && arrived.len() == count, "sent twice: {arrived:?}");
    let doubtful = scheduler.told.values().flatten().filter(|told| told.message.contains("may be delivered already"));
    assert_eq!(doubtful.count(), count);
}

/// One body fits at a time; jobs of several hosts need room for many, and none may keep what another waits for.
#[test]
fn large_bodies_in_many_groups_go_with_little_room() {
    let (office, sink) = (Office::new(), sink(0));
    let options = configured(&office, &sink, "[limits]\nbytes = \"300K\"\n[defaults]\nmax_bytes = \"256K\"\n");
    let mut scheduler = Scheduler::start(&office, &options, 100);
    let body = "0123456789012345678901234567890123456789\n".repeat(5000);
    for n in 0..6 {
        scheduler.know(&many(&office, &format!("{n}-1"), &format!("h{n}.test"), "u", 8, &body));
    }
    scheduler.run_until_told(48, &["ok3"]);
    assert!(scheduler.end().success());
    told_once(&scheduler);
    assert_eq!(sink.totals().messages, 48);
    no_mistakes(&sink);
}

/// Each is larger than all the room there is.
#[test]
fn a_body_larger_than_all_room_goes_alone() {
    let (office, sink) = (Office::new(), sink(0));
    let options = configured(&office, &sink, "[limits]\nbytes = \"64K\"\n");
    let mut scheduler = Scheduler::start(&office, &options, 100);
    let body = "0123456789012345678901234567890123456789\n".repeat(5000);
    scheduler.know(&many(&office, "1-1", "b.test", "u", 5, &body));
    scheduler.know(&many(&office, "2-1", "c.test", "u", 5, &body));
    scheduler.run_until_told(10, &["ok3"]);
    assert!(scheduler.end().success());
    no_mistakes(&sink);
}

/// All are without room but those of one message; ends wake them one after the other, and none is forgotten.
#[test]
fn many_hosts_without_room_come_to_their_turn() {
    let (office, sink) = (Office::new(), sink(5));
    let options = configured(&office, &sink, "[limits]\nmessages = 2\n[defaults]\nmax_messages = 1\n");
    let mut scheduler = Scheduler::start(&office, &options, 1000);
    for n in 0..60 {
        let host = format!("h{}.test", n % 30);
        scheduler.know(&office.post_simple(&format!("{}-1", 100 + n), vec![to(&host, "u@b.test")]));
    }
    scheduler.run_until_told(60, &["ok3"]);
    assert!(scheduler.end().success());
    no_mistakes(&sink);
}
