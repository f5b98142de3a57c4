//! What the lanes of one channel share: the queue, the crew, what the server offers, whether it can be reached, the stop.
//!
//! Promises: a message that is put is taken by a lane or comes back with why, also when it is given back by a lane in the
//! moment of a stop; while messages wait, a lane is connected, connecting, or about to be; nothing is reported, logged,
//! started or waited for under the lock. Lock order: this one is innermost but for the wakes' descriptors.

use super::crew::{Crew, Member};
use super::queue::Queue;
use super::trouble::Trouble;
use super::{Job, Offers, Statistics, report};
use crate::config::NextHopSettings;
use crate::conn::{Ledger, Token, Vacancy};
use crate::mail::{EnhancedStatus, NextHop, Outcome};
use crate::smtp::Extensions;
use crate::sync::{Budget, Condvar, Mutex, after};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long it is believed that a server still offers what it offered.
const OFFERS_AGE: Duration = Duration::from_secs(3600);

/// A message that is not taken, and what to report.
pub type Refused = (Box<Job>, Outcome);

/// The shared state of one channel's lanes. Any thread.
#[derive(Debug)]
pub struct Site {
    /// Where it goes.
    pub next_hop: NextHop,
    /// How.
    pub settings: Arc<NextHopSettings>,
    /// What is remembered of servers.
    pub ledger: Arc<Ledger>,
    /// Connections that may be open, over all next hops.
    pub connections: Arc<Budget>,
    /// Counts, over all next hops.
    pub statistics: Arc<Statistics>,
    state: Mutex<State>,
    /// There is news for those who wait for the offers.
    changed: Condvar,
    stopping: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    queue: Queue,
    crew: Crew,
    trouble: Trouble,
    offers: Option<(Offers, Instant)>,
    /// A door waits for the offers.
    asked: bool,
    ends: Option<Instant>,
}

impl Site {
    /// A site that nothing is known of.
    pub fn new(
        next_hop: NextHop,
        settings: Arc<NextHopSettings>,
        ledger: Arc<Ledger>,
        connections: Arc<Budget>,
        statistics: Arc<Statistics>,
    ) -> Site {
        Site {
            next_hop,
            settings,
            ledger,
            connections,
            statistics,
            state: Mutex::default(),
            changed: Condvar::new(),
            stopping: AtomicBool::new(false),
        }
    }

    /// Queues a message and wakes the lanes. Returns the lane that the caller is to start, when backlog justifies one. A
    /// message for a site that is stopping or in trouble comes back.
    pub fn put(&self, job: Job) -> Result<Option<Member>, Refused> {
        let mut state = self.state.lock();
        if let Some(outcome) = self.refusal(&state) {
            return Err((Box::new(job), outcome));
        }
        let waiting = state.queue.len() + 1;
        let member = self.staff(&mut state, waiting);
        if state.crew.len() == 0 {
            return Err((Box::new(job), no_lane()));
        }
        state.queue.put(job);
        state.crew.tell();
        Ok(member)
    }

    /// A message that was not sent goes back to its place; on a site that is stopping it comes back.
    pub fn give_back(&self, job: Job) -> Result<(), Refused> {
        let mut state = self.state.lock();
        if let Some(outcome) = self.refusal(&state) {
            return Err((Box::new(job), outcome));
        }
        state.queue.put(job);
        state.crew.tell();
        Ok(())
    }

    fn refusal(&self, state: &State) -> Option<Outcome> {
        let in_trouble = || state.trouble.now(Instant::now()).cloned();
        if self.is_stopping() { Some(stopping()) } else { in_trouble() }
    }

    fn staff(&self, state: &mut State, waiting: usize) -> Option<Member> {
        let wanted = state.crew.wants_member(waiting, self.settings.lanes.max(1));
        wanted.then(|| state.crew.enter().ok()).flatten()
    }

    /// No thread could be started for this lane. What waits for it alone is deferred.
    pub fn not_started(&self, number: usize) {
        let mut state = self.state.lock();
        state.crew.leave(number);
        let stranded = if state.crew.len() == 0 { state.queue.take_all() } else { Vec::new() };
        state.asked = state.asked && state.crew.len() > 0;
        drop(state);
        self.changed.notify_all();
        self.settle_all(stranded, &no_lane());
    }

    /// The next message that there is room for. Messages that nobody waits for any more are disposed of on the way.
    pub fn take(&self, vacancy: Vacancy<'_>) -> Option<Job> {
        loop {
            let job = self.state.lock().queue.take(vacancy)?;
            if !job.token.is_cancelled() {
                return Some(job);
            }
            report::withdraw(job);
        }
    }

    /// Disposes of all messages that wait and that nobody waits for any more, which gives their room back.
    pub fn dispose_of_withdrawn(&self) {
        let gone = self.state.lock().queue.take_withdrawn();
        gone.into_iter().for_each(report::withdraw);
    }

    /// Messages that wait.
    pub fn waiting(&self) -> usize {
        self.state.lock().queue.len()
    }

    /// A lane without a connection asks whether it should make one. If so it counts as connecting from now on, until
    /// [`Site::connected`] or [`Site::not_connected`].
    pub fn claim(&self) -> bool {
        let mut state = self.state.lock();
        let wanted = !self.is_stopping() && state.wants_connection();
        if wanted {
            state.crew.connecting();
        }
        wanted
    }

    /// A lane that was connecting has a session ready: the site lives.
    pub fn connected(&self, offered: &Extensions, server: &str) {
        let mut state = self.state.lock();
        let now = Instant::now();
        state.crew.connected_one(now);
        state.offers = Some((Offers::of(offered, server), now));
        state.trouble.end();
        state.asked = false;
        // Lanes that waited for the outcome of this attempt may find that backlog justifies one of their own.
        state.crew.tell();
        drop(state);
        self.changed.notify_all();
    }

    /// A lane that was connecting has given up, because of `why`, or for a reason that says nothing about the site.
    pub fn not_connected(&self, why: Option<&Outcome>) {
        self.state.lock().crew.not_connected();
        if let Some(outcome) = why {
            self.fail(outcome);
        }
    }

    /// A lane has lost its connection.
    pub fn disconnected(&self) {
        self.state.lock().crew.disconnected();
    }

    /// A lane's connection has ended after the server had answered a message on it.
    pub fn was_fruitful(&self) {
        self.state.lock().trouble.forgive();
    }

    /// A lane's connection has ended without an answer to any message; `blamed` is the message that was charged with it.
    pub fn was_fruitless(&self, blamed: Option<u64>, outcome: &Outcome) {
        let too_much = self.state.lock().trouble.is_too_much(blamed);
        if too_much {
            self.fail(outcome);
        }
    }

    /// A connection cannot be had or is no use. When no other lane has one or tries, the site is in trouble: what waits is deferred
    /// now, and doors say so, until the pause is over.
    fn fail(&self, outcome: &Outcome) {
        let mut state = self.state.lock();
        let now = Instant::now();
        if state.crew.open() > 0 {
            return state.crew.crowded(now);
        }
        state.trouble.begin(outcome, now);
        state.asked = false;
        let waiting = state.queue.take_all();
        drop(state);
        self.changed.notify_all();
        self.settle_all(waiting, outcome);
    }

    /// The lane with this number ends, unless work has come in the meantime (then `false`: it must go on).
    pub fn leave(&self, number: usize) -> bool {
        let mut state = self.state.lock();
        let stays = state.wants_connection() || (state.crew.len() == 1 && state.has_work());
        if stays && !self.is_stopping() {
            return false;
        }
        state.crew.leave(number);
        true
    }

    /// Lanes running.
    pub fn lanes(&self) -> usize {
        self.state.lock().crew.len()
    }

    /// Why the site cannot be used at this time.
    pub fn trouble(&self) -> Option<Outcome> {
        self.state.lock().trouble.now(Instant::now()).cloned()
    }

    /// Asks what the server offers: known already, or to be awaited with [`Site::await_offers`]. Then a lane is sent to
    /// find out; the caller is to start it if one is returned.
    pub fn ask(&self) -> Result<Option<Offers>, Option<Member>> {
        let mut state = self.state.lock();
        let known = state.offers_now();
        if known.is_some() || self.refusal(&state).is_some() {
            return Ok(known);
        }
        state.asked = true;
        let waiting = state.queue.len();
        let member = self.staff(&mut state, waiting);
        state.asked = state.crew.len() > 0;
        state.crew.tell();
        Err(member)
    }

    /// Waits up to `patience` for what the server offers.
    pub fn await_offers(&self, patience: Duration) -> Result<Offers, Outcome> {
        let deadline = after(patience);
        let mut state = self.state.lock();
        loop {
            if let Some(offers) = state.offers_now() {
                return Ok(offers);
            }
            if let Some(outcome) = self.refusal(&state) {
                return Err(outcome);
            }
            if state.crew.len() == 0 {
                return Err(no_lane());
            }
            if self.changed.wait_until(&mut state, deadline).timed_out() {
                let late = EnhancedStatus::new(4, 4, 1);
                return Err(Outcome::deferred(late, "the server has not greeted in time"));
            }
        }
    }

    /// No new work; what is on the wire ends by `ends`; what waits is deferred. A second stop can only hasten the end.
    pub fn stop(&self, ends: Instant) {
        let mut state = self.state.lock();
        self.stopping.store(true, Ordering::Release);
        state.ends = Some(state.ends.map_or(ends, |earlier| earlier.min(ends)));
        let waiting = state.queue.take_all();
        state.crew.halt();
        drop(state);
        self.changed.notify_all();
        self.settle_all(waiting, &stopping());
    }

    /// Whether the site is stopping.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// When what is on the wire must have ended.
    pub fn must_end_by(&self) -> Option<Instant> {
        if self.is_stopping() { self.state.lock().ends } else { None }
    }

    /// Reports every recipient that is left with this outcome.
    fn settle_all(&self, jobs: Vec<Job>, outcome: &Outcome) {
        jobs.into_iter().for_each(|job| self.settle_unsent(job, outcome));
    }

    /// Reports a message that is not to be tried (again) with this outcome for the recipients that are left.
    pub fn settle_unsent(&self, mut job: Job, outcome: &Outcome) {
        job.give_up(outcome);
        report::settle(job, None, &self.statistics);
    }
}

impl State {
    fn has_work(&self) -> bool {
        !self.queue.is_empty() || self.asked
    }

    fn wants_connection(&self) -> bool {
        let now = Instant::now();
        let usable = self.trouble.now(now).is_none();
        self.has_work() && usable && self.crew.wants_connection(self.queue.len(), self.trouble.is_known(), now)
    }

    fn offers_now(&self) -> Option<Offers> {
        let (offers, at) = self.offers.as_ref()?;
        let fresh = self.crew.connected() > 0 || at.elapsed() < OFFERS_AGE;
        (fresh && !self.trouble.is_known()).then(|| offers.clone())
    }
}

fn stopping() -> Outcome {
    Outcome::deferred(EnhancedStatus::new(4, 3, 2), "pipelane is stopping")
}

fn no_lane() -> Outcome {
    Outcome::deferred(EnhancedStatus::new(4, 3, 2), "no thread or descriptor is left for a connection")
}
