//! Mail for a domain with a policy: whom it goes to, and that none goes to anybody else.

use crate::certificates::Certificates;
use crate::dns::TLSA;
use crate::place::{PolicyHost, Zone, page, policy};
use crate::smtp::{Got, Server};
use openssl::sha::sha256;
use openssl::x509::X509;
use pipelane::config::keys::set_next_hop;
use pipelane::config::{Config, NextHopSettings};
use pipelane::conn::Ways;
use pipelane::engine::Engine;
use pipelane::lane::{Dialler, Ticket};
use pipelane::mail::{Address, Content, Envelope, Message, Outcome};
use pipelane::net::mta_sts::Policies;
use std::path::Path;
use std::sync::Arc;

/// A domain with all that belongs to it, and one mail server, which both `mx.test` and `evil.test` are names of.
struct World {
    zone: Zone,
    host: Option<PolicyHost>,
    port: u16,
    server: Server,
    directory: Option<tempfile::TempDir>,
}

impl World {
    /// With a mail server of this certificate, or one without TLS.
    fn new(certificate: Option<&str>, policy: &str) -> World {
        let host = PolicyHost::start("policy", page(policy));
        World {
            zone: Zone::start(Some("v=STSv1; id=1;")),
            port: host.port(),
            host: Some(host),
            server: Server::start(certificate.map(|name| Certificates::get().acceptor(name))),
            directory: None,
        }
    }

    /// One message by an engine of its own, with these keys.
    fn send_to(&self, next_hop: &str, keys: &[(&str, &str)]) -> Outcome {
        let mut settings = NextHopSettings::default();
        let name_server = self.zone.server.address.to_string();
        let ca_file = Certificates::get().path("ca.pem").display().to_string();
        let always =
            [("name_servers", name_server.as_str()), ("tls_ca_file", &ca_file), ("helo_name", "client.example")];
        for (key, value) in always.iter().chain(keys) {
            set_next_hop(&mut settings, key, value).unwrap_or_else(|error| panic!("{key}: {error:?}"));
        }
        let directory = self.directory.as_ref().map(tempfile::TempDir::path).map(Path::to_owned);
        let ways = Ways { policies: Policies::new(directory).on_port(self.port), ..Ways::default() };
        let config = Config { defaults: Arc::new(settings), ..Config::default() };
        let engine = Engine::with_connector(Arc::new(config), Arc::new(Dialler::over(ways)));
        let address = |text: &str| Address::parse(text).expect("an address");
        let message = Message {
            queue_id: None,
            next_hop: next_hop.parse().expect("a next hop"),
            envelope: Envelope::new(address("s@client.example"), vec![address("r@a.test")]).into(),
            content: Some(Content::from_bytes(b"Subject: x\r\n\r\nx\r\n").expect("content")),
        };
        let room = engine.room(&message.next_hop, message.size(), crate::LONG).expect("room");
        let (ticket, inbox) = Ticket::issue(1);
        engine.submit(message, room, ticket);
        let outcome = inbox.wait(crate::LONG).expect("a report in time").outcomes.remove(0);
        engine.drain();
        outcome
    }

    /// `delivered`, or the status that the message is put off with; and what the server has got.
    fn send(&self, keys: &[(&str, &str)]) -> (String, Got) {
        let keys = [&[("mta_sts", "yes")], keys].concat();
        let outcome = self.send_to(&format!("a.test:{}", self.server.port()), &keys);
        let told = if outcome.is_delivered() { "delivered".into() } else { outcome.status.to_string() };
        (told, self.server.take())
    }
}

fn got(names: &[&str], in_clear: usize, encrypted: usize) -> Got {
    Got { names: names.iter().map(|name| (*name).to_owned()).collect(), in_clear, encrypted }
}

fn enforced() -> String {
    policy("enforce", &["mx.test"])
}

#[test]
fn mail_goes_encrypted_to_the_servers_of_an_enforced_policy() {
    let world = World::new(Some("mx"), &enforced());
    for tls in ["may", "require", "verify", "dane", "none"] {
        assert_eq!(world.send(&[("tls", tls)]), ("delivered".into(), got(&["mx.test"], 0, 1)), "{tls}");
    }
    // The name that `tls` verifies already stays the administrator's.
    let (told, got_then) = world.send(&[("tls", "verify"), ("tls_name", "elsewhere.test")]);
    assert_eq!((told.as_str(), got_then.encrypted), ("4.7.5", 0));
    // Another name of the administrator's is none of the domain's.
    assert_eq!(world.send(&[("tls_name", "elsewhere.test")]), ("delivered".into(), got(&["mx.test"], 0, 1)));
}

#[test]
fn a_server_that_the_policy_does_not_name_is_not_tried() {
    let world = World::new(Some("mx"), &enforced());
    world.zone.servers(&["evil.test", "mx.test"]);
    assert_eq!(world.send(&[]), ("delivered".into(), got(&["mx.test"], 0, 1)));
    world.zone.servers(&["evil.test"]);
    assert_eq!(world.send(&[]), ("4.7.5".into(), Got::default()));
    let outcome = world.send_to(&format!("a.test:{}", world.server.port()), &[("mta_sts", "yes")]);
    let expected = "evil.test: the MTA-STS policy of a.test does not name this server, so nothing is sent to it";
    assert_eq!(outcome.text, expected);
    // Who does not ask sends there.
    assert_eq!(world.send(&[("mta_sts", "no")]), ("delivered".into(), got(&["evil.test"], 0, 1)));
    // Many false ones in front of the right one do not hide it.
    let many: Vec<String> = (0..7).map(|n| format!("evil-{n}.test")).collect();
    many.iter().for_each(|name| world.zone.add(name, crate::dns::A, "127.0.0.1"));
    world.zone.servers(&[many.iter().map(String::as_str).collect(), vec!["mx.test"]].concat());
    assert_eq!(world.send(&[]), ("delivered".into(), got(&["mx.test"], 0, 1)));
}

#[test]
fn a_wrong_certificate_gets_no_mail_and_no_tls_neither() {
    for certificate in ["stranger", "expired", "other"] {
        let world = World::new(Some(certificate), &enforced());
        let (told, after) = world.send(&[]);
        assert_eq!((told.as_str(), after.in_clear, after.encrypted), ("4.7.5", 0, 0), "{certificate}");
        let outcome = world.send_to(&format!("a.test:{}", world.server.port()), &[("mta_sts", "yes")]);
        assert!(outcome.text.contains("as its domain's MTA-STS policy asks (tls = \"verify\")"), "{}", outcome.text);
        assert_eq!(world.send(&[("mta_sts", "no")]).0, "delivered", "{certificate}");
    }
    let world = World::new(None, &enforced());
    assert_eq!(world.send(&[]), ("4.7.4".into(), Got::default()));
    assert_eq!(world.send(&[("mta_sts", "no")]), ("delivered".into(), got(&[], 1, 0)));
}

#[test]
fn a_policy_in_testing_and_one_of_mode_none_change_nothing() {
    for mode in ["testing", "none"] {
        let world = World::new(Some("stranger"), &policy(mode, &["elsewhere.test"]));
        assert_eq!(world.send(&[]), ("delivered".into(), got(&["mx.test"], 0, 1)), "{mode}");
        let world = World::new(None, &policy(mode, &["mx.test"]));
        assert_eq!(world.send(&[]), ("delivered".into(), got(&[], 1, 0)), "{mode}");
        assert_eq!(world.send(&[("tls", "require")]).0, "4.7.4", "{mode}");
    }
}

#[test]
fn nobody_is_asked_without_the_key_or_for_a_host() {
    let world = World::new(Some("mx"), &enforced());
    assert_eq!(world.send(&[("mta_sts", "no")]).0, "delivered");
    let keys = [("mta_sts", "yes"), ("host_lookup", "dns")];
    assert!(world.send_to(&format!("[mx.test]:{}", world.server.port()), &keys).is_delivered());
    assert!(world.host.as_ref().expect("it is there").requests().is_empty());
    assert!(!world.zone.server.asked().iter().any(|asked| asked.name.starts_with("_mta-sts.")));
}

#[test]
fn a_policy_is_enforced_after_a_restart_though_its_host_is_gone() {
    let mut world = World::new(Some("mx"), &enforced());
    world.directory = Some(tempfile::tempdir().expect("a directory"));
    assert_eq!(world.send(&[]).0, "delivered");
    world.host = None;
    world.zone.servers(&["evil.test"]);
    for record in [Some("v=STSv1; id=1;"), Some("v=STSv1; id=2;"), None] {
        world.zone.say(record);
        assert_eq!(world.send(&[]), ("4.7.5".into(), Got::default()), "{record:?}");
    }
    // Without what was kept there is no policy to be had.
    world.directory = None;
    world.zone.say(Some("v=STSv1; id=1;"));
    assert_eq!(world.send(&[]), ("delivered".into(), got(&["evil.test"], 0, 1)));
}

#[test]
fn tlsa_records_go_before_the_policy() {
    let world = World::new(Some("stranger"), &enforced());
    world.zone.servers(&["evil.test"]);
    assert_eq!(world.send(&[("tls", "dane")]), ("4.7.5".into(), Got::default()));
    let pem = std::fs::read(Certificates::get().path("stranger.pem")).expect("made");
    let key = X509::from_pem(&pem).expect("a certificate").public_key().and_then(|key| key.public_key_to_der());
    let digest = sha256(&key.expect("DER")).map(|octet| octet.to_string()).join(" ");
    world.zone.add(&format!("_{}._tcp.evil.test", world.server.port()), TLSA, &format!("3 1 1 {digest}"));
    assert_eq!(world.send(&[("tls", "dane")]), ("delivered".into(), got(&["evil.test"], 0, 1)));
    // Who does not ask for them goes by the policy.
    assert_eq!(world.send(&[]), ("4.7.5".into(), Got::default()));
}
