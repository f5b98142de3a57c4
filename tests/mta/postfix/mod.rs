//! Private instances of Postfix: one that receives, one that sends.
//!
//! Each has its own configuration, queue, data and log in a directory of its own and listens on a free port of
//! 127.0.0.1, or in a namespace at one end of a link. A small shell process holds the other end of a pipe to this one:
//! when the test lets go of it, or dies in whatever way, it stops the instance and removes the directory.

mod setup;

pub use setup::{DOMAIN, Setup, is_refused};

use crate::client::submit;
use crate::log::{Log, Mark, Verdict};
use crate::mail::Mail;
use crate::maildir::Maildir;
use crate::place::{Place, kept, run, tail, wait};
use pipelane_link::Namespace;
use std::io::Read;
use std::net::{IpAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running instance.
#[derive(Debug)]
pub struct Postfix {
    // Dropped first: it ends the instance that lives in the directory.
    _guard: Guard,
    place: Place,
    name: String,
    host: Host,
    port: u16,
}

/// Where an instance listens: this host's loopback, or a namespace at one end of a link.
#[derive(Debug, Clone, Default)]
pub struct Host(Option<Namespace>);

impl Host {
    /// In this namespace.
    pub fn of(namespace: &Namespace) -> Host {
        Host(Some(namespace.clone()))
    }

    /// The address that is listened on.
    pub fn address(&self) -> IpAddr {
        self.0.as_ref().map_or(IpAddr::from([127, 0, 0, 1]), Namespace::address)
    }

    fn command(&self, program: &str) -> Command {
        self.0.as_ref().map_or_else(|| Command::new(program), |namespace| namespace.command(program))
    }

    fn connect(&self, port: u16) -> std::io::Result<TcpStream> {
        let connect = || TcpStream::connect((self.address(), port));
        self.0.as_ref().map_or_else(connect, |namespace| namespace.run(connect)?)
    }
}

/// The shell process that ends the instance.
#[derive(Debug)]
struct Guard {
    shell: Child,
}

impl Postfix {
    /// An instance that takes mail for [`DOMAIN`] and stores it in a Maildir.
    pub fn receiving() -> Postfix {
        Postfix::start(Setup::receiving())
    }

    /// An instance that hands mail for [`DOMAIN`] to this transport (`service:nexthop`).
    pub fn sending(transport: &str) -> Postfix {
        Postfix::start(Setup::sending(transport))
    }

    /// An instance of one's own making. A port that somebody else took in the meantime is replaced by another.
    pub fn start(setup: Setup) -> Postfix {
        let attempts = 3;
        (1..=attempts)
            .find_map(|attempt| {
                let started = Postfix::try_start(&setup);
                started.map_err(|why| assert!(attempt < attempts, "Postfix did not start: {why}")).ok()
            })
            .expect("the last attempt panics")
    }

    fn try_start(setup: &Setup) -> Result<Postfix, String> {
        let place = Place::new();
        let port = crate::place::free_port();
        let host = setup.host.clone();
        let name = setup.install(&place, port);
        let guard = Guard::watch(place.path());
        let postfix = Postfix { _guard: guard, place, name, host, port };
        run(&mut postfix.command("postfix", &["start"]));
        let limit = Instant::now() + Duration::from_secs(30);
        while !postfix.greets() {
            if Instant::now() > limit {
                return Err(postfix.trouble());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        // The log is written by another process: it must not count this connection among a test's own.
        let log = postfix.log();
        let ended = || log.connects(Mark::default()) > 0 && !log.sessions(Mark::default()).is_empty();
        wait("the first line of the log", Duration::from_secs(30), || postfix.trouble(), || ended().then_some(()));
        Ok(postfix)
    }

    /// Whether our own instance, and not somebody else's server, answers on the port.
    fn greets(&self) -> bool {
        let Ok(mut stream) = self.host.connect(self.port) else { return false };
        let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
        let mut greeting = [0; 200];
        let got = stream.read(&mut greeting).unwrap_or(0);
        let ours = String::from_utf8_lossy(&greeting[..got]).contains(&self.name);
        if ours {
            let mut rest = Vec::new();
            let _ = std::io::Write::write_all(&mut stream, b"QUIT\r\n");
            let _ = stream.read_to_end(&mut rest);
        }
        ours
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = self.host.command(program);
        command.arg("-c").arg(self.place.path().join("etc")).args(arguments).stdin(Stdio::null());
        command.env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default()));
        command
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// It as a next hop.
    pub fn next_hop(&self) -> String {
        format!("[{}]:{}", self.host.address(), self.port)
    }

    /// Its log.
    pub fn log(&self) -> Log {
        Log::at(&self.place.path().join("maillog"))
    }

    /// What it has stored, if it is a receiving one.
    pub fn maildir(&self) -> Maildir {
        Maildir::at(&self.place.path().join("mail/all"))
    }

    /// The process id of its master(8).
    pub fn master(&self) -> Option<i32> {
        std::fs::read_to_string(self.place.path().join("queue/pid/master.pid")).ok()?.trim().parse().ok()
    }

    /// The directory that it lives in.
    pub fn folder(&self) -> PathBuf {
        self.place.path().to_owned()
    }

    /// Submits all messages over several connections at a time.
    pub fn submit(&self, mails: &[Mail]) {
        submit(self.port, mails, 8);
    }

    /// Submits by sendmail(1), which takes a message without a final newline.
    pub fn sendmail(&self, sender: &str, recipient: &str, content: &[u8]) {
        let etc = self.place.path().join("etc");
        let mut command = Command::new("/usr/sbin/sendmail");
        command.arg("-C").arg(etc).args(["-i", "-f", sender, recipient]).stdin(Stdio::piped());
        let mut child = command.spawn().expect("sendmail(1) of Postfix");
        let mut stdin = child.stdin.take().expect("a piped stdin");
        std::io::Write::write_all(&mut stdin, content).expect("sendmail(1) reads its input");
        drop(stdin);
        assert!(child.wait().expect("sendmail(1) ends").success(), "sendmail(1) failed\n{}", self.trouble());
    }

    /// How many messages are in the queue.
    pub fn queued(&self) -> usize {
        run(&mut self.command("postqueue", &["-j"])).lines().count()
    }

    /// Waits until so many messages are in the queue.
    pub fn wait_queued(&self, count: usize) {
        let limit = Duration::from_secs(120);
        wait(&format!("{count} queued messages"), limit, || self.trouble(), || (self.queued() == count).then_some(()));
    }

    /// Lets go what [`Setup::held`] held back.
    pub fn release(&self) {
        run(&mut self.command("postconf", &["-e", "defer_transports="]));
        run(&mut self.command("postfix", &["reload"]));
        self.flush();
    }

    /// Lets go what [`Setup::on_hold`] held back.
    #[allow(dead_code, reason = "the benchmarks share this file")]
    pub fn unhold(&self) {
        run(&mut self.command("postsuper", &["-H", "ALL"]));
        self.flush();
    }

    /// Tries everything in the queue again now.
    pub fn flush(&self) {
        run(&mut self.command("postqueue", &["-f"]));
    }

    /// Waits until the queue is empty: everything that this instance took is delivered. What was deferred meanwhile is
    /// tried again every few seconds.
    pub fn drain(&self, limit: Duration) {
        let mut flushed = Instant::now();
        let probe = || {
            if flushed.elapsed() > Duration::from_secs(5) {
                self.flush();
                flushed = Instant::now();
            }
            // Twice: one look can miss a message that moves from one queue directory to another.
            (self.queued() == 0 && self.queued() == 0).then_some(())
        };
        wait("an empty queue", limit, || format!("{} still queued\n{}", self.queued(), self.trouble()), probe);
    }

    /// Waits until so many recipients of this transport have a line in the log, and returns the lines.
    pub fn wait_verdicts(&self, since: Mark, count: usize, limit: Duration) -> Vec<Verdict> {
        let known =
            || self.log().verdicts(since).into_iter().filter(|one| one.to.ends_with(DOMAIN)).collect::<Vec<_>>();
        let diagnose = || format!("{} are there\n{}", known().len(), self.trouble());
        wait(&format!("{count} results"), limit, diagnose, || Some(known()).filter(|found| found.len() >= count))
    }

    /// The end of the log, for a person.
    pub fn trouble(&self) -> String {
        self.log().tail() + &tail(&self.place.path().join("stopped"), 10)
    }
}

impl Guard {
    /// Watches the instance in this directory, from a process group of its own: an interrupt from the keyboard must
    /// not end it before its work is done.
    fn watch(folder: &Path) -> Guard {
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg(include_str!("stop.sh")).arg("stop.sh").arg(folder).process_group(0);
        shell.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").stdin(Stdio::piped());
        let shell = shell.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("/bin/sh");
        Guard { shell }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let word: &[u8] = if kept() { b"keep\n" } else { b"remove\n" };
        if let Some(mut stdin) = self.shell.stdin.take() {
            let _ = std::io::Write::write_all(&mut stdin, word);
        }
        let _ = self.shell.wait();
    }
}
