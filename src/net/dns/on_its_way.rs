//! Questions that are on their way, so that the same one is not asked by many threads at a time: each of them would be
//! one more that a forged answer may fit (RFC 5452 section 5).
//!
//! Promises: one thread asks, the others wait for what it is told, each until its own moment and no longer. Who gives
//! up because of its own moment has learnt nothing for others: one of them asks anew. A failure is told to those that
//! have waited for it, and kept for nobody.

use super::answer::{Answer, SoftFailure, Type};
use super::{Name, Wait};
use crate::sync::{Condvar, Mutex, after};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Who waits looks this often whether it is to stop.
const SLICE: Duration = Duration::from_millis(250);

/// What was learnt.
pub(super) type Told = Result<Answer, SoftFailure>;

type Key = (Name, Type);

#[derive(Debug, Default)]
pub(super) struct OnItsWay {
    questions: Mutex<HashMap<Key, Arc<Question>>>,
}

/// One of them. Any thread.
#[derive(Debug, Default)]
pub(super) struct Question {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Asked,
    Told(Told),
    GivenUp,
}

/// What a thread is to do.
pub(super) enum Part<'a> {
    Ask(Asking<'a>),
    Wait(Arc<Question>),
}

/// The duty to tell the others.
pub(super) struct Asking<'a> {
    all: &'a OnItsWay,
    key: Key,
    question: Arc<Question>,
}

impl OnItsWay {
    pub(super) fn join(&self, name: &Name, of: Type) -> Part<'_> {
        let key = (name.clone(), of);
        let mut questions = self.questions.lock();
        if let Some(question) = questions.get(&key) {
            return Part::Wait(Arc::clone(question));
        }
        let question = Arc::new(Question::default());
        questions.insert(key.clone(), Arc::clone(&question));
        Part::Ask(Asking { all: self, key, question })
    }

    /// Threads that wait for another's question.
    #[cfg(test)]
    pub(super) fn waiting(&self, name: &Name, of: Type) -> usize {
        // The map and the asker have one each.
        self.questions.lock().get(&(name.clone(), of)).map_or(0, |question| Arc::strong_count(question) - 2)
    }
}

impl Question {
    /// What was learnt; `None` when nothing was, or the wait is over.
    pub(super) fn wait(&self, wait: &Wait<'_>) -> Option<Told> {
        let mut state = self.state.lock();
        while matches!(*state, State::Asked) && !wait.is_over() {
            self.changed.wait_until(&mut state, wait.until.min(after(SLICE)));
        }
        match &*state {
            State::Told(told) => Some(told.clone()),
            State::Asked | State::GivenUp => None,
        }
    }

    /// The first word counts.
    fn settle(&self, word: State) {
        let mut state = self.state.lock();
        if matches!(*state, State::Asked) {
            *state = word;
        }
        drop(state);
        self.changed.notify_all();
    }
}

impl Asking<'_> {
    pub(super) fn tell(self, told: Told) {
        self.question.settle(State::Told(told));
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.all.questions.lock().remove(&self.key);
        self.question.settle(State::GivenUp);
    }
}
