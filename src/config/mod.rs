//! Floor 1: what an administrator sets, and the one table of keys that says so.
//!
//! [`settings`] holds the values and their defaults, [`sorting`] those that sort messages into lanes, [`routing`] those of
//! the way to servers, [`tls`] those of encryption, [`keys`] the table that names, bounds and documents them. [`Config::load`] reads a file by that table, [`Difference`] tells what a further reading
//! changes. Nothing here opens a socket or makes a directory.

pub mod difference;
pub mod errors;
pub mod keys;
mod parse;
pub mod routing;
pub mod settings;
pub mod sorting;
pub mod tls;

pub use difference::Difference;
pub use errors::{ConfigError, ConfigErrors};
pub use routing::{HostLookup, NameServers, Routing};
pub use settings::{Config, Level, Limits, Listen, NextHopSettings, Protocol, Timeouts, Trust};
pub use sorting::Order;
pub use tls::{TlsLibrary, TlsPolicy, TlsSettings, TlsVersion};

/// Where the configuration is when nothing else is said.
pub const DEFAULT_FILE: &str = "/etc/pipelane/pipelane.toml";
