//! AUTH: what leads to a session that is ready, what never does, and that nobody is shown a secret.

use super::play::options;
use super::starttls::dialogue;
use crate::config::{Credentials, Level, Mechanism, Secret, Trust};
use crate::smtp::ladder::Knowledge;
use crate::smtp::session::{Auth, CloseReason, Event, Session, SessionOptions, Stage, StartTls, Want};
use base64::prelude::{BASE64_STANDARD, Engine};
use proptest::prelude::*;

const PASSWORD: &str = "tanstaaftanstaaf";
/// `\0tim\0tanstaaftanstaaf`
const PLAIN: &str = "AHRpbQB0YW5zdGFhZnRhbnN0YWFm";
const ALL: [Mechanism; 3] = [Mechanism::Login, Mechanism::Plain, Mechanism::ScramSha256];

fn auth(mechanisms: &[Mechanism], in_clear: bool) -> Auth {
    let credentials = Credentials { user: "tim".into(), password: Secret::new(PASSWORD) };
    Auth { credentials, mechanisms: mechanisms.to_vec(), in_clear, undisclosed: None }
}

fn session(mechanisms: &[Mechanism], secured: bool, in_clear: bool, starttls: StartTls) -> Session {
    let auth = Some(auth(mechanisms, in_clear));
    let options = SessionOptions { starttls, secured, auth, ..options(Level::Stream, Trust::Stream, 8) };
    Session::new(options, Knowledge::default())
}

fn encrypted(mechanisms: &[Mechanism]) -> Session {
    session(mechanisms, true, false, StartTls::Never)
}

fn refusal(session: &Session) -> String {
    match session.closed() {
        Some(reason @ CloseReason::NotAuthenticated { .. }) => reason.to_string(),
        other => panic!("{other:?}"),
    }
}

const OFFERED: [&str; 2] = ["220 x\r\n", "250-x\r\n250-PIPELINING\r\n250 AUTH LOGIN PLAIN GSSAPI\r\n"];

#[test]
fn auth_is_alone_in_its_group_and_what_ehlo_offered_holds() {
    let mut session = encrypted(&ALL);
    assert_eq!(dialogue(&mut session, &OFFERED), format!("EHLO client.test\r\nAUTH PLAIN {PLAIN}\r\n"));
    assert_eq!((session.want(), session.stage(), session.has_room()), (Want::Read, Some(Stage::Auth), false));
    assert_eq!((session.next_event(), session.logged_in()), (None, None));
    assert_eq!(dialogue(&mut session, &["235 2.7.0 welcome\r\n"]), "");
    assert_eq!((session.next_event(), session.logged_in()), (Some(Event::Ready), Some(Mechanism::Plain)));
    assert!(session.offered().pipelining && session.has_room());
    assert_eq!((session.want(), session.stage()), (Want::Idle, None));
}

#[test]
fn two_lines_of_auth_are_both_read() {
    let mut session = encrypted(&[Mechanism::Login]);
    let said = dialogue(&mut session, &["220 x\r\n", "250-x\r\n250-AUTH GSSAPI\r\n250 auth login\r\n"]);
    assert_eq!(said, "EHLO client.test\r\nAUTH LOGIN\r\n");
}

#[test]
fn a_server_that_is_not_to_know_the_password_gets_a_proof_or_nothing() {
    let undisclosed = |mechanisms: &[Mechanism]| {
        let auth = Some(Auth { undisclosed: Some("who knows"), ..auth(mechanisms, false) });
        let options = SessionOptions { secured: true, auth, ..options(Level::Stream, Trust::Stream, 8) };
        Session::new(options, Knowledge::default())
    };
    let mut session = undisclosed(&ALL);
    assert_eq!(dialogue(&mut session, &OFFERED), "EHLO client.test\r\n");
    assert!(refusal(&session).contains("offers LOGIN PLAIN GSSAPI, and SCRAM-SHA-256 may be used: who knows"));
    let mut session = undisclosed(&ALL);
    let said = dialogue(&mut session, &["220 x\r\n", "250-x\r\n250 AUTH PLAIN SCRAM-SHA-256\r\n"]);
    assert!(said.contains("AUTH SCRAM-SHA-256 "), "{said}");
    let mut session = undisclosed(&[Mechanism::XOAuth2]);
    assert_eq!(dialogue(&mut session, &["220 x\r\n", "250-x\r\n250 AUTH XOAUTH2\r\n"]), "EHLO client.test\r\n");
    assert!(refusal(&session).contains("none may be used"));
}

#[test]
fn nothing_secret_goes_over_a_connection_in_clear_unless_it_may() {
    for offers in ["250 AUTH PLAIN LOGIN SCRAM-SHA-256", "250 STARTTLS"] {
        for starttls in [StartTls::Never, StartTls::IfOffered] {
            let mut session = session(&ALL, false, false, starttls);
            assert!(session.must_not_be_in_clear());
            let ehlo = format!("250-x\r\n{offers}\r\n");
            let said = dialogue(&mut session, &["220 x\r\n", &ehlo, "454 not now\r\n"]);
            assert!(!said.contains("AUTH"), "{said}");
            assert!(refusal(&session).contains("is not encrypted"), "{}", refusal(&session));
        }
    }
    let mut allowed = session(&ALL, false, true, StartTls::IfOffered);
    assert!(!allowed.must_not_be_in_clear());
    assert!(dialogue(&mut allowed, &OFFERED).ends_with(&format!("AUTH PLAIN {PLAIN}\r\n")));
}

#[test]
fn behind_starttls_the_last_ehlo_counts() {
    let mut session = session(&ALL, false, false, StartTls::IfOffered);
    let said = dialogue(&mut session, &["220 x\r\n", "250-x\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n", "220 go\r\n"]);
    assert_eq!(said, "EHLO client.test\r\nSTARTTLS\r\n");
    session.secured();
    let said =
        dialogue(&mut session, &["", "250-x\r\n250 AUTH LOGIN\r\n", "334 VXNlcm5hbWU6\r\n", "334 UGFzc3dvcmQ6\r\n"]);
    assert_eq!(said, "EHLO client.test\r\nAUTH LOGIN\r\ndGlt\r\ndGFuc3RhYWZ0YW5zdGFhZg==\r\n");
    dialogue(&mut session, &["235 ok\r\n"]);
    assert_eq!((session.next_event(), session.logged_in()), (Some(Event::Ready), Some(Mechanism::Login)));
}

#[test]
fn helo_is_of_no_use_where_auth_is_needed() {
    let mut session = encrypted(&ALL);
    assert_eq!(dialogue(&mut session, &["220 ****\r\n"]), "EHLO client.test\r\n");
    assert_eq!(dialogue(&mut session, &["502 what\r\n"]), "HELO client.test\r\n");
    dialogue(&mut session, &["250 x\r\n"]);
    assert!(refusal(&session).ends_with("the server does not offer AUTH"));
}

#[test]
fn a_server_without_a_mechanism_of_ours_is_told_apart() {
    for (mechanisms, offers, expected) in [
        (
            &ALL[..],
            "250 AUTH XOAUTH2 GSSAPI",
            "the server offers XOAUTH2 GSSAPI, and LOGIN PLAIN SCRAM-SHA-256 may be used",
        ),
        (&[Mechanism::XOAuth2], "250 AUTH PLAIN LOGIN", "the server offers PLAIN LOGIN, and XOAUTH2 may be used"),
        (&ALL, "250 AUTH", "does not offer AUTH"),
        (&ALL, "250 SIZE", "does not offer AUTH"),
    ] {
        let mut session = encrypted(mechanisms);
        dialogue(&mut session, &["220 x\r\n", &format!("250-x\r\n{offers}\r\n")]);
        assert!(refusal(&session).contains(expected), "{}", refusal(&session));
    }
}

#[test]
fn every_refusal_ends_the_session_and_keeps_the_server_s_words() {
    for code in [432, 454, 500, 501, 504, 530, 534, 535, 538, 554] {
        let mut session = encrypted(&ALL);
        dialogue(&mut session, &OFFERED);
        dialogue(&mut session, &[&format!("{code} no\r\n")]);
        assert_eq!(refusal(&session), format!("the server refused AUTH PLAIN: {code} no"));
        assert_eq!((session.want(), session.next_event()), (Want::Closed, None));
    }
    let mut session = encrypted(&ALL);
    dialogue(&mut session, &OFFERED);
    dialogue(&mut session, &["421 4.3.2 later\r\n"]);
    assert!(matches!(session.closed(), Some(CloseReason::NotReady(reply)) if reply.code == 421));
}

#[test]
fn what_is_no_challenge_is_answered_with_a_star() {
    for (mechanism, offered, challenges, why) in [
        (Mechanism::Plain, "PLAIN", &["334 \r\n"][..], "asked for more than PLAIN has to say"),
        (Mechanism::Login, "LOGIN", &["334 Username:\r\n"], "not base64"),
        (Mechanism::Login, "LOGIN", &["334 \r\n", "334 \r\n", "334 \r\n"], "more than LOGIN has to say"),
        (Mechanism::Login, "LOGIN", &["334-\r\n334 \r\n"], "more than one line"),
        (Mechanism::XOAuth2, "XOAUTH2", &["334 \r\n", "334 \r\n"], "more than XOAUTH2 has to say"),
        (Mechanism::ScramSha256, "SCRAM-SHA-256", &["334 \r\n"], "first message is none"),
        (Mechanism::ScramSha256, "SCRAM-SHA-256", &["334 dg==\r\n"], "first message is none"),
    ] {
        let mut session = encrypted(&[mechanism]);
        dialogue(&mut session, &["220 x\r\n", &format!("250-x\r\n250 AUTH {offered}\r\n")]);
        let said = dialogue(&mut session, challenges);
        assert!(said.ends_with("*\r\n") && said.matches('*').count() == 1, "{said}");
        assert_eq!((session.want(), session.stage()), (Want::Read, Some(Stage::Auth)));
        // Whatever the server makes of that.
        for answer in ["501 cancelled\r\n", "235 welcome\r\n", "334 more\r\n"] {
            let mut session = encrypted(&[mechanism]);
            dialogue(&mut session, &["220 x\r\n", &format!("250-x\r\n250 AUTH {offered}\r\n")]);
            dialogue(&mut session, challenges);
            dialogue(&mut session, &[answer]);
            assert!(refusal(&session).contains(why), "{}", refusal(&session));
        }
    }
}

#[test]
fn a_server_that_has_not_proved_itself_by_scram_is_not_believed() {
    let mut session = encrypted(&ALL);
    let said = dialogue(&mut session, &["220 x\r\n", "250-x\r\n250 AUTH PLAIN SCRAM-SHA-256\r\n", "235 welcome\r\n"]);
    assert!(said.contains("\r\nAUTH SCRAM-SHA-256 "), "{said}");
    assert!(refusal(&session).contains("has not proved that it knows it"));
}

#[test]
fn an_answer_before_the_question_ends_the_session() {
    let mut session = encrypted(&[Mechanism::Login]);
    dialogue(&mut session, &["220 x\r\n", "250-x\r\n250 AUTH LOGIN\r\n"]);
    session.input(b"334 \r\n235 ok\r\n");
    assert!(matches!(session.closed(), Some(CloseReason::Protocol(_))), "{:?}", session.closed());
    assert_eq!((session.want(), session.next_event()), (Want::Closed, None));
}

#[test]
fn an_over_long_challenge_and_a_silent_server_end_the_session() {
    let mut session = encrypted(&[Mechanism::Login]);
    dialogue(&mut session, &["220 x\r\n", "250-x\r\n250 AUTH LOGIN\r\n"]);
    let mut silent = encrypted(&ALL);
    dialogue(&mut silent, &OFFERED);
    session.input(format!("334 {}", "A".repeat(5000)).as_bytes());
    assert!(matches!(session.closed(), Some(CloseReason::Protocol(_))));
    silent.timed_out();
    let text = silent.closed().map(ToString::to_string);
    assert_eq!(text.as_deref(), Some("the time ran out while the reply to AUTH was owed"));
}

/// What must not be seen, as it is and as a line has it, whole or in the parts by which it would be given away.
fn gives_away(text: &str) -> bool {
    let line = BASE64_STANDARD.encode(PASSWORD);
    let secrets = [PASSWORD, PLAIN, line.as_str()];
    // As octets in decimal, as Debug would show a buffer.
    let octets = PLAIN.bytes().skip(8).take(4).map(|b| b.to_string()).collect::<Vec<_>>().join(", ");
    text.contains(&octets)
        || secrets.iter().any(|secret| {
            secret.as_bytes().windows(8).any(|part| text.contains(std::str::from_utf8(part).expect("ASCII")))
        })
}

#[test]
fn a_server_that_says_our_words_again_is_not_quoted() {
    for words in [
        format!("535 5.7.8 I do not know {PLAIN}\r\n"),
        format!("535 AUTH PLAIN {PLAIN}\r\n"),
        format!("454 4.7.0 bad password {PASSWORD}\r\n"),
        format!("421 {PASSWORD}\r\n"),
        format!("535-no\r\n535 {}\r\n", BASE64_STANDARD.encode(PASSWORD)),
        format!("399 {PASSWORD}\r\n"),
        format!("AUTH PLAIN {PLAIN}\r\n"),
        "535-tanstaaf\r\n535 tanstaaf\r\n".to_owned(),
    ] {
        let mut session = encrypted(&ALL);
        dialogue(&mut session, &OFFERED);
        session.input(words.as_bytes());
        let text = format!("{} {session:?}", session.closed().expect("over"));
        assert!(!gives_away(&text), "{text}");
    }
    let mut session = encrypted(&ALL);
    dialogue(&mut session, &OFFERED);
    session.input(format!("535 5.7.8 {PASSWORD}\r\n").as_bytes());
    assert_eq!(refusal(&session), "the server refused AUTH PLAIN: 535 5.7.8 (its words repeat what is secret)");
}

proptest! {
    /// Whatever a server says, its turns at repeating our own words among it: nothing that people see has the
    /// password or its base64, and what the client says is AUTH's own.
    #[test]
    fn no_server_brings_a_secret_before_people_s_eyes(
        mechanism in prop::sample::select(Mechanism::ALL.to_vec()),
        replies in prop::collection::vec(
            prop::sample::select(vec![
                "334 \r\n", "334 VXNlcm5hbWU6\r\n", "235 ok\r\n", "535 5.7.8 no\r\n", "421 bye\r\n", "501 what\r\n",
                "{last}", "535 {last}", "454 4.7.0 you said {last}", "421 {password}\r\n", "501 {last}", "300 {password}\r\n",
                "235 {password}\r\n", "334 {last}", "2",
            ]),
            0..6,
        ),
    ) {
        let mut session = encrypted(&[mechanism]);
        let offers = format!("250-x\r\n250 AUTH {mechanism}\r\n");
        let mut last = dialogue(&mut session, &["220 x\r\n", &offers]);
        for reply in replies {
            let line = last.lines().last().unwrap_or_default().to_owned() + "\r\n";
            let reply = reply.replace("{last}", &line).replace("{password}", PASSWORD);
            session.input(reply.as_bytes());
            // In the middle of it, with the words not written yet.
            let midway = format!("{session:?}");
            prop_assert!(!gives_away(&midway), "{}", midway);
            last = dialogue(&mut session, &[""]);
            let reason = session.closed().map(ToString::to_string).unwrap_or_default();
            let shown = format!("{session:?} {:?} {reason}", session.closed());
            prop_assert!(!gives_away(&shown), "{}", shown);
            while let Some(event) = session.next_event() {
                prop_assert_eq!(event, Event::Ready);
            }
            if session.closed().is_some() || session.logged_in().is_some() {
                break;
            }
        }
    }
}

#[test]
fn options_do_not_show_what_they_hold() {
    let options = SessionOptions { auth: Some(auth(&ALL, true)), ..options(Level::Stream, Trust::Stream, 8) };
    let text = format!("{options:?} {options:#?}");
    assert!(text.contains("tim") && !gives_away(&text), "{text}");
}
