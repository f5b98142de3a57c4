//! Several addresses, one connection: the attempts run side by side with head starts, the first to connect wins
//! (RFC 8305 section 5). Non-blocking connects and one poll(2); no thread.

use super::error::without_number;
use super::{Attempt, DialOptions};
use crate::net::sys::{self, Interest, Watch};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// No budget is longer, so that the clock cannot overflow.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// How a race ended without a winner. The attempts are in [`Race::failed`].
pub(super) enum Lost {
    AllFailed,
    TimedOut,
    Interrupted,
}

/// The attempts to one host.
pub(super) struct Race<'a> {
    options: &'a DialOptions<'a>,
    head_start: Duration,
    ends: Instant,
    next_start: Instant,
    waiting: VecDeque<SocketAddr>,
    running: Vec<(Socket, SocketAddr)>,
    pub(super) failed: Vec<Attempt>,
}

impl<'a> Race<'a> {
    /// All attempts share the budget in `options`, which begins now.
    pub(super) fn new(addresses: Vec<SocketAddr>, options: &'a DialOptions<'a>, head_start: Duration) -> Race<'a> {
        let now = Instant::now();
        let ends = now + options.budget.min(LONGEST);
        let (waiting, running, failed) = (addresses.into(), Vec::new(), Vec::new());
        Race { options, head_start, ends, next_start: now, waiting, running, failed }
    }

    /// Runs until one attempt has won or none can. The others are closed when the race is dropped.
    pub(super) fn run(&mut self) -> Result<(Socket, SocketAddr), Lost> {
        loop {
            self.start_due();
            if self.running.is_empty() {
                return Err(Lost::AllFailed);
            }
            if self.wait() {
                return Err(self.give_up(Lost::Interrupted));
            }
            if let Some(winner) = self.harvest() {
                return Ok(winner);
            }
            if Instant::now() >= self.ends {
                return Err(self.give_up(Lost::TimedOut));
            }
        }
    }

    /// Starts the attempts whose time has come; while nothing runs, that is the next one.
    fn start_due(&mut self) {
        while self.running.is_empty() || Instant::now() >= self.next_start {
            let Some(address) = self.waiting.pop_front() else { return };
            match begin(address, self.options.source_address) {
                Ok(socket) => {
                    self.running.push((socket, address));
                    self.next_start = Instant::now() + self.head_start;
                }
                Err(error) => self.failed.push(Attempt { address, error: Some(error) }),
            }
        }
    }

    /// Waits for an answer, for the next start or for the end. Whether the wake was signalled.
    fn wait(&self) -> bool {
        let until = if self.waiting.is_empty() { self.ends } else { self.ends.min(self.next_start) };
        let sockets = self.running.iter().map(|(socket, _)| Watch::new(socket.as_fd(), Interest::Write));
        let wake = self.options.wake.map(|wake| Watch::new(wake.fd(), Interest::Read));
        let mut watches: Vec<_> = wake.into_iter().chain(sockets).collect();
        // poll fails for want of kernel memory only; the next round tries again or finds the time over.
        let _ = sys::poll(&mut watches, Some(until));
        self.options.wake.is_some() && watches[0].is_ready()
    }

    /// Takes in what has been decided: the first connection made, or none. Each failure lets the next one start.
    fn harvest(&mut self) -> Option<(Socket, SocketAddr)> {
        let mut at = 0;
        while at < self.running.len() {
            let verdict = verdict(&self.running[at].0);
            if matches!(verdict, Ok(false)) {
                at += 1;
                continue;
            }
            let (socket, address) = self.running.remove(at);
            match verdict {
                Ok(_) => return Some((socket, address)),
                Err(error) => self.failed.push(Attempt { address, error: Some(error) }),
            }
            self.next_start = Instant::now();
        }
        None
    }

    fn give_up(&mut self, why: Lost) -> Lost {
        self.failed.extend(self.running.drain(..).map(|(_, address)| Attempt { address, error: None }));
        why
    }
}

/// Starts one connect.
fn begin(address: SocketAddr, source: Option<IpAddr>) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    if let Some(source) = source {
        let with_source = |error: io::Error| {
            io::Error::other(format!("cannot use the source address {source}: {}", without_number(&error)))
        };
        socket.bind(&SockAddr::from(SocketAddr::new(source, 0))).map_err(with_source)?;
    }
    match socket.connect(&SockAddr::from(address)) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(socket),
    }
}

/// Whether the socket is connected now, or how it failed.
fn verdict(socket: &Socket) -> io::Result<bool> {
    let mut watch = [Watch::new(socket.as_fd(), Interest::Write)];
    sys::poll(&mut watch, Some(Instant::now()))?;
    if !watch[0].is_ready() {
        return Ok(false);
    }
    if let Some(error) = socket.take_error()? {
        return Err(error);
    }
    // A port nobody listens on, drawn as our own local port, connects to itself (loopback only).
    if socket.local_addr()?.as_socket() == socket.peer_addr()?.as_socket() {
        return Err(io::Error::from_raw_os_error(libc::ECONNREFUSED));
    }
    Ok(true)
}
