//! What addresses ask for.

use crate::raw::{Client, start};
use crate::{RECIPIENT, SENDER, no_mistakes, transaction};
use pipelane::sink::SinkOptions;
use std::time::{Duration, Instant};

#[test]
fn recipients_are_refused_as_they_ask() {
    let sink = start(SinkOptions::default());
    let mut client = Client::ready(&sink);
    assert_eq!(client.ask(SENDER).code, 250);
    for code in [400, 450, 451, 452, 500, 550, 552, 599] {
        let kind = if code < 500 { "defer" } else { "reject" };
        let reply = client.ask(format!("RCPT TO:<{kind}-{code}+x@example.net>\r\n"));
        assert_eq!(reply.code, code);
        assert!(reply.lines[0].starts_with(if code < 500 { "4." } else { "5." }), "{reply:?}");
    }
    assert_eq!(client.group("RCPT TO:<defer-421@example.net>\r\n", 1), [421]);
    assert!(client.is_closed());
    assert_eq!(sink.totals().recipients_refused, 9);
    no_mistakes(&sink);
}

#[test]
fn senders_and_contents_are_refused_as_they_ask() {
    let sink = start(SinkOptions::default());
    let mut client = Client::ready(&sink);
    assert_eq!(client.ask("MAIL FROM:<defer-451@example.org>\r\n").code, 451);
    assert_eq!(
        client.group(transaction(&["b@example.net", "dot-550@example.net"], "x\r\n"), 5),
        [250, 250, 250, 250, 550]
    );
    let data = format!("RSET\r\nMAIL FROM:<dot-450@example.org>\r\n{RECIPIENT}DATA\r\n");
    assert_eq!(client.group(data, 4), [250, 250, 250, 354]);
    assert_eq!(client.ask("x\r\n.\r\n").code, 450);
    let totals = sink.totals();
    assert_eq!((totals.messages, totals.contents_refused, totals.senders_refused), (0, 2, 1));
    assert_eq!((totals.deliveries, totals.in_flight), (0, 0));
    no_mistakes(&sink);
}

#[test]
fn connections_are_dropped_as_they_ask() {
    for (address, stored) in [("dropdot", 0), ("eatdot", 1)] {
        let sink = start(SinkOptions::default());
        let mut client = Client::ready(&sink);
        client.send(transaction(&["b@example.net", &format!("{address}@example.net")], "x\r\n"));
        assert_eq!(client.rest(), [250; 4], "{address}");
        assert_eq!((sink.totals().messages, sink.messages().len()), (stored, stored as usize), "{address}");
        no_mistakes(&sink);
    }
    for address in ["drop", "reset"] {
        let sink = start(SinkOptions::default());
        let mut client = Client::ready(&sink);
        client.send(transaction(&["b@example.net", &format!("{address}@example.net")], "x\r\n"));
        assert_eq!(client.rest(), [250; 3], "{address}");
        assert_eq!(client.was_reset, address == "reset", "{address}");
        assert_eq!(sink.totals().messages, 0);
    }
}

#[test]
fn a_slow_recipient_delays_what_follows() {
    let sink = start(SinkOptions::default());
    let mut client = Client::ready(&sink);
    let started = Instant::now();
    assert_eq!(client.group(transaction(&["slow-300ms@example.net"], "x\r\n"), 4), [250; 4]);
    assert!(started.elapsed() >= Duration::from_millis(300));
    no_mistakes(&sink);
}
