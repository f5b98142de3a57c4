//! A lane's thread: connect when there is work, carry it, connect again or rest.
//!
//! A panic ends the connection, not the lane and not the process: what was aboard is reported as deferred by its
//! tickets, and the lane goes on with what waits.

use super::report::{Route, settle};
use super::{Job, Obligation, Site};
use crate::config::Level;
use crate::conn::{Connection, Feed, OpenError, Opener, Retry, policy};
use crate::mail::Outcome;
use crate::net::{Interest, Wake, Watch, poll};
use crate::smtp::{Cause, CloseReason, Extensions};
use log::{debug, error, warn};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Connections in a row that a server may end before it has taken a message, until the site is in trouble.
const FRUITLESS: u32 = 3;
/// How long a lane waits for one of the connections that all next hops share.
const CONNECTION_WAIT: Duration = Duration::from_secs(30);

/// One lane.
struct Lane {
    site: Arc<Site>,
    number: usize,
    opener: Opener,
    fruitless: u32,
    last_cause: Option<Cause>,
    /// It has a session ready, and the site counts it.
    ready: bool,
}

/// Starts a lane's thread; `None` when the system has no thread or descriptor left.
pub fn start(site: &Arc<Site>, number: usize) -> Option<(Wake, JoinHandle<()>)> {
    let wake = Wake::new().inspect_err(|e| error!("{}: no lane can be started: {e}", site.next_hop)).ok()?;
    let opener = Opener {
        next_hop: site.next_hop.clone(),
        settings: Arc::clone(&site.settings),
        ledger: Arc::clone(&site.ledger),
        lane: format!("lane {number}"),
        wake: wake.clone(),
    };
    let mut lane = Lane { site: Arc::clone(site), number, opener, fruitless: 0, last_cause: None, ready: false };
    let body = move || {
        while catch_unwind(AssertUnwindSafe(|| lane.run())).is_err() {
            error!("{}: lane {} has panicked; what it carried is deferred", lane.site.next_hop, lane.number);
            lane.disconnected();
        }
    };
    let thread = std::thread::Builder::new().name(format!("lane {number}")).spawn(body);
    let thread = thread.inspect_err(|e| error!("{}: no lane can be started: {e}", site.next_hop)).ok()?;
    Some((wake, thread))
}

impl Lane {
    fn run(&mut self) {
        loop {
            if self.site.is_stopping() {
                self.site.retire_lane(self.number, true);
                return;
            }
            if self.site.has_work() {
                self.serve();
            } else if !self.rest() && self.site.retire_lane(self.number, false) {
                return;
            }
        }
    }

    /// Waits for work without a connection; `false` when none came.
    fn rest(&self) -> bool {
        let until = Instant::now() + self.site.settings.timeouts.idle;
        let woken = poll(&mut [Watch::new(self.opener.wake.fd(), Interest::Read)], Some(until));
        self.opener.wake.clear();
        matches!(woken, Ok(n) if n > 0)
    }

    /// One connection, from dialling to its end.
    fn serve(&mut self) {
        let Some(_permit) = self.site.connections.take(1, CONNECTION_WAIT) else {
            warn!("{}: waiting: all connections that [limits] allows are open", self.site.next_hop);
            return;
        };
        let mut connection = match self.connect() {
            Ok(connection) => connection,
            Err(outcome) => {
                warn!("{}: lane {}: {}", self.site.next_hop, self.number, outcome.text);
                return self.site.failed(&outcome);
            }
        };
        self.site.statistics.connections.fetch_add(1, Ordering::Relaxed);
        let reason = connection.run(self);
        self.disconnected();
        let accepted = connection.accepted();
        connection.close(&reason);
        self.judge(accepted, &reason);
    }

    fn disconnected(&mut self) {
        if std::mem::take(&mut self.ready) {
            self.site.connected(None);
        }
    }

    /// Tries the addresses of the next hop until one gives a session.
    fn connect(&self) -> Result<Connection<Obligation>, Outcome> {
        let mut refused: Vec<SocketAddr> = Vec::new();
        let mut last: Option<Outcome> = None;
        loop {
            match Connection::open(&self.opener, &refused, &|| self.site.must_end_by()) {
                Ok(connection) => return Ok(connection),
                Err((OpenError::Dial(error), None)) => {
                    // With every address tried, what the last server said is the better reason.
                    return Err(last.unwrap_or_else(|| policy::unopened(&OpenError::Dial(error))));
                }
                Err((error, address)) => {
                    debug!("{}: lane {}: {error}", self.site.next_hop, self.number);
                    let mut outcome = policy::unopened(&error);
                    outcome.text = error.to_string();
                    last = Some(outcome);
                    match address {
                        Some(address) if !refused.contains(&address) && !self.site.is_stopping() => {
                            refused.push(address)
                        }
                        _ => return Err(last.unwrap_or_else(|| policy::unopened(&error))),
                    }
                }
            }
        }
    }

    /// A server that ends one connection after another without taking a message is as good as down.
    fn judge(&mut self, accepted: u64, reason: &CloseReason) {
        let at_fault = !matches!(reason, CloseReason::Quit(_) | CloseReason::Abandoned(_));
        self.fruitless = if accepted == 0 && at_fault { self.fruitless + 1 } else { 0 };
        if self.fruitless >= FRUITLESS {
            self.fruitless = 0;
            let cause = self.last_cause.take().unwrap_or_else(|| Cause::Lost(reason.to_string()));
            self.site.failed(&policy::unsent(&cause));
        }
    }

    fn settle_on(&self, job: Job, server: &str, level: Level) {
        let route = Route { lane: &self.opener.lane, server, level, statistics: &self.site.statistics };
        settle(job, Some(route));
    }
}

impl Feed for Lane {
    type Token = Obligation;

    fn next(&mut self, has_room: &dyn Fn(u64) -> bool) -> Option<Job> {
        self.site.take(has_room)
    }

    fn waiting(&self) -> usize {
        self.site.waiting()
    }

    fn settled(&mut self, job: Job, server: &str, level: Level) {
        self.settle_on(job, server, level);
    }

    fn unsent(&mut self, mut job: Job, server: &str, retry: Retry) {
        if matches!(retry.cause, Cause::Cancelled) || job.token.ticket.is_cancelled() {
            debug!("{}: withdrawn by the caller", job.queue_id.as_deref().unwrap_or("-"));
            return;
        }
        job.attempts += u32::from(retry.counts);
        self.last_cause = Some(retry.cause.clone());
        if job.attempts > self.site.settings.redispatches || self.site.is_stopping() {
            job.give_up(&policy::unsent(&retry.cause));
            return self.settle_on(job, server, Level::Lockstep);
        }
        self.site.statistics.redispatched.fetch_add(1, Ordering::Relaxed);
        self.site.give_back(job);
    }

    fn offered(&mut self, offered: &Extensions, server: &str) {
        self.site.connected(Some((offered, server)));
        self.ready = true;
    }

    fn is_stopping(&self) -> bool {
        self.site.is_stopping()
    }

    fn must_end_by(&self) -> Option<Instant> {
        self.site.must_end_by()
    }
}
