//! Whether a site can be reached: what its lanes tell of their connections, and what follows from it.

use super::{Site, State, Taken};
use crate::conn::Vacancy;
use crate::lane::Offers;
use crate::lane::member::Standing;
use crate::mail::Outcome;
use crate::smtp::Extensions;
use std::ops::Range;
use std::time::Instant;

impl Site {
    /// A lane that was connecting has a session ready: the site lives.
    pub fn connected(&self, number: usize, offered: &Extensions, server: &str) {
        let mut state = self.state.lock();
        let now = Instant::now();
        state.crew.stand(number, Standing::Connected, now);
        if let Some(member) = state.crew.member_mut(number) {
            member.server = Some(server.to_owned());
        }
        state.offers = Some((Offers::of(offered, server), now));
        state.trouble.end();
        state.asked = false;
        // Lanes that waited for the outcome of this attempt may find that backlog justifies one of their own.
        state.crew.tell();
        drop(state);
        self.changed.notify_all();
    }

    /// A lane has lost its connection, or has given up the attempt at one for a reason that says nothing about the
    /// site.
    pub fn step_down(&self, number: usize) {
        let mut state = self.state.lock();
        state.crew.stand(number, Standing::Resting, Instant::now());
        // It may have been what others relied on.
        state.crew.tell();
    }

    /// A lane that was connecting has given up because of `why`.
    pub fn not_connected(&self, number: usize, why: &Outcome) {
        self.step_down(number);
        self.note_trouble(number, &why.text);
        self.fail(why);
    }

    /// Whether no lane has a session.
    pub fn has_no_session(&self) -> bool {
        self.state.lock().crew.connected() == 0
    }

    /// The last thing that went wrong with a lane, for who asks.
    pub fn note_trouble(&self, number: usize, text: &str) {
        if let Some(member) = self.state.lock().crew.member_mut(number) {
            member.trouble = Some(text.to_owned());
        }
    }

    /// A connection was not made because those of all next hops together are too many.
    pub fn is_short_of_connections(&self) {
        let mut state = self.state.lock();
        if state.crew.open() > 0 {
            state.crew.crowded(Instant::now(), fastrand::f64());
        }
    }

    /// A lane's connection has ended after the server had answered a message on it.
    pub fn was_fruitful(&self) {
        self.state.lock().trouble.forgive();
    }

    /// A lane's connection has ended without an answer to any message; `blamed` is the message that was charged with
    /// it.
    pub fn was_fruitless(&self, blamed: Option<u64>, outcome: &Outcome) {
        let too_much = self.state.lock().trouble.is_too_much(blamed);
        if too_much {
            self.fail(outcome);
        }
    }

    /// A connection cannot be had or is no use. When no other lane has one or tries, the site is in trouble: what waits
    /// is deferred now, and doors say so, until the pause is over.
    fn fail(&self, outcome: &Outcome) {
        let mut state = self.state.lock();
        let (now, scatter) = (Instant::now(), fastrand::f64());
        if state.crew.open() > 0 {
            state.crew.crowded(now, scatter);
            return state.crew.tell();
        }
        state.trouble.begin(outcome, now, scatter);
        state.asked = false;
        let waiting = state.queue.take_all();
        drop(state);
        self.changed.notify_all();
        self.settle_all(waiting, outcome);
    }

    /// Why the site cannot be used at this time.
    pub fn trouble(&self) -> Option<Outcome> {
        self.state.lock().trouble.now(Instant::now()).cloned()
    }
}

impl State {
    /// The next message of a lane's own bins. Where the server has ended one connection after another, the last chance
    /// before it counts as one that is down is given to the message that would go last.
    pub(super) fn take_own(&mut self, own: Range<usize>, vacancy: Vacancy<'_>) -> Taken {
        match self.trouble.is_last_chance() && vacancy.is_empty && !vacancy.is_proven {
            true => self.queue.take_last(own, vacancy),
            false => self.queue.take(own, vacancy),
        }
    }
}
