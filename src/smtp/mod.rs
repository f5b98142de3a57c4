//! Floor 2: SMTP as a pure state machine.
pub mod stuffing;
