//! The executable under test: as a resident engine, as the pipe door's command, and as a sink.

use crate::place::{Place, tail, tied, wait};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// The executable: this build's, or the one that `PIPELANE_BIN` names.
pub fn executable() -> PathBuf {
    // Cargo names it to tests only.
    let built = option_env!("CARGO_BIN_EXE_pipelane").unwrap_or("pipelane");
    std::env::var_os("PIPELANE_BIN").map_or_else(|| built.into(), PathBuf::from)
}

/// A copy of it in a directory that everybody may enter: pipe(8) runs it as a user without rights.
pub fn executable_for_everybody(place: &Place) -> PathBuf {
    let copy = place.path().join("pipelane");
    fs::copy(executable(), &copy).expect("a copy of the executable");
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).expect("chmod of an own file");
    copy
}

/// `pipelane serve` with one next hop.
#[derive(Debug)]
pub struct Pipelane {
    child: Child,
    place: Place,
    next_hop: String,
}

impl Pipelane {
    /// Started, with these settings (TOML lines) for this next hop, and listening.
    pub fn serve(next_hop: &str, settings: &str) -> Pipelane {
        let place = Place::new();
        let run = place.folder("run");
        let listen = format!("[listen]\nruntime_directory = \"{}\"\nsocket_mode = \"0666\"\n", run.display());
        place.write("pipelane.toml", &format!("{listen}\n[next_hop.\"{next_hop}\"]\n{settings}\n"));
        let child = start(&place);
        let mut pipelane = Pipelane { child, place, next_hop: next_hop.to_owned() };
        pipelane.wait_listening();
        pipelane
    }

    /// The LMTP socket of the next hop.
    pub fn socket(&self) -> PathBuf {
        self.place.path().join("run/nh").join(self.next_hop.replace('/', "%2f"))
    }

    /// The transport that a sending Postfix is given.
    pub fn transport(&self) -> String {
        format!("lanes:unix:{}", self.socket().display())
    }

    fn wait_listening(&mut self) {
        let (socket, output) = (self.socket(), self.output());
        let what = format!("pipelane to listen on {}", socket.display());
        let child = &mut self.child;
        wait(
            &what,
            Duration::from_secs(30),
            || tail(&output, 30),
            || {
                let ended = child.try_wait().expect("a child of ours");
                assert!(ended.is_none(), "pipelane serve ended with {ended:?}\n{}", tail(&output, 30));
                UnixStream::connect(&socket).ok()
            },
        );
    }

    /// `kill -9`: nothing is finished, nothing is cleaned up.
    pub fn kill_hard(&mut self) {
        self.child.kill().expect("a child of ours can be killed");
        self.child.wait().expect("a child of ours ends");
    }

    /// SIGTERM, and then the time to finish what is in flight.
    pub fn terminate(&mut self, limit: Duration) -> ExitStatus {
        let pid = self.child.id().to_string();
        crate::place::run(Command::new("kill").args(["-TERM", &pid]));
        let output = self.output();
        let child = &mut self.child;
        wait("pipelane to drain and end", limit, || tail(&output, 30), || child.try_wait().expect("a child of ours"))
    }

    /// Once more, with the same configuration and the same sockets.
    pub fn restart(&mut self) {
        self.child = start(&self.place);
        self.wait_listening();
    }

    /// The most memory it ever had resident, in kB.
    pub fn peak_resident_kb(&self) -> u64 {
        self.status_kb("VmHWM:")
    }

    /// What it has resident, in kB.
    #[allow(dead_code, reason = "the benchmarks share this file")]
    pub fn resident_kb(&self) -> u64 {
        self.status_kb("VmRSS:")
    }

    fn status_kb(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("Linux says it");
        line.trim().trim_end_matches(" kB").parse().expect("a number of kB")
    }

    fn output(&self) -> PathBuf {
        self.place.path().join("output")
    }

    /// What it wrote last, for a person.
    pub fn trouble(&self) -> String {
        tail(&self.output(), 30)
    }
}

impl Drop for Pipelane {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.trouble());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(place: &Place) -> Child {
    let mut command = tied(executable());
    command.arg("serve").arg("-c").arg(place.path().join("pipelane.toml"));
    spawn(command, &place.path().join("output"))
}

/// Started with its output going to a file.
fn spawn(mut command: Command, output: &Path) -> Child {
    let output = fs::OpenOptions::new().create(true).append(true).open(output).expect("an own file");
    let both = output.try_clone().expect("a second handle");
    command.stdin(Stdio::null()).stdout(output).stderr(both).spawn().expect("the executable starts")
}

/// `pipelane sink`: a server that takes everything and keeps nothing.
#[derive(Debug)]
pub struct Sink {
    child: Child,
    next_hop: String,
    _place: Place,
}

impl Sink {
    /// Started on a free port of 127.0.0.1.
    pub fn start() -> Sink {
        let place = Place::new();
        let output = place.path().join("output");
        let mut command = tied(executable());
        command.args(["sink", "--listen", "127.0.0.1:0", "--max-size", "2000000000"]);
        let child = spawn(command, &output);
        let mut sink = Sink { child, next_hop: String::new(), _place: place };
        let address = wait(
            "the sink to listen",
            Duration::from_secs(30),
            || tail(&output, 10),
            || {
                let text = fs::read_to_string(&output).ok()?;
                let (_, rest) = text.split_once("listening on ")?;
                // A line without its end may still be growing.
                let (address, _) = rest.split_once('\n')?;
                Some(address.trim().to_owned())
            },
        );
        let port = address.rsplit(':').next().unwrap_or_default();
        sink.next_hop = format!("[127.0.0.1]:{port}");
        sink
    }

    /// It as a next hop.
    pub fn next_hop(&self) -> &str {
        &self.next_hop
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
