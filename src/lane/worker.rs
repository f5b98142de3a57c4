//! A lane's thread: connect when there is work, carry it, connect again or rest.
//!
//! A panic ends the connection, not the lane and not the process: what was aboard is reported by its
//! tickets, as deferred or, when it was sent whole, as in doubt, and the lane goes on with what waits.

use super::crew::Member;
use super::report::{self, Route};
use super::{Job, Obligation, Site};
use crate::config::Level;
use crate::conn::{Connection, Feed, Opener, Retry, Token, Vacancy, policy};
use crate::mail::Outcome;
use crate::net::{Interest, Watch, poll};
use crate::smtp::{Cause, CloseReason, Extensions};
use crate::sync::{Permit, after};
use log::{error, warn};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a lane waits for one of the connections that all next hops share until it says so.
const CONNECTION_WAIT: Duration = Duration::from_secs(30);
/// How often it looks, meanwhile, whether it is still wanted.
const SLICE: Duration = Duration::from_millis(250);

/// What a lane counts as at its site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Resting,
    Connecting,
    Connected,
}

/// One lane.
struct Lane {
    site: Arc<Site>,
    number: usize,
    opener: Opener,
    standing: Standing,
    /// The last message that was charged with the end of the present connection, and why.
    blamed: Option<u64>,
    last_cause: Option<Cause>,
}

/// Starts a lane's thread; `None` when the system has no thread left.
pub fn start(site: &Arc<Site>, member: Member) -> Option<JoinHandle<()>> {
    let number = member.number;
    let opener = Opener {
        next_hop: site.next_hop.clone(),
        settings: Arc::clone(&site.settings),
        ledger: Arc::clone(&site.ledger),
        lane: format!("lane {number}"),
        news: member.news,
        halt: member.halt,
    };
    let standing = Standing::Resting;
    let mut lane = Lane { site: Arc::clone(site), number, opener, standing, blamed: None, last_cause: None };
    let body = move || {
        while catch_unwind(AssertUnwindSafe(|| lane.run())).is_err() {
            lane.step_down();
            // The logger is foreign code and may be what has panicked: it must not end the lane.
            let say = || error!("{}: lane {number} has panicked; what it carried is reported", lane.site.next_hop);
            let _ = catch_unwind(AssertUnwindSafe(say));
        }
    };
    let thread = std::thread::Builder::new().name(format!("lane {number}")).spawn(body);
    thread.inspect_err(|e| error!("{}: no lane can be started: {e}", site.next_hop)).ok()
}

impl Lane {
    fn run(&mut self) {
        loop {
            if self.site.claim() {
                self.standing = Standing::Connecting;
                self.serve();
                self.step_down();
            } else if (self.site.is_stopping() || !self.rest()) && self.site.leave(self.number) {
                return;
            }
        }
    }

    /// Waits for work without a connection; `false` when none came.
    fn rest(&self) -> bool {
        let until = after(self.site.settings.timeouts.idle);
        let woken = poll(&mut [Watch::new(self.opener.news.fd(), Interest::Read)], Some(until));
        self.opener.news.clear();
        matches!(woken, Ok(n) if n > 0)
    }

    /// One connection, from dialling to its end.
    fn serve(&mut self) {
        let Some(_permit) = self.wait_for_permit() else { return };
        let mut connection = match self.connect() {
            Ok(connection) => connection,
            Err(_) if self.site.is_stopping() => return,
            Err(outcome) => {
                warn!("{}: lane {}: {}", self.site.next_hop, self.number, outcome.text);
                self.standing = Standing::Resting;
                return self.site.not_connected(Some(&outcome));
            }
        };
        self.site.statistics.connections.fetch_add(1, Ordering::Relaxed);
        (self.blamed, self.last_cause) = (None, None);
        let reason = connection.run(self);
        self.step_down();
        self.judge(connection.is_fruitless(self.site.waiting() > 0), connection.answered() > 0, &reason);
        connection.close(&reason);
    }

    /// Gives up the connection, or the attempt at one, in the site's account.
    fn step_down(&mut self) {
        match std::mem::replace(&mut self.standing, Standing::Resting) {
            Standing::Resting => {}
            Standing::Connecting => self.site.not_connected(None),
            Standing::Connected => self.site.disconnected(),
        }
    }

    /// One of the connections that all next hops share; `None` when it is not to be waited for any longer.
    fn wait_for_permit(&self) -> Option<Permit> {
        let until = Instant::now() + CONNECTION_WAIT;
        while !self.site.is_stopping() {
            if let Some(permit) = self.site.connections.take(1, SLICE) {
                return Some(permit);
            }
            if Instant::now() >= until {
                warn!("{}: waiting: all connections that [limits] allows are open", self.site.next_hop);
                return None;
            }
        }
        None
    }

    /// Tries the addresses of the next hop until one gives a session.
    fn connect(&self) -> Result<Connection<Obligation>, Outcome> {
        // Nothing is on the wire yet: a stop ends the attempt at once.
        let must_end_by = || self.site.is_stopping().then(Instant::now);
        let open = |refused: &[SocketAddr]| Connection::open(&self.opener, refused, &must_end_by);
        Opener::in_turn(open, || self.site.is_stopping())
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

    fn settle_on(&self, job: Job, server: &str, level: Level) {
        let route = Route { lane: &self.opener.lane, server, level };
        report::settle(job, Some(route), &self.site.statistics);
    }
}

impl Feed for Lane {
    type Token = Obligation;

    fn next(&mut self, vacancy: Vacancy<'_>) -> Option<Job> {
        self.site.take(vacancy)
    }

    fn waiting(&self) -> usize {
        self.site.waiting()
    }

    fn settled(&mut self, job: Job, server: &str, level: Level) {
        self.settle_on(job, server, level);
    }

    fn unsent(&mut self, mut job: Job, server: &str, level: Level, retry: Retry) {
        if job.token.is_cancelled() || retry.cause == Cause::Cancelled {
            return report::withdraw(job);
        }
        if retry.counts {
            job.attempts += 1;
            self.blamed = job.place;
        }
        let outcome = policy::unsent(&retry.cause);
        self.last_cause = Some(retry.cause);
        if job.attempts > self.site.settings.redispatches {
            job.give_up(&outcome);
            return self.settle_on(job, server, level);
        }
        match self.site.give_back(job) {
            Ok(()) => drop(self.site.statistics.redispatched.fetch_add(1, Ordering::Relaxed)),
            Err((mut job, _)) => {
                job.give_up(&outcome);
                self.settle_on(*job, server, level);
            }
        }
    }

    fn offered(&mut self, offered: &Extensions, server: &str) {
        self.standing = Standing::Connected;
        self.site.connected(offered, server);
    }

    fn is_stopping(&self) -> bool {
        self.site.is_stopping()
    }

    fn must_end_by(&self) -> Option<Instant> {
        self.site.must_end_by()
    }
}
