//! The bytes that came in on one connection: one bounded buffer, the moment of the last read, and a position
//! that counts every octet since the connection was opened.

use super::End;
use super::counters::Counters;
use super::server::Shared;
use std::io::{ErrorKind, Read};
use std::mem::MaybeUninit;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Instant;

/// The buffer; far more than the longest command line.
const BUFFER: usize = 64 << 10;

/// Unread input.
#[derive(Debug)]
pub(super) struct Input {
    stream: Arc<TcpStream>,
    shared: Arc<Shared>,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    position: u64,
    at: Instant,
}

impl Input {
    pub(super) fn new(stream: Arc<TcpStream>, shared: Arc<Shared>) -> Input {
        let buffer = vec![0; BUFFER].into_boxed_slice();
        Input { stream, shared, buffer, start: 0, end: 0, position: 0, at: Instant::now() }
    }

    /// What was received and not consumed.
    pub(super) fn buffered(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Octets consumed since the connection was opened.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// When the last of it was received.
    pub(super) fn at(&self) -> Instant {
        self.at
    }

    pub(super) fn consume(&mut self, octets: usize) {
        self.start += octets;
        self.position += octets as u64;
    }

    /// Waits for more. The buffer must not be full.
    pub(super) fn fill(&mut self) -> Result<(), End> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let most = self.shared.line.as_ref().map_or(BUFFER, |line| line.quantum());
        let room = &mut self.buffer[self.end..];
        let most = most.min(room.len());
        let octets = read(&self.stream, &mut room[..most])?;
        Counters::many(&self.shared.counters.octets, octets as u64);
        self.end += octets;
        if let Some(line) = &self.shared.line
            && !self.shared.halt.sleep_until(line.carry(octets))
        {
            return Err(End::Halted);
        }
        self.at = Instant::now();
        Ok(())
    }

    /// Whether there is input that nobody has read.
    pub(super) fn has_unread(&self) -> bool {
        let mut byte = [MaybeUninit::uninit()];
        let kernel = socket2::SockRef::from(&*self.stream);
        let peeked = kernel.recv_with_flags(&mut byte, libc::MSG_PEEK | libc::MSG_DONTWAIT);
        !self.buffered().is_empty() || peeked.is_ok_and(|octets| octets > 0)
    }
}

fn read(mut stream: &TcpStream, room: &mut [u8]) -> Result<usize, End> {
    loop {
        match stream.read(room) {
            Ok(0) => return Err(End::Peer),
            Ok(octets) => return Ok(octets),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Err(End::Idle);
            }
            Err(_) => return Err(End::Broken),
        }
    }
}
