//! Where a lane hands on what its server does not take for now, so that another server of the next hop is asked; and
//! the connections ([`Share`]) that the sites of all these servers have together.

use super::Site;
use crate::lane::Job;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Budget, Permit};
use std::fmt::Debug;
use std::sync::{Arc, Weak};

/// Takes such messages. Any thread; called with no lock held.
pub trait Onward: Debug + Send + Sync {
    /// Sends the recipients that are left to a server that is none of these. A message that cannot go on comes back.
    fn hand_on(&self, job: Job, passed: Vec<String>) -> Result<(), Job>;

    /// One of these waits again, having been taken. Its end is the one that it had.
    fn waits_again(&self);

    /// A lane waits for a connection that others have: those with nothing to do are to end theirs.
    fn make_way(&self);
}

/// The connections to all servers of a next hop together.
#[derive(Debug)]
pub struct Share {
    connections: Arc<Budget>,
    /// Lanes that wait for one.
    wanted: AtomicUsize,
}

/// A lane waits for a connection, until this is dropped.
#[derive(Debug)]
pub struct Want<'a>(&'a Share);

impl Share {
    /// So many of them.
    pub fn new(most: u64) -> Arc<Share> {
        Arc::new(Share { connections: Budget::new(most), wanted: AtomicUsize::new(0) })
    }

    /// From now on so many.
    pub fn set_most(&self, most: u64) {
        self.connections.set_limit(most);
    }

    /// One that is free, or else that of which others hear.
    pub fn take(&self) -> Result<Permit, (Want<'_>, &Arc<Budget>)> {
        self.connections.try_take(1).ok_or_else(|| {
            self.wanted.fetch_add(1, Ordering::AcqRel);
            (Want(self), &self.connections)
        })
    }

    /// Whether a lane waits for one.
    pub fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Acquire) > 0
    }
}

impl Drop for Want<'_> {
    fn drop(&mut self) {
        self.0.wanted.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Site {
    /// The same, and `onward` takes what its servers put off. Those that are asked then make do with these connections
    /// together with it.
    pub fn handing_on<O: Onward + 'static>(self, onward: Weak<O>, own_connections: Arc<Share>) -> Site {
        Site { onward: Some(onward), own_connections, ..self }
    }

    /// A further one like this, which passes these servers.
    pub fn without(&self, passed: Vec<String>) -> Site {
        let further = Site::new(
            self.next_hop.clone(),
            self.settings(),
            Arc::clone(&self.ledger),
            Arc::clone(&self.connections),
            Arc::clone(&self.statistics),
            Arc::clone(&self.connector),
        );
        Site {
            own_connections: Arc::clone(&self.own_connections),
            passed: passed.into(),
            onward: self.onward.clone(),
            ..further
        }
    }

    /// A message was given back. One of those that may not wait for ever still has its end.
    pub(super) fn waits_again(&self, has_end: bool) {
        if let (true, Some(onward)) = (has_end, self.onward.as_ref().and_then(Weak::upgrade)) {
            onward.waits_again();
        }
    }

    /// Tells lanes, to whatever server of this next hop, that one waits for a connection.
    pub fn ask_for_way(&self) {
        if let Some(onward) = self.onward.as_ref().and_then(Weak::upgrade) {
            onward.make_way();
        }
    }

    /// Lanes that wait are to look again whether their connection is still worth while.
    pub fn make_way(&self) {
        self.state.lock().crew.tell();
    }

    /// Whether this lane's connection is more use to another.
    pub fn gives_way(&self, number: usize) -> bool {
        self.own_connections.is_wanted() && self.waiting(number) == 0
    }

    /// Hands a message on whose recipients this server has put off. One that cannot go on comes back.
    pub fn hand_on(&self, job: Job, server: &str) -> Result<(), Job> {
        let onward = self.onward.as_ref().and_then(Weak::upgrade);
        let Some(onward) = onward else { return Err(job) };
        let mut passed = self.passed.to_vec();
        passed.push(server.to_owned());
        onward.hand_on(job, passed)
    }
}
