//! The dialogue's two buffers over a [`Client`]: command lines in, replies out, content as raw bytes.
//!
//! Promises: only CRLF ends a command line (a bare LF taken for one is how commands are smuggled); a line is at most
//! [`MAX_LINE`] octets, a longer one is skipped to its end and told once; at most [`INPUT_BOUND`] octets are held
//! unread; replies leave before anything waits for the client.

use super::super::Reply;
use super::client::{Client, Seen};
use crate::net::{Interest, Wake};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The most octets of a command line, CRLF included: RCPT with ORCPT and an address of full length fits twice.
pub const MAX_LINE: usize = 4096;

/// The most octets that are held unread for one client.
pub const INPUT_BOUND: usize = 64 * 1024;

/// How a session ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The client is not there any more; there is nobody to tell.
    Gone,
    /// The last reply was made; it goes out, and the connection is closed.
    Bye,
}

/// What came of waiting for bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Filled {
    /// There are more bytes than before.
    More,
    /// The door is being closed.
    Stopping,
    /// Nothing came in time.
    TimedOut,
}

/// A command line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Without CRLF and without any control character.
    Whole(Vec<u8>),
    /// Not to be looked at; the reason for the client.
    Unusable(&'static str),
}

/// Says to every session of a door that it closes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Stop {
    requested: Arc<AtomicBool>,
    wake: Wake,
}

impl Stop {
    /// Not requested yet. Fails when the process has no descriptor left.
    pub fn new() -> std::io::Result<Stop> {
        Ok(Stop { requested: Arc::default(), wake: Wake::new()? })
    }

    /// Requests it, for good.
    pub fn request(&self) {
        self.requested.store(true, Ordering::Release);
        self.wake.signal();
    }

    /// Whether it was requested.
    pub fn is_requested(&self) -> bool {
        self.requested.load(Ordering::Acquire)
    }

    pub(super) fn wake(&self) -> &Wake {
        &self.wake
    }
}

/// Buffered input and output of one client.
pub(super) struct Wire<C> {
    client: C,
    stop: Stop,
    input: Vec<u8>,
    start: usize,
    end: usize,
    skipping: bool,
    /// The client has said QUIT and closed its sending side; it still reads.
    half_closed: bool,
    output: Vec<u8>,
}

impl<C: Client> Wire<C> {
    pub(super) fn new(client: C, stop: Stop) -> Wire<C> {
        Wire {
            client,
            stop,
            input: Vec::new(),
            start: 0,
            end: 0,
            skipping: false,
            half_closed: false,
            output: Vec::new(),
        }
    }

    /// Whether the door is being closed.
    pub(super) fn is_stopping(&self) -> bool {
        self.stop.is_requested()
    }

    /// Bytes that were read and not used.
    pub(super) fn buffered(&self) -> &[u8] {
        &self.input[self.start..self.end]
    }

    /// Marks buffered bytes as used.
    pub(super) fn consume(&mut self, octets: usize) {
        self.start += octets;
        debug_assert!(self.start <= self.end);
    }

    /// The next command line, if all of it is buffered.
    pub(super) fn line(&mut self) -> Option<Line> {
        let Some(length) = memchr::memmem::find(self.buffered(), b"\r\n") else {
            self.skip_overlong();
            return None;
        };
        let line = self.buffered()[..length].to_vec();
        self.consume(length + 2);
        if std::mem::take(&mut self.skipping) || length + 2 > MAX_LINE {
            return Some(Line::Unusable("the line is over 4096 octets"));
        }
        Some(match line.iter().any(u8::is_ascii_control) {
            true => Line::Unusable("the line holds a control character; lines end in CRLF and nothing else"),
            false => Line::Whole(line),
        })
    }

    /// Throws away the beginning of a line that is already too long; a CR that may be half of its end stays.
    fn skip_overlong(&mut self) {
        let held = self.buffered();
        if self.skipping || held.len() >= MAX_LINE {
            let used = held.len() - usize::from(held.last() == Some(&b'\r'));
            self.skipping = true;
            self.consume(used);
        }
    }

    /// Takes in what is there without waiting, and tells whether it was anything.
    pub(super) fn more(&mut self) -> Result<bool, End> {
        if !self.has_space() {
            return Ok(false);
        }
        let seen = self.look(Interest::Read, &self.stop.wake, Some(Duration::ZERO))?;
        // The end is left for the read that waits: what came before it is answered first.
        Ok(seen.found && self.read()? > 0)
    }

    /// Sends what is to be sent, then waits for bytes.
    pub(super) fn fill(&mut self, patience: Duration) -> Result<Filled, End> {
        self.flush()?;
        let seen = self.look(Interest::Read, &self.stop.wake, Some(patience))?;
        if seen.other {
            return Ok(Filled::Stopping);
        }
        match seen.found {
            true if self.read()? == 0 => Err(End::Gone),
            true => Ok(Filled::More),
            false => Ok(Filled::TimedOut),
        }
    }

    /// Waits until `wake` is signalled or `patience` is over. A client that goes away meanwhile ends the wait and the
    /// session: its message was not answered, and it will hand it over again. What is to be sent stays.
    ///
    /// A client that has sent QUIT before it closed its sending side has not gone away: Exim does so with its last
    /// message.
    pub(super) fn watch(&mut self, wake: &Wake, patience: Option<Duration>) -> Result<(), End> {
        loop {
            let interest = match (self.half_closed, self.has_space()) {
                (true, _) => Interest::HangUp,
                (false, true) => Interest::Read,
                (false, false) => Interest::End,
            };
            let seen = self.look(interest, wake, patience)?;
            if seen.found && interest != Interest::Read {
                return Err(End::Gone);
            }
            if seen.found && self.read()? == 0 {
                self.half_closed = self.ends_with_quit();
                if !self.half_closed {
                    return Err(End::Gone);
                }
            }
            if seen.other || !seen.found {
                return Ok(());
            }
        }
    }

    /// Whether the last whole line held is QUIT and nothing is behind it.
    fn ends_with_quit(&self) -> bool {
        let Some(lines) = self.buffered().strip_suffix(b"\r\n") else { return false };
        let last = lines.rsplit(|byte| *byte == b'\n').next().unwrap_or(lines);
        last.trim_ascii().eq_ignore_ascii_case(b"QUIT")
    }

    /// Adds a reply to what is to be sent.
    pub(super) fn tell(&mut self, reply: &Reply) -> Result<(), End> {
        let mut line = Vec::new();
        reply.write_to(&mut line);
        self.say(&line)
    }

    /// Adds to what is to be sent; sent at once when it has grown large.
    pub(super) fn say(&mut self, bytes: &[u8]) -> Result<(), End> {
        self.output.extend_from_slice(bytes);
        if self.output.len() >= INPUT_BOUND { self.flush() } else { Ok(()) }
    }

    /// Whether replies were made that are not sent yet.
    pub(super) fn has_unsent(&self) -> bool {
        !self.output.is_empty()
    }

    /// Sends what is to be sent.
    pub(super) fn flush(&mut self) -> Result<(), End> {
        if self.output.is_empty() {
            return Ok(());
        }
        let sent = self.client.write_all(&self.output);
        self.output.clear();
        sent.map_err(|_| End::Gone)
    }

    fn has_space(&self) -> bool {
        self.buffered().len() < INPUT_BOUND
    }

    fn look(&self, interest: Interest, other: &Wake, patience: Option<Duration>) -> Result<Seen, End> {
        self.client.look(interest, other.fd(), patience).map_err(|_| End::Gone)
    }

    /// Reads once behind what is held. The buffer begins small, for the many clients that only wait, and grows while a
    /// client fills it.
    fn read(&mut self) -> Result<usize, End> {
        self.input.copy_within(self.start..self.end, 0);
        self.end -= std::mem::take(&mut self.start);
        if self.end == self.input.len() {
            self.input.resize((self.end * 2).clamp(MAX_LINE, INPUT_BOUND), 0);
        }
        loop {
            match self.client.read(&mut self.input[self.end..]) {
                Ok(octets) => {
                    self.end += octets;
                    return Ok(octets);
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return Err(End::Gone),
            }
        }
    }
}
