//! The driver: what [`crate::conn::drive`] does with a socket, done with a [`Server`] in memory. Dice decide how
//! writes and replies are cut and in which order they happen.

use super::server::{Manners, Server};
use super::world::{self, Dice, Plan};
use crate::config::{Level, Protocol, Trust};
use crate::smtp::ladder::{Fact, Knowledge, Proof};
use crate::smtp::session::{CloseReason, End, Event, Session, SessionOptions, Stage, TransactionId, Want};
use crate::smtp::window::WindowBounds;
use std::collections::BTreeMap;

/// More turns than any run needs.
const TURNS: usize = 2_000_000;
/// No more than this may wait to be written.
const OUTPUT: usize = 256 * 1024;

/// What came of it.
#[derive(Debug, Default, PartialEq)]
pub struct Outcome {
    /// How each message that was begun ended.
    pub ends: BTreeMap<usize, End>,
    /// The levels used.
    pub levels: Vec<Level>,
    pub learned: Vec<Fact>,
    pub taken: Vec<(usize, Vec<usize>)>,
    pub closed: Option<CloseReason>,
}

impl Outcome {
    /// The codes that decide over a message's recipients, if it was answered.
    pub fn codes(&self, message: usize, plan: &Plan) -> Option<Vec<u16>> {
        match self.ends.get(&message)? {
            End::Answered(answers) => Some((0..plan.recipients.len()).map(|n| answers.decisive(n).code).collect()),
            _ => None,
        }
    }
}

pub fn options(max_level: Level, trust: Trust, window: usize) -> SessionOptions {
    SessionOptions {
        protocol: Protocol::Smtp,
        helo_name: "client.test".into(),
        ignore_extensions: Vec::new(),
        max_level,
        starttls: crate::smtp::StartTls::Never,
        trust,
        window: WindowBounds { messages: window, bytes: 1 << 20 },
        messages: 0,
    }
}

/// Everything earned.
pub fn all_earned() -> Knowledge {
    Knowledge { overlap: Proof::Earned, chunk: Proof::Earned, ..Knowledge::default() }
}

/// How the two are interleaved.
#[derive(Debug, Clone)]
pub struct Order {
    dice: Dice,
    strict: bool,
}

impl Order {
    /// Everything written is answered, and every reply read, before the next write; the dice cut the replies.
    pub fn strict(seed: u64) -> Order {
        Order { dice: Dice(seed), strict: true }
    }

    /// The dice decide everything.
    pub fn any(seed: u64) -> Order {
        Order { dice: Dice(seed), strict: false }
    }
}

/// Lets a session with these options, speaking the server's protocol, send them all.
pub fn play(options: SessionOptions, known: Knowledge, manners: Manners, plans: &[Plan], order: Order) -> Outcome {
    let contents: Vec<_> =
        plans.iter().enumerate().map(|(n, plan)| plan.size.map(|size| world::content(n, size))).collect();
    let ahead = manners.pipelining && options.max_level > Level::Lockstep;
    let options = SessionOptions { protocol: manners.protocol, ..options };
    let mut player = Player {
        session: Session::new(options, known),
        server: Server::new(manners, plans, &contents, ahead),
        plans,
        contents: &contents,
        begun: Vec::new(),
        outcome: Outcome::default(),
        order,
    };
    for _ in 0..TURNS {
        if player.turn() {
            return player.finish();
        }
    }
    panic!("no end is in sight: {:?}", player.session);
}

struct Player<'a> {
    session: Session,
    server: Server<'a>,
    plans: &'a [Plan],
    contents: &'a [Option<Vec<u8>>],
    begun: Vec<TransactionId>,
    outcome: Outcome,
    order: Order,
}

impl Player<'_> {
    /// One thing; `true` at the end.
    fn turn(&mut self) -> bool {
        self.begin();
        let want = self.session.want();
        // Deciding what to send may have ended a transaction: then there is room that there was not.
        if self.events() {
            return false;
        }
        assert!(self.session.output().len() <= OUTPUT, "the output is not bounded");
        match want {
            Want::Content { id, offset, max } => self.supply(id, offset, max),
            Want::Write => self.write(),
            Want::Read => self.read(),
            Want::Idle => self.idle(),
            Want::Closed | Want::Handshake => return true,
        }
        self.events();
        false
    }

    fn begin(&mut self) {
        while let Some(plan) = self.plans.get(self.begun.len()) {
            self.session.set_backlog(self.plans.len() - self.begun.len());
            let transaction = world::transaction(self.begun.len(), plan, self.contents[self.begun.len()].as_deref());
            if self.session.is_retired() || !self.session.has_room() {
                return;
            }
            self.outcome.levels.push(self.session.level());
            self.begun.push(self.session.begin(transaction));
            self.session.want();
        }
    }

    fn supply(&mut self, id: TransactionId, offset: u64, max: usize) {
        let message = self.begun.iter().position(|begun| *begun == id).expect("begun");
        let content = self.contents[message].as_ref().expect("content");
        let offset = usize::try_from(offset).expect("small");
        let n = if self.order.strict { max } else { self.order.dice.roll(max) };
        self.session.supply(&content[offset..(offset + n).min(content.len())]);
    }

    fn write(&mut self) {
        let length = self.session.output().len();
        let n = if self.sometimes() { self.order.dice.roll(length) } else { length };
        let output = self.session.output();
        self.server.feed(&output[..n]);
        self.session.wrote(n);
        if self.sometimes() {
            self.hear();
        }
    }

    fn sometimes(&mut self) -> bool {
        !self.order.strict && self.order.dice.roll(3) == 1
    }

    fn read(&mut self) {
        if !self.server.out.is_empty() {
            return self.hear();
        }
        match self.session.stage() {
            _ if self.server.closed => self.session.lost("the server closed the connection"),
            Some(Stage::Proof) => self.session.timed_out(),
            stage => panic!("the client waits for {stage:?} and the server has nothing to say"),
        }
    }

    /// Hands replies over: all of them, cut; or the first so many octets.
    fn hear(&mut self) {
        let mut said = std::mem::take(&mut self.server.out);
        let dice = &mut self.order.dice;
        if self.order.strict {
            let mut rest = said.as_slice();
            while !rest.is_empty() {
                let (piece, later) = rest.split_at(dice.roll(40).min(rest.len()));
                self.session.input(piece);
                rest = later;
            }
        } else {
            let n = if dice.roll(2) == 1 { said.len() } else { dice.roll(said.len()).min(said.len()) };
            self.session.input(&said[..n]);
            self.server.out = said.split_off(n);
        }
    }

    fn idle(&mut self) {
        assert_eq!(self.session.in_flight(), 0, "idle with something in flight");
        let all = self.begun.len() == self.plans.len();
        assert!(all || self.session.is_retired(), "idle without room for more");
        self.session.quit();
    }

    /// Notes what was told; whether anything was.
    fn events(&mut self) -> bool {
        let mut any = false;
        while let Some(event) = self.session.next_event() {
            any = true;
            match event {
                Event::Ended { id, end, .. } => {
                    let message = self.begun.iter().position(|begun| *begun == id).expect("begun");
                    let before = self.outcome.ends.insert(message, end);
                    assert!(before.is_none(), "message {message} ended twice");
                }
                Event::Learned(fact) => self.outcome.learned.push(fact),
                Event::Ready | Event::SentWhole(_) => {}
            }
        }
        any
    }

    fn finish(mut self) -> Outcome {
        self.events();
        assert_eq!(self.outcome.ends.len(), self.begun.len(), "a transaction did not end");
        let closed = self.session.closed().cloned();
        assert_eq!(self.server.quit, matches!(closed, Some(CloseReason::Quit(_))));
        Outcome { taken: self.server.taken, closed, ..self.outcome }
    }
}
