//! The log: one line a message, with what a postmaster needs, and nothing that does not belong there.

use crate::host::{Host, yes};
use crate::place::*;
use pipelane::mail::{Address, Content, Envelope, Message, Priority};
use std::sync::Arc;

#[test]
fn each_message_has_one_line_with_all_that_is_known() {
    let sink = sink();
    let engine = engine(lockstep());
    let hop = hop(sink.address());
    all_delivered(&submit_many(&engine, &hop, "one-line-", 20));
    for n in 0..20 {
        let lines = logged(&format!("one-line-{n}: "));
        let [line] = lines.as_slice() else { panic!("{lines:?}") };
        let port = sink.address().port();
        for word in [
            format!("next_hop={hop}"),
            "lane=lane 1".into(),
            format!("server=127.0.0.1[127.0.0.1]:{port}"),
            "level=lockstep".into(),
            "delivered=1/1".into(),
            "delays=".into(),
            "said=2.0.0 ".into(),
        ] {
            assert!(line.contains(&word), "no {word} in {line}");
        }
    }
}

#[test]
fn a_priority_that_was_given_is_in_the_line() {
    let (sink, engine) = (sink(), engine(settings()));
    for (n, priority) in [None, Some(Priority::LOWEST), Some(Priority::default())].into_iter().enumerate() {
        let mut message = message(&hop(sink.address()), &format!("hurried-{n}"), "r@b.test", 10);
        Arc::make_mut(&mut message.envelope).priority = priority;
        all_delivered(&[submit(&engine, message)]);
    }
    let lines = ["hurried-0: ", "hurried-1: ", "hurried-2: "].map(logged).concat();
    let [none, lowest, zero] = lines.as_slice() else { panic!("{lines:?}") };
    assert!(
        !none.contains("priority") && lowest.contains(", priority=-9, ") && zero.contains(", priority=0, "),
        "{lines:?}"
    );
}

#[test]
fn recipients_that_are_not_delivered_are_named_and_a_message_that_reached_nobody_has_its_line_too() {
    let (host, engine) = (Host::start(|_, mut peer| peer.say("421 4.3.2 busy\r\n")), engine(settings()));
    verdict(&submit(&engine, message(&hop(host.address), "unreached-line", "r@b.test", 10)));
    let lines = logged("unreached-line: ");
    assert_eq!(lines.iter().filter(|line| line.contains("delivered=0/1")).count(), 1, "{lines:?}");
    assert_eq!(lines.iter().filter(|line| line.contains("to=<r@b.test>") && line.contains("deferred")).count(), 1);
}

#[test]
fn what_a_server_says_and_what_a_caller_names_cannot_forge_a_line() {
    const EVIL: &str = "\u{1b}[2J\u{7}\r evil\u{85}";
    let host = Host::start(|_, mut peer| {
        peer.say(&format!("220 host.test {EVIL}\r\n"));
        peer.hear();
        peer.say(&format!("250-host.test {EVIL}\r\n250-SMTPUTF8\r\n250 {EVIL}\r\n"));
        peer.serve(|line| match line {
            _ if line.starts_with("RCPT") => Some(format!("550 5.1.1 {EVIL} no\r\n")),
            _ => yes(line),
        });
        peer.say(&format!("421 {EVIL}\r\n"));
    });
    let engine = engine(lockstep());
    let hop = hop(host.address);
    assert!(Address::parse("r\u{85}\u{9b}2J@b.test").is_err(), "an address with such characters is none");
    let mut evil = message(&hop, "x", "r\u{e9}@b.test", 10);
    evil.queue_id = Some(format!("forged-{EVIL}\nINFO second line"));
    verdict(&submit(&engine, evil));
    drop(engine);
    let lines = [logged("forged-"), logged(hop.as_str())].concat();
    assert!(lines.len() >= 3, "{lines:?}");
    for line in lines {
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }
}

#[test]
fn no_content_is_logged() {
    let sink = sink();
    let engine = engine(settings());
    let address = |text: &str| Address::parse(text).expect("an address");
    let message = Message {
        queue_id: Some("private-1".into()),
        next_hop: hop(sink.address()),
        envelope: Envelope::new(address("s@a.test"), vec![address("r@b.test"), address("reject-550@b.test")]).into(),
        content: Some(Content::from_bytes(b"Subject: the-secret-word\r\n\r\nthe-secret-word\r\n").expect("content")),
    };
    report(&submit(&engine, message));
    drop(engine);
    assert!(!logged("private-1").is_empty() && logged("the-secret-word").is_empty());
}
