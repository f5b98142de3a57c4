//! STARTTLS: what leads to a session that is ready, and what never does.

use super::play::options;
use crate::config::{Level, Trust};
use crate::smtp::ladder::Knowledge;
use crate::smtp::session::{CloseReason, Event, Session, SessionOptions, StartTls, Want};
use proptest::prelude::*;

fn session(starttls: StartTls) -> Session {
    let options = SessionOptions { starttls, ..options(Level::Stream, Trust::Stream, 8) };
    Session::new(options, Knowledge::default())
}

/// Lets the server say each of these, and returns all that the client says.
pub(super) fn dialogue(session: &mut Session, replies: &[&str]) -> String {
    let mut said = Vec::new();
    for reply in replies {
        session.input(reply.as_bytes());
        while session.want() == Want::Write {
            said.extend_from_slice(session.output());
            session.wrote(session.output().len());
        }
    }
    String::from_utf8(said).expect("commands")
}

const OFFERED: [&str; 2] = ["220 x\r\n", "250-x\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 STARTTLS\r\n"];

#[test]
fn what_was_offered_in_clear_is_forgotten() {
    for starttls in [StartTls::IfOffered, StartTls::Needed] {
        let mut session = session(starttls);
        assert_eq!(dialogue(&mut session, &OFFERED), "EHLO client.test\r\nSTARTTLS\r\n");
        assert_eq!((session.want(), session.has_room(), session.awaits_handshake()), (Want::Read, false, false));
        assert_eq!(dialogue(&mut session, &["220 go\r\n"]), "");
        assert_eq!((session.want(), session.next_event()), (Want::Handshake, None));
        session.secured();
        assert_eq!(dialogue(&mut session, &["", "250-x\r\n250 STARTTLS\r\n"]), "EHLO client.test\r\n");
        assert_eq!(session.next_event(), Some(Event::Ready));
        assert!(!session.offered().pipelining && !session.offered().chunking);
        // Said out of place it does nothing.
        session.secured();
        assert_eq!(session.want(), Want::Idle);
    }
}

#[test]
fn nothing_may_come_in_clear_behind_the_220() {
    for behind in ["250 x\r\n", "2", "\n", "\r\n", "220 go\r\n", "\0"] {
        for whole in [true, false] {
            let mut session = session(StartTls::IfOffered);
            dialogue(&mut session, &OFFERED);
            match whole {
                true => session.input(format!("220 go\r\n{behind}").as_bytes()),
                false => [b"220 go\r\n", behind.as_bytes()].into_iter().for_each(|octets| session.input(octets)),
            }
            assert!(matches!(session.closed(), Some(CloseReason::Injected(_))), "{behind:?}: {:?}", session.closed());
            session.secured();
            assert_eq!((session.want(), session.next_event()), (Want::Closed, None));
        }
    }
}

#[test]
fn behind_the_handshake_helo_will_do_but_a_refusal_of_both_will_not() {
    let mut session = session(StartTls::Needed);
    dialogue(&mut session, &OFFERED);
    dialogue(&mut session, &["220 go\r\n"]);
    session.secured();
    assert_eq!(dialogue(&mut session, &["", "502 what\r\n"]), "EHLO client.test\r\nHELO client.test\r\n");
    dialogue(&mut session, &["502 what\r\n"]);
    assert!(matches!(session.closed(), Some(CloseReason::NotReady(_))));
}

#[test]
fn a_server_that_says_421_to_starttls_is_closing() {
    for starttls in [StartTls::IfOffered, StartTls::Needed] {
        let mut session = session(starttls);
        dialogue(&mut session, &OFFERED);
        dialogue(&mut session, &["421 later\r\n"]);
        assert!(matches!(session.closed(), Some(CloseReason::NotReady(reply)) if reply.code == 421));
    }
}

proptest! {
    /// Whatever a server says, and however it is cut: where encryption is needed and no handshake is made, the session
    /// is never ready.
    #[test]
    fn no_server_talks_a_session_that_needs_encryption_into_clear_text(
        replies in prop::collection::vec(
            prop::sample::select(vec![
                "220 x\r\n", "220 ***\r\n", "250 x\r\n", "250-x\r\n250 STARTTLS\r\n", "250-x\r\n250 PIPELINING\r\n", "454 no\r\n",
                "502 no\r\n", "500 no\r\n", "354 go\r\n", "421 bye\r\n", "250-x\r\n", "250 STARTTLS\r\n", "2",
            ]),
            0..8,
        ),
    ) {
        let mut session = session(StartTls::Needed);
        let said = dialogue(&mut session, &replies);
        prop_assert_eq!(session.next_event(), None);
        prop_assert!(!session.has_room());
        for line in said.lines() {
            prop_assert!(["EHLO client.test", "STARTTLS"].contains(&line), "{}", line);
        }
    }
}
