//! Floor 5: the engine: next hop to channel of lanes, limits, drain, statistics. The way in for every door.
//!
//! [`Engine::room`] before content is read, [`Engine::submit`] when it is whole; the report comes through the ticket.
//! The engine owns no queue on disk: what it holds, its caller holds too, so that a crash at any point loses nothing.

mod channel;
mod sites;
pub mod status;

use crate::config::Config;
use crate::conn::Ledger;
use crate::lane::{Connector, Dialler, Obligation, Quota, Space, Statistics, Ticket};
use crate::mail::{Message, NextHop, Outcome, Verdict};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Budget, Mutex, RwLock, after};
use channel::Channel;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use crate::lane::Offers;
pub use status::EngineStatus;

/// Channels kept before idle ones are put away.
const CHANNELS: usize = 1000;

/// Room for one message, to be asked for before its content is read; given back when the message's report is made.
#[derive(Debug)]
pub struct Room {
    channel: Arc<Channel>,
    space: Space,
}

/// The engine. Shared by `Arc`; every method may be called from any thread.
#[derive(Debug)]
pub struct Engine {
    config: RwLock<Arc<Config>>,
    started: Instant,
    channels: Mutex<HashMap<NextHop, Arc<Channel>>>,
    ledger: Arc<Ledger>,
    statistics: Arc<Statistics>,
    connector: Arc<dyn Connector>,
    connections: Arc<Budget>,
    quota: Arc<Quota>,
    draining: AtomicBool,
}

impl Engine {
    /// An engine with this configuration. No thread or connection is made before there is work.
    pub fn new(config: Arc<Config>) -> Arc<Engine> {
        let dialler = Dialler::new(&config.limits);
        Engine::with_connector(config, Arc::new(dialler))
    }

    /// The same, with another way to come to connections.
    pub fn with_connector(config: Arc<Config>, connector: Arc<dyn Connector>) -> Arc<Engine> {
        let limits = &config.limits;
        Arc::new(Engine {
            connections: Budget::new(limits.connections),
            quota: Quota::new(limits.messages, limits.bytes).into(),
            config: RwLock::new(config),
            started: Instant::now(),
            channels: Mutex::default(),
            ledger: Arc::default(),
            statistics: Arc::default(),
            connector,
            draining: AtomicBool::new(false),
        })
    }

    /// The configuration in force.
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.read())
    }

    /// From now on this configuration is in force. What waits is sorted anew, what is on the wire is not disturbed.
    /// `[limits]` stay as they were when the engine was made.
    pub fn reconfigure(&self, config: Arc<Config>) {
        *self.config.write() = Arc::clone(&config);
        let channels: Vec<(NextHop, Arc<Channel>)> =
            self.channels.lock().iter().map(|(next_hop, channel)| (next_hop.clone(), Arc::clone(channel))).collect();
        channels.iter().for_each(|(next_hop, channel)| channel.reconfigure(&config.settings(next_hop)));
    }

    /// How everything is at this moment.
    pub fn status(&self) -> EngineStatus {
        let channels: Vec<Arc<Channel>> = self.channels.lock().values().cloned().collect();
        let mut channels: Vec<_> = channels.iter().flat_map(|channel| channel.status()).collect();
        channels.sort_by(|a, b| (&a.next_hop, &a.passed).cmp(&(&b.next_hop, &b.passed)));
        EngineStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            process: std::process::id(),
            uptime: self.started.elapsed().as_secs_f64(),
            counts: self.statistics.counts(),
            channels,
        }
    }

    /// Counts since the start.
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// What is remembered of servers.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Waits up to `patience` for room to hold a message of about `size` octets for this next hop: per next hop
    /// and in total, messages and octets. `None`: still full.
    pub fn room(&self, next_hop: &NextHop, size: u64, patience: Duration) -> Option<Room> {
        let channel = self.channel(next_hop);
        let space = channel.quota.take(size, Duration::ZERO).or_else(|| {
            channel.tidy();
            channel.quota.take(size, patience)
        });
        space.map(|space| Room { channel, space })
    }

    /// The same without a wait and without a look for room that withdrawn messages take up: for a caller who asks
    /// often, and calls [`Engine::tidy`] when it withdraws one.
    pub fn room_now(&self, next_hop: &NextHop, size: u64) -> Option<Room> {
        let channel = self.channel(next_hop);
        let space = channel.quota.take(size, Duration::ZERO);
        space.map(|space| Room { channel, space })
    }

    /// Hands a message over. Never waits for the network. Exactly one report follows, through the ticket, also when the
    /// engine is draining. The room is one for the message's next hop.
    pub fn submit(&self, message: Message, room: Room, ticket: Ticket) {
        let Room { channel, space } = room;
        debug_assert_eq!(&message.next_hop, channel.next_hop());
        channel.submit(message, Obligation { ticket, space: Some(space), until: None });
    }

    /// What the next hop's server offers: the last known, or else found out now by connecting, waiting up to
    /// `patience`. An error is the deferral to tell the client (4.4.1 ...). Where mail fails for good, since DNS says
    /// so, everything is offered: the failure is to be told of each recipient, and a client that is not let in would
    /// come again.
    pub fn offers(&self, next_hop: &NextHop, patience: Duration) -> Result<Offers, Outcome> {
        self.channel(next_hop).offers(patience).or_else(|outcome| match outcome.verdict {
            Verdict::Failed => Ok(Offers::everything()),
            _ => Err(outcome),
        })
    }

    /// Why the next hop cannot be reached at this time (for a 421 greeting), or `None` when it can, is not known, or
    /// it is time to try again. A failure for good is told of each recipient instead.
    pub fn trouble(&self, next_hop: &NextHop) -> Option<Outcome> {
        self.channel(next_hop).trouble().filter(|outcome| outcome.verdict != Verdict::Failed)
    }

    /// Disposes of messages for this next hop that wait and were withdrawn: their reports are made now.
    pub fn tidy(&self, next_hop: &NextHop) {
        self.channel(next_hop).tidy();
    }

    /// Takes no new work, lets what is on the wire finish up to the configured time, defers the rest, joins all
    /// threads.
    pub fn drain(&self) {
        self.drain_until(after(self.config().limits.drain));
    }

    /// The same with another end: what is still on the wire then is given up.
    pub fn drain_until(&self, ends: Instant) {
        let channels: Vec<Arc<Channel>> = {
            let channels = self.channels.lock();
            self.draining.store(true, Ordering::Release);
            channels.values().cloned().collect()
        };
        channels.iter().for_each(|channel| channel.stop(ends));
        channels.iter().for_each(|channel| channel.join());
    }

    fn channel(&self, next_hop: &NextHop) -> Arc<Channel> {
        let mut channels = self.channels.lock();
        if let Some(channel) = channels.get(next_hop) {
            return Arc::clone(channel);
        }
        if channels.len() >= CHANNELS {
            // One that somebody else holds at this moment may be about to get work. Holders are made under this lock
            // only.
            channels.retain(|_, channel| Arc::strong_count(channel) > 1 || !channel.is_idle());
        }
        let channel = Arc::new(Channel::new(next_hop.clone(), self.config.read().settings(next_hop), self));
        if self.draining.load(Ordering::Acquire) {
            channel.stop(Instant::now());
        }
        channels.insert(next_hop.clone(), Arc::clone(&channel));
        channel
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.drain();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(number: usize) -> NextHop {
        format!("[h{number}.test]:25").parse().expect("a next hop")
    }

    #[test]
    fn idle_channels_are_put_away_and_one_in_use_is_not() {
        let engine = Engine::new(Arc::default());
        let room = engine.room(&hop(0), 100, Duration::ZERO).expect("room");
        let held = engine.channel(&hop(1));
        for number in 2..3 * CHANNELS {
            assert!(engine.trouble(&hop(number)).is_none());
        }
        let channels = engine.channels.lock();
        assert!(channels.len() <= CHANNELS, "{}", channels.len());
        assert!(channels.contains_key(&hop(0)), "a message is held for it");
        assert!(
            channels.get(&hop(1)).is_some_and(|channel| Arc::ptr_eq(channel, &held)),
            "somebody is about to use it"
        );
        drop(channels);
        drop(room);
    }
}
