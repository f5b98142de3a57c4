//! The pipe door: pipe(8) of Postfix runs `pipelane deliver` once for each recipient.

use crate::log::{Mark, Verdict};
use crate::mail::{Mail, body};
use crate::needs::{Need, met};
use crate::pipelane::{Pipelane, executable_for_everybody};
use crate::place::Place;
use crate::postfix::{Postfix, Setup};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(120);

/// A sending instance whose pipe(8) service runs the command with these options.
fn sending(place: &Place, options: &str, next_hop: &str) -> Postfix {
    let executable = executable_for_everybody(place);
    let service = format!(
        "lanepipe unix - n n - 20 pipe\n flags=q user=nobody null_sender= directory=/\n argv={} deliver {options} \
         --next-hop ${{nexthop}} -f ${{sender}} --queue-id ${{queue_id}} -- ${{recipient}}",
        executable.display()
    );
    Postfix::start(Setup::sending(&format!("lanepipe:{next_hop}")).master(&service))
}

fn of<'a>(verdicts: &'a [Verdict], name: &str) -> &'a Verdict {
    verdicts.iter().find(|one| one.to.starts_with(name)).unwrap_or_else(|| panic!("no result for {name}"))
}

fn check(receiving: &Postfix, sending: &Postfix) {
    let recipients =
        ["good-1@example.test", "reject-550@example.test", "defer-450@example.test", "good-2@example.test"];
    let mixed = Mail::new("mixed", &recipients, &body(5, 5000));
    let mut bounce = Mail::new("null-sender", &["bounce@example.test"], b"dots:\r\n.\r\n..\r\nand no more\r\n");
    bounce.sender = String::new();
    let large = Mail::new("large", &["large@example.test"], &body(6, 3_000_000));
    let mails = [mixed, bounce, large];
    sending.submit(&mails);
    let verdicts = sending.wait_verdicts(Mark::default(), 6, LIMIT);
    assert_eq!(verdicts.len(), 6, "{verdicts:?}");
    assert!(verdicts.iter().all(|one| one.service == "postfix/pipe" && one.relay == "lanepipe"), "{verdicts:?}");
    for name in ["good-1", "good-2", "bounce", "large"] {
        assert_eq!(of(&verdicts, name).status, "sent", "{verdicts:?}");
    }
    let (refused, busy) = (of(&verdicts, "reject-550"), of(&verdicts, "defer-450"));
    assert_eq!((refused.status.as_str(), refused.dsn.as_str()), ("bounced", "5.1.1"), "{refused:?}");
    assert!(refused.text.contains("no such mailbox here"), "{refused:?}");
    assert_eq!((busy.status.as_str(), busy.dsn.as_str()), ("deferred", "4.2.0"), "{busy:?}");
    assert!(busy.text.contains("mailbox is busy"), "{busy:?}");
    receiving.drain(LIMIT);
    receiving.maildir().tally(&mails).assert_exactly_once();
}

#[test]
fn through_the_resident_engine_each_recipient_has_its_result() {
    if !met(&[Need::Postfix]) {
        return;
    }
    let receiving = Postfix::receiving();
    let pipelane = Pipelane::serve(&receiving.next_hop(), "trust = \"stream\"\nwindow_messages = 64");
    let place = Place::new();
    let via = format!("--via {}", pipelane.socket().display());
    check(&receiving, &sending(&place, &via, &receiving.next_hop()));
}

#[test]
fn on_its_own_each_recipient_has_its_result() {
    if !met(&[Need::Postfix]) {
        return;
    }
    let receiving = Postfix::receiving();
    let place = Place::new();
    check(&receiving, &sending(&place, "", &receiving.next_hop()));
}

#[test]
fn with_no_server_and_with_no_engine_mail_is_deferred_and_never_bounced() {
    if !met(&[Need::Postfix]) {
        return;
    }
    let nobody = format!("[127.0.0.1]:{}", crate::place::free_port());
    let place = Place::new();
    let missing = format!("--via {}", place.path().join("no-such-socket").display());
    for options in ["", missing.as_str()] {
        let sending = sending(&place, options, &nobody);
        sending.submit(&[Mail::new("stays", &["stays@example.test"], b"hello\r\n")]);
        let verdicts = sending.wait_verdicts(Mark::default(), 1, LIMIT);
        assert_eq!(verdicts[0].status, "deferred", "{options}: {verdicts:?}");
        assert!(verdicts[0].dsn.starts_with("4."), "{options}: {verdicts:?}");
        assert_eq!(sending.queued(), 1);
    }
}
