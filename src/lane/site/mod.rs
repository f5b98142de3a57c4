//! What the lanes of one channel share: the queue, the crew, what the server offers, whether it can be reached, the
//! stop.
//!
//! Promises: a message that is put is taken by a lane or comes back with why, also when it is given back by a lane in
//! the moment of a stop; while messages wait, a lane that may take them is connected, connecting, or about to be;
//! nothing is reported, logged, started or waited for under the lock. Lock order: this one is innermost but for the
//! wakes' descriptors.
//!
//! Lanes that are to be started are entered in the crew under the lock and returned to the caller, who starts them
//! behind it ([`super::worker::start`]).

mod disposal;
mod health;
mod late;
mod offers;
mod onward;
mod regime;
mod status;
mod threads;

pub use onward::{Onward, Share};

use super::bins::Bins;
use super::crew::{Backlog, Crew};
use super::member::{Handle, Standing};
use super::queue::{Queue, Taken};
use super::trouble::Trouble;
use super::{Connector, Job, Offers, Statistics, report};
use crate::config::NextHopSettings;
use crate::conn::{Ledger, Manners, Vacancy};
use crate::mail::{EnhancedStatus, NextHop, Outcome};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::thread::JoinHandle;
use crate::sync::{Budget, Condvar, Mutex};
use regime::InForce;
use std::ops::Range;
use std::sync::{Arc, Weak};
use std::time::Instant;

/// A message that is not taken, and what to report.
pub type Refused = (Job, Outcome);

/// The shared state of one channel's lanes. Any thread.
#[derive(Debug)]
pub struct Site {
    /// Where it goes.
    pub next_hop: NextHop,
    /// What is remembered of servers.
    pub ledger: Arc<Ledger>,
    /// Connections that may be open, over all next hops.
    pub connections: Arc<Budget>,
    /// The same, over all servers of this next hop.
    pub own_connections: Arc<Share>,
    /// Counts, over all next hops.
    pub statistics: Arc<Statistics>,
    /// How its lanes come to connections.
    pub connector: Arc<dyn Connector>,
    /// Servers that are not asked, because they have put off everything that comes here.
    pub passed: Arc<[String]>,
    onward: Option<Weak<dyn Onward>>,
    settings: InForce,
    state: Mutex<State>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// There is news for those who wait for the offers, or for the lanes' end.
    changed: Condvar,
    stopping: AtomicBool,
}

#[derive(Debug)]
struct State {
    queue: Queue,
    crew: Crew,
    trouble: Trouble,
    offers: Option<(Offers, Instant)>,
    /// A door waits for the offers.
    asked: bool,
    ends: Option<Instant>,
}

impl Backlog for Queue {
    fn messages(&self, bins: Range<usize>) -> usize {
        self.len(bins)
    }

    fn octets(&self, bins: Range<usize>) -> u64 {
        self.octets(bins)
    }
}

impl Site {
    /// A site that nothing is known of.
    pub fn new(
        next_hop: NextHop,
        settings: Arc<NextHopSettings>,
        ledger: Arc<Ledger>,
        connections: Arc<Budget>,
        statistics: Arc<Statistics>,
        connector: Arc<dyn Connector>,
    ) -> Site {
        let state = State {
            queue: Queue::new(Bins::of(&settings)),
            crew: Crew::new(&settings),
            trouble: Trouble::default(),
            offers: None,
            asked: false,
            ends: None,
        };
        Site {
            next_hop,
            ledger,
            connections,
            own_connections: Share::new(u64::MAX),
            statistics,
            connector,
            passed: Arc::default(),
            onward: None,
            settings: InForce::new(settings),
            state: Mutex::new(state),
            threads: Mutex::default(),
            changed: Condvar::new(),
            stopping: AtomicBool::new(false),
        }
    }

    /// From now on these settings are in force. What waits is sorted anew; connections that are open keep what they
    /// began with, but for the bins that they serve, or end (`regime`). Returns lanes to be started.
    pub fn reconfigure(&self, settings: &Arc<NextHopSettings>) -> Vec<Handle> {
        self.settings.replace(settings);
        let mut state = self.state.lock();
        state.crew.reform(settings);
        state.queue.sort_anew(Bins::of(settings));
        state.crew.tell();
        self.staff(&mut state)
    }

    /// Queues a message and wakes the lanes. Returns lanes that the caller is to start. A message for a site that is
    /// stopping or in trouble comes back.
    pub fn put(&self, job: Job) -> Result<Vec<Handle>, Refused> {
        let mut state = self.state.lock();
        if let Some(outcome) = self.refusal(&state) {
            return Err((job, outcome));
        }
        let bin = state.queue.put(job);
        let started = self.staff(&mut state);
        state.crew.tell_of(bin);
        let stranded = state.stranded();
        drop(state);
        self.settle_all(stranded, &no_lane());
        Ok(started)
    }

    /// A message that this lane has not sent goes back to its place; on a site that is stopping it comes back. Returns
    /// lanes to be started.
    pub fn give_back(&self, number: usize, job: Job) -> Result<Vec<Handle>, Refused> {
        let mut state = self.state.lock();
        state.release(number, job.place);
        if let Some(outcome) = self.refusal(&state) {
            return Err((job, outcome));
        }
        let has_end = job.token.until.is_some();
        let bin = state.queue.put(job);
        state.crew.tell_of(bin);
        let entered = self.staff(&mut state);
        drop(state);
        self.waits_again(has_end);
        Ok(entered)
    }

    /// This lane is done with a message: settled, or withdrawn.
    pub fn release(&self, number: usize, place: Option<u64>) {
        self.state.lock().release(number, place);
    }

    fn refusal(&self, state: &State) -> Option<Outcome> {
        match (self.is_stopping(), state.trouble.is_known()) {
            (true, _) => Some(stopping()),
            (false, true) => state.trouble.now(Instant::now()).cloned(),
            (false, false) => None,
        }
    }

    /// Enters the lanes that pay for what waits.
    fn staff(&self, state: &mut State) -> Vec<Handle> {
        self.staff_from(0, state)
    }

    /// The same, for this bin and those above it.
    fn staff_from(&self, first: usize, state: &mut State) -> Vec<Handle> {
        let mut entered = Vec::new();
        if self.is_stopping() || state.queue.total() == 0 {
            return entered;
        }
        let now = Instant::now();
        for bin in first..state.queue.bins().len() {
            let waits = state.queue.len(bin..bin + 1) > 0;
            if waits && state.crew.wants_member(bin, &state.queue, now) {
                entered.extend(state.crew.enter(bin, now).ok());
            }
        }
        entered
    }

    /// No thread could be started for this lane. What waits and is too large for every other is deferred.
    pub fn not_started(&self, number: usize) {
        let mut state = self.state.lock();
        state.crew.leave(number);
        let stranded = state.stranded();
        state.asked = state.asked && !state.crew.members().is_empty();
        // One of larger bins may have relied on it for smaller ones.
        state.crew.tell();
        drop(state);
        self.changed.notify_all();
        self.settle_all(stranded, &no_lane());
    }

    /// The next message that this lane may take and has room for, and lanes to be started for others. Messages that
    /// are over are disposed of on the way.
    pub fn take(&self, number: usize, vacancy: Vacancy<'_>) -> (Option<Job>, Vec<Handle>) {
        loop {
            let mut state = self.state.lock();
            let Some(job) = state.take(number, vacancy) else { return (None, self.staff(&mut state)) };
            if !job.token.is_void() {
                state.carry(number, &job);
                return (Some(job), self.staff(&mut state));
            }
            drop(state);
            report::withdraw(job, &self.statistics);
        }
    }

    /// Messages that wait for lanes such as this one.
    pub fn waiting(&self, number: usize) -> usize {
        let state = self.state.lock();
        state.queue.len(state.crew.own_bins(number))
    }

    /// Whether this lane is to hold large content back, because smaller messages are on their way over others.
    pub fn must_yield(&self, number: usize) -> bool {
        let state = self.state.lock();
        state.crew.must_yield(number, &state.queue, Instant::now())
    }

    /// How this lane's packets are to behave: as the smallest of its bins asks for.
    pub fn manners(&self, number: usize) -> Manners {
        let bin = self.state.lock().crew.own_bins(number).start;
        let settings = self.settings();
        let congestion = settings.congestion_of(bin).map(str::to_owned);
        Manners { dscp: settings.dscp_of(bin), congestion, yields: bin > 0 }
    }

    /// Whether this lane is to end what it carries and to take nothing more: the site is stopping, or the lane is left
    /// over.
    pub fn is_dismissed(&self, number: usize) -> bool {
        self.is_stopping() || self.state.lock().crew.member(number).is_none_or(|member| member.group.is_none())
    }

    /// A lane without a connection asks whether it should make one. If so it counts as connecting from now on, until
    /// [`Site::connected`] or [`Site::step_down`]. Returns lanes to be started as well: a lane that comes here may have
    /// lost its connection, and with it lanes have got other bins, so that the largest may be nobody's now. (For others
    /// there is the last resort.)
    pub fn claim(&self, number: usize) -> (bool, Vec<Handle>) {
        let mut state = self.state.lock();
        let wanted = !self.is_stopping() && state.wants_connection(number);
        if wanted {
            state.crew.stand(number, Standing::Connecting, Instant::now());
            state.crew.tell_idle();
        }
        let reach = state.crew.reach();
        let entered = self.staff_from(reach, &mut state);
        let stranded = state.stranded();
        drop(state);
        self.settle_all(stranded, &no_lane());
        (wanted, entered)
    }

    /// When a lane that rests should ask again although nobody has told it anything, if its patience reaches so far.
    pub fn ask_again_at(&self, patience: Instant) -> Instant {
        let state = self.state.lock();
        let again = state.crew.probe_at().filter(|at| state.queue.total() > 0 && *at > Instant::now());
        again.map_or(patience, |at| at.min(patience))
    }

    /// The lane with this number ends, unless work has come in the meantime (then `false`: it must go on).
    pub fn leave(&self, number: usize) -> bool {
        let mut state = self.state.lock();
        if state.is_needed(number) && !self.is_stopping() {
            return false;
        }
        state.crew.leave(number);
        state.crew.tell();
        drop(state);
        self.changed.notify_all();
        true
    }

    /// Lanes running.
    pub fn lanes(&self) -> usize {
        self.state.lock().crew.members().len()
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
}

impl State {
    /// The next message for this lane: of its own bins, or, when it has nothing else to do, of smaller ones, or of those
    /// of a lane that does not come to a connection.
    fn take(&mut self, number: usize, vacancy: Vacancy<'_>) -> Option<Job> {
        let (own, help) = (self.crew.own_bins(number), self.crew.bins_to_help(number, &self.queue));
        let taken = match self.take_own(own, vacancy) {
            Taken::Nothing if !help.is_empty() => self.queue.take(help, vacancy),
            taken => taken,
        };
        let taken = if matches!(taken, Taken::Nothing) { self.take_for_the_late(number, vacancy) } else { taken };
        self.has_no_room(number, matches!(taken, Taken::NoRoom));
        match taken {
            Taken::Job(job) => Some(job),
            Taken::NoRoom | Taken::Nothing => None,
        }
    }

    fn has_no_room(&mut self, number: usize, no_room: bool) {
        if let Some(member) = self.crew.member_mut(number) {
            let was_full = std::mem::replace(&mut member.is_full, no_room);
            // Lanes that rest may find that it is now worth while to connect.
            if no_room && !was_full {
                self.crew.tell_resting();
            }
        }
    }

    fn carry(&mut self, number: usize, job: &Job) {
        let (place, size) = (job.place.unwrap_or_default(), job.size());
        self.crew.carry(number, place, size, Instant::now());
    }

    /// A lane is done with a message. Lanes that yield to it are told when it was the last.
    fn release(&mut self, number: usize, place: Option<u64>) {
        if let Some(place) = place {
            self.crew.release(number, place);
        }
    }

    /// What waits although no lane runs that may ever take it.
    fn stranded(&mut self) -> Vec<Job> {
        self.queue.take_bins(self.crew.reach()..self.queue.bins().len())
    }

    fn has_work(&self) -> bool {
        self.queue.total() > 0 || self.asked
    }

    fn wants_connection(&self, number: usize) -> bool {
        let now = Instant::now();
        let usable = self.trouble.now(now).is_none();
        let doubtful = self.trouble.is_known();
        self.has_work() && usable && self.crew.wants_connection(number, &self.queue, self.asked, doubtful, now)
    }

    /// Whether this lane has to stay: to connect, or as the only one of its bins while messages for them wait.
    fn is_needed(&self, number: usize) -> bool {
        let last = self.crew.members().len() == 1 && self.has_work();
        let waits = self.queue.len(self.crew.own_bins(number)) > 0;
        last || (waits && self.crew.is_only_of_its_group(number)) || self.wants_connection(number)
    }
}

fn stopping() -> Outcome {
    Outcome::deferred(EnhancedStatus::new(4, 3, 2), "pipelane is stopping")
}

fn no_lane() -> Outcome {
    Outcome::deferred(EnhancedStatus::new(4, 3, 2), "no thread or descriptor is left for a connection")
}

#[cfg(test)]
mod tests;
