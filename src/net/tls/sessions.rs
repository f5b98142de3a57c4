//! Sessions of TLS that may be resumed, by whom they were made with (RFC 8446 section 2.2, RFC 5077).
//!
//! Promises: bounded, in memory only; a session is given out for the same connector, address, port and name alone that
//! it came from, so never across settings; each is given out once, the newest first (RFC 8446 appendix C.4 wants that,
//! and an older version's may be put back); none is older than an hour, so that what a certificate was trusted for is
//! looked at again in time. The clock is the caller's.

use crate::net::Endpoint;
use crate::sync::Mutex;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Kept at the most, for all servers together; the oldest makes room.
const CAPACITY: usize = 1024;
/// Of one server at the most: as many connections can be made at once with one each.
const OF_ONE: usize = 4;
const LIFETIME: Duration = Duration::from_secs(3600);

/// Whom a session is with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Peer {
    /// The connector, which stands for the settings and the files that they name.
    pub connector: u64,
    /// Address and port.
    pub server: Endpoint,
    /// The name that it was asked for.
    pub name: String,
}

#[derive(Debug)]
struct Kept<S> {
    peer: Peer,
    since: Instant,
    session: S,
}

/// The memory of them. Any thread.
#[derive(Debug)]
pub(super) struct Sessions<S> {
    /// The newest is the last.
    kept: Mutex<VecDeque<Kept<S>>>,
}

impl<S> Default for Sessions<S> {
    fn default() -> Sessions<S> {
        Sessions { kept: Mutex::new(VecDeque::new()) }
    }
}

impl<S> Sessions<S> {
    /// The newest one with this peer, which is forgotten thereby, and since when it is trusted.
    pub fn take(&self, peer: &Peer, now: Instant) -> Option<(S, Instant)> {
        let mut kept = self.kept.lock();
        kept.retain(|one| now.saturating_duration_since(one.since) < LIFETIME);
        let at = kept.iter().rposition(|one| one.peer == *peer)?;
        kept.remove(at).map(|one| (one.session, one.since))
    }

    /// Keeps one. `since`: when the certificate was looked at, in the handshake that all others go back to.
    pub fn put(&self, peer: Peer, session: S, since: Instant) {
        let mut kept = self.kept.lock();
        let of_this: Vec<usize> = (0..kept.len()).filter(|at| kept[*at].peer == peer).collect();
        if of_this.len() >= OF_ONE {
            kept.remove(of_this[0]);
        } else if kept.len() >= CAPACITY {
            kept.pop_front();
        }
        kept.push_back(Kept { peer, since, session });
    }

    /// Forgets all with this peer.
    pub fn forget(&self, peer: &Peer) {
        self.kept.lock().retain(|one| one.peer != *peer);
    }

    /// Whether there is any with this peer.
    pub fn has(&self, peer: &Peer) -> bool {
        self.kept.lock().iter().any(|one| one.peer == *peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    fn peer(connector: u64, port: u16, name: &str) -> Peer {
        Peer { connector, server: SocketAddr::from(([192, 0, 2, 1], port)).into(), name: name.into() }
    }

    #[test]
    fn each_is_given_out_once_the_newest_first_and_to_nobody_else() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let mx = peer(1, 25, "mx.test");
        (1..=6).for_each(|n| sessions.put(mx.clone(), n, now));
        for other in [peer(2, 25, "mx.test"), peer(1, 26, "mx.test"), peer(1, 25, "other.test")] {
            assert_eq!(sessions.take(&other, now), None, "{other:?}");
        }
        let taken: Vec<(i32, Instant)> = std::iter::from_fn(|| sessions.take(&mx, now)).collect();
        assert_eq!(taken, [6, 5, 4, 3].map(|n| (n, now)), "no more than {OF_ONE} are kept");
    }

    #[test]
    fn an_old_one_is_not_given_out() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let mx = peer(1, 25, "mx.test");
        sessions.put(mx.clone(), 2, now + LIFETIME);
        sessions.put(mx.clone(), 1, now);
        assert_eq!(sessions.take(&mx, now + LIFETIME), Some((2, now + LIFETIME)));
        assert_eq!(sessions.take(&mx, now + LIFETIME), None);
    }

    #[test]
    fn all_of_a_peer_are_forgotten_at_once() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let (mx, other) = (peer(1, 25, "mx.test"), peer(1, 26, "mx.test"));
        [&mx, &mx, &other].into_iter().for_each(|peer| sessions.put(peer.clone(), 1, now));
        assert!(sessions.has(&mx));
        sessions.forget(&mx);
        assert!(!sessions.has(&mx) && sessions.has(&other));
    }

    #[test]
    fn the_oldest_makes_room() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let at = |n: usize| peer(n as u64, 25, "mx.test");
        (0..=CAPACITY).for_each(|n| sessions.put(at(n), n, now));
        assert_eq!(sessions.kept.lock().len(), CAPACITY);
        assert_eq!((sessions.take(&at(0), now), sessions.take(&at(1), now)), (None, Some((1, now))));
    }
}
