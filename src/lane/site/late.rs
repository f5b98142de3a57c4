//! What is done for lanes that do not come to a connection (`super::super::crew::late`): others take what is theirs.

use super::{Site, State, Taken};
use crate::conn::Vacancy;
use crate::lane::member::Member;
use std::time::Instant;

impl Site {
    /// When a lane with a session and nothing to do should look for work again although nobody has told it of any.
    pub fn look_again_at(&self) -> Option<Instant> {
        let state = self.state.lock();
        if state.queue.total() > 0 { state.crew.late_at(&state.queue, Instant::now()) } else { None }
    }
}

impl State {
    /// A lane with nothing to do takes what those should that do not come to a connection.
    pub(super) fn take_for_the_late(&mut self, number: usize, vacancy: Vacancy<'_>) -> Taken {
        if self.queue.total() > 0 && self.crew.member(number).is_some_and(Member::is_idle) {
            for bins in self.crew.late(Instant::now()) {
                match self.queue.take(bins, vacancy) {
                    Taken::Nothing => {}
                    taken => return taken,
                }
            }
        }
        Taken::Nothing
    }
}
