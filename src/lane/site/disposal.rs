//! What becomes of messages that no lane sends: each is reported on, outside the lock.

use super::Site;
use crate::lane::{Job, report};
use crate::mail::Outcome;
use std::time::Instant;

impl Site {
    /// When the first of those messages is over that may not wait for ever.
    pub fn next_void(&self) -> Option<Instant> {
        self.state.lock().queue.next_void()
    }

    /// Disposes of all messages that wait and are over, which gives their room back.
    pub fn dispose_of_void(&self) {
        let gone = self.state.lock().queue.take_void();
        gone.into_iter().for_each(|job| report::withdraw(job, &self.statistics));
    }

    /// Reports every recipient that is left with this outcome.
    pub(super) fn settle_all(&self, jobs: Vec<Job>, outcome: &Outcome) {
        jobs.into_iter().for_each(|job| self.settle_unsent(job, outcome));
    }

    /// Reports a message that is not to be tried (again) with this outcome for the recipients that are left.
    pub fn settle_unsent(&self, mut job: Job, outcome: &Outcome) {
        job.give_up(outcome);
        report::settle(job, None, &self.statistics);
    }
}
