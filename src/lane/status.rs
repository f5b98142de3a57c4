//! How a channel and its lanes are at one moment, for people and programs that ask (`pipelane status`).
//!
//! Plain values with public fields, written and read as JSON. Names, once released, stay; further ones may be added. Every time
//! is in seconds, every amount of content in octets.

use serde::{Deserialize, Serialize};

/// One next hop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChannelStatus {
    /// As configured: `[host]:port`.
    pub next_hop: String,
    /// Not empty: this is for what these servers of it have put off, and that is offered to the others.
    #[serde(default)]
    pub passed: Vec<String>,
    /// `sorted` or `unsorted`.
    pub order: String,
    /// Why the site cannot be used at this time.
    pub trouble: Option<String>,
    /// Connections that the lanes make do with at this time.
    pub max_connections: usize,
    /// The size classes, smallest first; a single one when unsorted.
    pub bins: Vec<BinStatus>,
    /// The lanes that run, by number.
    pub lanes: Vec<LaneStatus>,
}

impl ChannelStatus {
    /// Whether something is under way, or wrong.
    pub fn is_of_interest(&self) -> bool {
        self.trouble.is_some() || !self.lanes.is_empty() || self.bins.iter().any(|bin| bin.waiting > 0)
    }
}

/// One size class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BinStatus {
    /// The largest message in octets; `None`: no limit.
    pub up_to: Option<u64>,
    /// Messages that no lane has taken yet.
    pub waiting: usize,
    /// Their octets.
    pub waiting_octets: u64,
    /// How long the oldest of them has waited.
    pub oldest_wait: Option<f64>,
    /// Messages taken by lanes and not answered yet.
    pub unanswered: usize,
}

/// What a lane does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LaneState {
    /// It has no connection and needs none.
    Resting,
    /// It tries to get one.
    Connecting,
    /// It has a connection and nothing to send.
    Idle,
    /// It has messages on their way.
    Busy,
    /// It holds large content back for the sake of smaller messages on other lanes.
    Yielding,
    /// It ends what is on its way and takes nothing more.
    Leaving,
}

impl LaneState {
    /// The name in listings.
    pub const fn name(self) -> &'static str {
        match self {
            LaneState::Resting => "resting",
            LaneState::Connecting => "connecting",
            LaneState::Idle => "idle",
            LaneState::Busy => "busy",
            LaneState::Yielding => "yielding",
            LaneState::Leaving => "leaving",
        }
    }
}

/// One lane.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LaneStatus {
    /// From 1, as in the log.
    pub number: usize,
    /// Its own size classes: the first and the last, counted from 0. `None` for one that is no longer needed.
    pub bins: Option<(usize, usize)>,
    /// What it does.
    pub state: LaneState,
    /// The level at which it sends at this time.
    pub level: Option<String>,
    /// `host[address]:port` of its connection.
    pub server: Option<String>,
    /// Transactions on their way.
    pub window_messages: usize,
    /// Transactions that the window holds at this time.
    pub window_messages_limit: usize,
    /// Octets of content on their way.
    pub window_octets: u64,
    /// Octets that the window holds at this time.
    pub window_octets_limit: u64,
    /// Messages done since the lane started.
    pub messages: u64,
    /// Their octets.
    pub octets: u64,
    /// Recipients in doubt since the lane started.
    pub in_doubt: u64,
    /// How long the oldest message on its way has been there.
    pub oldest: Option<f64>,
    /// The last thing that went wrong.
    pub last_trouble: Option<String>,
}
