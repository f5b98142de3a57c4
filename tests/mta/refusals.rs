//! A message whose recipients fare differently: each one's result reaches the sending Postfix as the server gave it.

use crate::log::{Mark, Verdict};
use crate::mail::{Mail, body};
use crate::needs::{Need, met};
use crate::pipelane::Pipelane;
use crate::postfix::Postfix;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(120);

fn mixed(id: &str) -> Mail {
    let recipient = |n: usize| match n % 4 {
        0 => format!("reject-550-{id}-{n}@example.test"),
        1 => format!("defer-450-{id}-{n}@example.test"),
        _ => format!("good-{id}-{n}@example.test"),
    };
    let names: Vec<String> = (0..12).map(recipient).collect();
    Mail::new(id, &names.iter().map(String::as_str).collect::<Vec<_>>(), &body(3, 3000))
}

fn expected(to: &str) -> (&'static str, &'static str, &'static str) {
    if to.starts_with("reject-550") {
        ("bounced", "5.1.1", "no such mailbox here")
    } else if to.starts_with("defer-450") {
        ("deferred", "4.2.0", "mailbox is busy")
    } else {
        ("sent", "2.0.0", "queued as")
    }
}

fn check(verdict: &Verdict, port: u16) {
    let (status, dsn, said) = expected(&verdict.to);
    assert_eq!((verdict.status.as_str(), verdict.dsn.as_str()), (status, dsn), "{verdict:?}");
    assert!(verdict.text.contains(said), "the server's own words ({said}) are missing: {verdict:?}");
    let server = verdict.text.contains("127.0.0.1") && verdict.text.contains(&port.to_string());
    assert!(server, "the text does not name the server: {verdict:?}");
    assert!(verdict.text.contains("lane"), "the text does not name the lane: {verdict:?}");
}

#[test]
fn each_recipient_has_the_servers_own_verdict_in_the_senders_log() {
    if !met(&[Need::Postfix]) {
        return;
    }
    let receiving = Postfix::receiving();
    let pipelane = Pipelane::serve(&receiving.next_hop(), "trust = \"stream\"\nwindow_messages = 64");
    let sending = Postfix::sending(&pipelane.transport());
    // Several, so that refusals also come in the middle of a stream.
    let mails: Vec<Mail> = (0..5).map(|n| mixed(&format!("mixed{n}"))).collect();
    sending.submit(&mails);
    let recipients: Vec<&String> = mails.iter().flat_map(|mail| &mail.recipients).collect();
    let verdicts = sending.wait_verdicts(Mark::default(), recipients.len(), LIMIT);
    assert_eq!(verdicts.len(), recipients.len(), "one result for each recipient");
    for recipient in &recipients {
        let verdict = verdicts.iter().find(|one| one.to == **recipient);
        check(verdict.unwrap_or_else(|| panic!("no result for {recipient}")), receiving.port());
    }
    receiving.drain(LIMIT);
    receiving.maildir().tally(&mails).assert_exactly_once();
}

#[test]
fn a_message_refused_for_every_recipient_is_not_stored_and_the_next_one_is() {
    if !met(&[Need::Postfix]) {
        return;
    }
    let receiving = Postfix::receiving();
    let pipelane = Pipelane::serve(&receiving.next_hop(), "trust = \"stream\"\nwindow_messages = 64");
    let sending = Postfix::sending(&pipelane.transport());
    let refused = Mail::new("refused", &["reject-550-a@example.test", "reject-550-b@example.test"], &body(4, 20_000));
    let good = Mail::series("after", 10, 2000);
    sending.submit(&[refused]);
    sending.submit(&good);
    sending.drain(LIMIT);
    let verdicts = sending.wait_verdicts(Mark::default(), 12, LIMIT);
    for verdict in &verdicts {
        check(verdict, receiving.port());
    }
    receiving.drain(LIMIT);
    receiving.maildir().tally(&good).assert_exactly_once();
}
