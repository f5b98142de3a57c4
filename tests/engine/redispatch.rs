//! Messages that come back from a lost connection, messages that no server survives, and messages that nobody wants any
//! more.

use crate::host::{Host, yes};
use crate::place::*;
use pipelane::config::{Level, NextHopSettings};
use pipelane::lane::Inbox;
use pipelane::mail::{Address, Content, ContentBuilder, ContentRules, Envelope, Message, Verdict};
use pipelane::sink::SinkOptions;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Duration;

/// Twenty good messages and in their midst one at which the server hangs up, always.
fn with_a_poison(settings: NextHopSettings, options: SinkOptions) -> (Vec<Verdict>, Verdict, Vec<String>, u64) {
    let sink = sink_with(options);
    let engine = engine(settings);
    let hop = hop(sink.address());
    let mut good = submit_many(&engine, &hop, "good", 10);
    let poison = submit(&engine, message(&hop, "poison", "drop@b.test", 200));
    good.extend((10..20).map(|n| submit(&engine, message(&hop, &format!("good{n}"), "r@b.test", 200))));
    let result = (verdicts(&good), verdict(&poison));
    (result.0, result.1, arrived(&sink), sink.totals().connections)
}

#[test]
fn a_message_that_kills_every_connection_ends_deferred_and_takes_no_other_with_it() {
    for level in [Level::Lockstep, Level::Envelope, Level::Overlap] {
        let settings = NextHopSettings { max_level: level, ..settings() };
        let (good, poison, arrived, connections) = with_a_poison(settings, SinkOptions::default());
        assert_eq!(good, [Verdict::Delivered; 20], "{level}");
        assert_eq!(poison, Verdict::Deferred, "{level}");
        assert_eq!(arrived.len(), 20, "{level}: exactly once");
        assert!(connections <= 6, "{level}: {connections} connections");
    }
}

#[test]
fn in_a_stream_those_behind_it_are_delivered_or_in_doubt_and_none_is_used_up() {
    let options = SinkOptions { latency: Duration::from_millis(20), ..SinkOptions::default() };
    let (good, poison, arrived, _) = with_a_poison(NextHopSettings { window_messages: 4, ..streaming() }, options);
    let doubt = good.iter().filter(|verdict| **verdict == Verdict::InDoubt).count();
    let delivered = good.iter().filter(|verdict| **verdict == Verdict::Delivered).count();
    assert_eq!(delivered + doubt, 20, "{good:?}");
    assert!(doubt <= 3, "no more than share the window with it: {good:?}");
    assert_eq!(poison, Verdict::InDoubt, "it was sent whole");
    assert_eq!(arrived.len(), delivered, "those in doubt were not stored by this server");
}

#[test]
fn one_that_kills_alone_is_given_up_after_the_bound_and_the_site_is_not() {
    let sink = sink();
    let engine = engine(NextHopSettings { redispatches: 3, ..lockstep() });
    let hop = hop(sink.address());
    assert_eq!(verdict(&submit(&engine, message(&hop, "poison", "drop@b.test", 200))), Verdict::Deferred);
    assert_eq!(sink.totals().connections, 4);
    assert!(engine.trouble(&hop).is_none());
    all_delivered(&submit_many(&engine, &hop, "good", 3));
    assert!(engine.statistics().counts().to_string().contains("redispatched=3"), "{}", engine.statistics().counts());
}

#[test]
fn several_poisons_do_not_hold_each_other_up() {
    let sink = sink();
    let engine = engine(lockstep());
    let hop = hop(sink.address());
    let (mut good, mut bad): (Vec<Inbox>, Vec<Inbox>) = Default::default();
    for n in 0..5 {
        good.extend(submit_many(&engine, &hop, &format!("good{n}-"), 4));
        bad.push(submit(&engine, message(&hop, &format!("bad{n}"), "reset@b.test", 200)));
    }
    assert_eq!(verdicts(&bad), [Verdict::Deferred; 5]);
    all_delivered(&good);
    assert_eq!(arrived(&sink).len(), 20);
}

#[test]
fn order_is_kept_over_a_lost_connection() {
    let host = Host::start(|number, mut peer| {
        peer.greet(&[]);
        let mut recipients = 0;
        // Each of the first connections ends at its second message.
        peer.serve(|line| {
            recipients += usize::from(line.starts_with("RCPT"));
            if recipients == 2 && number < 3 { None } else { yes(line) }
        });
    });
    let engine = engine(lockstep());
    let inboxes = submit_many(&engine, &hop(host.address), "order", 10);
    all_delivered(&inboxes);
    let hop = hop(host.address);
    let lines = logged(&format!("next_hop={hop}, lane"));
    let ids: Vec<&str> = lines.iter().filter_map(|line| line.split(' ').nth(1)).collect();
    assert_eq!(ids, (0..10).map(|n| format!("order{n}:")).collect::<Vec<_>>());
}

#[test]
fn a_message_withdrawn_while_it_waits_is_not_sent() {
    let (go, gone) = channel::<()>();
    let gone = Mutex::new(gone);
    let host = Host::start(move |_, mut peer| {
        peer.greet(&[]);
        peer.serve(|line| if line == "DATA" { None } else { yes(line) });
        let _ = gone.lock().expect("no panic").recv();
        peer.say("354 go\r\n");
        peer.content();
        peer.say("250 ok\r\n");
        peer.serve(|line| if line.contains("withdrawn@") { panic!("it was sent") } else { yes(line) });
    });
    let engine = engine(lockstep());
    let hop = hop(host.address);
    let first = submit(&engine, message(&hop, "first", "r@b.test", 100));
    let withdrawn = submit(&engine, message(&hop, "not-wanted", "withdrawn@b.test", 100));
    let last = submit(&engine, message(&hop, "last", "r@b.test", 100));
    drop(withdrawn);
    drop(go);
    all_delivered(&[first, last]);
    assert_eq!(logged("not-wanted: ").len(), 1, "{:?}", logged("not-wanted: "));
}

#[test]
fn a_message_withdrawn_in_the_middle_of_its_content_is_not_delivered_and_the_next_one_is() {
    let (in_content, inside) = channel::<()>();
    let in_content = Mutex::new(in_content);
    let (go, gone) = channel::<()>();
    let gone = Mutex::new(gone);
    let host = Host::start(move |number, mut peer| {
        peer.narrow();
        peer.greet(&[]);
        if number == 0 {
            peer.serve(|line| if line == "DATA" { None } else { yes(line) });
            peer.say("354 go\r\n");
            peer.hear();
            in_content.lock().expect("no panic").send(()).expect("the test waits");
            let _ = gone.lock().expect("no panic").recv();
            return assert!(!peer.content(), "it was sent whole");
        }
        peer.serve(yes);
    });
    let engine = engine(lockstep());
    let hop = hop(host.address);
    let large = submit(&engine, message(&hop, "large", "r@b.test", 32 << 20));
    let next = submit(&engine, message(&hop, "next", "r@b.test", 100));
    inside.recv_timeout(LONG).expect("the content has begun");
    drop(large);
    drop(go);
    all_delivered(&[next]);
    assert_eq!(host.connections(), 2);
}

/// Content in a file that is cut short afterwards, behind the engine's back.
fn broken_content(octets: usize) -> Content {
    let place = tempfile::tempdir().expect("a directory");
    let rules = ContentRules { memory_limit: 0, directory: place.path().to_owned(), ..ContentRules::default() };
    let mut builder = ContentBuilder::new(rules);
    builder.push(&b"x\r\n".repeat(octets / 3)).expect("stored");
    let content = builder.finish().expect("content");
    let mine = |path: &std::path::Path| std::fs::read_link(path).is_ok_and(|file| file.starts_with(place.path()));
    let descriptors = std::fs::read_dir("/proc/self/fd").expect("Linux").flatten().map(|entry| entry.path());
    let file = descriptors.into_iter().find(|path| mine(path)).expect("the file is open");
    std::fs::OpenOptions::new().write(true).open(file).expect("ours").set_len(octets as u64 / 2).expect("cut");
    content
}

#[test]
fn content_that_cannot_be_read_defers_its_message_and_puts_no_other_in_doubt() {
    for mut settings in [streaming(), lockstep()] {
        // On a busy machine this test may pause for longer than others let a connection be idle.
        settings.timeouts.idle = LONG;
        let sink = sink_with(SinkOptions { latency: Duration::from_millis(50), ..SinkOptions::default() });
        let engine = engine(settings);
        let hop = hop(sink.address());
        let mut good = submit_many(&engine, &hop, "a", 5);
        let mut broken = message(&hop, "broken", "r@b.test", 100);
        broken.content = Some(broken_content(300_000));
        let broken = submit(&engine, broken);
        good.extend(submit_many(&engine, &hop, "b", 5));
        let outcome = report(&broken).outcomes.remove(0);
        assert_eq!((outcome.verdict, outcome.status.to_string().as_str()), (Verdict::Deferred, "4.3.0"), "{outcome:?}");
        all_delivered(&good);
        assert_eq!((arrived(&sink).len(), sink.totals().connections), (10, 2));
    }
}

/// A server that answers 421 to the recipient `poison` and says yes to everything else.
fn that_says_farewell_to_poison(offers: &'static [&'static str]) -> Host {
    Host::start(move |_, mut peer| {
        peer.greet(offers);
        peer.serve(|line| match line {
            "RCPT TO:<poison@b.test>" => Some("421 4.7.0 go away\r\n".to_owned()),
            _ => yes(line),
        });
    })
}

#[test]
fn a_message_that_gets_a_farewell_each_time_is_given_up_although_others_are_answered_meanwhile() {
    for (offers, settings) in [(&[][..], lockstep()), (&["PIPELINING"], settings())] {
        let host = that_says_farewell_to_poison(offers);
        let (engine, hop) = (engine(NextHopSettings { redispatches: 10, ..settings }), hop(host.address));
        let mut good = submit_many(&engine, &hop, "good", 3);
        let poison = submit(&engine, message(&hop, "poison", "poison@b.test", 200));
        good.extend(submit_many(&engine, &hop, "more", 60));
        let report = report(&poison);
        assert_eq!((report.outcomes[0].verdict, report.outcomes[0].code), (Verdict::Deferred, Some(421)));
        all_delivered(&good);
        assert!(host.connections() <= 8, "{} connections", host.connections());
    }
}

#[test]
fn messages_that_get_farewells_do_not_make_a_server_one_that_is_down() {
    // All of them in front; or two, and one at the end.
    for front in [3, 2] {
        let host = that_says_farewell_to_poison(&[]);
        let (engine, hop) = (engine(lockstep()), hop(host.address));
        let poison = |n: usize| submit(&engine, message(&hop, &format!("poison{n}"), "poison@b.test", 200));
        let mut bad: Vec<Inbox> = (0..front).map(poison).collect();
        let good = submit_many(&engine, &hop, "good", 40);
        bad.extend((front..3).map(poison));
        all_delivered(&good);
        assert_eq!(verdicts(&bad), [Verdict::Deferred; 3]);
        assert!(engine.trouble(&hop).is_none());
        assert!(host.connections() <= 20, "{} connections", host.connections());
    }
}

#[test]
fn messages_whose_sender_gets_a_farewell_do_not_make_a_server_one_that_is_down() {
    let host = Host::start(|_, mut peer| {
        peer.greet(&[]);
        peer.serve(|line| match line {
            "MAIL FROM:<poison@a.test>" => Some("421 4.7.0 go away\r\n".to_owned()),
            _ => yes(line),
        });
    });
    let (engine, hop) = (engine(lockstep()), hop(host.address));
    let poison = |n: usize| {
        let message = message(&hop, &format!("poison{n}"), "r@b.test", 200);
        let sender = Address::parse("poison@a.test").expect("an address");
        let envelope = Envelope { sender, ..Envelope::clone(&message.envelope) }.into();
        submit(&engine, Message { envelope, ..message })
    };
    let bad: Vec<Inbox> = (0..3).map(poison).collect();
    all_delivered(&submit_many(&engine, &hop, "good", 40));
    assert_eq!(verdicts(&bad), [Verdict::Deferred; 3]);
    assert!(engine.trouble(&hop).is_none());
}

#[test]
fn a_message_of_which_each_connection_takes_some_recipients_goes_on() {
    // Two recipients a transaction, one transaction a connection.
    let host = Host::start(|_, mut peer| {
        peer.greet(&[]);
        let (mut transactions, mut recipients) = (0, 0);
        peer.serve(|line| {
            transactions += usize::from(line.starts_with("MAIL"));
            recipients = if line.starts_with("RCPT") { recipients + 1 } else { 0 };
            match line.get(..4) {
                Some("MAIL") if transactions > 1 => Some("421 4.7.0 one a connection\r\n".to_owned()),
                Some("RCPT") if recipients > 2 => Some("452 4.5.3 two at a time\r\n".to_owned()),
                _ => yes(line),
            }
        });
    });
    let (engine, hop) = (engine(lockstep()), hop(host.address));
    let recipients = (0..20).map(|n| Address::parse(&format!("r{n}@b.test")).expect("an address")).collect();
    let one = message(&hop, "many", "r@b.test", 200);
    let envelope = Envelope::new(one.envelope.sender.clone(), recipients).into();
    let report = report(&submit(&engine, Message { envelope, ..one }));
    let delivered = report.outcomes.iter().filter(|outcome| outcome.is_delivered()).count();
    assert_eq!((delivered, host.connections()), (20, 10), "{report:?}");
}
