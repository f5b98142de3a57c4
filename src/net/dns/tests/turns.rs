//! Several servers, or none that answers: who is asked when, and how long it may take.

use super::server::{A, Reply, TestServer};
use super::*;
use crate::config::NameServers;
use crate::net::Wake;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

/// Waits until something is so.
fn eventually(is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < LONG, "it never came about");
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn trouble_over_tcp_leads_to_the_next_server() {
    let next = good();
    let over_tcp = |says: fn(&super::server::Asked) -> Vec<Vec<u8>>| {
        TestServer::start(
            move |asked| {
                if asked.is_tcp { says(asked) } else { vec![Reply::to(asked).truncated().octets()] }
            },
        )
    };
    for says in [
        (|_| Vec::new()) as fn(&super::server::Asked) -> Vec<Vec<u8>>,
        |_| vec![vec![0; 100]],
        |asked| vec![Reply::to(asked).truncated().octets()],
        |asked| vec![Reply::to(asked).rcode(2).octets()],
    ] {
        assert_eq!(records(ask(&[&over_tcp(says), &next])), [address(1)]);
    }
    // One that does not listen on TCP.
    let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let server = Server::new(udp.local_addr().expect("bound"));
    let thread = thread::spawn(move || {
        let mut octets = [0; 512];
        let (length, from) = udp.recv_from(&mut octets).expect("a question");
        octets[2..4].copy_from_slice(&[0x83, 0x80]);
        udp.send_to(&octets[..length], from).expect("sent");
    });
    let resolver = Resolver::new(Settings::of(vec![server, Server::new(next.address)]));
    assert_eq!(records(resolver.query(&name("a.test"), Type::A, &long())), [address(1)]);
    thread.join().expect("ends");
}

#[test]
fn a_server_that_has_no_answer_is_followed_by_the_next_and_not_asked_again() {
    let next = good();
    for rcode in [2, 5, 9] {
        let refuses = TestServer::saying(move |reply| reply.rcode(rcode));
        assert_eq!(records(ask(&[&refuses, &next])), [address(1)]);
        assert_eq!(refuses.asked().len(), 1);
    }
    let curt = TestServer::saying(|reply| Reply { question: None, ..reply.rcode(5) });
    assert_eq!(records(ask(&[&curt, &next])), [address(1)]);
    let fails = TestServer::saying(|reply| reply.rcode(2));
    let said = text(ask(&[&fails, &curt]));
    let (one, two) = (fails.address, curt.address);
    let expected =
        format!("A of a.test: {one}: the name server answers SERVFAIL; {two}: the name server answers REFUSED");
    assert_eq!(said, expected);
}

#[test]
fn for_dane_a_server_that_validates_is_not_followed_by_one_that_does_not() {
    let (fails, forged) = (TestServer::saying(|reply| reply.rcode(2)), good());
    let untrusted = Server { trusted: false, ..Server::new(forged.address) };
    let settings = Settings::of(vec![Server::new(fails.address), untrusted]);
    let said = text(Resolver::new(settings.only_believed()).query(&name("a.test"), Type::A, &long()));
    assert_eq!(said, format!("A of a.test: {}: the name server answers SERVFAIL", fails.address));
    assert_eq!(forged.asked().len(), 0);

    let elsewhere = "192.0.2.1:53".parse().expect("an address");
    let whom = NameServers { addresses: vec![fails.address, elsewhere], trusted: false };
    let resolvers = Resolvers::default();
    let brief = || Wait { until: Instant::now() + Duration::from_millis(300), wake: None };
    let said = |dane| text(resolvers.get(&whom, dane).query(&name("a.test"), Type::A, &brief()));
    assert!(!said(true).contains("192.0.2.1"), "{}", said(true));
    assert!(said(false).contains("192.0.2.1"), "others ask all: {}", said(false));
}

#[test]
fn a_port_where_nobody_listens_costs_no_time() {
    let closed = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port").local_addr().expect("bound");
    let next = good();
    let servers = vec![Server::new(closed), Server::new(next.address)];
    let resolver = Resolver::new(Settings { timeout: LONG, ..Settings::of(servers) });
    let begun = Instant::now();
    assert_eq!(records(resolver.query(&name("a.test"), Type::A, &long())), [address(1)]);
    assert!(begun.elapsed() < LONG / 2);
}

#[test]
fn a_silent_server_is_asked_again_and_then_given_up() {
    let (silent, next) = (TestServer::silent(), good());
    let settings = |servers: &[&TestServer]| Settings {
        timeout: Duration::from_millis(50),
        attempts: 3,
        ..Settings::of(servers.iter().map(|server| Server::new(server.address)).collect())
    };
    let patient = Settings { timeout: LONG, ..settings(&[&next]) };
    assert_eq!(records(Resolver::new(patient).query(&name("a.test"), Type::A, &long())), [address(1)]);
    let said = text(Resolver::new(settings(&[&silent])).query(&name("a.test"), Type::A, &long()));
    assert_eq!(said, format!("A of a.test: {}: no answer in time", silent.address));
    assert_eq!(silent.times_asked(3), 3);
}

#[test]
fn a_silent_server_is_followed_by_the_next() {
    let (silent, next) = (TestServer::silent(), good());
    let servers = vec![Server::new(silent.address), Server::new(next.address)];
    let resolver = Resolver::new(Settings { timeout: Duration::from_secs(1), ..Settings::of(servers) });
    assert_eq!(records(resolver.query(&name("a.test"), Type::A, &long())), [address(1)]);
}

#[test]
fn a_server_that_was_silent_comes_last_for_a_time() {
    let (silent, next) = (TestServer::silent(), good());
    let servers = vec![Server::new(silent.address), Server::new(next.address)];
    let settings = Settings { timeout: Duration::from_millis(500), remembered: 0, ..Settings::of(servers) };
    let resolver = Resolver::new(settings);
    for _ in 0..5 {
        assert_eq!(records(resolver.query(&name("a.test"), Type::A, &long())), [address(1)]);
    }
    let mut asked = (silent.asked().len(), next.asked().len());
    // On a slow machine the other may have been silent once too.
    asked.0 = asked.0.min(asked.1);
    assert!(asked.0 < 5, "each question waited for the silent one: {asked:?}");
}

#[test]
fn the_callers_moment_ends_all_waiting() {
    let silent = TestServer::silent();
    let wait = Wait { until: Instant::now() + Duration::from_millis(100), wake: None };
    let begun = Instant::now();
    assert!(resolver(&[&silent, &silent]).query(&name("a.test"), Type::A, &wait).is_err());
    assert!(begun.elapsed() >= Duration::from_millis(90) && begun.elapsed() < LONG / 2);
    assert_eq!(silent.times_asked(1), 1);
}

#[test]
fn a_wake_ends_all_waiting() {
    let silent = TestServer::silent();
    let wake = Wake::new().expect("a descriptor");
    let signal = wake.clone();
    let thread = thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        signal.signal();
    });
    let wait = Wait { wake: Some(&wake), ..long() };
    let begun = Instant::now();
    let said = text(resolver(&[&silent]).query(&name("a.test"), Type::A, &wait));
    assert_eq!(said, "A of a.test: interrupted");
    assert!(begun.elapsed() < LONG / 2 && wake.is_signalled());
    thread.join().expect("ends");
}

#[test]
fn settings_without_sense_are_survived() {
    let server = good();
    let settings = Settings::of(vec![Server::new(server.address); 100]);
    let settings = Settings { timeout: Duration::MAX, attempts: 0, remembered: usize::MAX, ..settings };
    assert_eq!(records(Resolver::new(settings).query(&name("a.test"), Type::A, &long())), [address(1)]);
    // One that answers can be faster than no time at all.
    let silent = TestServer::start(|_| Vec::new());
    let hasty = Settings { timeout: Duration::ZERO, ..Settings::of(vec![Server::new(silent.address)]) };
    assert!(text(Resolver::new(hasty).query(&name("a.test"), Type::A, &long())).ends_with("no answer in time"));
}

#[test]
fn without_servers_there_is_a_reason() {
    assert_eq!(text(ask(&[])), "A of a.test: there is no name server to ask");
}

#[test]
fn many_threads_ask_at_once() {
    let server = TestServer::start(|asked| vec![Reply::to(asked).record(&asked.name, A, 60, "192.0.2.1").octets()]);
    let resolver = resolver(&[&server]);
    thread::scope(|scope| {
        for n in 0..8 {
            let resolver = &resolver;
            scope.spawn(move || {
                for m in 0..20 {
                    let answer = resolver.query(&name(&format!("n{n}-{m}.test")), Type::A, &long());
                    assert_eq!(records(answer), [address(1)]);
                }
            });
        }
    });
}

#[test]
fn the_same_question_is_asked_once_at_a_time() {
    let (open, gate) = (Arc::new(Barrier::new(2)), Arc::new(AtomicBool::new(false)));
    for rcode in [0, 2] {
        let (opens, closed) = (Arc::clone(&open), Arc::clone(&gate));
        let server = TestServer::start(move |asked| {
            // The first waits until all others wait for it.
            if !closed.swap(true, Ordering::SeqCst) {
                opens.wait();
            }
            let reply = Reply::to(asked).rcode(rcode);
            vec![if rcode == 0 { reply.record("a.test", A, 60, "192.0.2.1") } else { reply }.octets()]
        });
        gate.store(false, Ordering::SeqCst);
        let resolver = resolver(&[&server]);
        thread::scope(|scope| {
            let asking: Vec<_> =
                (0..8).map(|_| scope.spawn(|| resolver.query(&name("a.test"), Type::A, &long()))).collect();
            eventually(|| resolver.waiting(&name("a.test"), Type::A) == 7);
            open.wait();
            let all = asking.into_iter().map(|one| one.join().expect("no panic"));
            assert!(all.map(|told| told.is_ok()).all(|is_ok| is_ok == (rcode == 0)));
        });
        assert_eq!(server.asked().len(), 1);
    }
}

#[test]
fn who_waits_for_the_question_of_another_asks_when_that_one_gives_up() {
    let server = TestServer::silent();
    let wake = Wake::new().expect("a descriptor");
    let settings = Settings { timeout: LONG, ..Settings::of(vec![Server::new(server.address)]) };
    let resolver = Resolver::new(settings);
    thread::scope(|scope| {
        let first = scope.spawn(|| resolver.query(&name("a.test"), Type::A, &Wait { wake: Some(&wake), ..long() }));
        server.times_asked(1);
        let brief = || Wait { until: Instant::now() + Duration::from_millis(100), wake: None };
        assert_eq!(text(resolver.query(&name("a.test"), Type::A, &brief())), "A of a.test: no answer in time");
        let second = scope.spawn(|| {
            let wait = Wait { until: Instant::now() + Duration::from_secs(2), wake: None };
            resolver.query(&name("a.test"), Type::A, &wait)
        });
        eventually(|| resolver.waiting(&name("a.test"), Type::A) == 1);
        wake.signal();
        assert_eq!(text(first.join().expect("no panic")), "A of a.test: interrupted");
        assert_eq!(server.times_asked(2), 2);
        assert!(second.join().expect("no panic").is_err());
    });
}
