//! `pipelane serve`: the resident engine behind its LMTP door, or one LMTP client on the standard streams.
//!
//! The first SIGTERM or SIGINT drains: no new client, no new message, what is on the wire may finish for up to `drain`
//! of `[limits]`, the rest is deferred, status 0. A second one ends at once. Nothing is lost either way: the MTA keeps
//! what was not acknowledged. SIGHUP reads the configuration again ([`super::reload`]). Told to by systemd
//! (NOTIFY_SOCKET), it says when it is ready, reloads and stops. Its control socket answers `pipelane status` until the
//! end.

use super::reload::Follower;
use super::signals::{Signals, ignore_hang_up};
use super::systemd::{State, notify};
use clap::Args;
use pipelane::config::{Config, DEFAULT_FILE};
use pipelane::door::control::ControlDoor;
use pipelane::door::lmtp::{LmtpDoor, Patience, Stdio, Stop, serve_client};
use pipelane::door::pipe::sysexits::EX_CONFIG;
use pipelane::engine::Engine;
use pipelane::mail::NextHop;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// How long clients that were answered may take to leave.
const FAREWELL: Duration = Duration::from_secs(5);

/// The command line of `pipelane serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// The configuration file.
    #[arg(short, long, value_name = "FILE", default_value = DEFAULT_FILE)]
    config: PathBuf,
    /// Serve one LMTP client on standard input and output, and end with it.
    #[arg(long, requires = "next_hop")]
    stdio: bool,
    /// Where that client's messages go.
    #[arg(long, value_name = "NEXTHOP", requires = "stdio")]
    next_hop: Option<NextHop>,
}

/// Serves until a signal, or until the client on the standard streams is done.
pub fn run(arguments: ServeArgs) -> ExitCode {
    let environment = env_logger::Env::default().filter_or("PIPELANE_LOG", "info");
    env_logger::Builder::from_env(environment).init();
    let config = match Config::load(&arguments.config) {
        Ok(config) => config,
        Err(errors) => {
            // Nobody is left to tell when standard error is gone.
            let _ = writeln!(std::io::stderr(), "{errors}");
            return ExitCode::from(EX_CONFIG);
        }
    };
    let served = match arguments.next_hop {
        Some(next_hop) => serve_stdio(config, next_hop),
        None => serve(&arguments.config, config),
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            log::error!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn serve(file: &Path, config: Config) -> Result<(), String> {
    let no_signals = |error: std::io::Error| format!("cannot catch signals: {error}");
    let mut signals = Signals::to_end().map_err(no_signals)?;
    let reloads = Signals::to_reload().map_err(no_signals)?;
    match pipelane::net::raise_descriptor_limit() {
        Ok(limit) => log::debug!("up to {limit} descriptors may be open"),
        Err(error) => log::warn!("cannot raise the limit on open descriptors: {error}"),
    }
    let engine = Engine::new(Arc::new(config.clone()));
    let door = Arc::new(LmtpDoor::start(Arc::clone(&engine), &config).map_err(|e| e.to_string())?);
    let control = open_control(&engine, &config);
    let follower = Follower { file: file.to_owned(), engine: Arc::clone(&engine), door: Arc::clone(&door) };
    follower.start(reloads).map_err(|e| format!("cannot start a thread: {e}"))?;
    log::info!("ready: {} next hops, {} TCP listeners", config.next_hops.len(), config.listen.lmtp.len());
    notify(State::Ready);
    signals.wait();
    // Before anything is logged: whoever reads the log may be what stands still.
    end_at_next(signals);
    log::info!("stopping; what is on the wire has up to {} s", config.limits.drain.as_secs());
    notify(State::Stopping);
    door.stop();
    engine.drain();
    if !door.wait(FAREWELL) {
        log::warn!("{} clients did not leave", door.clients());
    }
    drop(control);
    log::info!("stopped: {}", engine.statistics().counts());
    Ok(())
}

/// Mail is more important than looking at it: without this socket all else goes on.
fn open_control(engine: &Arc<Engine>, config: &Config) -> Option<ControlDoor> {
    let asked = Arc::clone(engine);
    match ControlDoor::start(&config.listen, move || asked.status()) {
        Ok(control) => Some(control),
        Err(error) => {
            log::warn!("pipelane status will not be answered: {error}");
            None
        }
    }
}

fn serve_stdio(config: Config, next_hop: NextHop) -> Result<(), String> {
    let failed = |what: &'static str| move |error: std::io::Error| format!("cannot {what}: {error}");
    let mut signals = Signals::to_end().map_err(failed("catch signals"))?;
    ignore_hang_up().map_err(failed("catch signals"))?;
    let client = Stdio::new().map_err(failed("use the standard streams"))?;
    let stop = Stop::new().map_err(failed("open an eventfd"))?;
    let engine = Engine::new(Arc::new(config));
    let (draining, stopping) = (Arc::clone(&engine), stop.clone());
    // Not joined: without a signal it waits for ever.
    thread::spawn(move || {
        signals.wait();
        end_at_next(signals);
        stopping.request();
        draining.drain();
    });
    serve_client(&*engine, Some(next_hop), Patience::default(), client, stop).map_err(failed("serve the client"))?;
    engine.drain();
    Ok(())
}

/// From now on the next signal ends the process.
fn end_at_next(mut signals: Signals) {
    thread::spawn(move || {
        signals.wait();
        std::process::exit(1);
    });
}
