//! A name server that says what its script wants, over UDP and TCP. Its octets are made by hand, not by the codec
//! under test.

use crate::sync::Mutex;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub const A: u16 = 1;
pub const NS: u16 = 2;
pub const CNAME: u16 = 5;
pub const SOA: u16 = 6;
pub const MX: u16 = 15;
pub const TXT: u16 = 16;
pub const AAAA: u16 = 28;
pub const TLSA: u16 = 52;

pub const NXDOMAIN: u16 = 3;

/// A question that came.
#[derive(Debug, Clone)]
pub struct Asked {
    pub octets: Vec<u8>,
    pub name: String,
    pub rtype: u16,
    pub is_tcp: bool,
    pub from: SocketAddr,
}

impl Asked {
    fn new(octets: &[u8], is_tcp: bool, from: SocketAddr) -> Asked {
        let (mut at, mut labels) = (12, Vec::new());
        while octets[at] != 0 {
            let end = at + 1 + usize::from(octets[at]);
            labels.push(String::from_utf8_lossy(&octets[at + 1..end]).into_owned());
            at = end;
        }
        let rtype = u16::from_be_bytes([octets[at + 1], octets[at + 2]]);
        Asked { octets: octets.to_vec(), name: labels.join("."), rtype, is_tcp, from }
    }

    pub fn has_edns(&self) -> bool {
        self.octets[11] > 0
    }

    /// The section with the question, as it came.
    fn question(&self) -> &[u8] {
        &self.octets[12..12 + self.name.len() + 2 + 4]
    }
}

/// A reply in the making.
#[derive(Debug, Clone)]
pub struct Reply {
    pub id: [u8; 2],
    pub flags: u16,
    pub question: Option<Vec<u8>>,
    pub answer: Vec<Vec<u8>>,
    pub authority: Vec<Vec<u8>>,
}

impl Reply {
    /// A recursive server's answer with nothing in it.
    pub fn to(asked: &Asked) -> Reply {
        let id = [asked.octets[0], asked.octets[1]];
        let question = Some(asked.question().to_vec());
        Reply { id, flags: 0x8180, question, answer: Vec::new(), authority: Vec::new() }
    }

    pub fn rcode(self, rcode: u16) -> Reply {
        Reply { flags: self.flags | rcode, ..self }
    }

    pub fn truncated(self) -> Reply {
        Reply { flags: self.flags | 0x0200, ..self }
    }

    pub fn secure(self) -> Reply {
        Reply { flags: self.flags | 0x0020, ..self }
    }

    /// It neither has authority nor looks up for others.
    pub fn without_recursion(self) -> Reply {
        Reply { flags: self.flags & !0x0080, ..self }
    }

    pub fn record(mut self, owner: &str, rtype: u16, ttl: u32, data: &str) -> Reply {
        self.answer.push(record(owner, rtype, ttl, data));
        self
    }

    pub fn authority(mut self, owner: &str, rtype: u16, ttl: u32, data: &str) -> Reply {
        self.authority.push(record(owner, rtype, ttl, data));
        self
    }

    /// With a zone's word that something is not there, for a minute.
    pub fn soa(self) -> Reply {
        self.authority("test", SOA, 3600, "60")
    }

    pub fn octets(&self) -> Vec<u8> {
        let counts = [usize::from(self.question.is_some()), self.answer.len(), self.authority.len(), 0];
        let mut octets = self.id.to_vec();
        octets.extend(self.flags.to_be_bytes());
        octets.extend(counts.iter().flat_map(|count| (*count as u16).to_be_bytes()));
        octets.extend(self.question.iter().flatten());
        octets.extend(self.answer.iter().chain(&self.authority).flatten());
        octets
    }
}

/// A name on the wire.
pub fn wire(name: &str) -> Vec<u8> {
    let labels = name.split('.').filter(|label| !label.is_empty());
    let mut octets: Vec<u8> = labels.flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat()).collect();
    octets.push(0);
    octets
}

fn record(owner: &str, rtype: u16, ttl: u32, data: &str) -> Vec<u8> {
    let data = match rtype {
        A => data.parse::<Ipv4Addr>().expect("an address").octets().to_vec(),
        AAAA => data.parse::<std::net::Ipv6Addr>().expect("an address").octets().to_vec(),
        MX => {
            let (preference, host) = data.split_once(' ').expect("both");
            [&preference.parse::<u16>().expect("a number").to_be_bytes()[..], &wire(host)].concat()
        }
        SOA => {
            let mut octets = [wire("ns.test"), wire("admin.test"), vec![0; 16]].concat();
            octets.extend(data.parse::<u32>().expect("a number").to_be_bytes());
            octets
        }
        // Strings, with `|` between them.
        TXT => data.split('|').flat_map(|text| [&[text.len() as u8], text.as_bytes()].concat()).collect(),
        TLSA => data.split(' ').map(|octet| octet.parse().expect("an octet")).collect(),
        _ => wire(data),
    };
    let mut octets = wire(owner);
    octets.extend(rtype.to_be_bytes());
    octets.extend(1u16.to_be_bytes());
    octets.extend(ttl.to_be_bytes());
    octets.extend((data.len() as u16).to_be_bytes());
    octets.extend(data);
    octets
}

/// The server. It ends with the value.
pub struct TestServer {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    halt: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl TestServer {
    /// Each message that the script gives is sent as a datagram, or over TCP with its length; then TCP is closed.
    pub fn start(script: impl Fn(&Asked) -> Vec<Vec<u8>> + Send + Sync + 'static) -> TestServer {
        let (udp, tcp) = sockets();
        let address = udp.local_addr().expect("bound");
        let (asked, halt, script) = (Arc::default(), Arc::<AtomicBool>::default(), Arc::new(script));
        let note = |asked: &Arc<Mutex<Vec<Asked>>>| {
            let (asked, script) = (Arc::clone(asked), Arc::clone(&script));
            move |one: Asked| {
                let replies = script(&one);
                asked.lock().push(one);
                replies
            }
        };
        let (over_udp, over_tcp) = (note(&asked), note(&asked));
        let (one, two) = (Arc::clone(&halt), Arc::clone(&halt));
        let threads = vec![
            thread::spawn(move || serve_udp(&udp, &one, over_udp)),
            thread::spawn(move || serve_tcp(&tcp, &two, over_tcp)),
        ];
        TestServer { address, asked, halt, threads }
    }

    /// One that always says the same.
    pub fn saying(reply: impl Fn(Reply) -> Reply + Send + Sync + 'static) -> TestServer {
        TestServer::start(move |asked| vec![reply(Reply::to(asked)).octets()])
    }

    /// One that never says anything.
    pub fn silent() -> TestServer {
        TestServer::start(|_| Vec::new())
    }

    /// How often it was asked, when that is so many times at the least. A datagram takes its time.
    pub fn times_asked(&self, at_least: usize) -> usize {
        let begun = Instant::now();
        while self.asked.lock().len() < at_least && begun.elapsed() < super::LONG {
            thread::sleep(Duration::from_millis(5));
        }
        self.asked.lock().len()
    }

    /// What it was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().clone()
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.halt.store(true, Ordering::SeqCst);
        let _ = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.send_to(&[], self.address));
        let _ = TcpStream::connect(self.address);
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

/// Both on the same port.
fn sockets() -> (UdpSocket, TcpListener) {
    for _ in 0..100 {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().expect("bound")) {
            return (udp, tcp);
        }
    }
    panic!("no port is free for both");
}

fn serve_udp(socket: &UdpSocket, halt: &AtomicBool, answer: impl Fn(Asked) -> Vec<Vec<u8>>) {
    let mut buffer = [0; 2000];
    loop {
        let (length, from) = socket.recv_from(&mut buffer).expect("a datagram");
        if halt.load(Ordering::SeqCst) {
            return;
        }
        for reply in answer(Asked::new(&buffer[..length], false, from)) {
            let _ = socket.send_to(&reply, from);
        }
    }
}

fn serve_tcp(listener: &TcpListener, halt: &AtomicBool, answer: impl Fn(Asked) -> Vec<Vec<u8>>) {
    loop {
        let (mut stream, from) = listener.accept().expect("a client");
        if halt.load(Ordering::SeqCst) {
            return;
        }
        let mut length = [0; 2];
        stream.read_exact(&mut length).expect("a length");
        let mut octets = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut octets).expect("a question");
        for reply in answer(Asked::new(&octets, true, from)) {
            let framed = [&(reply.len() as u16).to_be_bytes()[..], &reply].concat();
            let _ = stream.write_all(&framed);
        }
    }
}
