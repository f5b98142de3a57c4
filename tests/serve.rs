//! `pipelane serve` as a process: ready, a client, signals, the end.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const HOP: &str = "[127.0.0.1]:9";
const LONG: Duration = Duration::from_secs(30);

/// A running one, killed if the test ends before it.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already when the test went well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn serve(directory: &Path, arguments: &[&str], stdin: Stdio) -> Running {
    let file = directory.join("pipelane.toml");
    let text = format!(
        "[listen]\nruntime_directory = {:?}\n[limits]\ndrain_timeout = \"5s\"\n[next_hop.\"{HOP}\"]\n",
        directory.join("run")
    );
    std::fs::write(&file, text).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_pipelane"));
    command.args(["serve", "-c"]).arg(&file).args(arguments).env_clear();
    command.env("NOTIFY_SOCKET", directory.join("notify"));
    Running(command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("runs"))
}

fn terminate(running: &Running) {
    let status = Command::new("kill").args(["-TERM", &running.0.id().to_string()]).status();
    assert!(status.expect("kill runs").success());
}

#[test]
fn it_says_when_it_is_ready_serves_and_ends_on_a_signal() {
    let directory = tempfile::tempdir().expect("a directory");
    let notify = UnixDatagram::bind(directory.path().join("notify")).expect("bound");
    notify.set_read_timeout(Some(LONG)).expect("a timeout");
    let mut running = serve(directory.path(), &[], Stdio::null());
    let mut state = [0; 64];
    let octets = notify.recv(&mut state).expect("ready in time");
    assert_eq!(&state[..octets], b"READY=1");
    let socket = directory.path().join("run/nh").join(HOP);
    let client = UnixStream::connect(&socket).expect("listening");
    client.set_read_timeout(Some(LONG)).expect("a timeout");
    let mut client = BufReader::new(client);
    let mut line = String::new();
    client.read_line(&mut line).expect("a greeting");
    assert!(line.starts_with("220 "), "{line}");
    terminate(&running);
    line.clear();
    client.read_line(&mut line).expect("a farewell");
    assert!(line.starts_with("421 4.3.2 "), "{line}");
    assert!(running.0.wait().expect("ends").success());
    assert!(!socket.exists());
}

#[test]
fn a_client_on_the_standard_streams_is_served_to_its_end() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut running = serve(directory.path(), &["--stdio", "--next-hop", HOP], Stdio::piped());
    let mut input = running.0.stdin.take().expect("piped");
    input.write_all(b"NOOP\r\nQUIT\r\n").expect("written");
    let mut told = String::new();
    running.0.stdout.take().expect("piped").read_to_string(&mut told).expect("UTF-8");
    let replies: Vec<&str> = told.lines().map(|line| &line[..4]).collect();
    assert_eq!(replies, ["220 ", "250 ", "221 "]);
    assert!(running.0.wait().expect("ends").success());
}

#[test]
fn a_configuration_that_cannot_be_used_is_told() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("pipelane.toml");
    std::fs::write(&file, "[listen]\nno_such_key = 1\n").expect("written");
    let output = Command::new(env!("CARGO_BIN_EXE_pipelane")).args(["serve", "-c"]).arg(&file).output().expect("runs");
    assert_eq!(output.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no_such_key"));
}
