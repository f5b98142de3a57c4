//! `tls = "dane"` and `"dane-only"` by a signed zone: whom mail goes to, and that none goes to anybody else.

use crate::certificates::Certificates;
use crate::servers::{self, Nsd, Unbound};
use crate::smtp::{Got, OTHER, Server};
use openssl::sha::sha256;
use openssl::x509::X509;
use pipelane::config::keys::set_next_hop;
use pipelane::config::{Config, NextHopSettings};
use pipelane::engine::Engine;
use pipelane::lane::Ticket;
use pipelane::mail::{Address, Content, Envelope, Message};
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(120);

fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |mut text, octet| {
        write!(text, "{octet:02x}").expect("a string");
        text
    })
}

fn certificate(name: &str) -> X509 {
    let pem = std::fs::read(Certificates::get().path(&format!("{name}.pem"))).expect("made");
    X509::from_pem(&pem).expect("a certificate")
}

/// The SHA-256 digest of a certificate's key.
fn key_digest(name: &str) -> String {
    let key = certificate(name).public_key().and_then(|key| key.public_key_to_der());
    hex(&sha256(&key.expect("DER")))
}

/// Domains whose only server is on this machine, with TLSA records for that port; and one with two servers.
fn zone(port: u16) -> String {
    let right = format!("3 1 1 {}", key_digest("stranger"));
    let issuer = format!("2 0 1 {}", hex(&sha256(&certificate("issuer").to_der().expect("DER"))));
    let mut text = "both MX 10 wrong-mx\nboth MX 20 right-mx\n".to_owned();
    for (name, record) in [
        ("right", Some(right.clone())),
        ("wrong", Some(format!("3 1 1 {}", "00".repeat(32)))),
        ("unusable", Some(format!("1 1 1 {}", "00".repeat(32)))),
        ("bare", None),
        // What is altered after the zone was signed cannot be learnt.
        ("spoiled", Some(format!("3 1 1 {}", "66".repeat(32)))),
        ("authority", Some(issuer)),
    ] {
        // What was tried under one name is not tried again under another.
        let address = if name == "wrong" { OTHER } else { Ipv4Addr::LOCALHOST };
        writeln!(text, "{name} MX 10 {name}-mx\n{name}-mx A {address}").expect("a string");
        if let Some(record) = record {
            writeln!(text, "_{port}._tcp.{name}-mx TLSA {record}").expect("a string");
        }
    }
    // The authority's certificate is for the name mx.test.
    writeln!(text, "named MX 10 mx\nmx A 127.0.0.1").expect("a string");
    let issuer = hex(&sha256(&certificate("issuer").to_der().expect("DER")));
    writeln!(text, "_{port}._tcp.mx TLSA 2 0 1 {issuer}").expect("a string");
    // The host is an alias, and the records are under its real name.
    writeln!(text, "aliased MX 10 alias-mx\nalias-mx CNAME right-mx").expect("a string");
    text
}

/// One message to this domain: delivered, or the status that it is put off with.
fn deliver(name_server: u16, policy: &str, domain: &str, port: u16) -> String {
    let mut settings = NextHopSettings::default();
    let name_servers = format!("127.0.0.1:{name_server}");
    for (key, value) in [("tls", policy), ("name_servers", name_servers.as_str()), ("helo_name", "client.example")] {
        set_next_hop(&mut settings, key, value).unwrap_or_else(|error| panic!("{key}: {error:?}"));
    }
    let engine = Engine::new(Arc::new(Config { defaults: Arc::new(settings), ..Config::default() }));
    let address = |text: &str| Address::parse(text).expect("an address");
    let message = Message {
        queue_id: Some("dane".into()),
        next_hop: format!("{domain}.test:{port}").parse().expect("a next hop"),
        envelope: Envelope::new(address("s@client.example"), vec![address(&format!("r@{domain}.test"))]).into(),
        content: Some(Content::from_bytes(b"Subject: dane\r\n\r\nhello\r\n").expect("content")),
    };
    let room = engine.room(&message.next_hop, message.size(), LIMIT).expect("room");
    let (ticket, inbox) = Ticket::issue(1);
    engine.submit(message, room, ticket);
    let outcome = inbox.wait(LIMIT).expect("a report in time").outcomes.remove(0);
    engine.drain();
    if outcome.is_delivered() { "delivered".into() } else { outcome.status.to_string() }
}

/// What a server has when one message came encrypted, after handshakes under these names.
fn encrypted(names: &[&str]) -> Got {
    Got { names: names.iter().map(|name| (*name).to_owned()).collect(), in_clear: 0, encrypted: 1 }
}

#[test]
fn mail_goes_only_to_whom_the_zone_vouches_for() {
    if !servers::are_here() {
        return;
    }
    let server = Server::start(Some(Certificates::get().acceptor("stranger")));
    let port = server.port();
    let nsd = Nsd::start_with(&zone(port));
    let unbound = Unbound::start(&nsd);
    let nothing = |names: &[&str]| Got { encrypted: 0, ..encrypted(names) };
    let rows = [
        ("dane", "right", "delivered", encrypted(&["right-mx.test"])),
        ("dane-only", "right", "delivered", encrypted(&["right-mx.test"])),
        ("dane", "aliased", "delivered", encrypted(&["right-mx.test"])),
        ("dane", "wrong", "4.7.5", nothing(&["wrong-mx.test"])),
        ("dane-only", "wrong", "4.7.5", nothing(&["wrong-mx.test"])),
        ("dane", "both", "delivered", encrypted(&["wrong-mx.test", "right-mx.test"])),
        ("dane", "authority", "4.7.5", nothing(&["authority-mx.test"])),
        ("dane", "unusable", "delivered", encrypted(&["unusable-mx.test"])),
        ("dane-only", "unusable", "4.7.5", Got::default()),
        ("dane", "bare", "delivered", encrypted(&["bare-mx.test"])),
        ("dane-only", "bare", "4.7.5", Got::default()),
        ("dane", "spoiled", "4.7.5", Got::default()),
        ("dane-only", "spoiled", "4.7.5", Got::default()),
        // Records are for those who ask.
        ("may", "wrong", "delivered", encrypted(&["wrong-mx.test"])),
    ];
    for (policy, domain, expected, got) in rows {
        assert_eq!(deliver(unbound.port(), policy, domain, port), expected, "{policy} {domain}");
        assert_eq!(server.take(), got, "{policy} {domain}");
    }
    // A name server that proves nothing: as if there were no records.
    assert_eq!(deliver(nsd.port(), "dane", "wrong", port), "delivered");
    assert_eq!(deliver(nsd.port(), "dane-only", "right", port), "4.7.5");
}

#[test]
fn an_authority_in_the_zone_vouches_for_the_name_of_the_server() {
    if !servers::are_here() {
        return;
    }
    let server = Server::start(Some(Certificates::get().acceptor("under")));
    let nsd = Nsd::start_with(&zone(server.port()));
    let unbound = Unbound::start(&nsd);
    assert_eq!(deliver(unbound.port(), "dane", "named", server.port()), "delivered");
    assert_eq!(server.take(), encrypted(&["mx.test"]));
    assert_eq!(deliver(unbound.port(), "dane", "authority", server.port()), "4.7.5", "another name");
    assert_eq!(server.take().encrypted, 0);
}

#[test]
fn a_server_that_offers_no_tls_gets_nothing_where_the_zone_says_that_it_has_it() {
    if !servers::are_here() {
        return;
    }
    let server = Server::start(None);
    let nsd = Nsd::start_with(&zone(server.port()));
    let unbound = Unbound::start(&nsd);
    let clear = Got { in_clear: 1, ..Got::default() };
    for (domain, expected, got) in
        [("right", "4.7.4", Got::default()), ("unusable", "4.7.4", Got::default()), ("bare", "delivered", clear)]
    {
        assert_eq!(deliver(unbound.port(), "dane", domain, server.port()), expected, "{domain}");
        assert_eq!(server.take(), got, "{domain}");
    }
}
