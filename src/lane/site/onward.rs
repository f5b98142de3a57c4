//! Where a lane hands on what its server does not take for now, so that another server of the next hop is asked.

use super::Site;
use crate::lane::Job;
use crate::sync::Budget;
use std::fmt::Debug;
use std::sync::{Arc, Weak};

/// Takes such messages. Any thread; called with no lock held.
pub trait Onward: Debug + Send + Sync {
    /// Sends the recipients that are left to a server that is none of these. A message that cannot go on comes back.
    fn hand_on(&self, job: Job, passed: Vec<String>) -> Result<(), Job>;
}

impl Site {
    /// The same, and `onward` takes what its servers put off. Those that are asked then make do with these connections
    /// together with it.
    pub fn handing_on<O: Onward + 'static>(self, onward: Weak<O>, own_connections: Arc<Budget>) -> Site {
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

    /// Hands a message on whose recipients this server has put off. One that cannot go on comes back.
    pub fn hand_on(&self, job: Job, server: &str) -> Result<(), Job> {
        let onward = self.onward.as_ref().and_then(Weak::upgrade);
        let Some(onward) = onward else { return Err(job) };
        let mut passed = self.passed.to_vec();
        passed.push(server.to_owned());
        onward.hand_on(job, passed)
    }
}
