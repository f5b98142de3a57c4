//! From a host to its addresses, [`look_up`], from these to a connected stream, [`dial_addresses`]; and from a path,
//! [`dial_unix`].
//!
//! The host is an address literal or a name (looked up with getaddrinfo(3): `/etc/hosts` and the system's search
//! list count; MX records are the caller's business). Addresses are tried as RFC 8305 says: the families take
//! turns, beginning with the resolver's first choice; an attempt starts [`HEAD_START`] after the one before, or at
//! once when one fails; the first to connect wins and the rest are closed. At most [`MAX_ADDRESSES`] are tried.
//!
//! All attempts share one budget. The look-up itself takes as long as the
//! system's resolver does. No thread is started; nothing is remembered from one call to the next.

mod error;
mod race;
mod unix;

use super::Wake;
use super::sys::{self, ResolveError};
pub use error::{Attempt, DialError, DialErrorKind};
use race::{Lost, Race};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};
pub use unix::dial_unix;

/// How long an attempt is alone before the next one starts (RFC 8305's "Connection Attempt Delay").
pub const HEAD_START: Duration = Duration::from_millis(250);

/// The most addresses tried in one call.
pub const MAX_ADDRESSES: usize = 5;

/// Where to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target<'a> {
    /// An IPv4 or IPv6 literal without brackets, or a host name.
    pub host: &'a str,
    /// The TCP port.
    pub port: u16,
}

/// How.
#[derive(Debug, Clone, Copy)]
pub struct DialOptions<'a> {
    /// The time that all attempts have together.
    pub budget: Duration,
    /// Our end's address. Only addresses of its family are tried.
    pub source_address: Option<IpAddr>,
    /// Addresses not to try, because this round has seen them already.
    pub exclude: &'a [SocketAddr],
    /// Gives up as soon as this is signalled. It is left so. Not a wake that new work signals too.
    pub wake: Option<&'a Wake>,
    /// DSCP code point of the packets (RFC 2474), from the first on.
    pub dscp: Option<u8>,
    /// Congestion control by its name (tcp(7), TCP_CONGESTION).
    pub congestion: Option<&'a str>,
}

impl DialOptions<'_> {
    /// A budget and nothing else.
    pub fn new(budget: Duration) -> Self {
        DialOptions { budget, source_address: None, exclude: &[], wake: None, dscp: None, congestion: None }
    }
}

/// A connection.
#[derive(Debug)]
pub struct Dialled {
    /// Connected, in blocking mode.
    pub stream: TcpStream,
    /// The address that answered first.
    pub address: SocketAddr,
    /// How long it took.
    pub elapsed: Duration,
    /// What was asked for the socket and is not to be had here, in words. It works without.
    pub refused_options: Vec<String>,
}

/// The host's addresses, from the system. It is not asked once the wake is signalled; while it is, nothing ends the wait.
pub fn look_up(target: &Target<'_>, wake: Option<&Wake>) -> Result<Vec<SocketAddr>, DialError> {
    if wake.is_some_and(Wake::is_signalled) {
        return Err(failure(target, DialErrorKind::Interrupted, Vec::new()));
    }
    sys::resolve(target.host, target.port).map_err(|error| {
        let kind = match error {
            ResolveError::NoSuchHost(text) => DialErrorKind::NoSuchHost(text),
            ResolveError::Failed(text) => DialErrorKind::ResolverFailed(text),
        };
        failure(target, kind, Vec::new())
    })
}

/// Connects to one of `addresses`, for a caller who knows them already. `target` is only named in errors.
pub fn dial_addresses(
    target: &Target<'_>,
    addresses: Vec<SocketAddr>,
    options: &DialOptions<'_>,
) -> Result<Dialled, DialError> {
    let begun = Instant::now();
    let addresses = choose(addresses, options).map_err(|kind| failure(target, kind, Vec::new()))?;
    let mut race = Race::new(addresses, options, HEAD_START);
    let (socket, address) = match race.run() {
        Ok(winner) => winner,
        Err(lost) => {
            let kind = match lost {
                Lost::AllFailed => DialErrorKind::Unreachable,
                Lost::TimedOut => DialErrorKind::TimedOut(options.budget),
                Lost::Interrupted => DialErrorKind::Interrupted,
            };
            return Err(failure(target, kind, race.failed));
        }
    };
    if let Err(error) = socket.set_nonblocking(false) {
        race.failed.push(Attempt { address, error: Some(error) });
        return Err(failure(target, DialErrorKind::Unreachable, race.failed));
    }
    let refused_options = race.refused_options;
    Ok(Dialled { stream: socket.into(), address, elapsed: begun.elapsed(), refused_options })
}

fn failure(target: &Target<'_>, kind: DialErrorKind, attempts: Vec<Attempt>) -> DialError {
    DialError { host: target.host.to_owned(), port: Some(target.port), kind, attempts }
}

/// Which addresses to try, in which order.
fn choose(mut addresses: Vec<SocketAddr>, options: &DialOptions<'_>) -> Result<Vec<SocketAddr>, DialErrorKind> {
    if addresses.is_empty() {
        return Err(DialErrorKind::NoSuchHost("it has no addresses".into()));
    }
    if let Some(source) = options.source_address {
        addresses.retain(|address| address.is_ipv4() == source.is_ipv4());
        if addresses.is_empty() {
            return Err(DialErrorKind::NoAddressForSource(source));
        }
    }
    addresses.retain(|address| !options.exclude.contains(address));
    if addresses.is_empty() {
        return Err(DialErrorKind::Exhausted);
    }
    Ok(interleave(addresses))
}

/// The first [`MAX_ADDRESSES`], families taking turns, each family in its own order (RFC 8305 section 4).
fn interleave(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v4 = addresses.first().is_some_and(SocketAddr::is_ipv4);
    let (mut these, mut others): (VecDeque<_>, VecDeque<_>) =
        addresses.into_iter().partition(|address| address.is_ipv4() == first_is_v4);
    let mut order = Vec::new();
    while order.len() < MAX_ADDRESSES {
        let Some(address) = these.pop_front().or_else(|| others.pop_front()) else { break };
        order.push(address);
        if !others.is_empty() {
            std::mem::swap(&mut these, &mut others);
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::{Domain, Socket, Type};
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpListener};
    use std::thread;

    const LONG: Duration = Duration::from_secs(60);

    fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port");
        let address = listener.local_addr().expect("bound");
        (listener, address)
    }

    /// An address that refuses: its port is bound, so that nobody else gets it, and not listened on.
    fn refusing() -> (Socket, SocketAddr) {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a loopback port");
        let address = socket.local_addr().expect("bound").as_socket().expect("an IPv4 address");
        (socket, address)
    }

    /// An address that does not answer: its listener's backlog is full, and the kernel drops further SYNs.
    fn black_hole() -> (Vec<Socket>, SocketAddr) {
        let (socket, address) = refusing();
        socket.listen(0).expect("listens");
        let mut held = vec![socket];
        for _ in 0..4 {
            let filler = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
            filler.set_nonblocking(true).expect("allowed");
            let _ = filler.connect(&address.into());
            held.push(filler);
        }
        (held, address)
    }

    fn target(address: SocketAddr) -> Target<'static> {
        Target { host: "mx.test", port: address.port() }
    }

    /// Whether the stream is connected to this listener, in blocking mode.
    fn talks(listener: &TcpListener, mut dialled: Dialled) {
        assert_eq!(dialled.address, listener.local_addr().expect("bound"));
        let (mut server, from) = listener.accept().expect("connected");
        assert_eq!(from, dialled.stream.local_addr().expect("connected"));
        let writer = thread::spawn(move || server.write_all(b"220"));
        dialled.stream.read_exact(&mut [0; 3]).expect("a blocking read");
        writer.join().expect("ends").expect("sent");
    }

    fn dial(target: &Target<'_>, options: &DialOptions<'_>) -> Result<Dialled, DialError> {
        dial_addresses(target, look_up(target, options.wake)?, options)
    }

    #[test]
    fn an_address_literal_is_dialled() {
        let (listener, address) = listener();
        let dialled = dial(&Target { host: "127.0.0.1", port: address.port() }, &DialOptions::new(LONG)).expect("up");
        talks(&listener, dialled);
    }

    #[test]
    fn a_host_name_is_looked_up_and_dialled() {
        let (listener, address) = listener();
        let dialled = dial(&Target { host: "localhost", port: address.port() }, &DialOptions::new(LONG)).expect("up");
        talks(&listener, dialled);
    }

    #[test]
    fn a_refusal_is_said_with_host_address_and_port() {
        let (_held, address) = refusing();
        let error = dial_addresses(&target(address), vec![address], &DialOptions::new(LONG)).expect_err("refused");
        assert_eq!(error.kind, DialErrorKind::Unreachable);
        assert_eq!(error.attempts.len(), 1);
        let port = address.port();
        assert_eq!(error.to_string(), format!("connect to mx.test[127.0.0.1]:{port}: Connection refused"));
    }

    #[test]
    fn a_refused_address_is_followed_by_the_next_at_once() {
        let (_held, refuses) = refusing();
        let (listener, address) = listener();
        let addresses = vec![refuses, on(refuses, 2), on(refuses, 3), on(refuses, 4), address];
        let options = DialOptions::new(LONG);
        // A head start as long as the budget: whoever waited for one would never come to the last address.
        let mut race = Race::new(addresses, &options, LONG);
        let (_socket, winner) = race.run().unwrap_or_else(|_| panic!("lost: {:?}", race.failed));
        assert_eq!(winner, address);
        assert_eq!(race.failed.len(), 4);
        listener.accept().expect("connected");
    }

    /// The same port at another loopback address, where nobody listens.
    fn on(address: SocketAddr, last: u8) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), address.port()))
    }

    #[test]
    fn a_silent_address_costs_a_head_start_and_no_more() {
        let (_held, silent) = black_hole();
        let (listener, address) = listener();
        let dialled = dial_addresses(&target(address), vec![silent, address], &DialOptions::new(LONG)).expect("up");
        assert_eq!(dialled.address, address);
        assert!(dialled.elapsed >= HEAD_START, "the second began after {:?}", dialled.elapsed);
        assert!(dialled.elapsed < LONG / 2);
        talks(&listener, dialled);
    }

    #[test]
    fn all_addresses_share_the_budget() {
        let (_one, first) = black_hole();
        let (_two, second) = black_hole();
        let budget = Duration::from_millis(400);
        let begun = Instant::now();
        let error = dial_addresses(&target(first), vec![first, second], &DialOptions::new(budget)).expect_err("silent");
        assert_eq!(error.kind, DialErrorKind::TimedOut(budget));
        assert!(begun.elapsed() >= budget && begun.elapsed() < LONG / 2);
        let (one, two) = (first.port(), second.port());
        let sentence = format!(
            "connect to mx.test[127.0.0.1]:{one}: no answer within 400ms; \
             connect to mx.test[127.0.0.1]:{two}: no answer within 400ms"
        );
        assert_eq!(error.to_string(), sentence);
    }

    #[test]
    fn the_source_address_is_used_and_chooses_the_family() {
        let (listener, address) = listener();
        let source = Some(IpAddr::from([127, 0, 0, 7]));
        let options = DialOptions { source_address: source, ..DialOptions::new(LONG) };
        let v6 = SocketAddr::from(([0u16, 0, 0, 0, 0, 0, 0, 1], address.port()));
        let dialled = dial_addresses(&target(address), vec![v6, address], &options).expect("up");
        assert_eq!(Some(dialled.stream.local_addr().expect("connected").ip()), source);
        talks(&listener, dialled);
        let error = dial_addresses(&target(address), vec![v6], &options).expect_err("the other family");
        assert_eq!(error.kind, DialErrorKind::NoAddressForSource(IpAddr::from([127, 0, 0, 7])));
        assert_eq!(error.to_string(), "mx.test has no IPv4 address, which the source address 127.0.0.7 needs");
    }

    #[test]
    fn a_source_address_that_is_not_ours_is_named() {
        let (_listener, address) = listener();
        let options = DialOptions { source_address: Some(IpAddr::from([192, 0, 2, 1])), ..DialOptions::new(LONG) };
        let error = dial_addresses(&target(address), vec![address], &options).expect_err("not ours");
        assert_eq!(error.kind, DialErrorKind::Unreachable);
        let text = error.to_string();
        assert!(text.contains("cannot use the source address 192.0.2.1: ") && !text.contains("os error"), "{text}");
    }

    #[test]
    fn packets_are_marked_and_what_the_kernel_does_not_have_is_told() {
        let (listener, address) = listener();
        let options = DialOptions { dscp: Some(46), congestion: Some("reno"), ..DialOptions::new(LONG) };
        let dialled = dial_addresses(&target(address), vec![address], &options).expect("up");
        let socket = socket2::SockRef::from(&dialled.stream);
        assert_eq!(socket.tos_v4().expect("a socket"), 46 << 2);
        assert!(socket.tcp_congestion().expect("a socket").starts_with(b"reno\0"), "every Linux has it");
        assert!(dialled.refused_options.is_empty());
        talks(&listener, dialled);
        let options = DialOptions { congestion: Some("no-such-thing"), ..DialOptions::new(LONG) };
        let dialled = dial_addresses(&target(address), vec![address], &options).expect("up all the same");
        assert_eq!(dialled.refused_options.len(), 1);
        assert!(dialled.refused_options[0].starts_with("congestion control no-such-thing is not to be had: "));
        talks(&listener, dialled);
    }

    #[test]
    fn excluded_addresses_are_passed_over_until_none_is_left() {
        let (first, one) = listener();
        let (second, two) = listener();
        let excluding = |exclude: &[SocketAddr]| {
            let options = DialOptions { exclude, ..DialOptions::new(LONG) };
            dial_addresses(&target(one), vec![one, two], &options)
        };
        talks(&first, excluding(&[]).expect("the first"));
        talks(&second, excluding(&[one]).expect("the second"));
        let error = excluding(&[two, one]).expect_err("none is left");
        assert_eq!(error.kind, DialErrorKind::Exhausted);
        assert_eq!(error.to_string(), "every address of mx.test has been tried in this round");
    }

    #[test]
    fn a_wake_gives_up_before_and_during_the_attempts() {
        let wake = Wake::new().expect("a descriptor");
        let options = DialOptions { wake: Some(&wake), ..DialOptions::new(LONG) };
        let (_held, silent) = black_hole();
        let begun = Instant::now();
        let error = thread::scope(|scope| {
            let dialling = scope.spawn(|| dial_addresses(&target(silent), vec![silent], &options));
            wake.signal();
            dialling.join().expect("ends").expect_err("silent")
        });
        assert_eq!(error.kind, DialErrorKind::Interrupted);
        assert!(begun.elapsed() < LONG / 2 && wake.is_signalled());
        let error = dial(&Target { host: "127.0.0.1", port: silent.port() }, &options).expect_err("still signalled");
        assert_eq!(error.kind, DialErrorKind::Interrupted);
        assert!(error.attempts.is_empty());
    }

    #[test]
    fn a_name_that_cannot_be_one_is_no_such_host() {
        let label = "x".repeat(70);
        for host in ["nul\0.test", label.as_str()] {
            let error = dial(&Target { host, port: 25 }, &DialOptions::new(LONG)).expect_err("no name");
            assert!(matches!(error.kind, DialErrorKind::NoSuchHost(_)), "{error:?}");
            assert!(!error.to_string().contains('\0'));
        }
    }

    #[test]
    fn families_take_turns_and_the_resolvers_first_choice_leads() {
        let v4 = |last: u8| SocketAddr::from(([192, 0, 2, last], 25));
        let v6 = |last: u16| SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, last], 25));
        assert_eq!(interleave(vec![v6(1), v6(2), v6(3), v4(1)]), [v6(1), v4(1), v6(2), v6(3)]);
        assert_eq!(interleave(vec![v4(1), v4(2), v6(1), v6(2)]), [v4(1), v6(1), v4(2), v6(2)]);
        assert_eq!(interleave((1..=9).map(v4).collect()), [v4(1), v4(2), v4(3), v4(4), v4(5)]);
        assert_eq!(interleave((1..=9).map(v4).chain([v6(1)]).collect()), [v4(1), v6(1), v4(2), v4(3), v4(4)]);
    }
}
