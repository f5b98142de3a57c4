//! What holds whatever the server decides and however the octets are cut.

use super::play::{Order, Outcome, all_earned, options, play};
use super::server::{Manners, Stop};
use super::world::{Plan, plans, wild_plans};
use crate::config::{Level, Protocol, Trust};
use crate::smtp::Reply;
use crate::smtp::ladder::{Fact, Knowledge, Proof};
use crate::smtp::session::{CloseReason, End, Session, Want};
use proptest::prelude::*;

/// A server that does nothing wrong.
pub const HONEST: Manners =
    Manners { protocol: Protocol::Smtp, silent: false, pipelining: true, chunking: true, probe_replies: 2, stop: None };

/// SMTP, and LMTP in both its kinds.
fn protocols() -> impl Strategy<Value = Manners> {
    proptest::sample::select(vec![
        HONEST,
        Manners { protocol: Protocol::Lmtp, ..HONEST },
        Manners { protocol: Protocol::Lmtp, silent: true, ..HONEST },
    ])
}

/// Every way of sending: what is allowed and what is offered.
fn ways() -> impl Strategy<Value = (Level, Manners)> {
    let level = proptest::sample::select(Level::ALL.to_vec());
    (level, protocols(), any::<bool>(), proptest::bool::weighted(0.9))
        .prop_map(|(level, protocol, chunking, pipelining)| (level, Manners { pipelining, chunking, ..protocol }))
}

fn stops() -> impl Strategy<Value = (usize, Stop)> {
    let stop = proptest::sample::select(vec![Stop::Farewell, Stop::Before, Stop::After, Stop::Reset]);
    // Behind the greeting and EHLO.
    (2usize..40, stop)
}

fn is_accepted(end: &End) -> bool {
    matches!(end, End::Answered(answers) if answers.is_accepted())
}

/// Whether an end says of a recipient that its mail was taken; `None` is doubt.
fn is_told_taken(end: &End, place: usize) -> Option<bool> {
    match end {
        End::Answered(answers) => Some(answers.decisive(place).is_positive()),
        End::Unsent { said, .. } => Some(said.verdict(place).is_some_and(Reply::is_positive)),
        End::InDoubt { said, .. } => match (said.verdict(place), said.recipient(place)) {
            (Some(verdict), _) => Some(verdict.is_positive()),
            (None, Some(refusal)) if refusal.is_negative() => Some(false),
            _ => None,
        },
    }
}

/// No message is reported accepted that was not taken, nor unsent or refused that was: for no recipient of it.
fn holds_the_law_of_doubt(outcome: &Outcome, plans: &[Plan]) -> Result<(), TestCaseError> {
    for (message, end) in outcome.ends.iter().filter(|(message, _)| plans[**message].size.is_some()) {
        let takings: Vec<_> = outcome.taken.iter().filter(|(taken, _)| taken == message).collect();
        prop_assert!(takings.len() <= 1, "message {message} was taken {} times", takings.len());
        for place in 0..plans[*message].recipients.len() {
            let taken = takings.iter().any(|(_, places)| places.contains(&place));
            let told = is_told_taken(end, place);
            prop_assert!(told.is_none_or(|told| told == taken), "message {message}, {place}: {taken}, and is {end:?}");
        }
    }
    Ok(())
}

/// LMTP at a server that is vouched for is another thing than at one that is not.
fn trust_in(manners: &Manners, seed: u64) -> Trust {
    if manners.protocol == Protocol::Lmtp && seed.is_multiple_of(2) { Trust::Stream } else { Trust::Learned }
}

proptest! {

    /// The model server fails on any octet out of place; and each recipient has the reply that the server decided on.
    #[test]
    fn every_recipient_has_the_servers_own_decision(
        plans in plans(8), (level, manners) in ways(), window in 1usize..9, seed in any::<u64>(),
    ) {
        let (protocol, trust) = (manners.protocol, trust_in(&manners, seed));
        let outcome = play(options(level, trust, window), all_earned(), manners, &plans, Order::any(seed));
        prop_assert_eq!(outcome.ends.len(), plans.len());
        for (message, plan) in plans.iter().enumerate() {
            prop_assert_eq!(outcome.codes(message, plan), Some(decided(plan, protocol)), "message {}", message);
        }
        holds_the_law_of_doubt(&outcome, &plans)?;
        let used = outcome.levels.iter().max();
        prop_assert!(used <= Some(&level), "{used:?} is above {level:?}");
    }

    #[test]
    fn any_cut_of_the_replies_gives_the_same_end(
        plans in plans(8), (level, manners) in ways(), stop in proptest::option::of(stops()), seed in any::<u64>(),
    ) {
        let manners = Manners { stop, ..manners };
        let run = |seed| play(options(level, Trust::Learned, 4), all_earned(), manners.clone(), &plans, Order::strict(seed));
        prop_assert_eq!(run(seed), run(seed.wrapping_add(1)));
    }

    #[test]
    fn a_lost_connection_makes_nothing_unsent_that_was_taken(
        plans in plans(12), (level, manners) in ways(), stop in stops(), window in 1usize..9, seed in any::<u64>(),
    ) {
        let manners = Manners { stop: Some(stop), ..manners };
        let (protocol, trust) = (manners.protocol, trust_in(&manners, seed));
        let outcome = play(options(level, trust, window), all_earned(), manners, &plans, Order::any(seed));
        holds_the_law_of_doubt(&outcome, &plans)?;
        let may_leave_out = |message: usize| {
            protocol == Protocol::Lmtp && trust == Trust::Learned && plans[message].recipients.len() > 1
        };
        for (message, end) in outcome.ends.iter().filter(|(message, _)| !may_leave_out(**message)) {
            let doubt = matches!(end, End::InDoubt { .. });
            prop_assert!(!(doubt && stop.1 == Stop::Farewell), "message {} is in doubt behind a 421: {:?}", message, end);
        }
    }

    /// From nothing known: proof, probe and all levels on the way.
    #[test]
    fn levels_are_earned_without_harm(
        mut plans in plans(8), manners in protocols(), replies in 2usize..4, seed in any::<u64>(), chunking in any::<bool>(),
    ) {
        let protocol = manners.protocol;
        // A refused DATA right after the probe cannot be told from a late third reply; that has a test of its own.
        plans.iter_mut().for_each(|plan| plan.data = 354);
        let manners = Manners { chunking, probe_replies: replies, ..manners };
        let options = options(Level::Stream, Trust::Learned, 8);
        let outcome = play(options, Knowledge::default(), manners, &plans, Order::any(seed));
        for (message, plan) in plans.iter().enumerate() {
            prop_assert_eq!(outcome.codes(message, plan), Some(decided(plan, protocol)), "message {}", message);
        }
        holds_the_law_of_doubt(&outcome, &plans)?;
        let streamed = outcome.levels.contains(&Level::Stream);
        prop_assert!(!streamed || (chunking && replies == 2));
        prop_assert!(replies == 2 || !outcome.learned.contains(&Fact::Chunk(Proof::Earned)));
    }

    /// A server that says anything to anything: the client ends each transaction once, and what it sends stays in
    /// order.
    #[test]
    fn a_server_out_of_its_mind_gets_no_octet_out_of_place(
        mut plans in wild_plans(), (level, manners) in ways(), stop in proptest::option::of(stops()), seed in any::<u64>(),
    ) {
        let manners = Manners { stop, ..manners };
        if manners.protocol == Protocol::Lmtp {
            // One word of reason must be left to it: content for nobody is not taken.
            plans.iter_mut().for_each(|plan| plan.void = plan.void.max(450));
        }
        let outcome = play(options(level, Trust::Stream, 4), Knowledge::default(), manners, &plans, Order::any(seed));
        for (message, end) in &outcome.ends {
            let taken = outcome.taken.iter().any(|(taken, _)| taken == message);
            prop_assert!(!is_accepted(end) || taken, "message {} was not taken and is {:?}", message, end);
        }
    }

    #[test]
    fn nonsense_ends_the_session_and_every_transaction_in_it(
        plans in plans(6), nonsense in proptest::collection::vec("(250|354|220|421|[0-9]{0,4})[ -]?[ -~\u{0}-\u{ff}]{0,9}(\r\n|\n)?", 0..60),
    ) {
        let mut session = Session::new(options(Level::Stream, Trust::Stream, 4), Knowledge::default());
        session.input(b"220 x\r\n");
        drain(&mut session);
        session.input(b"250-x\r\n250-PIPELINING\r\n250 CHUNKING\r\n");
        let (mut begun, mut ended) = (0, 0);
        for piece in &nonsense {
            if begun < plans.len() && session.has_room() && !session.is_retired() {
                session.begin(super::world::transaction(begun, &plans[begun], plans[begun].size.map(|_| &b"x\r\n"[..])));
                begun += 1;
            }
            prop_assert!(drain(&mut session) <= 256 * 1024);
            session.input(piece.as_bytes());
            ended += ends(&mut session);
        }
        session.lost("the end");
        ended += ends(&mut session);
        prop_assert_eq!(begun, ended);
        prop_assert!(session.closed().is_some());
    }
}

/// Writes everything, with content of blanks; how much there was at once.
fn drain(session: &mut Session) -> usize {
    let mut most = 0;
    for _ in 0..1000 {
        match session.want() {
            Want::Content { max, .. } => session.supply(&vec![b' '; max]),
            Want::Write => {
                let n = session.output().len();
                most = most.max(n);
                session.wrote(n);
            }
            Want::Read | Want::Idle | Want::Handshake | Want::Closed => return most,
        }
    }
    panic!("the session writes without end");
}

fn ends(session: &mut Session) -> usize {
    let mut count = 0;
    while let Some(event) = session.next_event() {
        count += usize::from(matches!(event, crate::smtp::session::Event::Ended { .. }));
    }
    count
}

/// What an honest server's decisions mean for each recipient.
fn decided(plan: &Plan, protocol: Protocol) -> Vec<u16> {
    let accepted = plan.recipients.iter().any(|code| code / 100 == 2);
    let content = match plan.size {
        _ if !accepted => 0,
        None => 0,
        Some(_) if plan.data != 354 => plan.data,
        Some(_) if protocol == Protocol::Lmtp => 1,
        Some(_) => plan.end,
    };
    let decide = |(place, code): (usize, &u16)| match *code {
        _ if plan.mail / 100 != 2 => plan.mail,
        code if code / 100 == 2 && content == 1 => plan.each[place],
        code if code / 100 == 2 && content != 0 => content,
        code => code,
    };
    plan.recipients.iter().enumerate().map(decide).collect()
}

#[test]
fn nothing_known_and_nothing_refused_reaches_the_highest_level() {
    let plans = vec![Plan::good(2, 300); 20];
    let options = options(Level::Stream, Trust::Learned, 8);
    let outcome = play(options, Knowledge::default(), HONEST, &plans, Order::any(7));
    assert_eq!(outcome.taken.len(), 20);
    assert_eq!(outcome.levels.iter().filter(|level| **level == Level::Stream).count(), 19);
    assert_eq!(outcome.closed, Some(CloseReason::Quit(Some("the connection is being closed"))));
}
