//! `pipelane serve` as a process, for the tests that look at one from outside.

#![allow(dead_code)] // Each test binary uses its own part.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Long enough for a busy machine; a test that waits so long has failed.
pub const LONG: Duration = Duration::from_secs(30);

/// A next hop that takes no connection.
pub const HOP: &str = "[127.0.0.1]:9";

/// A running one, killed if the test ends before it.
pub struct Serving {
    child: Child,
    directory: TempDir,
    notify: UnixDatagram,
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It has ended already when the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Serving {
    /// Started with this configuration behind a `[listen]` table of its own, and ready.
    pub fn start(config: &str) -> Serving {
        let directory = tempfile::tempdir().expect("a directory");
        let notify = UnixDatagram::bind(directory.path().join("notify")).expect("bound");
        notify.set_read_timeout(Some(LONG)).expect("a timeout");
        let (file, log) = (directory.path().join("pipelane.toml"), directory.path().join("log"));
        write(&file, &whole(directory.path(), config));
        let mut command = Command::new(env!("CARGO_BIN_EXE_pipelane"));
        command.args(["serve", "-c"]).arg(&file).env_clear().env("NOTIFY_SOCKET", directory.path().join("notify"));
        let log = File::create(log).expect("a log");
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().expect("runs");
        let serving = Serving { child, directory, notify };
        assert_eq!(serving.told(), "READY=1");
        serving
    }

    pub fn file(&self) -> PathBuf {
        self.directory.path().join("pipelane.toml")
    }

    pub fn runtime_directory(&self) -> PathBuf {
        self.directory.path().join("run")
    }

    pub fn control(&self) -> PathBuf {
        self.runtime_directory().join("control")
    }

    pub fn socket(&self, next_hop: &str) -> PathBuf {
        self.runtime_directory().join("nh").join(next_hop)
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).expect("readable")
    }

    /// What it tells systemd next.
    pub fn told(&self) -> String {
        let mut state = [0; 200];
        loop {
            match self.notify.recv(&mut state) {
                Ok(octets) => return String::from_utf8_lossy(&state[..octets]).into_owned(),
                // A signal to this process, such as that a child has ended, is no answer.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => panic!("nothing was told in time: {error}"),
            }
        }
    }

    /// Leaves no room for what it would tell.
    pub fn deafen(&self) {
        let noise = UnixDatagram::unbound().expect("a socket");
        noise.set_nonblocking(true).expect("set");
        while noise.send_to(b"noise", self.directory.path().join("notify")).is_ok() {}
    }

    /// Writes another configuration, behind the same `[listen]` table.
    pub fn configure(&self, config: &str) {
        write(&self.file(), &whole(self.directory.path(), config));
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(status.expect("kill runs").success());
    }

    /// Lets it read its configuration again, and waits until it is done.
    pub fn reload(&self) {
        self.signal("HUP");
        let told = self.told();
        assert!(told.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{told}");
        assert_eq!(self.told(), "READY=1");
    }

    /// `pipelane status` with its runtime directory and these arguments.
    pub fn status(&self, arguments: &[&str]) -> Output {
        self.status_command(arguments).output().expect("runs")
    }

    pub fn status_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pipelane"));
        command.args(["status", "--runtime-directory"]).arg(self.runtime_directory()).args(arguments).env_clear();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn process(&self) -> u32 {
        self.child.id()
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("ours").is_none()
    }

    pub fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("its end", || {
            status = self.child.try_wait().expect("ours");
            status.is_some()
        });
        status.expect("it has ended")
    }

    /// Stops it; it has to end well.
    pub fn stop(mut self) {
        self.signal("TERM");
        // What it told before may be unread.
        while self.told() != "STOPPING=1" {}
        assert!(self.ended().success());
        assert!(!self.control().exists(), "its control socket is removed");
    }
}

fn whole(directory: &Path, config: &str) -> String {
    format!("[listen]\nruntime_directory = {:?}\n{config}", directory.join("run"))
}

/// Under another name and moved, so that it is never read half.
fn write(file: &Path, text: &str) {
    let draft = file.with_extension("draft");
    fs::write(&draft, text).expect("written");
    fs::rename(&draft, file).expect("moved");
}

/// Yields until the condition holds.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not come to be");
        std::thread::yield_now();
    }
}

/// An LMTP client of one of its sockets.
pub struct Client(BufReader<UnixStream>);

impl Client {
    /// Connected, with the greeting read.
    pub fn greeted(socket: &Path) -> Client {
        let stream = UnixStream::connect(socket).unwrap_or_else(|error| panic!("{}: {error}", socket.display()));
        stream.set_read_timeout(Some(LONG)).expect("a timeout");
        let mut client = Client(BufReader::new(stream));
        client.expect("220 ");
        client
    }

    pub fn say(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).expect("it reads");
    }

    /// Takes the next reply, all its lines; it must begin so.
    pub fn expect(&mut self, beginning: &str) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            self.0.read_line(&mut line).expect("a reply in time");
            assert!(line.starts_with(&beginning[..beginning.len().min(3)]), "expected {beginning:?}, got {line:?}");
            if line.as_bytes().get(3) != Some(&b'-') {
                break;
            }
        }
        assert!(line.starts_with(beginning), "expected {beginning:?}, got {line:?}");
        line
    }

    /// Says LHLO and hands a message over; its reply is not taken yet.
    pub fn hand_over(&mut self) {
        self.say("LHLO mail.example.org\r\n");
        self.expect("250 ");
        self.say("MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n");
        self.expect("250 2.1.0");
        self.expect("250 2.1.5");
        self.expect("354 ");
        self.say("Subject: hello\r\n\r\nHello.\r\n.\r\n");
    }

    /// That is all: whoever was served says so and goes.
    pub fn quit(mut self) {
        self.say("QUIT\r\n");
        self.expect("221 ");
    }
}
