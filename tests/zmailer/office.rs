//! A post office as ZMailer's router leaves it: control files in `transport/`, spool files in `queue/`. Written from
//! the description of the interface, and knowing nothing of the agent's own reader.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The directories, gone with the value.
pub struct Office {
    directory: TempDir,
}

/// One recipient to be.
#[derive(Clone)]
pub struct To {
    pub channel: String,
    pub host: String,
    pub user: String,
    /// Lines behind it, such as `N NOTIFY=NEVER`.
    pub lines: Vec<String>,
}

/// Recipients with their own sender and headers.
#[derive(Clone)]
pub struct Group {
    /// What stands on the `s` line.
    pub sender: String,
    pub to: Vec<To>,
    /// Whole lines.
    pub headers: String,
}

/// A message in the office, as its writer knows it.
#[derive(Clone)]
pub struct Posted {
    /// As the scheduler names it: perhaps with hash directories.
    pub path: String,
    /// By offset: host and user.
    pub recipients: BTreeMap<usize, (String, String)>,
}

impl Posted {
    /// The number that reports have.
    pub fn id(&self) -> String {
        let name = self.path.rsplit('/').next().expect("a name");
        name.chars().take_while(char::is_ascii_digit).collect()
    }

    pub fn hosts(&self) -> Vec<String> {
        let mut hosts: Vec<String> = self.recipients.values().map(|(host, _)| host.clone()).collect();
        hosts.sort();
        hosts.dedup();
        hosts
    }
}

/// What a lock of this process looks like: six octets for its number.
pub fn lock_of(pid: u32) -> String {
    format!("~{:>6.6}", pid.to_string())
}

/// A recipient of the channel `smtp`.
pub fn to(host: &str, user: &str) -> To {
    To { channel: "smtp".into(), host: host.into(), user: user.into(), lines: Vec::new() }
}

impl To {
    pub fn with(mut self, line: &str) -> To {
        self.lines.push(line.into());
        self
    }
}

/// A group of a usual sender.
pub fn group(to: Vec<To>, headers: &str) -> Group {
    Group { sender: "smtp a.test ann@a.test 65534".into(), to, headers: headers.into() }
}

impl Office {
    pub fn new() -> Office {
        let directory = tempfile::tempdir().expect("a directory");
        for part in ["transport", "queue", "public"] {
            fs::create_dir(directory.path().join(part)).expect("made");
        }
        Office { directory }
    }

    /// The working directory of an agent.
    pub fn transport(&self) -> PathBuf {
        self.directory.path().join("transport")
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn control(&self, path: &str) -> Vec<u8> {
        fs::read(self.transport().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// The state octet and the PID field of a recipient.
    pub fn mark(&self, path: &str, offset: usize) -> String {
        String::from_utf8_lossy(&self.control(path)[offset + 1..offset + 8]).into_owned()
    }

    /// One group, one line of body.
    pub fn post_simple(&self, path: &str, to: Vec<To>) -> Posted {
        self.post(path, &[], &[group(to, &format!("Subject: {path}\n"))], &format!("Body of {path}.\n"))
    }

    /// Writes a message as the router does: the spool file first, the control file at once whole.
    pub fn post(&self, path: &str, preamble: &[&str], groups: &[Group], body: &str) -> Posted {
        let name = path.rsplit('/').next().expect("a name");
        let envelope =
            "rcvdfrom a.test\nfrom <ann@a.test>\ntodsn NOTIFY=FAILURE\nto <x@y>\nenv-end\nFrom: original\n\n";
        self.write("queue", path, &format!("{envelope}{body}"));
        let mut text = format!("@ 0x00000007\ni {name}\no {}\nl <{name}@a.test>\ne ann@a.test\n", envelope.len());
        preamble.iter().for_each(|line| text += &format!("{line}\n"));
        let mut recipients = BTreeMap::new();
        for group in groups {
            text += &format!("s {}\n", group.sender);
            for to in &group.to {
                recipients.insert(text.len(), (to.host.clone(), to.user.clone()));
                text += &format!("r           {} {} {} 65534\n", to.channel, to.host, to.user);
                to.lines.iter().for_each(|line| text += &format!("{line}\n"));
            }
            text += &format!("m\n{}\n", group.headers);
        }
        self.write("transport", path, &text);
        Posted { path: path.into(), recipients }
    }

    pub fn write(&self, part: &str, path: &str, text: &str) {
        let file = self.directory.path().join(part).join(path);
        fs::create_dir_all(file.parent().expect("a directory")).expect("made");
        let new = file.with_extension("new");
        fs::write(&new, text).expect("written");
        fs::rename(new, file).expect("renamed");
    }

    /// As the scheduler does when all recipients are done.
    pub fn remove(&self, path: &str) {
        for part in ["transport", "queue"] {
            fs::remove_file(self.directory.path().join(part).join(path)).expect("it was there");
        }
    }

    /// The locks of a process that is gone are taken away, as the scheduler does when it reads a file again.
    pub fn unlock(&self, posted: &Posted, pid: u32) {
        let mut octets = self.control(&posted.path);
        let lock = lock_of(pid);
        for offset in posted.recipients.keys() {
            let field = &mut octets[offset + 1..offset + 8];
            if field[0] == b'~' {
                assert_eq!(String::from_utf8_lossy(field), lock, "a lock of somebody else");
                field.copy_from_slice(b"       ");
            }
        }
        fs::write(self.transport().join(&posted.path), octets).expect("written");
    }
}
