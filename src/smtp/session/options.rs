//! What is settled about a session before it starts.

use super::{Auth, StartTls};
use crate::config::{Level, Protocol, Trust};
use crate::smtp::window::WindowBounds;

/// What the session needs to know before it starts.
#[derive(Debug, Clone)]
pub struct SessionOptions {
    /// What is spoken.
    pub protocol: Protocol,
    /// The name in EHLO or LHLO.
    pub helo_name: String,
    /// EHLO keywords not to be seen, in upper case.
    pub ignore_extensions: Vec<String>,
    /// No level above this one.
    pub max_level: Level,
    /// What is said about STARTTLS.
    pub starttls: StartTls,
    /// The connection is encrypted from its first octet.
    pub secured: bool,
    /// As whom it logs in; `None`: as nobody.
    pub auth: Option<Auth>,
    /// Whether levels must be earned.
    pub trust: Trust,
    /// Bounds of the window.
    pub window: WindowBounds,
    /// Transactions on this connection at the most; 0 for what the server allows.
    pub messages: u32,
}
