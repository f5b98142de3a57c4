//! The messages of one channel that no lane has taken yet.
//!
//! Late binding: a message stays here until a lane can put it on the wire at once. First come, first served; a
//! message that comes back from a lost connection goes to the place it had. Sorting by size is to come here, and only here.
//!
//! **Suspects.** A message that was charged with the end of two connections may be what the server dies of. It is
//! tried again alone, so that others do not share its fate: only on a connection with nothing in flight, and, while
//! others wait, only on one where the server has answered before. A lane that could take it lets its window run empty
//! for it, so that it is not passed over for ever.

use super::Job;
use crate::conn::{Token, Vacancy};
use std::collections::VecDeque;

/// Waiting messages, oldest first.
#[derive(Debug, Default)]
pub struct Queue {
    jobs: VecDeque<Job>,
    next_place: u64,
}

impl Queue {
    /// Adds a new message, or gives one back.
    pub fn put(&mut self, mut job: Job) {
        let place = *job.place.get_or_insert(self.next_place);
        self.next_place = self.next_place.max(place + 1);
        let index = self.jobs.partition_point(|other| other.place < Some(place));
        self.jobs.insert(index, job);
    }

    /// Takes the next message that there is room for. A message that nobody waits for any more is handed out in
    /// any case, to be disposed of.
    pub fn take(&mut self, vacancy: Vacancy<'_>) -> Option<Job> {
        let front = self.jobs.front()?;
        if front.token.is_cancelled() {
            return self.jobs.pop_front();
        }
        let index = self.choose(front.is_suspect(), vacancy)?;
        if (vacancy.fits)(self.jobs.get(index)?.size()) { self.jobs.remove(index) } else { None }
    }

    /// Which message is next, the front being a suspect or not.
    fn choose(&self, suspect: bool, vacancy: Vacancy<'_>) -> Option<usize> {
        if !suspect || (vacancy.is_empty && vacancy.is_proven) {
            return Some(0);
        }
        if vacancy.is_proven {
            return None;
        }
        let fresh = self.jobs.iter().position(|job| !job.is_suspect());
        fresh.or(vacancy.is_empty.then_some(0))
    }

    /// Takes the messages that nobody waits for any more.
    pub fn take_withdrawn(&mut self) -> Vec<Job> {
        let (gone, wanted): (VecDeque<Job>, VecDeque<Job>) =
            self.jobs.drain(..).partition(|job| job.token.is_cancelled());
        self.jobs = wanted;
        gone.into()
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
    use std::time::Instant;

    fn job(size: usize) -> (Job, Inbox) {
        let recipients = vec![Address::parse("a@x").expect("an address")];
        let message = Message {
            queue_id: None,
            next_hop: "mx.test".parse().expect("a next hop"),
            envelope: Envelope::new(Address::null(), recipients),
            content: Some(Content::from_bytes(&vec![b'x'; size - 2]).expect("content")),
        };
        let (ticket, inbox) = Ticket::issue(1);
        (Job::new(message, Obligation { ticket, room: Vec::new() }, Instant::now()), inbox)
    }

    /// A queue with messages of these sizes, which nobody has given up.
    fn queue(sizes: &[usize]) -> (Queue, Vec<Inbox>) {
        let mut queue = Queue::default();
        let inboxes = sizes.iter().map(|size| {
            let (job, inbox) = job(*size);
            queue.put(job);
            inbox
        });
        let inboxes = inboxes.collect();
        (queue, inboxes)
    }

    fn vacancy(is_empty: bool, is_proven: bool) -> Vacancy<'static> {
        Vacancy { fits: &|_| true, is_empty, is_proven }
    }

    fn sizes(queue: &mut Queue) -> Vec<u64> {
        queue.take_all().iter().map(Job::size).collect()
    }

    #[test]
    fn a_message_that_comes_back_has_its_old_place() {
        let (mut queue, _inboxes) = queue(&[10, 20, 30]);
        let first = queue.take(vacancy(true, false)).expect("the oldest");
        let second = queue.take(vacancy(false, false)).expect("the next");
        queue.put(second);
        queue.put(first);
        let (new, _inbox) = job(40);
        queue.put(new);
        assert_eq!(sizes(&mut queue), [10, 20, 30, 40]);
    }

    #[test]
    fn nothing_is_taken_without_room_and_the_abandoned_are_handed_out_all_the_same() {
        let (mut queue, mut inboxes) = queue(&[10, 20]);
        inboxes.remove(0);
        let full = Vacancy { fits: &|size| size < 20, is_empty: false, is_proven: true };
        assert!(queue.take(full).expect("abandoned").token.is_cancelled());
        assert!(queue.take(full).is_none());
        assert_eq!(queue.len(), 1);
        assert_eq!(queue.take(vacancy(false, true)).expect("room").size(), 20);
    }

    #[test]
    fn the_abandoned_are_found_wherever_they_stand() {
        let (mut queue, mut inboxes) = queue(&[10, 20, 30, 40]);
        drop((inboxes.remove(3), inboxes.remove(1)));
        let gone: Vec<u64> = queue.take_withdrawn().iter().map(Job::size).collect();
        assert_eq!((gone, sizes(&mut queue)), (vec![20, 40], vec![10, 30]));
    }

    #[test]
    fn a_suspect_waits_for_a_connection_that_is_proven_and_empty() {
        let (mut queue, _inboxes) = queue(&[10, 20]);
        let mut suspect = queue.take(vacancy(true, false)).expect("the oldest");
        suspect.attempts = 2;
        queue.put(suspect);
        assert!(queue.take(vacancy(false, true)).is_none(), "the window runs empty for it");
        assert_eq!(queue.take(vacancy(true, true)).expect("proven and empty").size(), 10);
    }

    #[test]
    fn a_new_connection_begins_with_another_message_if_there_is_one() {
        let (mut queue, _inboxes) = queue(&[10, 20]);
        let mut suspect = queue.take(vacancy(true, false)).expect("the oldest");
        suspect.attempts = 2;
        queue.put(suspect);
        assert_eq!(queue.take(vacancy(true, false)).expect("the innocent one").size(), 20);
        assert!(queue.take(vacancy(false, false)).is_none(), "the suspect goes alone");
        assert_eq!(queue.take(vacancy(true, false)).expect("no other waits").size(), 10);
    }
}
