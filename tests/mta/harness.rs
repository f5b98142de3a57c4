//! The harness proves itself, without pipelane: Postfix to Postfix and Postfix to Exim by smtp(8).

use crate::exim::Exim;
use crate::log::Mark;
use crate::mail::{Mail, body};
use crate::needs::{Need, met};
use crate::place::wait;
use crate::postfix::{Postfix, Setup};
use std::path::Path;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(120);

#[test]
fn postfix_to_postfix_keeps_every_octet_and_loses_nothing() {
    if !met(&[Need::Postfix]) {
        return;
    }
    let receiving = Postfix::receiving();
    let sending = Postfix::sending(&format!("smtp:{}", receiving.next_hop()));
    let mut mails = Mail::series("whole", 20, 3000);
    mails.extend([1, 1000, 1_048_577].map(|octets| {
        Mail::new(&format!("size-{octets}"), &[&format!("size-{octets}@example.test")], &body(octets as u64, octets))
    }));
    sending.submit(&mails);
    sending.drain(LIMIT);
    receiving.drain(LIMIT);
    receiving.maildir().tally(&mails).assert_exactly_once();
    let verdicts = sending.log().verdicts(Mark::default());
    assert!(verdicts.iter().all(|one| one.status == "sent" && one.service == "postfix/smtp"), "{verdicts:?}");
    assert_eq!(verdicts.len(), mails.len());
}

#[test]
fn a_missing_a_doubled_and_a_changed_message_are_seen() {
    if !met(&[Need::Postfix]) {
        return;
    }
    let receiving = Postfix::receiving();
    let mails = Mail::series("counted", 4, 500);
    receiving.submit(&mails[..2]);
    receiving.submit(&mails[1..2]);
    let mut changed = mails[2].clone();
    changed.content.extend_from_slice(b"one line more\r\n");
    receiving.submit(&[changed]);
    receiving.drain(LIMIT);
    let tally = receiving.maildir().tally(&mails);
    let ids = |list: &[(String, String)]| list.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&tally.missing), ["counted-2", "counted-3"]);
    assert_eq!(ids(&tally.wrong), ["counted-2"]);
    assert_eq!(tally.duplicates, 1);
}

#[test]
fn refusals_show_per_recipient_in_the_senders_log() {
    if !met(&[Need::Postfix]) {
        return;
    }
    let receiving = Postfix::receiving();
    let sending = Postfix::sending(&format!("smtp:{}", receiving.next_hop()));
    let recipients = ["good@example.test", "reject-550@example.test", "defer-450@example.test"];
    let mail = Mail::new("mixed", &recipients, b"hello\r\n");
    sending.submit(std::slice::from_ref(&mail));
    let verdicts = sending.wait_verdicts(Mark::default(), 3, LIMIT);
    let of = |name: &str| verdicts.iter().find(|one| one.to.starts_with(name)).expect("a line for each");
    assert_eq!((of("good").status.as_str(), of("good").dsn.as_str()), ("sent", "2.0.0"));
    assert_eq!((of("reject").status.as_str(), of("reject").dsn.as_str()), ("bounced", "5.1.1"));
    assert_eq!((of("defer").status.as_str(), of("defer").dsn.as_str()), ("deferred", "4.2.0"));
    assert!(of("reject").text.contains("no such mailbox here"), "{}", of("reject").text);
    receiving.drain(LIMIT);
    receiving.maildir().tally(&[mail]).assert_exactly_once();
}

#[test]
fn held_mail_waits_until_it_is_released() {
    if !met(&[Need::Postfix]) {
        return;
    }
    let receiving = Postfix::receiving();
    let mark = receiving.log().mark();
    let sending = Postfix::start(Setup::sending(&format!("smtp:{}", receiving.next_hop())).held());
    let mails = Mail::series("held", 40, 1000);
    sending.submit(&mails);
    sending.wait_queued(40);
    assert_eq!(receiving.log().connects(mark), 0, "mail left a queue that holds it");
    sending.release();
    sending.drain(LIMIT);
    receiving.drain(LIMIT);
    receiving.maildir().tally(&mails).assert_exactly_once();
    assert!(receiving.log().connects(mark) > 0);
    assert_eq!(receiving.log().accepted(mark), 40);
    // smtp(8) keeps its connections for two seconds more.
    let carried = || receiving.log().sessions(mark).iter().map(|one| one.mail).sum::<usize>();
    wait("the ends of the connections", LIMIT, || receiving.trouble(), || (carried() == 40).then_some(()));
}

#[test]
fn a_test_that_panics_leaves_no_server_behind() {
    if !met(&[Need::Postfix]) {
        return;
    }
    let postfix = Postfix::receiving();
    let (folder, master) = (postfix.folder(), postfix.master().expect("a running master(8)"));
    let process = format!("/proc/{master}/cmdline");
    let is_master = || std::fs::read(&process).is_ok_and(|line| String::from_utf8_lossy(&line).contains("master"));
    assert!(is_master());
    let failing = std::thread::spawn(move || {
        let _held = postfix;
        std::panic::resume_unwind(Box::new("as a failing test would"));
    });
    assert!(failing.join().is_err());
    assert!(!is_master(), "master(8) {master} still runs");
    assert!(!Path::new(&folder).exists(), "{} is still there", folder.display());
}

#[test]
fn exim_takes_so_many_messages_a_connection_and_stores_them_whole() {
    if !met(&[Need::Postfix, Need::Exim]) {
        return;
    }
    let exim = Exim::start(10);
    let sending = Postfix::sending(&format!("smtp:{}", exim.next_hop()));
    let mails = Mail::series("exim", 25, 3000);
    sending.submit(&mails);
    sending.drain(LIMIT);
    exim.maildir().wait_for(25, LIMIT, || exim.trouble());
    exim.maildir().tally(&mails).assert_exactly_once();
    assert!(exim.connections() >= 3, "{} connections\n{}", exim.connections(), exim.trouble());
}
