//! Where a lane hands on what its server does not take for now, so that another server of the next hop is asked.

use super::Job;
use std::fmt::Debug;

/// Takes such messages. Any thread; called with no lock held.
pub trait Onward: Debug + Send + Sync {
    /// Sends the recipients that are left to a server that is none of these. A message that cannot go on comes back.
    fn hand_on(&self, job: Job, passed: Vec<String>) -> Result<(), Box<Job>>;
}
