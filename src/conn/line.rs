//! The socket's side of a connection: one write, one read or one wait at a time, each with its bound.
//!
//! A read waits as long as the oldest unanswered command may take (RFC 5321 section 4.5.3.2), counted from the last
//! reply or the last octet written, and anew while a slow line still carries octets to the peer. A write waits for
//! `data_transfer` without progress, in slices, so that a stop is noticed in between. What the server said before it
//! closed is read before a fault is told to the session. It decides nothing else.

use super::yielding::Traffic;
use crate::config::Timeouts;
use crate::net::tls::{Agreed, Connector, Handshake, Stream, TlsError};
use crate::net::{Duplex, Path, Wake};
use crate::smtp::{Session, Stage};
use crate::sync::{LONGEST, after};
use std::io;
use std::time::{Duration, Instant};

/// A write that waits looks this often whether it is to stop.
const SLICE: Duration = Duration::from_millis(500);
/// The least time that a server is given to answer the RSET behind a final dot, once the dot is answered. Both replies
/// are due together; where only the RSET is at stake that is soon, where an envelope rides with it a server under load
/// has longer.
const PROOF: Duration = Duration::from_secs(1);
const OVERLAP: Duration = Duration::from_secs(5);
/// Octets read at once, and content read at once.
const BUFFER: usize = 64 * 1024;

/// A socket with its clocks.
#[derive(Debug)]
pub(super) struct Line {
    stream: Stream,
    /// Signalled when there is news for the lane.
    news: Wake,
    timeouts: Timeouts,
    /// When the server last answered or took octets.
    heard: Instant,
    /// When a write that waits has waited for too long.
    write_due: Option<Instant>,
    /// Octets written since the connection was made.
    written: u64,
    /// Octets not acknowledged by the peer when the wait for a reply began.
    unacknowledged: Option<usize>,
    /// The time that the reply to EHLO took.
    pub round_trip: Duration,
    /// For octets on their way in either direction.
    pub buffer: Vec<u8>,
}

impl Line {
    pub fn new(duplex: Duplex, news: Wake, timeouts: Timeouts) -> Line {
        Line {
            stream: Stream::Clear(duplex),
            news,
            timeouts,
            heard: Instant::now(),
            write_due: None,
            written: 0,
            unacknowledged: None,
            round_trip: Duration::ZERO,
            buffer: vec![0; BUFFER],
        }
    }

    /// Writes some of the session's output, at most so many octets. `ends`: when all is given up.
    pub fn write(&mut self, session: &mut Session, most: usize, ends: Option<Instant>) {
        let due = *self.write_due.get_or_insert_with(|| after(self.timeouts.data_transfer));
        let slice = [Some(Instant::now() + SLICE), Some(due), ends].into_iter().flatten().min();
        self.stream.set_deadline(slice);
        let output = session.output();
        match self.stream.write(output, most) {
            Ok(octets) => {
                session.wrote(octets);
                self.written += octets as u64;
                self.heard = Instant::now();
                self.write_due = None;
                self.unacknowledged = None;
                self.take_replies(session);
            }
            Err(error) if is_waiting(&error) => {
                self.take_replies(session);
                self.judge_wait(session, due, ends);
            }
            // A write error is not yet the verdict: what the server said before it closed is read first.
            Err(error) => {
                self.take_replies(session);
                session.lost(&describe(&error));
            }
        }
    }

    /// Writes nothing until that time, or until there is news. What the server says meanwhile is taken.
    pub fn pause(&mut self, session: &mut Session, until: Instant, ends: Option<Instant>) {
        let until = ends.map_or(until, |end| end.min(until));
        if self.wait(session, until) == Some(true) && is_past(ends) {
            session.lost("pipelane is stopping");
        }
    }

    /// How much is on its way, and how fast it may go.
    pub fn traffic(&self) -> Traffic {
        let path = self.stream.path();
        let rate = |path: Path| path.window as f64 / path.round_trip.as_secs_f64().max(1e-6);
        Traffic {
            written: self.written,
            unacknowledged: self.stream.unsent().unwrap_or(0) as u64,
            window_rate: path.map(rate),
            round_trip: path.map_or(Duration::ZERO, |path| path.round_trip),
        }
    }

    /// Nothing could be written: whether that has gone on for too long.
    fn judge_wait(&mut self, session: &mut Session, due: Instant, ends: Option<Instant>) {
        if is_past(ends) {
            session.lost("pipelane is stopping");
        } else if is_past(Some(due)) {
            session.lost("the server took no data in time");
        }
    }

    /// Takes the replies that are here, without waiting.
    fn take_replies(&mut self, session: &mut Session) {
        while session.closed().is_none() && !session.awaits_handshake() {
            match self.stream.try_read(&mut self.buffer) {
                Ok(None) => return,
                Ok(Some(0)) => session.lost("the server closed the connection"),
                Ok(Some(octets)) => {
                    self.heard = Instant::now();
                    session.input(&self.buffer[..octets]);
                }
                Err(error) => session.lost(&describe(&error)),
            }
        }
    }

    /// Waits for the server as long as the oldest unanswered command may take, or until there is news.
    pub fn read(&mut self, session: &mut Session, ends: Option<Instant>) {
        if self.unacknowledged.is_none() {
            self.unacknowledged = self.stream.unsent().ok();
        }
        let due = self.heard + self.patience(session.stage());
        let until = ends.map_or(due, |end| end.min(due));
        let Some(timed_out) = self.wait(session, until) else { return };
        if timed_out && is_past(ends) {
            session.lost("pipelane is stopping");
        } else if timed_out && !self.is_moving(session.stage()) {
            session.timed_out();
        }
    }

    /// Nothing to do: waits for news, for the server's farewell, for the time to look `again`, or for the end of the
    /// patience with an idle connection, which began at `since`.
    pub fn idle(&mut self, session: &mut Session, since: Instant, again: Option<Instant>) {
        let end = since + self.timeouts.idle.min(LONGEST);
        let until = again.map_or(end, |again| again.min(end));
        if self.wait(session, until) == Some(true) && is_past(Some(end)) {
            session.quit();
        }
    }

    /// Listens for a moment, as long as for the RSET behind a dot, whether anything more comes; `true`: nothing did.
    pub fn is_silent(&mut self, session: &mut Session) -> bool {
        let until = after(self.patience(Some(Stage::Proof)));
        self.stream.set_deadline(None);
        let silent = matches!(self.stream.wait(None, Some(until)), Ok(ready) if ready.timed_out);
        self.take_replies(session);
        silent
    }

    /// Waits until something can be read, which is then read, or there is news. `Some(true)`: the time is over.
    fn wait(&mut self, session: &mut Session, until: Instant) -> Option<bool> {
        self.stream.set_deadline(None);
        let ready = match self.stream.wait(Some(&self.news), Some(until)) {
            Ok(ready) => ready,
            Err(error) => {
                session.lost(&describe(&error));
                return None;
            }
        };
        if ready.woken {
            // Cleared before the queue is looked at: what comes after that signals again.
            self.news.clear();
        }
        if ready.readable {
            self.take_replies(session);
        }
        // Past the time is past the time, also where news comes in all the while.
        Some(!ready.readable && is_past(Some(until)))
    }

    /// On a slow line a command may not have arrived yet: the clock starts anew with the last octets that the peer has
    /// acknowledged, or, over a UNIX socket, where nobody knows when that was, read. Whether that leaves it time.
    fn is_moving(&mut self, stage: Option<Stage>) -> bool {
        let left = self.stream.unsent().unwrap_or(0);
        let before = self.unacknowledged.replace(left).unwrap_or(0);
        if left >= before || stage == Some(Stage::Proof) {
            return false;
        }
        let (now, ago) = (Instant::now(), self.stream.path().map_or(Duration::ZERO, |path| path.acknowledged));
        self.heard = now.checked_sub(ago).map_or(self.heard, |then| then.max(self.heard));
        now < self.heard + self.patience(stage)
    }

    fn patience(&self, stage: Option<Stage>) -> Duration {
        let timeouts = &self.timeouts;
        let patience = match stage {
            Some(Stage::Greeting | Stage::Auth) => timeouts.greeting,
            Some(Stage::StartTls) => timeouts.starttls,
            Some(Stage::Reset) => timeouts.rset,
            Some(Stage::Overlap) => timeouts.rset.min(OVERLAP.max(3 * self.round_trip)),
            Some(Stage::Proof) => PROOF.max(3 * self.round_trip),
            Some(Stage::Mail) => timeouts.mail,
            Some(Stage::Rcpt) => timeouts.rcpt,
            Some(Stage::Data) => timeouts.data_init,
            Some(Stage::Content) => timeouts.data_done,
            None => timeouts.idle,
        };
        patience.min(LONGEST)
    }

    /// The same line, encrypted.
    pub fn secured(self, connector: &dyn Connector, how: &Handshake<'_>) -> Result<Line, TlsError> {
        let stream = self.stream.secured(connector, how)?;
        Ok(Line { stream, heard: Instant::now(), ..self })
    }

    /// What its handshake came to, if it is.
    pub fn agreed(&self) -> Option<Agreed> {
        self.stream.agreed()
    }

    /// Takes what came in clear while the session waits for the handshake: the session ends by it. An end of the
    /// connection is left for the handshake to find.
    pub fn listen_in_clear(&mut self, session: &mut Session) {
        if let Ok(Some(octets)) = self.stream.try_read(&mut self.buffer) {
            session.input(&self.buffer[..octets]);
        }
    }

    /// Ends the connection in good order; an encrypted one says so.
    pub fn hang_up(mut self) {
        self.stream.farewell();
    }

    /// Ends the connection with a reset.
    pub fn abort(self) {
        self.stream.abort();
    }
}

/// Whether the moment has come.
fn is_past(end: Option<Instant>) -> bool {
    end.is_some_and(|end| Instant::now() >= end)
}

/// Whether a write has only not gone on: the server must be read first, or a deadline of ours has passed.
fn is_waiting(error: &io::Error) -> bool {
    let ours = error.kind() == io::ErrorKind::TimedOut && error.raw_os_error().is_none();
    ours || error.kind() == io::ErrorKind::WouldBlock
}

/// A socket error in words.
fn describe(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => "the server reset the connection".into(),
        _ => format!("the connection failed: {error}"),
    }
}
