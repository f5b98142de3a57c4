//! A plain SMTP and LMTP client: one command, one reply. It submits what the tests send, and drives LMTP by hand.

use crate::mail::Mail;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(300);

/// One session.
#[derive(Debug)]
pub struct Client<S> {
    stream: BufReader<S>,
}

impl Client<TcpStream> {
    /// Connected to a port of 127.0.0.1, greeted, and past EHLO.
    pub fn smtp(port: u16) -> Client<TcpStream> {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection to the private server");
        stream.set_read_timeout(Some(PATIENCE)).expect("a read timeout");
        stream.set_nodelay(true).expect("no delay");
        Client::greeted(stream, "EHLO client.test")
    }
}

impl Client<UnixStream> {
    /// Connected to a UNIX-domain socket, greeted, and past LHLO.
    pub fn lmtp(path: &Path) -> Client<UnixStream> {
        let stream = UnixStream::connect(path).expect("a connection to the LMTP socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("a read timeout");
        Client::greeted(stream, "LHLO client.test")
    }
}

impl<S: Read + Write> Client<S> {
    fn greeted(stream: S, hello: &str) -> Client<S> {
        let mut client = Client { stream: BufReader::new(stream) };
        let greeting = client.reply();
        assert!(greeting.starts_with("220"), "the greeting was: {greeting}");
        client.ask(hello, "250");
        client
    }

    /// Sends a command and wants a reply that starts like this.
    pub fn ask(&mut self, command: &str, wanted: &str) -> String {
        self.raw(format!("{command}\r\n").as_bytes());
        let reply = self.reply();
        assert!(reply.starts_with(wanted), "{command} got: {reply}");
        reply
    }

    /// Sends octets as they are.
    pub fn raw(&mut self, octets: &[u8]) {
        self.stream.get_mut().write_all(octets).expect("the server takes what is sent");
    }

    /// The next reply, its lines joined.
    pub fn reply(&mut self) -> String {
        let mut whole = String::new();
        loop {
            let mut line = Vec::new();
            self.stream.read_until(b'\n', &mut line).expect("a reply in time");
            assert!(line.ends_with(b"\n"), "the server closed; it had said: {whole}");
            let text = String::from_utf8_lossy(&line).into_owned();
            whole.push_str(&text);
            if text.as_bytes().get(3) != Some(&b'-') {
                return whole;
            }
        }
    }

    /// One message to all its recipients; each must be accepted.
    pub fn send(&mut self, mail: &Mail) {
        self.ask(&format!("MAIL FROM:<{}> BODY=8BITMIME", mail.sender), "250");
        for recipient in &mail.recipients {
            self.ask(&format!("RCPT TO:<{recipient}>"), "250");
        }
        self.ask("DATA", "354");
        self.raw(&mail.stuffed());
        let reply = self.reply();
        assert!(reply.starts_with("250"), "{} was refused: {reply}", mail.id);
    }
}

/// Submits all messages over so many connections at a time.
pub fn submit(port: u16, mails: &[Mail], connections: usize) {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut client = Client::smtp(port);
        while let Some(mail) = mails.get(next.fetch_add(1, Ordering::Relaxed)) {
            client.send(mail);
        }
        client.ask("QUIT", "221");
    };
    std::thread::scope(|scope| {
        for _ in 0..connections.min(mails.len()) {
            scope.spawn(work);
        }
    });
}
