//! LMTP (RFC 2033): cases that a socket cannot show, or that chance would seldom find.

use super::cases::{begin, content, end, ready_by, written};
use super::play::options;
use super::world::Plan;
use crate::config::{Level, Protocol, Trust};
use crate::smtp::ladder::Knowledge;
use crate::smtp::session::{Cause, CloseReason, End, Event, Said, Session, SessionOptions, Stage, Want};

fn ready(level: Level, chunking: bool) -> Session {
    ready_by(Protocol::Lmtp, level, chunking)
}

/// Begins a message of these recipients and about so many octets, and sends what can be sent.
fn sent(session: &mut Session, recipients: usize, size: usize) -> String {
    begin(session, &Plan::good(recipients, size));
    let mut all = written(session);
    while matches!(session.want(), Want::Content { .. }) {
        let max = content(session);
        session.supply(&vec![b' '; max]);
        all.push_str(&written(session));
    }
    all
}

/// The codes that are known of a transaction's recipients: its verdicts.
fn verdicts(said: &Said, recipients: usize) -> Vec<Option<u16>> {
    (0..recipients).map(|place| said.verdict(place).map(|reply| reply.code)).collect()
}

fn decisive(end: Option<End>, recipients: usize) -> Vec<u16> {
    match end {
        Some(End::Answered(answers)) => (0..recipients).map(|place| answers.decisive(place).code).collect(),
        other => panic!("should be answered: {other:?}"),
    }
}

#[test]
fn there_is_nothing_to_fall_back_to_behind_lhlo() {
    for greeting in ["220 x LMTP\r\n", "220 **********\r\n"] {
        let options = SessionOptions { protocol: Protocol::Lmtp, ..options(Level::Stream, Trust::Learned, 8) };
        let mut session = Session::new(options, Knowledge::default());
        session.input(greeting.as_bytes());
        assert_eq!(written(&mut session), "LHLO client.test\r\n");
        session.input(b"500 5.5.1 what\r\n");
        assert!(matches!(session.closed(), Some(CloseReason::NotReady(reply)) if reply.code == 500));
    }
}

#[test]
fn each_recipient_has_its_own_verdict_and_the_next_reply_is_for_the_next_command() {
    let mut session = ready(Level::Stream, true);
    sent(&mut session, 4, 100);
    let second = sent(&mut session, 1, 100);
    assert!(second.starts_with("RSET\r\nMAIL"), "{second}");
    session.input(b"250 mail\r\n250 one\r\n550 no\r\n250 three\r\n250 four\r\n");
    session.input(b"250 taken\r\n452 4.2.2 full\r\n");
    assert_eq!((end(&mut session), session.stage()), (None, Some(Stage::Content)));
    session.input(b"552 5.2.2 full\r\n");
    assert_eq!(decisive(end(&mut session), 4), [250, 550, 452, 552]);
    assert_eq!(session.stage(), Some(Stage::Mail));
    session.input(b"250 reset\r\n250 mail\r\n250 rcpt\r\n250 taken\r\n");
    assert_eq!(decisive(end(&mut session), 1), [250]);
    assert_eq!(session.want(), Want::Idle);
}

#[test]
fn a_connection_lost_among_the_verdicts_leaves_the_others_in_doubt() {
    for chunking in [false, true] {
        let mut session = ready(if chunking { Level::Stream } else { Level::Envelope }, chunking);
        begin(&mut session, &Plan::good(3, 100));
        written(&mut session);
        session.input(if chunking {
            b"250 m\r\n250 1\r\n250 2\r\n250 3\r\n".as_slice()
        } else {
            b"250 m\r\n250 1\r\n250 2\r\n250 3\r\n354 go\r\n"
        });
        let max = content(&mut session);
        session.supply(&vec![b' '; max]);
        written(&mut session);
        session.input(b"250 taken\r\n550 no\r\n");
        session.lost("the server closed the connection");
        let Some(End::InDoubt { said, .. }) = end(&mut session) else { panic!("the third is in doubt") };
        assert_eq!(verdicts(&said, 3), [Some(250), Some(550), None]);
    }
}

#[test]
fn a_farewell_among_the_verdicts_settles_what_is_behind_it() {
    let mut session = ready(Level::Stream, true);
    sent(&mut session, 3, 100);
    sent(&mut session, 1, 100);
    session.input(b"250 m\r\n250 1\r\n250 2\r\n250 3\r\n250 taken\r\n421 4.3.2 leaving\r\n");
    session.lost("the server closed the connection");
    let Some(End::Unsent { cause: Cause::Closing(_), said }) = end(&mut session) else { panic!("unsent") };
    assert_eq!(verdicts(&said, 3), [Some(250), None, None]);
    assert!(matches!(end(&mut session), Some(End::Unsent { cause: Cause::Closing(_), .. })));
}

#[test]
fn a_421_for_one_recipient_leaves_the_others_theirs() {
    let mut session = ready(Level::Stream, true);
    sent(&mut session, 3, 100);
    session.input(b"250 m\r\n250 1\r\n250 2\r\n250 3\r\n250 taken\r\n421 4.3.2 not now\r\n250 taken\r\n");
    let Some(End::Unsent { cause: Cause::Closing(_), said }) = end(&mut session) else { panic!("one is unsent") };
    assert_eq!(verdicts(&said, 3), [Some(250), None, Some(250)]);
    assert_eq!(session.want(), Want::Idle, "the server goes on");
}

#[test]
fn a_last_chunk_for_nobody_may_have_no_reply() {
    for refuses in [false, true] {
        let mut session = ready(Level::Stream, true);
        sent(&mut session, 1, 100);
        session.input(b"250 m\r\n");
        assert_eq!(session.want(), Want::Read);
        session.input(b"550 no\r\n");
        assert_eq!(written(&mut session), "RSET\r\n", "whose reply tells");
        if refuses {
            session.input(b"503 5.5.1 for nobody\r\n");
        }
        session.input(b"250 reset\r\n");
        assert_eq!(decisive(end(&mut session), 1), [550], "refuses {refuses}");
        assert_eq!(session.want(), Want::Idle);
        assert!(sent(&mut session, 1, 100).starts_with("MAIL"), "the RSET was made already");
    }
}

#[test]
fn the_last_chunk_waits_for_those_in_front_of_it() {
    for refused in [false, true] {
        let mut session = ready(Level::Stream, true);
        let first = sent(&mut session, 2, 1_200_000);
        assert!(first.contains("BDAT 65536\r\n") && first.len() < 70_000, "{} octets", first.len());
        session.input(b"250 m\r\n250 1\r\n250 2\r\n");
        assert_eq!(session.want(), Want::Read, "the chunk is not answered");
        if refused {
            session.input(b"452 4.3.1 no room\r\n");
            assert_eq!(session.want(), Want::Idle, "the last one is not sent");
            assert_eq!(decisive(end(&mut session), 2), [452, 452]);
            continue;
        }
        session.input(b"250 chunk\r\n");
        while session.want() != Want::Read {
            if let Want::Content { max, .. } = session.want() {
                session.supply(&vec![b' '; max]);
            }
            session.wrote(session.output().len());
        }
        session.input(b"250 taken\r\n552 5.2.2 full\r\n");
        assert_eq!(decisive(end(&mut session), 2), [250, 552]);
    }
}

#[test]
fn a_go_ahead_for_nobody_ends_the_session() {
    let mut session = ready(Level::Envelope, false);
    sent(&mut session, 1, 100);
    session.input(b"250 m\r\n550 no\r\n354 go\r\n");
    assert_eq!(decisive(end(&mut session), 1), [550]);
    assert!(session.closed().is_some_and(CloseReason::must_abort), "what a lone dot gets, nobody can say");
}

#[test]
fn a_refused_reset_ends_the_session() {
    for (reply, farewell) in [("500 5.5.1 what\r\n", false), ("421 4.3.2 leaving\r\n", true)] {
        let mut session = ready(Level::Stream, true);
        sent(&mut session, 1, 100);
        sent(&mut session, 1, 100);
        session.input(b"250 m\r\n250 1\r\n250 taken\r\n");
        assert_eq!(decisive(end(&mut session), 1), [250]);
        session.input(reply.as_bytes());
        let second = end(&mut session);
        assert_eq!(matches!(second, Some(End::InDoubt { .. })), !farewell, "{second:?}");
        assert_eq!(matches!(second, Some(End::Unsent { cause: Cause::Closing(_), .. })), farewell, "{second:?}");
        assert!(session.closed().is_some());
    }
}

#[test]
fn a_refusal_before_the_end_of_the_content_is_the_first_recipients_only() {
    let mut session = ready(Level::Envelope, false);
    begin(&mut session, &Plan::good(2, 100));
    written(&mut session);
    session.input(b"250 m\r\n250 1\r\n250 2\r\n354 go\r\n");
    let max = content(&mut session);
    session.supply(&vec![b' '; max]);
    assert_eq!(session.want(), Want::Write);
    session.input(b"552 5.2.2 full\r\n");
    let Some(End::Unsent { said, .. }) = end(&mut session) else { panic!("the second is unsent") };
    assert_eq!(verdicts(&said, 2), [Some(552), None]);
    assert!(session.closed().is_some_and(CloseReason::must_abort));
}

/// A server with PIPELINING that nothing is known of, and which is not vouched for.
fn unknown() -> Session {
    let options = SessionOptions { protocol: Protocol::Lmtp, ..options(Level::Stream, Trust::Learned, 8) };
    let mut session = Session::new(options, Knowledge::default());
    session.input(b"220 x\r\n");
    written(&mut session);
    session.input(b"250-x\r\n250 PIPELINING\r\n");
    session
}

/// Begins a message to so many recipients, all accepted, and sends it to the end.
fn given(session: &mut Session, recipients: usize) -> String {
    begin(session, &Plan::good(recipients, 100));
    written(session);
    session.input(("250 ok\r\n".repeat(1 + recipients) + "354 go\r\n").as_bytes());
    let max = content(session);
    session.supply(&vec![b' '; max]);
    written(session)
}

#[test]
fn the_proof_is_behind_the_verdict_on_the_only_recipient() {
    let mut session = unknown();
    assert!(given(&mut session, 1).ends_with(".\r\nRSET\r\n"));
    session.input(b"250 taken\r\n");
    assert_eq!(session.stage(), Some(Stage::Proof));
    session.input(b"250 reset\r\n");
    assert_eq!(session.level(), Level::Overlap);
    assert!(std::iter::from_fn(|| session.next_event()).any(|event| matches!(event, Event::Learned(_))));
}

#[test]
fn a_server_that_answers_once_for_all_is_not_given_another_reply_to_answer_with() {
    for level in [Level::Envelope, Level::Overlap] {
        let mut session = unknown();
        if level == Level::Overlap {
            given(&mut session, 1);
            session.input(b"250 taken\r\n250 reset\r\n");
            assert_eq!(session.level(), level);
            while session.next_event().is_some() {}
        }
        assert!(given(&mut session, 2).ends_with("\r\n.\r\n"), "no proof");
        session.input(b"554 5.6.0 not this\r\n");
        if session.has_room() {
            begin(&mut session, &Plan::good(1, 100));
        }
        assert_eq!((written(&mut session).as_str(), session.stage()), ("", Some(Stage::Content)), "{level:?}");
        session.timed_out();
        let Some(End::InDoubt { said, .. }) = end(&mut session) else { panic!("the second is in doubt") };
        assert_eq!(verdicts(&said, 2), [Some(554), None]);
    }
}
