//! A client with no manners of its own: it sends what it is given and reads replies.

use pipelane::sink::{Personality, Sink, SinkOptions, Store};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// Longer than anything here takes; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(20);

/// A reply, its lines without their codes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub code: u16,
    pub lines: Vec<String>,
}

pub struct Client {
    stream: BufReader<TcpStream>,
    /// Whether the connection has ended with a reset.
    pub was_reset: bool,
}

/// A sink that keeps messages in memory.
pub fn start(options: SinkOptions) -> Sink {
    Sink::start(SinkOptions { store: Store::Memory, ..options }).expect("a free port")
}

/// A sink like that server.
pub fn like(like: Personality) -> Sink {
    start(SinkOptions { like: Some(like), ..SinkOptions::default() })
}

impl Client {
    pub fn connect(sink: &Sink) -> Client {
        Client::connect_to(sink.address())
    }

    pub fn connect_to(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).expect("connected");
        stream.set_nodelay(true).expect("an option");
        stream.set_read_timeout(Some(PATIENCE)).expect("an option");
        Client { stream: BufReader::new(stream), was_reset: false }
    }

    /// Connected, greeted, and EHLO done.
    pub fn ready(sink: &Sink) -> Client {
        let mut client = Client::connect(sink);
        assert_eq!(client.reply().code, 220);
        assert_eq!(client.ask("EHLO client.example\r\n").code, 250);
        client
    }

    /// Sends it in one write.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.get_mut().write_all(bytes.as_ref()).expect("the server reads");
    }

    /// Sends it, if the server still listens.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.get_mut().write_all(bytes.as_ref());
    }

    /// Sends FIN, if the connection is still there.
    pub fn try_half_close(&self) {
        let _ = self.stream.get_ref().shutdown(Shutdown::Write);
    }

    /// The next reply.
    pub fn reply(&mut self) -> Reply {
        self.try_reply().expect("a reply")
    }

    /// The next reply, or nothing when the connection has ended.
    pub fn try_reply(&mut self) -> Option<Reply> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            match self.stream.read_line(&mut line) {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {
                    self.was_reset = true;
                    return None;
                }
                Err(error) => panic!("no reply: {error}"),
            }
            let line = line.strip_suffix("\r\n").expect("a whole line");
            lines.push(line[4..].to_owned());
            if line.as_bytes()[3] == b' ' {
                return Some(Reply { code: line[..3].parse().expect("a code"), lines });
            }
        }
    }

    pub fn ask(&mut self, bytes: impl AsRef<[u8]>) -> Reply {
        self.send(bytes);
        self.reply()
    }

    /// Sends a group and reads so many replies.
    pub fn group(&mut self, bytes: impl AsRef<[u8]>, replies: usize) -> Vec<u16> {
        self.send(bytes);
        (0..replies).map(|_| self.reply().code).collect()
    }

    /// All replies until the connection ends.
    pub fn rest(&mut self) -> Vec<u16> {
        std::iter::from_fn(|| self.try_reply()).map(|reply| reply.code).collect()
    }

    /// Whether the server has closed and said nothing more.
    pub fn is_closed(&mut self) -> bool {
        self.rest().is_empty()
    }

    /// Whether nothing comes within a short time, while the connection stays open.
    pub fn is_silent(&mut self) -> bool {
        let stream = self.stream.get_ref();
        stream.set_read_timeout(Some(Duration::from_millis(150))).expect("an option");
        let result = self.stream.read(&mut [0]);
        self.stream.get_ref().set_read_timeout(Some(PATIENCE)).expect("an option");
        result.is_err_and(|error| matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut))
    }

    /// Sends FIN and keeps reading.
    pub fn half_close(&self) {
        self.stream.get_ref().shutdown(Shutdown::Write).expect("open");
    }

    /// What one read gives, buffers aside.
    pub fn one_read(&mut self) -> usize {
        self.stream.fill_buf().expect("a reply").len()
    }
}
