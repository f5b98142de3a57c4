//! A server that a test writes itself, one function for each connection, and sockets that do not serve at all.

use pipelane::net::{Interest, Watch, poll};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Longer than any test listens.
const PATIENCE: Duration = Duration::from_secs(120);

/// A listening server. Dropping it cuts every connection off and joins every thread.
pub struct Host {
    pub address: SocketAddr,
    listener: Arc<TcpListener>,
    /// A second handle on each connection being served, to cut it off.
    open: Arc<Mutex<HashMap<usize, TcpStream>>>,
    taken: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl Host {
    /// Each connection runs `serve` in a thread of its own, with the connection's number from 0.
    pub fn start(serve: impl Fn(usize, Peer) + Send + Sync + 'static) -> Host {
        let listener = Arc::new(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port"));
        let address = listener.local_addr().expect("bound");
        let (open, taken, serve) =
            (Arc::<Mutex<HashMap<_, _>>>::default(), Arc::<AtomicUsize>::default(), Arc::new(serve));
        let thread = thread::spawn({
            let (listener, open, taken) = (Arc::clone(&listener), Arc::clone(&open), Arc::clone(&taken));
            move || {
                let mut threads = Vec::new();
                while let Ok((stream, _)) = listener.accept() {
                    let number = taken.fetch_add(1, Ordering::SeqCst);
                    open.lock().expect("no panic").insert(number, stream.try_clone().expect("a descriptor"));
                    let (serve, open) = (Arc::clone(&serve), Arc::clone(&open));
                    threads.push(thread::spawn(move || {
                        serve(number, Peer::new(stream));
                        open.lock().expect("no panic").remove(&number);
                    }));
                }
                threads.into_iter().for_each(|thread| thread.join().expect("the server does not panic"));
            }
        });
        Host { address, listener, open, taken, thread: Some(thread) }
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.taken.load(Ordering::SeqCst)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = socket2::SockRef::from(&*self.listener).shutdown(Shutdown::Both);
        while !self.thread.as_ref().is_none_or(JoinHandle::is_finished) {
            for stream in self.open.lock().expect("no panic").values() {
                let _ = stream.shutdown(Shutdown::Both);
            }
            thread::sleep(Duration::from_millis(1));
        }
        let ended = self.thread.take().map_or(Ok(()), JoinHandle::join);
        assert!(ended.is_ok() || thread::panicking(), "the server has panicked");
    }
}

/// The client, as the server sees it.
pub struct Peer {
    reader: BufReader<TcpStream>,
}

impl Peer {
    pub fn new(stream: TcpStream) -> Peer {
        stream.set_read_timeout(Some(PATIENCE)).expect("allowed");
        stream.set_nodelay(true).expect("allowed");
        Peer { reader: BufReader::new(stream) }
    }

    pub fn say(&mut self, text: &str) {
        // A client that has gone hears nothing; the test notices that elsewhere.
        let _ = self.reader.get_mut().write_all(text.as_bytes());
    }

    /// The next line; empty at the end.
    pub fn hear(&mut self) -> String {
        let mut line = String::new();
        let _ = self.reader.read_line(&mut line);
        line.trim_end().to_owned()
    }

    /// Hears content to its final dot; `false` when the connection ended before that.
    pub fn content(&mut self) -> bool {
        let mut line = String::new();
        while self.reader.read_line(&mut line).is_ok_and(|octets| octets > 0) {
            if line == ".\r\n" {
                return true;
            }
            line.clear();
        }
        false
    }

    /// Reads nothing until the connection has ended.
    pub fn be_deaf(&self) {
        let mut end = [Watch::new(self.reader.get_ref().as_fd(), Interest::End)];
        poll(&mut end, Some(Instant::now() + PATIENCE)).expect("a socket");
    }

    /// Waits until the client has closed, and throws away what it says.
    pub fn wait_for_end(&mut self) {
        let _ = std::io::copy(&mut self.reader, &mut std::io::sink());
    }

    /// Says nothing more, and hears the rest.
    pub fn close(&mut self) {
        let _ = self.reader.get_ref().shutdown(Shutdown::Write);
        self.wait_for_end();
    }

    /// Greets, and offers these extensions.
    pub fn greet(&mut self, offers: &[&str]) {
        self.say("220 host.test\r\n");
        let hello = self.hear();
        assert!(hello.is_empty() || hello.starts_with("EHLO"), "{hello}");
        let lines: Vec<&str> = ["host.test"].iter().chain(offers).copied().collect();
        let last = lines.len() - 1;
        let reply = |(n, line): (usize, &&str)| format!("250{}{line}\r\n", if n == last { ' ' } else { '-' });
        self.say(&lines.iter().enumerate().map(reply).collect::<String>());
    }

    /// Answers commands one by one: `answer` gives the reply to a line, or `None` to stop here with it unanswered.
    /// Content gets 250 when it is whole. Returns the line that was not answered, empty at the end.
    pub fn serve(&mut self, mut answer: impl FnMut(&str) -> Option<String>) -> String {
        loop {
            let line = self.hear();
            let Some(reply) = answer(&line).filter(|_| !line.is_empty()) else { return line };
            self.say(&reply);
            if reply.starts_with("354") && self.content() {
                self.say("250 2.0.0 taken\r\n");
            }
        }
    }

    /// Ends the connection with a reset.
    pub fn reset(self) {
        let _ = socket2::SockRef::from(self.reader.get_ref()).set_linger(Some(Duration::ZERO));
    }

    /// Reads so many octets.
    pub fn swallow(&mut self, octets: usize) {
        let _ = self.reader.read_exact(&mut vec![0; octets]);
    }

    /// Makes the receive buffer small, so that a client that writes much soon waits.
    pub fn narrow(&self) {
        socket2::SockRef::from(self.reader.get_ref()).set_recv_buffer_size(4096).expect("allowed");
    }
}

/// Says yes to everything.
pub fn yes(line: &str) -> Option<String> {
    let reply = match line {
        "DATA" => "354 go\r\n",
        "QUIT" => "221 bye\r\n",
        _ => "250 ok\r\n",
    };
    Some(reply.to_owned())
}

/// An address that refuses: bound, and not listened on.
pub fn refusing() -> (socket2::Socket, SocketAddr) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a port");
    let address = socket.local_addr().expect("bound").as_socket().expect("an IPv4 address");
    (socket, address)
}

/// An address that does not answer: its listener's backlog is full, and the kernel drops further SYNs.
pub fn black_hole() -> (Vec<socket2::Socket>, SocketAddr) {
    let (socket, address) = refusing();
    socket.listen(0).expect("listens");
    let mut held = vec![socket];
    for _ in 0..4 {
        let filler = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        filler.set_nonblocking(true).expect("allowed");
        let _ = filler.connect(&address.into());
        held.push(filler);
    }
    (held, address)
}
