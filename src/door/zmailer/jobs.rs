//! All jobs that are in hand, and which is next. Nothing here opens a file or waits for the network.
//!
//! A job is a control file and a host; one that is in hand and comes again is the same one. Hosts take turns, each with
//! its jobs in the order in which they came. A job that finds no room in the engine waits, and its host with it, until
//! something ends. Bounded are the jobs in hand ([`Jobs::take`] waits) and those with open files ([`Jobs::next`] begins
//! no more).

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

/// What a worker is to do.
#[derive(Debug)]
pub(super) enum Task<T> {
    /// Begin this job. The number is for [`Jobs::lacks_room`].
    Begin(Key, u64),
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
    lacking: Vec<Arc<str>>,
    finished: VecDeque<T>,
    /// How often something ended that may have made room.
    freed: u64,
    closing: Option<Closing>,
}

#[derive(Debug, Default)]
struct Host {
    waiting: VecDeque<Key>,
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
            lacking: Vec::new(),
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
            state.host(&key.host).waiting.push_back(key.clone());
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
                && let Some(key) = state.next_job()
            {
                state.begun.insert(key.clone());
                return Some(Task::Begin(key, state.freed));
            }
            if state.closing.is_some() && state.in_hand.is_empty() {
                return None;
            }
            self.news.wait(&mut state);
        }
    }

    /// A job that was begun found no room, having got this number from [`Jobs::next`].
    pub fn lacks_room(&self, key: Key, freed: u64) {
        let mut state = self.state.lock();
        state.begun.remove(&key);
        if state.closing == Some(Closing::GiveUp) {
            state.in_hand.remove(&key);
        } else {
            let has_changed = state.freed != freed;
            let host = state.host(&key.host);
            host.waiting.push_front(key.clone());
            if has_changed {
                state.make_ready(&key.host);
            } else {
                host.lacks_room = true;
                state.lacking.push(key.host);
            }
        }
        self.news.notify_all();
    }

    /// Something of a job that was begun has come to its end, and a worker is to see to it.
    pub fn finish(&self, finished: T) {
        let mut state = self.state.lock();
        state.finished.push_back(finished);
        self.made_room(&mut state);
    }

    /// A job that was begun is over.
    pub fn done(&self, key: &Key) {
        let mut state = self.state.lock();
        state.begun.remove(key);
        state.in_hand.remove(key);
        self.made_room(&mut state);
    }

    /// A job that was begun has more to do, and begins again.
    pub fn again(&self, key: &Key) {
        let mut state = self.state.lock();
        state.begun.remove(key);
        if state.closing == Some(Closing::GiveUp) {
            state.in_hand.remove(key);
        } else {
            state.host(&key.host).waiting.push_front(key.clone());
            state.make_ready(&key.host);
        }
        self.made_room(&mut state);
    }

    /// No job is taken any more.
    pub fn close(&self, closing: Closing) {
        let mut state = self.state.lock();
        if state.closing != Some(Closing::GiveUp) {
            state.closing = Some(closing);
        }
        if closing == Closing::GiveUp {
            let hosts = std::mem::take(&mut state.hosts);
            for key in hosts.values().flat_map(|host| &host.waiting) {
                state.in_hand.remove(key);
            }
            state.ready.clear();
            state.lacking.clear();
        }
        self.news.notify_all();
    }

    fn made_room(&self, state: &mut MutexGuard<'_, State<T>>) {
        state.freed += 1;
        for host in std::mem::take(&mut state.lacking) {
            state.host(&host).lacks_room = false;
            state.make_ready(&host);
        }
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

    /// The first job of the host whose turn it is; the host goes to the end of the line.
    fn next_job(&mut self) -> Option<Key> {
        while let Some(name) = self.ready.pop_front() {
            let Some(host) = self.hosts.get_mut(&name) else { continue };
            host.is_ready = false;
            if host.lacks_room {
                continue;
            }
            let key = host.waiting.pop_front();
            match host.waiting.is_empty() {
                true => drop(self.hosts.remove(&name)),
                false => self.make_ready(&name),
            }
            if key.is_some() {
                return key;
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

    fn begin(jobs: &Jobs<u8>) -> (String, u64) {
        match jobs.next() {
            Some(Task::Begin(key, freed)) => (format!("{} {}", key.path.as_str(), key.host), freed),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn hosts_take_turns_and_a_job_in_hand_is_not_taken_again() {
        let jobs = Jobs::new(100, 100);
        for (path, host) in [("1", "a"), ("2", "a"), ("1", "a"), ("3", "a"), ("1", "b")] {
            jobs.take(key(path, host));
        }
        let order: Vec<String> = (0..4).map(|_| begin(&jobs).0).collect();
        assert_eq!(order, ["1 a", "1 b", "2 a", "3 a"]);
        jobs.done(&key("1", "a"));
        assert!(!jobs.has(&key("1", "a")) && jobs.has(&key("1", "b")));
        jobs.take(key("1", "a"));
        assert_eq!(begin(&jobs).0, "1 a");
    }

    #[test]
    fn a_host_without_room_waits_for_an_end_and_keeps_its_order() {
        let jobs = Jobs::new(100, 100);
        take(&jobs, &["1", "2", "3"]);
        jobs.take(key("4", "b"));
        assert_eq!(begin(&jobs), ("1 a".into(), 0));
        assert_eq!(begin(&jobs), ("4 b".into(), 0));
        assert_eq!(begin(&jobs), ("2 a".into(), 0));
        jobs.lacks_room(key("2", "a"), 0);
        jobs.close(Closing::Finish);
        jobs.finish(7);
        assert!(matches!(jobs.next(), Some(Task::Finish(7))), "ends go before beginnings");
        assert_eq!(begin(&jobs), ("2 a".into(), 1));
        jobs.done(&key("1", "a"));
        jobs.lacks_room(key("2", "a"), 1);
        assert_eq!(begin(&jobs), ("2 a".into(), 2), "something ended while it looked for room");
        jobs.done(&key("1", "a"));
        jobs.done(&key("2", "a"));
        assert_eq!(begin(&jobs).0, "3 a");
        jobs.done(&key("3", "a"));
        jobs.done(&key("4", "b"));
        assert!(jobs.next().is_none());
    }

    #[test]
    fn open_files_are_bounded() {
        let jobs = Jobs::<u8>::new(100, 1);
        take(&jobs, &["1", "2"]);
        assert_eq!(begin(&jobs).0, "1 a");
        std::thread::scope(|scope| {
            let second = scope.spawn(|| begin(&jobs).0);
            jobs.done(&key("1", "a"));
            assert_eq!(second.join().expect("ends"), "2 a");
        });
    }

    #[test]
    fn jobs_in_hand_are_bounded_and_an_end_lets_the_reader_go() {
        let jobs = Jobs::<u8>::new(1, 100);
        jobs.take(key("1", "a"));
        assert_eq!(begin(&jobs).0, "1 a");
        std::thread::scope(|scope| {
            scope.spawn(|| jobs.take(key("2", "a")));
            jobs.done(&key("1", "a"));
            assert_eq!(begin(&jobs).0, "2 a");
            scope.spawn(|| jobs.take(key("3", "a")));
            jobs.close(Closing::GiveUp);
        });
        assert!(!jobs.has(&key("3", "a")));
    }

    #[test]
    fn what_was_not_begun_can_be_given_up() {
        let jobs = Jobs::<u8>::new(100, 100);
        take(&jobs, &["1", "2", "3"]);
        assert_eq!(begin(&jobs).0, "1 a");
        assert_eq!(begin(&jobs).0, "2 a");
        jobs.close(Closing::GiveUp);
        jobs.lacks_room(key("2", "a"), 0);
        jobs.again(&key("1", "a"));
        assert!(jobs.next().is_none());
    }

    #[test]
    fn a_job_with_more_to_do_begins_again() {
        let jobs = Jobs::<u8>::new(100, 100);
        take(&jobs, &["1", "2"]);
        assert_eq!(begin(&jobs).0, "1 a");
        jobs.again(&key("1", "a"));
        assert!(jobs.has(&key("1", "a")));
        assert_eq!(begin(&jobs).0, "1 a");
        assert_eq!(begin(&jobs).0, "2 a");
    }
}
