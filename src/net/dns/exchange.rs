//! One question to one server, over UDP, and over TCP when the answer does not fit (RFC 1035 4.2, RFC 7766).
//!
//! Promises: each question has a socket of its own, and so a port that nobody can foresee, next to an identifier from
//! the kernel's random numbers (RFC 5452); the socket is connected, so that the kernel lets through only what comes
//! from the server's address. What comes and is no answer to the question is passed over until the time is up. The
//! wait ends when its moment has come or its wake is signalled. Nothing is remembered.

use super::answer::Type;
use super::message::{Heard, Question};
use super::{Name, Server};
use crate::net::sys::{self, Interest, Watch};
use crate::net::{DialErrorKind, DialOptions, Target, Wake, dial_addresses};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

/// More than any server sends in answer to [`super::message::PAYLOAD`]. What is longer is cut and then broken.
const DATAGRAM: usize = 4096;

/// How long to wait.
#[derive(Debug, Clone, Copy)]
pub struct Wait<'a> {
    /// Until then.
    pub until: Instant,
    /// Gives up as soon as this is signalled. It is left so.
    pub wake: Option<&'a Wake>,
}

impl Wait<'_> {
    /// Whether it is of no use to begin anything.
    pub(super) fn is_over(&self) -> bool {
        self.is_interrupted() || Instant::now() >= self.until
    }

    pub(super) fn is_interrupted(&self) -> bool {
        self.wake.is_some_and(Wake::is_signalled)
    }

    /// Waits until the descriptor is ready.
    fn poll(&self, fd: BorrowedFd<'_>, interest: Interest) -> Result<(), Trouble> {
        let watch = Watch::new(fd, interest);
        let found = match self.wake {
            Some(wake) => sys::poll(&mut [watch, Watch::new(wake.fd(), Interest::Read)], Some(self.until)),
            None => sys::poll(&mut [watch], Some(self.until)),
        };
        match found? {
            _ if self.is_interrupted() => Err(Trouble::Interrupted),
            0 => Err(Trouble::Silence),
            _ => Ok(()),
        }
    }
}

/// Why a server gave no answer.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It did not say anything in time; it may another time.
    Silence,
    /// The wake was signalled.
    Interrupted,
    /// This happened.
    Because(String),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Trouble {
        let text = error.to_string();
        // "(os error 111)" says nothing to people.
        Trouble::Because(text.split(" (os error").next().unwrap_or_default().to_owned())
    }
}

/// Asks.
pub(super) fn ask(server: &Server, name: &Name, of: Type, wait: &Wait<'_>) -> Result<Heard, Trouble> {
    let heard = once(server, name, of, true, wait)?;
    if heard != Heard::NoEdns {
        return Ok(heard);
    }
    match once(server, name, of, false, wait)? {
        Heard::NoEdns => Err(Trouble::Because("the name server does not understand the question".into())),
        heard => Ok(heard),
    }
}

fn once(server: &Server, name: &Name, of: Type, edns: bool, wait: &Wait<'_>) -> Result<Heard, Trouble> {
    let random = getrandom::u32().map_err(|error| Trouble::Because(format!("no random numbers: {error}")))?;
    let question = Question { id: random as u16, name, of, edns };
    let unfit = || Trouble::Because("the name is too long for DNS".into());
    let octets = question.octets().ok_or_else(unfit)?;
    match over_udp(server.address, &question, &octets, wait)? {
        Heard::Truncated => over_tcp(server.address, &question, &octets, wait),
        heard => Ok(heard),
    }
}

fn over_udp(server: SocketAddr, question: &Question<'_>, octets: &[u8], wait: &Wait<'_>) -> Result<Heard, Trouble> {
    let socket = match server {
        SocketAddr::V4(_) => UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?,
        SocketAddr::V6(_) => UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?,
    };
    socket.connect(server)?;
    socket.set_nonblocking(true)?;
    socket.send(octets)?;
    let mut buffer = [0; DATAGRAM];
    loop {
        wait.poll(socket.as_fd(), Interest::Read)?;
        let length = match socket.recv(&mut buffer) {
            Ok(length) => length,
            Err(error) if is_passing(&error) => continue,
            Err(error) => return Err(error.into()),
        };
        if let Some(heard) = question.read(&buffer[..length]) {
            return Ok(heard);
        }
    }
}

fn over_tcp(server: SocketAddr, question: &Question<'_>, octets: &[u8], wait: &Wait<'_>) -> Result<Heard, Trouble> {
    let stream = connect(server, wait)?;
    let mut message = (octets.len() as u16).to_be_bytes().to_vec();
    message.extend_from_slice(octets);
    let mut sent = 0;
    while sent < message.len() {
        wait.poll(stream.as_fd(), Interest::Write)?;
        match sys::send(&stream, &message[sent..]) {
            Ok(n) => sent += n,
            Err(error) if is_passing(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let mut length = [0; 2];
    fill(&stream, &mut length, wait)?;
    let mut reply = vec![0; u16::from_be_bytes(length).into()];
    fill(&stream, &mut reply, wait)?;
    match question.read(&reply) {
        None | Some(Heard::Truncated) => Err(Trouble::Because("the name server's answer over TCP is broken".into())),
        Some(heard) => Ok(heard),
    }
}

fn connect(server: SocketAddr, wait: &Wait<'_>) -> Result<TcpStream, Trouble> {
    let host = server.ip().to_string();
    let budget = wait.until.saturating_duration_since(Instant::now());
    let options = DialOptions { wake: wait.wake, ..DialOptions::new(budget) };
    let target = Target { host: &host, port: server.port() };
    let dialled = dial_addresses(&target, vec![server], &options).map_err(|error| match error.kind {
        DialErrorKind::Interrupted => Trouble::Interrupted,
        DialErrorKind::TimedOut(_) => Trouble::Silence,
        _ => Trouble::Because(error.to_string()),
    })?;
    Ok(dialled.stream)
}

/// Reads until the buffer is full.
fn fill(stream: &TcpStream, buffer: &mut [u8], wait: &Wait<'_>) -> Result<(), Trouble> {
    let mut have = 0;
    while have < buffer.len() {
        wait.poll(stream.as_fd(), Interest::Read)?;
        match sys::recv(stream, &mut buffer[have..]) {
            Ok(0) => return Err(Trouble::Because("the name server closed the connection".into())),
            Ok(n) => have += n,
            Err(error) if is_passing(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Whether to wait again: a datagram with a wrong checksum wakes poll(2) and is gone.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
