//! The session against a model server: no socket, no clock, every order of events that chance can find.
//!
//! [`world`] says what is sent and how the server decides; [`server`] holds the client to the letter of the RFCs while
//! it answers; [`play`] lets the two talk, cut and interleaved by dice. [`properties`] states what must hold in all
//! cases, [`cases`] what happens in a few, [`lmtp`] in LMTP, [`starttls`] what comes before all of it where encryption
//! is wanted, [`auth`] where a password is.

mod auth;
mod cases;
mod lmtp;
mod play;
mod properties;
mod server;
mod starttls;
mod world;
