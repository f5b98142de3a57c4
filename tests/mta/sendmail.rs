//! A private Sendmail that sends: a command with a queue of its own, not a daemon. Its Debian package conflicts with
//! Postfix, so `scripts/install-needs` unpacks it into `target/mta/sendmail` instead of installing it.
//!
//! Sendmail waits for minutes where the name of the machine has no dot, and uses no socket below a folder that all may
//! write to, such as /tmp. So it runs in namespaces in which the machine has another name, and pipelane's runtime
//! directory is where it is on a real machine.

use crate::exim::libraries_in;
use crate::mail::{MARK, Mail, digest, without_cr};
use crate::needs::may_unshare;
use crate::place::{Place, run, tied};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/mta/sendmail");

/// A configuration with a queue.
#[derive(Debug)]
pub struct Sendmail {
    place: Place,
    runtime: String,
}

/// Why Sendmail cannot run here.
pub fn lacking() -> Option<String> {
    if folder().is_none() {
        return Some(format!("Sendmail is not in {FOLDER}: scripts/install-needs unpacks it (Debian, Ubuntu)"));
    }
    (!may_unshare()).then(|| "Sendmail needs the right to unshare(2)".to_owned())
}

/// The folder of its executables: Debian's, or Ubuntu's.
fn folder() -> Option<PathBuf> {
    ["usr/libexec/sendmail", "usr/lib/sm.bin"]
        .map(|name| Path::new(FOLDER).join(name))
        .into_iter()
        .find(|folder| folder.join("sendmail").is_file())
}

/// One of its executables, with the unpacked libraries.
fn command(program: &Path) -> Command {
    let mut command = tied(program);
    command.env("LD_LIBRARY_PATH", libraries_in(Path::new(FOLDER)));
    command
}

impl Sendmail {
    /// One with these lines before and behind the `MAILER` lines, and this mailertable. `/run/pipelane` is the folder
    /// `runtime` for it.
    pub fn sending(before: &str, behind: &str, mailertable: &str, runtime: &str) -> Sendmail {
        let place = Place::new();
        place.folder("queue");
        let folder = place.path().display().to_string();
        let table = format!("FEATURE(`mailertable', `hash -o {folder}/mailertable')");
        let before = before.replace("FEATURE(`mailertable')", &table);
        let source = SOURCE.replace("FOLDER", &folder).replace("BEFORE\n", &before).replace("BEHIND\n", behind);
        let source = place.write("sendmail.mc", &source);
        let cf = Path::new(FOLDER).join("usr/share/sendmail/cf");
        let mut m4 = command(&Path::new(FOLDER).join("usr/bin/m4"));
        let text = run(m4.arg(format!("-D_CF_DIR_={}/", cf.display())).arg(cf.join("m4/cf.m4")).arg(source));
        let configuration = place.write("sendmail.cf", &text);
        let entries = place.write("mailertable.txt", mailertable);
        let mut makemap = command(&folder_of_programs().join("makemap"));
        makemap.arg("-C").arg(configuration).arg("hash").arg(place.path().join("mailertable"));
        run(makemap.stdin(fs::File::open(entries).expect("an own file")));
        Sendmail { place, runtime: runtime.to_owned() }
    }

    /// Hands a message in and waits until each recipient was tried once. What it said meanwhile.
    pub fn deliver(&self, mail: &Mail) -> String {
        let program = folder_of_programs().join("sendmail");
        let script = format!(
            "hostname sendmail.test && mount -t tmpfs -o mode=755 none /run && mkdir /run/pipelane && \
             mount --bind '{}' /run/pipelane && \
             exec '{}' -C '{}/sendmail.cf' -odi -oi -v -B8BITMIME -f {} -- {}",
            self.runtime,
            program.display(),
            self.place.path().display(),
            mail.sender,
            mail.recipients.join(" ")
        );
        let mut command = command(Path::new("unshare"));
        command.args(["-u", "-m", "/bin/sh", "-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::inherit()).spawn().expect("unshare(1) of util-linux");
        child.stdin.take().expect("piped").write_all(&without_cr(&mail.content)).expect("it reads the message");
        String::from_utf8_lossy(&child.wait_with_output().expect("it ends").stdout).into_owned()
    }

    /// The texts of its queue whose names begin like this: `qf` envelopes with what became of them, `df` bodies.
    pub fn queued(&self, kind: &str) -> Vec<String> {
        let entries = fs::read_dir(self.place.path().join("queue")).expect("an own folder").flatten();
        let of_kind = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(kind));
        of_kind.map(|entry| String::from_utf8_lossy(&fs::read(entry.path()).expect("readable")).into_owned()).collect()
    }
}

fn folder_of_programs() -> PathBuf {
    folder().expect("looked for before")
}

/// The message with its mark behind the headers that Sendmail moves to the front, and counted from there.
pub fn marked_for(mail: Mail) -> Mail {
    let text = mail.content.clone();
    let lines: Vec<&[u8]> = text.split_inclusive(|octet| *octet == b'\n').collect();
    let is_moved = |line: &&&[u8]| [&b"From:"[..], b"Date:", b"Message-ID:"].iter().any(|name| line.starts_with(name));
    let head = lines.iter().take_while(|line| **line != b"\r\n").count();
    let moved: Vec<u8> = lines[1..head].iter().filter(is_moved).copied().flatten().copied().collect();
    let kept = lines[1..head].iter().filter(|line| !is_moved(line)).chain(&lines[head..]).copied().flatten().copied();
    let kept: Vec<u8> = kept.collect();
    let mark = format!("{MARK}{} {}\r\n", mail.id, digest(&without_cr(&kept)));
    Mail { content: [moved, mark.into_bytes(), kept].concat(), ..mail }
}

const SOURCE: &str = "\
OSTYPE(`linux')dnl
define(`QUEUE_DIR', `FOLDER/queue')dnl
define(`STATUS_FILE', `FOLDER/statistics')dnl
define(`confPID_FILE', `FOLDER/pid')dnl
define(`ALIAS_FILE', `')dnl
define(`confDOMAIN_NAME', `sendmail.test')dnl
define(`confDONT_PROBE_INTERFACES', `True')dnl
define(`confDONT_BLAME_SENDMAIL', `MapInUnsafeDirPath')dnl
FEATURE(`nocanonify')dnl
FEATURE(`no_default_msa')dnl
BEFORE
MAILER(`smtp')dnl
BEHIND
";
