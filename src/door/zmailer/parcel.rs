//! A job that was begun, and its messages on their way: from a report of the engine to marks and reports.
//!
//! A [`Parcel`] has the locks of its recipients and so the duty to end them: settled with a report, or dropped, which
//! defers all of them. Marks and `d` lines are written first and told afterwards. When the last parcel of a job is gone
//! the job is over, or begins again behind the recipients that were tried: each is tried once in a job.

use super::agent::Agent;
use super::jobs::{Key, Turn};
use super::marks::Marks;
use super::recipient::Listed;
use super::report::{About, Deferral, Verdicts};
use super::verbose::Trace;
use crate::door::Delivery;
use crate::mail::{EnhancedStatus, NextHop, Outcome, Report, Verdict};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A job's turn. When this is gone, wherever and why ever, the turn is over.
#[derive(Debug)]
pub(super) struct Held<D: Delivery> {
    pub agent: Arc<Agent<D>>,
    /// `None` once it was given back.
    turn: Option<Turn>,
    /// Where the recipients begin that had no place in this turn.
    pub rest: Option<usize>,
}

/// A job that was begun.
#[derive(Debug)]
pub(super) struct Active<D: Delivery> {
    /// Ends the turn with the last message.
    pub held: Held<D>,
    pub key: Key,
    pub next_hop: NextHop,
    pub marks: Marks,
    /// The file that a trace for the user goes to.
    pub verbose: Option<Trace>,
}

/// Recipients of one message, all locked by this process.
#[derive(Debug)]
pub(super) struct Parcel<D: Delivery> {
    /// `None` once it is settled.
    job: Option<Arc<Active<D>>>,
    listed: Vec<Listed>,
}

impl<D: Delivery> Held<D> {
    pub fn new(agent: &Arc<Agent<D>>, turn: Turn) -> Held<D> {
        Held { agent: Arc::clone(agent), turn: Some(turn), rest: None }
    }

    /// The engine has no room: it comes again.
    pub fn lacks_room(mut self) {
        if let Some(turn) = self.turn.take() {
            self.agent.jobs.lacks_room(turn);
        }
    }
}

impl<D: Delivery> Drop for Held<D> {
    fn drop(&mut self) {
        match (self.turn.take(), self.rest) {
            (Some(turn), Some(rest)) => self.agent.jobs.again(&turn.key, rest),
            (Some(turn), None) => self.agent.jobs.done(&turn.key),
            (None, _) => {}
        }
    }
}

impl<D: Delivery> Parcel<D> {
    /// Nobody yet. It is there before the first lock, so that there is none without the duty to end it.
    pub fn new(job: &Arc<Active<D>>) -> Parcel<D> {
        Parcel { job: Some(Arc::clone(job)), listed: Vec::new() }
    }

    /// Locks a recipient and takes it in; whether that went well. Where the file cannot be written it is deferred,
    /// where somebody else has it, left alone.
    pub fn lock(&mut self, one: Listed) -> bool {
        let Some(job) = &self.job else { return false };
        let offset = one.offset;
        self.listed.push(one);
        let locked = job.marks.lock(offset);
        if matches!(locked, Ok(true)) {
            return true;
        }
        let one = self.listed.pop();
        if let (Err(error), Some(one)) = (locked, one) {
            let why = format!("the control file cannot be marked: {error}");
            job.held.agent.defer(&job.key, &[one], Outcome::deferred(EnhancedStatus::new(4, 3, 0), why));
        }
        false
    }

    /// How many recipients it has.
    pub fn len(&self) -> usize {
        self.listed.len()
    }

    /// Marks and tells what became of the recipients.
    pub fn settle(mut self, report: &Report) {
        self.end(report);
    }

    fn end(&mut self, report: &Report) {
        let Some(job) = self.job.take().filter(|_| !self.listed.is_empty()) else { return };
        let listed = &self.listed;
        let of_site = report.route.is_none() && job.held.agent.delivery.trouble(&job.next_hop).is_some();
        let mut verdicts = job.held.agent.verdicts(&job.key, of_site, listed, report);
        job.diagnose(listed, report, &mut verdicts);
        job.mark(listed, &verdicts);
        if let Some(trace) = &job.verbose {
            trace.tell(&job.held.agent.options.directory, listed, report);
        }
        let agent = Arc::clone(&job.held.agent);
        // Not in hand any more before it is told: the scheduler may feed it again at once.
        drop(job);
        agent.tell(&verdicts);
    }
}

impl<D: Delivery> Drop for Parcel<D> {
    fn drop(&mut self) {
        if self.job.is_some() {
            let given_up =
                Outcome::deferred(EnhancedStatus::new(4, 3, 0), "given up inside pipelane before it was sent");
            self.end(&Report::uniform(self.listed.len(), given_up));
        }
    }
}

impl<D: Delivery> Active<D> {
    /// Writes the `d` lines. Where they cannot be written, those who would have had one are told of without.
    fn diagnose(&self, listed: &[Listed], report: &Report, verdicts: &mut [Verdicts]) {
        let lines: String = verdicts.iter().filter_map(|verdict| verdict.diagnosis.as_deref()).collect();
        if lines.is_empty() {
            return;
        }
        let appended = {
            let _alone = self.held.agent.appends.lock();
            self.marks.append(lines.as_bytes())
        };
        let Err(error) = appended else { return };
        let (path, why) = (self.key.path.as_str(), error.to_string());
        self.held.agent.output.comment(&format!("{path}: the diagnostics cannot be written: {why}"));
        let about = self.held.agent.about(&self.key);
        let all = verdicts.iter_mut().zip(listed).enumerate();
        for (index, (verdict, listed)) in all.filter(|(_, (verdict, _))| verdict.diagnosis.is_some()) {
            *verdict = about.unrecorded(listed, report, index, &why);
        }
    }

    fn mark(&self, listed: &[Listed], verdicts: &[Verdicts]) {
        let mut errors = listed.iter().zip(verdicts).filter_map(|(listed, verdict)| {
            self.marks.mark(listed.offset, verdict.mark).err() // The report still tells the scheduler that is running.
        });
        if let Some(error) = errors.next() {
            let count = 1 + errors.count();
            let path = self.key.path.as_str();
            self.held.agent.output.comment(&format!("{path}: {count} recipients cannot be marked: {error}"));
        }
    }
}

impl<D: Delivery> Agent<D> {
    /// What becomes of recipients by this report; deferrals may be those of a site that cannot be reached.
    pub(super) fn verdicts(&self, key: &Key, of_site: bool, listed: &[Listed], report: &Report) -> Vec<Verdicts> {
        if report.outcomes.iter().any(Outcome::is_delivered) {
            self.outages.is_over(&key.host);
        }
        let about = self.about(key);
        let verdict = |(index, listed): (usize, &Listed)| {
            let is_deferred = report.outcomes.get(index).is_some_and(|outcome| outcome.verdict == Verdict::Deferred);
            let deferral = match of_site && is_deferred {
                false => Deferral::Own,
                true if self.outages.is_first(&key.host, Instant::now()) => Deferral::FirstOfAll,
                true => Deferral::OfAll,
            };
            about.verdict(listed, report, index, deferral)
        };
        listed.iter().enumerate().map(verdict).collect()
    }

    /// Tells that these were not tried. They have no marks.
    pub(super) fn defer(&self, key: &Key, listed: &[Listed], outcome: Outcome) {
        self.tell(&self.verdicts(key, false, listed, &Report::uniform(listed.len(), outcome)));
    }

    /// Tells the scheduler, in one write.
    pub(super) fn tell(&self, verdicts: &[Verdicts]) {
        let lines: String = verdicts.iter().map(|verdict| verdict.line.as_str()).collect();
        self.output.say(lines.as_bytes());
    }

    pub(super) fn about<'a>(&self, key: &'a Key) -> About<'a> {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        About { id: key.path.id(), host: &key.host, pid: self.pid, time }
    }
}
