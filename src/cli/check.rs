//! `pipelane check`: reads a configuration and says what is wrong with it, or what it means; `--keys` lists every key.
//!
//! Nothing is opened but the file and those that it names for TLS and AUTH. Errors go to standard error, one a line,
//! with exit status 78 (EX_CONFIG of sysexits.h). So do warnings, of what works and is perhaps not what was meant; they
//! leave the exit status at 0.

use super::columns::columns;
use clap::Args;
use pipelane::config::keys::{Key, Section};
use pipelane::config::sorting::in_kilobytes;
use pipelane::config::{Config, Credentials, DEFAULT_FILE, NextHopSettings, Order, TlsPolicy};
use pipelane::mail::{Destination, NextHop};
use pipelane::net::tls::Connectors;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// EX_CONFIG of sysexits.h.
const EX_CONFIG: u8 = 78;
/// The width that texts are wrapped to.
const WIDTH: usize = 100;

/// The command line of `pipelane check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The configuration file.
    #[arg(short, long, value_name = "FILE", default_value = DEFAULT_FILE)]
    config: PathBuf,
    /// List every key with its default and meaning, and check nothing.
    #[arg(long)]
    keys: bool,
}

/// Does what the command line asks for.
pub fn run(args: CheckArgs) -> ExitCode {
    if args.keys {
        print(&key_list());
        return ExitCode::SUCCESS;
    }
    let usable = |config: Config| match unusable_files(&config) {
        wrong if wrong.is_empty() => Ok(config),
        wrong => Err(format!("{}: {}", args.config.display(), wrong.join("\n"))),
    };
    match Config::load(&args.config).map_err(|errors| errors.to_string()).and_then(usable) {
        Ok(config) => {
            let say = |warning| writeln!(std::io::stderr(), "{}: warning: {warning}", args.config.display());
            warnings(&config).into_iter().for_each(|warning| drop(say(warning)));
            print(&format!("{}: ok\n{}", args.config.display(), summary(&config)));
            ExitCode::SUCCESS
        }
        Err(errors) => {
            // Nobody is left to tell when standard error is gone.
            let _ = writeln!(std::io::stderr(), "{errors}");
            ExitCode::from(EX_CONFIG)
        }
    }
}

/// What is wrong with files of certificates, keys and passwords, by next hop.
fn unusable_files(config: &Config) -> Vec<String> {
    let connectors = Connectors::default();
    let own = config.next_hops.iter().map(|(next_hop, settings)| (next_hop.as_str(), settings));
    let all = own.chain([("defaults", &config.defaults)]);
    let tls = |settings: &NextHopSettings| match settings.tls.policy {
        TlsPolicy::None => None,
        _ => connectors.get(&settings.tls).err().map(|error| error.to_string()),
    };
    let auth = |settings: &NextHopSettings| {
        let file = settings.auth.file.as_ref()?;
        Credentials::check(file).err().map(|error| format!("auth_file: {error}"))
    };
    all.flat_map(|(name, settings)| [tls(settings), auth(settings)].into_iter().flatten().map(move |why| (name, why)))
        .map(|(name, why)| format!("{name}: {why}"))
        .collect()
}

/// To whom passwords are said that was not asked for a certificate, by next hop.
fn warnings(config: &Config) -> Vec<String> {
    let own = config.next_hops.iter().filter(|(next_hop, settings)| has_password(next_hop, settings));
    let own = own.map(|(next_hop, settings)| (next_hop.as_str(), Some(next_hop), settings));
    let all = own.chain([("defaults", None, &config.defaults)]);
    all.filter_map(|(name, next_hop, settings)| Some(format!("{name}: {}", told_to(next_hop, settings)?))).collect()
}

/// Whether there is one for a server, over a network, of this next hop.
fn has_password(next_hop: &NextHop, settings: &NextHopSettings) -> bool {
    let Some(file) = &settings.auth.file else { return false };
    let relays = settings.routing.fallback_relay.iter().flat_map(NextHop::written);
    next_hop.written().chain(relays).any(|(written, destination)| match destination {
        Destination::Domain { name, .. } | Destination::Host { name, .. } => {
            matches!(Credentials::find(file, name, written), Ok(Some(_)))
        }
        Destination::Socket(_) => false,
    })
}

fn told_to(next_hop: Option<&NextHop>, settings: &NextHopSettings) -> Option<String> {
    let discloses = settings.auth.mechanisms.iter().any(|mechanism| mechanism.discloses());
    settings.auth.file.as_ref().filter(|_| discloses)?;
    let has_domain = || next_hop?.destinations().iter().find(|to| matches!(to, Destination::Domain { .. }));
    match settings.tls.policy {
        TlsPolicy::None | TlsPolicy::May | TlsPolicy::Require | TlsPolicy::Dane => Some(format!(
            "auth_file with tls = \"{}\": the password is told to a server with any certificate, and so to whoever stands \
             on the way; tls = \"verify\" tells it only to the server that is meant",
            settings.tls.policy
        )),
        TlsPolicy::Verify if settings.tls.name.is_none() => has_domain().map(|_| {
            "auth_file for a mail domain: its servers are told the password only where DNSSEC or MTA-STS proves their names; \
             [host] as the next hop, or tls_name, names the server"
                .to_owned()
        }),
        TlsPolicy::Verify | TlsPolicy::DaneOnly => None,
    }
}

/// Prints a text; that a reader such as head(1) went away is no error.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// What the configuration comes to: next hops with their sockets, listeners, routes.
fn summary(config: &Config) -> String {
    let row = |name: &str, socket: String, settings: &NextHopSettings| {
        let bins = match settings.order {
            Order::Sorted => in_kilobytes(&settings.sizebins),
            Order::Unsorted => settings.order.to_string(),
        };
        let lanes: Vec<String> = settings.lanes_by_bin().iter().map(usize::to_string).collect();
        let (level, trust) = (settings.max_level.to_string(), settings.trust.to_string());
        [name.to_owned(), socket, level, trust, bins, lanes.join(" ")]
    };
    let mut rows = vec![["next hop", "socket", "level", "trust", "sizebins", "lanes"].map(str::to_owned)];
    for (next_hop, settings) in &config.next_hops {
        rows.push(row(next_hop.as_str(), config.listen.socket_path(next_hop).display().to_string(), settings));
    }
    rows.push(row("(any other)", "-".to_owned(), &config.defaults));
    let mut text = columns(&rows);
    for address in &config.listen.lmtp {
        let _ = writeln!(text, "LMTP on {address}");
    }
    for (domain, next_hop) in &config.routes {
        let _ = writeln!(text, "route {domain} to {next_hop}");
    }
    text
}

/// Every key with its default, what it takes and what it means.
fn key_list() -> String {
    let mut text = String::new();
    for section in Section::ALL {
        let _ = writeln!(text, "{}", section.heading());
        for key in section.keys() {
            entry(&mut text, key);
        }
        text.push('\n');
    }
    text.push_str("[route]\n  \"DOMAIN\" = \"NEXT HOP\"\n");
    wrap(
        &mut text,
        "The next hop for a recipient's domain where a listener takes every recipient. \"*\" is any other domain.",
    );
    text
}

fn entry(text: &mut String, key: &Key) {
    let _ = writeln!(text, "  {} = {}", key.name, key.default_toml());
    wrap(text, key.doc);
    wrap(text, &format!("Takes {}.", key.expected()));
}

/// Appends a paragraph, indented, in lines of at most [`WIDTH`] columns where words allow.
fn wrap(text: &mut String, paragraph: &str) {
    const INDENT: &str = "     ";
    let mut column = usize::MAX;
    for word in paragraph.split(' ') {
        let length = word.chars().count() + 1;
        if column.saturating_add(length) > WIDTH {
            let end = if column == usize::MAX { "" } else { "\n" };
            let _ = write!(text, "{end}{INDENT}");
            column = INDENT.len();
        }
        let _ = write!(text, " {word}");
        column += length;
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipelane::config::keys;

    #[test]
    fn the_summary_shows_each_next_hop_with_its_own_settings() {
        let text = r#"
            [listen]
            runtime_directory = "/run/p"
            lmtp = ["127.0.0.1:2003"]
            [defaults]
            lanes = 2
            order = "unsorted"
            [next_hop."[Relay.example.net]:25"]
            trust = "stream"
            order = "sorted"
            lanes = "10 1 1 1"
            [route]
            "*" = "[relay.example.net]:25"
        "#;
        let expected = "\
next hop                socket                             level   trust    sizebins      lanes
[relay.example.net]:25  /run/p/nh/[relay.example.net]:25  stream  stream   4 64 1000 0   10 1 1 1
(any other)             -                                  stream  learned  unsorted      2
LMTP on 127.0.0.1:2003
route * to [relay.example.net]:25
";
        let config = Config::parse(text, "test").expect("a good configuration");
        let squeeze = |text: &str| text.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
        assert_eq!(squeeze(&summary(&config)), squeeze(expected));
    }

    #[test]
    fn the_exit_status_is_0_for_a_good_file_and_78_for_a_bad_or_missing_one() {
        let directory = tempfile::tempdir().expect("a directory");
        let config = directory.path().join("p.toml");
        let status = || run(CheckArgs { config: config.clone(), keys: false });
        assert_eq!(status(), ExitCode::from(78));
        std::fs::write(&config, "[defaults]\nlanes = 2\n").expect("written");
        assert_eq!(status(), ExitCode::SUCCESS);
        std::fs::write(&config, "[defaults]\nlanes = 0\n").expect("written");
        assert_eq!(status(), ExitCode::from(78));
        std::fs::write(&config, "[defaults]\ntls_cert_file = \"/nowhere/mail.pem\"\n").expect("written");
        assert_eq!(status(), ExitCode::from(78));
        std::fs::write(&config, "[defaults]\nauth_file = \"/nowhere/sasl_passwd\"\n").expect("written");
        assert_eq!(status(), ExitCode::from(78));
        assert_eq!(run(CheckArgs { config, keys: true }), ExitCode::SUCCESS);
    }

    #[test]
    fn a_password_for_whoever_answers_is_told() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("sasl_passwd");
        std::fs::write(&file, "relay.test u:p\nunix:/run/s u:p\n").expect("written");
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("the owner may");
        let told = |next_hop: &str, more: &str| {
            let auth = format!("auth_file = \"{}\"", file.display());
            let text = format!("[next_hop.\"{next_hop}\"]\n{auth}\n{more}\n");
            warnings(&Config::parse(&text, "test").expect("a good configuration"))
        };
        assert!(told("[relay.test]:587", "")[0].contains("[relay.test]:587: auth_file with tls = \"may\""));
        assert_eq!(told("[relay.test]:587", "tls = \"dane\"").len(), 1);
        assert!(told("relay.test:587", "tls = \"verify\"")[0].contains("for a mail domain"));
        for (next_hop, more) in [
            ("[relay.test]:587", "tls = \"verify\""),
            ("relay.test:587", "tls = \"verify\"\ntls_name = \"mx.test\""),
            ("relay.test:587", "tls = \"dane-only\""),
            ("[relay.test]:587", "auth_mechanisms = [\"SCRAM-SHA-256\"]"),
            ("[other.test]:587", ""),
            ("unix:/run/s", ""),
        ] {
            assert_eq!(told(next_hop, more), Vec::<String>::new(), "{next_hop} {more}");
        }
        let defaults = format!("[defaults]\nauth_file = \"{}\"\n", file.display());
        assert!(warnings(&Config::parse(&defaults, "test").expect("good"))[0].starts_with("defaults: "));
    }

    #[test]
    fn the_list_of_keys_has_each_key_with_its_default_within_the_width() {
        let list = key_list();
        for key in keys::all() {
            let line = format!("\n  {} = {}\n", key.name, key.default_toml());
            assert!(list.contains(&line), "{line}");
        }
        for line in list.lines() {
            assert!(line.chars().count() <= WIDTH && line == line.trim_end(), "{line:?}");
        }
    }

    #[test]
    fn a_paragraph_is_wrapped_between_words() {
        let mut text = String::new();
        wrap(&mut text, "word ".repeat(40).trim_end());
        let words: Vec<&str> = text.split_whitespace().collect();
        assert_eq!(words, vec!["word"; 40]);
        assert!(text.lines().count() == 3 && text.lines().all(|line| line.starts_with("      word")), "{text}");
    }
}
