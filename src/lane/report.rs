//! The end of a message's way: the log line, the counts, the report.

use super::{Job, Statistics};
use crate::config::Level;
use crate::mail::{Outcome, Report, Timings, Verdict};
use log::{info, warn};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Over which connection a message went.
#[derive(Debug, Clone, Copy)]
pub struct Route<'a> {
    /// The lane's name.
    pub lane: &'a str,
    /// `host[address]:port`
    pub server: &'a str,
    /// The level used.
    pub level: Level,
    /// The counts to add to.
    pub statistics: &'a Statistics,
}

/// Logs and reports a message whose recipients all have an outcome. This is where its ticket ends.
pub fn settle(mut job: Job, route: Option<Route<'_>>) {
    let now = Instant::now();
    let started = job.started.unwrap_or(now);
    let timings = Timings { queued: started - job.submitted, delivery: now - started };
    let outcomes = job.outcomes();
    log_outcomes(&job, &outcomes, route, timings);
    if let Some(route) = route {
        outcomes.iter().for_each(|outcome| route.statistics.count(outcome.verdict));
        route.statistics.messages.fetch_add(1, Ordering::Relaxed);
    }
    let report = Report {
        outcomes,
        server: route.map(|r| r.server.to_owned()),
        lane: route.map(|r| r.lane.to_owned()),
        level: route.map(|r| r.level.name()),
        timings,
    };
    let obligation = job.token;
    // The room is free before the caller hears of it, so that one who waits for both finds both.
    drop(obligation.room);
    obligation.ticket.settle(report);
}

fn log_outcomes(job: &Job, outcomes: &[Outcome], route: Option<Route<'_>>, timings: Timings) {
    let id = job.queue_id.as_deref().unwrap_or("-");
    let (lane, server) = route.map_or(("-", "none"), |r| (r.lane, r.server));
    let level = route.map_or("-", |r| r.level.name());
    let delivered = outcomes.iter().filter(|o| o.is_delivered()).count();
    let seconds = |d: Duration| d.as_secs_f64();
    let said = outcomes.iter().find(|o| o.is_delivered()).or(outcomes.first()).map_or("", |o| o.text.as_str());
    info!(
        "{id}: next_hop={}, lane={lane}, server={server}, level={level}, size={}, delivered={delivered}/{}, delays={:.2}/{:.2}, said={said}",
        job.next_hop,
        job.size(),
        outcomes.len(),
        seconds(timings.queued),
        seconds(timings.delivery),
    );
    for (recipient, outcome) in job.envelope.recipients.iter().zip(outcomes).filter(|(_, o)| !o.is_delivered()) {
        let verdict = match outcome.verdict {
            Verdict::Delivered => "delivered",
            Verdict::Deferred => "deferred",
            Verdict::Failed => "failed",
            Verdict::InDoubt => "in doubt",
        };
        let code = outcome.code.map(|code| format!("{code} ")).unwrap_or_default();
        warn!(
            "{id}: to=<{}>, server={server}, status={verdict}, {code}{} {}",
            recipient.address, outcome.status, outcome.text
        );
    }
}
