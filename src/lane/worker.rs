//! A lane's thread: connect when there is work, carry it, connect again or rest.
//!
//! A panic ends the connection, not the lane and not the process: what was aboard is reported by its
//! tickets, as deferred or, when it was sent whole, as in doubt, and the lane goes on with what waits.

use super::member::Handle;
use super::report;
use super::{Bell, Carrier, Job, Obligation, Site};
use crate::config::Level;
use crate::conn::{Feed, Manners, Opener, Retry, Token, Vacancy, policy};
use crate::mail::{Outcome, Route};
use crate::net::with_signals_blocked;
use crate::smtp::{Cause, CloseReason, Extensions};
use crate::sync::{Budget, Permit, after, thread};
use log::{error, info, warn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How long a lane waits for one of a number of connections until it says so.
const CONNECTION_WAIT: Duration = Duration::from_secs(30);
/// How often it looks, meanwhile, whether it is still wanted.
const SLICE: Duration = Duration::from_millis(250);
/// Where a connection of ours has ended so recently, a server that takes few may still count it: then it is tried again
/// after these pauses (in milliseconds), before the server counts as one that cannot be reached. Sendmail, which has
/// counted all its children, counts them again after 15 seconds.
const RECENTLY: Duration = Duration::from_secs(10);
const PAUSES: [u64; 5] = [200, 800, 2000, 4000, 9000];

/// One lane.
struct Lane {
    site: Arc<Site>,
    number: usize,
    opener: Opener,
    /// In which the opener's settings were in force (`site::regime`).
    regime: usize,
    /// The last message that was charged with the end of the present connection, and why.
    blamed: Option<u64>,
    last_cause: Option<Cause>,
    /// When the last connection has ended, if it was of use and ended by our side.
    left: Option<Instant>,
    /// Of who waits for reports that were made since it waited last.
    bells: Vec<Bell>,
    /// The one that messages took last.
    route: Option<Arc<Route>>,
    /// Of the server that it is connected to.
    offers_dsn: bool,
}

/// Starts lanes that were entered in their site's crew.
pub fn start(site: &Arc<Site>, entered: Vec<Handle>) {
    entered.into_iter().for_each(|handle| start_one(site, handle));
}

/// When the system has no thread left, the site is told.
fn start_one(site: &Arc<Site>, handle: Handle) {
    let number = handle.number;
    let opener = Opener {
        next_hop: site.next_hop.clone(),
        settings: site.settings(),
        ledger: Arc::clone(&site.ledger),
        passed: Arc::clone(&site.passed),
        lane: format!("lane {number}"),
        manners: Manners::default(),
        news: handle.news,
        halt: handle.halt,
        gauge: handle.gauge,
    };
    let mut lane = Lane {
        site: Arc::clone(site),
        number,
        opener,
        regime: 0,
        blamed: None,
        last_cause: None,
        left: None,
        bells: Vec::new(),
        route: None,
        offers_dsn: false,
    };
    let body = move || {
        while catch_unwind(AssertUnwindSafe(|| lane.run())).is_err() {
            lane.step_down();
            // The logger is foreign code and may be what has panicked: it must not end the lane.
            let say = || error!("{}: lane {number} has panicked; what it carried is reported", lane.site.next_hop);
            let _ = catch_unwind(AssertUnwindSafe(say));
        }
    };
    let spawn = || with_signals_blocked(|| thread::Builder::new().name(format!("lane {number}")).spawn(body));
    if let Err(error) = site.start_thread(spawn) {
        // Before it is said: the logger is foreign code, and if it panics the lane must be off the account all the
        // same.
        site.not_started(number);
        error!("{}: no lane can be started: {error}", site.next_hop);
    }
}

impl Lane {
    fn run(&mut self) {
        loop {
            let (wanted, entered) = self.site.claim(self.number);
            start(&self.site, entered);
            if wanted {
                self.serve();
                self.step_down();
            } else if (self.site.is_stopping() || !self.rest()) && self.site.leave(self.number) {
                return;
            }
        }
    }

    /// Waits for work without a connection; `false` when none came.
    fn rest(&self) -> bool {
        let patience = after(self.site.settings().timeouts.idle);
        let again = self.site.ask_again_at(patience);
        let woken = self.opener.news.wait(Some(again));
        self.opener.news.clear();
        again < patience || woken
    }

    /// One connection, from dialling to its end.
    fn serve(&mut self) {
        let Some(_permits) = self.wait_for_permits() else { return };
        let mut connection = match self.connect() {
            Ok(connection) => connection,
            Err(_) if self.site.is_stopping() => return,
            Err(outcome) => {
                self.site.not_connected(self.number, &outcome);
                return warn!("{}: lane {}: {}", self.site.next_hop, self.number, outcome.text);
            }
        };
        self.site.statistics.connections.fetch_add(1, Ordering::Relaxed);
        (self.blamed, self.last_cause) = (None, None);
        let reason = connection.run(self);
        self.step_down();
        let by_us = matches!(reason, CloseReason::Quit(_) | CloseReason::Abandoned(_));
        self.left = (by_us && connection.answered() > 0).then(Instant::now);
        if !matches!(reason, CloseReason::Quit(_)) {
            self.site.note_trouble(self.number, &reason.to_string());
        }
        self.judge(connection.is_fruitless(self.site.waiting(self.number) > 0), connection.answered() > 0, &reason);
        connection.close(&reason);
    }

    /// A session, also with a server that does not take one at once.
    fn connect(&mut self) -> Result<Box<dyn Carrier>, Outcome> {
        let may_be_counted = self.left.is_some_and(|left| left.elapsed() < RECENTLY);
        let mut pauses = PAUSES.into_iter().filter(|_| may_be_counted);
        loop {
            self.prepare();
            let refused = match self.site.connector.connect(&self.opener, &|| self.site.is_stopping()) {
                Err(outcome) if policy::is_turned_away(&outcome) && self.site.has_no_session() => outcome,
                result => return result,
            };
            match pauses.next() {
                Some(pause) if !self.site.is_stopping() => self.opener.halt.pause(Duration::from_millis(pause)),
                _ => return Err(refused),
            }
        }
    }

    /// A connection begins with the settings that are in force when it is made.
    fn prepare(&mut self) {
        self.regime = self.site.regime();
        self.opener.settings = self.site.settings();
        self.opener.manners = self.site.manners(self.number);
    }

    /// Gives up the connection, or the attempt at one, in the site's account.
    fn step_down(&mut self) {
        self.bells.clear();
        self.opener.gauge.clear();
        self.site.step_down(self.number);
    }

    /// One of the connections to this next hop and of those that all share; `None` when they are not to be waited for
    /// any longer.
    fn wait_for_permits(&self) -> Option<[Permit; 2]> {
        // Who waits for the narrow one holds nothing that other next hops need.
        let own = match self.site.own_connections.take() {
            Ok(permit) => permit,
            Err((_wanted, connections)) => {
                self.site.ask_for_way();
                self.wait_for_permit(connections, "max_connections")?
            }
        };
        Some([own, self.wait_for_permit(&self.site.connections, "[limits]")?])
    }

    fn wait_for_permit(&self, connections: &Arc<Budget>, limit: &str) -> Option<Permit> {
        let until = Instant::now() + CONNECTION_WAIT;
        while !self.site.is_stopping() {
            if let Some(permit) = connections.take(1, SLICE) {
                return Some(permit);
            }
            if Instant::now() >= until {
                warn!("{}: waiting: all connections that {limit} allows are open", self.site.next_hop);
                self.site.step_down(self.number);
                self.site.is_short_of_connections();
                return None;
            }
        }
        None
    }

    /// A server that ends one connection after another without answering a message is as good as down.
    fn judge(&mut self, fruitless: bool, answered: bool, reason: &CloseReason) {
        let blamed = self.blamed.take();
        let at_fault = blamed.is_some() || !matches!(reason, CloseReason::Quit(_) | CloseReason::Abandoned(_));
        if answered {
            self.site.was_fruitful();
        } else if fruitless && at_fault {
            let cause = self.last_cause.take().unwrap_or_else(|| Cause::Lost(reason.to_string()));
            self.site.was_fruitless(blamed, &policy::unsent(&cause));
        }
    }

    /// The message, unless other settings have come into force for it while it was taken: then it goes by those.
    fn up_to_date(&self, job: Job) -> Option<Job> {
        if !self.site.is_outdated(self.number, self.regime) {
            return Some(job);
        }
        match self.site.give_back(self.number, job) {
            Ok(entered) => start(&self.site, entered),
            Err((job, outcome)) => self.site.settle_unsent(job, &outcome),
        }
        None
    }

    fn settle_on(&mut self, job: Job, server: &str, level: Level) {
        let (over, place) = ((self.route(server, level), self.opener.gauge.tls()), job.place);
        let size = job.size();
        let (in_doubt, bell) = report::settle(job, Some(over), &self.site.statistics);
        bell.into_iter().for_each(|bell| bell.keep(&mut self.bells));
        self.opener.gauge.done(size, in_doubt);
        self.site.release(self.number, place);
    }

    /// How a message goes over the present connection; made once for all that go alike.
    fn route(&mut self, server: &str, level: Level) -> Arc<Route> {
        let level = level.name();
        match &self.route {
            Some(route) if route.level == level && route.server == server && route.dsn == self.offers_dsn => {
                Arc::clone(route)
            }
            _ => {
                let (server, lane) = (server.to_owned(), self.opener.lane.clone());
                Arc::clone(self.route.insert(Arc::new(Route { server, lane, level, dsn: self.offers_dsn })))
            }
        }
    }
}

impl Feed for Lane {
    type Token = Obligation;

    fn next(&mut self, vacancy: Vacancy<'_>) -> Option<Job> {
        let (job, entered) = self.site.take(self.number, vacancy);
        start(&self.site, entered);
        job.and_then(|job| self.up_to_date(job))
    }

    fn waiting(&self) -> usize {
        self.site.waiting(self.number)
    }

    fn look_again_at(&self) -> Option<Instant> {
        self.site.look_again_at()
    }

    fn must_yield(&self) -> bool {
        self.site.must_yield(self.number)
    }

    fn settled(&mut self, job: Job, server: &str, level: Level) {
        self.settle_on(job, server, level);
    }

    fn put_off(&mut self, mut job: Job, by: &str, server: &str, level: Level) {
        job.leaves(&self.route(server, level));
        if job.token.is_cancelled() {
            self.site.release(self.number, job.place);
            return report::withdraw(job, &self.site.statistics);
        }
        let (place, size) = (job.place.take(), job.size());
        let (id, all) = (report::log_id(&job), job.envelope.recipients.len());
        info!("{id}: {} of {all} recipients are put off by {server}; asking another server", job.left());
        match self.site.hand_on(job, by) {
            Ok(()) => {
                self.opener.gauge.done(size, 0);
                self.site.release(self.number, place);
            }
            Err(mut job) => {
                job.give_up(&policy::no_server());
                job.place = place;
                self.settle_on(job, server, level);
            }
        }
    }

    fn unsent(&mut self, mut job: Job, server: &str, level: Level, retry: Retry) {
        job.leaves(&self.route(server, level));
        if job.token.is_void() || retry.cause == Cause::Cancelled {
            self.site.release(self.number, job.place);
            return report::withdraw(job, &self.site.statistics);
        }
        if retry.counts {
            job.attempts += 1;
            self.blamed = job.place;
        }
        let outcome = policy::unsent(&retry.cause);
        self.last_cause = Some(retry.cause);
        if job.attempts > self.opener.settings.redispatches || job.is_unwelcome() {
            job.give_up(&outcome);
            return self.settle_on(job, server, level);
        }
        match self.site.give_back(self.number, job) {
            Ok(entered) => {
                self.site.statistics.redispatched.fetch_add(1, Ordering::Relaxed);
                start(&self.site, entered);
            }
            Err((mut job, _)) => {
                job.give_up(&outcome);
                self.settle_on(job, server, level);
            }
        }
    }

    fn waits(&mut self) {
        self.bells.clear();
    }

    fn offered(&mut self, offered: &Extensions, server: &str) {
        self.offers_dsn = offered.dsn;
        self.site.connected(self.number, offered, server);
    }

    fn is_stopping(&self) -> bool {
        let site = &self.site;
        site.is_dismissed(self.number) || site.is_outdated(self.number, self.regime) || site.gives_way(self.number)
    }

    fn must_end_by(&self) -> Option<Instant> {
        self.site.must_end_by()
    }
}
