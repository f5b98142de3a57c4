//! The DNS client with real name servers: NSD with a signed zone, and Unbound, which validates it and looks up names
//! for others. Both are private instances on 127.0.0.1, on free ports, in a directory of the test's own; they are
//! ended by their own process ids, also when a test fails. The system's own name servers are neither asked nor
//! touched.
//!
//! What this machine lacks is said on stderr as `skipped: test: why`; with `PIPELANE_REQUIRE_MTA=1` it is a failure
//! instead. `PIPELANE_TEST_KEEP=1` leaves the directories of a failed test.

// Most of it is for `tests/mta`.
#[allow(dead_code)]
#[path = "../mta/place.rs"]
mod place;

#[path = "../certificates/mod.rs"]
#[allow(dead_code)]
mod certificates;
mod dane;
mod servers;
mod smtp;

use pipelane::config::{Config, NameServers, NextHopSettings, Routing};
use pipelane::engine::Engine;
use pipelane::lane::Ticket;
use pipelane::mail::{self, Address, Envelope, Message, Outcome, Verdict};
use pipelane::net::dns::{
    Content, Exchanger, Name, Own, Record, Resolver, RouteError, Server, Settings, Type, Wait, host, route, tlsa,
};
use pipelane::sink::{Sink, SinkOptions, Store};
use servers::{Nsd, Unbound};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

fn wait() -> Wait<'static> {
    Wait { until: Instant::now() + Duration::from_secs(60), wake: None }
}

fn name(text: &str) -> Name {
    Name::parse(text).expect(text)
}

fn resolver(ports: &[u16]) -> Resolver {
    let servers = ports.iter().map(|port| Server::new(([127, 0, 0, 1], *port).into())).collect();
    Resolver::new(Settings::of(servers))
}

fn to(resolver: &Resolver, domain: &str) -> Result<Vec<Exchanger>, RouteError> {
    let own = Own { names: vec![name("we.test")], addresses: None };
    route(resolver, domain, &own, &wait())
}

fn refusal(resolver: &Resolver, domain: &str) -> String {
    to(resolver, domain).expect_err("no way").status().to_string()
}

#[test]
fn a_validating_server_proves_every_kind_of_answer() {
    if !servers::are_here() {
        return;
    }
    let nsd = Nsd::start();
    let unbound = Unbound::start(&nsd);
    let resolver = resolver(&[unbound.port()]);
    let query = |text, of| resolver.query(&name(text), of, &wait()).expect(text);

    let address = |text: &str| Record::Address(text.parse().expect("an address"));
    let four = query("mx1.test", Type::A);
    assert_eq!((four.records(), four.secure), (&[address("192.0.2.1")][..], true));
    let six = query("mx1.test", Type::Aaaa);
    assert_eq!((six.records(), six.secure), (&[address("2001:db8::1")][..], true));
    let alias = query("alias.test", Type::A);
    assert_eq!((alias.name.as_str(), alias.records(), alias.secure), ("mx1.test", four.records(), true));
    let (none, empty) = (query("gone.test", Type::A), query("mx2.test", Type::Aaaa));
    assert_eq!((&none.content, none.secure), (&Content::NoSuchName, true));
    assert_eq!((&empty.content, empty.secure), (&Content::NoData, true));
    // The zone says that absence holds for a minute.
    assert!([none, empty].iter().all(|answer| (1..=60).contains(&answer.lifetime.as_secs())));

    let found = tlsa(&resolver, 25, &name("mx1.test"), &wait()).expect("an answer");
    let [Record::Tlsa(record)] = found.records() else { panic!("{found:?}") };
    assert_eq!((record.usage, record.selector, record.matching, record.data.len()), (3, 1, 1, 32));
    assert!(found.secure);
}

#[test]
fn an_answer_that_does_not_fit_comes_over_tcp() {
    if !servers::are_here() {
        return;
    }
    let nsd = Nsd::start();
    let unbound = Unbound::start(&nsd);
    for port in [unbound.port(), nsd.port()] {
        let answer = resolver(&[port]).query(&name("many.test"), Type::Mx, &wait()).expect("an answer");
        assert_eq!(answer.records().len(), 60);
    }
}

#[test]
fn an_altered_record_is_no_answer_and_no_denial() {
    if !servers::are_here() {
        return;
    }
    let nsd = Nsd::start();
    let unbound = Unbound::start(&nsd);
    let resolver = resolver(&[unbound.port()]);
    let error = resolver.query(&name("altered.test"), Type::A, &wait()).expect_err("not proved");
    assert!(error.to_string().ends_with("the name server answers SERVFAIL"), "{error}");
    assert_eq!(refusal(&resolver, "to-altered.test"), "4.4.3");
}

#[test]
fn the_way_to_each_kind_of_domain() {
    if !servers::are_here() {
        return;
    }
    let nsd = Nsd::start();
    let unbound = Unbound::start(&nsd);
    let resolver = resolver(&[unbound.port()]);
    let hosts = |domain| -> Vec<String> {
        let found = to(&resolver, domain).expect(domain);
        assert!(found.iter().all(|exchanger| exchanger.secure && !exchanger.addresses.is_empty()), "{found:?}");
        found.iter().map(|exchanger| exchanger.name.to_string()).collect()
    };
    assert_eq!(hosts("two.test"), ["mx1.test", "mx2.test"]);
    assert_eq!(hosts("also.test"), ["mx1.test", "mx2.test"], "an alias of it");
    assert_eq!(hosts("mx2.test"), ["mx2.test"], "without MX");
    assert_eq!(hosts("many.test").len(), 10);
    assert_eq!(hosts("relayed.test"), ["mx1.test"], "we are the second");
    let both: [IpAddr; 2] = ["2001:db8::1".parse().expect("one"), "192.0.2.1".parse().expect("one")];
    assert_eq!(to(&resolver, "two.test").expect("known by now")[0].addresses, both);
    let alias = host(&resolver, "alias.test", &wait()).expect("a host");
    assert_eq!((alias.canonical.as_str(), alias.secure), ("mx1.test", true));
    for (domain, status) in [
        ("null.test", "5.1.10"),
        ("gone.test", "5.1.2"),
        ("nowhere.test", "5.4.4"),
        ("text.test", "5.4.4"),
        ("ours.test", "5.4.6"),
    ] {
        assert_eq!(refusal(&resolver, domain), status, "{domain}");
    }
}

#[test]
fn a_server_with_authority_alone_is_enough_but_proves_nothing() {
    if !servers::are_here() {
        return;
    }
    let nsd = Nsd::start();
    let resolver = resolver(&[nsd.port()]);
    let found = to(&resolver, "two.test").expect("a way");
    assert!(found.len() == 2 && found.iter().all(|exchanger| !exchanger.secure));
    assert_eq!(refusal(&resolver, "gone.test"), "5.1.2");
    // Not its zone: it refuses, and that is no word on the name.
    assert_eq!(refusal(&resolver, "example.com"), "4.4.3");
}

#[test]
fn a_server_that_is_gone_is_passed_over_and_all_gone_is_temporary() {
    if !servers::are_here() {
        return;
    }
    let nsd = Nsd::start();
    let unbound = Unbound::start(&nsd);
    let (first, second) = (unbound.port(), nsd.port());
    drop(unbound);
    assert_eq!(to(&resolver(&[first, second]), "two.test").expect("the second").len(), 2);
    drop(nsd);
    assert_eq!(refusal(&resolver(&[first, second]), "two.test"), "4.4.3");
}

/// What becomes of a message to this next hop, when these name servers are asked.
fn sent(name_servers: &[u16], next_hop: &str) -> Outcome {
    let addresses = name_servers.iter().map(|port| ([127, 0, 0, 1], *port).into()).collect();
    let routing = Routing { name_servers: NameServers { addresses, trusted: false }, ..Routing::default() };
    let settings = NextHopSettings { routing, helo_name: Some("client.test".into()), ..NextHopSettings::default() };
    let engine = Engine::new(Arc::new(Config { defaults: Arc::new(settings), ..Config::default() }));
    let address = |text: &str| Address::parse(text).expect("an address");
    let message = Message {
        queue_id: None,
        next_hop: next_hop.parse().expect("a next hop"),
        envelope: Envelope::new(address("s@a.test"), vec![address("r@b.test")]).into(),
        content: Some(mail::Content::from_bytes(b"Subject: x\r\n\r\nx\r\n").expect("content")),
    };
    let room = engine.room(&message.next_hop, message.size(), Duration::ZERO).expect("room");
    let (ticket, inbox) = Ticket::issue(1);
    engine.submit(message, room, ticket);
    let report = inbox.wait(Duration::from_secs(120)).expect("a report");
    engine.drain();
    report.outcomes.into_iter().next().expect("an outcome")
}

#[test]
fn mail_goes_to_the_best_server_that_can_be_reached_and_fails_where_dns_says_so() {
    if !servers::are_here() {
        return;
    }
    let nsd = Nsd::start();
    let unbound = Unbound::start(&nsd);
    let sink = |last: u8, port: u16| {
        let listen = SocketAddr::from(([127, 0, 0, last], port));
        Sink::start(SinkOptions { listen, store: Store::Memory, ..SinkOptions::default() }).expect("a sink")
    };
    // Nothing listens on 127.0.0.2, which is the better one.
    let second = sink(3, 0);
    let port = second.address().port();
    let outcome = sent(&[unbound.port()], &format!("deliver.test:{port}"));
    assert!(outcome.is_delivered() && second.messages().len() == 1, "{outcome:?}");
    let first = sink(2, port);
    assert!(sent(&[unbound.port()], &format!("deliver.test:{port}")).is_delivered());
    assert_eq!((first.messages().len(), second.messages().len()), (1, 1));

    let status = |outcome: &Outcome| (outcome.verdict, outcome.status.to_string());
    for (domain, expected) in [("gone.test", "5.1.2"), ("null.test", "5.1.10"), ("nowhere.test", "5.4.4")] {
        let outcome = sent(&[unbound.port()], domain);
        assert_eq!(status(&outcome), (Verdict::Failed, expected.to_owned()), "{domain}: {}", outcome.text);
    }
    // A name server that does not know a domain to be gone fails nothing.
    let outcome = sent(&[place::free_port()], "gone.test");
    assert_eq!(status(&outcome), (Verdict::Deferred, "4.4.3".to_owned()), "{}", outcome.text);
    // Nor does a dead end in front of a relay that is there.
    let outcome = sent(&[unbound.port()], &format!("gone.test, [127.0.0.3]:{port}"));
    assert!(outcome.is_delivered(), "{outcome:?}");
}
