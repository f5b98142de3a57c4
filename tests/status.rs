//! `pipelane status` and the control socket that it asks, with `pipelane serve` as a process; and clients of that
//! socket that mean no good.

mod serving;

use pipelane::door::control::{CLIENTS, ControlDoor, ask};
use pipelane::engine::{Engine, EngineStatus};
use serving::{Client, HOP, LONG, Serving};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::thread;

fn config() -> String {
    format!("[next_hop.\"{HOP}\"]\n")
}

/// Standard output of a command that ended well and complained about nothing.
fn text(output: &Output) -> &str {
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "{}: {complaints}", output.status);
    std::str::from_utf8(&output.stdout).expect("UTF-8")
}

#[test]
fn a_running_one_is_told_as_text_and_as_json() {
    let serving = Serving::start(&config());
    let output = serving.status(&[]);
    let head = format!("pipelane {}, process {}, up ", env!("CARGO_PKG_VERSION"), serving.process());
    assert!(text(&output).starts_with(&head), "{}", text(&output));
    let output = serving.status(&["--json"]);
    let status: EngineStatus = serde_json::from_str(text(&output)).expect("a status");
    assert_eq!((status.process, status.version.as_str()), (serving.process(), env!("CARGO_PKG_VERSION")));
    assert_eq!(text(&output).lines().count(), 1);
    let output = serving.status(&["[unknown.test]:25"]);
    assert!(text(&output).ends_with("\n[unknown.test]:25: not in use\n"), "{}", text(&output));
    let output = serving.status(&["--json", "[unknown.test]:25"]);
    let status: EngineStatus = serde_json::from_str(text(&output)).expect("a status");
    assert_eq!((status.process, status.channels.len()), (serving.process(), 0));
    // The socket is found by the configuration too.
    let mut command = Command::new(env!("CARGO_BIN_EXE_pipelane"));
    let output = command.args(["status", "--config"]).arg(serving.file()).env_clear().output().expect("runs");
    assert!(text(&output).starts_with(&head), "{}", text(&output));
    serving.stop();
}

#[test]
fn a_message_is_counted() {
    let sink = pipelane::sink::Sink::start(Default::default()).expect("a sink");
    let hop = format!("[127.0.0.1]:{}", sink.address().port());
    let serving = Serving::start(&format!("[next_hop.\"{hop}\"]\n"));
    let mut client = Client::greeted(&serving.socket(&hop));
    client.hand_over();
    client.expect("250 2.0.0 ");
    client.quit();
    let output = serving.status(&["--json"]);
    let status: EngineStatus = serde_json::from_str(text(&output)).expect("a status");
    assert_eq!((status.counts.messages, status.counts.delivered), (1, 1));
    assert!(text(&serving.status(&[])).contains("\nmessages=1 "));
    serving.stop();
}

#[test]
fn it_is_watched_in_blocks_and_a_reader_that_goes_ends_that() {
    let serving = Serving::start(&config());
    let mut watching = serving.status_command(&["--watch", "0.1"]).spawn().expect("runs");
    let mut lines = BufReader::new(watching.stdout.take().expect("piped")).lines();
    let mut heads = 0;
    let mut before = String::new();
    while heads < 3 {
        let line = lines.next().expect("it goes on").expect("UTF-8");
        if line.starts_with("pipelane ") {
            assert!(heads == 0 || before.is_empty(), "a blank line is between two blocks");
            heads += 1;
        }
        before = line;
    }
    drop(lines);
    assert!(watching.wait().expect("ends").success());
    serving.stop();
}

#[test]
fn a_watch_ends_well_with_a_signal_and_outlives_what_it_watches() {
    let serving = Serving::start(&config());
    let mut watching = serving.status_command(&["--watch=0.1", "--json"]).spawn().expect("runs");
    let mut lines = BufReader::new(watching.stdout.take().expect("piped")).lines();
    let first = lines.next().expect("a line").expect("UTF-8");
    serde_json::from_str::<EngineStatus>(&first).expect("a status");
    // Read on, so that it never waits for us.
    let reading = thread::spawn(move || lines.map_while(Result::ok).count());
    serving.stop();
    let mut complaints = BufReader::new(watching.stderr.take().expect("piped"));
    let mut complaint = String::new();
    complaints.read_line(&mut complaint).expect("UTF-8");
    assert!(
        complaint.starts_with("no pipelane serve answers at ") || complaint.contains("not answered"),
        "{complaint}"
    );
    let killed = Command::new("kill").args(["-INT", &watching.id().to_string()]).status().expect("kill runs");
    assert!(killed.success() && watching.wait().expect("ends").success());
    reading.join().expect("ends");
}

#[test]
fn without_one_that_runs_it_says_so_and_ends_with_69_and_with_78_for_a_wrong_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let run = |arguments: &[&str], path: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pipelane"));
        let output = command.arg("status").args(arguments).arg(path).env_clear().output().expect("runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for more in [&["--watch", "0.1", "--runtime-directory"][..], &["--json", "--runtime-directory"]] {
        let (code, complaint) = run(more, directory.path());
        let socket = directory.path().join("control");
        assert_eq!(code, Some(69));
        assert!(complaint.starts_with(&format!("no pipelane serve answers at {}: ", socket.display())), "{complaint}");
        assert_eq!(complaint.lines().count(), 1);
    }
    let file = directory.path().join("pipelane.toml");
    std::fs::write(&file, "[listen]\nno_such_key = 1\n").expect("written");
    let (code, complaint) = run(&["--config"], &file);
    assert_eq!(code, Some(78));
    assert!(complaint.contains("pipelane.toml:2: listen.no_such_key: "), "{complaint}");
}

// The socket.

/// A control door over an engine that does nothing.
struct Desk {
    directory: tempfile::TempDir,
    _door: ControlDoor,
}

fn desk() -> Desk {
    let directory = tempfile::tempdir().expect("a directory");
    let engine = Engine::new(Arc::default());
    let door = ControlDoor::start(&listen(directory.path(), 0o660), move || engine.status()).expect("opens");
    Desk { directory, _door: door }
}

fn listen(directory: &Path, socket_mode: u32) -> pipelane::config::Listen {
    pipelane::config::Listen { runtime_directory: directory.to_owned(), socket_mode, ..Default::default() }
}

impl Desk {
    fn client(&self) -> UnixStream {
        let stream = UnixStream::connect(self.directory.path().join("control")).expect("listening");
        stream.set_read_timeout(Some(LONG)).expect("a timeout");
        stream
    }

    /// What comes until the end, or until the other side has no more patience with what we send.
    fn told(mut stream: UnixStream) -> String {
        let mut told = Vec::new();
        // A reset is an end too: not all that we said was read.
        let _ = stream.read_to_end(&mut told);
        String::from_utf8(told).expect("UTF-8")
    }

    /// The door answers whoever asks well.
    fn works(&self) {
        let answer = ask(&self.directory.path().join("control"), "status", LONG).expect("an answer");
        serde_json::from_slice::<EngineStatus>(&answer).expect("a status");
    }
}

#[test]
fn what_is_no_request_is_answered_by_an_error() {
    let desk = desk();
    for said in [&b"\n"[..], b"stat us\n", b"STATUS\n", b"\xff\xfe\0\n", b"GET / HTTP/1.1\r\n\r\n"] {
        let mut client = desk.client();
        client.write_all(said).expect("fits");
        let told: serde_json::Value = serde_json::from_str(&Desk::told(client)).expect("JSON");
        assert!(told["error"].is_string(), "{told}");
    }
    desk.works();
}

#[test]
fn a_line_without_end_is_cut_off() {
    let desk = desk();
    let mut client = desk.client();
    // More than any socket holds: at last it is closed with some of it unread.
    let piece = [b'x'; 64 * 1024];
    while client.write_all(&piece).is_ok() {}
    assert!(Desk::told(client).starts_with("{\"error\":"));
    desk.works();
}

#[test]
fn clients_that_close_early_leave_no_trace() {
    let desk = desk();
    for n in 0..4 * CLIENTS {
        let mut client = desk.client();
        let said: &[u8] = [&b""[..], b"stat", b"status\n"][n % 3];
        client.write_all(said).expect("fits");
        if n % 2 == 0 {
            client.shutdown(Shutdown::Both).expect("open until now");
        }
    }
    desk.works();
}

#[test]
fn a_hundred_at_once_are_all_answered_and_as_many_silent_ones_do_not_hinder_that_for_long() {
    let desk = desk();
    // More than there are places for, so that whoever asks has to wait until they are left.
    let silent: Vec<UnixStream> = (0..100).map(|_| desk.client()).collect();
    thread::scope(|scope| {
        for _ in 0..100 {
            scope.spawn(|| desk.works());
        }
    });
    for client in silent {
        assert_eq!(Desk::told(client), "", "nothing was asked");
    }
}

#[test]
fn a_client_that_does_not_read_keeps_nobody_waiting() {
    let directory = tempfile::tempdir().expect("a directory");
    let engine = Engine::new(Arc::default());
    // So long an answer that no socket holds it.
    let status = move || EngineStatus { version: "x".repeat(4 << 20), ..engine.status() };
    let _door = ControlDoor::start(&listen(directory.path(), 0o660), status).expect("opens");
    let path = directory.path().join("control");
    let mut lazy = UnixStream::connect(&path).expect("listening");
    lazy.write_all(b"status\n").expect("fits");
    let answer = ask(&path, "status", LONG).expect("an answer");
    let status: EngineStatus = serde_json::from_slice(&answer).expect("a status");
    assert_eq!(status.version.len(), 4 << 20);
    drop(lazy);
}

#[test]
fn it_is_never_open_to_everybody_and_is_removed_at_the_end() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("control");
    for (mode, expected) in [(0o666, 0o660), (0o600, 0o600), (0o777, 0o770)] {
        let engine = Engine::new(Arc::default());
        let door = ControlDoor::start(&listen(directory.path(), mode), move || engine.status()).expect("opens");
        let found = path.symlink_metadata().expect("there").permissions().mode() & 0o777;
        assert_eq!(found, expected, "{found:o}");
        drop(door);
        assert!(!path.exists());
    }
}

#[test]
fn a_second_one_leaves_the_first_its_socket_and_takes_over_a_stale_one() {
    let desk = desk();
    let engine = Engine::new(Arc::default());
    let second = ControlDoor::start(&listen(desk.directory.path(), 0o660), move || engine.status());
    assert!(second.expect_err("the first is alive").to_string().contains("is served by another process"));
    desk.works();
    let mut first = Serving::start(&config());
    first.signal("KILL");
    first.ended();
    assert!(first.control().exists(), "nobody removed it");
    let engine = Engine::new(Arc::default());
    let door = ControlDoor::start(&listen(&first.runtime_directory(), 0o660), move || engine.status());
    drop(door.expect("takes it over"));
    assert!(!first.control().exists());
}

#[test]
fn without_its_control_socket_mail_goes_on() {
    let first = Serving::start(&config());
    let file = first.runtime_directory().join("other.toml");
    let text = format!("[listen]\nruntime_directory = {:?}\n[next_hop.\"[other]:25\"]\n", first.runtime_directory());
    std::fs::write(&file, text).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_pipelane"));
    command.args(["serve", "-c"]).arg(&file).env_clear().stdin(Stdio::null()).stderr(Stdio::piped());
    let mut second = command.spawn().expect("runs");
    let mut lines = BufReader::new(second.stderr.take().expect("piped")).lines().map(|line| line.expect("UTF-8"));
    let warning = lines.next().expect("a warning");
    assert!(warning.contains("pipelane status will not be answered: "), "{warning}");
    assert!(lines.any(|line| line.contains("ready: 1 next hops")));
    Client::greeted(&first.socket("[other]:25")).quit();
    let killed = Command::new("kill").args(["-TERM", &second.id().to_string()]).status().expect("kill runs");
    assert!(killed.success() && second.wait().expect("ends").success());
    assert!(text_of(&first).starts_with("pipelane "));
    first.stop();
}

fn text_of(serving: &Serving) -> String {
    text(&serving.status(&[])).to_owned()
}
