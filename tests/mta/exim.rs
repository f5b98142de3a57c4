//! A private Exim that receives, or one that sends. Its Debian package conflicts with Postfix, so
//! `scripts/install-needs` unpacks it into `target/mta/exim` instead of installing it.
//!
//! Debian's Exim looks up the user `Debian-exim` when it starts. Where that user is missing, Exim runs in a mount
//! namespace in which the files of users and groups are copies that have it; the machine's own stay as they are.

use crate::mail::{Mail, without_cr};
use crate::maildir::Maildir;
use crate::needs::may_unshare;
use crate::place::{Place, free_port, tail, tied, wait};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Where Exim is unpacked, unless `PIPELANE_EXIM` names another folder.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/mta/exim");
const USER: &str = "Debian-exim:";

/// A running instance; it stores what it takes in a Maildir.
#[derive(Debug)]
pub struct Exim {
    child: Child,
    place: Place,
    port: u16,
}

/// Why Exim cannot run here.
pub fn lacking() -> Option<String> {
    if !program().is_file() {
        return Some(format!(
            "Exim is not in {}: scripts/install-needs unpacks it (Debian, Ubuntu)",
            folder().display()
        ));
    }
    let possible = user_exists() || may_unshare();
    (!possible).then(|| "Exim needs the user Debian-exim, or the right to unshare(2) a mount namespace".to_owned())
}

fn folder() -> PathBuf {
    std::env::var_os("PIPELANE_EXIM").map_or_else(|| FOLDER.into(), PathBuf::from)
}

/// The executable.
pub fn program() -> PathBuf {
    folder().join("usr/sbin/exim4")
}

fn user_exists() -> bool {
    fs::read_to_string("/etc/passwd").is_ok_and(|users| users.lines().any(|line| line.starts_with(USER)))
}

impl Exim {
    /// Started, with this many messages allowed on one connection: MAIL number `limit + 1` gets 421.
    pub fn start(limit: usize) -> Exim {
        let place = Place::new();
        let port = free_port();
        for name in ["spool", "log", "mail"] {
            place.folder(name);
            place.give(name, "mail:mail");
        }
        let folder = place.path().display().to_string();
        let configuration = CONFIGURATION.replace("PORT", &port.to_string()).replace("LIMIT", &limit.to_string());
        let configuration = place.write("exim.conf", &configuration.replace("FOLDER", &folder));
        let child = command(&place, &configuration, "-bdf").spawn().expect("Exim can be started");
        let exim = Exim { child, place, port };
        wait("Exim's greeting", Duration::from_secs(30), || exim.trouble(), || exim.greets().then_some(()));
        exim
    }

    fn greets(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else { return false };
        let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
        let mut greeting = [0; 200];
        let got = stream.read(&mut greeting).unwrap_or(0);
        String::from_utf8_lossy(&greeting[..got]).contains("exim.test")
    }

    /// It as a next hop.
    pub fn next_hop(&self) -> String {
        format!("[127.0.0.1]:{}", self.port)
    }

    /// What it has stored.
    pub fn maildir(&self) -> Maildir {
        Maildir::at(&self.place.path().join("mail/all"))
    }

    /// How many client connections said EHLO and more: each ends with a log line.
    pub fn connections(&self) -> usize {
        self.log_lines().iter().filter(|line| line.contains("SMTP connection from [")).count()
    }

    fn log_lines(&self) -> Vec<String> {
        let text = fs::read(self.place.path().join("log/mainlog")).unwrap_or_default();
        String::from_utf8_lossy(&text).lines().map(str::to_owned).collect()
    }

    /// The end of the logs, for a person.
    pub fn trouble(&self) -> String {
        let log = |name: &str| tail(&self.place.path().join(name), 20);
        log("log/mainlog") + &log("log/paniclog") + &log("output")
    }
}

impl Drop for Exim {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A configuration with a spool, and no daemon: each message is handed in by a command that delivers it.
#[derive(Debug)]
pub struct Sending {
    place: Place,
    configuration: PathBuf,
}

impl Sending {
    /// One whose mail goes by this router and this transport; all other mail is thrown away.
    pub fn by(router: &str, transport: &str) -> Sending {
        let place = Place::new();
        for name in ["spool", "log"] {
            place.folder(name);
            place.give(name, "mail:mail");
        }
        let folder = place.path().display().to_string();
        let (main, _) = CONFIGURATION.split_once("begin routers").expect("they are there");
        let main = main.replace("PORT", "0").replace("LIMIT", "0").replace("FOLDER", &folder);
        let text = format!(
            "exim_path = {}\n{main}begin routers\n{router}{OTHERS}begin transports\n{transport}begin retry\n* * F,1h,10m\n",
            program().display()
        );
        let configuration = place.write("exim.conf", &text);
        Sending { place, configuration }
    }

    /// Hands a message in and waits until each recipient was tried once.
    pub fn deliver(&self, mail: &Mail) {
        let arguments = format!("-odf -oi -f {} -- {}", mail.sender, mail.recipients.join(" "));
        let mut command = command(&self.place, &self.configuration, &arguments);
        let mut child = command.stdin(Stdio::piped()).spawn().expect("Exim can be started");
        child.stdin.take().expect("piped").write_all(&without_cr(&mail.content)).expect("it reads the message");
        let status = child.wait().expect("it ends");
        assert!(status.success(), "{status}\n{}", self.trouble());
    }

    /// The lines of its log that have this text.
    pub fn log_lines(&self, text: &str) -> Vec<String> {
        let log = fs::read(self.place.path().join("log/mainlog")).unwrap_or_default();
        String::from_utf8_lossy(&log).lines().filter(|line| line.contains(text)).map(str::to_owned).collect()
    }

    /// The end of the logs, for a person.
    pub fn trouble(&self) -> String {
        let log = |name: &str| tail(&self.place.path().join(name), 20);
        log("log/mainlog") + &log("log/paniclog") + &log("output")
    }
}

/// Exim with these arguments, writing to the file `output`.
pub fn command(place: &Place, configuration: &Path, arguments: &str) -> Command {
    let mut script = String::from("set -e\n");
    let mut command = tied(if user_exists() { "/bin/sh" } else { "unshare" });
    if !user_exists() {
        for (file, line) in [("passwd", "x:8:8::/nonexistent:/usr/sbin/nologin"), ("group", "x:8:")] {
            let own = fs::read_to_string(Path::new("/etc").join(file)).expect("the users of this machine");
            let copy = place.write(file, &format!("{}\n{USER}{line}\n", own.trim_end()));
            script += &format!("mount --bind '{}' /etc/{file}\n", copy.display());
        }
        command.args(["-m", "/bin/sh"]);
    }
    script += &format!("exec '{}' -C '{}' {arguments}\n", program().display(), configuration.display());
    let output = fs::File::create(place.path().join("output")).expect("an own file");
    command.arg("-c").arg(script).env("LD_LIBRARY_PATH", libraries()).stdin(Stdio::null());
    command.stdout(output.try_clone().expect("a second handle")).stderr(output);
    command
}

/// The unpacked libraries' folder.
pub fn libraries() -> PathBuf {
    libraries_in(&folder())
}

/// The folder of libraries in one that packages were unpacked into; it is named after the machine's architecture.
pub fn libraries_in(unpacked: &Path) -> PathBuf {
    let folders = fs::read_dir(unpacked.join("usr/lib")).into_iter().flatten().flatten();
    let with_libraries =
        |folder: &PathBuf| folder.file_name().is_some_and(|name| name.to_string_lossy().contains("-linux-"));
    folders.map(|entry| entry.path()).find(with_libraries).unwrap_or_default()
}

const OTHERS: &str = "\
others:
  driver = redirect
  data = :blackhole:
";

const CONFIGURATION: &str = "\
primary_hostname = exim.test
local_interfaces = 127.0.0.1
daemon_smtp_ports = PORT
exim_user = mail
exim_group = mail
never_users =
deliver_drop_privilege = true
keep_environment =
spool_directory = FOLDER/spool
log_file_path = FOLDER/log/%slog
pid_file_path = FOLDER/spool/pid
log_selector = +smtp_connection
tls_advertise_hosts =
host_lookup =
rfc1413_hosts =
chunking_advertise_hosts = *
pipelining_advertise_hosts = *
recipients_max = 50000
message_size_limit = 0
smtp_accept_max = 500
smtp_accept_queue_per_connection = 0
smtp_accept_max_per_connection = LIMIT
acl_smtp_rcpt = accept
acl_smtp_data = accept
begin acl
accept:
  accept
begin routers
all:
  driver = accept
  transport = maildir
begin transports
maildir:
  driver = appendfile
  maildir_format = true
  directory = FOLDER/mail/all
  create_directory = true
  user = mail
  group = mail
  envelope_to_add = true
  message_prefix =
  message_suffix =
";
