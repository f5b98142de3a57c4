//! Whether a site can be used: pure, the clock is the caller's.
//!
//! A site is **in trouble** when no connection can be made to it, or when one connection after another ends without an
//! answer to any message. While it is, nothing is tried; when the pause is over one attempt is made, and each that
//! fails doubles the pause. A message that was answered forgives everything.

use super::crew::scattered;
use crate::mail::Outcome;
use std::time::{Duration, Instant};

/// The pause before a site in trouble is tried again: at first, and at the most.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Connections that a server may end one after another without having answered a message, each with another
/// message to blame: one message that a server cannot stand is no trouble of the site.
const FRUITLESS: usize = 3;

/// The health of one site.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    why: Option<(Outcome, Instant)>,
    pause: Duration,
    /// By place in the queue, the messages that connections were lost with; `None`: with no message to blame.
    fruitless: Vec<Option<u64>>,
}

impl Trouble {
    /// Why the site cannot be used at this time.
    pub fn now(&self, now: Instant) -> Option<&Outcome> {
        self.why.as_ref().filter(|(_, until)| *until > now).map(|(outcome, _)| outcome)
    }

    /// Whether the last thing known of the site is trouble, be the pause over or not.
    pub fn is_known(&self) -> bool {
        self.why.is_some()
    }

    /// No connection can be made. `scatter` is a number from 0 to 1 by which many sites that fail together do not come
    /// again together. Attempts that began before that was known do not count again.
    pub fn begin(&mut self, outcome: &Outcome, now: Instant, scatter: f64) {
        if self.now(now).is_none() {
            self.pause = (self.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
            self.why = Some((outcome.clone(), now + scattered(self.pause, scatter)));
        }
        self.fruitless.clear();
    }

    /// A session is ready: the site lives. The length of the pause is forgotten only with a message that is answered.
    pub fn end(&mut self) {
        self.why = None;
    }

    /// The server has answered a message.
    pub fn forgive(&mut self) {
        self.pause = Duration::ZERO;
        self.fruitless.clear();
    }

    /// Whether the next connection that is of no use is one too many.
    pub fn is_last_chance(&self) -> bool {
        self.fruitless.len() + 1 == FRUITLESS
    }

    /// A connection was lost before any message was answered; `blamed` is the message it was lost with. Whether that is
    /// one too many.
    pub fn is_too_much(&mut self, blamed: Option<u64>) -> bool {
        if blamed.is_none() || !self.fruitless.contains(&blamed) {
            self.fruitless.push(blamed);
        }
        self.fruitless.len() >= FRUITLESS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::EnhancedStatus;

    impl Trouble {
        /// As if the pause were over.
        pub(in crate::lane) fn end_pause(&mut self, now: Instant) {
            self.why.iter_mut().for_each(|(_, until)| *until = now);
        }
    }

    fn outcome(text: &str) -> Outcome {
        Outcome::deferred(EnhancedStatus::new(4, 4, 1), text)
    }

    #[test]
    fn the_pause_doubles_to_a_bound_and_a_message_answered_forgives() {
        let (mut trouble, mut now) = (Trouble::default(), Instant::now());
        for seconds in [5, 10, 20, 40, 60, 60] {
            trouble.begin(&outcome("down"), now, 1.0);
            assert!(trouble.now(now + Duration::from_secs(seconds) - Duration::from_millis(1)).is_some());
            now += Duration::from_secs(seconds);
            assert!(trouble.now(now).is_none() && trouble.is_known());
        }
        trouble.end();
        assert!(!trouble.is_known());
        trouble.begin(&outcome("down"), now, 1.0);
        assert!(trouble.now(now + Duration::from_secs(59)).is_some(), "it greeted, and no more than that");
        trouble.forgive();
        trouble.end();
        trouble.begin(&outcome("down"), now, 1.0);
        assert!(trouble.now(now + FIRST_PAUSE).is_none());
    }

    #[test]
    fn attempts_that_fail_together_count_once() {
        let (mut trouble, now) = (Trouble::default(), Instant::now());
        trouble.begin(&outcome("first"), now, 1.0);
        trouble.begin(&outcome("second"), now, 1.0);
        assert_eq!(trouble.now(now).map(|o| o.text.as_str()), Some("first"));
        assert!(trouble.now(now + FIRST_PAUSE).is_none());
    }

    #[test]
    fn three_messages_make_trouble_and_one_alone_does_not() {
        let mut trouble = Trouble::default();
        for _ in 0..10 {
            assert!(!trouble.is_too_much(Some(7)), "the message is to blame, not the site");
        }
        assert!(!trouble.is_too_much(Some(8)));
        trouble.forgive();
        assert!(!trouble.is_too_much(Some(7)));
        assert!(!trouble.is_too_much(None));
        assert!(trouble.is_too_much(None));
    }
}
