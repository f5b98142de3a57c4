//! The settings as values: what the parser makes and every floor above reads. Defaults are here and nowhere else.

use super::auth::AuthSettings;
use super::routing::Routing;
use super::sorting::Order;
use super::tls::TlsSettings;
use crate::mail::NextHop;
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// The rungs of the pipelining ladder, each faster than the one before; `ARCHITECTURE.md` explains them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// One command, one reply.
    Lockstep,
    /// MAIL, RCPT and DATA in one flight (RFC 2920).
    Envelope,
    /// The next envelope rides behind the content of the message before it.
    Overlap,
    /// Envelope and content in one flight, by BDAT (RFC 3030).
    Chunk,
    /// Many such transactions in flight at once.
    Stream,
}

impl Level {
    /// All of them, lowest first.
    pub const ALL: [Level; 5] = [Level::Lockstep, Level::Envelope, Level::Overlap, Level::Chunk, Level::Stream];

    /// The name in configuration, logs and reply texts.
    pub const fn name(self) -> &'static str {
        match self {
            Level::Lockstep => "lockstep",
            Level::Envelope => "envelope",
            Level::Overlap => "overlap",
            Level::Chunk => "chunk",
            Level::Stream => "stream",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Level {
    type Err = ();

    fn from_str(name: &str) -> Result<Level, ()> {
        Level::ALL.into_iter().find(|level| level.name() == name).ok_or(())
    }
}

/// Whether a server must prove each rung before it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Trust {
    /// Rungs above `envelope` are earned by tests that risk no message.
    #[default]
    Learned,
    /// The administrator vouches for the server: what it offers is used at once. A breach of the protocol still steps
    /// it down; a connection that is merely lost does not.
    Stream,
}

impl Trust {
    /// The name in configuration and listings.
    pub const fn name(self) -> &'static str {
        match self {
            Trust::Learned => "learned",
            Trust::Stream => "stream",
        }
    }
}

impl fmt::Display for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Trust {
    type Err = ();

    fn from_str(name: &str) -> Result<Trust, ()> {
        [Trust::Learned, Trust::Stream].into_iter().find(|trust| trust.name() == name).ok_or(())
    }
}

/// What is spoken to a next hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// SMTP (RFC 5321): one reply to the content.
    #[default]
    Smtp,
    /// LMTP (RFC 2033), to a mail store: one reply to the content for each recipient.
    Lmtp,
}

impl Protocol {
    /// The name in configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Protocol::Smtp => "smtp",
            Protocol::Lmtp => "lmtp",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Protocol {
    type Err = ();

    fn from_str(name: &str) -> Result<Protocol, ()> {
        [Protocol::Smtp, Protocol::Lmtp].into_iter().find(|protocol| protocol.name() == name).ok_or(())
    }
}

/// How long to wait for what (RFC 5321 4.5.3.2; names and values as Postfix smtp(8) has them).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeouts {
    /// A look-up in DNS, and then all addresses of one server together.
    pub connect: Duration,
    /// The 220 greeting, the reply to EHLO or HELO, and each reply of AUTH.
    pub greeting: Duration,
    /// The reply to STARTTLS, and the handshake.
    pub starttls: Duration,
    /// The reply to MAIL, and to RSET in a stream.
    pub mail: Duration,
    /// The reply to a RCPT.
    pub rcpt: Duration,
    /// The reply to DATA.
    pub data_init: Duration,
    /// One write of content.
    pub data_transfer: Duration,
    /// The reply to the final dot or to BDAT.
    pub data_done: Duration,
    /// The reply to a RSET that nothing was sent behind.
    pub rset: Duration,
    /// A connection without work is closed after this.
    pub idle: Duration,
    /// For this long recipients that a server has put off wait for a lane to a further server.
    pub next_server: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        let seconds = Duration::from_secs;
        Timeouts {
            connect: seconds(30),
            greeting: seconds(300),
            starttls: seconds(300),
            mail: seconds(300),
            rcpt: seconds(300),
            data_init: seconds(120),
            data_transfer: seconds(180),
            data_done: seconds(600),
            rset: seconds(20),
            idle: seconds(30),
            next_server: seconds(60),
        }
    }
}

/// Everything that can be set for one next hop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextHopSettings {
    /// Whether messages are sorted by size.
    pub order: Order,
    /// The size classes: the largest message of each in octets, rising; `u64::MAX` for the last. Used when sorted.
    pub sizebins: Vec<u64>,
    /// Connections of each bin at the most, or one number for all of them; in all when unsorted.
    pub lanes: Vec<usize>,
    /// Connections to this next hop at the most; 0 for as many as there are lanes. With fewer than bins, neighbours
    /// share.
    pub max_connections: usize,
    /// DSCP code point of each bin, or one for all of them; empty leaves it to the system.
    pub dscp: Vec<u8>,
    /// TCP congestion control of each bin, or one for all of them; empty leaves it to the system.
    pub congestion: Vec<String>,
    /// What is spoken.
    pub protocol: Protocol,
    /// No rung above this one is used.
    pub max_level: Level,
    /// Whether rungs are earned or given.
    pub trust: Trust,
    /// Transactions sent and not yet answered on one connection, at the most.
    pub window_messages: usize,
    /// Content octets sent whole and not yet answered on one connection, at the most (one larger message is not held).
    pub window_bytes: u64,
    /// Messages held for this next hop at the most; doors wait beyond it.
    pub max_messages: u64,
    /// Content octets held for this next hop at the most; doors wait beyond it.
    pub max_bytes: u64,
    /// Times a message that a connection lost before it was sent whole is tried again inside pipelane.
    pub redispatches: u32,
    /// Messages on one connection at the most; 0 for what the server allows.
    pub messages_per_connection: u32,
    /// EHLO keywords treated as if the server had not offered them, in upper case.
    pub ignore_extensions: Vec<String>,
    /// The name in EHLO; `None` is the host's own.
    pub helo_name: Option<String>,
    /// The local address that connections come from.
    pub source_address: Option<IpAddr>,
    /// How servers are found.
    pub routing: Routing,
    /// Encryption.
    pub tls: TlsSettings,
    /// AUTH.
    pub auth: AuthSettings,
    /// Bare CR or LF in content is made CRLF (`true`) or refused.
    pub normalise_newlines: bool,
    /// Lines over 998 octets are refused (`true`) or passed on.
    pub refuse_long_lines: bool,
    /// Stage timeouts.
    pub timeouts: Timeouts,
}

impl Default for NextHopSettings {
    fn default() -> NextHopSettings {
        NextHopSettings {
            order: Order::Sorted,
            sizebins: vec![4 << 10, 64 << 10, 1000 << 10, u64::MAX],
            lanes: vec![1],
            max_connections: 0,
            dscp: Vec::new(),
            congestion: Vec::new(),
            protocol: Protocol::Smtp,
            max_level: Level::Stream,
            trust: Trust::Learned,
            window_messages: 64,
            window_bytes: 1 << 20,
            max_messages: 1000,
            max_bytes: 2 << 30,
            redispatches: 3,
            messages_per_connection: 0,
            ignore_extensions: Vec::new(),
            helo_name: None,
            source_address: None,
            routing: Routing::default(),
            tls: TlsSettings::default(),
            auth: AuthSettings::default(),
            normalise_newlines: true,
            refuse_long_lines: false,
            timeouts: Timeouts::default(),
        }
    }
}

/// Where and how the LMTP door listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// Sockets are made under `nh/` in here.
    pub runtime_directory: PathBuf,
    /// TCP listeners, which route by `[route]` or the recipient's domain.
    pub lmtp: Vec<SocketAddr>,
    /// Permission bits of the sockets.
    pub socket_mode: u32,
    /// Owner of the sockets, a user name or number; `None` leaves it.
    pub socket_owner: Option<String>,
    /// Group of the sockets, a group name or number; `None` leaves it.
    pub socket_group: Option<String>,
    /// LMTP clients at once; more are told 421.
    pub max_clients: usize,
}

impl Default for Listen {
    fn default() -> Listen {
        Listen {
            runtime_directory: "/run/pipelane".into(),
            lmtp: Vec::new(),
            socket_mode: 0o660,
            socket_owner: None,
            socket_group: None,
            max_clients: 1000,
        }
    }
}

impl Listen {
    /// The UNIX socket on which messages for this next hop are taken.
    pub fn socket_path(&self, next_hop: &NextHop) -> PathBuf {
        self.runtime_directory.join("nh").join(next_hop.file_name())
    }

    /// The UNIX socket on which `pipelane status` is answered.
    pub fn control_path(&self) -> PathBuf {
        self.runtime_directory.join("control")
    }
}

/// Caps over all next hops together, and where content is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Open connections.
    pub connections: u64,
    /// Messages held.
    pub messages: u64,
    /// Content octets held, in memory and in files.
    pub bytes: u64,
    /// The largest message taken, in octets; 0 for no limit of our own.
    pub message_size: u64,
    /// Content up to this many octets is kept in memory, more in an unlinked file.
    pub content_memory: u64,
    /// Where those files are made.
    pub content_directory: PathBuf,
    /// Where MTA-STS policies are kept; `None` keeps them in memory only.
    pub mta_sts_directory: Option<PathBuf>,
    /// How long a stop waits for what is in flight.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 500,
            messages: 10_000,
            bytes: 16 << 30,
            message_size: 0,
            content_memory: 128 << 10,
            content_directory: std::env::temp_dir(),
            mta_sts_directory: Some("/var/lib/pipelane/mta-sts".into()),
            drain: Duration::from_secs(60),
        }
    }
}

/// A whole configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Config {
    /// `[listen]`
    pub listen: Listen,
    /// `[limits]`
    pub limits: Limits,
    /// `[defaults]`
    pub defaults: Arc<NextHopSettings>,
    /// `[next_hop."..."]`, each complete: the defaults with its own keys over them.
    pub next_hops: BTreeMap<NextHop, Arc<NextHopSettings>>,
    /// `[route]`: a recipient's domain in lower case (or `*`) to a next hop.
    pub routes: BTreeMap<String, NextHop>,
}

impl Config {
    /// The settings for a next hop: its own table, or the defaults.
    pub fn settings(&self, next_hop: &NextHop) -> Arc<NextHopSettings> {
        Arc::clone(self.next_hops.get(next_hop).unwrap_or(&self.defaults))
    }

    /// The next hop for a recipient's domain: `[route]`, its `*` entry, or the domain itself.
    pub fn route(&self, domain: &str) -> Option<NextHop> {
        let domain = domain.to_ascii_lowercase();
        let routed = self.routes.get(&domain).or_else(|| self.routes.get("*"));
        routed.cloned().or_else(|| domain.parse().ok())
    }
}
