//! Which lanes of a channel run and how many of them have a connection: pure account, the clock is the caller's.
//!
//! One connection until backlog justifies more. A lane that runs is *resting*, *connecting* or *connected*; a thread is started
//! when many messages wait for each that runs, and a resting lane connects when many wait for each connection. A lane
//! refused while others are connected has met the server's own limit: for a while no further one is tried,
//! and then one at a time.

use crate::net::Wake;
use std::time::{Duration, Instant};

/// Messages that wait for each lane before a further one pays.
const BACKLOG: usize = 4;
/// How long a server that refuses a further connection is left alone with the ones it has.
const CROWDED: Duration = Duration::from_secs(5);

/// A lane's number and the two ways to reach it.
#[derive(Debug, Clone)]
pub struct Member {
    /// From 1; free again when the lane ends.
    pub number: usize,
    /// Signalled with news; the lane clears it.
    pub news: Wake,
    /// Signalled for good when the lane is to stop.
    pub halt: Wake,
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Crew {
    members: Vec<Member>,
    connecting: usize,
    connected: usize,
    crowded_until: Option<Instant>,
}

impl Crew {
    /// Lanes running.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Lanes with a session ready.
    pub fn connected(&self) -> usize {
        self.connected
    }

    /// Lanes with a session ready, and lanes that try to get one.
    pub fn open(&self) -> usize {
        self.connecting + self.connected
    }

    /// Wakes every lane.
    pub fn tell(&self) {
        self.members.iter().for_each(|member| member.news.signal());
    }

    /// Wakes every lane and makes it stop whatever it waits for.
    pub fn halt(&self) {
        self.members.iter().for_each(|member| member.halt.signal());
        self.tell();
    }

    /// Whether a further thread pays, with so many messages waiting and so many lanes allowed.
    pub fn wants_member(&self, waiting: usize, lanes: usize) -> bool {
        let running = self.members.len();
        running == 0 || (waiting > BACKLOG * running && running < lanes)
    }

    /// Enters a lane that is about to be started. Fails when no descriptor is left for it.
    pub fn enter(&mut self) -> std::io::Result<Member> {
        let is_free = |number: &usize| self.members.iter().all(|member| member.number != *number);
        let number = (1..).find(is_free).unwrap_or(1);
        let member = Member { number, news: Wake::new()?, halt: Wake::new()? };
        self.members.push(member.clone());
        Ok(member)
    }

    /// A lane has ended.
    pub fn leave(&mut self, number: usize) {
        self.members.retain(|member| member.number != number);
    }

    /// Whether a lane should connect, with so many messages waiting. `doubtful`: the last attempt to connect failed.
    pub fn wants_connection(&self, waiting: usize, doubtful: bool, now: Instant) -> bool {
        let open = self.open();
        let one_at_a_time = doubtful || self.crowded_until.is_some();
        let crowded = self.connected > 0 && self.crowded_until.is_some_and(|until| until > now);
        let pays = open == 0 || waiting > BACKLOG * open;
        pays && !crowded && !(one_at_a_time && self.connecting > 0)
    }

    /// A lane begins to connect.
    pub fn connecting(&mut self) {
        self.connecting += 1;
    }

    /// A lane that was connecting has a session ready.
    pub fn connected_one(&mut self, now: Instant) {
        self.connecting = self.connecting.saturating_sub(1);
        self.connected += 1;
        self.crowded_until = self.crowded_until.filter(|until| *until > now);
    }

    /// A lane has lost its connection.
    pub fn disconnected(&mut self) {
        self.connected = self.connected.saturating_sub(1);
    }

    /// A lane that was connecting has given up.
    pub fn not_connected(&mut self) {
        self.connecting = self.connecting.saturating_sub(1);
    }

    /// A connection was refused while others are open or being made.
    pub fn crowded(&mut self, now: Instant) {
        self.crowded_until = Some(now + CROWDED);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crew(lanes: usize) -> Crew {
        let mut crew = Crew::default();
        (0..lanes).for_each(|_| drop(crew.enter().expect("descriptors")));
        crew
    }

    #[test]
    fn one_lane_until_backlog_justifies_more_and_never_more_than_allowed() {
        let mut crew = crew(0);
        assert!(crew.wants_member(1, 2));
        crew.enter().expect("descriptors");
        assert!(!crew.wants_member(BACKLOG, 2) && crew.wants_member(BACKLOG + 1, 2));
        crew.enter().expect("descriptors");
        assert!(!crew.wants_member(1000, 2));
    }

    #[test]
    fn a_number_is_used_again_when_its_lane_has_ended() {
        let mut crew = crew(3);
        crew.leave(2);
        assert_eq!(crew.enter().expect("descriptors").number, 2);
        assert_eq!(crew.enter().expect("descriptors").number, 4);
    }

    #[test]
    fn connections_follow_the_backlog() {
        let (mut crew, now) = (crew(4), Instant::now());
        assert!(crew.wants_connection(1, false, now));
        crew.connecting();
        assert!(!crew.wants_connection(BACKLOG, false, now) && crew.wants_connection(BACKLOG + 1, false, now));
        crew.connected_one(now);
        assert!(!crew.wants_connection(BACKLOG, false, now));
        crew.disconnected();
        assert!(crew.wants_connection(1, false, now));
    }

    #[test]
    fn a_site_that_failed_is_tried_by_one_lane() {
        let (mut crew, now) = (crew(4), Instant::now());
        assert!(crew.wants_connection(1000, true, now));
        crew.connecting();
        assert!(!crew.wants_connection(1000, true, now));
        crew.not_connected();
        assert!(crew.wants_connection(1000, true, now));
    }

    #[test]
    fn a_server_that_refuses_one_more_connection_is_left_alone_with_what_it_has() {
        let (mut crew, now) = (crew(4), Instant::now());
        crew.connecting();
        crew.connecting();
        crew.not_connected();
        crew.crowded(now);
        assert!(!crew.wants_connection(1000, false, now), "one is still being made");
        crew.connected_one(now);
        assert!(!crew.wants_connection(1000, false, now), "it has one");
        assert!(crew.wants_connection(1000, false, now + CROWDED));
        crew.connecting();
        assert!(!crew.wants_connection(1000, false, now + CROWDED), "one at a time");
        crew.connected_one(now + CROWDED);
        assert!(crew.wants_connection(1000, false, now + CROWDED), "it takes more again");
        crew.crowded(now + CROWDED);
        crew.disconnected();
        crew.disconnected();
        assert!(crew.wants_connection(1, false, now + CROWDED), "it has none left");
    }
}
