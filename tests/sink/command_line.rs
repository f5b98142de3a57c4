//! `pipelane sink` as a program.

use crate::raw::Client;
use crate::{deliver, transaction};
use pipelane::sink::Personality;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};

/// A running program and the lines that it prints.
struct Program {
    child: Child,
    output: BufReader<ChildStdout>,
    address: std::net::SocketAddr,
}

impl Program {
    fn start(arguments: &[&str]) -> Program {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pipelane"));
        command.args(["sink", "--listen", "127.0.0.1:0", "--exit-after-seconds", "60"]).args(arguments);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("started");
        let mut output = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        output.read_line(&mut line).expect("a line");
        let address = line.trim().strip_prefix("listening on ").expect("where it listens").parse().expect("an address");
        Program { child, output, address }
    }

    fn end(mut self) -> String {
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).expect("its totals");
        assert!(self.child.wait().expect("ended").success());
        rest
    }
}

fn total(totals: &str, name: &str) -> Option<u64> {
    let mut lines = totals.lines().filter_map(|line| line.split_once(' '));
    lines.find(|(key, _)| *key == name).and_then(|(_, value)| value.trim().parse().ok())
}

#[test]
fn it_ends_after_so_many_messages_and_says_what_it_counted() {
    let program =
        Program::start(&["--exit-after-messages", "2", "--without", "dsn,SIZE,mt-priority", "--limits", "RCPTMAX=9"]);
    let mut client = Client::connect_to(program.address);
    assert_eq!(client.reply().code, 220);
    let ehlo = client.ask("EHLO x\r\n");
    assert!(ehlo.lines.contains(&"LIMITS RCPTMAX=9".to_owned()));
    assert!(!ehlo.lines.iter().any(|line| ["DSN", "SIZE", "MT-PRIORITY"].iter().any(|name| line.starts_with(name))));
    assert_eq!(deliver(&mut client, "x\r\n"), [250, 250, 250, 354, 250]);
    assert_eq!(client.group(transaction(&["b@example.net"], "y\r\n"), 4), [250; 4]);
    assert_eq!(client.ask("QUIT\r\n").code, 221);
    drop(client);
    let totals = program.end();
    assert_eq!((total(&totals, "messages"), total(&totals, "protocol_mistakes")), (Some(2), Some(0)), "{totals}");
}

#[test]
fn a_signal_ends_it() {
    let program = Program::start(&["--like", "haraka", "--latency-ms", "1"]);
    let mut client = Client::connect_to(program.address);
    assert_eq!(client.reply().code, 220);
    let killed = Command::new("kill").arg(program.child.id().to_string()).status().expect("kill");
    assert!(killed.success());
    assert_eq!(total(&program.end(), "connections"), Some(1));
    assert!(client.is_closed());
}

#[test]
fn the_help_names_every_personality() {
    let output = Command::new(env!("CARGO_BIN_EXE_pipelane")).args(["sink", "--help"]).output().expect("help");
    let help = String::from_utf8(output.stdout).expect("text");
    for personality in Personality::ALL {
        assert!(help.contains(&format!("- {personality}")), "{personality}");
    }
}

#[test]
fn bad_arguments_are_named() {
    for (arguments, words) in [
        (["--without", "XYZ"], "PIPELINING"),
        (["--like", "sendmail"], "haraka"),
        (["--limits", "MAILMAX"], "NAME=NUMBER"),
        (["--maildir", "/dev/null/box"], "cannot start"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pipelane"));
        let output = command.args(["sink", "--listen", "127.0.0.1:0"]).args(arguments).output().expect("ended");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && text.contains(words), "{text}");
    }
}
