//! pipelane before a real mail store: LMTP to Dovecot over a UNIX socket, one result for each recipient.

use crate::client::Client;
use crate::dovecot::Dovecot;
use crate::log::{Mark, Verdict};
use crate::mail::{Mail, body};
use crate::needs::{Need, announce, met};
use crate::pipelane::Pipelane;
use crate::place::wait;
use crate::postfix::{Postfix, Setup};
use std::io::{BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(120);
const MESSAGES: usize = 200;

/// Hands a message to pipelane as an MTA does; the replies to its recipients, those of RCPT or those of the dot.
fn hand_over(client: &mut Client<UnixStream>, mail: &Mail) -> Vec<String> {
    client.ask(&format!("MAIL FROM:<{}> BODY=8BITMIME", mail.sender), "250");
    for recipient in &mail.recipients {
        client.ask(&format!("RCPT TO:<{recipient}>"), "250");
    }
    client.ask("DATA", "354");
    client.raw(&mail.stuffed());
    mail.recipients.iter().map(|_| client.reply()).collect()
}

#[test]
fn each_recipient_of_a_store_has_its_own_result() {
    if !met(&[Need::Dovecot]) {
        return;
    }
    let store = Dovecot::start();
    let pipelane = Pipelane::serve(&store.next_hop(), "");
    let recipients = ["full", "good", "nobody", "broken", "other"].map(|name| format!("{name}@example.test"));
    let names: Vec<&str> = recipients.iter().map(String::as_str).collect();
    let mail = Mail::new("mixed", &names, &body(1, 3000));
    let mut client = Client::lmtp(&pipelane.socket());
    let replies = hand_over(&mut client, &mail);
    for (reply, wanted) in replies.iter().zip(["552 5.2.2", "250 2.0.0", "550 5.1.1", "451 4.", "250 2.0.0"]) {
        assert!(reply.starts_with(wanted), "{wanted}: {replies:?}\n{}", store.trouble());
    }
    assert!(replies[0].contains(&store.next_hop()), "the text does not name the server: {}", replies[0]);
    for (name, count) in [("good", 1), ("other", 1), ("full", 0)] {
        assert_eq!(store.maildir(name).count(), count, "{name}\n{}", store.trouble());
    }
}

/// All to one mailbox, but every tenth that is for nobody and every tenth that has a full mailbox too.
fn series(name: &str) -> Vec<Mail> {
    let one = |n: usize| {
        let recipients: &[&str] = match n % 10 {
            3 => &["nobody@example.test"],
            7 => &["full@example.test", "good@example.test", "nobody@example.test"],
            _ => &["good@example.test"],
        };
        Mail::new(&format!("{name}-{n}"), recipients, &body(n as u64, 2000))
    };
    (0..MESSAGES).map(one).collect()
}

/// Sends them from Postfix, and holds the results and the mailbox against what is due. How many connections were made
/// to the store.
fn stream(name: &str, settings: &str) -> usize {
    let store = Dovecot::start();
    let mut pipelane = Pipelane::serve(&store.next_hop(), &format!("order = \"unsorted\"\n{settings}"));
    let sending = Postfix::start(Setup::sending(&pipelane.transport()).held());
    let mails = series(name);
    sending.submit(&mails);
    sending.wait_queued(MESSAGES);
    sending.release();
    let due: usize = mails.iter().map(|mail| mail.recipients.len()).sum();
    // That they were held is in the log too, by another service.
    let by_lanes = || -> Vec<Verdict> {
        let all = sending.log().verdicts(Mark::default());
        all.into_iter().filter(|one| one.service == "postfix/lanes/lmtp").collect()
    };
    wait("all results", LIMIT, || sending.trouble(), || (by_lanes().len() >= due).then_some(()));
    sending.drain(LIMIT);
    let verdicts = by_lanes();
    assert_eq!(verdicts.len(), due, "one result for each recipient");
    for verdict in &verdicts {
        let wanted = match verdict.to.split('@').next() {
            Some("good") => ("sent", "2.0.0"),
            Some("full") => ("bounced", "5.2.2"),
            _ => ("bounced", "5.1.1"),
        };
        assert_eq!((verdict.status.as_str(), verdict.dsn.as_str()), wanted, "{verdict:?}\n{}", store.trouble());
    }
    // Dovecot does not write above a message to several whose copy it is.
    let for_good = |mail: &&Mail| mail.recipients.iter().any(|recipient| recipient.starts_with("good"));
    let mut ids: Vec<String> = mails.iter().filter(for_good).map(|mail| mail.id.clone()).collect();
    ids.sort();
    assert_eq!(store.maildir("good").ids(), ids, "each once");
    assert_eq!(store.maildir("full").count(), 0);
    assert!(pipelane.terminate(LIMIT).success(), "{}", pipelane.trouble());
    wait("the connections to end", LIMIT, || store.trouble(), || (store.connections() > 0).then_some(()));
    store.connections()
}

#[test]
fn a_trusted_store_gets_a_stream_with_refusals_of_every_kind_in_it() {
    if met(&[Need::Postfix, Need::Dovecot]) {
        announce(&format!("{} connections", stream("trusted", "trust = \"stream\"\nwindow_messages = 64")));
    }
}

#[test]
fn a_store_that_must_earn_its_trust_gets_the_same() {
    if met(&[Need::Postfix, Need::Dovecot]) {
        announce(&format!("{} connections", stream("learned", "trust = \"learned\"\nwindow_messages = 64")));
    }
}

#[test]
fn a_store_without_pipelining_or_chunks_gets_the_same() {
    if met(&[Need::Postfix, Need::Dovecot]) {
        stream("envelope", "ignore_extensions = [\"CHUNKING\"]");
        stream("lockstep", "max_level = \"lockstep\"");
    }
}

#[test]
fn a_store_that_is_not_there_puts_mail_off() {
    if !met(&[Need::Dovecot]) {
        return;
    }
    let store = Dovecot::start();
    let next_hop = store.next_hop();
    drop(store);
    let pipelane = Pipelane::serve(&next_hop, "");
    let mut stream = UnixStream::connect(pipelane.socket()).expect("a connection to pipelane");
    stream.set_read_timeout(Some(LIMIT)).expect("a read timeout");
    stream.write_all(b"LHLO client.test\r\n").expect("sent");
    let (mut heard, why) = (String::new(), format!("421 4.4.1 connect to {next_hop}: No such file or directory"));
    BufReader::new(stream).take(2000).read_to_string(&mut heard).expect("it hangs up");
    assert!(heard.lines().any(|line| line.starts_with(&why)), "{heard}");
}
