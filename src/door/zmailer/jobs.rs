//! All jobs that are in hand, and which is next. Nothing here opens a file or waits for the network.
//!
//! A job is a control file and a host; one that is in hand and comes again is the same one. Hosts take turns, each with
//! its jobs in the order in which they came. A job that finds no room in the engine waits, and its host with it, until
//! something ends; never when nothing is on its way that could end. Bounded are the jobs in hand ([`Jobs::take`] waits)
//! and those with open files ([`Jobs::next`] begins no more).

use super::line::JobPath;
use crate::sync::{Condvar, Mutex, MutexGuard};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

/// A job's name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// Its control file.
    pub path: JobPath,
    /// Its host, in lower case as the scheduler has it.
    pub host: Arc<str>,
}

/// A job that is to be begun, or the rest of one.
#[derive(Debug, Clone)]
pub(super) struct Turn {
    /// Which.
    pub key: Key,
    /// Recipients before this offset were tried in this job already: whatever became of them, it is the scheduler that
    /// has them tried again.
    pub from: usize,
    /// What [`State::freed`] was when it was given out.
    freed: u64,
}

/// What a worker is to do.
#[derive(Debug)]
pub(super) enum Task<T> {
    /// Begin this job.
    Begin(Turn),
    /// This has come to its end.
    Finish(T),
}

/// How it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closing {
    /// All that is in hand is still done.
    Finish,
    /// Only what was begun.
    GiveUp,
}

#[derive(Debug)]
pub(super) struct Jobs<T> {
    most: usize,
    most_open: usize,
    state: Mutex<State<T>>,
    news: Condvar,
}

#[derive(Debug)]
struct State<T> {
    in_hand: HashSet<Key>,
    begun: HashSet<Key>,
    hosts: HashMap<Arc<str>, Host>,
    ready: VecDeque<Arc<str>>,
    /// Hosts that wait for room, in the order in which they began to.
    lacking: VecDeque<Arc<str>>,
    finished: VecDeque<T>,
    /// How often something ended that may have made room.
    freed: u64,
    closing: Option<Closing>,
}

#[derive(Debug, Default)]
struct Host {
    /// Jobs, and the offset that each begins from.
    waiting: VecDeque<(Key, usize)>,
    is_ready: bool,
    lacks_room: bool,
}

impl<T> Jobs<T> {
    /// Room for so many jobs, so many of them with open files.
    pub fn new(most: usize, most_open: usize) -> Jobs<T> {
        let state = State {
            in_hand: HashSet::new(),
            begun: HashSet::new(),
            hosts: HashMap::new(),
            ready: VecDeque::new(),
            lacking: VecDeque::new(),
            finished: VecDeque::new(),
            freed: 0,
            closing: None,
        };
        Jobs { most, most_open: most_open.max(1), state: Mutex::new(state), news: Condvar::new() }
    }

    /// Whether this job is in hand.
    pub fn has(&self, key: &Key) -> bool {
        self.state.lock().in_hand.contains(key)
    }

    /// Takes a job, unless it is in hand or all is ending. Waits while there are too many.
    pub fn take(&self, key: Key) {
        let mut state = self.state.lock();
        while state.in_hand.len() >= self.most && state.closing.is_none() {
            self.news.wait(&mut state);
        }
        if state.closing.is_none() && state.in_hand.insert(key.clone()) {
            state.host(&key.host).waiting.push_back((key.clone(), 0));
            state.make_ready(&key.host);
            self.news.notify_all();
        }
    }

    /// The next task; `None` when all is over. Waits for it.
    pub fn next(&self) -> Option<Task<T>> {
        let mut state = self.state.lock();
        loop {
            if let Some(finished) = state.finished.pop_front() {
                return Some(Task::Finish(finished));
            }
            if state.begun.len() < self.most_open
                && let Some((key, from)) = state.next_job()
            {
                state.begun.insert(key.clone());
                return Some(Task::Begin(Turn { key, from, freed: state.freed }));
            }
            if state.closing.is_some() && state.in_hand.is_empty() {
                return None;
            }
            self.news.wait(&mut state);
        }
    }

    /// A job that was begun found no room.
    pub fn lacks_room(&self, turn: Turn) {
        let mut state = self.state.lock();
        state.begun.remove(&turn.key);
        if state.closing == Some(Closing::GiveUp) {
            state.in_hand.remove(&turn.key);
        } else {
            let host = Arc::clone(&turn.key.host);
            state.host(&host).waiting.push_front((turn.key, turn.from));
            // Only an end wakes it up: one must be to come, and none have come since it looked.
            match state.freed == turn.freed && !state.begun.is_empty() {
                true => state.park(host),
                false => state.make_ready(&host),
            }
        }
        self.news.notify_all();
    }

    /// A job that was begun found room, so there may be some for another host.
    pub fn found_room(&self) {
        self.state.lock().wake_first();
        self.news.notify_all();
    }

    /// Something of a job that was begun for this host has come to its end, and a worker is to see to it.
    pub fn finish(&self, host: &Arc<str>, finished: T) {
        let mut state = self.state.lock();
        state.finished.push_back(finished);
        self.made_room(&mut state, host);
    }

    /// A job that was begun is over.
    pub fn done(&self, key: &Key) {
        let mut state = self.state.lock();
        state.begun.remove(key);
        state.in_hand.remove(key);
        self.made_room(&mut state, &key.host);
    }

    /// A job that was begun has more to do, and begins again at this offset.
    pub fn again(&self, key: &Key, from: usize) {
        let mut state = self.state.lock();
        state.begun.remove(key);
        if state.closing == Some(Closing::GiveUp) {
            state.in_hand.remove(key);
        } else {
            state.host(&key.host).waiting.push_front((key.clone(), from));
            state.make_ready(&key.host);
        }
        self.made_room(&mut state, &key.host);
    }

    /// No job is taken any more.
    pub fn close(&self, closing: Closing) {
        let mut state = self.state.lock();
        if state.closing != Some(Closing::GiveUp) {
            state.closing = Some(closing);
        }
        if closing == Closing::GiveUp {
            let hosts = std::mem::take(&mut state.hosts);
            for (key, _) in hosts.values().flat_map(|host| &host.waiting) {
                state.in_hand.remove(key);
            }
            state.ready.clear();
            state.lacking.clear();
        }
        self.news.notify_all();
    }

    /// Something of this host has ended. It may look for room again, and so may the one that has waited longest: not
    /// all of them, since each reads its control file for that.
    fn made_room(&self, state: &mut MutexGuard<'_, State<T>>, host: &Arc<str>) {
        state.freed += 1;
        state.wake_first();
        state.wake(host);
        self.news.notify_all();
    }
}

impl<T> State<T> {
    fn host(&mut self, name: &Arc<str>) -> &mut Host {
        self.hosts.entry(Arc::clone(name)).or_default()
    }

    fn make_ready(&mut self, name: &Arc<str>) {
        let host = self.host(name);
        if !host.lacks_room && !std::mem::replace(&mut host.is_ready, true) {
            self.ready.push_back(Arc::clone(name));
        }
    }

    /// The host's jobs wait until it is woken.
    fn park(&mut self, name: Arc<str>) {
        if !std::mem::replace(&mut self.host(&name).lacks_room, true) {
            self.lacking.push_back(name);
        }
    }

    /// The host may look for room again, if it waits for some.
    fn wake(&mut self, name: &Arc<str>) {
        if let Some(at) = self.lacking.iter().position(|lacking| lacking == name) {
            self.lacking.remove(at);
            self.host(name).lacks_room = false;
            self.make_ready(name);
        }
    }

    fn wake_first(&mut self) {
        if let Some(name) = self.lacking.front().map(Arc::clone) {
            self.wake(&name);
        }
    }

    /// The first job of the host whose turn it is, and where it begins; the host goes to the end of the line.
    fn next_job(&mut self) -> Option<(Key, usize)> {
        while let Some(name) = self.ready.pop_front() {
            let Some(host) = self.hosts.get_mut(&name) else { continue };
            host.is_ready = false;
            if host.lacks_room {
                continue;
            }
            let job = host.waiting.pop_front();
            match host.waiting.is_empty() {
                true => drop(self.hosts.remove(&name)),
                false => self.make_ready(&name),
            }
            if job.is_some() {
                return job;
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(path: &str, host: &str) -> Key {
        Key { path: JobPath::parse(path).expect("a path"), host: host.into() }
    }

    fn take(jobs: &Jobs<u8>, paths: &[&str]) {
        paths.iter().for_each(|path| jobs.take(key(path, "a")));
    }

    fn turn(jobs: &Jobs<u8>) -> Turn {
        match jobs.next() {
            Some(Task::Begin(turn)) => turn,
            other => panic!("{other:?}"),
        }
    }

    fn named(turn: &Turn) -> String {
        format!("{} {}", turn.key.path.as_str(), turn.key.host)
    }

    fn begin(jobs: &Jobs<u8>) -> String {
        named(&turn(jobs))
    }

    #[test]
    fn hosts_take_turns_and_a_job_in_hand_is_not_taken_again() {
        let jobs = Jobs::new(100, 100);
        for (path, host) in [("1", "a"), ("2", "a"), ("1", "a"), ("3", "a"), ("1", "b")] {
            jobs.take(key(path, host));
        }
        let order: Vec<String> = (0..4).map(|_| begin(&jobs)).collect();
        assert_eq!(order, ["1 a", "1 b", "2 a", "3 a"]);
        jobs.done(&key("1", "a"));
        assert!(!jobs.has(&key("1", "a")) && jobs.has(&key("1", "b")));
        jobs.take(key("1", "a"));
        assert_eq!(begin(&jobs), "1 a");
    }

    #[test]
    fn a_host_without_room_waits_for_an_end_and_keeps_its_order() {
        let jobs = Jobs::new(100, 100);
        take(&jobs, &["1", "2", "3"]);
        jobs.take(key("4", "b"));
        assert_eq!(begin(&jobs), "1 a");
        assert_eq!(begin(&jobs), "4 b");
        let second = turn(&jobs);
        assert_eq!(named(&second), "2 a");
        jobs.lacks_room(second);
        jobs.close(Closing::Finish);
        jobs.finish(&"a".into(), 7);
        assert!(matches!(jobs.next(), Some(Task::Finish(7))), "ends go before beginnings");
        let second = turn(&jobs);
        assert_eq!(named(&second), "2 a");
        jobs.done(&key("1", "a"));
        jobs.lacks_room(second);
        assert_eq!(begin(&jobs), "2 a", "something ended while it looked for room");
        jobs.done(&key("2", "a"));
        assert_eq!(begin(&jobs), "3 a");
        jobs.done(&key("3", "a"));
        jobs.done(&key("4", "b"));
        assert!(jobs.next().is_none());
    }

    #[test]
    fn a_host_does_not_wait_for_an_end_that_cannot_come() {
        let jobs = Jobs::<u8>::new(100, 100);
        take(&jobs, &["1"]);
        let first = turn(&jobs);
        jobs.lacks_room(first);
        assert_eq!(begin(&jobs), "1 a", "nothing else is on its way");
    }

    #[test]
    fn an_end_wakes_its_own_host_and_the_one_that_has_waited_longest() {
        let jobs = Jobs::<u8>::new(100, 100);
        jobs.take(key("1", "busy"));
        jobs.take(key("2", "busy"));
        assert_eq!(begin(&jobs), "1 busy");
        let own = turn(&jobs);
        let hosts = ["a", "b", "c"];
        hosts.iter().for_each(|host| jobs.take(key("9", host)));
        let others: Vec<Turn> = hosts.iter().map(|_| turn(&jobs)).collect();
        others.into_iter().for_each(|turn| jobs.lacks_room(turn));
        jobs.lacks_room(own);
        jobs.done(&key("1", "busy"));
        let first = turn(&jobs);
        assert_eq!((named(&first), begin(&jobs)), ("9 a".into(), "2 busy".into()));
        assert!(jobs.state.lock().ready.is_empty(), "the others go on waiting");
        jobs.found_room();
        assert_eq!(begin(&jobs), "9 b");
        jobs.lacks_room(first);
        jobs.done(&key("2", "busy"));
        assert_eq!(begin(&jobs), "9 c", "who has waited longest");
        jobs.done(&key("9", "b"));
        assert_eq!(begin(&jobs), "9 a");
    }

    #[test]
    fn open_files_are_bounded() {
        let jobs = Jobs::<u8>::new(100, 1);
        take(&jobs, &["1", "2"]);
        assert_eq!(begin(&jobs), "1 a");
        std::thread::scope(|scope| {
            let second = scope.spawn(|| begin(&jobs));
            jobs.done(&key("1", "a"));
            assert_eq!(second.join().expect("ends"), "2 a");
        });
    }

    #[test]
    fn jobs_in_hand_are_bounded_and_an_end_lets_the_reader_go() {
        let jobs = Jobs::<u8>::new(1, 100);
        jobs.take(key("1", "a"));
        assert_eq!(begin(&jobs), "1 a");
        std::thread::scope(|scope| {
            scope.spawn(|| jobs.take(key("2", "a")));
            jobs.done(&key("1", "a"));
            assert_eq!(begin(&jobs), "2 a");
            scope.spawn(|| jobs.take(key("3", "a")));
            jobs.close(Closing::GiveUp);
        });
        assert!(!jobs.has(&key("3", "a")));
    }

    #[test]
    fn what_was_not_begun_can_be_given_up() {
        let jobs = Jobs::<u8>::new(100, 100);
        take(&jobs, &["1", "2", "3"]);
        assert_eq!(begin(&jobs), "1 a");
        let second = turn(&jobs);
        jobs.close(Closing::GiveUp);
        jobs.lacks_room(second);
        jobs.again(&key("1", "a"), 7);
        assert!(jobs.next().is_none());
    }

    #[test]
    fn a_job_with_more_to_do_begins_again_where_it_stopped() {
        let jobs = Jobs::<u8>::new(100, 100);
        take(&jobs, &["1", "2"]);
        let first = turn(&jobs);
        assert_eq!((named(&first), first.from), ("1 a".into(), 0));
        jobs.again(&first.key, 512);
        assert!(jobs.has(&first.key));
        let rest = turn(&jobs);
        assert_eq!((named(&rest), rest.from), ("1 a".into(), 512));
        assert_eq!(begin(&jobs), "2 a");
        jobs.lacks_room(rest);
        jobs.done(&key("2", "a"));
        assert_eq!(turn(&jobs).from, 512, "also where it found no room");
    }
}
