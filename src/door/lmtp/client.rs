//! One connected client as bytes: a UNIX socket, a TCP socket, or the standard streams.
//!
//! Everything that waits on a client waits in `poll(2)` beside something else (shutdown, a report), so this is all a
//! session needs: read, write, and look. No SMTP here.

use crate::net::{self, Interest, Watch};
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// What there is to see on a client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// What was looked for: that a read would not wait ([`Interest::Read`]), that the client has closed its sending
    /// side though bytes may be left to read ([`Interest::End`]), or that it is gone altogether ([`Interest::HangUp`]).
    pub found: bool,
    /// The other descriptor is readable.
    pub other: bool,
}

/// A connected client.
pub trait Client: Send {
    /// Bytes from the client; 0 at the end.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Bytes to the client, all of them.
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Waits until there is something to see: what is looked for, or `other` being readable. Nothing seen means that
    /// `patience` ran out (`None`: it never does).
    fn look(&self, interest: Interest, other: BorrowedFd<'_>, patience: Option<Duration>) -> io::Result<Seen>;
}

impl Client for UnixStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Read::read(self, buffer)
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        Write::write_all(self, bytes)
    }

    fn look(&self, interest: Interest, other: BorrowedFd<'_>, patience: Option<Duration>) -> io::Result<Seen> {
        look(self.as_fd(), interest, other, patience)
    }
}

impl Client for TcpStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Read::read(self, buffer)
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        Write::write_all(self, bytes)
    }

    fn look(&self, interest: Interest, other: BorrowedFd<'_>, patience: Option<Duration>) -> io::Result<Seen> {
        look(self.as_fd(), interest, other, patience)
    }
}

/// The standard streams, unbuffered (a program that inetd, spawn(8) or a test started).
#[derive(Debug)]
pub struct Stdio {
    input: File,
    output: File,
}

impl Stdio {
    /// Standard input and output of this process.
    pub fn new() -> io::Result<Stdio> {
        let input = io::stdin().as_fd().try_clone_to_owned()?.into();
        let output = io::stdout().as_fd().try_clone_to_owned()?.into();
        Ok(Stdio { input, output })
    }
}

impl Client for Stdio {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.input.read(buffer)
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.output.write_all(bytes)
    }

    fn look(&self, interest: Interest, other: BorrowedFd<'_>, patience: Option<Duration>) -> io::Result<Seen> {
        look(self.input.as_fd(), interest, other, patience)
    }
}

fn look(
    client: BorrowedFd<'_>,
    interest: Interest,
    other: BorrowedFd<'_>,
    patience: Option<Duration>,
) -> io::Result<Seen> {
    let mut watches = [Watch::new(client, interest), Watch::new(other, Interest::Read)];
    net::poll(&mut watches, patience.map(|patience| Instant::now() + patience))?;
    Ok(Seen { found: watches[0].is_ready(), other: watches[1].is_ready() })
}
