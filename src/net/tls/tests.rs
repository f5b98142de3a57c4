//! TLS over real sockets, against OpenSSL's own server, by each implementation.

use super::certificates::Certificates;
use super::*;
use crate::config::{TlsLibrary, TlsPolicy, TlsSettings, TlsVersion};
use crate::net::dns::Tlsa;
use openssl::ssl::{ErrorCode, SslAcceptor, SslStream};
use socket2::SockRef;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

const COMMANDS: usize = 20_000;
const COMMAND: usize = 64;
const ANSWER: usize = 1000;
const BUFFERS: usize = 64 * 1024;

fn patience() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// Both ends of a loopback connection, with socket buffers that fill soon.
fn pair() -> (Duplex, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port");
    for set in [socket2::Socket::set_recv_buffer_size, socket2::Socket::set_send_buffer_size] {
        set(&SockRef::from(&listener), BUFFERS).expect("inherited by what is accepted");
    }
    let client = TcpStream::connect(listener.local_addr().expect("bound")).expect("connects");
    let (server, _) = listener.accept().expect("the client is there");
    SockRef::from(&client).set_send_buffer_size(BUFFERS).expect("allowed");
    (Duplex::new(client).expect("connected"), server)
}

/// Those that there are.
const LIBRARIES: [TlsLibrary; 2] = [TlsLibrary::Openssl, TlsLibrary::Native];

fn settings(policy: TlsPolicy, library: TlsLibrary) -> TlsSettings {
    TlsSettings { policy, library, ..TlsSettings::default() }
}

/// Whom sessions are kept for.
fn peer_address() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 25))
}

/// A handshake with nothing special.
fn plain() -> Handshake<'static> {
    Handshake { name: "mx.test", server: peer_address().into(), dane: None, until: patience(), is_given_up: &|| false }
}

/// Begins TLS as a client in this thread; `serve` is the server, in another.
fn connect<T: Send + 'static>(
    settings: &TlsSettings,
    acceptor: SslAcceptor,
    serve: impl FnOnce(SslStream<TcpStream>) -> T + Send + 'static,
) -> (Result<Stream, TlsError>, JoinHandle<Option<T>>) {
    let (client, server) = pair();
    let peer = thread::spawn(move || acceptor.accept(server).ok().map(serve));
    let connector = Connectors::default().get(settings).expect("a connector");
    (Stream::Clear(client).secured(&*connector, &plain()), peer)
}

/// A peer that answers each command and, its answers not being read, reads no further command.
fn answering(mut server: SslStream<TcpStream>) -> usize {
    let (mut command, answer, mut answered) = ([0; COMMAND], [b'a'; ANSWER], 0);
    while server.read_exact(&mut command).is_ok() && server.write_all(&answer).is_ok() {
        answered += 1;
    }
    answered
}

fn read_waiting(stream: &mut Stream, into: &mut [u8]) -> usize {
    loop {
        match stream.try_read(into).expect("the connection holds") {
            Some(octets) => return octets,
            None => drop(stream.wait(None, Some(patience())).expect("the peer goes on")),
        }
    }
}

/// RFC 2920 section 3.1's deadlock, under encryption: each side writes, and neither would read before it has written.
fn both_directions_full(library: TlsLibrary, acceptor: &str, most: impl Fn(usize) -> usize) {
    let acceptor = Certificates::get().acceptor(acceptor);
    let (stream, peer) = connect(&settings(TlsPolicy::Require, library), acceptor, answering);
    let mut stream = stream.expect("a handshake");
    let commands = vec![b'c'; COMMANDS * COMMAND];
    let (mut sent, mut answers, mut refused) = (0, 0, 0);
    let mut into = vec![0; 32 * 1024];
    while sent < commands.len() {
        stream.set_deadline(Some(patience()));
        match stream.write(&commands[sent..], most(sent + refused)) {
            Ok(octets) => sent += octets,
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}");
                refused += 1;
                while let Some(octets) = stream.try_read(&mut into).expect("the connection holds") {
                    answers += octets;
                }
            }
        }
    }
    assert!(refused > 0, "no write was sent to read first, so nothing was tried");
    while answers < COMMANDS * ANSWER {
        let octets = read_waiting(&mut stream, &mut into);
        assert!(octets > 0, "ended after {answers} octets");
        answers += octets;
    }
    stream.farewell();
    drop(stream);
    assert_eq!(peer.join().expect("the peer ends"), Some(COMMANDS));
}

#[test]
fn twenty_thousand_commands_go_out_while_twenty_megabytes_of_answers_come_in() {
    for library in LIBRARIES {
        both_directions_full(library, "mx", |_| usize::MAX);
        both_directions_full(library, "mx 1.2", |_| usize::MAX);
    }
}

#[test]
fn a_write_that_did_not_go_on_may_be_given_less_room_the_next_time() {
    for library in LIBRARIES {
        both_directions_full(library, "mx", |n| if n % 2 == 0 { 40_000 } else { 7 });
    }
}

#[test]
fn a_peer_that_takes_nothing_costs_no_more_than_the_deadline_and_the_connection_stays_usable() {
    LIBRARIES.into_iter().for_each(a_peer_that_takes_nothing);
}

fn a_peer_that_takes_nothing(library: TlsLibrary) {
    let acceptor = Certificates::get().acceptor("mx");
    let (go, gone) = std::sync::mpsc::channel();
    let (stream, peer) = connect(&settings(TlsPolicy::Require, library), acceptor, move |mut server| {
        gone.recv().expect("the test goes on");
        let mut all = Vec::new();
        let end = server.read_to_end(&mut all);
        (all, end.is_ok())
    });
    let (mut stream, mut said) = (stream.expect("a handshake"), Vec::new());
    let piece: Vec<u8> = (0..50_000u32).map(|n| (n % 251) as u8).collect();
    let mut rest = 0..0;
    loop {
        if rest.is_empty() {
            rest = 0..piece.len();
        }
        stream.set_deadline(Some(Instant::now() + Duration::from_millis(30)));
        match stream.write(&piece[rest.clone()], usize::MAX) {
            Ok(octets) => {
                said.extend_from_slice(&piece[rest.start..rest.start + octets]);
                rest.start += octets;
            }
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}");
                break;
            }
        }
    }
    assert_eq!(stream.try_read(&mut [0; 10]).expect("it holds"), None);
    go.send(()).expect("the peer lives");
    while !rest.is_empty() {
        stream.set_deadline(Some(patience()));
        match stream.write(&piece[rest.clone()], usize::MAX) {
            Ok(octets) => {
                said.extend_from_slice(&piece[rest.start..rest.start + octets]);
                rest.start += octets;
            }
            // The server's session tickets may have come only now: they are to be read first, and come to nothing.
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "the peer reads now: {error}");
                assert_eq!(stream.try_read(&mut [0; 10]).expect("it holds"), None);
            }
        }
    }
    stream.farewell();
    drop(stream);
    let (heard, in_order) = peer.join().expect("ends").expect("a handshake");
    assert!(heard == said && in_order, "{} said, {} heard", said.len(), heard.len());
}

/// How the peer sees the end.
fn end_seen(library: TlsLibrary, end: impl FnOnce(Stream)) -> ErrorCode {
    let acceptor = Certificates::get().acceptor("mx");
    let (stream, peer) = connect(&settings(TlsPolicy::Require, library), acceptor, |mut server| {
        let mut into = [0; 100];
        loop {
            if let Err(error) = server.ssl_read(&mut into) {
                return error.code();
            }
        }
    });
    let mut stream = stream.expect("a handshake");
    stream.set_deadline(Some(patience()));
    assert_eq!(stream.write(b"BDAT 100 LAST\r\nhalf", usize::MAX).expect("fits"), 19);
    end(stream);
    peer.join().expect("ends").expect("a handshake")
}

#[test]
fn only_a_farewell_says_close_notify() {
    for library in LIBRARIES {
        assert_eq!(end_seen(library, |mut stream| stream.farewell()), ErrorCode::ZERO_RETURN);
        assert_eq!(end_seen(library, Stream::abort), ErrorCode::SYSCALL);
        assert_ne!(end_seen(library, drop), ErrorCode::ZERO_RETURN);
    }
}

#[test]
fn whom_to_trust_is_as_the_settings_say() {
    LIBRARIES.into_iter().for_each(whom_to_trust);
}

fn whom_to_trust(library: TlsLibrary) {
    let made = Certificates::get();
    let settings = |policy| settings(policy, library);
    let verify = TlsSettings { ca_file: Some(made.path("ca.pem")), ..settings(TlsPolicy::Verify) };
    let newest = TlsSettings { minimum: TlsVersion::V13, ..verify.clone() };
    for (settings, server, succeeds) in [
        (settings(TlsPolicy::May), "stranger", true),
        (settings(TlsPolicy::Require), "stranger", true),
        (settings(TlsPolicy::Require), "expired", true),
        (settings(TlsPolicy::Require), "other", true),
        (settings(TlsPolicy::Verify), "mx", false),
        (verify.clone(), "mx", true),
        (verify.clone(), "under", true),
        (verify.clone(), "stranger", false),
        (verify.clone(), "other", false),
        (verify, "expired", false),
        (newest.clone(), "mx", true),
        (newest, "mx 1.2", false),
    ] {
        let (stream, peer) = connect(&settings, made.acceptor(server), drop);
        assert_eq!(stream.is_ok(), succeeds, "{settings:?} {server}: {stream:?}");
        let verified = settings.policy == TlsPolicy::Verify;
        let vouched = if verified { Vouched::Authority } else { Vouched::Nobody };
        if let Ok(stream) = stream {
            assert_eq!(stream.agreed().expect("encrypted").vouched, vouched);
        }
        peer.join().expect("ends");
    }
}

#[test]
fn our_own_certificate_is_shown_to_a_server_that_asks() {
    let made = Certificates::get();
    let mut both = std::fs::read(made.path("mx.pem")).expect("made");
    both.extend(std::fs::read(made.path("mx.key")).expect("made"));
    std::fs::write(made.path("both.pem"), both).expect("written");
    let path = |name: &str| Some(made.path(name));
    for library in LIBRARIES {
        for (cert_file, key_file, shows) in
            [(path("mx.pem"), path("mx.key"), true), (path("both.pem"), None, true), (None, None, false)]
        {
            let settings = TlsSettings { cert_file, key_file, ..settings(TlsPolicy::Require, library) };
            let acceptor = made.asking_acceptor();
            let (stream, peer) = connect(&settings, acceptor, |server| server.ssl().peer_certificate().is_some());
            stream.expect("a handshake");
            assert_eq!(peer.join().expect("ends"), Some(shows));
        }
    }
}

#[test]
fn a_handshake_ends_at_its_time_or_when_it_is_given_up() {
    for library in LIBRARIES {
        let connector = Connectors::default().get(&settings(TlsPolicy::Require, library)).expect("a connector");
        let connect = |until, given_up: bool| {
            let (client, _silent) = pair();
            let how = Handshake { until, is_given_up: &|| given_up, ..plain() };
            Stream::Clear(client).secured(&*connector, &how).expect_err("nobody answers")
        };
        let begun = Instant::now();
        assert!(matches!(connect(Instant::now() + Duration::from_millis(50), false), TlsError::TimedOut));
        assert!(matches!(connect(patience(), true), TlsError::GivenUp));
        assert!(begun.elapsed() < Duration::from_secs(30));
    }
}

#[test]
fn a_connector_is_made_once_and_again_when_its_files_change() {
    LIBRARIES.into_iter().for_each(a_connector_is_made_once);
}

fn a_connector_is_made_once(library: TlsLibrary) {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("ca.pem");
    let ca = std::fs::read(Certificates::get().path("ca.pem")).expect("made");
    let settings = TlsSettings { ca_file: Some(file.clone()), ..settings(TlsPolicy::Verify, library) };
    let connectors = Connectors::default();
    let missing = connectors.get(&settings).expect_err("no such file").to_string();
    assert!(missing.contains("ca.pem"), "{missing}");
    std::fs::write(&file, &ca).expect("written");
    let first = connectors.get(&settings).expect("made");
    let named = TlsSettings { name: Some("other.test".into()), ..settings.clone() };
    assert!(std::sync::Arc::ptr_eq(&first, &connectors.get(&named).expect("shared")));
    std::fs::write(&file, [&ca[..], &ca[..]].concat()).expect("written");
    assert!(!std::sync::Arc::ptr_eq(&first, &connectors.get(&settings).expect("made anew")));
    std::fs::write(&file, "nothing").expect("written");
    assert!(matches!(connectors.get(&settings), Err(TlsError::Settings(_))));
}

#[test]
fn what_was_agreed_on_is_told_by_openssl() {
    for (server, version) in [("mx", "TLSv1.3"), ("mx 1.2", "TLSv1.2")] {
        let settings = settings(TlsPolicy::Require, TlsLibrary::Openssl);
        let (stream, peer) = connect(&settings, Certificates::get().acceptor(server), drop);
        let agreed = stream.expect("a handshake").agreed().expect("encrypted");
        assert_eq!((agreed.version, agreed.resumed), (Some(version), false));
        assert!(agreed.cipher.is_some_and(|cipher| cipher.starts_with("TLS_")), "{agreed:?}");
        peer.join().expect("ends");
    }
}

#[test]
fn tlsa_records_decide_whatever_the_certificate_says() {
    let made = Certificates::get();
    let digest = |name: &str| {
        let pem = std::fs::read(made.path(&format!("{name}.pem"))).expect("made");
        openssl::sha::sha256(&openssl::x509::X509::from_pem(&pem).expect("one").to_der().expect("DER")).to_vec()
    };
    let dane = |usage, of: &str| {
        let record = Tlsa { usage, selector: 0, matching: 1, data: digest(of) };
        Dane::new(&[record], vec!["mx.test".into()]).expect("usable")
    };
    for (usage, of, server, vouched) in [
        (3, "stranger", "stranger", Some(Vouched::Dane(3))),
        (3, "expired", "expired 1.2", Some(Vouched::Dane(3))),
        (3, "mx", "stranger", None),
        (2, "issuer", "under", Some(Vouched::Dane(2))),
        (2, "issuer", "mx", None),
    ] {
        let dane = dane(usage, of);
        let settings = settings(TlsPolicy::Dane, TlsLibrary::Openssl);
        let connector = Connectors::default().get(&settings).expect("a connector");
        let (client, socket) = pair();
        let acceptor = made.acceptor(server);
        let peer = thread::spawn(move || acceptor.accept(socket).ok().map(|mut server| server.read(&mut [0; 10])));
        let stream = Stream::Clear(client).secured(&*connector, &Handshake { dane: Some(&dane), ..plain() });
        let found = stream.as_ref().ok().map(|stream| stream.agreed().expect("encrypted").vouched);
        assert_eq!(found, vouched, "{usage} {of} {server}: {stream:?}");
        drop(stream);
        let heard = peer.join().expect("ends");
        assert!(!matches!(heard, Some(Ok(octets)) if octets > 0), "something was said");
    }
    let native = Connectors::default().get(&settings(TlsPolicy::Require, TlsLibrary::Native)).expect("a connector");
    let dane = dane(3, "mx");
    let error = Stream::Clear(pair().0).secured(&*native, &Handshake { dane: Some(&dane), ..plain() });
    assert!(matches!(error, Err(TlsError::Settings(_))), "{error:?}");
}
