//! The engine as a whole, over real sockets: what it promises to whoever hands it a message, and what it does to
//! servers.

mod addresses;
mod auth;
mod crowd;
mod host;
mod lanes;
mod log_lines;
mod offers;
mod panics;
mod place;
mod redispatch;
mod reloads;
mod room;
mod servers;
mod stopping;
mod timeouts;
mod trouble;
