//! What the lanes of one channel share: the queue, what the server offers, whether it can be reached, and the stop.

use super::queue::Queue;
use super::{Job, Statistics};
use crate::config::NextHopSettings;
use crate::conn::Ledger;
use crate::mail::{NextHop, Outcome};
use crate::net::Wake;
use crate::smtp::Extensions;
use crate::sync::{Budget, Condvar, Mutex};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The wait before a site in trouble is tried again: at first, and at the most.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How long it is believed that a server still offers what it offered.
const OFFERS_AGE: Duration = Duration::from_secs(3600);

/// What a next hop's server offers, for a door to mirror.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Offers {
    /// 8BITMIME
    pub eight_bit_mime: bool,
    /// SMTPUTF8
    pub smtputf8: bool,
    /// DSN
    pub dsn: bool,
    /// SIZE: `Some(0)` is offered without a limit.
    pub size: Option<u64>,
    /// `host[address]:port`
    pub server: String,
}

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
    changed: Condvar,
    stopping: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    queue: Queue,
    wakes: Vec<(usize, Wake)>,
    /// Lanes with a session ready.
    connected: usize,
    offers: Option<(Offers, Instant)>,
    trouble: Option<Trouble>,
    /// A door waits for the offers.
    asked: bool,
    ends: Option<Instant>,
}

#[derive(Debug, Clone)]
struct Trouble {
    outcome: Outcome,
    until: Instant,
    pause: Duration,
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

    /// Queues a message and wakes the lanes; `spawn` is called, under the lock, with the number of a lane to be started
    /// when backlog justifies one. A message for a site that is stopping or in trouble comes back with why.
    pub fn put(&self, job: Job, spawn: impl FnOnce(usize) -> Option<Wake>) -> Result<(), (Box<Job>, Outcome)> {
        let mut state = self.state.lock();
        if self.is_stopping() {
            return Err((Box::new(job), stopping()));
        }
        if let Some(outcome) = state.trouble_now() {
            return Err((Box::new(job), outcome));
        }
        state.queue.put(job);
        self.staff(&mut state, spawn);
        state.wakes.iter().for_each(|(_, wake)| wake.signal());
        Ok(())
    }

    /// Starts a lane where there is none, or where many messages wait for each one running.
    fn staff(&self, state: &mut State, spawn: impl FnOnce(usize) -> Option<Wake>) {
        const WAITING_FOR_EACH: usize = 4;
        let running = state.wakes.len();
        let wanted = running == 0 || state.queue.len() > WAITING_FOR_EACH * running;
        if !wanted || running >= self.settings.lanes.max(1) {
            return;
        }
        let number = (1..).find(|n| state.wakes.iter().all(|(taken, _)| taken != n)).unwrap_or(running + 1);
        if let Some(wake) = spawn(number) {
            state.wakes.push((number, wake));
        } else if running == 0 {
            let no_thread = Outcome::deferred(crate::mail::EnhancedStatus::new(4, 3, 2), "no thread could be started");
            let waiting = state.queue.take_all();
            drop_with(waiting, &no_thread);
        }
    }

    /// A message that was not sent goes back to its place.
    pub fn give_back(&self, job: Job) {
        let mut state = self.state.lock();
        state.queue.put(job);
        state.wakes.iter().for_each(|(_, wake)| wake.signal());
    }

    /// The next message that there is room for.
    pub fn take(&self, has_room: &dyn Fn(u64) -> bool) -> Option<Job> {
        self.state.lock().queue.take(has_room)
    }

    /// Messages that wait.
    pub fn waiting(&self) -> usize {
        self.state.lock().queue.len()
    }

    /// Whether a lane should connect: messages wait, or a door asks what the server offers.
    pub fn has_work(&self) -> bool {
        let state = self.state.lock();
        !state.queue.is_empty() || state.asked
    }

    /// The lane with this number has ended, unless work came in the meantime (then `false`: it must go on).
    pub fn retire_lane(&self, number: usize, even_with_work: bool) -> bool {
        let mut state = self.state.lock();
        if !even_with_work && (!state.queue.is_empty() || state.asked) {
            return false;
        }
        state.wakes.retain(|(other, _)| *other != number);
        self.changed.notify_all();
        true
    }

    /// Lanes running.
    pub fn lanes(&self) -> usize {
        self.state.lock().wakes.len()
    }

    /// A lane has a session ready (the site lives), or has lost it.
    pub fn connected(&self, offered: Option<(&Extensions, &str)>) {
        let mut state = self.state.lock();
        match offered {
            Some((offered, server)) => {
                state.connected += 1;
                state.offers = Some((offers(offered, server), Instant::now()));
                state.trouble = None;
                state.asked = false;
            }
            None => state.connected = state.connected.saturating_sub(1),
        }
        self.changed.notify_all();
    }

    /// A lane could not make a connection. While no other lane has one the site is in trouble: what waits is deferred now, and
    /// doors say so, until the pause is over.
    pub fn failed(&self, outcome: &Outcome) {
        let mut state = self.state.lock();
        if state.connected > 0 {
            return;
        }
        let pause = state.trouble.as_ref().map_or(FIRST_PAUSE, |trouble| (trouble.pause * 2).min(LONGEST_PAUSE));
        state.trouble = Some(Trouble { outcome: outcome.clone(), until: Instant::now() + pause, pause });
        state.asked = false;
        let waiting = state.queue.take_all();
        self.changed.notify_all();
        drop(state);
        drop_with(waiting, outcome);
    }

    /// Why the site cannot be used at this time.
    pub fn trouble(&self) -> Option<Outcome> {
        self.state.lock().trouble_now()
    }

    /// What the server offers: known already, or found out by a lane that connects for it.
    pub fn offers(&self, patience: Duration, spawn: impl FnOnce(usize) -> Option<Wake>) -> Result<Offers, Outcome> {
        let deadline = Instant::now() + patience;
        let mut state = self.state.lock();
        if let Some(offers) = state.offers_now() {
            return Ok(offers);
        }
        if state.trouble_now().is_none() && !self.is_stopping() {
            state.asked = true;
            self.staff(&mut state, spawn);
            state.wakes.iter().for_each(|(_, wake)| wake.signal());
        }
        loop {
            if let Some(offers) = state.offers_now() {
                return Ok(offers);
            }
            if let Some(outcome) = state.trouble_now() {
                return Err(outcome);
            }
            if self.is_stopping() {
                return Err(stopping());
            }
            if self.changed.wait_until(&mut state, deadline).timed_out() {
                let late = crate::mail::EnhancedStatus::new(4, 4, 1);
                return Err(Outcome::deferred(late, "the server has not greeted in time"));
            }
        }
    }

    /// No new work; what is on the wire ends by `ends`; what waits is deferred.
    pub fn stop(&self, ends: Instant) {
        let mut state = self.state.lock();
        self.stopping.store(true, Ordering::Release);
        state.ends = Some(ends);
        let waiting = state.queue.take_all();
        state.wakes.iter().for_each(|(_, wake)| wake.signal());
        self.changed.notify_all();
        drop(state);
        drop_with(waiting, &stopping());
    }

    /// Whether the site is stopping.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// When what is on the wire must have ended.
    pub fn must_end_by(&self) -> Option<Instant> {
        if self.is_stopping() { self.state.lock().ends } else { None }
    }
}

impl State {
    fn trouble_now(&self) -> Option<Outcome> {
        let trouble = self.trouble.as_ref()?;
        (trouble.until > Instant::now()).then(|| trouble.outcome.clone())
    }

    fn offers_now(&self) -> Option<Offers> {
        let (offers, at) = self.offers.as_ref()?;
        let fresh = self.connected > 0 || at.elapsed() < OFFERS_AGE;
        (fresh && self.trouble.is_none()).then(|| offers.clone())
    }
}

fn offers(offered: &Extensions, server: &str) -> Offers {
    Offers {
        eight_bit_mime: offered.eight_bit_mime,
        smtputf8: offered.smtputf8,
        dsn: offered.dsn,
        size: offered.size,
        server: server.to_owned(),
    }
}

fn stopping() -> Outcome {
    Outcome::deferred(crate::mail::EnhancedStatus::new(4, 3, 2), "pipelane is stopping")
}

/// Reports every recipient that is left with this outcome.
fn drop_with(jobs: Vec<Job>, outcome: &Outcome) {
    for mut job in jobs {
        job.give_up(outcome);
        super::report::settle(job, None);
    }
}
