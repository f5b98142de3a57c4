//! What the server does to a lane that serves: it answers, or the connection is lost.

use super::*;

impl World {
    /// The server answers a message on this lane.
    pub fn answer(&mut self, number: usize, which: usize) {
        let Some(Lane { thread: Thread::Serving { aboard, answered, woken }, .. }) = self.lanes.get_mut(&number) else {
            return;
        };
        if aboard.is_empty() {
            return;
        }
        let job = aboard.remove(which % aboard.len());
        *answered += 1;
        *woken = true;
        let place = job.place;
        self.deliver(job);
        self.site.release(number, place);
    }

    fn deliver(&self, mut job: Job) {
        let outcome = Outcome {
            verdict: Verdict::Delivered,
            status: EnhancedStatus::new(2, 0, 0),
            code: Some(250),
            text: String::new(),
        };
        job.give_up(&outcome);
        report::settle(job, None, &self.site.statistics);
    }

    /// A lane's connection is lost with all that it carries; the oldest is charged.
    pub fn lose(&mut self, number: usize) {
        let lane = self.lane(number);
        let Thread::Serving { aboard, answered, .. } = std::mem::replace(&mut lane.thread, Thread::Running) else {
            return;
        };
        let mut blamed = None;
        for (n, job) in aboard.into_iter().enumerate() {
            self.unsent(number, job, n == 0, &mut blamed);
        }
        self.site.step_down(number);
        if answered > 0 {
            self.site.was_fruitful();
        } else {
            self.site.was_fruitless(blamed, &refused());
        }
        self.step_down(number);
    }

    /// A lane gives one of its messages back, and its connection goes on.
    pub fn give_back(&mut self, number: usize, which: usize) {
        let Thread::Serving { aboard, woken, .. } = &mut self.lane(number).thread else { return };
        if !aboard.is_empty() {
            let job = aboard.remove(which % aboard.len());
            *woken = true;
            self.unsent(number, job, false, &mut None);
        }
    }

    fn unsent(&mut self, number: usize, mut job: Job, charged: bool, blamed: &mut Option<u64>) {
        if job.token.is_void() {
            self.site.release(number, job.place);
            return report::withdraw(job, &self.site.statistics);
        }
        if charged {
            job.attempts += 1;
            *blamed = job.place;
        }
        if job.attempts > self.redispatches {
            let place = job.place;
            self.site.settle_unsent(job, &refused());
            return self.site.release(number, place);
        }
        match self.site.give_back(number, job) {
            Ok(entered) => self.start(entered),
            Err((job, outcome)) => self.site.settle_unsent(job, &outcome),
        }
    }

    /// A lane panics with all that it carries: what was aboard is dropped.
    pub fn panic(&mut self, number: usize) {
        self.lane(number).thread = Thread::Running;
        self.step_down(number);
    }
}
