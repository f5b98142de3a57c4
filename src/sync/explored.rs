//! Twins of locks, channels and threads for the schedule explorer (`--cfg pipelane_shuttle`, see `tests/explore.rs`),
//! and none of what runs otherwise.
//!
//! Each step of a twin is a point at which the explorer may let another thread go on. **Time does not pass here.** A
//! wait with an end lasts until its cause comes, so that whoever is only saved by a time-out is found as a deadlock;
//! or, in a run that says so by [`let_time_pass`], it may be over at any moment, so that what happens then is tried
//! against everything else.

use shuttle::rand::Rng;
use std::cell::Cell;
use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, LockResult, PoisonError};
use std::time::{Duration, Instant};

pub use crossbeam_channel::{RecvTimeoutError, TryRecvError};
pub use shuttle::sync::atomic;

thread_local! {
    /// All threads of a run are one to the system.
    static TIME_PASSES: Cell<bool> = const { Cell::new(false) };
}

/// Whether waits with an end may be over from now on.
pub fn let_time_pass(passes: bool) {
    TIME_PASSES.set(passes);
}

fn whole<T>(result: LockResult<T>) -> T {
    result.unwrap_or_else(PoisonError::into_inner)
}

/// A lock.
#[derive(Debug, Default)]
pub struct Mutex<T>(shuttle::sync::Mutex<T>);

impl<T> Mutex<T> {
    /// An open one.
    pub fn new(value: T) -> Mutex<T> {
        Mutex(shuttle::sync::Mutex::new(value))
    }

    /// Waits for it.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard { lock: self, inner: Some(whole(self.0.lock())) }
    }
}

/// A lock that is held; nothing is inside only while a [`Condvar`] waits.
#[derive(Debug)]
pub struct MutexGuard<'a, T> {
    lock: &'a Mutex<T>,
    inner: Option<shuttle::sync::MutexGuard<'a, T>>,
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.inner.as_ref().expect("held")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.inner.as_mut().expect("held")
    }
}

/// Where threads wait for a change of what a lock guards.
#[derive(Debug, Default)]
pub struct Condvar(shuttle::sync::Condvar);

/// Why a wait with an end was over.
#[derive(Debug, Clone, Copy)]
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    /// Whether it had lasted too long.
    pub fn timed_out(self) -> bool {
        self.0
    }
}

impl Condvar {
    /// One that nobody waits on.
    pub fn new() -> Condvar {
        Condvar(shuttle::sync::Condvar::new())
    }

    /// Waits to be told.
    pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let held = guard.inner.take().expect("held");
        guard.inner = Some(whole(self.0.wait(held)));
    }

    /// The same, with an end that never comes, or, where time passes, that may have come whenever this thread goes on.
    /// It then goes on also without either, as a condition variable may.
    pub fn wait_until<T>(&self, guard: &mut MutexGuard<'_, T>, deadline: Instant) -> WaitTimeoutResult {
        let is_past = deadline <= Instant::now();
        if !is_past && !TIME_PASSES.get() {
            self.wait(guard);
            return WaitTimeoutResult(false);
        }
        guard.inner = None;
        thread::yield_now();
        guard.inner = Some(whole(guard.lock.0.lock()));
        WaitTimeoutResult(is_past || shuttle::rand::thread_rng().gen_ratio(1, 4))
    }

    /// Tells one.
    pub fn notify_one(&self) {
        self.0.notify_one();
    }

    /// Tells all.
    pub fn notify_all(&self) {
        self.0.notify_all();
    }
}

/// A lock that readers share.
#[derive(Debug, Default)]
pub struct RwLock<T>(shuttle::sync::RwLock<T>);

impl<T> RwLock<T> {
    /// An open one.
    pub fn new(value: T) -> RwLock<T> {
        RwLock(shuttle::sync::RwLock::new(value))
    }

    /// Waits until nobody writes.
    pub fn read(&self) -> shuttle::sync::RwLockReadGuard<'_, T> {
        whole(self.0.read())
    }

    /// Waits until nobody else has it.
    pub fn write(&self) -> shuttle::sync::RwLockWriteGuard<'_, T> {
        whole(self.0.write())
    }
}

#[derive(Debug)]
struct Channel<T> {
    state: Mutex<(VecDeque<T>, usize)>,
    came: Condvar,
}

/// Sends into a channel.
#[derive(Debug)]
pub struct Sender<T>(Arc<Channel<T>>);

/// Receives from a channel.
#[derive(Debug)]
pub struct Receiver<T>(Arc<Channel<T>>);

/// A channel without a bound.
pub fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    let channel = Arc::new(Channel { state: Mutex::new((VecDeque::new(), 1)), came: Condvar::new() });
    (Sender(Arc::clone(&channel)), Receiver(channel))
}

/// A channel whose bound is never met, since who uses it sends no more than that.
pub fn bounded<T>(_: usize) -> (Sender<T>, Receiver<T>) {
    unbounded()
}

impl<T> Sender<T> {
    /// Never waits. What nobody will receive comes back.
    pub fn send(&self, value: T) -> Result<(), T> {
        self.0.state.lock().0.push_back(value);
        self.0.came.notify_all();
        Ok(())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.state.lock().1 -= 1;
        self.0.came.notify_all();
    }
}

impl<T> Receiver<T> {
    /// What is there.
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        let mut state = self.0.state.lock();
        let none = if state.1 == 0 { TryRecvError::Disconnected } else { TryRecvError::Empty };
        state.0.pop_front().ok_or(none)
    }

    /// Waits for the next without an end; an error when nobody sends any more.
    pub fn recv(&self) -> Result<T, TryRecvError> {
        let mut state = self.0.state.lock();
        while state.0.is_empty() && state.1 > 0 {
            self.0.came.wait(&mut state);
        }
        state.0.pop_front().ok_or(TryRecvError::Disconnected)
    }

    /// Waits for the next.
    pub fn recv_timeout(&self, patience: Duration) -> Result<T, RecvTimeoutError> {
        let (deadline, mut state) = (super::after(patience), self.0.state.lock());
        loop {
            if let Some(value) = state.0.pop_front() {
                return Ok(value);
            }
            if state.1 == 0 {
                return Err(RecvTimeoutError::Disconnected);
            }
            if self.0.came.wait_until(&mut state, deadline).timed_out() {
                return state.0.pop_front().ok_or(RecvTimeoutError::Timeout);
            }
        }
    }
}

/// Threads.
pub mod thread {
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    pub use shuttle::thread::{Result, yield_now};

    /// A thread to be.
    #[derive(Debug, Default)]
    pub struct Builder(String);

    /// A thread to be joined.
    #[derive(Debug)]
    pub struct JoinHandle<T> {
        inner: shuttle::thread::JoinHandle<T>,
        ended: Arc<AtomicBool>,
    }

    impl Builder {
        /// Without a name.
        pub fn new() -> Builder {
            Builder::default()
        }

        /// With this name.
        pub fn name(self, name: String) -> Builder {
            Builder(name)
        }

        /// Starts it.
        pub fn spawn<T: Send + 'static>(self, body: impl FnOnce() -> T + Send + 'static) -> io::Result<JoinHandle<T>> {
            let ended = Arc::<AtomicBool>::default();
            let ends = Arc::clone(&ended);
            let whole = move || {
                let result = body();
                ends.store(true, Ordering::SeqCst);
                result
            };
            Ok(JoinHandle { inner: shuttle::thread::Builder::new().name(self.0).spawn(whole)?, ended })
        }
    }

    impl<T> JoinHandle<T> {
        /// Whether its body has run to its end.
        pub fn is_finished(&self) -> bool {
            self.ended.load(Ordering::SeqCst)
        }

        /// Waits for its end.
        pub fn join(self) -> Result<T> {
            self.inner.join()
        }
    }
}
