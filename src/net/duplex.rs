//! A stream connection, TCP or of a UNIX socket, that never stands still with both directions full (RFC 2920 section
//! 3.1's deadlock).
//!
//! [`Duplex`] has the blocking [`Read`] and [`Write`] of a plain `TcpStream`, with one difference: a write that
//! cannot go on also receives. What arrives meanwhile waits in an inner buffer that `read` serves first. So a
//! client may send thousands of commands before it reads a reply, and TLS may sit on top without knowing.
//!
//! Promises:
//! - The inner buffer never holds more than [`Duplex::BUFFER_LIMIT`] octets. When it holds any and nothing can be
//!   written, `write` returns [`io::ErrorKind::WouldBlock`]: the caller reads, judges what came at once, and writes
//!   again. Memory stays bounded whatever the peer sends, and no innocent peer is taken for a hostile one.
//!   Only a whole write can fail so; a part that went out is `Ok(n)`. (`write_all` forgets how much it wrote
//!   when it meets an error; over a `Duplex` use `write` in a loop, or a `BufWriter` and `flush` again.)
//! - A write error is not the last word: what the peer said before it is still read, then the end or the error.
//! - A deadline that passes is [`io::ErrorKind::TimedOut`] without an OS error number (the kernel's own
//!   ETIMEDOUT has one). What is there already is read, and what fits is written, even then.
//! - Only `send` with MSG_NOSIGNAL writes. `writev` has no flags, so it would raise SIGPIPE in the process that
//!   this library is a guest in.
//!
//! What only TCP has does nothing over a UNIX socket: it has no path, nothing limits what is unsent, and an abort is a
//! close (the peer sees the end in the middle, which must be as good).
//!
//! It speaks no protocol, never half-closes and does no TLS. Linux only (TCP_QUICKACK, SIOCOUTQ).

use super::Wake;
use super::sys::{self, Interest, Path, Watch};
use socket2::Socket;
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// See the [module](self).
pub struct Duplex {
    stream: Arc<Socket>,
    /// TCP, rather than a UNIX socket.
    tcp: bool,
    deadline: Option<Instant>,
    /// Received while a write waited, not yet read.
    inner: VecDeque<u8>,
    /// The first error of a write, as its OS number. Later writes fail alike.
    write_error: Option<i32>,
    /// What reading comes to when `inner` is empty; set once the kernel has nothing more.
    end: Option<End>,
}

#[derive(Debug, Clone, Copy)]
enum End {
    Eof,
    Broken(i32),
}

/// What [`Duplex::wait`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ready {
    /// A read would not wait: there are bytes, the end, or an error.
    pub readable: bool,
    /// The wake is signalled. It is left so; the caller clears it.
    pub woken: bool,
    /// Neither, and the time is over.
    pub timed_out: bool,
}

impl Duplex {
    /// The most octets received ahead of `read`.
    pub const BUFFER_LIMIT: usize = 64 * 1024;

    /// Takes a connected stream and sets TCP_NODELAY on it. Fails when it is not connected (any more).
    pub fn new(stream: TcpStream) -> io::Result<Duplex> {
        stream.peer_addr()?;
        stream.set_nodelay(true)?;
        Ok(Duplex::over(stream.into(), true))
    }

    /// Takes a connected UNIX stream socket.
    pub fn unix(stream: UnixStream) -> Duplex {
        Duplex::over(stream.into(), false)
    }

    fn over(stream: Socket, tcp: bool) -> Duplex {
        let stream = Arc::new(stream);
        Duplex { stream, tcp, deadline: None, inner: VecDeque::new(), write_error: None, end: None }
    }

    /// From now on a read, a write or a wait that still waits at this moment fails with `TimedOut`. The stream
    /// stays usable. `None`: wait for ever.
    pub fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
    }

    /// Octets in the inner buffer: received and not yet read. (The kernel may hold more.)
    pub fn buffered(&self) -> usize {
        self.inner.len()
    }

    /// Octets written that the peer has not acknowledged (SIOCOUTQ); over a UNIX socket, about those that it has not
    /// read. While this falls the line is slow; at 0 it is the server that is silent.
    pub fn unsent(&self) -> io::Result<usize> {
        sys::unacknowledged(&*self.stream)
    }

    /// The kernel's round trip time and congestion window, when it has measured them.
    pub fn path(&self) -> Option<Path> {
        if self.tcp { sys::path(&*self.stream) } else { None }
    }

    /// Lets the kernel hold no more than about `octets` that it has not put on the wire (TCP_NOTSENT_LOWAT), so
    /// that a writer who pauses is soon silent.
    pub fn limit_unsent(&self, octets: u32) -> io::Result<()> {
        if self.tcp { self.stream.set_tcp_notsent_lowat(octets) } else { Ok(()) }
    }

    /// Ends the connection with a RST: what the kernel has not sent is thrown away. For a BDAT chunk that cannot
    /// be finished. (Dropping a `Duplex` closes it in the normal way.)
    pub fn abort(self) {
        self.reset_on_close();
    }

    /// The same, for an owner who cannot give it away: when it is dropped, that is by a RST.
    pub fn reset_on_close(&self) {
        // A connection that is dead already has nothing to reset.
        let _ = self.stream.set_linger(Some(Duration::ZERO));
    }

    /// A handle by which another thread ends this connection.
    pub fn closer(&self) -> Closer {
        Closer(Arc::downgrade(&self.stream))
    }

    /// Reads what is there now: `None` when nothing is, `Some(0)` at the end (or when `into` is empty).
    pub fn try_read(&mut self, into: &mut [u8]) -> io::Result<Option<usize>> {
        if into.is_empty() {
            return Ok(Some(0));
        }
        if !self.inner.is_empty() {
            return self.inner.read(into).map(Some);
        }
        if self.end.is_none() {
            match sys::recv(&*self.stream, into) {
                Ok(n) if n > 0 => return Ok(Some(n)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                last => self.set_end(last),
            }
        }
        match self.end {
            Some(End::Broken(number)) => Err(io::Error::from_raw_os_error(number)),
            Some(End::Eof) | None => Ok(Some(0)),
        }
    }

    /// Waits until a read would not wait, `wake` is signalled, or `until` has passed. Readable at once when the
    /// inner buffer has bytes or the end was seen. The deadline holds too, as an error, if it comes first.
    pub fn wait(&mut self, wake: Option<&Wake>, until: Option<Instant>) -> io::Result<Ready> {
        let at_hand = !self.inner.is_empty() || self.end.is_some();
        let limit = if at_hand { Some(Instant::now()) } else { earlier(until, self.deadline) };
        if !at_hand && self.tcp {
            sys::quick_ack(&*self.stream);
        }
        let socket = Watch::new(self.stream.as_fd(), Interest::Read);
        let (socket, woken) = match wake {
            Some(wake) => {
                let mut both = [socket, Watch::new(wake.fd(), Interest::Read)];
                sys::poll(&mut both, limit)?;
                (both[0].is_readable(), both[1].is_readable())
            }
            None => {
                let mut one = [socket];
                sys::poll(&mut one, limit)?;
                (one[0].is_readable(), false)
            }
        };
        let readable = at_hand || socket;
        let timed_out = !readable && !woken;
        if timed_out && until.is_none_or(|until| Instant::now() < until) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(Ready { readable, woken, timed_out })
    }

    /// Waits for room to write, or for bytes to read if the peer can still send any.
    fn wait_while_writing(&self) -> io::Result<bool> {
        let interest = if self.end.is_some() { Interest::Write } else { Interest::Both };
        if self.tcp {
            sys::quick_ack(&*self.stream);
        }
        let mut watch = [Watch::new(self.stream.as_fd(), interest)];
        match sys::poll(&mut watch, self.deadline)? {
            0 => Err(io::ErrorKind::TimedOut.into()),
            _ => Ok(watch[0].is_readable()),
        }
    }

    /// Moves what is there into the inner buffer, as far as it has room.
    fn fill(&mut self) {
        let mut piece = [0; 16 * 1024];
        while self.end.is_none() {
            let room = piece.len().min(Self::BUFFER_LIMIT - self.inner.len());
            if room == 0 {
                return;
            }
            match sys::recv(&*self.stream, &mut piece[..room]) {
                Ok(n) if n > 0 => self.inner.extend(&piece[..n]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                last => self.set_end(last),
            }
        }
    }

    /// Notes how receiving ended. The kernel tells a reset once, to whichever call comes first; so when a
    /// write got it, the end that `recv` then gives is no orderly one. EPIPE does mean that the peer had closed.
    fn set_end(&mut self, last: io::Result<usize>) {
        self.end = Some(match (last, self.write_error) {
            (Err(error), _) => End::Broken(error.raw_os_error().unwrap_or(libc::EIO)),
            (Ok(_), Some(number)) if number != libc::EPIPE => End::Broken(number),
            (Ok(_), _) => End::Eof,
        });
    }
}

impl Read for Duplex {
    /// Waits for at least one octet, the end, or the deadline.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(n) = self.try_read(into)? {
                return Ok(n);
            }
            self.wait(None, None)?;
        }
    }
}

impl Write for Duplex {
    /// Waits until at least one octet went to the kernel. `WouldBlock`: nothing did and the inner buffer is full;
    /// read, then write again. See the [module](self).
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        if let Some(number) = self.write_error {
            return Err(io::Error::from_raw_os_error(number));
        }
        loop {
            match sys::send(&*self.stream, bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => {
                    self.write_error = error.raw_os_error();
                    self.fill();
                    return Err(error);
                }
                sent => return sent,
            }
            if !self.inner.is_empty() {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            if self.wait_while_writing()? {
                self.fill();
            }
        }
    }

    /// Nothing is held back, so nothing is to do.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Without the buffered octets: they may be secrets.
impl fmt::Debug for Duplex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Duplex");
        shown.field("stream", &self.stream).field("buffered", &self.inner.len());
        shown.field("write_error", &self.write_error).field("end", &self.end).finish_non_exhaustive()
    }
}

/// Ends a [`Duplex`] from another thread. Cheap to clone; does not keep the connection open.
#[derive(Debug, Clone)]
pub struct Closer(Weak<Socket>);

impl Closer {
    /// Shuts both directions down, which wakes the owner from any wait: it reads what had arrived and then the
    /// end, and its writes fail. Nothing happens when the owner has closed already.
    pub fn close(&self) {
        if let Some(stream) = self.0.upgrade() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    a.into_iter().chain(b).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use socket2::SockRef;
    use std::net::{Ipv4Addr, TcpListener};
    use std::sync::mpsc;
    use std::thread::{self, JoinHandle};

    const COMMAND: usize = 64;
    const ANSWER: usize = 1000;

    /// Long enough for a slow machine, short enough that a stuck test ends.
    fn patience() -> Option<Instant> {
        Some(Instant::now() + Duration::from_secs(60))
    }

    /// Both ends of a loopback connection, with 64 KiB socket buffers so that they fill soon.
    fn pair() -> (Duplex, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port");
        for set in [socket2::Socket::set_recv_buffer_size, socket2::Socket::set_send_buffer_size] {
            set(&SockRef::from(&listener), 64 * 1024).expect("inherited by what is accepted");
        }
        let client = TcpStream::connect(listener.local_addr().expect("bound")).expect("connects");
        let (server, _) = listener.accept().expect("the client is there");
        SockRef::from(&client).set_send_buffer_size(64 * 1024).expect("allowed");
        let mut client = Duplex::new(client).expect("connected");
        client.set_deadline(patience());
        (client, server)
    }

    /// Both ends of a connection by UNIX sockets.
    fn unix_pair() -> (Duplex, UnixStream) {
        let (client, server) = UnixStream::pair().expect("two sockets");
        let mut client = Duplex::unix(client);
        client.set_deadline(patience());
        (client, server)
    }

    /// A peer that answers each command and, its answers not being read, reads no further command.
    fn answering(mut server: impl Read + Write + Send + 'static) -> JoinHandle<usize> {
        thread::spawn(move || {
            let (mut command, answer, mut answered) = ([0; COMMAND], [b'a'; ANSWER], 0);
            while server.read_exact(&mut command).is_ok() && server.write_all(&answer).is_ok() {
                answered += 1;
            }
            answered
        })
    }

    fn read_to_end(client: &mut Duplex) -> (Vec<u8>, io::Result<()>) {
        let mut all = Vec::new();
        let end = client.read_to_end(&mut all).map(drop);
        (all, end)
    }

    #[test]
    fn twenty_thousand_commands_go_out_while_twenty_megabytes_of_answers_come_in() {
        let ((tcp, server), (unix, unix_server)) = (pair(), unix_pair());
        both_directions_are_full(tcp, answering(server));
        both_directions_are_full(unix, answering(unix_server));
    }

    fn both_directions_are_full(mut client: Duplex, peer: JoinHandle<usize>) {
        let commands = vec![b'c'; 20_000 * COMMAND];
        let (mut sent, mut answers, mut most, mut refused) = (0, 0, 0, 0);
        let mut into = vec![0; 32 * 1024];
        while sent < commands.len() {
            match client.write(&commands[sent..]) {
                Ok(n) => sent += n,
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                    assert!(client.buffered() > 0, "only what has arrived sends the caller to read");
                    refused += 1;
                    answers += client.read(&mut into).expect("the buffer has bytes");
                }
            }
            most = most.max(client.buffered());
        }
        while answers < 20_000 * ANSWER {
            match client.read(&mut into).expect("the rest comes") {
                0 => panic!("ended after {answers} octets"),
                n => answers += n,
            }
        }
        assert_eq!(answers, 20_000 * ANSWER);
        assert!(most <= Duplex::BUFFER_LIMIT);
        assert!(refused > 0, "the answers never filled the buffer, so nothing was tried");
        drop(client);
        assert_eq!(peer.join().expect("the peer ends"), 20_000);
    }

    #[test]
    fn a_peer_that_never_reads_sends_the_writer_to_read_and_never_fills_memory() {
        let (mut client, mut server) = pair();
        let flood = thread::spawn(move || {
            let mut sent = 0u64;
            while let Ok(n) = server.write(&[b'x'; 10_000]) {
                sent += n as u64;
            }
            sent
        });
        // The peer sends as fast as it is let; so it counts what has come, not how long that took.
        let (mut read, mut into) = (0, vec![0; Duplex::BUFFER_LIMIT]);
        while read <= Duplex::BUFFER_LIMIT {
            let Err(refused) = client.write(&[b'y'; 10_000]) else { continue };
            assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
            assert!((1..=Duplex::BUFFER_LIMIT).contains(&client.buffered()));
            assert_eq!(client.write(b"more").expect_err("still unread").kind(), io::ErrorKind::WouldBlock);
            read += client.read(&mut into).expect("it is there");
        }
        client.abort();
        assert!(flood.join().expect("the reset ends it") > Duplex::BUFFER_LIMIT as u64);
    }

    #[test]
    fn a_write_larger_than_the_socket_buffers_goes_out_in_parts() {
        let (mut client, server) = pair();
        let megabytes = vec![b'm'; 8 << 20];
        let first = client.write(&megabytes).expect("some of it fits");
        assert!(first > 0 && first < megabytes.len());
        let sink = thread::spawn(move || io::copy(&mut &server, &mut io::sink()).expect("reads to the end"));
        let mut sent = first;
        while sent < megabytes.len() {
            sent += client.write(&megabytes[sent..]).expect("the peer reads");
        }
        drop(client);
        assert_eq!(sink.join().expect("the peer ends"), megabytes.len() as u64);
    }

    #[test]
    fn the_end_seen_while_writing_is_remembered_behind_the_bytes() {
        let (mut client, mut server) = pair();
        server.write_all(b"421 closing\r\n").expect("sent");
        server.shutdown(Shutdown::Write).expect("half closed");
        // The peer reads nothing: the writer fills the socket, and is sent to read what came and its end.
        let error = loop {
            if let Err(error) = client.write(&[b'y'; 100_000]) {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert_eq!(client.buffered(), 13);
        assert!(client.end.is_some(), "the end was seen while writing");
        let ready = client.wait(None, None).expect("past the deadline, but readable at once");
        assert_eq!(ready, Ready { readable: true, woken: false, timed_out: false });
        let (all, end) = read_to_end(&mut client);
        assert_eq!(all, b"421 closing\r\n");
        end.expect("an orderly end");
        assert_eq!(client.try_read(&mut [0; 1]).expect("again"), Some(0));
    }

    #[test]
    fn replies_are_read_after_a_reset_broke_the_write() {
        let (mut client, mut server) = pair();
        client.write_all(b"input that the server leaves unread").expect("fits");
        let replies = vec![b'r'; 30_000];
        server.write_all(&replies).expect("fits");
        let ready = client.wait(None, patience()).expect("they come");
        assert!(ready.readable);
        while sys::unacknowledged(&server).expect("alive") > 0 {
            thread::yield_now();
        }
        drop(server); // with input unread: a RST
        let error = loop {
            if let Err(error) = client.write(b"more input") {
                break error;
            }
        };
        assert!(matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe), "{error}");
        assert_eq!(client.buffered(), replies.len(), "what the server said was drained");
        let again = client.write(b"again").expect_err("broken for good");
        assert_eq!(again.raw_os_error(), error.raw_os_error());
        let (all, end) = read_to_end(&mut client);
        assert_eq!(all, replies);
        assert_eq!(end.expect_err("no orderly end").kind(), io::ErrorKind::ConnectionReset);
    }

    #[test]
    fn over_a_unix_socket_too_replies_are_read_after_a_broken_write() {
        let (mut client, mut server) = unix_pair();
        client.write_all(b"input that the server leaves unread").expect("fits");
        server.write_all(b"421 closing\r\n").expect("fits");
        drop(server);
        let error = loop {
            if let Err(error) = client.write(b"more input") {
                break error;
            }
        };
        assert!(matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe), "{error}");
        let (all, _) = read_to_end(&mut client);
        assert_eq!(all, b"421 closing\r\n");
    }

    #[test]
    fn what_only_tcp_has_does_nothing_over_a_unix_socket() {
        let (mut client, mut server) = unix_pair();
        client.limit_unsent(4096).expect("nothing to do");
        client.write_all(b"half a chunk").expect("fits");
        assert_eq!(client.path(), None);
        assert!(client.unsent().expect("alive") > 0, "the peer has not read");
        server.read_exact(&mut [0; 12]).expect("they came");
        assert_eq!(client.unsent().expect("alive"), 0);
        client.abort();
        assert_eq!(server.read(&mut [0; 1]).expect("the end"), 0);
    }

    #[test]
    fn a_deadline_and_a_wake_end_a_wait_over_a_unix_socket() {
        let (mut client, _server) = unix_pair();
        client.set_deadline(Some(Instant::now() + Duration::from_millis(20)));
        assert_eq!(client.read(&mut [0; 1]).expect_err("nothing comes").kind(), io::ErrorKind::TimedOut);
        let stuck = loop {
            if let Err(error) = client.write(&[0; 100_000]) {
                break error;
            }
        };
        assert_eq!(stuck.kind(), io::ErrorKind::TimedOut);
        client.set_deadline(patience());
        let wake = Wake::new().expect("a descriptor");
        wake.signal();
        assert!(client.wait(Some(&wake), None).expect("woken").woken);
        let closer = client.closer();
        closer.close();
        assert_eq!(client.read(&mut [0; 1]).expect("the end"), 0);
    }

    #[test]
    fn a_deadline_ends_a_read_a_write_and_a_wait_and_leaves_the_stream_usable() {
        let (mut client, mut server) = pair();
        let soon = || Some(Instant::now() + Duration::from_millis(50));
        let begun = Instant::now();
        client.set_deadline(soon());
        let error = client.read(&mut [0; 10]).expect_err("nothing comes");
        assert_eq!((error.kind(), error.raw_os_error()), (io::ErrorKind::TimedOut, None));
        assert!(begun.elapsed() >= Duration::from_millis(50));
        assert_eq!(client.wait(None, None).expect_err("still past").kind(), io::ErrorKind::TimedOut);
        let ready = client.wait(None, Some(begun)).expect("its own limit is earlier");
        assert_eq!(ready, Ready { readable: false, woken: false, timed_out: true });
        client.set_deadline(soon());
        let stuck = loop {
            if let Err(error) = client.write(&[0; 100_000]) {
                break error;
            }
        };
        assert_eq!((stuck.kind(), stuck.raw_os_error()), (io::ErrorKind::TimedOut, None));
        server.write_all(b"hello").expect("sent");
        client.set_deadline(patience());
        let mut five = [0; 5];
        client.read_exact(&mut five).expect("usable");
        client.set_deadline(Some(begun));
        server.write_all(b"world").expect("sent");
        while client.try_read(&mut five[..1]).expect("usable").is_none() {
            thread::yield_now();
        }
        assert_eq!(&five, b"wello", "what is there is read even past the deadline");
    }

    #[test]
    fn a_wake_from_another_thread_ends_a_wait_and_stays_until_cleared() {
        let (mut client, mut server) = pair();
        let wake = Wake::new().expect("a descriptor");
        let signaller = thread::spawn({
            let wake = wake.clone();
            move || wake.signal()
        });
        let ready = client.wait(Some(&wake), patience()).expect("woken");
        assert_eq!(ready, Ready { readable: false, woken: true, timed_out: false });
        signaller.join().expect("ends");
        server.write_all(b"x").expect("sent");
        let ready = client.wait(None, patience()).expect("bytes come");
        assert!(ready.readable);
        let ready = client.wait(Some(&wake), patience()).expect("both");
        assert_eq!(ready, Ready { readable: true, woken: true, timed_out: false });
        assert!(wake.clear());
        let ready = client.wait(Some(&wake), patience()).expect("one");
        assert_eq!(ready, Ready { readable: true, woken: false, timed_out: false });
    }

    #[test]
    fn try_read_tells_nothing_yet_from_the_end() {
        let (mut client, server) = pair();
        assert_eq!(client.try_read(&mut [0; 4]).expect("alive"), None);
        assert_eq!(client.try_read(&mut []).expect("asked for nothing"), Some(0));
        drop(server);
        assert!(client.wait(None, patience()).expect("the end comes").readable);
        assert_eq!(client.try_read(&mut [0; 4]).expect("orderly"), Some(0));
    }

    #[test]
    fn unsent_falls_to_nothing_once_the_peer_reads() {
        let (mut client, mut server) = pair();
        client.set_deadline(Some(Instant::now()));
        let mut sent = 0;
        while let Ok(n) = client.write(&[0; 50_000]) {
            sent += n;
        }
        assert!(client.unsent().expect("alive") > 0, "the peer's window is full");
        io::copy(&mut (&mut server).take(sent as u64), &mut io::sink()).expect("the peer reads it all");
        let limit = patience();
        while client.unsent().expect("alive") > 0 {
            assert!(Some(Instant::now()) < limit, "never acknowledged");
            thread::yield_now();
        }
        assert!(client.path().expect("measured by now").round_trip < Duration::from_secs(60));
    }

    #[test]
    fn a_low_limit_on_unsent_octets_stops_the_writer_sooner() {
        let filled = |limit: Option<u32>| {
            let (mut client, _server) = pair();
            if let Some(octets) = limit {
                client.limit_unsent(octets).expect("allowed");
            }
            client.set_deadline(Some(Instant::now()));
            let mut sent = 0;
            while let Ok(n) = client.write(&[0; 1000]) {
                sent += n;
            }
            sent
        };
        assert!(filled(Some(4096)) < filled(None));
    }

    #[test]
    fn abort_resets_and_drop_does_not() {
        for (abort, expected) in [(true, Some(io::ErrorKind::ConnectionReset)), (false, None)] {
            let (mut client, mut server) = pair();
            client.write_all(b"half a chunk").expect("fits");
            let closer = client.closer();
            if abort {
                client.abort()
            } else {
                drop(client)
            }
            closer.close(); // too late, and harmless
            server.set_read_timeout(Some(Duration::from_secs(60))).expect("set");
            let mut seen = Vec::new();
            let end = server.read_to_end(&mut seen);
            assert_eq!(end.err().map(|error| error.kind()), expected);
        }
    }

    #[test]
    fn a_closer_in_another_thread_ends_a_read() {
        let (mut client, _server) = pair();
        let closer = client.closer();
        let (reading, begun) = mpsc::channel();
        let other = thread::spawn(move || {
            begun.recv().expect("the reader starts");
            closer.close();
        });
        reading.send(()).expect("the other lives");
        assert_eq!(client.read(&mut [0; 1]).expect("woken"), 0);
        other.join().expect("ends");
        assert_eq!(client.write(b"x").expect_err("shut").kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn a_server_that_writes_each_reply_by_itself_does_not_wait_for_delayed_acknowledgements() {
        const FLIGHTS: usize = 100;
        let (mut client, mut server) = pair();
        let peer = thread::spawn(move || {
            while server.read_exact(&mut [0; 6]).is_ok() {
                // Nagle holds the second and third until the first is acknowledged: 40 ms late, if it is left to
                // itself.
                for reply in [b"250 a\r\n", b"250 b\r\n", b"250 c\r\n"] {
                    server.write_all(reply).expect("fits");
                }
            }
        });
        let begun = Instant::now();
        for _ in 0..FLIGHTS {
            client.write_all(b"NOOP\r\n").expect("fits");
            client.read_exact(&mut [0; 21]).expect("three replies");
        }
        let late = Duration::from_millis(40) * FLIGHTS as u32;
        assert!(begun.elapsed() < late / 2, "{:?} for {FLIGHTS} flights", begun.elapsed());
        drop(client);
        peer.join().expect("ends");
    }

    #[test]
    fn debug_output_shows_no_octet_received() {
        let (mut client, _server) = pair();
        client.inner.extend(b"secret");
        assert!(!format!("{client:?}").contains("115, 101"), "the codes of s and e");
        assert!(format!("{client:?}").contains("buffered: 6"));
        assert_eq!(client.try_read(&mut [0; 9]).expect("served"), Some(6));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

        #[test]
        fn any_order_of_reads_and_blocked_writes_gives_the_same_bytes(
            steps in prop::collection::vec((0u8..3, 1usize..40_000), 1..40),
            length in 0usize..400_000,
        ) {
            let (mut client, mut server) = pair();
            let said: Vec<u8> = (0..length).map(|i| (i * 31 + i / 251) as u8).collect();
            let peer = thread::spawn({
                let said = said.clone();
                move || {
                    let _ = server.write_all(&said);
                    let _ = server.shutdown(Shutdown::Write);
                    io::copy(&mut server, &mut io::sink())
                }
            });
            let mut heard = Vec::new();
            let mut into = vec![0; 40_000];
            for (step, size) in steps {
                match step {
                    0 => heard.extend(client.try_read(&mut into[..size])?.map_or(&[][..], |n| &into[..n])),
                    1 => { let n = client.read(&mut into[..size])?; heard.extend(&into[..n]) }
                    // What a blocked write does, whether or not this one blocks.
                    _ => { let _ = client.write(&into[..size]); client.fill() }
                }
                prop_assert!(client.buffered() <= Duplex::BUFFER_LIMIT);
            }
            let (rest, end) = read_to_end(&mut client);
            end?;
            heard.extend(rest);
            prop_assert!(heard == said, "{} octets said, {} heard", said.len(), heard.len());
            drop(client);
            peer.join().expect("ends")?;
        }
    }
}
