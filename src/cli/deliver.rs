//! `pipelane deliver`: one message from standard input, for an MTA that runs a command (Postfix pipe(8)).
//!
//! Standard output gets one line that begins with an enhanced status and agrees with the exit status
//! ([`pipelane::door::pipe`]); nothing is written before it and nothing to standard error, because the MTA reads both
//! as one. Whatever goes wrong here is temporary, exit status 75: also a panic, a signal, and a wrong command line,
//! which the MTA would otherwise take for a reason to return the mail (Postfix does so on 64, and on the 101 of a
//! panic).

use super::signals::{Signals, ignore_hang_up};
use clap::Args;
use pipelane::config::{Config, DEFAULT_FILE};
use pipelane::door::lmtp::is_queue_id;
use pipelane::door::pipe::{self, Ending};
use pipelane::engine::Engine;
use pipelane::mail::{Address, Envelope, Message, NextHop, Priority};
use pipelane::sync::bounded;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long connections may take to be closed in good order once the result is known.
const FAREWELL: Duration = Duration::from_secs(2);

/// The most that is kept of the time limit for ending in time.
const MARGIN: Duration = Duration::from_secs(30);

/// The command line of `pipelane deliver`.
#[derive(Debug, Args)]
pub struct DeliverArgs {
    /// Hand over to the resident engine at this socket, or in this runtime directory, instead of delivering from here.
    #[arg(long, value_name = "SOCKET")]
    via: Option<PathBuf>,
    /// The configuration file.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Set a key of the next hop or of [limits] over what the file says; may be given several times.
    #[arg(short, value_name = "KEY=VALUE")]
    option: Vec<String>,
    /// Where the message goes.
    #[arg(long, value_name = "NEXTHOP")]
    next_hop: NextHop,
    /// The envelope sender; empty for the null one.
    #[arg(short = 'f', long, value_name = "ADDRESS", allow_hyphen_values = true)]
    sender: String,
    /// The MTA's queue id, for logs.
    #[arg(long, value_name = "ID")]
    queue_id: Option<String>,
    /// The message transfer priority (RFC 6710), -9 to 9, higher first; told to a server that offers MT-PRIORITY.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    priority: Option<Priority>,
    /// When the MTA would kill this command: it ends by itself before that (such as 90s, 15m, 4h).
    #[arg(long, value_name = "TIME", default_value = "15m", value_parser = duration)]
    time_limit: Duration,
    /// The recipients.
    #[arg(last = true, required = true, value_name = "RECIPIENT")]
    recipients: Vec<String>,
}

/// Delivers, and ends the process.
pub fn run(arguments: DeliverArgs) -> ExitCode {
    // The text of a panic would stand before the line that counts.
    std::panic::set_hook(Box::new(|_| {}));
    let begun = Instant::now();
    end_by_signal();
    let ending = catch_unwind(AssertUnwindSafe(|| deliver(&arguments, begun)));
    finish(
        &ending.unwrap_or_else(|_| {
            Ending::temporary(3, 0, "pipelane made a mistake; the message may be delivered already")
        }),
    )
}

/// The end for a command line that cannot be understood. Never EX_USAGE (64): the MTA would return the mail.
pub fn run_usage(error: &clap::Error) -> ExitCode {
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default();
    finish(&Ending::temporary(3, 5, format!("usage: {first}; see pipelane deliver --help")))
}

fn deliver(arguments: &DeliverArgs, begun: Instant) -> Ending {
    match message(arguments) {
        Err(ending) => ending,
        Ok((config, message)) => {
            let limit = arguments.time_limit;
            let deadline = begun + limit - MARGIN.min(limit / 10);
            match &arguments.via {
                Some(socket) => pipe::deliver_via(&socket_at(socket, &arguments.next_hop), &message, deadline),
                None => deliver_here(config, message, deadline),
            }
        }
    }
}

/// Everything that is read before anything is begun.
fn message(arguments: &DeliverArgs) -> Result<(Config, Message), Ending> {
    let wrong = |what: &str, error: &dyn std::fmt::Display| Ending::temporary(3, 0, format!("{what}: {error}"));
    let config = settings(arguments).map_err(|why| Ending::temporary(3, 5, why))?;
    let sender = Address::parse_reverse(&arguments.sender).map_err(|e| wrong("sender", &e))?;
    let recipients: Result<Vec<Address>, _> = arguments.recipients.iter().map(|text| Address::parse(text)).collect();
    let recipients = recipients.map_err(|e| wrong("recipient", &e))?;
    let rules = pipe::content_rules(&config, &arguments.next_hop);
    let content = pipe::read_content(&mut std::io::stdin().lock(), rules)?;
    let envelope = Envelope { priority: arguments.priority, ..Envelope::new(sender, recipients) };
    let message = Message {
        queue_id: arguments.queue_id.clone().filter(|id| is_queue_id(id)),
        next_hop: arguments.next_hop.clone(),
        envelope: envelope.into(),
        content: Some(content),
    };
    Ok((config, message))
}

/// The file that is named; else, when delivering from here, the usual one if there is one; and the options over it.
fn settings(arguments: &DeliverArgs) -> Result<Config, String> {
    let usual = || Some(PathBuf::from(DEFAULT_FILE)).filter(|file| arguments.via.is_none() && file.exists());
    super::settings::settings(arguments.config.clone().or_else(usual), &arguments.option, &arguments.next_hop)
}

/// A directory is the runtime directory of the resident engine.
fn socket_at(via: &Path, next_hop: &NextHop) -> PathBuf {
    if via.is_dir() { via.join("nh").join(next_hop.file_name()) } else { via.to_owned() }
}

fn deliver_here(config: Config, message: Message, deadline: Instant) -> Ending {
    let engine = Engine::new(Arc::new(config));
    let ending = pipe::deliver(&*engine, message, deadline);
    // The result stands; closing in good order is a courtesy with a short limit.
    let (done, closed) = bounded::<()>(1);
    thread::spawn(move || {
        engine.drain();
        drop(done);
    });
    let _ = closed.recv_timeout(FAREWELL);
    ending
}

/// From now on SIGTERM and SIGINT end this process with a temporary result.
fn end_by_signal() {
    let caught = ignore_hang_up().and_then(|()| Signals::to_end()).map(|mut signals| {
        thread::spawn(move || {
            signals.wait();
            let ending = Ending::temporary(3, 2, "ended by a signal; the message may be delivered already");
            finish(&ending);
        });
    });
    // Not caught, the signal kills, and that is a temporary result too.
    let _ = caught;
}

/// Writes the line and ends. Whoever comes first does; the other waits for the end.
fn finish(ending: &Ending) -> ExitCode {
    static ENDED: AtomicBool = AtomicBool::new(false);
    if ENDED.swap(true, Ordering::SeqCst) {
        loop {
            thread::park();
        }
    }
    // The exit status says the same; a reader that went away needs no line.
    let _ = writeln!(std::io::stdout(), "{}", ending.line);
    std::process::exit(i32::from(ending.exit))
}

/// `90`, `90s`, `15m`, `4h` or `1d`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let unit = match &text[split..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err("expected a number and s, m, h or d".into()),
    };
    let number: Option<u64> = text[..split].parse().ok();
    let seconds = number.and_then(|n| n.checked_mul(unit)).filter(|s| (1..=30 * 86_400).contains(s));
    seconds.map(Duration::from_secs).ok_or_else(|| "expected 1s to 30d".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_limit_is_a_number_and_a_unit() {
        assert_eq!(duration("15m"), Ok(Duration::from_secs(900)));
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        for text in ["", "m", "0", "1w", "31d", "-1s", "99999999999999999999h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
