//! Options, logs, and hosts that cannot be reached.

use crate::office::{Office, group, to};
use crate::scheduler::{Scheduler, command};
use crate::{force, no_mistakes, sink, with};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::ExitStatus;

/// What an agent says that is started with these words and told nothing.
fn said(words: &[&str]) -> (ExitStatus, String) {
    let office = Office::new();
    let words = [&[env!("CARGO_BIN_EXE_pipelane"), "ta"][..], words].concat();
    let (mut command, mut socket) = command(&office, &words);
    let mut child = command.spawn().expect("runs");
    drop(command);
    socket.shutdown(std::net::Shutdown::Write).expect("open");
    let mut text = String::new();
    socket.read_to_string(&mut text).expect("UTF-8");
    // Said on a machine with large process numbers.
    let lines = text.split_inclusive('\n').filter(|line| !line.contains("kernel.pid_max"));
    (child.wait().expect("ended"), lines.collect())
}

#[test]
fn an_option_that_means_nothing_here_is_refused_with_comments_only() {
    for (words, names) in [
        (&["-c", "smtp", "-8"][..], "'-8'"),
        (&["-c", "smtp", "-77"], "'-7'"),
        (&["-c", "smtp", "-S", "/etc/tls"], "'-S'"),
        (&["-c", "smtp", "-T", "5m"], "conn="),
        (&["-c", "smtp", "-L", "eth0"], "interface"),
        (&["-c", "smtp", "-h", "-x.test"], "-h <NAME>"),
        (&["-c", "smtp", "-h", "a b"], "expected a domain"),
        (&["-c", "smtp", "-F", "a/b"], "-F a/b"),
        (&["-c", "smtp", "-l", "/nonexistent/log"], "/nonexistent/log"),
        (&["-c", "smtp", "--config", "/nonexistent.toml"], "/nonexistent.toml"),
        (&[], "-c <CHANNEL>"),
    ] {
        let (status, text) = said(words);
        assert_eq!(status.code(), Some(78), "{words:?}: {text}");
        assert!(
            text.lines().all(|line| line.starts_with("# pipelane ta: ")) && text.ends_with('\n'),
            "{words:?}: {text}"
        );
        assert!(text.contains(names), "{words:?}: {text}");
    }
}

#[test]
fn an_agent_that_is_told_nothing_says_one_word() {
    let (status, text) = said(&["-c", "smtp"]);
    assert!(status.success());
    assert_eq!(text, "#hungry\n");
}

#[test]
fn without_pipelining_and_with_a_name_of_its_own() {
    let (office, sink) = (Office::new(), sink(0));
    let options = with(&sink, &["-P", "-h", "me.test", "-L", "127.0.0.1", "-T", "cmd=1m"]);
    let mut scheduler = Scheduler::start(&office, &options, 0);
    scheduler.know(&office.post_simple("1-1", vec![to("b.test", "u@b.test")]));
    scheduler.run_until_told(1, &["ok3"]);
    let told = scheduler.told.values().next().expect("one").last().expect("one").clone();
    assert!(told.message.ends_with("lockstep)"), "{told:?}");
    assert!(scheduler.end().success());
    no_mistakes(&sink);
}

/// A mail store that has room for `u` and none for others; it says LHLO, and one reply for each recipient behind the
/// dot.
fn store(stream: TcpStream) {
    let mut reader = BufReader::new(stream.try_clone().expect("a descriptor"));
    let say = |text: &str| (&stream).write_all(text.as_bytes()).expect("the agent is there");
    let (mut line, mut recipients) = (String::new(), Vec::new());
    say("220 store.test LMTP\r\n");
    while reader.read_line(&mut line).is_ok_and(|octets| octets > 0) {
        match line.split_whitespace().next().unwrap_or_default() {
            "LHLO" => say("250 store.test\r\n"),
            "RCPT" => {
                recipients.push(line.contains("<u@"));
                say("250 2.1.5 ok\r\n");
            }
            "DATA" => {
                say("354 go\r\n");
                while line != ".\r\n" {
                    line.clear();
                    reader.read_line(&mut line).expect("a line");
                }
                for has_room in recipients.drain(..) {
                    say(if has_room { "250 2.1.5 kept\r\n" } else { "552 5.2.2 no room\r\n" });
                }
            }
            "QUIT" => return say("221 2.0.0 bye\r\n"),
            "EHLO" | "HELO" => panic!("not LMTP: {line}"),
            _ => say("250 2.0.0 ok\r\n"),
        }
        line.clear();
    }
}

#[test]
fn a_mail_store_is_spoken_to_by_lmtp() {
    let (office, listener) = (Office::new(), TcpListener::bind("127.0.0.1:0").expect("a port"));
    let force = format!("[127.0.0.1]:{}", listener.local_addr().expect("bound").port());
    let store = std::thread::spawn(move || store(listener.accept().expect("the agent").0));
    let mut scheduler = Scheduler::start(&office, &["-M", "-F", &force], 0);
    let posted = office.post_simple("1-1", vec![to("b.test", "u@b.test"), to("b.test", "full@b.test")]);
    scheduler.know(&posted);
    scheduler.run_until_told(2, &["ok3", "error2"]);
    assert_eq!(scheduler.last(&posted, "u@b.test").status, "ok3");
    assert_eq!(scheduler.last(&posted, "full@b.test").status, "error2");
    assert!(scheduler.end().success());
    store.join().expect("only LMTP was spoken");
}

/// The word `$host` in the command: job lines are paths only.
#[test]
fn the_host_may_be_an_argument() {
    let (office, sink) = (Office::new(), sink(0));
    let options = with(&sink, &["B.test"]);
    let mut scheduler = Scheduler::start(&office, &options, 0);
    let posted = office.post_simple("1-1", vec![to("b.test", "u@b.test"), to("c.test", "u@c.test")]);
    scheduler.know(&posted);
    scheduler.run_until_told(2, &["ok3"]);
    let bare = office.post_simple("3-1", vec![to("b.test", "u@b.test"), to("c.test", "u@c.test")]);
    scheduler.remember(&bare);
    scheduler.write(b"3-1\n");
    scheduler.run_until_told(3, &["ok3"]);
    assert!(scheduler.end().success());
    let left = bare.recipients.keys().filter(|offset| office.mark("3-1", **offset).starts_with(' ')).count();
    assert_eq!((sink.totals().messages, left), (3, 1));
}

#[test]
fn a_host_that_cannot_be_reached_is_said_to_be_dead_once() {
    let office = Office::new();
    // A port that nobody listens on: it was had, and is given back.
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").port();
    let mut scheduler = Scheduler::start(&office, &["-p", &port.to_string()], 100);
    let all: Vec<_> = (0..30)
        .map(|n| {
            office.post_simple(&format!("{}-1", 100 + n), vec![to("[127.0.0.1]", "u@b"), to("[127.0.0.1]", "v@b")])
        })
        .collect();
    all.iter().for_each(|posted| scheduler.know(posted));
    let words = ["deferall", "retryat"];
    scheduler.run_until_told(60, &words);
    assert_eq!((scheduler.count(&["deferall"]), scheduler.count(&["retryat"])), (1, 59));
    let told = scheduler.last(&all[3], "u@b");
    assert!(told.message.contains(&format!("127.0.0.1]:{port}")), "{told:?}");
    assert!(told.notary.contains("\x01delayed\x014.4.1\x01"), "{told:?}");
    // At the next tick of the scheduler it is still known.
    all.iter().for_each(|posted| scheduler.feed_again(posted));
    scheduler.run_until("the second answers", |scheduler| scheduler.told.values().all(|told| told.len() == 2));
    assert_eq!(scheduler.count(&["retryat"]), 60);
    assert!(scheduler.end().success());
}

/// The scheduler asks again and again; the agent leaves the host alone for some seconds, and then finds it well.
#[test]
fn a_host_that_comes_back_is_delivered_to() {
    let office = Office::new();
    let address = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound");
    let mut scheduler = Scheduler::start(&office, &["-p", &address.port().to_string()], 100);
    let posted = office.post_simple("1-1", vec![to("[127.0.0.1]", "u@b")]);
    scheduler.know(&posted);
    scheduler.run_until_told(1, &["deferall"]);
    let sink = crate::sink_at(&address.to_string(), 0);
    let begun = std::time::Instant::now();
    let mut rounds = 1;
    while scheduler.count(&["ok3"]) == 0 {
        assert!(begun.elapsed() < crate::scheduler::LONG, "it is never tried again");
        rounds += 1;
        scheduler.feed_again(&posted);
        scheduler.run_until("an answer", |scheduler| scheduler.told.values().any(|told| told.len() == rounds));
    }
    let told = scheduler.told.values().next().expect("one").clone();
    assert!(told[1..rounds - 1].iter().all(|told| told.status == "retryat"), "{told:?}");
    assert_eq!(sink.totals().connections, 1, "it was left alone");
    assert!(scheduler.end().success());
}

#[test]
fn a_host_that_is_no_host_and_an_address_that_is_none() {
    let office = Office::new();
    let mut scheduler = Scheduler::start(&office, &["-p", "9"], 0);
    let posted = office.post_simple("1-1", vec![to("\"a b\"", "u@b.test")]);
    scheduler.know(&posted);
    scheduler.run_until_told(1, &["deferred"]);
    assert!(scheduler.last(&posted, "u@b.test").message.contains("no next hop"));
    scheduler.end();
    let sink = sink(0);
    let mut scheduler = Scheduler::start(&office, &force(&sink), 0);
    let posted = office.post_simple("2-1", vec![to("b.test", "<u@b.test>"), to("b.test", "v@b.test")]);
    scheduler.know(&posted);
    scheduler.run_until_told(2, &["ok3", "error2"]);
    assert!(scheduler.last(&posted, "<u@b.test>").message.contains("angle bracket"));
    assert_eq!(scheduler.last(&posted, "v@b.test").status, "ok3");
    assert!(scheduler.end().success());
}

/// Whatever keeps a file from being used is said. Only what the scheduler can do nothing about by reading it again is
/// put off.
#[test]
fn a_file_that_cannot_be_used_is_commented_on_and_read_again() {
    let office = Office::new();
    let mut scheduler = Scheduler::start(&office, &["-p", "9"], 0);
    let good = office.post_simple("1-1", vec![to("b.test", "u@b.test")]);
    let text = String::from_utf8(office.control("1-1")).expect("UTF-8");
    office.write("transport", "1-1", &text.replacen("0x00000007", "0x00000010", 1));
    scheduler.know(&good);
    scheduler.run_until("a resync", |scheduler| scheduler.resyncs.len() == 1);
    assert!(scheduler.comments[0].contains("layout flags 0x10"), "{:?}", scheduler.comments);
    office.write("transport", "1-1", &text);
    std::fs::remove_file(office.path().join("queue/1-1")).expect("there");
    scheduler.feed_again(&good);
    scheduler.run_until_told(1, &["deferred"]);
    let told = scheduler.last(&good, "u@b.test");
    assert!(told.message.starts_with("the message cannot be read: ../queue/1-1: "), "{told:?}");
    assert!(told.notary.contains("\x01delayed\x014.3.0\x01"), "{told:?}");
    assert_eq!(office.control("1-1"), text.as_bytes(), "nothing was locked");
    office.write("transport", "1-1", &text.replacen("i 1-1", "i x-1", 1));
    scheduler.feed_again(&good);
    scheduler.run_until("a second deferral", |scheduler| scheduler.told.values().any(|told| told.len() == 2));
    std::fs::create_dir(office.transport().join("2-1")).expect("made");
    scheduler.write(b"2-1\tb.test\n");
    scheduler.run_until("a second resync", |scheduler| scheduler.resyncs.contains(&"2-1".to_owned()));
    assert!(scheduler.comments[1].starts_with("# 2-1: it cannot be used: "), "{:?}", scheduler.comments);
    scheduler.write(b"3-1\tb.test\n");
    scheduler.run_until("a third resync", |scheduler| scheduler.resyncs.contains(&"3-1".to_owned()));
    assert_eq!(scheduler.comments.len(), 2, "a file that is gone is nothing new: {:?}", scheduler.comments);
    assert!(scheduler.end().success());
}

#[test]
fn a_recipient_that_cannot_be_read_does_not_hold_up_the_others() {
    let (office, sink) = (Office::new(), sink(0));
    let mut scheduler = Scheduler::start(&office, &force(&sink), 0);
    let posted = office.post_simple("1-1", vec![to("b.test", "u@b.test"), to("b.test", "").with("N NOTIFY=NEVER")]);
    let text = String::from_utf8(office.control("1-1")).expect("UTF-8");
    let text = text.replacen("b.test  65534", "b.test       ", 1);
    office.write("transport", "1-1", &text);
    scheduler.know(&posted);
    scheduler.run_until_told(1, &["ok3"]);
    assert!(scheduler.comments[0].contains("# 1-1: the line \"r\" at offset "), "{:?}", scheduler.comments);
    // Nobody is left but the one who cannot be read, and that is said.
    scheduler.feed_again(&posted);
    scheduler.run_until("a resync", |scheduler| scheduler.resyncs.len() == 1);
    assert_eq!(scheduler.comments.len(), 2, "{:?}", scheduler.comments);
    assert!(scheduler.end().success());
}

#[test]
fn the_protocol_log_and_the_trace_for_the_user() {
    let (office, sink) = (Office::new(), sink(0));
    std::fs::write(office.path().join("public/v1"), "begun\n").expect("written");
    let log = office.path().join("log");
    let options = with(&sink, &["-l", log.to_str().expect("UTF-8")]);
    let mut scheduler = Scheduler::start(&office, &options, 0);
    let to = vec![to("b.test", "u@b.test"), to("b.test", "reject-550@b.test")];
    let posted = office.post("1-1", &["v ../public/v1"], &[group(to, "Subject: x\n")], "x\n");
    scheduler.know(&posted);
    scheduler.run_until_told(2, &["ok3", "error2"]);
    assert!(scheduler.end().success());
    let trace = std::fs::read_to_string(office.path().join("public/v1")).expect("readable");
    let lines: Vec<&str> = trace.lines().collect();
    assert!(lines.len() == 3 && lines[0] == "begun", "{trace}");
    assert!(lines[1].starts_with("pipelane: <u@b.test>: delivered: 2.") && lines[2].contains("failed: 5."), "{trace}");
    let log = std::fs::read_to_string(log).expect("readable");
    let said: Vec<&str> = log.lines().filter_map(|line| line.split_once("] ").map(|(_, said)| said)).collect();
    assert_eq!(said[0], "T: #hungry");
    assert!(said.contains(&"S: 1-1\tb.test") && said.iter().any(|said| said.starts_with("T: 1/")), "{log}");
}

/// The agent may run as root: what the `v` line names must be there, be no link, and belong to who sent the message.
#[test]
fn the_trace_makes_no_file_follows_no_link_and_is_the_senders_own() {
    let (office, sink) = (Office::new(), sink(0));
    let aim = office.path().join("aim");
    std::fs::write(&aim, "").expect("written");
    std::os::unix::fs::symlink(&aim, office.path().join("public/link")).expect("linked");
    std::fs::hard_link(&aim, office.path().join("public/hard")).expect("linked");
    let mut scheduler = Scheduler::start(&office, &force(&sink), 0);
    let of_another = office.path().join("public/another");
    std::fs::write(&of_another, "").expect("written");
    // Only root can give a file away.
    let is_given = std::os::unix::fs::chown(&of_another, Some(12345), None).is_ok();
    let another = if is_given { "v ../public/another" } else { "v ../public/new" };
    for (path, trace) in [
        ("1-1", "v ../public/link"),
        ("2-1", "v ../public/new"),
        ("3-1", "v ../aim"),
        ("4-1", "v ../public/hard"),
        ("5-1", another),
    ] {
        scheduler.know(&office.post(path, &[trace], &[group(vec![to("b.test", "u@b.test")], "Subject: x\n")], "x\n"));
    }
    scheduler.run_until_told(5, &["ok3"]);
    assert!(scheduler.end().success());
    assert_eq!(std::fs::read_to_string(aim).expect("readable"), "");
    assert_eq!(std::fs::read_to_string(of_another).expect("readable"), "");
    assert!(!office.path().join("public/new").exists());
}
