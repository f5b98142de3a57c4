//! `pipelane status`: how a running `pipelane serve` is, asked at its control socket.
//!
//! Text for people, or the answer's JSON as it is; once, or again and again. Exit status 0 when it was answered, 69
//! (EX_UNAVAILABLE of sysexits.h) when not, 78 (EX_CONFIG) when the configuration that names the socket is wrong.

mod amounts;
mod listing;
mod watch;

use super::plain::{plain, plain_json};
use super::signals::Signals;
use clap::Args;
use pipelane::config::{Config, DEFAULT_FILE, Listen};
use pipelane::door::control;
use pipelane::engine::EngineStatus;
use pipelane::mail::NextHop;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;
use watch::View;

/// EX_UNAVAILABLE of sysexits.h.
const EX_UNAVAILABLE: u8 = 69;
/// EX_CONFIG of sysexits.h.
const EX_CONFIG: u8 = 78;
/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most characters of an error that was told by the other side.
const MAX_TOLD: usize = 300;

/// The command line of `pipelane status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// The configuration file that pipelane serve runs with; its runtime_directory has the socket.
    #[arg(short, long, value_name = "FILE", default_value = DEFAULT_FILE)]
    config: PathBuf,
    /// The directory that has the socket; no configuration file is read.
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    runtime_directory: Option<PathBuf>,
    /// Print the answer as JSON, in one line.
    #[arg(long)]
    json: bool,
    /// Show it again every 2 seconds, or so many, until interrupted.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", value_parser = interval)]
    watch: Option<Duration>,
    /// Only these.
    #[arg(value_name = "NEXT_HOP")]
    next_hops: Vec<NextHop>,
}

/// Asks, prints, and does so again if told to.
pub fn run(args: StatusArgs) -> ExitCode {
    let socket = match socket(&args) {
        Ok(socket) => socket,
        Err(errors) => return complain(&errors, EX_CONFIG),
    };
    match (report(&args, &socket), args.watch) {
        (Err(why), _) => complain(&why, EX_UNAVAILABLE),
        (Ok(text), None) => {
            // That a reader such as head(1) went away is no error.
            let _ = io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        (Ok(first), Some(interval)) => watch(&args, &socket, first, interval),
    }
}

/// Shows what there is at each interval. It outlives a restart of the server: what is wrong is shown meanwhile.
fn watch(args: &StatusArgs, socket: &Path, first: String, interval: Duration) -> ExitCode {
    if let Err(error) = end_at_signal() {
        return complain(&format!("cannot catch signals: {error}"), EX_UNAVAILABLE);
    }
    let mut view = View::new(args.json);
    let mut shown = view.show(&first);
    // Whoever read what is shown may have gone: that is the end, and no error.
    while shown.is_ok() {
        thread::sleep(interval);
        shown = match report(args, socket) {
            Ok(text) => view.show(&text),
            Err(why) => view.complain(&why),
        };
    }
    ExitCode::SUCCESS
}

/// From now on SIGINT and SIGTERM end the process at once, and well: a view has no other end.
fn end_at_signal() -> io::Result<()> {
    let mut signals = Signals::to_end()?;
    let work = move || {
        signals.wait();
        std::process::exit(0);
    };
    thread::Builder::new().spawn(work).map(drop)
}

/// Says what is wrong.
fn complain(why: &str, status: u8) -> ExitCode {
    // Nobody is left to tell when standard error is gone.
    let _ = writeln!(io::stderr(), "{why}");
    ExitCode::from(status)
}

fn socket(args: &StatusArgs) -> Result<PathBuf, String> {
    let listen = match &args.runtime_directory {
        Some(directory) => Listen { runtime_directory: directory.clone(), ..Listen::default() },
        None => Config::load(&args.config).map_err(|errors| errors.to_string())?.listen,
    };
    Ok(listen.control_path())
}

/// Asks, and makes of the answer what is to be printed.
fn report(args: &StatusArgs, socket: &Path) -> Result<String, String> {
    let answer = control::ask(socket, "status", PATIENCE).map_err(|error| error.to_string())?;
    let strange = |why: &dyn std::fmt::Display| {
        format!("the answer at {} is none that this pipelane understands: {why}", socket.display())
    };
    let text = std::str::from_utf8(&answer).map_err(|error| strange(&error))?;
    let value: serde_json::Value = serde_json::from_str(text).map_err(|error| strange(&error))?;
    if let Some(told) = value.get("error") {
        let told = told.as_str().map_or_else(|| told.to_string(), str::to_owned);
        return Err(format!("pipelane serve at {} says: {}", socket.display(), plain(&told, MAX_TOLD)));
    }
    match args.json {
        true if args.next_hops.is_empty() => Ok(plain_json(text)),
        true => Ok(plain_json(&format!("{}\n", only(value, &args.next_hops)))),
        false => {
            let status: EngineStatus = serde_json::from_value(value).map_err(|error| strange(&error))?;
            Ok(listing::listing(&status, &args.next_hops))
        }
    }
}

/// The answer with the channels of these next hops, also if it has more to tell than is known here.
fn only(mut answer: serde_json::Value, next_hops: &[NextHop]) -> serde_json::Value {
    if let Some(channels) = answer.get_mut("channels").and_then(serde_json::Value::as_array_mut) {
        channels.retain(|channel| next_hops.iter().any(|hop| channel["next_hop"] == hop.as_str()));
    }
    answer
}

/// Seconds, with a fraction or without one.
fn interval(text: &str) -> Result<Duration, String> {
    let seconds: Option<f64> = text.parse().ok().filter(|seconds| (0.1..=86_400.0).contains(seconds));
    seconds
        .map(Duration::from_secs_f64)
        .ok_or_else(|| "expected seconds from 0.1 to 86400, such as 2 or 0.5".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_seconds_within_bounds() {
        assert_eq!(interval("2"), Ok(Duration::from_secs(2)));
        assert_eq!(interval("0.5"), Ok(Duration::from_millis(500)));
        for text in ["", "0", "-1", "nan", "inf", "1e9", "2s", "[relay]:25"] {
            assert!(interval(text).is_err(), "{text}");
        }
    }

    #[test]
    fn other_next_hops_are_left_out_and_what_is_not_known_stays() {
        let answer = serde_json::json!({
            "later": 1,
            "channels": [{ "next_hop": "[a]:25", "later": 2 }, { "next_hop": "[b]:25" }, "odd"],
        });
        let kept = only(answer, &["[A]:25".parse().expect("a next hop")]);
        let expected = serde_json::json!({ "later": 1, "channels": [{ "next_hop": "[a]:25", "later": 2 }] });
        assert_eq!(kept, expected);
    }
}
