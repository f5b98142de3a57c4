//! The `pipelane-link` executable: two commands at the two ends of a link, or a measurement of the link itself.
//!
//! It ends by itself: with the near command, or soon after SIGINT or SIGTERM. Its status is then the near command's
//! (128 and the signal's number, if a signal ended that), or 125 when something of its own went wrong.

mod commands;
mod quantity;
mod self_test;

use clap::Parser;
use pipelane_link::{Direction, Link, LinkOptions};
use std::process::ExitCode;
use std::time::Duration;

/// Not the status of any common command.
const OWN_FAILURE: u8 = 125;

/// Runs two commands at the two ends of a link with a delay, a rate and a bounded queue.
///
/// Each command is for sh(1) and runs in a network namespace of its own. LINK_NEAR_ADDRESS and LINK_FAR_ADDRESS tell
/// both the addresses, which are 198.18.0.1 and 198.18.0.2. The far command is started first, and ended when the near
/// one ends. What was carried and dropped is told on standard error. Needs root.
#[derive(Debug, Parser)]
#[command(name = "pipelane-link", version, max_term_width = 100)]
struct Arguments {
    /// Delay of a packet, one way: 150ms, 20us, 1s
    #[arg(long, default_value = "0ms", value_parser = quantity::duration)]
    delay: Duration,
    /// Bits of IP packets in a second, each way: 64k, 2M, 1G; as fast as it can be if not given
    #[arg(long, value_parser = quantity::amount, requires = "queue")]
    rate: Option<u64>,
    /// Octets that may wait for the rate, each way: 75k
    #[arg(long, value_parser = quantity::amount)]
    queue: Option<u64>,
    /// The rate from near to far, if it is another one
    #[arg(long, value_parser = quantity::amount, requires = "queue")]
    up_rate: Option<u64>,
    /// The rate from far to near, if it is another one
    #[arg(long, value_parser = quantity::amount, requires = "queue")]
    down_rate: Option<u64>,
    /// The command at the near end; all ends with it
    #[arg(long, value_name = "COMMAND", required_unless_present = "self_test")]
    near: Option<String>,
    /// The command at the far end, for instance a server
    #[arg(long, value_name = "COMMAND")]
    far: Option<String>,
    /// Measure how exact the link is on this machine, and how much of a core it takes
    #[arg(long, exclusive = true)]
    self_test: bool,
}

impl Arguments {
    fn options(&self) -> LinkOptions {
        let queue = self.queue.unwrap_or(0);
        let direction = |own: Option<u64>| Direction { rate: own.or(self.rate), queue };
        LinkOptions { delay: self.delay, up: direction(self.up_rate), down: direction(self.down_rate) }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match &arguments.near {
        Some(near) => run(arguments.options(), near, arguments.far.as_deref()),
        None => self_test::run(),
    };
    match outcome {
        Ok(status) => status.into(),
        Err(error) => {
            eprintln!("pipelane-link: {error}");
            OWN_FAILURE.into()
        }
    }
}

fn run(options: LinkOptions, near: &str, far: Option<&str>) -> Result<u8, Box<dyn std::error::Error>> {
    let link = Link::start(options)?;
    let status = commands::run(&link, near, far)?;
    eprintln!("{}", link.stop()?);
    Ok(status)
}
