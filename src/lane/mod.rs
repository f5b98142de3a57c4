//! Floor 4: lanes.
pub mod ticket;
pub use ticket::{Inbox, Ticket};
