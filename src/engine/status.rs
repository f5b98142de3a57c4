//! How the engine is at one moment; see [`crate::lane::status`].

use crate::lane::statistics::Counts;
use crate::lane::status::ChannelStatus;
use serde::{Deserialize, Serialize};

/// The whole engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EngineStatus {
    /// The version of pipelane that answers.
    pub version: String,
    /// Its process.
    pub process: u32,
    /// Seconds since it started.
    pub uptime: f64,
    /// Counts since then.
    pub counts: Counts,
    /// Every channel, by next hop.
    pub channels: Vec<ChannelStatus>,
}
