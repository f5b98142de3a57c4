//! Single cases that a socket cannot show, or that chance would seldom find.

use super::play::{Order, all_earned, options, play};
use super::properties::HONEST;
use super::world::{self, Plan};
use crate::config::{Level, Protocol, Trust};
use crate::smtp::ladder::{Fact, Knowledge, Proof};
use crate::smtp::session::{
    Cause, CloseReason, End, Event, Session, SessionOptions, Stage, Transaction, TransactionId, Want,
};
use crate::smtp::window::WindowBounds;

/// A session that is ready, on a server that offers PIPELINING and perhaps CHUNKING.
fn ready(level: Level, chunking: bool) -> Session {
    ready_by(Protocol::Smtp, level, chunking)
}

/// The same, by this protocol.
pub fn ready_by(protocol: Protocol, level: Level, chunking: bool) -> Session {
    let options = SessionOptions { protocol, ..options(level, Trust::Stream, 8) };
    let mut session = Session::new(options, Knowledge::default());
    session.input(b"220 x\r\n");
    written(&mut session);
    session.input(if chunking {
        b"250-x\r\n250-CHUNKING\r\n250 PIPELINING\r\n"
    } else {
        b"250-x\r\n250 PIPELINING\r\n"
    });
    assert_eq!(session.next_event(), Some(Event::Ready));
    session
}

fn transaction(plan: &Plan) -> Transaction {
    let content = plan.size.map(|size| world::content(0, size));
    world::transaction(0, plan, content.as_deref())
}

pub fn begin(session: &mut Session, plan: &Plan) -> TransactionId {
    assert!(session.has_room());
    session.begin(transaction(plan))
}

/// Everything that can be written without content, written.
pub fn written(session: &mut Session) -> String {
    let mut all = Vec::new();
    while session.want() == Want::Write {
        all.extend_from_slice(session.output());
        session.wrote(session.output().len());
    }
    String::from_utf8(all).expect("commands")
}

pub fn end(session: &mut Session) -> Option<End> {
    loop {
        match session.next_event()? {
            Event::Ended { end, .. } => return Some(end),
            _ => continue,
        }
    }
}

pub fn content(session: &mut Session) -> usize {
    match session.want() {
        Want::Content { max, .. } => max,
        other => panic!("content should be wanted: {other:?}"),
    }
}

#[test]
fn a_refusal_that_comes_before_the_dot_was_written_is_early_even_if_all_was_generated() {
    let mut session = ready(Level::Envelope, false);
    begin(&mut session, &Plan::good(1, 100));
    written(&mut session);
    session.input(b"250 ok\r\n250 ok\r\n354 go\r\n");
    let max = content(&mut session);
    session.supply(&vec![b' '; max]);
    assert_eq!(session.want(), Want::Write, "the dot is generated and not written");
    session.input(b"552 5.3.4 too big\r\n");
    assert!(matches!(end(&mut session), Some(End::Answered(answers)) if answers.decisive(0).code == 552));
    assert!(session.closed().is_some_and(CloseReason::must_abort), "what is left must not reach the server");
}

#[test]
fn an_acceptance_of_unfinished_content_is_no_acceptance() {
    for chunking in [false, true] {
        let mut session = ready(Level::Stream, chunking);
        begin(&mut session, &Plan::good(1, 100));
        written(&mut session);
        if !chunking {
            session.input(b"250 ok\r\n250 ok\r\n354 go\r\n250 queued\r\n");
        } else {
            session.input(b"250 ok\r\n250 ok\r\n250 queued\r\n");
        }
        assert!(matches!(end(&mut session), Some(End::Unsent { .. })), "chunking {chunking}");
        assert!(session.closed().is_some_and(CloseReason::must_abort));
    }
}

#[test]
fn a_withdrawn_message_is_not_sent_and_the_next_one_is() {
    let mut session = ready(Level::Envelope, false);
    let id = begin(&mut session, &Plan::good(2, 100));
    assert!(written(&mut session).ends_with("DATA\r\n"));
    session.cancel(id);
    session.input(b"250 ok\r\n550 no\r\n550 no\r\n354 go\r\n");
    assert_eq!(written(&mut session), ".\r\n", "the server waits for content: a dot alone, to nobody");
    session.input(b"554 nobody\r\n");
    assert_eq!(end(&mut session), Some(End::unsent(Cause::Cancelled)));
    begin(&mut session, &Plan::good(1, 100));
    assert!(written(&mut session).starts_with("RSET\r\nMAIL"));
}

#[test]
fn a_message_withdrawn_with_recipients_accepted_costs_the_connection() {
    let mut session = ready(Level::Envelope, false);
    let id = begin(&mut session, &Plan::good(1, 100));
    written(&mut session);
    session.cancel(id);
    session.input(b"250 ok\r\n250 ok\r\n354 go\r\n");
    assert_eq!(end(&mut session), Some(End::unsent(Cause::Cancelled)));
    assert!(session.closed().is_some_and(CloseReason::must_abort));
}

#[test]
fn a_message_withdrawn_after_its_last_octet_has_its_result() {
    let mut session = ready(Level::Stream, true);
    let id = begin(&mut session, &Plan::good(1, 100));
    written(&mut session);
    let max = content(&mut session);
    session.supply(&vec![b' '; max]);
    written(&mut session);
    session.cancel(id);
    session.input(b"250 ok\r\n250 ok\r\n250 queued\r\n");
    assert!(matches!(end(&mut session), Some(End::Answered(answers)) if answers.is_accepted()));
    assert_eq!(session.want(), Want::Idle);
}

#[test]
fn a_message_withdrawn_inside_a_chunk_waits_for_those_before_it() {
    let mut session = ready(Level::Stream, true);
    begin(&mut session, &Plan::good(1, 100));
    written(&mut session);
    let max = content(&mut session);
    session.supply(&vec![b' '; max]);
    written(&mut session);
    let second = session.begin(transaction(&Plan::good(1, 100)));
    written(&mut session);
    content(&mut session);
    session.cancel(second);
    assert!(written(&mut session).ends_with("LAST\r\n"));
    assert_eq!(session.want(), Want::Read, "the first has no answer yet");
    session.input(b"250 ok\r\n250 ok\r\n250 queued\r\n");
    assert!(matches!(end(&mut session), Some(End::Answered(answers)) if answers.is_accepted()));
    assert_eq!(session.want(), Want::Closed);
    assert_eq!(end(&mut session), Some(End::unsent(Cause::Cancelled)));
    assert!(session.closed().is_some_and(CloseReason::must_abort), "a chunk is finished or the connection is reset");
}

#[test]
fn content_that_cannot_be_had_does_not_put_the_messages_before_it_in_doubt() {
    let mut session = ready(Level::Stream, true);
    begin(&mut session, &Plan::good(1, 100));
    written(&mut session);
    let max = content(&mut session);
    session.supply(&vec![b' '; max]);
    session.begin(transaction(&Plan::good(1, 100)));
    content(&mut session);
    session.content_broken("the file is gone");
    written(&mut session);
    session.input(b"250 ok\r\n250 ok\r\n250 queued\r\n");
    assert!(matches!(end(&mut session), Some(End::Answered(answers)) if answers.is_accepted()));
    assert_eq!(session.want(), Want::Closed);
    assert_eq!(end(&mut session), Some(End::unsent(Cause::Lost("the file is gone".into()))));
}

#[test]
fn a_farewell_between_begin_and_the_first_octet_loses_nothing() {
    let mut session = ready(Level::Envelope, false);
    begin(&mut session, &Plan::good(1, 100));
    session.input(b"421 4.4.2 idle for too long\r\n");
    assert!(matches!(end(&mut session), Some(End::Unsent { cause: Cause::Closing(_), .. })));
    assert_eq!(session.want(), Want::Closed);
    session.begin(transaction(&Plan::good(1, 100)));
    assert!(matches!(end(&mut session), Some(End::Unsent { .. })), "a session that is over ends what is begun");
}

#[test]
fn the_tail_that_carries_the_proof_is_small_and_written_by_itself() {
    let mut session = Session::new(options(Level::Stream, Trust::Learned, 8), Knowledge::default());
    session.input(b"220 x\r\n");
    written(&mut session);
    session.input(b"250-x\r\n250 PIPELINING\r\n");
    session.begin(transaction(&Plan::good(1, 3000)));
    written(&mut session);
    session.input(b"250 ok\r\n250 ok\r\n354 go\r\n");
    let max = content(&mut session);
    session.supply(&vec![b' '; max]);
    assert_eq!(session.want(), Want::Write);
    session.wrote(session.output().len());
    assert_eq!(session.want(), Want::Write);
    let tail = String::from_utf8_lossy(session.output()).into_owned();
    assert!(tail.ends_with("\r\n.\r\nRSET\r\n") && tail.len() < 600, "{} octets", tail.len());
    session.wrote(tail.len());
    assert!(!session.has_room(), "nothing follows a proof that is not in");
    session.input(b"250 queued\r\n");
    assert_eq!(session.stage(), Some(Stage::Proof));
    session.timed_out();
    assert!(matches!(end(&mut session), Some(End::Answered(_))));
    assert!(
        matches!(session.next_event(), Some(Event::Learned(Fact::Overlap(Proof::Refused))))
            || session.closed().is_some()
    );
}

#[test]
fn a_large_message_goes_in_chunks_under_any_cut() {
    let manners = HONEST;
    for (plan, taken) in [
        (Plan::good(3, 1_200_000), 1),
        (Plan { recipients: vec![550, 450], ..Plan::good(2, 1_200_000) }, 0),
        (Plan { data: 554, ..Plan::good(1, 1_200_000) }, 0),
    ] {
        for level in [Level::Overlap, Level::Chunk, Level::Stream] {
            let plans = [Plan::good(1, 10), plan.clone(), Plan::good(1, 10)];
            let order = Order::any(taken as u64);
            let outcome = play(options(level, Trust::Learned, 4), all_earned(), manners.clone(), &plans, order);
            assert_eq!(outcome.taken.len(), 2 + taken, "{level}");
        }
    }
}

/// Supplies content and writes it until none is wanted; how many octets that were.
fn pour(session: &mut Session) -> usize {
    let mut supplied = 0;
    loop {
        match session.want() {
            Want::Content { max, .. } => {
                session.supply(&vec![b' '; max]);
                supplied += max;
            }
            Want::Write => session.wrote(session.output().len()),
            _ => return supplied,
        }
    }
}

#[test]
fn the_end_of_a_message_that_is_too_much_for_the_window_waits_for_those_before_it() {
    let options = SessionOptions {
        window: WindowBounds { messages: 8, bytes: 1_000_000 },
        ..options(Level::Stream, Trust::Stream, 8)
    };
    let mut session = Session::new(options, Knowledge::default());
    session.input(b"220 x\r\n");
    written(&mut session);
    session.input(b"250-x\r\n250-CHUNKING\r\n250 PIPELINING\r\n");
    begin(&mut session, &Plan::good(1, 600_000));
    let whole = pour(&mut session);
    begin(&mut session, &Plan::good(1, 600_000));
    assert_eq!(pour(&mut session), whole - 1, "all but its last octet keeps the line busy");
    assert_eq!((session.want(), session.has_room()), (Want::Read, false));
    session.input(b"250 mail\r\n250 rcpt\r\n250 taken\r\n");
    assert_eq!(pour(&mut session), 1);
    assert!(session.has_room());
    session.input(b"250 reset\r\n250 mail\r\n250 rcpt\r\n250 taken\r\n");
    assert!((0..2).all(|_| matches!(end(&mut session), Some(End::Answered(_)))));
}

#[test]
fn eight_resets_that_no_message_paid_for_end_a_connection_in_good_order() {
    let manners = HONEST;
    let refused = Plan { recipients: vec![550], ..Plan::good(1, 10) };
    for level in [Level::Envelope, Level::Overlap, Level::Stream] {
        let outcome = play(
            options(level, Trust::Learned, 8),
            all_earned(),
            manners.clone(),
            &vec![refused.clone(); 30],
            Order::strict(1),
        );
        assert!((9..=11).contains(&outcome.ends.len()), "{level}: {} transactions", outcome.ends.len());
        assert!(matches!(outcome.closed, Some(CloseReason::Quit(Some(_)))), "{:?}", outcome.closed);
    }
}
