//! A stand-in for ZMailer's scheduler that keeps the rules of its interface strictly. It starts the agent as the
//! scheduler does, feeds jobs by its states, counts `#hungry`, and fails on anything that the real one would log as
//! misformed or drop.
//!
//! Stricter than the real one: what a report says must be in the control file already when the report comes.

use crate::office::{Office, Posted, lock_of};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Long enough for a busy machine; a test that waits so long has failed.
pub const LONG: Duration = Duration::from_secs(60);

/// What became of a recipient, as reported.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    pub notary: String,
    pub status: String,
    pub message: String,
}

/// Where the feeding stands: one line first, then batches when all is answered.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Phase {
    Larva,
    Stuff,
    Idle,
}

pub struct Scheduler<'o> {
    office: &'o Office,
    child: Child,
    socket: UnixStream,
    input: Vec<u8>,
    overfeed: usize,
    phase: Phase,
    outstanding: usize,
    /// Lines with `#hungry`, in all.
    pub hungry: usize,
    /// Lines written, in all.
    pub lines: usize,
    jobs: VecDeque<String>,
    messages: HashMap<String, Posted>,
    /// Everything told of a recipient, by message and offset.
    pub told: BTreeMap<(String, usize), Vec<Told>>,
    pub resyncs: Vec<String>,
    pub comments: Vec<String>,
    /// Files whose recipients are all done are removed, as by the real one. Without it they can be looked at.
    pub removes: bool,
    /// The control file is looked at with each report. That takes the stand-in longer than the agent works; a
    /// measurement does without.
    pub looks: bool,
}

impl Drop for Scheduler<'_> {
    fn drop(&mut self) {
        // It has ended already when the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A command as the scheduler would run it: one socket for all three streams, almost no environment.
pub fn command(office: &Office, words: &[&str]) -> (Command, UnixStream) {
    let (own, other) = UnixStream::pair().expect("a socket pair");
    let fd = || OwnedFd::from(other.try_clone().expect("a descriptor"));
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).env_clear().env("TZ", "UTC").current_dir(office.transport());
    command.stdin(Stdio::from(fd())).stdout(Stdio::from(fd())).stderr(Stdio::from(fd()));
    (command, own)
}

impl<'o> Scheduler<'o> {
    /// Starts an agent with these options behind `pipelane ta -c smtp`.
    pub fn start(office: &'o Office, options: &[impl AsRef<str>], overfeed: usize) -> Scheduler<'o> {
        let (program, options) = (crate::executable(), options.iter().map(AsRef::as_ref));
        let program = program.to_str().expect("UTF-8");
        let words: Vec<&str> = [program, "ta", "-c", "smtp"].into_iter().chain(options).collect();
        Scheduler::start_words(office, &words, overfeed)
    }

    pub fn start_words(office: &'o Office, words: &[&str], overfeed: usize) -> Scheduler<'o> {
        let (mut command, socket) = command(office, words);
        let child = command.spawn().expect("runs");
        drop(command);
        Scheduler {
            office,
            child,
            socket,
            input: Vec::new(),
            overfeed,
            phase: Phase::Larva,
            // The first one is asked for by the start itself.
            outstanding: 1,
            hungry: 0,
            lines: 0,
            jobs: VecDeque::new(),
            messages: HashMap::new(),
            told: BTreeMap::new(),
            resyncs: Vec::new(),
            comments: Vec::new(),
            removes: false,
            looks: true,
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A message is known, and its threads have work.
    pub fn know(&mut self, posted: &Posted) {
        self.remember(posted);
        self.feed_again(posted);
    }

    /// A message is known, and is fed by the test itself.
    pub fn remember(&mut self, posted: &Posted) {
        self.messages.insert(posted.id(), posted.clone());
    }

    /// Its threads have work once more, as at a retry.
    pub fn feed_again(&mut self, posted: &Posted) {
        let lines = posted.hosts().into_iter().map(|host| format!("{}\t{}\n", posted.path, host.to_lowercase()));
        self.jobs.extend(lines);
        if self.phase == Phase::Idle && self.outstanding == 0 {
            self.phase = Phase::Larva;
            self.feed();
        }
    }

    /// Octets as they are, counted as so many lines.
    pub fn write(&mut self, octets: &[u8]) {
        let lines = octets.iter().filter(|octet| **octet == b'\n').count();
        self.outstanding += lines;
        self.lines += lines;
        self.socket.write_all(octets).expect("the agent is there");
    }

    /// Reads and feeds until this holds.
    pub fn run_until(&mut self, what: &str, holds: impl Fn(&Scheduler<'_>) -> bool) {
        let deadline = Instant::now() + LONG;
        while !holds(self) {
            assert!(Instant::now() < deadline, "{what} did not come: {:?} {:?}", self.comments, self.told);
            assert!(self.read(Duration::from_millis(50)), "the agent has gone before {what}: {:?}", self.comments);
        }
    }

    /// Until so many recipients are reported with one of these words.
    pub fn run_until_told(&mut self, count: usize, words: &[&str]) {
        self.run_until(&format!("{count} recipients {words:?}"), |scheduler| scheduler.count(words) >= count);
    }

    /// Recipients whose last word was one of these.
    pub fn count(&self, words: &[&str]) -> usize {
        let last = self.told.values().filter_map(|told| told.last());
        last.filter(|told| words.contains(&told.status.as_str())).count()
    }

    pub fn last(&self, posted: &Posted, user: &str) -> Told {
        let mut offsets = posted.recipients.iter().filter(|(_, (_, known))| known == user);
        let (offset, _) = offsets.next().expect("the user is known");
        let told = self.told.get(&(posted.id(), *offset)).unwrap_or_else(|| panic!("nothing was told of {user}"));
        told.last().expect("one at least").clone()
    }

    /// The empty line and the end, as the idle sweep does it; all that comes until the agent has gone.
    pub fn end(&mut self) -> ExitStatus {
        self.socket.write_all(b"\n").expect("the agent is there");
        self.close()
    }

    /// The end without an empty line, as when the scheduler dies.
    pub fn close(&mut self) -> ExitStatus {
        self.socket.shutdown(Shutdown::Write).expect("it was open");
        self.jobs.clear();
        self.wait()
    }

    /// Whatever comes until the agent has gone.
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + LONG;
        while self.read(Duration::from_millis(50)) {
            assert!(Instant::now() < deadline, "the agent does not end: {:?}", self.comments);
        }
        assert_eq!(self.input, b"", "a line without its end");
        self.child.wait().expect("ended")
    }

    /// The scheduler is gone altogether; how the agent ends.
    pub fn vanish(&mut self) -> ExitStatus {
        let (gone, _) = UnixStream::pair().expect("a pair");
        self.socket = gone;
        self.child.wait().expect("ended")
    }

    pub fn signal(&self, signal: i32) {
        let status = Command::new("kill").arg(format!("-{signal}")).arg(self.pid().to_string()).status();
        assert!(status.expect("kill runs").success());
    }

    /// `kill -9`, and what was told by then.
    pub fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("ended");
        while self.read(Duration::from_millis(50)) {}
    }

    /// Reads once. `false` at the end.
    fn read(&mut self, patience: Duration) -> bool {
        self.socket.set_read_timeout(Some(patience)).expect("a timeout");
        let mut piece = [0; 8192];
        match self.socket.read(&mut piece) {
            Ok(0) => return false,
            Ok(octets) => self.input.extend_from_slice(&piece[..octets]),
            Err(error) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return false,
            Err(error) => panic!("{error}"),
        }
        while let Some(at) = self.input.iter().position(|octet| *octet == b'\n') {
            let line: Vec<u8> = self.input.drain(..=at).collect();
            self.line(std::str::from_utf8(&line[..at]).expect("UTF-8").to_owned());
        }
        true
    }

    fn line(&mut self, line: String) {
        if line == "#hungry" {
            self.hungry += 1;
            assert!(self.outstanding > 0, "one #hungry too many");
            self.outstanding -= 1;
            self.feed();
        } else if let Some(path) = line.strip_prefix("#resync ") {
            self.is_not_held(path);
            self.resyncs.push(path.to_owned());
        } else if line.starts_with('#') || line.is_empty() {
            // On a machine with large process numbers each agent says so.
            self.comments.extend(Some(line).filter(|line| !line.contains("kernel.pid_max")));
        } else {
            self.report(&line);
        }
    }

    /// What the real scheduler does with its outstanding lines.
    fn feed(&mut self) {
        if self.outstanding > 0 || self.phase == Phase::Idle && self.jobs.is_empty() {
            return;
        }
        let most = if self.phase == Phase::Larva { 1 } else { self.overfeed + 1 };
        let lines: String = (0..most).map_while(|_| self.jobs.pop_front()).collect();
        self.phase = if lines.is_empty() { Phase::Idle } else { Phase::Stuff };
        let lines = if lines.is_empty() { "#idle\n".to_owned() } else { lines };
        // One that was killed takes nothing any more.
        let count = lines.lines().count();
        if self.socket.write_all(lines.as_bytes()).is_ok() {
            self.outstanding += count;
            self.lines += count;
        }
    }

    fn report(&mut self, line: &str) {
        let fields: Vec<&str> = line.split('\t').collect();
        let [place, notary, said] = fields[..] else { panic!("misformed: {line:?}") };
        let (id, offset) = place.split_once('/').unwrap_or_else(|| panic!("misformed: {line:?}"));
        let offset: usize = offset.parse().unwrap_or_else(|_| panic!("misformed: {line:?}"));
        let posted = self.messages.get(id).unwrap_or_else(|| panic!("unknown message: {line:?}"));
        assert!(posted.recipients.contains_key(&offset), "unknown address offset: {line:?}");
        assert!(notary.is_empty() || notary.matches('\x01').count() >= 2, "too short for a DSN: {line:?}");
        let (status, message) = said.split_once(' ').unwrap_or((said, ""));
        let told = Told { notary: notary.into(), status: status.into(), message: message.into() };
        if self.looks {
            self.is_written(&posted.path, offset, status, line);
        }
        let key = (id.to_owned(), offset);
        let before = self.told.entry(key).or_default();
        let is_done = before.last().is_some_and(|told| is_final(&told.status));
        assert!(!is_done, "a second report for a recipient that is done: {line:?}");
        before.push(told);
        let posted = self.messages.get(id).filter(|posted| self.removes && self.is_done(posted));
        if let Some(posted) = posted {
            self.office.remove(&posted.path);
        }
    }

    /// A file that the agent itself holds would be forgotten for half a minute. With several hosts another one may hold
    /// it.
    fn is_not_held(&self, path: &str) {
        let posted = self.messages.values().find(|posted| posted.path == path && posted.hosts().len() == 1);
        let is_there = self.office.transport().join(path).exists();
        for offset in posted.filter(|_| is_there).iter().flat_map(|posted| posted.recipients.keys()) {
            let held = lock_of(self.pid());
            assert_ne!(self.office.mark(path, *offset), held, "#resync for {path}, which the agent has in hand");
        }
    }

    fn is_done(&self, posted: &Posted) -> bool {
        posted.recipients.keys().all(|offset| {
            let told = self.told.get(&(posted.id(), *offset));
            told.and_then(|told| told.last()).is_some_and(|told| is_final(&told.status))
        })
    }

    /// The control file says the same already.
    fn is_written(&self, path: &str, offset: usize, status: &str, line: &str) {
        let octets = self.office.control(path);
        let mark = &octets[offset + 1..offset + 8];
        let expected = match status {
            "ok" | "ok2" | "ok3" => b'+',
            "error2" => b'-',
            "deferred" | "deferall" | "retryat" => b' ',
            _ => panic!("unknown diagnostic type: {line:?}"),
        };
        assert_eq!((mark[0], &mark[1..]), (expected, &b"      "[..]), "{path}: {line:?}");
        let text = String::from_utf8_lossy(&octets).into_owned();
        let has_diagnosis = text.lines().any(|line| line.starts_with(&format!("d {offset}:")));
        let after = &text[offset..];
        let asked = after.lines().nth(1).filter(|line| line.starts_with("N ")).unwrap_or("NOTIFY=FAILURE");
        let wanted = status == "ok2" || status == "error2" && (asked.contains("FAILURE") || !asked.contains("NOTIFY="));
        assert_eq!(has_diagnosis, wanted, "{path}: {line:?}\n{text}");
    }
}

pub fn is_final(status: &str) -> bool {
    ["ok", "ok2", "ok3", "error2"].contains(&status)
}
