//! The twin of [`sys::Wake`](super::sys::Wake) for the schedule explorer (`--cfg pipelane_shuttle`): what one waits on
//! is a lock, so that the explorer sees it.

use super::sys;
use crate::sync::{Condvar, Mutex};
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Any thread signals it, and one waits on it.
#[derive(Debug, Clone)]
pub struct Wake {
    shared: Arc<(Mutex<bool>, Condvar)>,
    /// For code that is not explored; never readable.
    fd: sys::Wake,
}

impl Wake {
    /// A new one, not signalled.
    pub fn new() -> io::Result<Wake> {
        Ok(Wake { shared: Arc::default(), fd: sys::Wake::new()? })
    }

    /// Signals it until [`Wake::clear`].
    pub fn signal(&self) {
        *self.shared.0.lock() = true;
        self.shared.1.notify_all();
    }

    /// Ends the signal and tells whether there was one.
    pub fn clear(&self) -> bool {
        std::mem::take(&mut *self.shared.0.lock())
    }

    /// Whether it is signalled, without clearing it.
    pub fn is_signalled(&self) -> bool {
        *self.shared.0.lock()
    }

    /// Another thread goes on meanwhile. Time does not pass here, and who pauses waits for nothing else.
    pub fn pause(&self, _: Duration) {
        crate::sync::thread::yield_now();
    }

    /// Waits until it is signalled, without clearing it, or until the moment has come. Whether it is signalled.
    pub fn wait(&self, until: Option<Instant>) -> bool {
        let mut signalled = self.shared.0.lock();
        while !*signalled {
            match until {
                Some(until) if self.shared.1.wait_until(&mut signalled, until).timed_out() => break,
                Some(_) => {}
                None => self.shared.1.wait(&mut signalled),
            }
        }
        *signalled
    }

    /// For `poll(2)`, which is not explored.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.fd()
    }
}
