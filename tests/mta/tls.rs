//! TLS to a real Postfix by each implementation: which server gets mail under which policy, and how.
//!
//! The engine is in this process, so that its log can be read: each encrypted connection has a line that says how.

use crate::certificates::Certificates;
use crate::needs::{Need, met};
use crate::postfix::{DOMAIN, Postfix, Setup};
use pipelane::config::keys::set_next_hop;
use pipelane::config::{Config, NextHopSettings};
use pipelane::engine::Engine;
use pipelane::lane::Ticket;
use pipelane::mail::{Address, Content, Envelope, Message, Outcome};
use pipelane::sync::Mutex;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(120);
const LIBRARIES: [&str; 2] = ["openssl", "native"];

/// What was logged in this process.
#[derive(Default)]
struct Lines(Mutex<Vec<String>>);

static LINES: LazyLock<Lines> = LazyLock::new(|| {
    // Another one may have been set; then there are no lines, and the test that wants some says so.
    let _ = log::set_logger(&Collector);
    log::set_max_level(log::LevelFilter::Info);
    Lines::default()
});

struct Collector;

impl log::Log for Collector {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        LINES.0.lock().push(record.args().to_string());
    }

    fn flush(&self) {}
}

/// How the connections to this server were encrypted, each behind the word in the log.
fn encrypted(server: &Postfix) -> Vec<String> {
    let mark = format!("]:{}: encrypted: ", server.port());
    let lines = LINES.0.lock();
    lines.iter().filter_map(|line| line.split_once(&mark)).map(|(_, how)| how.to_owned()).collect()
}

/// A Postfix with this certificate; with `lines` in its main.cf.
pub fn server(certificate: &str, lines: &str) -> Postfix {
    let made = Certificates::get();
    let file = |name: &str| made.path(name).display().to_string();
    let (chain, key) = (file(&format!("{certificate}.pem")), file(&format!("{certificate}.key")));
    Postfix::start(
        Setup::receiving()
            .main(&format!("smtpd_tls_security_level=may\nsmtpd_tls_cert_file={chain}\nsmtpd_tls_key_file={key}"))
            .main(lines),
    )
}

pub fn engine(settings: &[(&str, &str)]) -> Arc<Engine> {
    LazyLock::force(&LINES);
    let mut own = NextHopSettings::default();
    for (key, value) in settings {
        set_next_hop(&mut own, key, value).unwrap_or_else(|error| panic!("{key}: {error:?}"));
    }
    Engine::new(Arc::new(Config { defaults: Arc::new(own), ..Config::default() }))
}

/// One message to one recipient.
pub fn deliver(engine: &Engine, server: &Postfix) -> Outcome {
    let address = |text: &str| Address::parse(text).expect("an address");
    let message = Message {
        queue_id: Some("tls".into()),
        next_hop: server.next_hop().parse().expect("a next hop"),
        envelope: Envelope::new(address("s@client.test"), vec![address(&format!("r@{DOMAIN}"))]).into(),
        content: Some(Content::from_bytes(b"Subject: tls\r\n\r\nhello\r\n").expect("content")),
    };
    let room = engine.room(&message.next_hop, message.size(), LIMIT).expect("room");
    let (ticket, inbox) = Ticket::issue(1);
    engine.submit(message, room, ticket);
    inbox.wait(LIMIT).expect("a report in time").outcomes.remove(0)
}

/// What becomes of a message under this policy: delivered encrypted, delivered in clear, or the status it is put off
/// with.
fn outcome(server: &Postfix, library: &str, policy: &str, more: &[(&str, &str)]) -> String {
    let ca = Certificates::get().path("ca.pem").display().to_string();
    let mut settings =
        vec![("tls", policy), ("tls_library", library), ("tls_name", "mx.test"), ("tls_ca_file", ca.as_str())];
    settings.extend(more);
    let before = encrypted(server).len();
    let engine = engine(&settings);
    let outcome = deliver(&engine, server);
    engine.drain();
    match (outcome.is_delivered(), encrypted(server).len() - before) {
        (true, 0) => "clear".into(),
        (true, _) => "encrypted".into(),
        (false, _) => outcome.status.to_string(),
    }
}

#[test]
fn each_policy_with_each_kind_of_server() {
    if !met(&[Need::Postfix]) {
        return;
    }
    let none = Postfix::start(Setup::receiving());
    let [valid, other, expired, stranger] = ["mx", "other", "expired", "stranger"].map(|name| server(name, ""));
    for library in LIBRARIES {
        for (server, name, policy, expected) in [
            (&none, "none", "none", "clear"),
            (&none, "none", "may", "clear"),
            (&none, "none", "require", "4.7.4"),
            (&none, "none", "verify", "4.7.4"),
            (&valid, "valid", "none", "clear"),
            (&valid, "valid", "may", "encrypted"),
            (&valid, "valid", "require", "encrypted"),
            (&valid, "valid", "verify", "encrypted"),
            (&other, "another name", "may", "encrypted"),
            (&other, "another name", "require", "encrypted"),
            (&other, "another name", "verify", "4.7.5"),
            (&expired, "expired", "may", "encrypted"),
            (&expired, "expired", "require", "encrypted"),
            (&expired, "expired", "verify", "4.7.5"),
            (&stranger, "unknown authority", "may", "encrypted"),
            (&stranger, "unknown authority", "require", "encrypted"),
            (&stranger, "unknown authority", "verify", "4.7.5"),
        ] {
            assert_eq!(outcome(server, library, policy, &[]), expected, "{library}, {name}, tls = {policy}");
        }
    }
    // Nothing in DNS is said of an address.
    for (server, policy, expected) in [
        (&none, "dane", "clear"),
        (&none, "dane-only", "4.7.5"),
        (&expired, "dane", "encrypted"),
        (&expired, "dane-only", "4.7.5"),
    ] {
        assert_eq!(outcome(server, "openssl", policy, &[]), expected, "tls = {policy}");
    }
}

#[test]
fn a_server_that_wants_our_certificate_gets_it() {
    if !met(&[Need::Postfix]) {
        return;
    }
    let made = Certificates::get();
    let file = |name: &str| made.path(name).display().to_string();
    let wants =
        format!("smtpd_tls_CAfile={}\nsmtpd_tls_security_level=encrypt\nsmtpd_tls_req_ccert=yes", file("ca.pem"));
    let server = server("mx", &wants);
    let (certificate, key) = (file("other.pem"), file("other.key"));
    let own = [("tls_cert_file", certificate.as_str()), ("tls_key_file", key.as_str())];
    for library in LIBRARIES {
        for policy in ["may", "require", "verify"] {
            assert_eq!(outcome(&server, library, policy, &own), "encrypted", "{library} {policy}");
        }
        let without = outcome(&server, library, "require", &[]);
        assert!(without.starts_with('4'), "{library}, without a certificate: {without}");
    }
}

#[test]
fn a_further_connection_resumes_the_session_with_openssl() {
    if !met(&[Need::Postfix]) {
        return;
    }
    for newest in ["", "smtpd_tls_protocols=TLSv1.2\nsmtpd_tls_mandatory_protocols=TLSv1.2"] {
        for library in LIBRARIES {
            let server = server("mx", newest);
            let settings = [("tls", "require"), ("tls_library", library), ("messages_per_connection", "1")];
            let engine = engine(&settings);
            for _ in 0..4 {
                let outcome = deliver(&engine, &server);
                assert!(outcome.is_delivered(), "{outcome:?}");
            }
            engine.drain();
            let how = encrypted(&server);
            let resumed: Vec<bool> = how.iter().map(|how| how.contains(", resumed,")).collect();
            let expected = library == "openssl";
            // Under TLS 1.3 a ticket is used once, and Postfix gives no further one to a connection that is resumed.
            let again = expected && !newest.is_empty();
            assert_eq!(resumed, [false, expected, again, expected], "{library}: {how:?}");
            let version = if newest.is_empty() { "TLSv1.3 TLS_" } else { "TLSv1.2 TLS_" };
            assert!(!expected || how.iter().all(|how| how.starts_with(version)), "{how:?}");
        }
    }
}
