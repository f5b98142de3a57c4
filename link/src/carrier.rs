//! The thread that carries packets: reads them from one device as soon as they are there, and writes them to the other
//! when [`Way`] says that they arrive. What becomes of a packet is decided there, not here.
//!
//! Promises:
//! - A packet is never early. How late the latest was is counted.
//! - Only IPv4 is carried; what else a kernel sends by itself (IPv6's search for routers) is not counted.
//! - It waits when there is nothing to do, and ends soon after the other end of `stop` is closed, whatever comes in.

use crate::options::LinkOptions;
use crate::sys;
use crate::tally::Tally;
use crate::way::Way;
use std::fs::File;
use std::io::{self, ErrorKind, PipeReader, Read, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// Packets read from one device before the other one has its turn.
const TURN: usize = 256;
/// Nothing that a kernel sends is larger.
const LARGEST_PACKET: usize = 64 * 1024;

/// The two devices and what is under way between them.
#[derive(Debug)]
pub(crate) struct Carrier {
    near: File,
    far: File,
    up: Way,
    down: Way,
    started: Instant,
    latest: Duration,
    buffer: Box<[u8]>,
}

impl Carrier {
    pub(crate) fn new(near: File, far: File, options: LinkOptions) -> Carrier {
        let (up, down) = (Way::new(options.up, options.delay), Way::new(options.down, options.delay));
        let buffer = vec![0; LARGEST_PACKET].into();
        Carrier { near, far, up, down, started: Instant::now(), latest: Duration::ZERO, buffer }
    }

    /// Carries until `stop` is closed. The tally is whole but for what was never read.
    pub(crate) fn run(mut self, stop: &PipeReader) -> io::Result<Tally> {
        sys::be_punctual();
        let mut readable = [true; 2];
        loop {
            let more_up = readable[0] && take_in(&self.near, &mut self.up, self.started, &mut self.buffer)?;
            let more_down = readable[1] && take_in(&self.far, &mut self.down, self.started, &mut self.buffer)?;
            self.deliver();
            let limit = if more_up || more_down { Some(Duration::ZERO) } else { self.until_next() };
            let [near, far, stopped] = sys::wait([self.near.as_fd(), self.far.as_fd(), stop.as_fd()], limit)?;
            if stopped {
                return Ok(self.tally());
            }
            readable = [near || more_up, far || more_down];
        }
    }

    /// How long nothing arrives; `None` when nothing is under way.
    fn until_next(&self) -> Option<Duration> {
        let next = self.up.next().into_iter().chain(self.down.next()).min()?;
        Some(next.saturating_sub(self.started.elapsed()))
    }

    /// Hands over all that has arrived by now.
    fn deliver(&mut self) {
        let now = self.started.elapsed();
        let up = hand_over(&mut self.up, &self.far, now);
        let down = hand_over(&mut self.down, &self.near, now);
        self.latest = self.latest.max(up).max(down);
    }

    fn tally(&self) -> Tally {
        let (up, down) = (self.up.traffic(), self.down.traffic());
        Tally { up, down, lasted: self.started.elapsed(), cpu: sys::cpu_time(), latest: self.latest }
    }
}

/// Reads what is there, as much as a turn has. Whether there may be more.
fn take_in(mut from: &File, way: &mut Way, started: Instant, buffer: &mut [u8]) -> io::Result<bool> {
    for _ in 0..TURN {
        match from.read(buffer) {
            Ok(length) if is_ipv4(&buffer[..length]) => {
                way.offer(started.elapsed(), &buffer[..length]);
            }
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// Writes what has arrived. How late the latest was.
fn hand_over(way: &mut Way, mut to: &File, now: Duration) -> Duration {
    let mut latest = Duration::ZERO;
    while let Some(packet) = way.arrive(now) {
        latest = latest.max(now - packet.due);
        // A device that is down or out of memory loses the packet, as a network card would.
        if to.write(&packet.octets).is_err() {
            way.refused(&packet);
        }
    }
    latest
}

fn is_ipv4(packet: &[u8]) -> bool {
    packet.first().is_some_and(|first| first >> 4 == 4)
}
