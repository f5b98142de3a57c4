//! Several addresses, one connection: the attempts run side by side with head starts, the first to connect wins
//! (RFC 8305 section 5). Non-blocking connects and one poll(2); no thread.

use super::error::without_number;
use super::{Attempt, DialOptions};
use crate::net::sys::{self, Interest, Watch};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// No budget is longer, so that the clock cannot overflow.
pub(super) const LONGEST: Duration = Duration::from_secs(24 * 3600);

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
    /// What could not be set on a socket, once each.
    pub(super) refused_options: Vec<String>,
}

impl<'a> Race<'a> {
    /// All attempts share the budget in `options`, which begins now.
    pub(super) fn new(addresses: Vec<SocketAddr>, options: &'a DialOptions<'a>, head_start: Duration) -> Race<'a> {
        let now = Instant::now();
        let ends = now + options.budget.min(LONGEST);
        let (waiting, running, failed, refused_options) = (addresses.into(), Vec::new(), Vec::new(), Vec::new());
        Race { options, head_start, ends, next_start: now, waiting, running, failed, refused_options }
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
            match self.begin(address) {
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

    /// Starts one connect.
    fn begin(&mut self, address: SocketAddr) -> io::Result<Socket> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        self.shape(&socket, address);
        if let Some(source) = self.options.source_address {
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

    /// Sets how the packets are to behave, from the first on. A kernel that has no such thing does not hinder the
    /// connection.
    fn shape(&mut self, socket: &Socket, address: SocketAddr) {
        let marked = self.options.dscp.map(|point| (mark(socket, address, point), format!("dscp {point}")));
        let control = |name: &str| (socket.set_tcp_congestion(name.as_bytes()), format!("congestion control {name}"));
        for (done, what) in marked.into_iter().chain(self.options.congestion.map(control)) {
            let refused = done.err().map(|error| format!("{what} is not to be had: {}", without_number(&error)));
            self.refused_options.extend(refused.filter(|text| !self.refused_options.contains(text)));
        }
    }

    fn give_up(&mut self, why: Lost) -> Lost {
        self.failed.extend(self.running.drain(..).map(|(_, address)| Attempt { address, error: None }));
        why
    }
}

/// Marks the packets with a code point: the upper six bits of the IPv4 TOS or the IPv6 traffic class.
fn mark(socket: &Socket, address: SocketAddr, code_point: u8) -> io::Result<()> {
    let field = u32::from(code_point) << 2;
    if address.is_ipv4() { socket.set_tos_v4(field) } else { socket.set_tclass_v6(field) }
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
