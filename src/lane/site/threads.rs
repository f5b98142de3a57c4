//! The threads of a site's lanes: kept to be joined, so that none is left when the engine has gone.

use super::Site;
use crate::sync::thread::JoinHandle;
use std::io;

impl Site {
    /// Starts a lane's thread and keeps it; lets go of those that have ended.
    pub fn start_thread(&self, spawn: impl FnOnce() -> io::Result<JoinHandle<()>>) -> io::Result<()> {
        let mut threads = self.threads.lock();
        // Started under the lock: whoever joins finds either no member for it yet to wait for, or its thread here.
        threads.push(spawn()?);
        let ended: Vec<_> = threads.extract_if(.., |thread| thread.is_finished()).collect();
        drop(threads);
        ended.into_iter().for_each(join);
        Ok(())
    }

    /// Waits until every lane has ended, also one that is being started at this moment. For a site that was stopped.
    pub fn join(&self) {
        let mut state = self.state.lock();
        while !state.crew.members().is_empty() {
            self.changed.wait(&mut state);
        }
        drop(state);
        let threads = std::mem::take(&mut *self.threads.lock());
        threads.into_iter().for_each(join);
    }
}

fn join(thread: JoinHandle<()>) {
    // A lane catches its panics and says so in the log; there is nothing more to learn.
    let _ = thread.join();
}
