//! A directory and ports of a test's own, and waiting with a bound.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A temporary directory that other users may enter (servers drop root); removed with the value.
#[derive(Debug)]
pub struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    /// A new, empty one. The name is short: it is part of socket paths, which end at 107 octets.
    pub fn new() -> Place {
        let folder = tempfile::Builder::new().prefix("plane-").tempdir().expect("a temporary directory");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("chmod of an own directory");
        Place { folder }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A file with this text, and its path.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, text).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
        path
    }

    /// A directory in it, and its path.
    pub fn folder(&self, name: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(&path).unwrap_or_else(|error| panic!("cannot make {}: {error}", path.display()));
        path
    }

    /// What was made so far belongs to this user and group, by name.
    pub fn give(&self, name: &str, owner: &str) {
        run(Command::new("chown").arg("-R").arg(owner).arg(self.path().join(name)));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if kept() {
            self.folder.disable_cleanup(true);
            eprintln!("kept: {}", self.path().display());
        }
    }
}

/// Whether the directories of a failing test stay.
pub fn kept() -> bool {
    std::thread::panicking() && std::env::var_os("PIPELANE_TEST_KEEP").is_some_and(|value| value == "1")
}

/// A port on 127.0.0.1 that nobody listens on, below the range that outgoing connections take theirs from; no two
/// calls give the same one.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let start = std::process::id().wrapping_mul(37);
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        assert!(step < 20_000, "no free port on 127.0.0.1 between 10000 and 30000");
        let port = 10_000 + (start.wrapping_add(step) % 20_000) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Polls until `probe` has something; panics after `limit`, with what `diagnose` knows.
pub fn wait<T>(what: &str, limit: Duration, diagnose: impl Fn() -> String, mut probe: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    let mut pause = Duration::from_millis(5);
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(start.elapsed() < limit, "gave up after {} s waiting for {what}\n{}", limit.as_secs(), diagnose());
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

/// Runs a command to its end; panics with its output if it fails.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} ended with {}\n{text}{errors}", output.status);
    text
}

/// A command whose process is killed when the thread that starts it ends, however that happens.
pub fn tied(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program.as_ref());
    command
}

/// The last lines of a file.
pub fn tail(file: &Path, lines: usize) -> String {
    let text = fs::read(file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let text = text.unwrap_or_else(|error| format!("{error}"));
    let all: Vec<&str> = text.lines().collect();
    format!("--- {}\n{}\n", file.display(), all[all.len().saturating_sub(lines)..].join("\n"))
}
