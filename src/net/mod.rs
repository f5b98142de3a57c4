//! Floor 2: sockets with plain blocking calls, without any SMTP.
//!
//! [`look_up`] finds a host's addresses, [`dial_addresses`] makes a connection to one of them as RFC 8305 says, [`dial_unix`] to a
//! path; [`Duplex`] makes that stream safe to write to without reading; [`tls`] encrypts it; [`mta_sts`] fetches what a
//! mail domain says of its servers; [`Wake`] lets another thread end a wait; [`sys`] holds the system calls, and with
//! them all `unsafe` of this floor. Nothing here knows what the bytes mean, starts a thread, touches a signal or writes
//! a log.

pub mod dial;
pub mod dns;
pub mod duplex;
pub mod endpoint;
#[cfg(pipelane_shuttle)]
mod explored;
pub mod host;
pub mod mta_sts;
pub mod sys;
pub mod tls;

pub use dial::{DialError, DialErrorKind, DialOptions, Dialled, Target, dial_addresses, dial_unix, look_up};
pub use duplex::{Closer, Duplex, Ready};
pub use endpoint::Endpoint;
#[cfg(pipelane_shuttle)]
pub use explored::Wake;
pub use host::host_name;
#[cfg(not(pipelane_shuttle))]
pub use sys::Wake;
pub use sys::{
    Interest, Path, PeerCredentials, Watch, group_id, interface_addresses, monotonic, peer_credentials, poll,
    raise_descriptor_limit, user_id, with_signals_blocked,
};
