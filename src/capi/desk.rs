//! Where the reports of an engine's messages come in, from any thread, and where the host gets them: by polling, or by
//! a function of its own.
//!
//! Each message that was handed over has an entry under its number until its report is here, by which it can be
//! withdrawn. The descriptor is readable while reports wait; for reports that come together it becomes so once. No lock
//! is held while the host's function runs.

use super::error::{ERR_STATE, ERR_UNKNOWN, Failure};
use super::report::ReportHandle;
use crate::lane::{Bell, Ring, Withdrawal};
use crate::mail::{Envelope, NextHop, Report};
use crate::net::Wake;
use crate::sync::{Condvar, Mutex, after};
use std::collections::{HashMap, VecDeque};
use std::ffi::{c_int, c_void};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The host's function for reports.
pub type ReportFn = Option<unsafe extern "C" fn(report: *mut ReportHandle, user: *mut c_void)>;

/// What the caller knows of a message, for its report.
#[derive(Debug)]
pub(super) struct Cover {
    pub number: u64,
    pub cookie: Cookie,
    /// For the addresses of its recipients. The last who has it frees it: the thread that takes the report, which is
    /// mostly the one that made it.
    pub envelope: Arc<Envelope>,
}

/// A pointer of the host that is carried and never followed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cookie(pub *mut c_void);

// SAFETY: it is only handed back; what it points to is the host's business, as the header says.
unsafe impl Send for Cookie {}

#[derive(Clone, Copy)]
struct Callback {
    function: unsafe extern "C" fn(*mut ReportHandle, *mut c_void),
    user: Cookie,
}

/// A report with what the caller knows.
pub(super) type Entry = (Cover, Report);

/// See the [module](self).
pub(super) struct Desk {
    /// Of the last message.
    last: AtomicU64,
    state: Mutex<State>,
    news: Condvar,
    wake: Wake,
}

#[derive(Default)]
struct State {
    open: HashMap<u64, (Withdrawal, NextHop)>,
    reports: VecDeque<Entry>,
    /// The descriptor is readable.
    is_told: bool,
    callback: Option<Callback>,
    /// No further message comes.
    closed: bool,
    /// The host has gone: reports are thrown away.
    abandoned: bool,
}

impl Ring for Desk {
    fn ring(&self) {
        let mut state = self.state.lock();
        if !state.reports.is_empty() && !std::mem::replace(&mut state.is_told, true) {
            self.wake.signal();
        }
        self.tell(&state);
    }
}

impl Desk {
    pub fn new() -> Result<Desk, std::io::Error> {
        Ok(Desk { last: AtomicU64::new(0), state: Mutex::default(), news: Condvar::new(), wake: Wake::new()? })
    }

    /// Reports go to this function; only before the first message.
    pub fn set_callback(&self, function: ReportFn, user: *mut c_void) -> Result<(), Failure> {
        let mut state = self.state.lock();
        if self.last.load(Ordering::Relaxed) > 0 {
            return Err(Failure::new(ERR_STATE, "a message was handed over already"));
        }
        state.callback = function.map(|function| Callback { function, user: Cookie(user) });
        Ok(())
    }

    /// A number for a message; the first is 1.
    pub fn number(&self) -> u64 {
        self.last.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The message is about to be handed over.
    pub fn enter(&self, number: u64, withdrawal: Withdrawal, next_hop: NextHop) {
        self.state.lock().open.insert(number, (withdrawal, next_hop));
    }

    /// Withdraws a message and tells where it was to go.
    pub fn withdraw(&self, number: u64) -> Result<NextHop, Failure> {
        let state = self.state.lock();
        let Some((withdrawal, next_hop)) = state.open.get(&number) else {
            return Err(Failure::new(ERR_UNKNOWN, format!("no message {number} is held; its report may be here")));
        };
        withdrawal.withdraw();
        Ok(next_hop.clone())
    }

    /// The report of a message. Called with no lock held. Who polls hears of it by the bell.
    pub fn report(self: Arc<Self>, cover: Cover, report: Report) -> Option<Bell> {
        let mut state = self.state.lock();
        state.open.remove(&cover.number);
        if state.abandoned {
            return None;
        }
        let Some(callback) = state.callback else {
            state.reports.push_back((cover, report));
            drop(state);
            return Some(Bell::new(self));
        };
        // Who drains waits for the last.
        self.tell(&state);
        drop(state);
        let report = Box::into_raw(Box::new(ReportHandle::new(cover, report)));
        // SAFETY: the header asks for a function that takes a report, which is then its own, and the pointer set with it.
        unsafe { (callback.function)(report, callback.user.0) };
        None
    }

    fn tell(&self, state: &State) {
        if state.closed || state.reports.len() > 1 {
            self.news.notify_all();
        } else {
            self.news.notify_one();
        }
    }

    /// The next report; `None` when none came within the time, or when none can come any more. Without `patience` it
    /// waits for ever. Fails when the reports go to a function.
    pub fn next(&self, patience: Option<Duration>) -> Result<Option<Entry>, Failure> {
        let until = patience.map(after);
        let mut state = self.state.lock();
        if state.callback.is_some() {
            return Err(Failure::new(ERR_STATE, "the reports go to a callback"));
        }
        loop {
            if let Some(entry) = state.reports.pop_front() {
                if state.reports.is_empty() && std::mem::take(&mut state.is_told) {
                    self.wake.clear();
                }
                return Ok(Some(entry));
            }
            if state.closed && state.open.is_empty() {
                return Ok(None);
            }
            match until {
                None => self.news.wait(&mut state),
                Some(until) if self.news.wait_until(&mut state, until).timed_out() && state.reports.is_empty() => {
                    return Ok(None);
                }
                Some(_) => {}
            }
        }
    }

    /// Readable while reports wait that were told of.
    pub fn descriptor(&self) -> c_int {
        self.wake.fd().as_raw_fd()
    }

    /// No further message comes: who waits for reports need not wait beyond the last.
    pub fn close(&self) {
        self.state.lock().closed = true;
        self.news.notify_all();
    }

    /// The host takes no further report.
    pub fn abandon(&self) {
        let mut state = self.state.lock();
        state.abandoned = true;
        let reports = std::mem::take(&mut state.reports);
        drop(state);
        drop(reports);
    }
}
