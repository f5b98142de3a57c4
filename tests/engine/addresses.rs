//! A name with several addresses. What happens when each refuses is tested in `conn::open`, since few hosts have such a
//! name.

use crate::place::*;
use pipelane::mail::NextHop;
use std::io::Write;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};

/// A port that is free at both loopback addresses, if this host has both.
fn both() -> Option<(TcpListener, TcpListener)> {
    (0..20).find_map(|_| {
        let four = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
        let port = four.local_addr().ok()?.port();
        Some((four, TcpListener::bind((Ipv6Addr::LOCALHOST, port)).ok()?))
    })
}

#[test]
fn an_address_that_refuses_is_followed_by_the_next_of_the_same_name() {
    let Some((four, six)) = both() else { return eprintln!("not tested: this host has no IPv6 loopback address") };
    let port = four.local_addr().expect("bound").port();
    let found: Vec<SocketAddr> = ("localhost", port).to_socket_addrs().expect("a name").collect();
    if !found.iter().any(SocketAddr::is_ipv6) || !found.iter().any(SocketAddr::is_ipv4) {
        return eprintln!("not tested: localhost has one address here: {found:?}");
    }
    let (first, second) = if found[0].is_ipv4() { (four, six) } else { (six, four) };
    let engine = engine(settings());
    let next_hop: NextHop = format!("[localhost]:{port}").parse().expect("a next hop");
    let refuse = std::thread::spawn(move || {
        let (mut stream, _) = first.accept().expect("a client");
        stream.write_all(b"421 4.3.2 busy\r\n").expect("sent");
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    let take = std::thread::spawn(move || {
        let (stream, _) = second.accept().expect("a client");
        let mut peer = crate::host::Peer::new(stream);
        peer.greet(&[]);
        peer.serve(crate::host::yes);
    });
    all_delivered(&submit_many(&engine, &next_hop, "two", 1));
    drop(engine);
    [refuse, take].into_iter().for_each(|thread| thread.join().expect("ends"));
}
