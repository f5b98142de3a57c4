//! The end of a message's way: the log line, the counts, the report.

use super::{Bell, Job, Statistics};
use crate::conn::Token;
use crate::mail::{EnhancedStatus, Outcome, Report, Route, Timings, Verdict};
use crate::net::tls::Agreed;
use log::{info, log_enabled, warn};
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Over which connection a message went, and how that is encrypted, if it is.
pub type Over = (Arc<Route>, Option<Agreed>);

/// Logs and reports a message whose recipients all have an outcome. This is where its ticket ends. Tells how many
/// recipients are in doubt, and leaves the bell of who waits for the report.
pub fn settle(mut job: Job, over: Option<Over>, statistics: &Statistics) -> (u64, Option<Bell>) {
    let now = Instant::now();
    let started = job.started.unwrap_or(now);
    let timings = Timings { queued: started - job.submitted, delivery: now - started };
    let outcomes = job.outcomes();
    let (earlier, left) = job.take_earlier();
    let (route, tls) = over.map_or((None, None), |(route, tls)| (Some(route), tls));
    // Where the last server was not reached, the one before it was the last.
    let report = Report { outcomes, route: route.or(left), earlier, timings };
    log_outcomes(&job, &report, tls);
    report.outcomes.iter().for_each(|outcome| statistics.count(outcome.verdict));
    let in_doubt = report.outcomes.iter().filter(|outcome| outcome.verdict == Verdict::InDoubt).count() as u64;
    if report.route.is_some() {
        statistics.messages.fetch_add(1, Ordering::Relaxed);
    }
    let obligation = job.into_token();
    // The room is free before the caller hears of it, so that one who waits for both finds both.
    drop(obligation.space);
    (in_doubt, obligation.ticket.settle(report))
}

/// Disposes of a message that nobody waits for any more, or whose time for further servers is over. Where servers have
/// answered for some of its recipients, that is reported all the same.
pub fn withdraw(mut job: Job, statistics: &Statistics) {
    let withdrawn = job.token.is_cancelled();
    let why = if withdrawn { "withdrawn by the caller" } else { "no further server has taken it in time" };
    info!("{}: next_hop={}, size={}, {why}", log_id(&job), job.next_hop, job.size());
    if job.was_answered() {
        job.give_up(&Outcome::deferred(EnhancedStatus::new(4, 3, 0), "withdrawn by the caller before it was sent"));
        settle(job, None, statistics);
    }
}

/// The caller's name for the message, safe to stand in a line.
pub fn log_id(job: &Job) -> Cow<'_, str> {
    plain(job.queue_id.as_deref().unwrap_or("-"))
}

/// The text, escaped if something in it is no part of a line (an address may hold a control character beyond ASCII).
fn plain(text: &str) -> Cow<'_, str> {
    if text.contains(char::is_control) { text.escape_debug().to_string().into() } else { text.into() }
}

fn log_outcomes(job: &Job, report: &Report, tls: Option<Agreed>) {
    // Without a log, as in most programs that have the engine in them, nothing is made up for it.
    if !log_enabled!(log::Level::Warn) {
        return;
    }
    let (id, outcomes, timings) = (log_id(job), &report.outcomes, report.timings);
    let (lane, server, level) = report
        .route
        .as_ref()
        .map_or(("-", "none", "-"), |route| (route.lane.as_str(), route.server.as_str(), route.level));
    let tls = tls.map_or(String::new(), |agreed| format!(", tls=\"{agreed}\""));
    let delivered = outcomes.iter().filter(|o| o.is_delivered()).count();
    let seconds = |d: Duration| d.as_secs_f64();
    let priority = job.envelope.priority.map_or(String::new(), |priority| format!(", priority={priority}"));
    let said = outcomes.iter().find(|o| o.is_delivered()).or(outcomes.first());
    let said = said.map_or(String::new(), |o| format!("{} {}", o.status, o.text));
    info!(
        "{id}: next_hop={}, lane={lane}, server={server}, level={level}{tls}, size={}{priority}, delivered={delivered}/{}, delays={:.2}/{:.2}, said={said}",
        job.next_hop,
        job.size(),
        outcomes.len(),
        seconds(timings.queued),
        seconds(timings.delivery),
    );
    let all = job.envelope.recipients.iter().zip(outcomes).enumerate();
    for (index, (recipient, outcome)) in all.filter(|(_, (_, outcome))| !outcome.is_delivered()) {
        let server = report.route_of(index).map_or("none", |route| route.server.as_str());
        let verdict = match outcome.verdict {
            Verdict::Delivered => "delivered",
            Verdict::Deferred => "deferred",
            Verdict::Failed => "failed",
            Verdict::InDoubt => "in doubt",
        };
        let code = outcome.code.map(|code| format!("{code} ")).unwrap_or_default();
        warn!(
            "{id}: to=<{}>, server={server}, status={verdict}, {code}{} {}",
            plain(recipient.address.as_str()),
            outcome.status,
            outcome.text
        );
    }
}
