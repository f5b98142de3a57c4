//! Floor 1: what an administrator sets, and the one table of keys that says so.
//!
//! [`settings`] holds the values and their defaults, [`sorting`] those that sort messages into lanes, [`routing`] those
//! of the way to servers, [`tls`] those of encryption, [`auth`] those of AUTH, [`keys`] the table that names, bounds
//! and documents them. [`Config::load`] reads a file by that table, [`Difference`] tells what a further reading
//! changes. [`credentials`] reads the file of passwords, which are [`secret`]. Nothing here opens a socket or makes a
//! directory.

pub mod auth;
pub mod credentials;
pub mod difference;
pub mod errors;
pub mod keys;
mod parse;
pub mod routing;
pub mod secret;
pub mod settings;
pub mod sorting;
pub mod tls;

pub use auth::{AuthSettings, Mechanism};
pub use credentials::{Credentials, CredentialsError};
pub use difference::Difference;
pub use errors::{ConfigError, ConfigErrors};
pub use routing::{HostLookup, NameServers, Routing};
pub use secret::Secret;
pub use settings::{Config, Level, Limits, Listen, NextHopSettings, Protocol, Timeouts, Trust};
pub use sorting::Order;
pub use tls::{TlsLibrary, TlsPolicy, TlsSettings, TlsVersion};

/// Where the configuration is when nothing else is said.
pub const DEFAULT_FILE: &str = "/etc/pipelane/pipelane.toml";
