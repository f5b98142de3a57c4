//! `pipelane ta`: a transport agent behind ZMailer's scheduler, in the place of `smtp -c $channel` in scheduler.conf.
//!
//! Standard input, output and error are one socket, and what the scheduler reads there is counted: so every word for
//! people is a line that begins with `#`. Options are those of ZMailer's smtp agent, as far as they mean something
//! here; any other is refused, with such a line and status 78. What the scheduler has asked for is finished at the end
//! of input or at an empty line. SIGQUIT (its slow shutdown) gives up what was not begun, SIGTERM and SIGINT drain the
//! engine too, a second one ends at once.

use super::deliver::duration;
use super::signals::{Signals, ignore_hang_up};
use clap::{ArgAction, Args};
use pipelane::config::keys::set_next_hop;
use pipelane::config::{Config, DEFAULT_FILE, NextHopSettings, Protocol, Timeouts};
use pipelane::door::pipe::sysexits::{EX_CONFIG, EX_TEMPFAIL};
use pipelane::door::zmailer::{Agent, AgentOptions, Comments, Hear, Output, Route};
use pipelane::engine::Engine;
use pipelane::mail::NextHop;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long connections may take to be closed in good order at the end.
const FAREWELL: Duration = Duration::from_secs(5);

/// The command line of `pipelane ta`.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub struct TaArgs {
    /// The channel whose recipients are delivered to.
    #[arg(short, value_name = "CHANNEL")]
    channel: String,
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The name in EHLO.
    #[arg(short = 'h', value_name = "NAME", value_parser = helo_name)]
    helo_name: Option<String>,
    /// The port of hosts, instead of 25.
    #[arg(short, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// No pipelining, whatever a server offers.
    #[arg(short = 'P')]
    no_pipelining: bool,
    /// Everything goes to this destination: [address], a host or a domain.
    #[arg(short = 'F', value_name = "DEST")]
    force: Option<String>,
    /// A timeout: conn=, tcpw=, cmd=, data= or dot= and a time (such as 30, 90s, 5m); may be given several times.
    #[arg(short = 'T', value_name = "NAME=TIME", value_delimiter = ',', value_parser = timeout)]
    timeouts: Vec<(Stage, Duration)>,
    /// Append what the scheduler and this agent say to each other to this file.
    #[arg(short, value_name = "FILE")]
    log: Option<PathBuf>,
    /// The local address that connections come from.
    #[arg(short = 'L', value_name = "ADDRESS", value_parser = local_address)]
    local: Option<IpAddr>,
    /// LMTP (RFC 2033) instead of SMTP, to a mail store.
    #[arg(short = 'M')]
    lmtp: bool,
    /// Hosts are hosts: their MX records do not count.
    #[arg(short = 'x')]
    no_mx: bool,
    /// Print help.
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
    /// The host of job lines that name none: where the command in scheduler.conf has the word $host.
    #[arg(value_name = "HOST")]
    host: Option<String>,
}

/// What a timeout of ZMailer's is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Connect,
    Write,
    Command,
    Data,
    Dot,
}

/// Serves the scheduler.
pub fn run(arguments: TaArgs) -> ExitCode {
    let output = io::stdout().as_fd().try_clone_to_owned().and_then(|own| Output::new(Box::new(File::from(own))));
    let output = match output {
        Ok(output) => output,
        Err(error) => return refuse(EX_TEMPFAIL, &format!("standard output cannot be used: {error}")),
    };
    let written = Written(&output);
    comment_on_all(&output);
    let ended = prepare(&arguments, &output).and_then(|(engine, agent)| serve(&engine, &agent));
    drop(written);
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err((status, why)) => refuse(status, &why),
    }
}

/// When this is gone all that was said has been written, also where a panic ends it.
struct Written<'o>(&'o Output);

impl Drop for Written<'_> {
    fn drop(&mut self) {
        self.0.flush();
    }
}

/// The end for a command line that cannot be understood.
pub fn run_usage(error: &clap::Error) -> ExitCode {
    refuse(EX_CONFIG, &error.to_string())
}

/// Says why on lines that the scheduler keeps in its log.
fn refuse(status: u8, why: &str) -> ExitCode {
    let lines = why.lines().filter(|line| !line.trim().is_empty());
    let comments: String = lines.map(|line| format!("# pipelane ta: {line}\n")).collect();
    // A scheduler that has gone does not want to know.
    let _ = io::stdout().write_all(comments.as_bytes());
    ExitCode::from(status)
}

/// From now on logs and panics are comments.
fn comment_on_all(output: &Output) {
    let environment = env_logger::Env::default().filter_or("PIPELANE_LOG", "error");
    let comments = Box::new(Comments::new(output.clone()));
    env_logger::Builder::from_env(environment).target(env_logger::Target::Pipe(comments)).init();
    let output = output.clone();
    std::panic::set_hook(Box::new(move |info| output.comment(&format!("pipelane made a mistake: {info}"))));
}

type Prepared = (Arc<Engine>, Arc<Agent<Engine>>);

/// All that is looked at before the first `#hungry`.
fn prepare(arguments: &TaArgs, output: &Output) -> Result<Prepared, (u8, String)> {
    let usage = |why: String| (EX_CONFIG, why);
    let route = route(arguments).map_err(usage)?;
    let mut config = configuration(arguments).map_err(|why| (EX_CONFIG, why))?;
    let descriptors = pipelane::net::raise_descriptor_limit().unwrap_or_else(|error| {
        output.comment(&format!("the limit on open descriptors cannot be raised: {error}"));
        32
    });
    // A lane has three descriptors, a job two: an eighth of the lot for lanes, half of it for jobs.
    config.limits.connections = config.limits.connections.min((descriptors / 8).max(2));
    let most_open = usize::try_from(config.limits.messages.min(descriptors / 4)).unwrap_or(usize::MAX).max(1);
    if let Some(path) = &arguments.log {
        let log = protocol_log(path).map_err(|error| usage(format!("-l {}: {error}", path.display())))?;
        output.heard_by(log);
    }
    let options = AgentOptions {
        channel: arguments.channel.clone(),
        host: arguments.host.clone(),
        route,
        directory: ".".into(),
        most_open,
    };
    let engine = Engine::new(Arc::new(config));
    let agent = Agent::new(Arc::clone(&engine), options, output.clone());
    Ok((engine, agent))
}

fn serve(engine: &Arc<Engine>, agent: &Arc<Agent<Engine>>) -> Result<(), (u8, String)> {
    follow_signals(engine, agent).map_err(|error| (EX_TEMPFAIL, format!("cannot catch signals: {error}")))?;
    agent.run(io::stdin());
    // All is marked and told; closing in good order is a courtesy with a limit.
    engine.drain_until(Instant::now() + FAREWELL);
    Ok(())
}

fn follow_signals(engine: &Arc<Engine>, agent: &Arc<Agent<Engine>>) -> io::Result<()> {
    ignore_hang_up()?;
    let (mut ends, mut slow) = (Signals::to_end()?, Signals::to_end_slowly()?);
    let (ending, stopping, engine) = (Arc::clone(agent), Arc::clone(agent), Arc::clone(engine));
    thread::spawn(move || {
        slow.wait();
        stopping.stop();
    });
    thread::spawn(move || {
        ends.wait();
        ending.stop();
        thread::spawn(move || engine.drain());
        ends.wait();
        std::process::exit(i32::from(EX_TEMPFAIL));
    });
    Ok(())
}

/// The file that is named, or else the usual one if there is one, and the options over all of it.
fn configuration(arguments: &TaArgs) -> Result<Config, String> {
    let usual = || Some(PathBuf::from(DEFAULT_FILE)).filter(|file| file.exists());
    let mut config = match arguments.config.clone().or_else(usual) {
        Some(file) => Config::load(file).map_err(|errors| errors.to_string())?,
        None => Config::default(),
    };
    apply(arguments, Arc::make_mut(&mut config.defaults));
    config.next_hops.values_mut().for_each(|settings| apply(arguments, Arc::make_mut(settings)));
    Ok(config)
}

fn apply(arguments: &TaArgs, settings: &mut NextHopSettings) {
    if let Some(name) = &arguments.helo_name {
        settings.helo_name = Some(name.clone());
    }
    if let Some(address) = arguments.local {
        settings.source_address = Some(address);
    }
    if arguments.lmtp {
        settings.protocol = Protocol::Lmtp;
    }
    let pipelining = "PIPELINING".to_owned();
    if arguments.no_pipelining && !settings.ignore_extensions.contains(&pipelining) {
        settings.ignore_extensions.push(pipelining);
    }
    arguments.timeouts.iter().for_each(|(stage, time)| stage.set(&mut settings.timeouts, *time));
}

impl Stage {
    fn set(self, timeouts: &mut Timeouts, time: Duration) {
        match self {
            Stage::Connect => timeouts.connect = time,
            Stage::Write => timeouts.data_transfer = time,
            Stage::Command => (timeouts.greeting, timeouts.mail, timeouts.rcpt) = (time, time, time),
            Stage::Data => timeouts.data_init = time,
            Stage::Dot => timeouts.data_done = time,
        }
    }
}

/// `conn=30s` and the like.
fn timeout(text: &str) -> Result<(Stage, Duration), String> {
    let (name, time) = text.split_once('=').ok_or("expected conn=, tcpw=, cmd=, data= or dot= and a time")?;
    let stage = match name {
        "conn" => Stage::Connect,
        "tcpw" => Stage::Write,
        "cmd" => Stage::Command,
        "data" => Stage::Data,
        "dot" => Stage::Dot,
        _ => return Err("expected conn=, tcpw=, cmd=, data= or dot= and a time".into()),
    };
    Ok((stage, duration(time)?))
}

/// What the configuration takes for EHLO.
fn helo_name(text: &str) -> Result<String, String> {
    let mut settings = NextHopSettings::default();
    set_next_hop(&mut settings, "helo_name", text).map_err(|error| error.to_string())?;
    settings.helo_name.ok_or_else(|| "expected a name".to_owned())
}

/// An address as it is, or as a literal in brackets, if the configuration takes it.
fn local_address(text: &str) -> Result<IpAddr, String> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let bare = bare.strip_prefix("IPv6:").unwrap_or(bare);
    let no_address = || "expected an IP address; names of interfaces are not taken here".to_owned();
    bare.parse::<IpAddr>().map_err(|_| no_address())?;
    let mut settings = NextHopSettings::default();
    set_next_hop(&mut settings, "source_address", bare).map_err(|error| error.to_string())?;
    settings.source_address.ok_or_else(no_address)
}

fn route(arguments: &TaArgs) -> Result<Route, String> {
    let route = Route { force: None, port: arguments.port, no_mx: arguments.no_mx };
    let force = |text: &String| -> Result<NextHop, String> {
        let is_socket = text.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("unix:"));
        let written = if is_socket { format!("unix:{}", &text[5..]) } else { route.member(text) };
        written.parse().map_err(|error| format!("-F {text}: {error}"))
    };
    let force = arguments.force.as_ref().map(force).transpose()?;
    Ok(Route { force, ..route })
}

/// Each line with its time in seconds and who says it: `S` the scheduler, `T` this agent.
fn protocol_log(path: &PathBuf) -> io::Result<Hear> {
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    let pid = std::process::id();
    Ok(Box::new(move |who, lines| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let lines = String::from_utf8_lossy(lines);
        let all: String = lines.lines().map(|line| format!("{now:.3} [{pid}] {who}: {line}\n")).collect();
        // A log that cannot be written does not hold up mail.
        let _ = file.write_all(all.as_bytes());
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        arguments: TaArgs,
    }

    fn parsed(line: &str) -> Result<TaArgs, clap::Error> {
        Line::try_parse_from(line.split(' ')).map(|line| line.arguments)
    }

    fn settings(line: &str) -> NextHopSettings {
        let mut settings = NextHopSettings::default();
        apply(&parsed(line).expect(line), &mut settings);
        settings
    }

    #[test]
    fn options_have_the_meaning_that_they_have_in_zmailer() {
        let line =
            "ta -c smtp -P -x -h mx.test -p 2525 -L [192.0.2.7] -T conn=3m,cmd=90 -T data=2m -T dot=20m -T tcpw=5m";
        let of_line = settings(line);
        assert_eq!(
            (of_line.helo_name.as_deref(), of_line.ignore_extensions),
            (Some("mx.test"), vec!["PIPELINING".into()])
        );
        assert_eq!(of_line.source_address, Some("192.0.2.7".parse().expect("an address")));
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        let times = &of_line.timeouts;
        assert_eq!(
            (times.connect, times.data_init, times.data_done, times.data_transfer),
            (minutes(3), minutes(2), minutes(20), minutes(5))
        );
        assert_eq!(
            (times.greeting, times.mail, times.rcpt),
            (Duration::from_secs(90), Duration::from_secs(90), Duration::from_secs(90))
        );
        assert_eq!(settings("ta -c smtp"), NextHopSettings::default());
        let hop = route(&parsed(line).expect(line)).expect("good").next_hop("b.test").expect("good");
        assert_eq!(hop.as_str(), "[b.test]:2525");
        let force = route(&parsed("ta -c smtp -F [192.0.2.1] -p 26").expect("good")).expect("good");
        assert_eq!(force.next_hop("b.test").expect("good").as_str(), "[192.0.2.1]:26");
    }

    #[test]
    fn anything_else_is_refused() {
        for line in [
            "ta",
            "ta -c smtp -8",
            "ta -c smtp -77",
            "ta -c smtp -T 5m",
            "ta -c smtp -T foo=5m",
            "ta -c smtp -p 0",
            "ta -c smtp -L eth0",
            "ta -c smtp -L 0.0.0.0",
            "ta -c smtp -h a..b",
            "ta -c smtp -h a\r\nRSET",
            "ta -c smtp a b",
        ] {
            assert!(parsed(line).is_err(), "{line}");
        }
        assert!(route(&parsed("ta -c smtp -F a/b").expect("a word")).is_err());
    }
}
