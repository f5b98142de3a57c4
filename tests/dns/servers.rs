//! Private instances of NSD and Unbound, and the zone that they serve.

use crate::place::{Place, free_port, run, tail, tied, wait};
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const STARTING: Duration = Duration::from_secs(60);

/// Whether the name servers are installed. If not, the test says so and returns; where everything is required, it
/// panics.
pub fn are_here() -> bool {
    let needs = ["nsd", "unbound", "ldns-keygen", "ldns-signzone", "setpriv"];
    let Some(missing) = needs.into_iter().find(|need| program(need).is_none()) else { return true };
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let why = format!("the command {missing} was not found (Debian: scripts/install-needs)");
    let required = std::env::var_os("PIPELANE_REQUIRE_MTA").is_some_and(|value| value == "1");
    assert!(!required, "PIPELANE_REQUIRE_MTA=1, but {why}");
    let line = format!("skipped: {test}: {why}");
    // Written past the capture of the test runner, which hides what a passing test prints.
    let _ = writeln!(std::io::stderr(), "{line}");
    if let Some(list) = std::env::var_os("PIPELANE_SKIP_LIST") {
        let opened = std::fs::OpenOptions::new().create(true).append(true).open(list);
        let _ = opened.and_then(|mut file| writeln!(file, "{line}"));
    }
    false
}

/// A program in PATH or in sbin.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.map(|folder: PathBuf| folder.join(name)).find(|path| path.is_file())
}

fn command(name: &str) -> Command {
    Command::new(program(name).unwrap_or_else(|| panic!("{name} is not here")))
}

/// What is in the zone `test`. Absence holds for a minute.
fn zone() -> String {
    let mut text = "\
$ORIGIN test.
$TTL 300
@          SOA   ns admin 1 3600 600 86400 60
@          NS    ns
ns         A     127.0.0.1
two        MX    20 mx2
two        MX    10 mx1
mx1        A     192.0.2.1
mx1        AAAA  2001:db8::1
mx2        A     192.0.2.2
alias      CNAME mx1
also       CNAME two
null       MX    0 .
text       TXT   \"no mail\"
nowhere    MX    10 gone
relayed    MX    10 mx1
relayed    MX    20 we
relayed    MX    30 mx2
ours       MX    10 we
we         A     192.0.2.3
deliver    MX    10 first.deliver
deliver    MX    20 second.deliver
first.deliver  A 127.0.0.2
second.deliver A 127.0.0.3
altered    A     192.0.2.66
to-altered MX    10 altered
"
    .to_owned();
    writeln!(text, "_25._tcp.mx1 TLSA 3 1 1 {}", "ab".repeat(32)).expect("a string");
    for n in 0..60 {
        writeln!(text, "many MX {n} a-server-with-a-long-name-{n}.many").expect("a string");
        writeln!(text, "a-server-with-a-long-name-{n}.many A 192.0.2.{}", 100 + n).expect("a string");
    }
    text
}

/// A running server. It ends with the value.
struct Running {
    place: Place,
    child: Child,
    port: u16,
}

impl Running {
    /// Starts it and waits until it takes connections, which it does after it takes datagrams.
    fn start(place: Place, program_name: &str, port: u16) -> Running {
        let path = program(program_name).unwrap_or_else(|| panic!("{program_name} is not here"));
        let log = std::fs::File::create(place.path().join("log")).expect("a file of our own");
        let mut command = tied(path);
        command.arg("-d").arg("-c").arg(place.path().join("conf")).stdin(Stdio::null());
        command.stdout(log.try_clone().expect("a descriptor")).stderr(log);
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start {program_name}: {error}"));
        let running = Running { place, child, port };
        let diagnose = || tail(&running.place.path().join("log"), 20);
        wait(program_name, STARTING, diagnose, || TcpStream::connect(("127.0.0.1", port)).ok());
        running
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It is asked first, so that NSD ends the processes that it has started itself.
        let id = self.child.id().to_string();
        let _ = Command::new("kill").arg("-TERM").arg(&id).status();
        let begun = Instant::now();
        while !matches!(self.child.try_wait(), Ok(Some(_))) && begun.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// NSD, with the zone.
pub struct Nsd(Running);

impl Nsd {
    /// Signs the zone with a fresh key, alters one record in it, and serves it.
    pub fn start() -> Nsd {
        let (place, port) = (Place::new(), free_port());
        sign(&place);
        let at = place.path().display();
        place.write(
            "conf",
            &format!(
                "server:\n ip-address: 127.0.0.1@{port}\n username: \"\"\n chroot: \"\"\n zonesdir: \"{at}\"\n \
             pidfile: \"\"\n database: \"\"\n zonelistfile: \"{at}/zone.list\"\n xfrdfile: \"{at}/xfrd.state\"\n \
             xfrdir: \"{at}\"\n cookie-secret-file: \"{at}/cookie\"\n server-count: 1\n\
             remote-control:\n control-enable: no\n\
             zone:\n name: test\n zonefile: \"zone.signed\"\n"
            ),
        );
        Nsd(Running::start(place, "nsd", port))
    }

    pub fn port(&self) -> u16 {
        self.0.port
    }

    /// The DS record of the zone's key.
    fn anchor(&self) -> PathBuf {
        self.0.place.path().join("anchor")
    }
}

fn sign(place: &Place) {
    place.write("zone", &zone());
    let made = run(command("ldns-keygen")
        .args(["-r", "/dev/urandom", "-a", "ECDSAP256SHA256", "-k", "test."])
        .current_dir(place.path()));
    let key = made.trim();
    run(command("ldns-signzone").args(["zone", key]).current_dir(place.path()));
    let read = |name: &str| std::fs::read_to_string(place.path().join(name)).expect("made just now");
    place.write("anchor", &read(&format!("{key}.ds")));
    let signed = read("zone.signed");
    assert!(signed.contains("192.0.2.66"));
    place.write("zone.signed", &signed.replace("192.0.2.66", "192.0.2.67"));
}

/// Unbound, which asks NSD for the zone and nobody for anything else.
pub struct Unbound(Running);

impl Unbound {
    pub fn start(nsd: &Nsd) -> Unbound {
        let (place, port) = (Place::new(), free_port());
        place.write("conf", &conf(place.path(), port, nsd));
        Unbound(Running::start(place, "unbound", port))
    }

    pub fn port(&self) -> u16 {
        self.0.port
    }
}

fn conf(place: &Path, port: u16, nsd: &Nsd) -> String {
    let (at, anchor, upstream) = (place.display(), nsd.anchor(), nsd.port());
    let anchor = anchor.display();
    format!(
        "server:\n interface: 127.0.0.1@{port}\n username: \"\"\n chroot: \"\"\n directory: \"{at}\"\n pidfile: \"\"\n \
         do-daemonize: no\n use-syslog: no\n num-threads: 1\n do-ip6: no\n do-not-query-localhost: no\n \
         module-config: \"validator iterator\"\n trust-anchor-file: \"{anchor}\"\n local-zone: \"test.\" nodefault\n\
         remote-control:\n control-enable: no\n\
         stub-zone:\n name: test\n stub-addr: 127.0.0.1@{upstream}\n"
    )
}
