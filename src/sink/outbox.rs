//! Replies on their way out of one connection: a bounded queue in order of their due times, and the loop of the
//! thread that writes each when it is due.
//!
//! Replies that are due at the same moment leave in one write, as long as the personality allows it. A reply counts as
//! written just
//! *before* it is handed to the kernel, so that whoever reads it and answers at once is never taken for someone who
//! did not wait.

use super::counters::Risen;
use crate::sync::{Condvar, Mutex};
use std::collections::VecDeque;
use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Octets of replies that may wait; beyond them the reader waits, as any server's would.
const MAX_WAITING: usize = 1 << 20;

/// One reply.
#[derive(Debug)]
pub(super) struct Piece {
    pub due: Instant,
    pub bytes: Vec<u8>,
    /// Keeps the message that this answers in flight.
    pub message: Option<Risen>,
}

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    state: Mutex<State>,
    changed: Condvar,
    written: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Piece>,
    octets: usize,
    finished: bool,
    abandoned: bool,
}

impl Outbox {
    /// Adds replies; waits while the queue is full.
    pub(super) fn push(&self, pieces: Vec<Piece>) {
        let mut state = self.state.lock();
        for piece in pieces {
            while state.octets > MAX_WAITING && !state.abandoned {
                self.changed.notify_all();
                self.changed.wait(&mut state);
            }
            if state.abandoned {
                return;
            }
            state.octets += piece.bytes.len();
            state.queue.push_back(piece);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// How many replies have been handed to the kernel.
    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::SeqCst)
    }

    /// Nothing more will come: the writer ends when all is written.
    pub(super) fn finish(&self) {
        self.state.lock().finished = true;
        self.changed.notify_all();
    }

    /// The writer ends at once and what waits is thrown away.
    pub(super) fn abandon(&self) {
        let mut state = self.state.lock();
        state.abandoned = true;
        state.queue.clear();
        state.octets = 0;
        drop(state);
        self.changed.notify_all();
    }

    /// The writer's loop.
    pub(super) fn run(&self, mut stream: &TcpStream, one_by_one: bool) {
        while let Some(batch) = self.next(one_by_one) {
            if stream.write_all(&batch).is_err() {
                self.abandon();
            }
        }
    }

    /// Waits for replies to be due and takes them.
    fn next(&self, one_by_one: bool) -> Option<Vec<u8>> {
        let mut state = self.state.lock();
        loop {
            if state.abandoned {
                return None;
            }
            let now = Instant::now();
            match state.queue.front().map(|piece| piece.due) {
                Some(due) if due <= now => return Some(self.take(&mut state, now, one_by_one)),
                Some(due) => {
                    self.changed.wait_until(&mut state, due);
                }
                None if state.finished => return None,
                None => self.changed.wait(&mut state),
            }
        }
    }

    fn take(&self, state: &mut State, now: Instant, one_by_one: bool) -> Vec<u8> {
        let mut batch = Vec::new();
        while state.queue.front().is_some_and(|piece| piece.due <= now) {
            let Some(Piece { bytes, message, .. }) = state.queue.pop_front() else { break };
            state.octets -= bytes.len();
            batch.extend_from_slice(&bytes);
            // The message is in flight no more.
            drop(message);
            self.written.fetch_add(1, Ordering::SeqCst);
            if one_by_one {
                break;
            }
        }
        self.changed.notify_all();
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn piece(text: &str, due: Instant) -> Piece {
        Piece { due, bytes: text.into(), message: None }
    }

    #[test]
    fn what_is_due_together_leaves_together() {
        let (outbox, now) = (Outbox::default(), Instant::now());
        let later = now + Duration::from_millis(20);
        outbox.push(vec![piece("a", now), piece("b", now), piece("c", later)]);
        outbox.finish();
        assert_eq!(outbox.next(false).as_deref(), Some(&b"ab"[..]));
        assert_eq!(outbox.written(), 2);
        assert_eq!(outbox.next(false).as_deref(), Some(&b"c"[..]));
        assert!(Instant::now() >= later);
        assert_eq!(outbox.next(false), None);
    }

    #[test]
    fn replies_leave_one_by_one_if_so_wished() {
        let (outbox, now) = (Outbox::default(), Instant::now());
        outbox.push(vec![piece("a", now), piece("b", now)]);
        assert_eq!(outbox.next(true).as_deref(), Some(&b"a"[..]));
        assert_eq!(outbox.written(), 1);
    }

    #[test]
    fn an_abandoned_outbox_says_nothing_and_holds_nobody_up() {
        let (outbox, far) = (Outbox::default(), Instant::now() + Duration::from_secs(600));
        outbox.push(vec![piece("a", far)]);
        outbox.abandon();
        assert_eq!(outbox.next(false), None);
        outbox.push(vec![piece(&"x".repeat(MAX_WAITING), far), piece("y", far), piece("z", far)]);
        assert_eq!(outbox.written(), 0);
    }
}
