//! What a site's server offers, for doors that ask before they have a message.

use super::{Site, State, no_lane};
use crate::lane::Offers;
use crate::lane::member::Handle;
use crate::mail::{EnhancedStatus, Outcome};
use crate::sync::after;
use std::time::{Duration, Instant};

/// How long it is believed that a server still offers what it offered.
const OFFERS_AGE: Duration = Duration::from_secs(3600);

impl Site {
    /// Asks what the server offers: known already, or to be awaited with [`Site::await_offers`]. Then a lane is sent to
    /// find out; the caller is to start it if one is returned.
    pub fn ask(&self) -> Result<Option<Offers>, Option<Handle>> {
        let mut state = self.state.lock();
        let known = state.offers_now();
        if known.is_some() || self.refusal(&state).is_some() {
            return Ok(known);
        }
        state.asked = true;
        let none = state.crew.members().is_empty();
        let entered = none.then(|| state.crew.enter(0, Instant::now()).ok()).flatten();
        state.asked = !state.crew.members().is_empty();
        state.crew.tell();
        Err(entered)
    }

    /// Waits up to `patience` for what the server offers.
    pub fn await_offers(&self, patience: Duration) -> Result<Offers, Outcome> {
        let deadline = after(patience);
        let mut state = self.state.lock();
        loop {
            if let Some(offers) = state.offers_now() {
                return Ok(offers);
            }
            if let Some(outcome) = self.refusal(&state) {
                return Err(outcome);
            }
            if state.crew.members().is_empty() {
                return Err(no_lane());
            }
            if self.changed.wait_until(&mut state, deadline).timed_out() {
                let late = EnhancedStatus::new(4, 4, 1);
                return Err(Outcome::deferred(late, "the server has not greeted in time"));
            }
        }
    }
}

impl State {
    fn offers_now(&self) -> Option<Offers> {
        let (offers, at) = self.offers.as_ref()?;
        let fresh = self.crew.connected() > 0 || at.elapsed() < OFFERS_AGE;
        (fresh && !self.trouble.is_known()).then(|| offers.clone())
    }
}
