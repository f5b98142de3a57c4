//! A mail server for one purpose: it tells apart what came encrypted and what came in clear, and which of its names was
//! asked for.

use openssl::ssl::{NameType, SslAcceptor};
use pipelane::sync::Mutex;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;

/// The other address.
pub const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// What a server has got.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Got {
    /// Names asked for in handshakes that were made (SNI).
    pub names: Vec<String>,
    /// MAIL commands in clear.
    pub in_clear: usize,
    /// MAIL commands under TLS.
    pub encrypted: usize,
}

/// It serves until the process ends.
pub struct Server {
    port: u16,
    got: Arc<Mutex<Got>>,
}

impl Server {
    /// With this certificate, or without TLS. It has two addresses, 127.0.0.1 and [`OTHER`].
    pub fn start(acceptor: Option<SslAcceptor>) -> Server {
        let bound = (0..100).find_map(|_| {
            let one = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
            let other = TcpListener::bind((OTHER, one.local_addr().ok()?.port())).ok()?;
            Some([one, other])
        });
        let listeners = bound.expect("a port that is free at both addresses");
        let port = listeners[0].local_addr().expect("bound").port();
        let got = Arc::<Mutex<Got>>::default();
        for listener in listeners {
            let (acceptor, noted) = (acceptor.clone(), Arc::clone(&got));
            std::thread::spawn(move || accept(&listener, &acceptor, &noted));
        }
        Server { port, got }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it has got since it was asked last.
    pub fn take(&self) -> Got {
        std::mem::take(&mut *self.got.lock())
    }
}

fn accept(listener: &TcpListener, acceptor: &Option<SslAcceptor>, got: &Arc<Mutex<Got>>) {
    for client in listener.incoming().flatten() {
        let (acceptor, noted) = (acceptor.clone(), Arc::clone(got));
        // A client that goes away is none of a test's failures.
        std::thread::spawn(move || drop(serve(client, acceptor, &noted)));
    }
}

fn serve(client: TcpStream, acceptor: Option<SslAcceptor>, got: &Mutex<Got>) -> io::Result<()> {
    (&client).write_all(b"220 server.test\r\n")?;
    let offers = if acceptor.is_some() { "250-server.test\r\n250 STARTTLS\r\n" } else { "250 server.test\r\n" };
    let mut reader = BufReader::new(&client);
    if !talk(&mut reader, &mut &client, offers, || got.lock().in_clear += 1)? {
        return Ok(());
    }
    let Some(acceptor) = acceptor else { return Ok(()) };
    (&client).write_all(b"220 2.0.0 go on\r\n")?;
    let stream = acceptor.accept(client).map_err(io::Error::other)?;
    got.lock().names.extend(stream.ssl().servername(NameType::HOST_NAME).map(str::to_owned));
    let stream = Mutex::new(stream);
    let mut reader = BufReader::new(Half(&stream));
    talk(&mut reader, &mut Half(&stream), "250 server.test\r\n", || got.lock().encrypted += 1).map(drop)
}

/// One stream, read through a buffer and written beside it.
struct Half<'a>(&'a Mutex<openssl::ssl::SslStream<TcpStream>>);

impl Read for Half<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.lock().read(into)
    }
}

impl Write for Half<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Answers commands. `true`: the last was STARTTLS, and is not answered yet.
fn talk(from: &mut impl BufRead, to: &mut impl Write, offers: &str, mut mail: impl FnMut()) -> io::Result<bool> {
    let (mut line, mut in_content) = (String::new(), false);
    loop {
        line.clear();
        if from.read_line(&mut line)? == 0 {
            return Ok(false);
        }
        let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
        let reply = match &*verb {
            _ if in_content && line != ".\r\n" => continue,
            _ if in_content => {
                in_content = false;
                "250 2.0.0 taken\r\n"
            }
            "EHLO" => offers,
            "STAR" => return Ok(true),
            "MAIL" => {
                mail();
                "250 2.1.0 ok\r\n"
            }
            "DATA" => {
                in_content = true;
                "354 go on\r\n"
            }
            "QUIT" => {
                to.write_all(b"221 2.0.0 bye\r\n")?;
                return Ok(false);
            }
            _ => "250 2.0.0 ok\r\n",
        };
        to.write_all(reply.as_bytes())?;
    }
}
