//! Floor 2: SMTP (RFC 5321, 2920, 3030, 2034, 9422) as a pure state machine: octets in, octets and events out.
//!
//! There is no socket, clock, thread or log here. [`session`] is the client; [`ladder`] says how far it may pipeline,
//! [`window`] how much it may have on its way, [`tally`] when a server's patience ends. The rest are the parts of the
//! language.

pub mod command;
pub mod extension;
pub mod ladder;
pub mod reply;
pub mod sasl;
pub mod session;
pub mod stuffing;
pub mod tally;
pub mod window;

pub use command::Unfit;
pub use extension::Extensions;
pub use ladder::{Fact, Knowledge, Proof};
pub use reply::Reply;
pub use session::{
    Answers, Auth, Cause, CloseReason, End, Event, Said, Session, SessionOptions, Stage, StartTls, Transaction,
    TransactionId, Want,
};
pub use window::{Flight, WindowBounds};
