//! The link with the kernel's own IP, UDP and TCP on it. What is measured in time has generous bounds upwards: a busy
//! machine may be late, and never early.
//!
//! Needs root; where no link can be made the tests say that they were skipped.

mod commands;
mod needs;

use needs::start;
use pipelane_link::{Count, Direction, Link, LinkError, LinkOptions, Namespace, Tally};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// IP and UDP headers.
const HEADERS: u64 = 28;
const PATIENCE: Option<Duration> = Some(Duration::from_secs(30));

fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn udp(end: &Namespace) -> UdpSocket {
    let socket = end.run(|| UdpSocket::bind((end.address(), 0))).expect("enters").expect("a port");
    socket.set_read_timeout(PATIENCE).expect("a time");
    socket
}

/// A connection over the link, near end first, and how long it took to connect.
fn tcp(link: &Link) -> (TcpStream, TcpStream, Duration) {
    let listener = link.far().run(|| TcpListener::bind((link.far().address(), 0))).expect("enters").expect("a port");
    let to = listener.local_addr().expect("bound");
    let (near, took) = link
        .near()
        .run(|| {
            let started = Instant::now();
            let stream = TcpStream::connect_timeout(&to, millis(30_000)).expect("connects");
            (stream, started.elapsed())
        })
        .expect("enters");
    let far = listener.accept().expect("it has connected").0;
    (near, far, took)
}

fn stop(link: Link) -> Tally {
    let tally = link.stop().expect("it was carrying");
    for traffic in [tally.up, tally.down] {
        assert_eq!(traffic.offered, traffic.carried + traffic.dropped + traffic.under_way, "{tally}");
    }
    tally
}

#[test]
fn a_packet_takes_the_delay_there_and_back() {
    let Some(link) = start(LinkOptions { delay: millis(150), ..LinkOptions::default() }) else { return };
    let (near, far) = (udp(link.near()), udp(link.far()));
    near.connect(far.local_addr().expect("bound")).expect("connects");
    for _ in 0..3 {
        let started = Instant::now();
        near.send(b"ping").expect("sent");
        let (length, from) = far.recv_from(&mut [0; 10]).expect("arrives");
        assert!(started.elapsed() >= millis(150));
        assert_eq!(length, 4);
        far.send_to(b"pong!", from).expect("sent");
        near.recv(&mut [0; 10]).expect("arrives");
        let took = started.elapsed();
        assert!(took >= millis(300) && took < millis(3000), "{took:?}");
    }
    let tally = stop(link);
    assert_eq!(tally.up.carried, Count { packets: 3, octets: 3 * (HEADERS + 4) }, "{tally}");
    assert_eq!(tally.down.carried, Count { packets: 3, octets: 3 * (HEADERS + 5) }, "{tally}");
    assert_eq!((tally.up.dropped, tally.down.dropped), (Count::default(), Count::default()));
}

#[test]
fn tcp_connects_in_a_round_trip() {
    let Some(link) = start(LinkOptions { delay: millis(100), ..LinkOptions::default() }) else { return };
    let (_near, _far, took) = tcp(&link);
    assert!(took >= millis(200) && took < millis(2000), "{took:?}");
}

#[test]
fn a_transfer_takes_its_octets_by_the_rate_each_direction_by_its_own() {
    let (up, down) = (Direction { rate: Some(8_000_000), queue: 100_000 }, Direction::UNLIMITED);
    let Some(link) = start(LinkOptions { delay: millis(5), up, down }) else { return };
    const OCTETS: usize = 500_000;
    // Half a second at the rate, without the headers.
    let least = Duration::from_secs_f64(OCTETS as f64 * 8.0 / 8e6);
    let (near, far, _) = tcp(&link);
    let transfer = |mut from: &TcpStream, mut to: &TcpStream| {
        let started = Instant::now();
        thread::scope(|scope| {
            scope.spawn(move || {
                from.write_all(&vec![b'x'; OCTETS]).expect("sent");
                from.shutdown(Shutdown::Write).expect("open");
            });
            let mut all = Vec::new();
            to.read_to_end(&mut all).expect("arrives");
            assert_eq!(all.len(), OCTETS);
        });
        started.elapsed()
    };
    let there = transfer(&near, &far);
    let back = transfer(&far, &near);
    assert!(there >= least && there < 20 * least, "{there:?}");
    assert!(back < 20 * least, "{back:?}");
    let tally = stop(link);
    assert!(tally.up.carried.octets > OCTETS as u64 && tally.down.carried.octets > OCTETS as u64, "{tally}");
    assert!(tally.up.largest_queue > 1500 && tally.up.largest_queue <= 100_000, "{tally}");
    assert_eq!(tally.down.largest_queue, 0, "without a rate nothing waits");
}

#[test]
fn what_the_queue_has_no_place_for_is_dropped_and_the_rest_arrives_in_order() {
    let slow = Direction { rate: Some(1_000_000), queue: 20_000 };
    let Some(link) = start(LinkOptions::symmetric(millis(20), slow)) else { return };
    let (near, far) = (udp(link.near()), udp(link.far()));
    let to = far.local_addr().expect("bound");
    const SENT: u32 = 200;
    for number in 0..SENT {
        let mut packet = [0; 1000];
        packet[..4].copy_from_slice(&number.to_be_bytes());
        near.send_to(&packet, to).expect("sent");
    }
    far.set_read_timeout(Some(millis(2000))).expect("a time");
    let (mut arrived, mut packet) = (Vec::new(), [0; 1500]);
    let end = loop {
        match far.recv(&mut packet) {
            Ok(length) => {
                assert_eq!(length, 1000);
                arrived.push(u32::from_be_bytes(packet[..4].try_into().expect("four octets")));
            }
            Err(error) => break error.kind(),
        }
    };
    assert!(matches!(end, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{end:?}");
    assert!(arrived.is_sorted());
    let tally = stop(link);
    assert_eq!(tally.up.offered, Count { packets: 200, octets: 200 * (HEADERS + 1000) }, "{tally}");
    assert_eq!(tally.up.carried.packets, arrived.len() as u64, "{tally}");
    assert!(tally.up.dropped.packets > 0 && arrived.len() >= 19, "{tally}");
    assert!(tally.up.largest_queue <= 20_000, "{tally}");
    assert_eq!((tally.up.unread, tally.up.under_way), (0, Count::default()), "{tally}");
}

#[test]
fn a_large_datagram_is_cut_into_packets_of_the_mtu() {
    let Some(link) = start(LinkOptions::default()) else { return };
    let (near, far) = (udp(link.near()), udp(link.far()));
    near.send_to(&[7; 8000], far.local_addr().expect("bound")).expect("sent");
    assert_eq!(far.recv(&mut [0; 9000]).expect("arrives"), 8000);
    // 1480 octets of the datagram in each packet.
    assert_eq!(stop(link).up.carried.packets, 6);
}

#[test]
fn commands_run_in_their_end() {
    let Some(link) = start(LinkOptions::default()) else { return };
    let namespace_of = |end: &Namespace| {
        let output = end.command("readlink").arg("/proc/self/ns/net").output().expect("readlink runs");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let own = std::fs::read_link("/proc/thread-self/ns/net").expect("a link").display().to_string();
    let (near, far) = (namespace_of(link.near()), namespace_of(link.far()));
    let by_thread =
        link.far().run(|| std::fs::metadata("/proc/thread-self/ns/net").expect("there").ino()).expect("enters");
    assert!(near.starts_with("net:[") && far == format!("net:[{by_thread}]\n"), "{near} {far} {by_thread}");
    assert!(near != far && near.trim() != own && far.trim() != own);
    let still = std::fs::read_link("/proc/thread-self/ns/net").expect("a link").display().to_string();
    assert_eq!(own, still, "the caller stays where it is");
}

#[test]
fn loopback_is_there_and_links_do_not_meet() {
    let (Some(one), Some(other)) = (start(LinkOptions::default()), start(LinkOptions::default())) else { return };
    let ends = [one.near(), one.far(), other.near(), other.far()];
    let listeners = ends.map(|end| {
        let listener = end.run(|| TcpListener::bind(("127.0.0.1", 2525))).expect("enters");
        listener.expect("a namespace of its own has all ports free")
    });
    for (end, listener) in ends.iter().zip(&listeners) {
        end.run(|| TcpStream::connect(("127.0.0.1", 2525))).expect("enters").expect("connects");
        listener.accept().expect("it was this one");
        // Also by IPv6, where the kernel has it at all.
        match end.run(|| TcpListener::bind((Ipv6Addr::LOCALHOST, 0))).expect("enters") {
            Ok(listener) => {
                let to: SocketAddr = listener.local_addr().expect("bound");
                end.run(|| TcpStream::connect(to)).expect("enters").expect("connects");
            }
            Err(error) => assert!(Path::new("/proc/net/if_inet6").exists().then_some(&error).is_none(), "{error}"),
        }
    }
    // What is on loopback is not on the link.
    assert_eq!(stop(one).up.offered, Count::default());
    drop(other);
}

#[test]
fn what_is_under_way_at_the_end_is_told() {
    let Some(link) = start(LinkOptions { delay: millis(50_000), ..LinkOptions::default() }) else { return };
    let (near, far) = (udp(link.near()), udp(link.far()));
    near.send_to(b"too late", far.local_addr().expect("bound")).expect("sent");
    // The link reads at once, but it is another thread.
    thread::sleep(millis(300));
    let tally = stop(link);
    assert_eq!(tally.up.under_way, Count { packets: 1, octets: HEADERS + 8 });
    assert!(tally.to_string().contains("still under way 1 packets (36 octets)"), "{tally}");
}

#[test]
fn a_panic_goes_on_in_the_caller() {
    let Some(link) = start(LinkOptions::default()) else { return };
    let near = link.near().clone();
    let outcome = thread::spawn(move || near.run(|| panic!("on purpose"))).join();
    assert_eq!(outcome.expect_err("panicked").downcast_ref(), Some(&"on purpose"));
}

#[test]
fn bad_options_are_told_before_anything_is_made() {
    let nothing = Direction { rate: Some(0), queue: 0 };
    let error = Link::start(LinkOptions::symmetric(millis(1), nothing)).expect_err("refused");
    assert!(matches!(error, LinkError::Options(_)), "{error}");
}
