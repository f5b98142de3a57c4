//! What the tests of connections share: an opener, a token that stands for nothing, and a server of a few lines.

use super::Token;
use super::open::{Manners, Opener};
use crate::config::NextHopSettings;
use crate::net::Wake;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

/// No message travels in these tests.
pub struct Nothing;

impl Token for Nothing {
    fn is_cancelled(&self) -> bool {
        false
    }

    fn sent_whole(&mut self) {}
}

/// For this next hop, with these settings; nothing is known of any server.
pub fn opener(next_hop: &str, settings: NextHopSettings) -> Opener {
    Opener {
        next_hop: next_hop.parse().expect("a next hop"),
        settings: Arc::new(settings),
        ledger: Arc::default(),
        passed: Arc::default(),
        lane: "lane 1".into(),
        manners: Manners::default(),
        news: Wake::new().expect("a descriptor"),
        halt: Wake::new().expect("a descriptor"),
        gauge: Arc::default(),
    }
}

/// A server for one connection: it says these lines, each but the first after a line of the client.
pub fn server(lines: &'static [&'static str]) -> (SocketAddr, JoinHandle<String>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("bound");
    (address, serve(listener, lines))
}

/// The same with a listener that is there. It ends with the client; then it tells what the client said.
pub fn serve(listener: TcpListener, lines: &'static [&'static str]) -> JoinHandle<String> {
    thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a client");
        let (mut reader, mut heard) = (BufReader::new(&stream), String::new());
        for (n, line) in lines.iter().enumerate() {
            if n > 0 {
                reader.read_line(&mut heard).expect("a line");
            }
            (&stream).write_all(line.as_bytes()).expect("sent");
        }
        let mut rest = String::new();
        let _ = reader.read_line(&mut rest);
        heard
    })
}
