//! `pipelane probe NEXTHOP`: what a server offers and how far up the ladder it can be trusted, without sending mail.

use super::settings::settings;
use clap::Args;
use pipelane::config::{Level, NextHopSettings, Timeouts, Trust};
use pipelane::conn::{Connection, Ledger, Manners, Opener, Server, Servers, Token, Ways};
use pipelane::mail::NextHop;
use pipelane::net::{Endpoint, Wake};
use pipelane::smtp::Extensions;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Connect to a next hop and tell what it offers and which level it can reach; no mail is sent.
#[derive(Debug, Args)]
pub struct ProbeArgs {
    /// [host]:port, host:port, [host], domain or unix:/path, or several with commas.
    next_hop: NextHop,
    /// A configuration file: the session is as pipelane serve would have it (tls, auth_file, protocol ...).
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Set a key of the next hop over what the file says (such as protocol=lmtp); may be given several times.
    #[arg(short, value_name = "KEY=VALUE")]
    option: Vec<String>,
    /// The name in EHLO; the host's own when not given.
    #[arg(long, value_name = "NAME")]
    helo_name: Option<String>,
    /// Seconds to wait for each answer.
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
}

/// No message travels with a probe.
struct Nothing;

impl Token for Nothing {
    fn is_cancelled(&self) -> bool {
        false
    }

    fn sent_whole(&mut self) {}
}

/// Runs the probe. 0 when the server greeted, 75 (EX_TEMPFAIL) when it could not be reached or refused the session.
pub fn run(args: ProbeArgs) -> ExitCode {
    match probe(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pipelane probe: {error}");
            ExitCode::from(75)
        }
    }
}

fn probe(args: &ProbeArgs) -> Result<(), String> {
    let config = settings(args.config.clone(), &args.option, &args.next_hop)?;
    let mut settings = NextHopSettings::clone(&config.settings(&args.next_hop));
    let patience = Duration::from_secs(args.timeout);
    settings.timeouts = Timeouts {
        connect: patience,
        greeting: patience,
        starttls: patience,
        data_done: patience,
        ..settings.timeouts
    };
    settings.helo_name = args.helo_name.clone().or(settings.helo_name);
    // What the server can is to be found out, whatever is to be made of it.
    (settings.max_level, settings.trust) = (Level::Stream, Trust::Learned);
    let opener = Opener {
        next_hop: args.next_hop.clone(),
        settings: Arc::new(settings),
        ledger: Arc::new(Ledger::default()),
        passed: Arc::default(),
        lane: "probe".into(),
        manners: Manners::default(),
        gauge: Arc::default(),
        news: Wake::new().map_err(|error| error.to_string())?,
        halt: Wake::new().map_err(|error| error.to_string())?,
    };
    let started = Instant::now();
    let ways = Ways::new(&config.limits);
    let open = |server: &Arc<Server>, refused: &[Endpoint]| {
        Connection::<Nothing>::open(&opener, &ways.connectors, server, refused, &|| None)
    };
    let opened = Opener::in_turn(Servers::of(&opener, &ways), open, || false);
    let mut connection = opened.map_err(|outcome| outcome.text)?;
    println!("server      {}", connection.server());
    println!("greeting    {}", connection.session().greeting());
    println!(
        "ready after {:.3} s; EHLO was answered in {:.3} s",
        started.elapsed().as_secs_f64(),
        connection.round_trip().as_secs_f64()
    );
    println!("encrypted   {}", connection.agreed().map_or("no".to_owned(), |agreed| format!("yes: {agreed}")));
    if let Some(mechanism) = connection.session().logged_in() {
        println!("logged in   by {mechanism}");
    }
    println!("offers      {}", offers(connection.offered()));
    let honest = connection.probe();
    let (level, why) = verdict(connection.offered(), honest);
    println!("level       {level}: {why}");
    connection.leave();
    Ok(())
}

fn verdict(offered: &Extensions, honest: Option<bool>) -> (Level, &'static str) {
    match (offered.pipelining, honest) {
        (false, _) => (Level::Lockstep, "the server does not offer PIPELINING"),
        (true, Some(true)) => (Level::Stream, "it consumes a refused chunk, as RFC 3030 wants"),
        (true, Some(false)) => (
            Level::Overlap,
            "at the most, if it executes commands behind a final dot, which the first message shows; its BDAT cannot be trusted",
        ),
        (true, None) => (
            Level::Overlap,
            "at the most, if it executes commands behind a final dot, which the first message shows; it does not offer CHUNKING",
        ),
    }
}

fn offers(offered: &Extensions) -> String {
    let mut words: Vec<String> = Vec::new();
    let flags = [
        (offered.pipelining, "PIPELINING"),
        (offered.chunking, "CHUNKING"),
        (offered.eight_bit_mime, "8BITMIME"),
        (offered.smtputf8, "SMTPUTF8"),
        (offered.dsn, "DSN"),
        (offered.enhanced_status_codes, "ENHANCEDSTATUSCODES"),
        (offered.starttls, "STARTTLS"),
    ];
    words.extend(flags.into_iter().filter(|(offered, _)| *offered).map(|(_, name)| name.to_owned()));
    words.extend(offered.size.map(|limit| if limit == 0 { "SIZE".into() } else { format!("SIZE {limit}") }));
    if !offered.auth.is_empty() {
        words.push(format!("AUTH {}", offered.auth.join(" ")));
    }
    if offered.mt_priority {
        let policy = offered.priority_policy.iter().map(|name| format!(" {name}"));
        words.push(format!("MT-PRIORITY{}", policy.collect::<String>()));
    }
    let limits = offered.limits;
    let limit = |name: &str, value: Option<u32>| value.map(|n| format!("{name}={n}"));
    words.extend(limit("MAILMAX", limits.mail_max));
    words.extend(limit("RCPTMAX", limits.rcpt_max));
    words.extend(limit("RCPTDOMAINMAX", limits.rcpt_domain_max));
    if words.is_empty() { "nothing (greeted with HELO)".into() } else { words.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipelane::sink::{Personality, Sink, SinkOptions};

    #[test]
    fn the_session_is_as_the_options_say_and_a_wrong_one_is_named() {
        let sink = Sink::start(SinkOptions::default()).expect("a sink");
        let next_hop: NextHop = format!("[127.0.0.1]:{}", sink.address().port()).parse().expect("a next hop");
        let with = |option: &str| {
            let option = vec![option.to_owned()];
            probe(&ProbeArgs { next_hop: next_hop.clone(), config: None, option, helo_name: None, timeout: 5 })
        };
        assert_eq!(with("protocol=smtp"), Ok(()));
        let refused = with("protocol=lmtp").expect_err("it speaks SMTP");
        assert!(refused.contains("refused the session: 50"), "{refused}");
        assert_eq!(with("protocl=lmtp").expect_err("no key").split(':').next(), Some("-o protocl=lmtp"));
    }

    fn probed(like: Personality) -> Result<(), String> {
        let sink = Sink::start(SinkOptions { like: Some(like), ..SinkOptions::default() }).expect("a sink");
        let next_hop = format!("[127.0.0.1]:{}", sink.address().port()).parse().expect("a next hop");
        probe(&ProbeArgs { next_hop, config: None, option: Vec::new(), helo_name: None, timeout: 1 })
    }

    #[test]
    fn every_kind_of_server_is_probed_without_a_hang() {
        std::thread::scope(|scope| {
            for like in Personality::ALL {
                let refused = matches!(like, Personality::Busy | Personality::Mute);
                scope.spawn(move || assert_eq!(probed(like).is_err(), refused, "{like}"));
            }
        });
    }

    #[test]
    fn a_priority_policy_is_told_with_its_name() {
        let offered = |policy: Option<&str>| Extensions {
            dsn: true,
            mt_priority: true,
            priority_policy: policy.map(str::to_owned),
            ..Extensions::default()
        };
        assert_eq!(offers(&offered(None)), "DSN, MT-PRIORITY");
        assert_eq!(offers(&offered(Some("MIXER"))), "DSN, MT-PRIORITY MIXER");
    }

    #[test]
    fn the_level_follows_what_was_shown() {
        let offered = |pipelining, chunking| Extensions { pipelining, chunking, ..Extensions::default() };
        assert_eq!(verdict(&offered(false, true), None).0, Level::Lockstep);
        assert_eq!(verdict(&offered(true, true), Some(true)).0, Level::Stream);
        assert_eq!(verdict(&offered(true, true), Some(false)).0, Level::Overlap);
        assert_eq!(verdict(&offered(true, false), None).0, Level::Overlap);
    }
}
