//! The LMTP door over real sockets, with a scripted engine behind it.

mod script;

use pipelane::config::Config;
use pipelane::door::DoorError;
use pipelane::door::lmtp::{Client, LmtpDoor, Patience, Seen, Stop, serve_client};
use pipelane::mail::{EnhancedStatus, NextHop, Outcome};
use pipelane::net::{self, Interest, Watch};
use proptest::prelude::*;
use script::{HOP, LONG, Script, Talk, config, eventually};
use std::io;
use std::net::TcpStream;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// An open door with its script.
struct House {
    config: Config,
    script: Arc<Script>,
    door: LmtpDoor,
    _directory: TempDir,
}

fn house() -> House {
    house_with(|_| {}, Patience::default())
}

fn house_with(set: impl FnOnce(&mut Config), patience: Patience) -> House {
    let directory = tempfile::tempdir().expect("a directory");
    let mut config = config(directory.path());
    set(&mut config);
    let script = Script::new(config.clone());
    let door = LmtpDoor::start_with(Arc::clone(&script), &config, patience).expect("the door opens");
    House { config, script, door, _directory: directory }
}

const GROUP: &str = "MAIL FROM:<s@example.org> SIZE=20\r\nRCPT TO:<ok@x>\r\nRCPT TO:<fail@x>\r\nRCPT TO:<bad<@x>\r\n\
    RCPT TO:<defer@x>\r\nRCPT TO:<doubt@x>\r\nRCPT TO:<gone@x>\r\nDATA\r\n";

#[test]
fn each_accepted_recipient_gets_its_own_reply_in_order() {
    let house = house();
    let mut talk = Talk::begun(&house.config);
    talk.ask(
        GROUP,
        &["250 2.1.0", "250 2.1.5", "250 2.1.5", "501 5.1.3", "250 2.1.5", "250 2.1.5", "250 2.1.5", "354 "],
    );
    talk.say("Subject: x\r\n\r\n..dot\r\n.\r\n");
    let first = talk.expect("250 2.0.0 ");
    assert_eq!(first, "250 2.0.0 mx.example.net[192.0.2.1]:25 said: 250 2.0.0 Ok: queued as ABC (lane 1, stream)");
    talk.expect("550 5.1.1 mx.example.net[192.0.2.1]:25 said: 550 5.1.1 no such user");
    talk.expect("450 4.2.1 mx.example.net[192.0.2.1]:25 said: 450 4.2.1 mailbox busy");
    talk.expect("451 4.4.2 may be delivered already: mx.example.net[192.0.2.1]:25: connection lost");
    talk.expect("451 4.3.2 mx.example.net[192.0.2.1]:25 said: 421 4.3.2 shutting down");
    talk.ask("QUIT\r\n", &["221 2.0.0"]);
    talk.expect_end();
    let seen = house.script.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].recipients, ["ok@x", "fail@x", "defer@x", "doubt@x", "gone@x"]);
    assert_eq!(seen[0].content.as_deref(), Some("Subject: x\r\n\r\n.dot\r\n"));
    assert_eq!((seen[0].sender.as_str(), seen[0].next_hop.as_str()), ("s@example.org", HOP));
}

#[test]
fn parameters_arrive_at_the_engine() {
    let house = house();
    let mut talk = Talk::begun(&house.config);
    talk.ask(
        "MAIL FROM:<> BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=a+2Bb\r\n\
         RCPT TO:<ok\u{e9}@x> NOTIFY=success,DELAY ORCPT=rfc822;o@x\r\nDATA\r\n",
        &["250 ", "250 ", "354 "],
    );
    talk.ask(".\r\n", &["250 "]);
    let seen = &house.script.seen()[0];
    let recipient = (Some("SUCCESS,DELAY".to_owned()), Some("rfc822;o@x".to_owned()));
    assert_eq!((seen.smtputf8, seen.envelope_id.as_deref(), &seen.dsn), (true, Some("a+2Bb"), &vec![recipient]));
    assert_eq!((seen.sender.as_str(), seen.content.as_deref()), ("", Some("")));
}

#[test]
fn a_priority_arrives_as_it_was_given_for_each_message_by_itself() {
    let house = house();
    let mut talk = Talk::begun(&house.config);
    for words in ["", " MT-PRIORITY=-9", " mt-priority=0", " SIZE=3 Mt-Priority=9 BODY=7BIT"] {
        talk.ask(format!("MAIL FROM:<s@x>{words}\r\nRCPT TO:<ok@x>\r\nDATA\r\n"), &["250 2.1.0", "250 ", "354 "]);
        talk.ask("x\r\n.\r\n", &["250 "]);
    }
    // A question about an address has one too: the server may refuse by it.
    talk.ask("MAIL FROM:<s@x> MT-PRIORITY=1\r\nRCPT TO:<ok@x>\r\nRSET\r\n", &["250 ", "250 ", "250 "]);
    let seen: Vec<_> = house.script.seen().iter().map(|message| message.priority).collect();
    assert_eq!(seen, [None, Some(-9), Some(0), Some(9), Some(1)]);
}

#[test]
fn a_priority_that_is_none_is_refused_and_opens_no_transaction() {
    let house = house();
    let mut talk = Talk::begun(&house.config);
    for word in [
        "MT-PRIORITY",
        "MT-PRIORITY=",
        "MT-PRIORITY=+1",
        "MT-PRIORITY=10",
        "MT-PRIORITY=-10",
        "MT-PRIORITY=-0",
        "MT-PRIORITY=\u{0663}",
        "MT-PRIORITY==1",
        "MT-PRIORITY=MIXER",
        "MT-PRIORITY=1 MT-PRIORITY=1",
        "MT-PRIORITY=1 mt-priority=2",
    ] {
        talk.ask(format!("MAIL FROM:<s@x> {word}\r\n"), &["501 5.5.4"]);
    }
    // The blank ends the value, and what stands behind it is a parameter by itself.
    talk.ask("MAIL FROM:<s@x> MT-PRIORITY= 1\r\nMAIL FROM:<s@x> MT-PRIORITY=1 1\r\n", &["501 5.5.4", "555 5.5.4"]);
    talk.ask("RCPT TO:<ok@x> MT-PRIORITY=1\r\n", &["555 5.5.4"]);
    talk.ask("RCPT TO:<ok@x>\r\nMAIL FROM:<s@x> MT-PRIORITY=1 \r\n", &["503 5.5.1", "250 "]);
    assert_eq!(house.script.seen(), []);
}

#[test]
fn lhlo_mirrors_what_the_server_offers() {
    let house = house_with(|c| c.limits.message_size = 5_000_000, Patience::default());
    let mut talk = Talk::begun(&house.config);
    talk.say("LHLO x\r\n");
    let all = talk.reply();
    let always = ["PIPELINING", "ENHANCEDSTATUSCODES", "CHUNKING", "MT-PRIORITY"];
    for keyword in always.into_iter().chain(["8BITMIME", "SMTPUTF8", "DSN", "SIZE 100000"]) {
        assert!(all.lines().any(|line| &line[4..] == keyword), "{keyword} in {all}");
    }
    let poor = pipelane::engine::Offers { size: None, ..Default::default() };
    house.script.behaviour.lock().offers = Ok(poor);
    talk.say("LHLO x\r\n");
    let few = talk.reply();
    for keyword in ["8BITMIME", "SMTPUTF8", "DSN"] {
        assert!(!few.contains(keyword), "{keyword} in {few}");
    }
    assert!(always.iter().all(|keyword| few.lines().any(|line| &line[4..] == *keyword)), "{few}");
    assert!(few.ends_with("SIZE 5000000"), "{few}");
}

#[test]
fn a_dead_site_is_told_at_the_greeting_or_at_lhlo() {
    let house = house();
    let dead = Outcome::deferred(EnhancedStatus::new(4, 4, 1), "connect to mx: refused");
    house.script.behaviour.lock().offers = Err(dead.clone());
    let mut talk = Talk::to(&house.config);
    talk.expect("220 ");
    talk.ask("LHLO x\r\n", &["421 4.4.1 connect to mx: refused"]);
    talk.expect_end();
    house.script.behaviour.lock().trouble = Some(dead);
    let mut talk = Talk::to(&house.config);
    talk.expect("421 4.4.1 connect to mx: refused");
    talk.expect_end();
}

#[test]
fn a_client_that_leaves_while_it_waits_cancels_its_message() {
    let house = house();
    house.script.behaviour.lock().hold = true;
    let mut talk = Talk::begun(&house.config);
    talk.ask("MAIL FROM:<s@x>\r\nRCPT TO:<ok@x>\r\nDATA\r\n", &["250 ", "250 ", "354 "]);
    talk.say("x\r\n.\r\nQUIT\r\n");
    house.script.await_seen(1);
    assert!(!house.script.all_cancelled());
    talk.hang_up();
    eventually("the cancellation", || house.script.all_cancelled());
    eventually("the end of the session", || house.door.clients() == 0);
}

#[test]
fn a_client_that_says_quit_and_closes_only_its_sending_side_gets_its_replies() {
    let house = house();
    house.script.behaviour.lock().hold = true;
    let mut talk = Talk::begun(&house.config);
    talk.ask("MAIL FROM:<s@x>\r\nRCPT TO:<ok@x>\r\nDATA\r\n", &["250 ", "250 ", "354 "]);
    talk.say("x\r\n.\r\nQUIT\r\n");
    talk.close_sending();
    house.script.await_seen(1);
    assert!(!house.script.all_cancelled());
    house.script.release();
    talk.expect("250 2.0.0 ");
    talk.expect("221 2.0.0");
    talk.expect_end();
}

#[test]
fn a_client_that_closes_its_sending_side_without_quit_has_gone_away() {
    let house = house();
    house.script.behaviour.lock().hold = true;
    let mut talk = Talk::begun(&house.config);
    talk.ask("MAIL FROM:<s@x>\r\nRCPT TO:<ok@x>\r\nDATA\r\n", &["250 ", "250 ", "354 "]);
    talk.say("x\r\n.\r\nNOOP\r\n");
    house.script.await_seen(1);
    talk.close_sending();
    eventually("the cancellation", || house.script.all_cancelled());
}

#[test]
fn a_client_that_leaves_behind_a_full_buffer_cancels_too() {
    let house = house();
    house.script.behaviour.lock().hold = true;
    let mut talk = Talk::begun(&house.config);
    talk.ask("MAIL FROM:<s@x>\r\nRCPT TO:<ok@x>\r\nDATA\r\n", &["250 ", "250 ", "354 "]);
    talk.say("x\r\n.\r\n");
    talk.say("NOOP\r\n".repeat(15_000));
    house.script.await_seen(1);
    talk.hang_up();
    eventually("the cancellation", || house.script.all_cancelled());
}

#[test]
fn a_client_that_announces_more_than_may_be_held_is_refused_and_takes_no_room() {
    let house = house();
    house.script.behaviour.lock().offers = Ok(pipelane::engine::Offers { size: None, ..Default::default() });
    let mut talk = Talk::begun(&house.config);
    talk.ask("MAIL FROM:<s@x> SIZE=18446744073709551615\r\nRCPT TO:<ok@x>\r\nDATA\r\n", &["250 ", "250 ", "552 5.3.4"]);
    let mut other = Talk::begun(&house.config);
    other.ask("MAIL FROM:<s@x>\r\nRCPT TO:<ok@x>\r\nDATA\r\n", &["250 ", "250 ", "354 "]);
    other.ask("x\r\n.\r\n", &["250 2.0.0"]);
}

#[test]
fn content_that_is_cut_off_is_not_submitted() {
    let house = house();
    for end in ["DATA\r\n", "BDAT 100\r\nabc", "BDAT 3\r\nabc"] {
        let mut talk = Talk::begun(&house.config);
        talk.say(format!("MAIL FROM:<s@x>\r\nRCPT TO:<ok@x>\r\n{end}"));
        talk.expect("250 ");
        talk.expect("250 ");
        talk.say("half of a line");
        talk.hang_up();
        eventually("the end of the session", || house.door.clients() == 0);
    }
    assert_eq!(house.script.seen(), []);
}

#[test]
fn commands_out_of_order_are_told_and_change_nothing() {
    let house = house();
    let mut talk = Talk::to(&house.config);
    talk.expect("220 ");
    talk.ask("MAIL FROM:<s@x>\r\nRCPT TO:<ok@x>\r\nDATA\r\n", &["503 5.5.1", "503 5.5.1", "503 5.5.1"]);
    talk.ask("EHLO x\r\nHELO x\r\nLHLO x\r\n", &["500 5.5.1", "500 5.5.1", "250-"]);
    talk.ask("RCPT TO:<ok@x>\r\nMAIL FROM:<s@x>\r\nDATA\r\n", &["503 5.5.1", "250 ", "503 5.5.1"]);
    talk.ask("MAIL FROM:<t@x>\r\nXFORWARD IDENT=X\r\n", &["503 5.5.1", "503 5.5.1"]);
    talk.ask("RCPT TO:<ok@x>\r\nBDAT 2\r\nx\nDATA\r\nRCPT TO:<b@x>\r\n", &["250 ", "250 ", "503 5.5.1", "503 5.5.1"]);
    talk.ask("BDAT 0 LAST\r\nBDAT 0 LAST\r\n", &["250 2.0.0 mx", "503 5.5.1"]);
    talk.ask("NOOP x\r\nVRFY a\r\nHELP\r\nRSET\r\nFOO\r\n", &["250 ", "252 ", "214 ", "250 ", "500 5.5.1"]);
    let seen = house.script.seen();
    assert_eq!((seen.len(), seen[0].sender.as_str(), seen[0].recipients.len()), (1, "s@x", 1));
}

#[test]
fn too_many_mistakes_end_the_session_but_bad_addresses_do_not() {
    let house = house();
    let mut talk = Talk::begun(&house.config);
    talk.ask("MAIL FROM:<s@x>\r\n", &["250 "]);
    for _ in 0..50 {
        talk.ask("RCPT TO:<a b@x>\r\n", &["501 5.1.3"]);
    }
    for _ in 0..20 {
        talk.ask("FOO\r\n", &["500 5.5.1"]);
    }
    talk.expect("421 4.7.0");
    talk.expect_end();
}

#[test]
fn a_refused_mail_makes_no_mistakes_of_the_recipients_behind_it() {
    let house = house();
    let mut talk = Talk::begun(&house.config);
    talk.say("MAIL FROM:<s@x> SIZE=100001\r\n".to_owned() + &"RCPT TO:<ok@x>\r\n".repeat(30) + "DATA\r\nRSET\r\n");
    talk.expect("552 5.3.4");
    for _ in 0..31 {
        talk.expect("503 5.5.1");
    }
    talk.expect("250 ");
    talk.ask("MAIL FROM:<s@x> SIZE=100000\r\n", &["250 "]);
}

#[test]
fn over_long_lines_are_skipped_whole() {
    let house = house();
    let mut talk = Talk::begun(&house.config);
    for length in [4095, 4096, 5000, 70_000, 200_000] {
        talk.ask(format!("NOOP {}\r\nNOOP\r\n", "x".repeat(length - 5)), &["500 5.5.2", "250 "]);
    }
    talk.ask(format!("NOOP {}\r\nNOOP\r\n", "x".repeat(4094 - 5)), &["250 ", "250 "]);
}

#[test]
fn only_crlf_ends_a_command() {
    let house = house();
    let mut talk = Talk::begun(&house.config);
    for line in ["NOOP\nQUIT\r\n", "NOOP\rQUIT\r\n", "NO\0OP\r\n", "NOOP\t\r\n", "RCPT TO:<a@x>\nDATA\r\n"] {
        talk.ask(line, &["500 5.5.2"]);
    }
    talk.ask("NOOP\r\n", &["250 "]);
}

#[test]
fn chunks_are_read_to_the_octet_also_refused_ones() {
    let house = house();
    let mut talk = Talk::begun(&house.config);
    talk.ask("BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n", &["503 5.5.1", "250 "]);
    talk.ask(
        "MAIL FROM:<s@x>\r\nRCPT TO:<a b@x>\r\nBDAT 6\r\nQUIT\r\nRSET\r\n",
        &["250 ", "501 ", "503 5.5.1", "250 "],
    );
    talk.ask("MAIL FROM:<s@x>\r\nRCPT TO:<ok@x>\r\nRCPT TO:<fail@x>\r\n", &["250 ", "250 ", "250 "]);
    talk.ask("BDAT 5\r\n.\r\n.\rBDAT 0\r\n", &["250 2.0.0 5 octets", "250 2.0.0 0 octets"]);
    talk.ask("BDAT 5 LAST\r\n\nend\n", &["250 ", "550 "]);
    assert_eq!(house.script.seen()[0].content.as_deref(), Some(".\r\n.\r\nend\r\n"));
    talk.ask("BDAT x\r\n", &["501 5.5.4"]);
    talk.expect_end();
}

#[test]
fn a_group_that_ends_in_reset_or_quit_asks_the_server() {
    let house = house();
    let mut talk = Talk::begun(&house.config);
    talk.ask(
        "MAIL FROM:<s@x>\r\nRCPT TO:<ok@x>\r\nRCPT TO:<bad @x>\r\nRCPT TO:<fail@x>\r\nRSET\r\n",
        &["250 2.1.0", "250 2.0.0 mx", "501 ", "550 5.1.1 mx", "250 2.0.0 Ok"],
    );
    talk.ask("MAIL FROM:<>\r\nRCPT TO:<defer@x>\r\nQUIT\r\n", &["250 2.1.0", "450 4.2.1 mx", "221 "]);
    talk.expect_end();
    let seen = house.script.seen();
    assert_eq!(
        seen.iter().map(|s| (s.recipients.len(), s.content.is_none())).collect::<Vec<_>>(),
        [(2, true), (1, true)]
    );
}

#[test]
fn the_sender_of_address_probes_gets_live_answers_without_a_group() {
    let house = house();
    let mut talk = Talk::begun(&house.config);
    talk.ask("MAIL FROM:<double-bounce@example.org>\r\n", &["250 "]);
    talk.ask("RCPT TO:<ok@x>\r\n", &["250 2.0.0 mx"]);
    talk.ask("RCPT TO:<fail@x>\r\n", &["550 5.1.1 mx"]);
    talk.ask("DATA\r\n", &["354 "]);
    talk.ask("x\r\n.\r\n", &["250 "]);
    let mut of = house.script.seen().into_iter().map(|s| (s.recipients, s.content.is_some()));
    assert_eq!(of.next(), Some((vec!["ok@x".into()], false)));
    assert_eq!(of.next(), Some((vec!["fail@x".into()], false)));
    assert_eq!(of.next(), Some((vec!["ok@x".into()], true)));
    // In one group with DATA it is real mail, and nobody is asked first.
    talk.ask("MAIL FROM:<double-bounce@x>\r\nRCPT TO:<fail@x>\r\nDATA\r\n", &["250 ", "250 ", "354 "]);
    talk.ask(".\r\n", &["550 "]);
    assert_eq!(house.script.seen().len(), 4);
}

#[test]
fn content_over_the_limit_is_refused_for_each_recipient() {
    let house = house();
    let mut talk = Talk::begun(&house.config);
    talk.ask("MAIL FROM:<s@x>\r\nRCPT TO:<ok@x>\r\nRCPT TO:<ok2@x>\r\nDATA\r\n", &["250 ", "250 ", "250 ", "354 "]);
    talk.ask("0123456789\r\n".repeat(10_000) + ".\r\n", &["552 5.3.4", "552 5.3.4"]);
    talk.ask("NOOP\r\n", &["250 "]);
    assert_eq!(house.script.seen(), []);
}

#[test]
fn a_full_disk_defers_and_the_dialogue_goes_on() {
    let set = |c: &mut Config| {
        c.limits.content_memory = 10;
        c.limits.content_directory = "/nonexistent".into();
    };
    let house = house_with(set, Patience::default());
    let mut talk = Talk::begun(&house.config);
    talk.ask("MAIL FROM:<s@x>\r\nRCPT TO:<ok@x>\r\nRCPT TO:<ok@x>\r\nDATA\r\n", &["250 ", "250 ", "250 ", "354 "]);
    talk.ask("more than ten octets\r\n.\r\n", &["452 4.3.1 cannot store the content in /nonexistent", "452 4.3.1"]);
    talk.ask("MAIL FROM:<s@x>\r\nRCPT TO:<ok@x>\r\nBDAT 12\r\n0123456789\r\n", &["250 ", "250 ", "452 4.3.1"]);
    talk.ask("BDAT 6 LAST\r\nQUIT\r\n", &["452 4.3.1"]);
    talk.ask("MAIL FROM:<s@x>\r\nRCPT TO:<ok@x>\r\nDATA\r\n", &["250 ", "250 ", "354 "]);
    talk.ask("short\r\n.\r\n", &["250 "]);
    assert_eq!(house.script.seen().len(), 1);
}

#[test]
fn content_against_the_rules_is_refused_with_its_line() {
    let set = |c: &mut Config| {
        let strict = pipelane::config::NextHopSettings { normalise_newlines: false, ..Default::default() };
        c.next_hops.insert(HOP.parse().expect("a next hop"), Arc::new(strict));
    };
    let house = house_with(set, Patience::default());
    let mut talk = Talk::begun(&house.config);
    for (content, says) in [("a\r\nb\nc\r\n", "554 5.6.0 line 2 "), ("\0\r\n", "554 5.6.0 line 1 ")] {
        talk.ask("MAIL FROM:<s@x>\r\nRCPT TO:<ok@x>\r\nDATA\r\n", &["250 ", "250 ", "354 "]);
        talk.ask(format!("{content}.\r\n"), &[says]);
    }
}

/// Waits for nothing longer than a test can.
fn impatient() -> Patience {
    let short = Duration::from_millis(300);
    Patience { command: LONG, content: LONG, room: short, room_at_data: short, offers: LONG }
}

#[test]
fn without_room_data_is_deferred_and_chunks_are_thrown_away() {
    let house = house_with(|_| {}, impatient());
    house.script.behaviour.lock().room = false;
    let mut talk = Talk::begun(&house.config);
    talk.ask("MAIL FROM:<s@x>\r\nRCPT TO:<ok@x>\r\nDATA\r\nRSET\r\n", &["250 ", "250 ", "452 4.3.1", "250 "]);
    talk.ask("MAIL FROM:<s@x>\r\nRCPT TO:<ok@x>\r\nRCPT TO:<ok@x>\r\n", &["250 ", "250 ", "250 "]);
    talk.ask("BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n", &["452 4.3.1", "452 4.3.1", "250 "]);
    talk.ask("MAIL FROM:<s@x>\r\nRCPT TO:<ok@x>\r\nRSET\r\n", &["250 ", "452 4.3.1", "250 "]);
    house.script.behaviour.lock().room = true;
    talk.ask("MAIL FROM:<s@x>\r\nRCPT TO:<ok@x>\r\nDATA\r\n", &["250 ", "250 ", "354 "]);
}

#[test]
fn a_client_that_leaves_while_there_is_no_room_is_seen() {
    let house = house();
    house.script.behaviour.lock().room = false;
    let mut talk = Talk::begun(&house.config);
    talk.say("MAIL FROM:<s@x>\r\nRCPT TO:<ok@x>\r\nDATA\r\n");
    talk.hang_up();
    eventually("the end of the session", || house.door.clients() == 0);
}

#[test]
fn the_queue_id_comes_by_xforward_or_from_the_content() {
    let house = house();
    let mut talk = Talk::begun(&house.config);
    let group = "MAIL FROM:<s@x>\r\nRCPT TO:<ok@x>\r\nDATA\r\n";
    talk.ask("XFORWARD NAME=a ADDR=192.0.2.9 IDENT=4bX+2D1\r\nXFORWARD PROTO=ESMTP\r\n", &["250 ", "250 "]);
    for id in [Some("4bX-1"), Some("4bRECEIVED"), None] {
        let received = if id.is_some() { "Received: by x (Postfix)\r\n\tid 4bRECEIVED; now\r\n" } else { "" };
        talk.ask(group, &["250 ", "250 ", "354 "]);
        talk.ask(format!("{received}\r\nx\r\n.\r\n"), &["250 "]);
        assert_eq!(house.script.seen().last().expect("one").queue_id.as_deref(), id);
    }
}

#[test]
fn a_tcp_client_is_routed_by_recipient_and_answered_in_order() {
    let set = |c: &mut Config| {
        c.listen.lmtp.push("127.0.0.1:0".parse().expect("an address"));
        c.routes.insert("a.example".into(), "[one]:25".parse().expect("a next hop"));
    };
    let house = house_with(set, Patience::default());
    let stream = TcpStream::connect(house.door.tcp_addresses()[0]).expect("listening");
    stream.set_read_timeout(Some(LONG)).expect("a timeout");
    let mut talk = Talk::over(stream);
    talk.expect("220 ");
    talk.say("LHLO x\r\n");
    assert!(talk.reply().contains("8BITMIME"));
    talk.ask(
        "MAIL FROM:<s@x>\r\nRCPT TO:<ok@a.example>\r\nRCPT TO:<fail@b.example>\r\nRCPT TO:<postmaster>\r\n\
         RCPT TO:<defer@A.example>\r\nDATA\r\n",
        &["250 ", "250 ", "250 ", "451 4.3.5", "250 ", "354 "],
    );
    talk.ask("x\r\n.\r\n", &["250 2.0.0 mx", "550 5.1.1 mx", "450 4.2.1 mx"]);
    let of: Vec<_> = house.script.seen().into_iter().map(|s| (s.next_hop, s.recipients)).collect();
    let one = ("[one]:25".to_owned(), vec!["ok@a.example".to_owned(), "defer@A.example".to_owned()]);
    assert_eq!(of, [one, ("b.example".to_owned(), vec!["fail@b.example".to_owned()])]);
}

#[test]
fn a_stop_leaves_idle_clients_and_answers_waiting_ones() {
    let house = house();
    house.script.behaviour.lock().hold = true;
    let mut idle = Talk::begun(&house.config);
    let mut sending = Talk::begun(&house.config);
    sending.ask("MAIL FROM:<s@x>\r\nRCPT TO:<ok@x>\r\nDATA\r\n", &["250 ", "250 ", "354 "]);
    let mut waiting = Talk::begun(&house.config);
    waiting.ask("MAIL FROM:<s@x>\r\nRCPT TO:<ok@x>\r\nDATA\r\n", &["250 ", "250 ", "354 "]);
    waiting.say("x\r\n.\r\n");
    house.script.await_seen(1);
    house.door.stop();
    idle.expect("421 4.3.2");
    idle.expect_end();
    sending.expect("421 4.3.2");
    sending.expect_end();
    assert!(!house.config.listen.socket_path(&HOP.parse().expect("a next hop")).exists());
    assert!(!house.door.wait(Duration::from_millis(10)));
    house.script.release();
    waiting.expect("250 2.0.0 mx");
    waiting.expect("421 4.3.2");
    assert!(house.door.wait(LONG));
    assert_eq!(house.script.seen().len(), 1);
}

#[test]
fn clients_beyond_the_limit_are_told_so() {
    let house = house_with(|c| c.listen.max_clients = 1, Patience::default());
    let first = Talk::begun(&house.config);
    let mut second = Talk::to(&house.config);
    second.expect("421 4.3.2");
    second.expect_end();
    first.hang_up();
    eventually("a free place", || house.door.clients() == 0);
    Talk::begun(&house.config);
}

#[test]
fn a_panic_ends_one_client_and_no_other() {
    let house = house();
    let mut other = Talk::begun(&house.config);
    let mut talk = Talk::begun(&house.config);
    house.script.behaviour.lock().panics = true;
    talk.ask("MAIL FROM:<s@x>\r\nRCPT TO:<ok@x>\r\nDATA\r\n", &["250 ", "250 ", "354 "]);
    talk.say("x\r\n.\r\n");
    talk.expect_end();
    house.script.behaviour.lock().panics = false;
    other.ask("MAIL FROM:<s@x>\r\nRCPT TO:<ok@x>\r\nDATA\r\n", &["250 ", "250 ", "354 "]);
    other.ask("x\r\n.\r\n", &["250 "]);
}

#[test]
fn silent_clients_are_left() {
    let patience = Patience { command: Duration::from_millis(200), content: Duration::from_millis(200), ..impatient() };
    let house = house_with(|_| {}, patience);
    let mut talk = Talk::begun(&house.config);
    talk.expect("421 4.4.2");
    talk.expect_end();
    let mut talk = Talk::begun(&house.config);
    talk.ask("MAIL FROM:<s@x>\r\nRCPT TO:<ok@x>\r\nDATA\r\n", &["250 ", "250 ", "354 "]);
    talk.expect("421 4.4.2");
    talk.expect_end();
}

#[test]
fn thousands_of_recipients_in_one_group() {
    let house = house();
    let mut talk = Talk::begun(&house.config);
    let group = "MAIL FROM:<s@x>\r\n".to_owned() + &"RCPT TO:<ok@x>\r\n".repeat(2000) + "DATA\r\n";
    talk.say(group);
    talk.expect("250 2.1.0");
    (0..2000).for_each(|_| drop(talk.expect("250 2.1.5")));
    talk.expect("354 ");
    talk.say("x\r\n.\r\n");
    (0..2000).for_each(|_| drop(talk.expect("250 2.0.0 mx")));
    talk.ask("NOOP\r\n", &["250 "]);
}

// Sockets.

fn start(config: &Config) -> Result<LmtpDoor, DoorError> {
    LmtpDoor::start(Script::new(config.clone()), config)
}

#[test]
fn a_socket_has_the_mode_that_is_set_and_goes_with_the_door() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut config = config(&directory.path().join("run"));
    config.listen.socket_mode = 0o620;
    let path = config.listen.socket_path(&HOP.parse().expect("a next hop"));
    let door = start(&config).expect("opens");
    let found = path.symlink_metadata().expect("there");
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o777, 0o620);
    let parent = path.parent().expect("nh");
    assert_eq!(parent.metadata().expect("there").permissions().mode() & 0o777, 0o755);
    assert_eq!(parent.read_dir().expect("readable").count(), 1);
    drop(door);
    assert!(!path.exists());
}

#[test]
fn a_stale_socket_is_taken_over_and_a_live_one_is_left() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = config(directory.path());
    let path = config.listen.socket_path(&HOP.parse().expect("a next hop"));
    std::fs::create_dir(path.parent().expect("nh")).expect("made");
    drop(UnixListener::bind(&path).expect("bound"));
    let door = start(&config).expect("takes it over");
    Talk::begun(&config);
    let refused = start(&config).expect_err("the first one is alive");
    assert!(matches!(&refused, DoorError::InUse(at) if *at == path), "{refused}");
    Talk::begun(&config);
    drop(door);
}

#[test]
fn a_live_socket_with_a_full_backlog_is_left_too() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = config(directory.path());
    let path = config.listen.socket_path(&HOP.parse().expect("a next hop"));
    std::fs::create_dir(path.parent().expect("nh")).expect("made");
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).expect("a socket");
    let address = socket2::SockAddr::unix(&path).expect("short");
    socket.bind(&address).expect("bound");
    socket.listen(0).expect("listening");
    let client = || {
        let client = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).expect("a socket");
        client.set_nonblocking(true).expect("set");
        client.connect(&address).map(|()| client)
    };
    let mut clients = Vec::new();
    while let Ok(one) = client() {
        clients.push(one);
        assert!(clients.len() < 100);
    }
    assert!(matches!(start(&config), Err(DoorError::InUse(_))));
}

#[test]
fn what_is_no_socket_is_never_removed() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = config(directory.path());
    let path = config.listen.socket_path(&HOP.parse().expect("a next hop"));
    std::fs::create_dir(path.parent().expect("nh")).expect("made");
    std::fs::write(&path, "mine").expect("written");
    assert!(matches!(start(&config), Err(DoorError::NotASocket(_))));
    assert_eq!(std::fs::read_to_string(&path).expect("left"), "mine");
}

#[test]
fn a_socket_that_was_replaced_is_not_removed() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = config(directory.path());
    let path = config.listen.socket_path(&HOP.parse().expect("a next hop"));
    let door = start(&config).expect("opens");
    std::fs::remove_file(&path).expect("ours");
    let _successor = UnixListener::bind(&path).expect("bound");
    drop(door);
    assert!(path.exists());
}

#[test]
fn a_path_that_is_too_long_names_the_next_hop() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut config = config(directory.path());
    let hop = format!("[{}.example.net]:25", "x".repeat(100));
    config.next_hops.insert(hop.parse().expect("a next hop"), Default::default());
    let error = start(&config).expect_err("too long").to_string();
    assert!(error.contains(&format!("next hop {hop}")) && error.contains("over 107"), "{error}");
    let left: Vec<_> = directory.path().join("nh").read_dir().expect("made").collect();
    assert!(left.is_empty(), "what was opened before is removed: {left:?}");
}

#[test]
fn unknown_owners_and_empty_configurations_are_told() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut config = config(directory.path());
    config.listen.socket_owner = Some("no-such-user-here".into());
    let error = start(&config).expect_err("nobody").to_string();
    assert!(error.contains("socket_owner") && error.contains("no-such-user-here"), "{error}");
    assert!(matches!(start(&Config::default()), Err(DoorError::Nothing)));
}

fn hop(name: &str) -> NextHop {
    name.parse().expect("a next hop")
}

#[test]
fn a_door_follows_a_further_configuration_in_two_steps() {
    let house = house();
    let mut other = house.config.clone();
    other.next_hops = [(hop("[a]:25"), Default::default()), (hop("[b]:25"), Default::default())].into();
    let paths = [HOP, "[a]:25", "[b]:25"].map(|name| house.config.listen.socket_path(&hop(name)));
    let there = || paths.each_ref().map(|path| path.exists());
    let prepared = house.door.prepare(&other).expect("opens");
    assert_eq!(there(), [true, true, true]);
    drop(prepared);
    assert_eq!(there(), [true, false, false], "given up");
    let mut talk = Talk::begun(&house.config);
    for (config, expected) in [(&other, [false, true, true]), (&house.config, [true, false, false])] {
        house.door.follow(house.door.prepare(config).expect("opens"));
        assert_eq!(there(), expected);
    }
    talk.ask("MAIL FROM:<s@x>\r\nRCPT TO:<ok@x>\r\nDATA\r\n", &["250 ", "250 ", "354 "]);
    talk.ask(".\r\n", &["250 2.0.0"]);
    Talk::begun(&house.config);
    let nothing = Config { next_hops: Default::default(), ..house.config.clone() };
    assert!(matches!(house.door.prepare(&nothing), Err(DoorError::Nothing)));
}

#[test]
fn a_door_that_was_stopped_follows_no_more() {
    let house = house();
    let mut other = house.config.clone();
    other.next_hops.insert(hop("[a]:25"), Default::default());
    house.door.stop();
    house.door.follow(house.door.prepare(&other).expect("opens"));
    assert!(!house.config.listen.socket_path(&hop("[a]:25")).exists());
}

// Any cutting of what the client says gives the same replies.

/// A client that has its words ready, in pieces, and keeps what it is told.
struct Pieces {
    pieces: Vec<Vec<u8>>,
    told: Arc<Mutex<Vec<u8>>>,
}

impl Client for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.pieces.is_empty() {
            return Ok(0);
        }
        let piece = &mut self.pieces[0];
        let octets = piece.len().min(buffer.len());
        buffer[..octets].copy_from_slice(&piece[..octets]);
        piece.drain(..octets);
        if piece.is_empty() {
            self.pieces.remove(0);
        }
        Ok(octets)
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.told.lock().expect("whole").extend_from_slice(bytes);
        Ok(())
    }

    /// Nothing is ever there at once, so that the session sees each piece alone.
    fn look(&self, interest: Interest, other: BorrowedFd<'_>, patience: Option<Duration>) -> io::Result<Seen> {
        let mut watches = [Watch::new(other, Interest::Read)];
        net::poll(&mut watches, Some(Instant::now()))?;
        let other = watches[0].is_ready();
        let waits = patience.is_none_or(|patience| !patience.is_zero());
        Ok(Seen { found: interest == Interest::Read && waits && !other, other })
    }
}

/// The replies to `words` in these pieces.
fn told(words: &[u8], cuts: &[usize]) -> (String, usize) {
    let config = config(std::path::Path::new("/nonexistent"));
    let script = Script::new(config);
    let (mut pieces, mut rest, mut sizes) = (Vec::new(), words, cuts.iter().cycle());
    while !rest.is_empty() {
        let size = sizes.next().map_or(rest.len(), |size| (*size).min(rest.len()));
        pieces.push(rest[..size].to_vec());
        rest = &rest[size..];
    }
    let told = Arc::new(Mutex::new(Vec::new()));
    let client = Pieces { pieces, told: Arc::clone(&told) };
    let hop = Some(HOP.parse().expect("a next hop"));
    let stop = Stop::new().expect("an eventfd");
    serve_client(&*script, hop, Patience::default(), client, stop).expect("served");
    let told = told.lock().expect("whole").clone();
    (String::from_utf8(told).expect("UTF-8"), script.seen().len())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_cutting_gives_the_same_replies(
        parts in proptest::collection::vec(prop_oneof![
            Just("LHLO x\r\n"), Just("MAIL FROM:<s@x>\r\n"), Just("RCPT TO:<ok@x>\r\n"), Just("RCPT TO:<fail@x>\r\n"),
            Just("RCPT TO:<a b>\r\n"), Just("NOOP\r\n"), Just("FOO\nBAR\r\n"), Just("BDAT 7\r\nA\r\n.\r\nB"),
            Just("BDAT 3 LAST\r\nend"), Just("BDAT 9\r\nQUIT\r\n\r\n\r"), Just("DATA\r\n..\r\nx\n.\r\n\r\n.\r\n"),
            Just("MAIL FROM:<s@x>\r\nRCPT TO:<ok@x>\r\nDATA\r\ny\r\n.\r\n"), Just("NOOP xxxxxxxxxxxxxxxxxxxxxxxx\r\n"),
        ], 0..12),
        long in proptest::bool::ANY,
        cuts in proptest::collection::vec(1usize..40, 1..20),
    ) {
        let mut words = "LHLO x\r\n".to_owned() + &parts.concat();
        if long {
            words += &format!("NOOP {}\r\nNOOP\r\n", "x".repeat(4090));
        }
        // Not QUIT behind RCPT: that is an address probe when it comes in the same group, and only then.
        words += "NOOP\r\nQUIT\r\nNOOP\r\n";
        prop_assert_eq!(told(words.as_bytes(), &cuts), told(words.as_bytes(), &[words.len()]));
    }
}
