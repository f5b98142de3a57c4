//! MTA-STS (RFC 8461) with a private host of policies, a name server and mail servers, all on 127.0.0.1: how policies
//! are fetched and kept, and which mail goes where because of them. Time is a number here; nothing waits for it.

// Most of it is for the tests of DNS and of TLS.
#[allow(dead_code)]
#[path = "../certificates/mod.rs"]
mod certificates;
#[allow(dead_code)]
#[path = "../../src/net/dns/tests/server.rs"]
mod dns;
#[path = "../dns/smtp.rs"]
mod smtp;

mod delivery;
mod fetching;
mod keeping;
mod place;

// For the name server, which is one of the library's own tests.
use pipelane::sync;
use std::time::Duration;

/// Far longer than anything takes, so that a slow machine fails no test.
const LONG: Duration = Duration::from_secs(120);
