//! `pipelane sink`: an SMTP server for trials. Prints where it listens, takes mail until it is told to end, and prints
//! what it counted.

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use pipelane::sink::{Extensions, Limits, Personality, Sink, SinkOptions, Store};
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often the conditions to end are looked at.
const TICK: Duration = Duration::from_millis(20);

/// How long clients are given to leave when there are messages enough.
const GRACE: Duration = Duration::from_secs(1);

/// An SMTP server for trials: takes all mail, counts it exactly, and names every mistake of the client.
///
/// Addresses can ask for refusals by their local part: reject-550@, defer-450@ (any 4yz or 5yz), dot-550@ (refused
/// after the content), slow-500ms@, drop@, reset@, dropdot@ (takes the content, stores nothing, closes), eatdot@
/// (stores it and closes unanswered); as a sender the same at MAIL.
#[derive(Debug, Args)]
pub struct SinkArgs {
    /// Address and port; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:2525")]
    listen: SocketAddr,
    /// A full round trip, in milliseconds, between what is received and its reply.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    latency_ms: u64,
    /// Kilobits a second that all connections together may receive.
    #[arg(long, value_name = "KBIT", value_parser = clap::value_parser!(u64).range(1..))]
    rate_kbit: Option<u64>,
    /// Keep messages in this Maildir; without it they are counted and forgotten.
    #[arg(long, value_name = "DIR")]
    maildir: Option<PathBuf>,
    /// Add one line of JSON to this file for each message stored.
    #[arg(long, value_name = "FILE")]
    envelope_log: Option<PathBuf>,
    /// Extensions not to offer, with commas between.
    #[arg(long, value_name = "EXT,...", value_delimiter = ',')]
    without: Vec<String>,
    /// LIMITS (RFC 9422) to offer and enforce: 'MAILMAX=20 RCPTMAX=50'.
    #[arg(long, value_name = "LIMITS", value_parser = Limits::parse)]
    limits: Option<Limits>,
    /// The most octets of a message.
    #[arg(long, value_name = "OCTETS", default_value_t = SinkOptions::default().max_size)]
    max_size: u64,
    /// Recipients of a message beyond this get 452.
    #[arg(long, value_name = "N")]
    max_recipients: Option<usize>,
    /// Messages of a connection beyond this get 452 (421 with --like max-421).
    #[arg(long, value_name = "N")]
    max_messages: Option<u64>,
    /// Connections beyond this are turned away.
    #[arg(long, value_name = "N", default_value_t = SinkOptions::default().max_connections)]
    max_connections: usize,
    /// Which server to be like.
    #[arg(long, value_name = "NAME", value_parser = personality())]
    like: Option<Personality>,
    /// The first delay of --like tarpit, in milliseconds.
    #[arg(long, value_name = "MS")]
    tarpit_ms: Option<u64>,
    /// The name in the greeting.
    #[arg(long, value_name = "NAME", default_value = "sink.invalid")]
    hostname: String,
    /// Say nothing but errors.
    #[arg(long)]
    quiet: bool,
    /// End when so many messages were stored and answered and the clients have gone (they are given a second).
    #[arg(long, value_name = "N")]
    exit_after_messages: Option<u64>,
    /// End after so many seconds.
    #[arg(long, value_name = "N")]
    exit_after_seconds: Option<u64>,
}

/// The names, each with its line in the help text.
fn personality() -> impl TypedValueParser<Value = Personality> {
    let known = Personality::ALL.map(|like| PossibleValue::new(like.name()).help(like.description()));
    PossibleValuesParser::new(known).try_map(|name| name.parse::<Personality>())
}

/// Runs the server to its end. 0 when all went well, 64 for arguments that cannot be, 69 when it cannot listen or
/// store, as in sysexits.
pub fn run(args: SinkArgs) -> ExitCode {
    let options = match options(&args) {
        Ok(options) => options,
        Err(error) => return failed(64, &error),
    };
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        if let Err(error) = signal_hook::flag::register(signal, Arc::clone(&interrupted)) {
            return failed(69, &format!("signal {signal} cannot be caught: {error}"));
        }
    }
    let mut sink = match Sink::start(options) {
        Ok(sink) => sink,
        Err(error) => return failed(69, &format!("cannot start on {}: {error}", args.listen)),
    };
    if !args.quiet {
        say(&format!("listening on {}\n", sink.address()));
    }
    wait(&args, &sink, &interrupted);
    sink.stop();
    if !args.quiet {
        say(&sink.totals().to_string());
    }
    ExitCode::SUCCESS
}

/// Prints; whoever closed our output does not want to know.
fn say(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn failed(code: u8, error: &str) -> ExitCode {
    eprintln!("pipelane sink: {error}");
    ExitCode::from(code)
}

fn options(args: &SinkArgs) -> Result<SinkOptions, String> {
    let without = |extensions: Extensions, name: &String| extensions.without(name);
    Ok(SinkOptions {
        listen: args.listen,
        hostname: args.hostname.clone(),
        latency: Duration::from_millis(args.latency_ms),
        rate_kbit: args.rate_kbit,
        store: args.maildir.clone().map_or(Store::Discard, Store::Maildir),
        extensions: args.without.iter().try_fold(Extensions::ALL, without)?,
        limits: args.limits.unwrap_or(Limits::NONE),
        max_size: args.max_size,
        max_recipients: args.max_recipients,
        max_messages: args.max_messages,
        max_connections: args.max_connections,
        like: args.like,
        tarpit: args.tarpit_ms.map(Duration::from_millis),
        envelope_log: args.envelope_log.clone(),
        ..SinkOptions::default()
    })
}

/// Waits for a signal, or for enough messages, or for the time to be over.
fn wait(args: &SinkArgs, sink: &Sink, interrupted: &AtomicBool) {
    let (started, mut enough_since) = (Instant::now(), None);
    loop {
        let totals = sink.totals();
        let enough = args.exit_after_messages.is_some_and(|wanted| totals.messages >= wanted) && totals.in_flight == 0;
        if enough {
            let since = *enough_since.get_or_insert_with(Instant::now);
            if totals.open_connections == 0 || since.elapsed() >= GRACE {
                return;
            }
        }
        let late = args.exit_after_seconds.is_some_and(|seconds| started.elapsed() >= Duration::from_secs(seconds));
        if interrupted.load(Ordering::SeqCst) || late {
            return;
        }
        std::thread::sleep(TICK);
    }
}
