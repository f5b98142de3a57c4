//! The window: how many transactions, and how many octets of content, may be sent whole and unanswered.
//!
//! What is in the window is what can come to be in doubt when the connection dies, so it is no deeper than speed
//! needs. The message behind it may be on its way already, but for its end. It starts small and is set, after each flight,
//! to **twice what the pipe was seen to hold** (rate of answered work times the shortest round trip). While the window
//! itself is what holds the rate down, this doubles it; once the line or the server does, it stays at twice the pipe.
//!
//! A server whose TCP holds small packets back (Nagle's algorithm, RFC 1122 section 4.2.3.4; Postfix leaves it on)
//! answers a flight in two round trips instead of one, the first reply by itself, so that twice what was seen is the
//! same again. Hence a flight that was **clearly faster than all before** doubles the window too, up to four times the
//! pipe. An anomaly halves it. It never passes its bounds. A pipe is taken to be a millisecond long at least.
//!
//! Pure arithmetic: the clock is the caller's.

use std::time::Duration;

/// The shortest round trip that counts. On one machine, or beside it, waking a thread for each reply takes longer than
/// the line, so that what is in flight there would be too little to do any work in one go.
const NEAREST: Duration = Duration::from_millis(1);

/// Where a window starts on a server that nothing is known of.
pub const START: usize = 4;

/// How much faster than the best before a flight must have been to show that the window was the brake.
const FASTER: f64 = 1.25;

/// The bounds of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowBounds {
    /// Transactions, at least 1.
    pub messages: usize,
    /// Octets of content. One message over it goes alone.
    pub bytes: u64,
}

/// The window of one connection.
#[derive(Debug, Clone)]
pub struct Window {
    bounds: WindowBounds,
    messages: usize,
    bytes: u64,
    shortest: Option<Duration>,
    /// The best rates seen on this connection, of transactions and of octets, in a second.
    best: (f64, f64),
}

/// What one flight has shown: work answered, and the time that took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flight {
    /// Transactions answered.
    pub messages: usize,
    /// Their octets of content.
    pub bytes: u64,
    /// From the first octet sent to the last reply.
    pub elapsed: Duration,
    /// From the last octet of one transaction to its reply: the shortest seen in this flight.
    pub round_trip: Duration,
}

impl Window {
    /// A window that starts at `messages` transactions (and may hold as many octets as its bounds allow from the start
    /// only when it starts at its bound).
    pub fn new(bounds: WindowBounds, messages: usize) -> Window {
        let messages = messages.clamp(1, bounds.messages.max(1));
        let share = bounds.bytes.saturating_mul(messages as u64) / bounds.messages.max(1) as u64;
        let bytes = share.clamp(bounds.bytes.min(64 * 1024), bounds.bytes);
        Window { bounds, messages, bytes, shortest: None, best: (0.0, 0.0) }
    }

    /// Whether a further transaction may begin behind what is in flight. With its octets they may be too many: then its
    /// end waits, as [`Window::holds`] tells.
    pub fn has_room(&self, in_flight: usize, bytes_in_flight: u64) -> bool {
        in_flight == 0 || (in_flight < self.messages && bytes_in_flight < self.bytes)
    }

    /// Whether so many octets may be on their way to their last: what is sent whole and not answered can come to be in
    /// doubt. A message that is not sent whole cannot, so its beginning may keep the line busy while those before it
    /// are answered.
    pub fn holds(&self, in_flight: usize, bytes_in_flight: u64) -> bool {
        in_flight <= 1 || bytes_in_flight <= self.bytes
    }

    /// Transactions that it holds now.
    pub fn messages(&self) -> usize {
        self.messages
    }

    /// Octets that it holds now.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// A flight came back clean: the window follows what the pipe holds, and never shrinks by this.
    pub fn clean(&mut self, flight: Flight) {
        let shortest = self.shortest.map_or(flight.round_trip, |s| s.min(flight.round_trip));
        self.shortest = Some(shortest);
        if flight.elapsed.is_zero() {
            return;
        }
        let (elapsed, shortest) = (flight.elapsed.as_secs_f64(), shortest.max(NEAREST).as_secs_f64());
        let messages = wanted(flight.messages as f64, elapsed, shortest, &mut self.best.0);
        self.messages = self.messages.max(messages as usize).clamp(1, self.bounds.messages.max(1));
        let bytes = wanted(flight.bytes as f64, elapsed, shortest, &mut self.best.1);
        self.bytes = self.bytes.max(bytes as u64).min(self.bounds.bytes);
    }

    /// Something went wrong: half of both, at least one transaction.
    pub fn halve(&mut self) {
        self.messages = (self.messages / 2).max(1);
        self.bytes = (self.bytes / 2).max(self.bounds.bytes.min(16 * 1024));
        self.best = (0.0, 0.0);
    }
}

/// The window that a flight of so much work, answered in `elapsed` seconds, asks for.
fn wanted(answered: f64, elapsed: f64, shortest: f64, best: &mut f64) -> f64 {
    let pipe = answered * (shortest / elapsed).min(1.0);
    let is_faster = answered / elapsed > FASTER * *best;
    *best = best.max(answered / elapsed);
    let doubled = if is_faster { (2.0 * answered).min(4.0 * pipe) } else { 0.0 };
    doubled.max(2.0 * pipe).ceil()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: WindowBounds = WindowBounds { messages: 64, bytes: 1 << 20 };

    fn flight(messages: usize, elapsed: u64, round_trip: u64) -> Flight {
        let (elapsed, round_trip) = (Duration::from_millis(elapsed), Duration::from_millis(round_trip));
        Flight { messages, bytes: messages as u64 * 1000, elapsed, round_trip }
    }

    #[test]
    fn it_doubles_while_the_window_is_the_brake() {
        let mut window = Window::new(BOUNDS, START);
        for expected in [8, 16, 32, 64, 64] {
            window.clean(flight(window.messages(), 300, 300));
            assert_eq!(window.messages(), expected);
        }
    }

    #[test]
    fn beside_the_server_it_holds_the_work_of_two_milliseconds_at_most() {
        let mut window = Window::new(WindowBounds { messages: 1000, bytes: 1 << 30 }, START);
        for _ in 0..20 {
            // A server at 20 us that takes 25 000 messages a second: 25 in a millisecond.
            let messages = window.messages();
            let elapsed = Duration::from_micros(messages as u64 * 40);
            let round_trip = Duration::from_micros(20);
            window.clean(Flight { messages, bytes: 1000, elapsed, round_trip });
        }
        assert!((40..=51).contains(&window.messages()), "{}", window.messages());
    }

    #[test]
    fn it_stops_at_twice_what_the_pipe_holds() {
        let mut window = Window::new(BOUNDS, START);
        for _ in 0..10 {
            // The line carries ten messages a second: three in a round trip of 300 ms.
            let n = window.messages();
            window.clean(flight(n, (n as u64 * 100).max(300), 300));
        }
        assert!((6..=8).contains(&window.messages()), "{}", window.messages());
    }

    #[test]
    fn it_grows_though_each_flight_takes_two_round_trips_and_stops_when_that_makes_nothing_faster() {
        let mut window = Window::new(WindowBounds { messages: 1000, ..BOUNDS }, START);
        for _ in 0..10 {
            // Forty messages a second at the most: twelve in a round trip.
            let n = window.messages();
            window.clean(flight(n, (n as u64 * 25).max(600), 300));
        }
        assert!((24..=48).contains(&window.messages()), "{}", window.messages());
    }

    #[test]
    fn it_never_passes_its_bounds_and_halves_to_one_at_the_least() {
        let mut window = Window::new(BOUNDS, 1000);
        assert_eq!((window.messages(), window.bytes()), (64, 1 << 20));
        for _ in 0..10 {
            window.halve();
        }
        assert_eq!(window.messages(), 1);
        assert!(window.has_room(0, 0) && window.holds(1, 50 << 20), "one message of any size goes alone");
        assert!(!window.has_room(1, 0));
    }

    #[test]
    fn octets_bound_it_too() {
        let window = Window::new(BOUNDS, 64);
        assert!(window.has_room(1, (1 << 20) - 1), "one may begin while those before it are within the bound");
        assert!(!window.has_room(2, 1 << 20));
        assert!(window.holds(2, 1 << 20) && !window.holds(2, (1 << 20) + 1), "and its end waits when it passes it");
    }
}
