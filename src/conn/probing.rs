//! A look at a server over a connection that carries no message, for `pipelane probe`.

use super::aboard::Token;
use super::drive::Connection;
use crate::smtp::{Session, Want};

impl<T: Token> Connection<T> {
    /// Makes the honesty probe without a message and waits for what it shows, then a moment for a reply too many.
    /// `None` where it is not to be made: CHUNKING is not offered, or what is known already decides.
    pub fn probe(&mut self) -> Option<bool> {
        if !self.session.probe() {
            return None;
        }
        loop {
            match self.session.want() {
                Want::Write => self.line.write(&mut self.session, usize::MAX, None),
                Want::Read => self.line.read(&mut self.session, None),
                _ => break,
            }
        }
        let honest = |session: &Session| session.is_honest_so_far() && session.closed().is_none();
        Some(honest(&self.session) && self.line.is_silent(&mut self.session) && honest(&self.session))
    }

    /// Says QUIT and closes, after a probe.
    pub fn leave(mut self) {
        self.session.quit();
        while self.session.want() == Want::Write {
            self.line.write(&mut self.session, usize::MAX, None);
        }
        self.line.hang_up();
    }
}
