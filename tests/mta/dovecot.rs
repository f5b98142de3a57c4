//! A private Dovecot that takes mail by LMTP (RFC 2033) on a UNIX socket, and stores it: the mail store behind an MTA.
//!
//! Of its mailboxes `good`, `other` and `third` take everything, `full` is over quota, `broken` cannot be written to;
//! nobody else is known. What it decides at RCPT and what behind the content is Dovecot's own default.
//!
//! On another socket it says to a Postfix who may log in: [`USER`] with [`PASSWORD`].

use crate::maildir::Maildir;
use crate::place::{Place, run, tail, tied, wait};
use std::fs;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);

/// Who may log in.
pub const USER: &str = "client";
pub const PASSWORD: &str = "correct horse battery";

/// A running instance.
#[derive(Debug)]
pub struct Dovecot {
    child: Child,
    place: Place,
}

/// Why Dovecot cannot run here.
pub fn lacking() -> Option<String> {
    let lmtp =
        ["/usr/lib/dovecot/lmtp", "/usr/libexec/dovecot/lmtp"].iter().any(|path| fs::exists(path).unwrap_or(false));
    (!lmtp || program().is_none()).then(|| {
        "Dovecot's LMTP server was not found: install dovecot-lmtpd (Debian: scripts/install-needs)".to_owned()
    })
}

fn program() -> Option<&'static str> {
    ["/usr/sbin/dovecot", "/usr/bin/dovecot"].into_iter().find(|path| fs::exists(path).unwrap_or(false))
}

impl Dovecot {
    /// Started, and greeting.
    pub fn start() -> Dovecot {
        let place = Place::new();
        for name in ["run", "state", "mail"] {
            place.folder(name);
        }
        place.give("mail", "mail:mail");
        // Its owner is root, and the store runs as mail.
        place.folder("mail/broken");
        run(Command::new("chmod").arg("700").arg(place.path().join("mail/broken")));
        let folder = place.path().display().to_string();
        place.write("users", &format!("{USERS}{USER}:{{PLAIN}}{PASSWORD}::::::\n"));
        let configuration = place.write("dovecot.conf", &CONFIGURATION.replace("FOLDER", &folder));
        let output = fs::File::create(place.path().join("output")).expect("an own file");
        let mut command = tied(program().expect("it was looked for"));
        command.arg("-F").arg("-c").arg(configuration).stdin(Stdio::null());
        command.stdout(output.try_clone().expect("a second handle")).stderr(output);
        let dovecot = Dovecot { child: command.spawn().expect("Dovecot can be started"), place };
        wait("Dovecot's greeting", LIMIT, || dovecot.trouble(), || dovecot.greets().then_some(()));
        dovecot
    }

    fn greets(&self) -> bool {
        let Ok(mut stream) = UnixStream::connect(self.socket()) else { return false };
        let _ = stream.set_read_timeout(Some(LIMIT));
        let mut greeting = [0; 200];
        let got = stream.read(&mut greeting).unwrap_or(0);
        greeting[..got].starts_with(b"220 ")
    }

    fn socket(&self) -> PathBuf {
        self.place.path().join("lmtp")
    }

    /// It as a next hop.
    pub fn next_hop(&self) -> String {
        format!("unix:{}", self.socket().display())
    }

    /// Where Postfix asks it about users (smtpd_sasl_path).
    pub fn auth_socket(&self) -> PathBuf {
        self.place.path().join("auth")
    }

    /// What this mailbox has stored.
    pub fn maildir(&self, mailbox: &str) -> Maildir {
        Maildir::at(&self.place.path().join("mail").join(mailbox))
    }

    /// Connections that clients have made and ended, besides the first one, which only looked for the greeting.
    pub fn connections(&self) -> usize {
        let log = fs::read(self.place.path().join("log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        log.lines().filter(|line| line.contains("Disconnect from") && !line.contains("(state=GREETING)")).count()
    }

    /// The end of the log, for a person.
    pub fn trouble(&self) -> String {
        tail(&self.place.path().join("log"), 30) + &tail(&self.place.path().join("output"), 10)
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        // Its processes end when the one that we started is asked to.
        let asked = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        if !asked.is_ok_and(|status| status.success()) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

const USERS: &str = "\
good:::::::
other:::::::
third:::::::
broken:::::::
full:::::::userdb_quota_rule=*:bytes=1
";

const CONFIGURATION: &str = "\
base_dir = FOLDER/run
state_dir = FOLDER/state
log_path = FOLDER/log
protocols = lmtp
ssl = no
hostname = store.test
postmaster_address = postmaster@store.test
mail_location = maildir:FOLDER/mail/%n
mail_uid = mail
mail_gid = mail
first_valid_uid = 1
mail_plugins = quota
plugin {
  quota = maildir:all
  quota_rule = *:storage=1G
}
passdb {
  driver = passwd-file
  args = username_format=%n FOLDER/users
}
userdb {
  driver = passwd-file
  args = username_format=%n FOLDER/users
}
auth_mechanisms = plain login scram-sha-256
auth_failure_delay = 0
service auth {
  unix_listener FOLDER/auth {
    mode = 0666
  }
}
service lmtp {
  unix_listener FOLDER/lmtp {
    mode = 0666
  }
}
";
