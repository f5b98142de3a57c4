//! The clients that are measured. Each delivers the same work to the same kind of server and is bounded in time.
//!
//! A client that is not installed says so by the error `lacking()` makes, and is left out by name.

pub mod esmtp;
pub mod exim;
pub mod lettre;
pub mod pipelane;
pub mod postfix;
pub mod zmailer;

use crate::sample::Sample;
use crate::world::World;
use std::thread;
use std::time::Duration;

/// The longest that any run may take.
pub const PATIENCE: Duration = Duration::from_secs(900);

/// From the start of the work, with connecting and greeting, to the last reply.
pub const COLD: &str = "from the start";
/// From the first octet of the first MAIL to the last reply.
pub const WARM: &str = "MAIL to the last reply";
/// How many connections the server counted.
pub const CONNECTIONS: &str = "connections";
/// How many messages the server began to store.
pub const ACCEPTED: &str = "accepted";
/// CPU seconds of the client.
pub const CPU: &str = "CPU";

/// The two times and the number of connections.
pub fn times(world: &World, warm: f64, cold: f64) -> Sample {
    // The server's log is written by a process of its own.
    thread::sleep(Duration::from_millis(200));
    // The one that looked whether the server is there has been counted too.
    let log = world.server.log();
    let connections = log.connects(crate::log::Mark::default()) - 1;
    let accepted = log.accepted(crate::log::Mark::default());
    Sample::default().and(WARM, "s", warm).and(COLD, "s", cold).and(CONNECTIONS, "", connections as f64).and(
        ACCEPTED,
        "",
        accepted as f64,
    )
}
