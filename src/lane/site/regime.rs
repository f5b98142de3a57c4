//! The settings in force, and which connections were made by others.
//!
//! What a reload tightens must hold for connections that are open too: a busy one would go on in clear for hours. So
//! the settings that decide whom a connection is made to, how it is encrypted and as whom it logs in are a *regime*. A
//! lane whose connection is of an earlier one takes no new message on it and ends it in good order, and makes
//! another. A message that is aboard by then is finished where it is, also in further transactions.

use super::Site;
use crate::config::NextHopSettings;
use crate::sync::RwLock;
use crate::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

/// The settings in force, and the number of the regime.
#[derive(Debug)]
pub(super) struct InForce {
    settings: RwLock<Arc<NextHopSettings>>,
    regime: AtomicUsize,
}

impl InForce {
    pub fn new(settings: Arc<NextHopSettings>) -> InForce {
        InForce { settings: RwLock::new(settings), regime: AtomicUsize::new(0) }
    }

    pub fn replace(&self, settings: &Arc<NextHopSettings>) {
        let mut in_force = self.settings.write();
        let is_other =
            in_force.tls != settings.tls || in_force.auth != settings.auth || in_force.routing != settings.routing;
        *in_force = Arc::clone(settings);
        // Behind the settings: whoever sees the number gets these.
        self.regime.fetch_add(usize::from(is_other), Ordering::Release);
    }
}

impl Site {
    /// The settings in force.
    pub fn settings(&self) -> Arc<NextHopSettings> {
        Arc::clone(&self.settings.settings.read())
    }

    /// The number of the regime. A lane asks for it before it asks for the settings to connect with.
    pub fn regime(&self) -> usize {
        self.settings.regime.load(Ordering::Acquire)
    }

    /// Whether a connection of this lane, made in that regime, is to take no more. If so its lane has no room: others
    /// may then find that a connection pays.
    pub fn is_outdated(&self, number: usize, regime: usize) -> bool {
        let is_so = self.regime() != regime;
        if is_so {
            self.state.lock().has_no_room(number, true);
        }
        is_so
    }
}
