//! Whole deliveries: the agent as a process, between the scheduler and a server.

use crate::office::{Group, Office, group, to};
use crate::scheduler::Scheduler;
use crate::{addresses, force, no_mistakes, sink, sink_at, text, with};
use std::process::Command;

#[test]
fn one_message_arrives_with_its_own_headers_and_its_body() {
    let (office, sink) = (Office::new(), sink(0));
    let group = group(
        vec![
            to("b.test", "bob@b.test").with("N NOTIFY=FAILURE,DELAY ORCPT=rfc822;b+40x").with("R HDRS").with("n E1"),
            to("b.test", "\"eve x\"@b.test"),
        ],
        "Received: from a.test\n\tby b.test\nSubject: h\u{e9}\n",
    );
    let body = ".one\n\ntwo \u{e9}\n..\nlast without end";
    let posted = office.post("E/F/4711-88", &[], &[group], body);
    let mut scheduler = Scheduler::start(&office, &force(&sink), 0);
    scheduler.know(&posted);
    scheduler.run_until_told(2, &["ok3"]);
    let received = &sink.messages()[0];
    assert_eq!(received.sender, "ann@a.test");
    assert_eq!(
        text(received),
        "Received: from a.test\r\n\tby b.test\r\nSubject: h\u{e9}\r\n\r\n\
         .one\r\n\r\ntwo \u{e9}\r\n..\r\nlast without end\r\n"
    );
    assert_eq!(addresses(received), ["bob@b.test", "\"eve x\"@b.test"]);
    assert_eq!(received.recipients[0].parameters, ["NOTIFY=FAILURE,DELAY", "ORCPT=rfc822;b+40x"]);
    assert!(
        ["RET=HDRS", "ENVID=E1", "BODY=8BITMIME"].iter().all(|one| received.parameters.contains(&(*one).to_owned()))
    );
    assert!(received.parameters.contains(&format!("SIZE={}", received.content.len())), "{:?}", received.parameters);
    assert!(scheduler.last(&posted, "bob@b.test").message.contains("said: 250"));
    assert!(scheduler.end().success());
    assert_eq!((scheduler.hungry, scheduler.lines), (scheduler.lines + 1, scheduler.hungry - 1));
    no_mistakes(&sink);
}

#[test]
fn two_groups_with_different_headers_senders_and_results() {
    let (office, sink) = (Office::new(), sink(0));
    let bounce = Group {
        sender: "error - ann@a.test 0".into(),
        to: vec![to("b.test", "carl@b.test"), to("b.test", "reject-550@b.test").with("N NOTIFY=NEVER")],
        headers: "Subject: second\n".into(),
    };
    let first = group(
        vec![
            to("b.test", "bob@b.test"),
            to("b.test", "reject-550@b.test"),
            to("b.test", "defer-450@b.test"),
            to("other.test", "dora@other.test"),
        ],
        "Subject: first\n",
    );
    let posted = office.post("4711-88", &[], &[first, bounce], "Body.\n");
    let mut scheduler = Scheduler::start(&office, &force(&sink), 3);
    scheduler.know(&posted);
    scheduler.run_until_told(6, &["ok3", "error2", "deferred"]);
    assert_eq!(["ok3", "error2", "deferred"].map(|word| scheduler.count(&[word])), [3, 2, 1]);
    scheduler.end();
    let mut seen: Vec<_> = sink.messages().iter().map(|one| (one.sender.clone(), text(one), addresses(one))).collect();
    seen.sort_by_key(|(_, _, to)| to.clone());
    let one = |sender: &str, subject: &str, to: &str| {
        (sender.to_owned(), format!("Subject: {subject}\r\n\r\nBody.\r\n"), vec![to.to_owned()])
    };
    let expected = [
        one("ann@a.test", "first", "bob@b.test"),
        one("", "second", "carl@b.test"),
        one("ann@a.test", "first", "dora@other.test"),
    ];
    assert_eq!(seen, expected);
    no_mistakes(&sink);
}

#[test]
fn no_sender_is_the_null_sender_and_one_that_cannot_be_told_fails() {
    let (office, sink) = (Office::new(), sink(0));
    let of = |sender: &str, user: &str| Group { sender: sender.into(), ..group(vec![to("b.test", user)], "A: b\n") };
    let groups =
        [of("smtp a.test", "u@b.test"), of("smtp a.test <>", "v@b.test"), of("smtp a.test \x01@a", "w@b.test")];
    let posted = office.post("1-1", &[], &groups, "x\n");
    let mut scheduler = Scheduler::start(&office, &force(&sink), 0);
    scheduler.know(&posted);
    scheduler.run_until_told(3, &["ok3", "error2"]);
    assert_eq!(["u@b.test", "v@b.test"].map(|user| scheduler.last(&posted, user).status), ["ok3", "ok3"]);
    assert!(scheduler.last(&posted, "w@b.test").message.contains("a control character"));
    assert!(scheduler.end().success());
    assert!(sink.messages().iter().all(|message| message.sender.is_empty()));
    no_mistakes(&sink);
}

#[test]
fn two_thousand_recipients_in_one_control_file() {
    let (office, sink) = (Office::new(), sink(0));
    let user = |n: usize| if n % 100 == 7 { format!("reject-550+{n}@b.test") } else { format!("u{n}@b.test") };
    let all = (0..2000).map(|n| to("b.test", &user(n))).collect();
    let posted = office.post_simple("4711-88", all);
    let mut scheduler = Scheduler::start(&office, &force(&sink), 0);
    scheduler.know(&posted);
    scheduler.run_until_told(2000, &["ok3", "error2"]);
    let refused = sink.totals().recipients_refused as usize;
    assert_eq!((scheduler.count(&["ok3"]), scheduler.count(&["error2"])), (2000 - refused, refused));
    let mut arrived: Vec<String> = sink.messages().iter().flat_map(addresses).collect();
    arrived.sort();
    arrived.dedup();
    assert_eq!(arrived.len(), 2000 - refused, "each recipient once");
    assert!(scheduler.end().success());
    no_mistakes(&sink);
}

/// The scheduler switches the process between the threads of its ring; each host has its own server here.
#[test]
fn the_host_changes_in_the_middle() {
    let office = Office::new();
    let first = sink_at("127.0.0.1:0", 20);
    let port = first.address().port();
    let second = sink_at(&format!("127.0.0.2:{port}"), 0);
    let mut scheduler = Scheduler::start(&office, &["-p", &port.to_string()], 2);
    let mut expected = [Vec::new(), Vec::new()];
    for n in 0..40 {
        let host = n / 3 % 2;
        let user = format!("u{n}@b.test");
        scheduler
            .know(&office.post_simple(&format!("{}-1", 100 + n), vec![to(["[127.0.0.1]", "127.0.0.2"][host], &user)]));
        expected[host].push(user);
    }
    scheduler.run_until_told(40, &["ok3"]);
    for (sink, expected) in [&first, &second].iter().zip(&mut expected) {
        let mut arrived: Vec<String> = sink.messages().iter().flat_map(addresses).collect();
        arrived.sort();
        expected.sort();
        assert_eq!(&arrived, expected);
        no_mistakes(sink);
    }
    assert!(scheduler.end().success());
}

#[test]
fn jobs_that_are_fed_again_are_the_same_jobs() {
    let (office, sink) = (Office::new(), sink(300));
    let mut scheduler = Scheduler::start(&office, &force(&sink), 10);
    let all: Vec<_> =
        (0..20).map(|n| office.post_simple(&format!("{}-1", 100 + n), vec![to("b.test", "u@b.test")])).collect();
    scheduler.removes = true;
    all.iter().for_each(|posted| scheduler.know(posted));
    for _ in 0..5 {
        all.iter().for_each(|posted| scheduler.feed_again(posted));
    }
    scheduler.run_until_told(20, &["ok3"]);
    scheduler
        .run_until("all that was fed", |scheduler| scheduler.lines >= 120 && scheduler.hungry == scheduler.lines + 1);
    // Fed once more when its file is gone.
    scheduler.feed_again(&all[0]);
    scheduler.run_until("a resync", |scheduler| scheduler.resyncs.contains(&"100-1".to_owned()));
    assert!(scheduler.end().success());
    assert_eq!(sink.totals().messages, 20);
    no_mistakes(&sink);
}

#[test]
fn a_success_is_told_by_us_where_the_server_cannot() {
    let office = Office::new();
    let extensions = pipelane::sink::Extensions::ALL;
    for (extensions, word) in [(extensions, "ok3"), (extensions.without("DSN").expect("it exists"), "ok2")] {
        let options = pipelane::sink::SinkOptions { extensions, ..Default::default() };
        let sink = pipelane::sink::Sink::start(options).expect("a sink");
        let path = if word == "ok2" { "4711-1" } else { "4712-1" };
        let posted = office
            .post_simple(path, vec![to("b.test", "bob@b.test").with("N NOTIFY=SUCCESS"), to("b.test", "x@b.test")]);
        let mut scheduler = Scheduler::start(&office, &force(&sink), 0);
        scheduler.know(&posted);
        scheduler.run_until_told(2, &["ok2", "ok3"]);
        assert_eq!(scheduler.last(&posted, "bob@b.test").status, word);
        assert_eq!(scheduler.last(&posted, "x@b.test").status, "ok3");
        assert!(scheduler.end().success());
    }
}

/// The scheduler gives 32 descriptors; 300 jobs are in flight at once all the same.
#[test]
fn the_limit_on_descriptors_is_raised() {
    let (office, sink) = (Office::new(), sink(500));
    let force = force(&sink);
    let binary = env!("CARGO_BIN_EXE_pipelane");
    let script = format!("ulimit -Sn 32; exec {binary} ta -c smtp {} {}", force[0], force[1]);
    let mut scheduler = Scheduler::start_words(&office, &["/bin/sh", "-c", &script], 1000);
    for n in 0..300 {
        scheduler.know(&office.post_simple(&format!("{}-1", 1000 + n), vec![to("b.test", "u@b.test")]));
    }
    scheduler.run_until_told(300, &["ok3"]);
    assert!(scheduler.comments.is_empty(), "{:?}", scheduler.comments);
    assert!(scheduler.end().success());
    no_mistakes(&sink);
}

/// With 60 descriptors in all, jobs wait for each other instead of failing.
#[test]
fn a_hard_limit_on_descriptors_is_kept() {
    let (office, sink) = (Office::new(), sink(20));
    let force = force(&sink);
    let binary = env!("CARGO_BIN_EXE_pipelane");
    let script = format!("ulimit -n 60; exec {binary} ta -c smtp {} {}", force[0], force[1]);
    let mut scheduler = Scheduler::start_words(&office, &["/bin/sh", "-c", &script], 1000);
    for n in 0..100 {
        scheduler.know(&office.post_simple(&format!("{}-1", 1000 + n), vec![to("b.test", "u@b.test")]));
    }
    scheduler.run_until_told(100, &["ok3"]);
    assert!(scheduler.comments.is_empty(), "{:?}", scheduler.comments);
    assert!(scheduler.end().success());
}

/// Messages beyond what the engine may hold wait in hand, in order, and their locks are not taken before.
#[test]
fn what_the_engine_has_no_room_for_waits() {
    let (office, sink) = (Office::new(), sink(30));
    let config = office.path().join("pipelane.toml");
    std::fs::write(&config, "[defaults]\nmax_messages = 3\nwindow_messages = 1\n").expect("written");
    let options = with(&sink, &["--config", config.to_str().expect("UTF-8")]);
    let mut scheduler = Scheduler::start(&office, &options, 1000);
    let groups: Vec<Group> =
        (0..10).map(|n| group(vec![to("b.test", &format!("g{n}@b.test"))], &format!("Subject: {n}\n"))).collect();
    scheduler.know(&office.post("99-1", &[], &groups, "many groups\n"));
    for n in 0..50 {
        scheduler.know(&office.post_simple(&format!("{}-1", 100 + n), vec![to("b.test", &format!("u{n}@b.test"))]));
    }
    scheduler.run_until_told(60, &["ok3"]);
    assert!(scheduler.end().success());
    let mut arrived: Vec<String> = sink.messages().iter().flat_map(addresses).collect();
    arrived.sort();
    arrived.dedup();
    assert_eq!((arrived.len(), sink.totals().messages), (60, 60));
}

#[test]
fn a_large_message_goes_from_the_spool_file() {
    let (office, sink) = (Office::new(), sink(0));
    let body = ".0123456789 0123456789\n".repeat(200_000);
    let posted = office.post("4711-88", &[], &[group(vec![to("b.test", "bob@b.test")], "Subject: large\n")], &body);
    let mut scheduler = Scheduler::start(&office, &force(&sink), 0);
    scheduler.know(&posted);
    scheduler.run_until_told(1, &["ok3"]);
    let expected = format!("Subject: large\r\n\r\n{}", body.replace('\n', "\r\n"));
    assert!(text(&sink.messages()[0]) == expected, "the content differs");
    let open = Command::new("ls").arg("-l").arg(format!("/proc/{}/fd", scheduler.pid())).output().expect("ls runs");
    let open = String::from_utf8_lossy(&open.stdout).into_owned();
    assert!(
        !open.contains("4711-88") && !open.contains("(deleted)"),
        "nothing stays open and nothing was copied: {open}"
    );
    assert!(scheduler.end().success());
}

/// The octets that a process may write to a file, as the system has it.
fn file_limit(pid: u32) -> usize {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).expect("readable");
    let line = limits.lines().find(|line| line.starts_with("Max file size")).expect("it is there");
    line.split_whitespace().nth(3).expect("a soft limit").parse().expect("a limit")
}

/// The disk takes nothing, or a part of a line: what cannot be recorded is told otherwise or waits, what needs no line
/// is as ever, and nothing of the part stays.
#[test]
fn diagnostics_that_cannot_be_written_change_nothing_for_the_others() {
    let extensions = pipelane::sink::Extensions::ALL.without("DSN").expect("it exists");
    let options = pipelane::sink::SinkOptions { extensions, ..Default::default() };
    let (office, sink) = (Office::new(), pipelane::sink::Sink::start(options).expect("a sink"));
    let (force, binary) = (force(&sink), env!("CARGO_BIN_EXE_pipelane"));
    let script = format!("trap '' XFSZ; ulimit -f 8; exec {binary} ta -c smtp {} {}", force[0], force[1]);
    let mut scheduler = Scheduler::start_words(&office, &["/bin/sh", "-c", &script], 0);
    scheduler.run_until("the start", |scheduler| scheduler.hungry == 1);
    let limit = file_limit(scheduler.pid());
    let recipients = || {
        let users = [("u@b.test", "N NOTIFY=SUCCESS"), ("reject-550@b.test", "N NOTIFY=NEVER"), ("v@b.test", "R FULL")];
        let mut to: Vec<_> = users.into_iter().map(|(user, line)| to("b.test", user).with(line)).collect();
        to.push(crate::office::to("b.test", "reject-551@b.test"));
        to
    };
    for (path, left) in [("1-1", 0), ("2-1", 100)] {
        let bare = "X: \n".len() + {
            office.post(path, &[], &[group(recipients(), "")], "x\n");
            office.control(path).len()
        };
        let headers = format!("X: {}\n", "x".repeat(limit - left - bare));
        let posted = office.post(path, &[], &[group(recipients(), &headers)], "x\n");
        let before = office.control(path);
        assert_eq!(before.len(), limit - left);
        scheduler.know(&posted);
        scheduler.run_until("all four", |scheduler| {
            posted.recipients.keys().all(|offset| scheduler.told.contains_key(&(posted.id(), *offset)))
        });
        let told = ["u@b.test", "reject-550@b.test", "v@b.test", "reject-551@b.test"]
            .map(|user| scheduler.last(&posted, user));
        assert_eq!(told.each_ref().map(|told| told.status.as_str()), ["ok", "error2", "ok3", "deferred"], "{told:?}");
        assert!(told[0].notary.starts_with("u@b.test\x01relayed\x01"), "{told:?}");
        assert!(told[3].message.starts_with("the failure cannot be recorded: "), "{told:?}");
        assert_eq!(office.control(path).len(), before.len(), "nothing was added");
    }
    assert!(scheduler.comments.iter().all(|comment| comment.contains("diagnostics cannot be written")));
    assert!(scheduler.end().success());
}
