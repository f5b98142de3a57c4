//! Floor 2: sockets with plain blocking calls, without any SMTP.
//!
//! [`dial()`] turns a host and port into a connected stream, trying its addresses as RFC 8305 says; [`Duplex`] makes
//! that stream safe to write to without reading; [`Wake`] lets another thread end a wait; [`sys`] holds the
//! system calls, and with them all `unsafe` of this floor. Nothing here knows what the bytes mean, starts a thread,
//! touches a signal or writes a log.

pub mod dial;
pub mod duplex;
pub mod host;
pub mod sys;

pub use dial::{DialError, DialErrorKind, DialOptions, Dialled, Target, dial, dial_addresses};
pub use duplex::{Closer, Duplex, Ready};
pub use host::host_name;
pub use sys::{
    Interest, Path, PeerCredentials, Wake, Watch, group_id, peer_credentials, poll, raise_descriptor_limit, user_id,
    with_signals_blocked,
};
