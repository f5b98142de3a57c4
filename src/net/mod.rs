//! Floor 2: blocking sockets, without any SMTP.
pub mod sys;
pub use sys::Wake;
