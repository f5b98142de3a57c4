//! The messages of one channel that no lane has taken yet.
//!
//! Late binding: a message stays here until a lane can put it on the wire at once. First come, first served; a
//! message that comes back from a lost connection goes to the place it had. Sorting by size is to come here, and only here.

use super::Job;
use std::collections::VecDeque;

/// Waiting messages, oldest first.
#[derive(Debug, Default)]
pub struct Queue {
    jobs: VecDeque<Job>,
}

impl Queue {
    /// Adds a new message, or gives one back.
    pub fn put(&mut self, job: Job) {
        let place = self.jobs.partition_point(|other| other.submitted <= job.submitted);
        self.jobs.insert(place, job);
    }

    /// Takes the next message if `has_room` for its size. Messages that nobody waits for any more are dropped on the way.
    pub fn take(&mut self, has_room: &dyn Fn(u64) -> bool) -> Option<Job> {
        while self.jobs.front().is_some_and(|job| job.token.ticket.is_cancelled()) {
            self.jobs.pop_front();
        }
        if self.jobs.front().is_some_and(|job| has_room(job.size())) { self.jobs.pop_front() } else { None }
    }

    /// Takes all of them.
    pub fn take_all(&mut self) -> Vec<Job> {
        self.jobs.drain(..).collect()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lane::{Inbox, Obligation, Ticket};
    use crate::mail::{Address, Content, Envelope, Message};
    use std::time::{Duration, Instant};

    fn job(size: usize, submitted: Instant) -> (Job, Inbox) {
        let recipients = vec![Address::parse("a@x").expect("an address")];
        let message = Message {
            queue_id: None,
            next_hop: "mx.test".parse().expect("a next hop"),
            envelope: Envelope::new(Address::null(), recipients),
            content: Some(Content::from_bytes(&vec![b'x'; size - 2]).expect("content")),
        };
        let (ticket, inbox) = Ticket::issue(1);
        (Job::new(message, Obligation { ticket, room: Vec::new() }, submitted), inbox)
    }

    #[test]
    fn a_message_that_comes_back_has_its_old_place() {
        let (mut queue, start) = (Queue::default(), Instant::now());
        let mut inboxes = Vec::new();
        for n in [10, 20, 30] {
            let (job, inbox) = job(n, start + Duration::from_secs(n as u64));
            inboxes.push(inbox);
            queue.put(job);
        }
        let first = queue.take(&|_| true).expect("the oldest");
        assert_eq!(first.size(), 10);
        queue.put(first);
        let sizes: Vec<u64> = queue.take_all().iter().map(Job::size).collect();
        assert_eq!(sizes, [10, 20, 30]);
    }

    #[test]
    fn nothing_is_taken_without_room_and_the_abandoned_are_dropped() {
        let mut queue = Queue::default();
        let (gone, inbox) = job(10, Instant::now());
        let (here, _inbox) = job(20, Instant::now());
        queue.put(gone);
        queue.put(here);
        drop(inbox);
        assert!(queue.take(&|size| size < 20).is_none());
        assert_eq!(queue.len(), 1);
        assert_eq!(queue.take(&|size| size <= 20).expect("room").size(), 20);
    }
}
