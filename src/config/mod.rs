//! Floor 1: what an administrator sets, and the one table of keys that says so.

pub mod settings;

pub use settings::{Config, Level, Limits, Listen, NextHopSettings, Timeouts, Trust};
