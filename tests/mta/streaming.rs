//! Five hundred messages at a concurrency of 100, over one connection.

use crate::certificates::Certificates;
use crate::log::Mark;
use crate::mail::Mail;
use crate::needs::{Need, announce, met};
use crate::pipelane::Pipelane;
use crate::place::wait;
use crate::postfix::{Postfix, Setup};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(240);
const MESSAGES: usize = 500;

/// What the receiving side's connections carried, together.
#[derive(Debug, Default)]
struct Carried {
    connections: usize,
    mail: usize,
    bdat: usize,
    data: usize,
}

/// Sends them all at once, and checks that each arrived once.
fn stream(name: &str, settings: &str, server: Setup) -> Carried {
    let receiving = Postfix::start(server);
    let mut pipelane = Pipelane::serve(&receiving.next_hop(), settings);
    let sending = Postfix::start(Setup::sending(&pipelane.transport()).held());
    let mails = Mail::series(name, MESSAGES, 2000);
    sending.submit(&mails);
    sending.wait_queued(MESSAGES);
    let mark = receiving.log().mark();
    sending.release();
    sending.drain(LIMIT);
    receiving.drain(LIMIT);
    receiving.maildir().tally(&mails).assert_exactly_once();
    let verdicts = sending.log().verdicts(Mark::default());
    let by_lanes = verdicts.iter().filter(|one| one.service == "postfix/lanes/lmtp");
    assert_eq!(
        by_lanes.filter(|one| one.status == "sent").count(),
        MESSAGES,
        "one result for each\n{}",
        sending.trouble()
    );
    // It says QUIT, so that the server logs what each connection carried.
    assert!(pipelane.terminate(LIMIT).success(), "{}", pipelane.trouble());
    let log = receiving.log();
    let ended = || log.sessions(mark).len() >= log.connects(mark);
    wait("the connections to end", LIMIT, || receiving.trouble(), || ended().then_some(()));
    let mut carried = Carried { connections: log.connects(mark), ..Carried::default() };
    for session in log.sessions(mark) {
        carried.mail += session.mail;
        carried.bdat += session.bdat;
        carried.data += session.data;
    }
    carried
}

#[test]
fn a_trusted_server_gets_500_messages_over_one_streamed_connection() {
    if !met(&[Need::Postfix]) {
        return;
    }
    let carried = stream("trusted", "trust = \"stream\"\nwindow_messages = 64", Setup::receiving());
    assert_eq!((carried.connections, carried.mail), (1, MESSAGES), "{carried:?}");
    assert_eq!(carried.bdat, MESSAGES, "streaming is by BDAT: {carried:?}");
}

#[test]
fn a_server_that_must_earn_its_trust_gets_500_messages_each_once() {
    if !met(&[Need::Postfix]) {
        return;
    }
    let carried = stream("learned", "trust = \"learned\"\nwindow_messages = 64", Setup::receiving());
    announce(&format!("with trust learned, {MESSAGES} messages took {carried:?}"));
    assert_eq!(carried.mail, MESSAGES, "{carried:?}");
    assert!(carried.bdat > MESSAGES / 2, "an honest server was not found to be one: {carried:?}");
}

/// A server that takes no mail in clear, and settings that send none in clear.
fn encrypted(settings: &str) -> (String, Setup) {
    let made = Certificates::get();
    let file = |name: &str| made.path(name).display().to_string();
    let settings =
        format!("tls = \"verify\"\ntls_name = \"mx.test\"\ntls_ca_file = \"{}\"\n{settings}", file("ca.pem"));
    let server = Setup::receiving()
        .main("smtpd_tls_security_level=encrypt\nsmtpd_tls_loglevel=1\nsmtpd_tls_session_cache_database=")
        .main(&format!("smtpd_tls_cert_file={}\nsmtpd_tls_key_file={}", file("mx.pem"), file("mx.key")));
    (settings, server)
}

#[test]
fn under_tls_too_a_trusted_server_gets_500_messages_over_one_streamed_connection() {
    if !met(&[Need::Postfix]) {
        return;
    }
    let (settings, server) = encrypted("trust = \"stream\"\nwindow_messages = 64");
    let carried = stream("encrypted", &settings, server);
    assert_eq!((carried.connections, carried.mail, carried.bdat), (1, MESSAGES, MESSAGES), "{carried:?}");
}

#[test]
fn under_tls_too_a_server_can_earn_its_trust() {
    if !met(&[Need::Postfix]) {
        return;
    }
    let (settings, server) = encrypted("trust = \"learned\"\nwindow_messages = 64");
    let carried = stream("encrypted-learned", &settings, server);
    assert_eq!(carried.mail, MESSAGES, "{carried:?}");
    assert!(carried.bdat > MESSAGES / 2, "an honest server was not found to be one: {carried:?}");
}
