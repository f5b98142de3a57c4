//! AUTH: nobody is shown a secret, whatever a server does with it, and a file that has changed counts.

use crate::host::{Host, yes};
use crate::place::*;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use pipelane::config::{AuthSettings, Mechanism, NextHopSettings};
use pipelane::mail::Verdict;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const USER: &str = "postmaster";
const PASSWORD: &str = "xkcd936-correct-battery";

/// A private file of passwords.
fn file(directory: &Path, text: &str) -> PathBuf {
    let path = directory.join("sasl_passwd");
    fs::write(&path, text).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("the owner may");
    path
}

fn with_auth(file: PathBuf, mechanism: Mechanism) -> NextHopSettings {
    let auth = AuthSettings { file: Some(file), mechanisms: vec![mechanism], in_clear: true };
    NextHopSettings { auth, ..lockstep() }
}

/// Parts by which the password would be given away: as it is, and as lines have it, wherever in them it begins.
fn parts() -> Vec<String> {
    let lines = (0..3).map(|shift| BASE64_STANDARD.encode(format!("{}{PASSWORD}", "x".repeat(shift))));
    let inner = lines.map(|line| line[4..line.len() - 4].to_owned());
    let plain = BASE64_STANDARD.encode(format!("\0{USER}\0{PASSWORD}"));
    let whole: Vec<String> = inner.chain([PASSWORD.to_owned(), plain[plain.len() - 20..].to_owned()]).collect();
    let windows =
        whole.iter().flat_map(|text| text.as_bytes().windows(8).map(|part| String::from_utf8_lossy(part).into_owned()));
    windows.collect()
}

/// What a server says to AUTH and to all that follows, given the line that it hears.
type Manner = fn(&str) -> String;

#[test]
fn no_server_brings_a_password_into_logs_reports_or_status() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = file(directory.path(), &format!("127.0.0.1 {USER}:{PASSWORD}\n"));
    let manners: [Manner; 9] = [
        |line| format!("535 5.7.8 {line}\r\n"),
        |line| format!("{line}\r\n"),
        |line| format!("421 {line}\r\n"),
        |line| format!("454-{line}\r\n454 {PASSWORD}\r\n"),
        |line| format!("334 {line}\r\n"),
        |_| format!("334 {}\r\n", BASE64_STANDARD.encode(PASSWORD)),
        |line| format!("300 {line}\r\n"),
        |line| format!("535-x\r\n400 {line}\r\n"),
        |_| "334 \r\n".to_owned(),
    ];
    let mut seen = 0;
    for mechanism in Mechanism::ALL {
        for (n, manner) in manners.into_iter().enumerate() {
            let host = Host::start(move |_, mut peer| {
                peer.greet(&[&format!("AUTH {mechanism}")]);
                peer.serve(|line| Some(if line == "*" { "501 *\r\n".to_owned() } else { manner(line) }));
            });
            let engine = engine(with_auth(path.clone(), mechanism));
            let id = format!("secretive-{mechanism}-{n}");
            let report = report(&submit(&engine, message(&hop(host.address), &id, "r@b.test", 10)));
            assert_eq!(report.outcomes[0].verdict, Verdict::Deferred, "{report:?}");
            let shown = format!("{report:?} {:?} {}", engine.status(), logged(hop(host.address).as_str()).join("\n"));
            seen += logged(hop(host.address).as_str()).len();
            for part in parts() {
                assert!(!shown.contains(&part), "{part} is in {shown}");
            }
        }
    }
    assert!(seen >= 4 * manners.len(), "the log was not looked at");
    for part in parts() {
        assert_eq!(logged(&part), Vec::<String>::new(), "{part}");
    }
}

#[test]
fn a_password_that_was_changed_counts_from_the_next_connection_on() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = file(directory.path(), "127.0.0.1 u:old\n");
    let heard = Arc::<pipelane::sync::Mutex<Vec<String>>>::default();
    let host = Host::start({
        let heard = Arc::clone(&heard);
        move |_, mut peer| {
            peer.greet(&["AUTH PLAIN"]);
            peer.serve(|line| {
                if let Some(words) = line.strip_prefix("AUTH PLAIN ") {
                    heard.lock().push(words.to_owned());
                    return Some("235 welcome\r\n".to_owned());
                }
                yes(line)
            });
        }
    });
    let settings = NextHopSettings { messages_per_connection: 1, ..with_auth(path.clone(), Mechanism::Plain) };
    let (engine, hop) = (engine(settings), hop(host.address));
    all_delivered(&submit_many(&engine, &hop, "before-", 2));
    file(directory.path(), "127.0.0.1 u:new\n");
    all_delivered(&submit_many(&engine, &hop, "after-", 1));
    let line = |password: &str| BASE64_STANDARD.encode(format!("\0u\0{password}"));
    assert_eq!(*heard.lock(), [line("old"), line("old"), line("new")]);
}

#[test]
fn a_file_that_is_not_private_defers_mail_says_what_to_do_and_makes_no_connection() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = file(directory.path(), "127.0.0.1 u:p\n");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).expect("the owner may");
    let host = Host::start(|_, mut peer| peer.greet(&[]));
    let engine = engine(with_auth(path.clone(), Mechanism::Plain));
    let report = report(&submit(&engine, message(&hop(host.address), "open-file", "r@b.test", 10)));
    let outcome = &report.outcomes[0];
    assert_eq!((outcome.verdict, outcome.status.to_string().as_str()), (Verdict::Deferred, "4.3.5"));
    assert!(outcome.text.ends_with(&format!("chmod 600 {}", path.display())), "{}", outcome.text);
    assert_eq!(host.connections(), 0);
}
