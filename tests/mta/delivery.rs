//! Postfix → pipelane (LMTP) → Postfix, and → Exim: every recipient, every size, every octet.

use crate::exim::Exim;
use crate::log::Mark;
use crate::mail::{Mail, body};
use crate::needs::{Need, met};
use crate::pipelane::Pipelane;
use crate::postfix::{Postfix, Setup};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(240);

/// A far end, pipelane before it, and a Postfix before that.
fn chain() -> (Postfix, Pipelane, Postfix) {
    let receiving = Postfix::receiving();
    let pipelane = Pipelane::serve(&receiving.next_hop(), "trust = \"stream\"\nwindow_messages = 64");
    let sending = Postfix::sending(&pipelane.transport());
    (receiving, pipelane, sending)
}

fn deliver_to(count: usize) {
    if !met(&[Need::Postfix]) {
        return;
    }
    let (receiving, _pipelane, sending) = chain();
    let names: Vec<String> = (0..count).map(|n| format!("list-{n}@example.test")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mail = Mail::new("list", &names, &body(1, 2000));
    let mark = receiving.log().mark();
    sending.submit(std::slice::from_ref(&mail));
    sending.drain(LIMIT);
    let verdicts = sending.log().verdicts(Mark::default());
    assert!(verdicts.iter().all(|one| one.status == "sent" && one.service == "postfix/lanes/lmtp"), "{verdicts:?}");
    assert_eq!(verdicts.len(), count, "one result for each recipient");
    receiving.drain(LIMIT);
    receiving.maildir().tally(&[mail]).assert_exactly_once();
    assert_eq!(receiving.log().accepted(mark), 1, "all recipients share one copy");
}

#[test]
fn one_recipient() {
    deliver_to(1);
}

#[test]
fn fifty_recipients_share_one_copy() {
    deliver_to(50);
}

#[test]
fn two_thousand_recipients_share_one_copy() {
    deliver_to(2000);
}

#[test]
fn sizes_from_one_octet_to_50_mb_arrive_byte_for_byte() {
    if !met(&[Need::Postfix]) {
        return;
    }
    let (receiving, _pipelane, sending) = chain();
    // What is in a body of some size: lines at the limit of 998, lines of dots, octets over 127.
    let sized = |octets: usize| {
        Mail::new(&format!("size-{octets}"), &[&format!("size-{octets}@example.test")], &body(octets as u64, octets))
    };
    let mails = [1, 1000, 100_000, 1_048_577, 50_000_000].map(sized);
    sending.submit(&mails);
    sending.drain(LIMIT);
    receiving.drain(LIMIT);
    receiving.maildir().tally(&mails).assert_exactly_once();
}

#[test]
fn awkward_bodies_arrive_byte_for_byte() {
    if !met(&[Need::Postfix]) {
        return;
    }
    let (receiving, _pipelane, sending) = chain();
    let long = |octets: usize| [vec![b'l'; octets], b"\r\nend\r\n".to_vec()].concat();
    let bodies: [(&str, Vec<u8>); 8] = [
        ("only-a-dot", b".\r\n".to_vec()),
        ("dots", b".\r\n..\r\n...\r\n.RSET\r\n.\r\nQUIT\r\n".to_vec()),
        ("commands", b"RSET\r\nMAIL FROM:<a@client.test>\r\nRCPT TO:<b@example.test>\r\nDATA\r\n".to_vec()),
        ("empty-lines", b"\r\n\r\n\r\n".to_vec()),
        ("every-high-octet", (0x80..=0xff).collect()),
        ("long-997", long(997)),
        ("long-998", long(998)),
        ("dot-and-998", [b".".to_vec(), long(997)].concat()),
    ];
    let mails = bodies.map(|(name, body)| Mail::new(name, &[&format!("{name}@example.test")], &body));
    sending.submit(&mails);
    // Only sendmail(1) takes a message whose last line has no end; SMTP gives it one.
    let unended = Mail::new("unended", &["unended@example.test"], b"a line\r\nand one without an end");
    let local: Vec<u8> = unended.content.iter().copied().filter(|octet| *octet != b'\r').collect();
    sending.sendmail("sender@client.test", "unended@example.test", &local[..local.len() - 1]);
    let all: Vec<Mail> = mails.into_iter().chain([unended]).collect();
    sending.wait_verdicts(Mark::default(), all.len(), LIMIT);
    sending.drain(LIMIT);
    receiving.drain(LIMIT);
    receiving.maildir().tally(&all).assert_exactly_once();
}

#[test]
fn exim_that_ends_a_connection_after_ten_messages_gets_each_message_once() {
    if !met(&[Need::Postfix, Need::Exim]) {
        return;
    }
    let exim = Exim::start(10);
    let pipelane = Pipelane::serve(&exim.next_hop(), "trust = \"stream\"\nwindow_messages = 64");
    let sending = Postfix::start(Setup::sending(&pipelane.transport()).held());
    let mails = Mail::series("exim", 100, 2000);
    sending.submit(&mails);
    sending.wait_queued(mails.len());
    sending.release();
    sending.drain(LIMIT);
    exim.maildir().wait_for(mails.len(), LIMIT, || exim.trouble());
    exim.maildir().tally(&mails).assert_exactly_once();
    assert!(exim.connections() >= 10, "{} connections\n{}", exim.connections(), exim.trouble());
}
