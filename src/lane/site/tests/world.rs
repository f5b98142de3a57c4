//! A site with lanes that are values: each does what [`worker`](crate::lane::worker) does, one step at a time, when the
//! schedule says so.
//!
//! A lane blocks as a thread would, on its wake alone: it takes a step only when it was signalled, or when something
//! happened on its own connection. So whatever the site forgets to tell a lane stays undone, and
//! [`World::check_settled`] finds it.

mod checks;
mod server;

use super::super::*;
use crate::lane::bins::Bins;
use crate::lane::fixture::job_with;
use crate::lane::{Inbox, Quota};
use crate::mail::Verdict;
use crate::smtp::Extensions;
use std::collections::BTreeMap;
use std::time::Duration;

/// Nobody connects here: the model says what becomes of an attempt.
#[derive(Debug)]
struct NoConnector;

impl Connector for NoConnector {
    fn connect(&self, _: &crate::conn::Opener, _: &dyn Fn() -> bool) -> Result<Box<dyn crate::lane::Carrier>, Outcome> {
        Err(refused())
    }
}

pub fn refused() -> Outcome {
    Outcome::deferred(EnhancedStatus::new(4, 4, 1), "connection refused")
}

/// How a lane's connection takes messages.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    pub messages: usize,
    pub octets: u64,
}

/// Where a lane's thread is.
#[derive(Debug)]
enum Thread {
    /// Just started, or woken: it looks for work at its next turn.
    Running,
    /// It waits on its wake, without a connection; `alarm`: and for the end of a pause.
    Resting { alarm: bool },
    /// It is dialling.
    Dialling,
    /// It has a session.
    Serving { aboard: Vec<Job>, answered: u64, woken: bool },
}

#[derive(Debug)]
struct Lane {
    handle: Handle,
    thread: Thread,
}

/// See the [module](self).
pub struct World {
    pub site: Site,
    lanes: BTreeMap<usize, Lane>,
    /// `None` once whoever submitted it has gone.
    inboxes: Vec<Option<Inbox>>,
    /// Reports seen, by message.
    reports: Vec<usize>,
    room: Arc<Quota>,
    window: Window,
    redispatches: u32,
    start: Instant,
}

impl World {
    pub fn new(settings: NextHopSettings, window: Window) -> World {
        let site = Site::new(
            "mx.test".parse().expect("a next hop"),
            Arc::new(settings),
            Arc::default(),
            Budget::new(100),
            Arc::default(),
            Arc::new(NoConnector),
        );
        World {
            site,
            lanes: BTreeMap::new(),
            inboxes: Vec::new(),
            reports: Vec::new(),
            room: Quota::new(u64::MAX, u64::MAX).into(),
            window,
            redispatches: 3,
            start: Instant::now(),
        }
    }

    /// Threads for the lanes that the site wants started.
    fn start(&mut self, entered: Vec<Handle>) {
        for handle in entered {
            let number = handle.number;
            let before = self.lanes.insert(number, Lane { handle, thread: Thread::Running });
            assert!(before.is_none(), "lane {number} runs twice");
        }
    }

    /// No thread is left for the lanes that the site wants started, as [`worker`](crate::lane::worker) finds.
    pub fn cannot_start(&mut self, entered: Vec<Handle>) {
        entered.into_iter().for_each(|handle| self.site.not_started(handle.number));
    }

    /// Submits a message that says to have waited so many seconds already. `threads`: whether there are any left.
    pub fn submit(&mut self, size: usize, waited: u64, threads: bool) -> usize {
        let (message, entered) = self.put(size, waited);
        if threads {
            self.start(entered);
        } else {
            self.cannot_start(entered);
        }
        message
    }

    /// The same, with the lanes that are to be started.
    pub fn put(&mut self, size: usize, waited: u64) -> (usize, Vec<Handle>) {
        let space = self.room.take(1, Duration::ZERO);
        assert!(space.is_some(), "no limit");
        let submitted = self.start.checked_sub(Duration::from_secs(waited)).unwrap_or(self.start);
        let (job, inbox) = job_with(size, submitted, space);
        self.inboxes.push(Some(inbox));
        self.reports.push(0);
        let entered = self.site.put(job).unwrap_or_else(|(job, outcome)| {
            self.site.settle_unsent(job, &outcome);
            Vec::new()
        });
        (self.inboxes.len() - 1, entered)
    }

    /// Whoever submitted this message goes away.
    pub fn withdraw(&mut self, message: usize) {
        if let Some(inbox) = self.inboxes.get_mut(message).and_then(Option::take) {
            self.reports[message] += usize::from(inbox.take().is_some());
        }
    }

    pub fn reconfigure(&mut self, settings: NextHopSettings) {
        let entered = self.site.reconfigure(&Arc::new(settings));
        self.start(entered);
    }

    /// All pauses are over: those after trouble, and those for a server that refuses further connections.
    pub fn end_pauses(&mut self) {
        let mut state = self.site.state.lock();
        let now = Instant::now();
        state.crew.end_pause(now);
        state.trouble.end_pause(now);
        drop(state);
        for lane in self.lanes.values_mut().filter(|lane| matches!(lane.thread, Thread::Resting { alarm: true })) {
            lane.thread = Thread::Running;
        }
    }

    pub fn stop(&mut self) {
        self.site.stop(Instant::now());
    }

    /// The lanes that run.
    pub fn lanes(&self) -> Vec<usize> {
        self.lanes.keys().copied().collect()
    }

    pub fn dialling(&self) -> Vec<usize> {
        self.lanes_where(|thread| matches!(thread, Thread::Dialling))
    }

    pub fn resting(&self) -> Vec<usize> {
        self.lanes_where(|thread| matches!(thread, Thread::Resting { .. }))
    }

    pub fn serving(&self) -> Vec<usize> {
        self.lanes_where(|thread| matches!(thread, Thread::Serving { .. }))
    }

    pub fn busy(&self) -> Vec<usize> {
        self.lanes_where(|thread| matches!(thread, Thread::Serving { aboard, .. } if !aboard.is_empty()))
    }

    /// Whether this message's report is here; it is counted.
    pub fn is_reported(&mut self, message: usize) -> bool {
        if self.inboxes[message].as_ref().is_some_and(|inbox| inbox.take().is_some()) {
            self.reports[message] += 1;
        }
        self.reports[message] > 0
    }

    /// The lanes that carry a message: those whose account has its place. Messages have their places in the order in
    /// which they came.
    pub fn carriers_of(&self, message: usize) -> Vec<usize> {
        let carries = |thread: &Thread| match thread {
            Thread::Serving { aboard, .. } => aboard.iter().any(|job| job.place == Some(message as u64)),
            _ => false,
        };
        self.lanes_where(carries)
    }

    fn lanes_where(&self, wanted: impl Fn(&Thread) -> bool) -> Vec<usize> {
        self.lanes.iter().filter(|(_, lane)| wanted(&lane.thread)).map(|(number, _)| *number).collect()
    }

    /// Whether the lane would go on if its thread were scheduled.
    fn is_runnable(lane: &Lane) -> bool {
        match &lane.thread {
            Thread::Running => true,
            Thread::Resting { .. } => lane.handle.news.is_signalled(),
            Thread::Dialling => lane.handle.halt.is_signalled(),
            Thread::Serving { woken, .. } => *woken || lane.handle.news.is_signalled(),
        }
    }

    /// Lanes that would go on.
    pub fn runnable(&self) -> Vec<usize> {
        self.lanes.iter().filter(|(_, lane)| World::is_runnable(lane)).map(|(number, _)| *number).collect()
    }

    /// One step of a lane's thread.
    pub fn step(&mut self, number: usize) {
        let Some(lane) = self.lanes.get_mut(&number).filter(|lane| World::is_runnable(lane)) else { return };
        match &mut lane.thread {
            Thread::Running => self.look_for_work(number),
            Thread::Resting { .. } => {
                lane.handle.news.clear();
                lane.thread = Thread::Running;
            }
            Thread::Dialling => self.step_down(number),
            Thread::Serving { woken, .. } => {
                if !std::mem::take(woken) {
                    lane.handle.news.clear();
                }
                self.serve(number);
            }
        }
    }

    /// The head of [`worker`](crate::lane::worker)'s loop.
    fn look_for_work(&mut self, number: usize) {
        let (wanted, entered) = self.site.claim(number);
        self.start(entered);
        let thread = if wanted {
            Thread::Dialling
        } else if self.site.is_stopping() && self.site.leave(number) {
            self.lanes.remove(&number);
            return;
        } else {
            let patience = Instant::now() + Duration::from_secs(1000);
            Thread::Resting { alarm: self.site.ask_again_at(patience) < patience }
        };
        self.lane(number).thread = thread;
    }

    fn lane(&mut self, number: usize) -> &mut Lane {
        self.lanes.get_mut(&number).expect("it runs")
    }

    /// A lane that rests has waited long enough, and looks for work before it goes.
    pub fn tire(&mut self, number: usize) {
        if self.site.leave(number) {
            self.lanes.remove(&number);
        } else {
            self.lane(number).thread = Thread::Running;
        }
    }

    fn step_down(&mut self, number: usize) {
        self.site.step_down(number);
        self.lane(number).thread = Thread::Running;
    }

    /// A dialling lane has a session.
    pub fn connect(&mut self, number: usize) {
        self.site.connected(number, &Extensions::default(), "mx.test");
        self.lane(number).thread = Thread::Serving { aboard: Vec::new(), answered: 0, woken: true };
    }

    /// A dialling lane was refused.
    pub fn refuse(&mut self, number: usize) {
        self.site.not_connected(number, &refused());
        self.step_down(number);
    }

    /// A lane that serves takes what there is room for, and leaves when it is not wanted.
    fn serve(&mut self, number: usize) {
        loop {
            if self.site.is_dismissed(number) {
                if matches!(&self.lane(number).thread, Thread::Serving { aboard, .. } if aboard.is_empty()) {
                    self.step_down(number);
                }
                return;
            }
            let Some(job) = self.take(number) else { return };
            if let Thread::Serving { aboard, .. } = &mut self.lane(number).thread {
                aboard.push(job);
            }
        }
    }

    /// The next message, which must be one that this lane may have.
    fn take(&mut self, number: usize) -> Option<Job> {
        let Thread::Serving { aboard, answered, .. } = &self.lanes[&number].thread else { return None };
        let (carried, octets, proven) = (aboard.len(), aboard.iter().map(|job| job.size()).sum::<u64>(), *answered > 0);
        let (window, alone) = (self.window, aboard.iter().any(|job| job.is_suspect()));
        let fits = |size| !alone && (carried == 0 || (carried < window.messages && octets + size <= window.octets));
        let vacancy = Vacancy { fits: &fits, is_empty: carried == 0, is_proven: proven };
        let (own, busy_with_own, _) = self.of(number);
        let (job, entered) = self.site.take(number, vacancy);
        let own_waits = self.of(number).2;
        self.start(entered);
        if let Some(job) = &job {
            let bin = self.bins().bin(job.size());
            assert!(bin < own.end, "lane {number} of {own:?} has taken a message of bin {bin}");
            assert!(bin >= own.start || !(busy_with_own || own_waits), "lane {number} helps although it has work");
        }
        job
    }

    fn bins(&self) -> Bins {
        self.site.state.lock().queue.bins().clone()
    }

    /// A lane's own bins, whether it carries messages of them, and whether any wait. Behind a call of `take`, those
    /// that were withdrawn are no longer among these.
    fn of(&self, number: usize) -> (Range<usize>, bool, bool) {
        let state = self.site.state.lock();
        let own = state.crew.own_bins(number);
        let wanted = |job: &Job| !job.token.is_void();
        let carries = match &self.lanes[&number].thread {
            Thread::Serving { aboard, .. } => {
                aboard.iter().any(|job| wanted(job) && own.contains(&state.queue.bins().bin(job.size())))
            }
            _ => false,
        };
        let waits = state.queue.len(own.clone()) > 0;
        (own, carries, waits)
    }

    /// Lets every lane go on until all of them wait.
    pub fn settle(&mut self) {
        for _ in 0..10_000 {
            let runnable = self.runnable();
            if runnable.is_empty() {
                return;
            }
            runnable.into_iter().for_each(|number| self.step(number));
        }
        panic!("the lanes never come to rest: {}", self.picture());
    }

    /// The world is kind: every attempt succeeds, every message is answered. All must be reported, without any lane
    /// growing tired.
    pub fn bring_home(&mut self) {
        for _ in 0..1000 {
            self.settle();
            if self.site.state.lock().queue.total() == 0 && self.busy().is_empty() {
                return;
            }
            self.end_pauses();
            self.dialling().into_iter().for_each(|number| self.connect(number));
            self.busy().into_iter().for_each(|number| self.answer(number, 0));
        }
        panic!("messages do not come home: {}", self.picture());
    }

    /// The lanes end after a stop, which all messages survive.
    pub fn end(&mut self) {
        self.stop();
        for round in 0..1000 {
            self.settle();
            for number in self.busy() {
                // Every fifth connection is lost instead.
                if (round + number) % 5 == 0 {
                    self.lose(number);
                } else {
                    self.answer(number, 0);
                }
            }
        }
        assert!(self.lanes.is_empty() && self.site.lanes() == 0, "lanes do not end: {}", self.picture());
    }
}
