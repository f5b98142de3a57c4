//! The LMTP door (RFC 2033): how Postfix, Exim, Sendmail and OpenSMTPD hand messages over.
//!
//! One UNIX socket per configured next hop, its name being the next hop's, so that the MTA keeps its own
//! per-destination concurrency and back-off; TCP listeners, which route each recipient by `[route]`; or one client on
//! the standard streams. A thread per client: the client waits for its replies anyway, and there are as many as the MTA
//! has delivery agents.
//!
//! Files: `listener` the sockets, `acceptor` the door itself, `client` and `wire` bytes and lines, `command` and
//! `parameter` what a client says, `session` and `content` the dialogue, `transaction` an envelope in the making,
//! `intake` content, `handover` to the engine and back, `trace` the queue id.

mod acceptor;
mod client;
mod command;
mod content;
mod handover;
pub(super) mod intake;
mod listener;
mod parameter;
mod session;
mod trace;
mod transaction;
mod wire;

pub use acceptor::{LmtpDoor, Prepared, serve_client};
pub use client::{Client, Seen, Stdio};
pub use command::{MAX_QUEUE_ID, is_queue_id};
pub use session::{MAX_RECIPIENTS, Patience};
pub use wire::{INPUT_BOUND, MAX_LINE, Stop};
