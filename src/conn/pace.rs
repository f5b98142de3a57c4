//! Measures flights for the window ([`crate::smtp::window`]): what was answered, in what time, at what round trip.
//!
//! A flight begins when the one before is over, or with the first transaction on an idle connection. It is over when
//! the transaction is answered that was the youngest when its first answer came in: one window, sent and answered.

use crate::smtp::{Flight, TransactionId};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The stop-watch of one connection. Transactions are named by `I`, in the order in which they begin.
#[derive(Debug)]
pub struct Pace<I = TransactionId> {
    sent: BTreeMap<I, Instant>,
    youngest: Option<I>,
    flight: Option<Running<I>>,
}

#[derive(Debug)]
struct Running<I> {
    started: Instant,
    until: Option<I>,
    messages: usize,
    bytes: u64,
    shortest: Option<Duration>,
}

impl<I> Default for Pace<I> {
    fn default() -> Pace<I> {
        Pace { sent: BTreeMap::new(), youngest: None, flight: None }
    }
}

impl<I: Copy + Ord> Pace<I> {
    /// A transaction was begun, with `in_flight` others unanswered.
    pub fn begun(&mut self, id: I, in_flight: usize, now: Instant) {
        self.youngest = Some(id);
        if in_flight == 0 {
            self.flight = None;
        }
        self.flight.get_or_insert(Running::starting(now));
    }

    /// The end of its content was handed over.
    pub fn sent_whole(&mut self, id: I, now: Instant) {
        self.sent.insert(id, now);
    }

    /// A transaction of so many octets was answered. Returns the flight when this ends one.
    pub fn answered(&mut self, id: I, bytes: u64, now: Instant) -> Option<Flight> {
        let round_trip = self.sent.remove(&id).map(|sent| now - sent);
        let youngest = self.youngest;
        let running = self.flight.as_mut()?;
        let until = *running.until.get_or_insert(youngest.unwrap_or(id));
        running.messages += 1;
        running.bytes += bytes;
        running.shortest = match (running.shortest, round_trip) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        if id < until {
            return None;
        }
        let flight = running.shortest.map(|round_trip| Flight {
            messages: running.messages,
            bytes: running.bytes,
            elapsed: now - running.started,
            round_trip,
        });
        self.flight = Some(Running::starting(now));
        flight
    }
}

impl<I> Running<I> {
    fn starting(now: Instant) -> Running<I> {
        Running { started: now, until: None, messages: 0, bytes: 0, shortest: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::WindowBounds;
    use crate::smtp::window::{START, Window};
    use proptest::prelude::*;
    use std::collections::VecDeque;

    const BYTES: u64 = 1000;

    /// A server at a distance that takes one message after another, each in the time `service`.
    struct Server {
        round_trip: Duration,
        service: Duration,
        busy_until: Instant,
        nagle: Option<Nagle>,
    }

    /// Nagle's algorithm: replies wait until what was sent before has been acknowledged, and then leave together.
    struct Nagle {
        acknowledged: Instant,
        is_held: bool,
    }

    impl Nagle {
        fn leaves(&mut self, ready: Instant, round_trip: Duration) -> Instant {
            if self.is_held && ready > self.acknowledged {
                self.acknowledged += round_trip;
            }
            self.is_held = ready < self.acknowledged;
            if self.is_held {
                return self.acknowledged;
            }
            self.acknowledged = ready + round_trip;
            ready
        }
    }

    impl Server {
        fn new(round_trip: Duration, service: Duration, has_nagle: bool, now: Instant) -> Server {
            let nagle = has_nagle.then_some(Nagle { acknowledged: now, is_held: false });
            Server { round_trip, service, busy_until: now, nagle }
        }

        fn replies_at(&mut self, sent: Instant) -> Instant {
            self.busy_until = self.busy_until.max(sent + self.round_trip / 2) + self.service;
            let (ready, round_trip) = (self.busy_until, self.round_trip);
            self.nagle.as_mut().map_or(ready, |nagle| nagle.leaves(ready, round_trip)) + round_trip / 2
        }
    }

    /// Sends so many messages through a window that grows. Returns the window and the time that the second half took.
    fn send(mut server: Server, bounds: WindowBounds, messages: u32) -> (Window, Duration) {
        let mut now = server.busy_until;
        let (mut window, mut pace, mut half) = (Window::new(bounds, START), Pace::default(), now);
        let (mut next, mut in_flight) = (0, VecDeque::new());
        for answered in 0..messages {
            while next < messages && window.has_room(in_flight.len(), BYTES * in_flight.len() as u64) {
                pace.begun(next, in_flight.len(), now);
                pace.sent_whole(next, now);
                in_flight.push_back((next, server.replies_at(now)));
                next += 1;
            }
            let (id, replied) = in_flight.pop_front().expect("a window has room for one");
            now = replied;
            if let Some(flight) = pace.answered(id, BYTES, now) {
                window.clean(flight);
            }
            half = if answered + 1 == messages / 2 { now } else { half };
        }
        (window, now - half)
    }

    proptest! {
        /// Whatever the distance and the server's speed: the window soon holds enough that the server is never idle for
        /// long, unless its bound is too narrow for that, and never more than four times what the pipe holds. A server
        /// that holds its replies back has a pipe of two round trips.
        #[test]
        fn the_window_grows_to_what_the_pipe_holds(
            round_trip in 1u64..1000, service in 100u64..50_000, most in 1usize..300, nagle: bool,
        ) {
            let (round_trip, service) = (Duration::from_millis(round_trip), Duration::from_micros(service));
            let bounds = WindowBounds { messages: most, bytes: 1 << 30 };
            const MESSAGES: u32 = 4000;
            let server = Server::new(round_trip, service, nagle, Instant::now());
            let (window, second_half) = send(server, bounds, MESSAGES);
            let trips = if nagle { 2 } else { 1 };
            let pipe = (round_trip * trips + service).as_secs_f64() / service.as_secs_f64();
            prop_assert!(window.messages() <= most);
            prop_assert!(window.messages() as f64 <= (4.0 * pipe).ceil().max(START as f64) + 1.0, "{window:?} for {pipe}");
            let by_window = (round_trip * trips + service).as_secs_f64() / most as f64;
            let best = f64::from(MESSAGES / 2) * service.as_secs_f64().max(by_window);
            prop_assert!(second_half.as_secs_f64() <= 1.1 * best, "{second_half:?}, at best {best}, {window:?}");
        }
    }

    #[test]
    fn an_idle_connection_is_no_slow_flight() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut pace = Pace::default();
        pace.begun(1, 0, start);
        pace.sent_whole(1, start);
        assert!(pace.answered(1, BYTES, start + second).is_some());
        pace.begun(2, 0, start + 100 * second);
        pace.sent_whole(2, start + 100 * second);
        let flight = pace.answered(2, BYTES, start + 101 * second).expect("a flight of one");
        assert_eq!((flight.elapsed, flight.round_trip, flight.messages), (second, second, 1));
    }

    #[test]
    fn an_answer_to_something_never_sent_whole_has_no_round_trip() {
        let mut pace = Pace::default();
        let start = Instant::now();
        pace.begun(1, 0, start);
        assert!(pace.answered(1, 0, start).is_none());
        assert!(pace.answered(7, 0, start).is_none());
    }
}
