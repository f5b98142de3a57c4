//! Sessions that are resumed, over a relay that counts what it carries.

use super::certificates::Certificates;
use super::*;
use crate::config::{TlsPolicy, TlsSettings};
use crate::net::dns::Tlsa;
use crate::sync::Mutex;
use openssl::ssl::SslAcceptor;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

const COMMAND: &[u8] = b"EHLO relay.test\r\n";
const ANSWER: &[u8] = b"250 mx.test\r\n";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Up,
    Down,
}

/// What went over a relay, in order: nothing is passed on before it is here.
type Carried = Arc<Mutex<Vec<(Way, usize)>>>;

/// Changes of direction, the first included.
fn flights(carried: &Carried) -> usize {
    let carried = carried.lock();
    1 + carried.windows(2).filter(|two| two[0].0 != two[1].0).count()
}

/// Octets that came from the server.
fn octets_down(carried: &Carried) -> usize {
    carried.lock().iter().filter(|(way, _)| *way == Way::Down).map(|(_, octets)| octets).sum()
}

fn carry(mut from: TcpStream, mut to: TcpStream, way: Way, carried: Carried) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(octets @ 1..) = from.read(&mut buffer) {
            carried.lock().push((way, octets));
            if to.write_all(&buffer[..octets]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    })
}

/// A client's socket, the server's, and what is carried between them.
fn relayed() -> (Duplex, TcpStream, Carried) {
    let pair = || {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port");
        let near = TcpStream::connect(listener.local_addr().expect("bound")).expect("connects");
        (near, listener.accept().expect("it is there").0)
    };
    let ((client, below), (above, server)) = (pair(), pair());
    let carried = Carried::default();
    let other = |stream: &TcpStream| stream.try_clone().expect("a descriptor");
    carry(other(&below), other(&above), Way::Up, Arc::clone(&carried));
    carry(above, below, Way::Down, Arc::clone(&carried));
    (Duplex::new(client).expect("connected"), server, carried)
}

/// One connection: handshake, a command, its answer, the end.
#[derive(Debug)]
struct Seen {
    agreed: Agreed,
    flights: usize,
    octets_down: usize,
}

struct Client {
    connectors: Connectors,
    settings: TlsSettings,
}

impl Client {
    fn new() -> Client {
        let settings = TlsSettings { policy: TlsPolicy::Require, ..TlsSettings::default() };
        Client { connectors: Connectors::default(), settings }
    }

    fn connect(&self, acceptor: &SslAcceptor, port: u16, dane: Option<&Dane>) -> Result<Seen, TlsError> {
        let (client, server, carried) = relayed();
        let acceptor = acceptor.clone();
        let peer = thread::spawn(move || {
            let Ok(mut server) = acceptor.accept(server) else { return };
            let mut command = [0; COMMAND.len()];
            if server.read_exact(&mut command).is_ok() {
                server.write_all(ANSWER).expect("the client is there");
                let _ = server.read(&mut command);
            }
        });
        let until = Instant::now() + Duration::from_secs(60);
        let server = SocketAddr::from(([192, 0, 2, 1], port)).into();
        let how = Handshake { name: "mx.test", server, dane, until, is_given_up: &|| false };
        let connector = self.connectors.get(&self.settings).expect("a connector");
        let stream = Stream::Clear(client).secured(&*connector, &how);
        let seen = stream.map(|stream| say(stream, &carried));
        peer.join().expect("the server ends");
        seen
    }
}

fn say(mut stream: Stream, carried: &Carried) -> Seen {
    let until = Some(Instant::now() + Duration::from_secs(60));
    stream.set_deadline(until);
    assert_eq!(stream.write(COMMAND, usize::MAX).expect("it fits"), COMMAND.len());
    let (mut answer, mut into) = (Vec::new(), [0; 100]);
    while answer.len() < ANSWER.len() {
        match stream.try_read(&mut into).expect("the connection holds") {
            Some(octets) => answer.extend_from_slice(&into[..octets]),
            None => drop(stream.wait(None, until).expect("the server answers")),
        }
    }
    assert_eq!(answer, ANSWER);
    let agreed = stream.agreed().expect("encrypted");
    let seen = Seen { agreed, flights: flights(carried), octets_down: octets_down(carried) };
    stream.farewell();
    seen
}

#[test]
fn under_tls_1_2_a_further_connection_takes_a_round_trip_less() {
    let (client, acceptor) = (Client::new(), Certificates::get().acceptor("mx 1.2"));
    let first = client.connect(&acceptor, 25, None).expect("a handshake");
    // ClientHello, ServerHello to its done, Finished, Finished, the command, its answer.
    assert_eq!((first.agreed.resumed, first.flights), (false, 6), "{first:?}");
    for _ in 0..3 {
        let again = client.connect(&acceptor, 25, None).expect("a handshake");
        assert_eq!((again.agreed.resumed, again.flights), (true, 4), "{again:?}");
    }
}

#[test]
fn under_tls_1_3_a_further_connection_carries_no_certificate() {
    let (client, acceptor) = (Client::new(), Certificates::get().acceptor("mx"));
    let pem = std::fs::read(Certificates::get().path("mx.pem")).expect("made");
    let certificate = openssl::x509::X509::from_pem(&pem).expect("one").to_der().expect("DER").len();
    let first = client.connect(&acceptor, 25, None).expect("a handshake");
    assert_eq!((first.agreed.version, first.agreed.resumed), (Some("TLSv1.3"), false));
    for _ in 0..5 {
        let again = client.connect(&acceptor, 25, None).expect("a handshake");
        assert!(again.agreed.resumed, "{again:?}");
        assert!(again.octets_down + certificate < first.octets_down, "{again:?} after {first:?}");
    }
}

#[test]
fn a_session_is_for_its_own_server_and_settings_only() {
    let (mut client, acceptor) = (Client::new(), Certificates::get().acceptor("mx"));
    assert!(!client.connect(&acceptor, 25, None).expect("a handshake").agreed.resumed);
    assert!(!client.connect(&acceptor, 26, None).expect("a handshake").agreed.resumed, "another port");
    client.settings.policy = TlsPolicy::Verify;
    client.settings.ca_file = Some(Certificates::get().path("ca.pem"));
    assert!(!client.connect(&acceptor, 25, None).expect("a handshake").agreed.resumed, "another policy");
    let again = client.connect(&acceptor, 25, None).expect("a handshake").agreed;
    assert_eq!((again.resumed, again.vouched), (true, Vouched::Authority));
    // A server that does not know it any more makes a new one.
    let restarted = Certificates::get().acceptor("mx");
    assert!(!client.connect(&restarted, 25, None).expect("a handshake").agreed.resumed);
    assert!(client.connect(&restarted, 25, None).expect("a handshake").agreed.resumed);
}

/// A server that ends the connection at the first octet of the handshake.
fn broken() -> (Duplex, JoinHandle<()>) {
    let (client, mut server, _) = relayed();
    let peer = thread::spawn(move || drop(server.read(&mut [0; 5])));
    (client, peer)
}

#[test]
fn a_handshake_that_fails_with_a_session_forgets_all_of_that_server() {
    for kind in ["mx", "mx 1.2"] {
        let (client, acceptor) = (Client::new(), Certificates::get().acceptor(kind));
        client.connect(&acceptor, 25, None).expect("a handshake");
        client.connect(&acceptor, 25, None).expect("a handshake");
        let connector = client.connectors.get(&client.settings).expect("a connector");
        let fail = || {
            let (duplex, peer) = broken();
            let until = Instant::now() + Duration::from_secs(60);
            let server = SocketAddr::from(([192, 0, 2, 1], 25)).into();
            let how = Handshake { name: "mx.test", server, dane: None, until, is_given_up: &|| false };
            let error = Stream::Clear(duplex).secured(&*connector, &how).expect_err("no handshake");
            peer.join().expect("ends");
            error
        };
        assert!(matches!(fail(), TlsError::Session(_)), "{kind}");
        assert!(matches!(fail(), TlsError::Handshake(_)), "{kind}: there is no session left to offer");
        assert!(!client.connect(&acceptor, 25, None).expect("a handshake").agreed.resumed, "{kind}");
    }
}

#[test]
fn a_resumed_session_is_held_to_the_records_of_today() {
    for kind in ["stranger", "stranger 1.2"] {
        let pem = std::fs::read(Certificates::get().path("stranger.pem")).expect("made");
        let der = openssl::x509::X509::from_pem(&pem).expect("one").to_der().expect("DER");
        let record = |data: Vec<u8>| Tlsa { usage: 3, selector: 0, matching: 1, data };
        let dane = |record| Dane::new(&[record], Vec::new()).expect("usable");
        let right = dane(record(openssl::sha::sha256(&der).to_vec()));
        let wrong = dane(record(vec![0; 32]));
        let (mut client, acceptor) = (Client::new(), Certificates::get().acceptor(kind));
        client.settings.policy = TlsPolicy::Dane;
        let resumed = |dane| {
            let agreed = client.connect(&acceptor, 25, Some(dane)).map(|seen| seen.agreed)?;
            assert_eq!(agreed.vouched, Vouched::Dane(3));
            Ok::<bool, TlsError>(agreed.resumed)
        };
        assert!(!resumed(&right).expect("vouched for"));
        assert!(resumed(&right).expect("vouched for"), "{kind}");
        assert!(matches!(resumed(&wrong), Err(TlsError::Session(_))), "{kind}");
        assert!(matches!(resumed(&wrong), Err(TlsError::Handshake(_))), "{kind}");
        assert!(!resumed(&right).expect("vouched for"), "{kind}: nothing of those was kept");
    }
}
