//! Measures the link itself: is the delay what it should be, does TCP fill the rate, and how much of a core does it
//! take?
//!
//! Fails when TCP gets less than nine tenths of 100 Mbit/s: then this machine is too slow, or too busy, for such a
//! link.

use pipelane_link::{Direction, Link, LinkError, LinkOptions, Namespace};
use std::error::Error;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

const RATE: u64 = 100_000_000;
/// What fills the rate for five seconds.
const OCTETS: u64 = RATE / 8 * 5;
const PINGS: usize = 100;
const PATIENCE: Option<Duration> = Some(Duration::from_secs(20));

/// Prints what was measured. The status of the executable.
pub(crate) fn run() -> Result<u8, Box<dyn Error>> {
    for delay in [Duration::from_millis(1), Duration::from_millis(20)] {
        round_trips(delay)?;
    }
    let reached = throughput(Duration::from_millis(10))?;
    Ok(u8::from(reached < RATE as f64 * 0.9))
}

fn start(delay: Duration, both: Direction) -> Result<Link, LinkError> {
    Link::start(LinkOptions::symmetric(delay, both))
}

/// Datagrams there and back, one after the other, on an idle link.
fn round_trips(delay: Duration) -> Result<(), Box<dyn Error>> {
    let link = start(delay, Direction::UNLIMITED)?;
    let bind = |end: &Namespace| -> Result<UdpSocket, Box<dyn Error>> {
        let socket = end.run(|| UdpSocket::bind((end.address(), 0)))??;
        socket.set_read_timeout(PATIENCE)?;
        Ok(socket)
    };
    let (near, far) = (bind(link.near())?, bind(link.far())?);
    near.connect(far.local_addr()?)?;
    let mut times = Vec::new();
    for _ in 0..PINGS {
        let started = Instant::now();
        near.send(b"ping")?;
        let (_, from) = far.recv_from(&mut [0; 8])?;
        far.send_to(b"pong", from)?;
        near.recv(&mut [0; 8])?;
        times.push(started.elapsed());
    }
    times.sort();
    let over = |time: Duration| (time.as_secs_f64() - 2.0 * delay.as_secs_f64()) * 1e6;
    println!(
        "delay {delay:?}: of {PINGS} round trips the shortest took {:?} and {:.0} us, the median {:.0} us, the longest {:.0} us",
        2 * delay,
        over(times[0]),
        over(times[PINGS / 2]),
        over(times[PINGS - 1]),
    );
    link.stop()?;
    Ok(())
}

/// One TCP connection from near to far at [`RATE`]. The bits of content in a second.
fn throughput(delay: Duration) -> Result<f64, Box<dyn Error>> {
    // Twice what is on its way in a round trip: TCP has room to find its rate.
    let queue = (RATE as f64 / 8.0 * delay.as_secs_f64() * 4.0) as u64;
    let link = start(delay, Direction { rate: Some(RATE), queue })?;
    let listener = link.far().run(|| TcpListener::bind((link.far().address(), 0)))??;
    let to = listener.local_addr()?;
    let mut near = link.near().run(|| TcpStream::connect_timeout(&to, Duration::from_secs(20)))??;
    let (mut far, _) = listener.accept()?;
    near.set_write_timeout(PATIENCE)?;
    far.set_read_timeout(PATIENCE)?;
    let sending = thread::spawn(move || {
        let piece = [0; 64 * 1024];
        let mut left = OCTETS as usize;
        while left > 0 {
            left -= near.write(&piece[..left.min(piece.len())])?;
        }
        std::io::Result::Ok(())
    });
    let started = Instant::now();
    let (mut piece, mut got) = (vec![0; 64 * 1024], 0);
    while got < OCTETS {
        match far.read(&mut piece)? {
            0 => return Err("the connection ended before its time".into()),
            length => got += length as u64,
        }
    }
    let took = started.elapsed().as_secs_f64();
    sending.join().map_err(|_| "the sender panicked")??;
    let reached = OCTETS as f64 * 8.0 / took;
    let tally = link.stop()?;
    let share = tally.cpu.as_secs_f64() / tally.lasted.as_secs_f64();
    println!("rate {RATE}, delay {delay:?}, queue {queue}: TCP carried {:.1} Mbit/s of content", reached / 1e6);
    println!("the link's thread took {:.1} % of a core\n{tally}", share * 100.0);
    Ok(reached)
}
