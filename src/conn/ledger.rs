//! What is remembered of each server from one connection to the next, for a time.
//!
//! A server is known by address and port, or a socket's path, and the start of its greeting: machines that share an
//! address behind a load balancer are told apart where they greet differently, and a server whose software was changed
//! starts anew. What was earned, and the window that was reached, lasts a day; what was refused, an hour; a connection
//! that was merely lost, or a TLS handshake that failed, weighs ten minutes. The ledger is in memory, bounded, and
//! shared by all lanes; the clock is the caller's.

use crate::config::TlsSettings;
use crate::net::Endpoint;
use crate::smtp::{Fact, Knowledge, Proof};
use crate::sync::Mutex;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Servers remembered at the most; the one longest unheard of makes room.
const CAPACITY: usize = 4096;
const EARNED: Duration = Duration::from_secs(24 * 3600);
const REFUSED: Duration = Duration::from_secs(3600);
const LOST: Duration = Duration::from_secs(600);

/// Names a server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ServerKey {
    endpoint: Endpoint,
    identity: String,
}

impl ServerKey {
    /// The key of the server at this address with this greeting. Of the greeting the first three words count: what
    /// follows is often a date or a session's number.
    pub fn new(endpoint: Endpoint, greeting: &str) -> ServerKey {
        let identity = greeting.split_whitespace().take(3).collect::<Vec<_>>().join(" ");
        ServerKey { endpoint, identity: identity.chars().take(120).collect() }
    }

    /// Whether the greeting is not known yet.
    pub fn is_unnamed(&self) -> bool {
        self.identity.is_empty()
    }
}

#[derive(Debug, Clone)]
struct Dated {
    fact: Fact,
    until: Instant,
}

#[derive(Debug, Default)]
struct Entry {
    /// One of each kind at the most.
    facts: Vec<Dated>,
    window: Option<(usize, Instant)>,
    heard: Option<Instant>,
}

/// The memory of all servers. Any thread.
#[derive(Debug, Default)]
pub struct Ledger {
    servers: Mutex<HashMap<ServerKey, Entry>>,
    /// Addresses with which a TLS handshake has failed under these settings, and until when that counts.
    broken_tls: Mutex<HashMap<(Endpoint, TlsSettings), Instant>>,
}

impl Ledger {
    /// What is known of a server now.
    pub fn recall(&self, server: &ServerKey, now: Instant) -> Knowledge {
        let mut known = Knowledge::default();
        if let Some(entry) = self.servers.lock().get(server) {
            entry.facts.iter().filter(|dated| dated.until > now).for_each(|dated| known.learn(&dated.fact));
            let window = entry.window.filter(|(_, until)| *until > now).map_or(0, |(messages, _)| messages);
            known.window = known.window.max(window);
        }
        known
    }

    /// Remembers a fact. Returns whether it is news: it changes what is known.
    pub fn learn(&self, server: &ServerKey, fact: Fact, now: Instant) -> bool {
        let mut servers = self.servers.lock();
        make_room(&mut servers, server);
        let entry = servers.entry(server.clone()).or_default();
        entry.heard = Some(now);
        entry.facts.retain(|dated| dated.until > now);
        let known = entry.facts.iter().any(|dated| dated.fact == fact);
        entry.facts.retain(|dated| std::mem::discriminant(&dated.fact) != std::mem::discriminant(&fact));
        entry.facts.push(Dated { until: now + lifetime(&fact), fact });
        !known
    }

    /// Remembers that a handshake with this address has failed, so that not every connection to it is made twice. It
    /// may be the settings that it fails with, so it says nothing about others.
    pub fn note_broken_tls(&self, endpoint: Endpoint, tls: &TlsSettings, now: Instant) {
        let mut broken = self.broken_tls.lock();
        broken.retain(|_, until| *until > now);
        if broken.len() < CAPACITY {
            broken.insert((endpoint, tls.clone()), now + LOST);
        }
    }

    /// Whether one has, not long ago.
    pub fn has_broken_tls(&self, endpoint: &Endpoint, tls: &TlsSettings, now: Instant) -> bool {
        let broken = self.broken_tls.lock();
        broken.get(&(endpoint.clone(), tls.clone())).is_some_and(|until| *until > now)
    }

    /// Every server that something is known of, with what is known now.
    pub fn servers(&self, now: Instant) -> Vec<(ServerKey, Knowledge)> {
        let keys: Vec<ServerKey> = self.servers.lock().keys().cloned().collect();
        keys.into_iter().map(|key| (key.clone(), self.recall(&key, now))).collect()
    }

    /// Remembers the window at which a connection ended, so that the next need not grow from nothing.
    pub fn set_window(&self, server: &ServerKey, messages: usize, now: Instant) {
        let mut servers = self.servers.lock();
        make_room(&mut servers, server);
        let entry = servers.entry(server.clone()).or_default();
        entry.heard = Some(now);
        entry.window = Some((messages, now + EARNED));
    }
}

fn lifetime(fact: &Fact) -> Duration {
    match fact {
        Fact::Overlap(Proof::Earned) | Fact::Chunk(Proof::Earned) | Fact::RcptMax(_) => EARNED,
        Fact::Overlap(_) | Fact::Chunk(_) | Fact::MailMax(_) | Fact::ErrorMax(_) => REFUSED,
        Fact::Lost(_) => LOST,
    }
}

fn make_room(servers: &mut HashMap<ServerKey, Entry>, newcomer: &ServerKey) {
    if servers.len() < CAPACITY || servers.contains_key(newcomer) {
        return;
    }
    if let Some(oldest) = servers.iter().min_by_key(|(_, entry)| entry.heard).map(|(key, _)| key.clone()) {
        servers.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Level;
    use std::net::SocketAddr;

    fn at(port: u16) -> Endpoint {
        SocketAddr::from(([127, 0, 0, 1], port)).into()
    }

    fn key(port: u16, greeting: &str) -> ServerKey {
        ServerKey::new(at(port), greeting)
    }

    #[test]
    fn facts_are_told_apart_by_server_and_forgotten_in_time() {
        let (ledger, start) = (Ledger::default(), Instant::now());
        let exim = key(25, "mx.test ESMTP Exim 4.96 Mon, 23 Nov");
        assert!(ledger.learn(&exim, Fact::Chunk(Proof::Earned), start));
        assert!(!ledger.learn(&exim, Fact::Chunk(Proof::Earned), start), "no news");
        assert_eq!(ledger.recall(&key(25, "mx.test ESMTP Exim 4.96 Tue"), start).chunk, Proof::Earned);
        assert_eq!(ledger.recall(&key(25, "mx.test ESMTP Postfix"), start).chunk, Proof::Unknown);
        assert_eq!(ledger.recall(&key(26, "mx.test ESMTP Exim"), start).chunk, Proof::Unknown);
        assert_eq!(ledger.recall(&exim, start + EARNED).chunk, Proof::Unknown);
    }

    #[test]
    fn a_later_fact_replaces_an_earlier_one_and_a_lost_connection_is_soon_forgiven() {
        let (ledger, start) = (Ledger::default(), Instant::now());
        let server = key(25, "mx");
        ledger.learn(&server, Fact::Overlap(Proof::Earned), start);
        ledger.learn(&server, Fact::Overlap(Proof::Refused), start);
        ledger.learn(&server, Fact::Lost(Level::Stream), start);
        assert_eq!(ledger.recall(&server, start).overlap, Proof::Refused);
        assert_eq!(ledger.recall(&server, start).ceiling, Level::Overlap);
        assert_eq!(ledger.recall(&server, start + LOST).ceiling, Level::Stream);
        assert_eq!(ledger.recall(&server, start + REFUSED).overlap, Proof::Unknown);
    }

    #[test]
    fn a_window_is_forgotten_after_a_day_and_one_fact_of_each_kind_is_kept() {
        let (ledger, start) = (Ledger::default(), Instant::now());
        let server = key(25, "mx");
        ledger.set_window(&server, 60, start);
        assert_eq!(ledger.recall(&server, start + EARNED - Duration::from_secs(1)).window, 60);
        assert_eq!(ledger.recall(&server, start + EARNED).window, Knowledge::default().window);
        for n in 0..1000 {
            for fact in [Fact::MailMax(n), Fact::RcptMax(n), Fact::ErrorMax(n), Fact::Lost(Level::Stream)] {
                ledger.learn(&server, fact, start);
            }
        }
        assert_eq!(ledger.servers.lock()[&server].facts.len(), 4);
        let known = ledger.recall(&server, start + REFUSED);
        assert_eq!((known.mail_max, known.rcpt_max, known.error_max), (None, Some(999), None));
    }

    #[test]
    fn a_failed_handshake_is_remembered_for_a_while() {
        let (ledger, start) = (Ledger::default(), Instant::now());
        let (tls, other) = (TlsSettings::default(), TlsSettings { name: Some("x".into()), ..TlsSettings::default() });
        ledger.note_broken_tls(at(1), &tls, start);
        assert!(ledger.has_broken_tls(&at(1), &tls, start) && !ledger.has_broken_tls(&at(2), &tls, start));
        assert!(!ledger.has_broken_tls(&at(1), &other, start), "it may not fail with those");
        assert!(!ledger.has_broken_tls(&at(1), &tls, start + LOST));
        for port in 0..=u16::MAX {
            ledger.note_broken_tls(at(port), &tls, start + LOST);
        }
        assert_eq!(ledger.broken_tls.lock().len(), CAPACITY);
    }

    #[test]
    fn the_server_longest_unheard_of_makes_room() {
        let (ledger, start) = (Ledger::default(), Instant::now());
        let at = |n: usize| start + Duration::from_millis(n as u64);
        for n in 0..CAPACITY {
            ledger.learn(&key(1, &format!("mx{n}")), Fact::Chunk(Proof::Earned), at(n));
        }
        ledger.learn(&key(1, "mx0"), Fact::Chunk(Proof::Earned), at(CAPACITY));
        ledger.learn(&key(1, "new"), Fact::Chunk(Proof::Earned), at(CAPACITY + 1));
        let chunk = |name: &str| ledger.recall(&key(1, name), at(CAPACITY + 2)).chunk;
        assert_eq!((chunk("mx0"), chunk("mx1"), chunk("new")), (Proof::Earned, Proof::Unknown, Proof::Earned));
    }

    #[test]
    fn it_holds_no_more_than_its_capacity() {
        let (ledger, start) = (Ledger::default(), Instant::now());
        for n in 0..CAPACITY + 10 {
            ledger.set_window(&key(1, &format!("mx{n}")), 8, start + Duration::from_millis(n as u64));
        }
        assert_eq!(ledger.servers.lock().len(), CAPACITY);
        assert_eq!(ledger.recall(&key(1, &format!("mx{}", CAPACITY + 9)), start).window, 8);
    }
}
