//! The agent: one thread hears the scheduler, some see to the jobs, the engine's lanes deliver.
//!
//! Jobs are taken **eagerly**: a line is answered with its one `#hungry` as soon as it is taken, not when its job is
//! done, so that all lanes have work; the scheduler then feeds again what takes long, and what is in hand already is
//! known by its path and host. A job without work for us is answered with `#resync` before its `#hungry`. Marks and `d`
//! lines are the truth; reports may be lost.
//!
//! The end of input and the empty line let all that is in hand be finished. [`Agent::stop`] gives up what was not
//! begun.

use super::begin;
use super::control;
use super::jobs::{Closing, Jobs, Key, Task};
use super::line::{Lines, Order};
use super::marks::{LARGEST_PID, Marks};
use super::outages::Outages;
use super::output::{self, Output};
use super::parcel::Parcel;
use super::route::Route;
use crate::door::Delivery;
use crate::mail::Report;
use crate::sync::Mutex;
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

/// Threads that open, mark and tell. They wait for the disk only.
const WORKERS: usize = 4;

/// Jobs in hand at the most; beyond it `#hungry` is held back.
const MOST_JOBS: usize = 20_000;

/// What the command line says.
#[derive(Debug, Clone)]
pub struct AgentOptions {
    /// The channel whose recipients are ours.
    pub channel: String,
    /// The host of job lines that name none.
    pub host: Option<String>,
    /// How hosts become next hops.
    pub route: Route,
    /// What paths of the scheduler are relative to.
    pub directory: PathBuf,
    /// Jobs with open files at the most; each has two.
    pub most_open: usize,
}

/// The agent. Its scheduler is at the other end of [`Agent::run`]'s input and of the output.
#[derive(Debug)]
pub struct Agent<D: Delivery> {
    pub(super) delivery: Arc<D>,
    pub(super) options: AgentOptions,
    pub(super) output: Output,
    pub(super) jobs: Jobs<(Parcel<D>, Report)>,
    pub(super) outages: Outages,
    /// Held by whoever appends to a control file: two hosts may be in one.
    pub(super) appends: Mutex<()>,
    pub(super) pid: u32,
}

/// With this the input has come to its end, also when the thread that reads has failed.
struct End<'j, T>(&'j Jobs<T>);

impl<T> Drop for End<'_, T> {
    fn drop(&mut self) {
        self.0.close(Closing::Finish);
    }
}

impl<D: Delivery> Agent<D> {
    /// An agent that delivers through this engine and tells the scheduler this way.
    pub fn new(delivery: Arc<D>, options: AgentOptions, output: Output) -> Arc<Agent<D>> {
        let jobs = Jobs::new(MOST_JOBS, options.most_open);
        let pid = std::process::id();
        let (outages, appends) = (Outages::default(), Mutex::new(()));
        Arc::new(Agent { delivery, options, output, jobs, outages, appends, pid })
    }

    /// Serves the scheduler until it says that this is the end, or goes away, or [`Agent::stop`] is called; all that
    /// was begun is reported on by then. The thread that reads is left behind if nothing ends it.
    pub fn run(self: &Arc<Agent<D>>, input: impl Read + Send + 'static) {
        let reader = Arc::clone(self);
        thread::spawn(move || {
            let _end = End(&reader.jobs);
            if let Some(warning) = warning(reader.pid) {
                reader.output.comment(&warning);
            }
            reader.listen(input);
        });
        let workers: Vec<_> =
            (0..WORKERS).map(|_| Arc::clone(self)).map(|agent| thread::spawn(move || agent.work())).collect();
        for worker in workers {
            // Panics of tasks end in the worker; there is nothing else in it.
            let _ = worker.join();
        }
        self.output.flush();
    }

    /// Gives up what was not begun. What was begun ends with the engine.
    pub fn stop(&self) {
        self.jobs.close(Closing::GiveUp);
    }

    /// Answers each line with one `#hungry`.
    fn listen(&self, input: impl Read) {
        let mut lines = Lines::new(input);
        self.output.hungry();
        while let Ok(Some(line)) = lines.next() {
            self.output.heard(&line);
            match Order::parse(&line) {
                Order::End => return,
                Order::Idle => {}
                Order::Job { path, host } => match host.as_ref().or(self.options.host.as_ref()) {
                    Some(host) => self.take(Key { path, host: host.to_ascii_lowercase().into() }),
                    None => self.output.comment("a job without a host: give the host as an argument"),
                },
                Order::Unknown => self.output.comment(&format!("not understood: {}", String::from_utf8_lossy(&line))),
            }
            self.output.hungry();
        }
    }

    /// Takes a job if there is work in it for us.
    fn take(&self, key: Key) {
        if self.jobs.has(&key) {
            return;
        }
        match self.has_work(&key) {
            Ok(true) => self.jobs.take(key),
            Ok(false) => {}
            Err(why) => self.output.say(output::resync(key.path.as_str(), &why).as_bytes()),
        }
    }

    /// Whether a recipient of ours waits in the control file, or, for a request of ETRN, nothing is said about it; an
    /// error is what to tell people.
    fn has_work(&self, key: &Key) -> Result<bool, String> {
        let (_, octets) = self.open(key)?;
        let file = control::parse(&octets).map_err(|error| error.to_string())?;
        match begin::waiting(&file, &self.options.channel, &key.host).is_empty() {
            true if file.is_turn => Ok(false),
            true => Err(file.left_out.first().map_or(String::new(), ToString::to_string)),
            false => Ok(true),
        }
    }

    /// The control file of a job; an error is what to tell people: nothing where there is none, since that is usual.
    pub(super) fn open(&self, key: &Key) -> Result<(Marks, Vec<u8>), String> {
        Marks::open(&self.options.directory.join(key.path.as_str()), self.pid).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => String::new(),
            _ => format!("it cannot be used: {error}"),
        })
    }

    /// A worker, until all is over.
    fn work(self: &Arc<Agent<D>>) {
        while let Some(task) = self.jobs.next() {
            match task {
                // What a panic leaves behind is dropped, and ends that way.
                Task::Begin(turn) => {
                    let _ = catch_unwind(AssertUnwindSafe(|| begin::begin(self, turn)));
                }
                Task::Finish((parcel, report)) => {
                    let _ = catch_unwind(AssertUnwindSafe(|| parcel.settle(&report)));
                }
            }
        }
    }
}

/// A PID that does not fit in its field looks like the first six digits of it, which are the PID of somebody else.
fn warning(pid: u32) -> Option<String> {
    (pid > LARGEST_PID).then(|| {
        format!(
            "this process is number {pid}, over {LARGEST_PID}: the scheduler takes its locks for those of another one; \
             set kernel.pid_max to 1000000"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_that_does_not_fit_in_a_lock_is_told_of() {
        assert_eq!(warning(999_999), None);
        assert!(warning(1_000_000).is_some_and(|text| text.contains("number 1000000") && text.contains("pid_max")));
    }
}
