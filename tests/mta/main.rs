//! pipelane between real mail servers: private instances of Postfix, Exim and Sendmail on loopback addresses, and of
//! Dovecot on a UNIX socket.
//!
//! Each test starts the servers it needs in a directory of its own, on free ports, and ends them by their own process
//! ids, also when it fails. The system's own mail server is never touched. What a test needs and this machine lacks
//! is said on stderr as `skipped: test: why`; with `PIPELANE_REQUIRE_MTA=1` it is a failure instead.
//!
//! The harness: [`needs`], [`place`], [`client`], [`mail`], [`maildir`], [`log`], [`postfix`], [`exim`],
//! [`sendmail`], [`dovecot`], [`pipelane`]. Its own tests are in `harness`; the others are the acceptance list.
//!
//! Environment: `PIPELANE_BIN` names another executable to test; `PIPELANE_TEST_LARGE=1` adds the test that moves
//! 1 GB; `PIPELANE_TEST_KEEP=1` leaves the directories of a failed test; `PIPELANE_SKIP_LIST` names a file that
//! collects what was skipped.

#[path = "../certificates/mod.rs"]
#[allow(dead_code)]
mod certificates;
mod client;
mod dovecot;
mod exim;
mod log;
mod mail;
mod maildir;
mod needs;
// Some of it is for `benches/field` only.
#[allow(dead_code)]
mod pipelane;
mod place;
#[allow(dead_code)]
mod postfix;
mod sendmail;

mod auth;
mod delivery;
mod harness;
mod interruption;
mod memory;
mod narrow_line;
mod pipe_door;
mod recipe;
mod recipe_others;
mod refusals;
mod store;
mod streaming;
mod tls;
