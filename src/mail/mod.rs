//! Floor 1: what a message is, apart from any protocol: addresses, envelope, content, and the results
//! that come back (RFC 5321, 5322 and 5598 words).
//!
//! Everything here is data that cannot be invalid: what was built once needs no second check before it
//! goes on a wire.

pub mod address;
pub mod content;
pub mod envelope;
pub mod message;
pub mod next_hop;
pub mod outcome;
pub mod priority;
mod spool;
pub mod status;
mod unix_text;

pub use address::{Address, AddressError};
pub use content::{Content, ContentBuilder, ContentError, ContentRules};
pub use envelope::{Body, Envelope, Parameter, Recipient, Return};
pub use message::Message;
pub use next_hop::{Destination, MAX_SOCKET_PATH, NextHop, SMTP_PORT};
pub use outcome::{Outcome, Report, Route, Timings, Verdict};
pub use priority::{Priority, PriorityError};
pub use status::EnhancedStatus;
