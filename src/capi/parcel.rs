//! One value from one thread to another that waits for it.
//!
//! A channel would do, but leaves something of its own behind in the thread that waits, which here is one of the
//! host's.

use crate::sync::{Condvar, Mutex, after};
use std::sync::Arc;
use std::time::Duration;

/// See the [module](self).
pub(super) struct Parcel<T>(Arc<(Mutex<Option<T>>, Condvar)>);

impl<T> Parcel<T> {
    pub fn new() -> Parcel<T> {
        Parcel(Arc::new((Mutex::new(None), Condvar::new())))
    }

    /// The same place, for the other thread.
    pub fn address(&self) -> Parcel<T> {
        Parcel(Arc::clone(&self.0))
    }

    pub fn send(&self, value: T) {
        *self.0.0.lock() = Some(value);
        self.0.1.notify_all();
    }

    /// The value; `None` when it has not come in time.
    pub fn wait(&self, patience: Duration) -> Option<T> {
        let (until, mut value) = (after(patience), self.0.0.lock());
        while value.is_none() && !self.0.1.wait_until(&mut value, until).timed_out() {}
        value.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_comes_and_what_is_not_does_not() {
        let parcel = Parcel::new();
        assert_eq!(parcel.wait(Duration::ZERO), None);
        let address = parcel.address();
        let sender = std::thread::spawn(move || address.send(7));
        assert_eq!(parcel.wait(Duration::from_secs(60)), Some(7));
        sender.join().expect("it ends");
    }
}
