//! What arrived: a Maildir that a private server delivers to, and how it compares to what was sent.

use crate::mail::{self, Mail};
use crate::place::wait;
use crate::postfix::is_refused;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A Maildir on disk.
#[derive(Debug, Clone)]
pub struct Maildir {
    folder: PathBuf,
}

/// Sent and arrived, side by side; a delivery is a pair of message id and recipient.
#[derive(Debug, Default)]
pub struct Tally {
    /// Sent and not here.
    pub missing: Vec<(String, String)>,
    /// Arrived more than once: how many times more.
    pub duplicates: usize,
    /// Here, but not as they were sent, or never sent.
    pub wrong: Vec<(String, String)>,
}

impl Maildir {
    /// The one in this directory; it need not exist yet.
    pub fn at(folder: &Path) -> Maildir {
        Maildir { folder: folder.to_owned() }
    }

    /// How many messages are in it.
    pub fn count(&self) -> usize {
        fs::read_dir(self.folder.join("new")).map_or(0, Iterator::count)
    }

    /// Waits until so many are in it.
    pub fn wait_for(&self, count: usize, limit: Duration, diagnose: impl Fn() -> String) {
        let what = format!("{count} messages in {}", self.folder.display());
        let known = || format!("{} are there\n{}", self.count(), diagnose());
        wait(&what, limit, known, || (self.count() >= count).then_some(()));
    }

    /// The ids of what is in it, sorted; each must be whole.
    pub fn ids(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.join("new")).into_iter().flatten();
        let mut ids: Vec<String> = entries
            .map(|entry| {
                let path = entry.expect("a directory entry").path();
                let stored = fs::read(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
                let (id, intact) = mail::read(&stored).expect("one of ours");
                assert!(intact, "{id} is not as it was sent");
                id
            })
            .collect();
        ids.sort();
        ids
    }

    /// Compares with what was sent, except to the recipients that the receiving instance refuses by their names.
    pub fn tally(&self, sent: &[Mail]) -> Tally {
        let mut expected = BTreeMap::new();
        for mail in sent {
            for recipient in mail.recipients.iter().filter(|recipient| !is_refused(recipient)) {
                expected.insert((mail.id.clone(), recipient.clone()), 0_usize);
            }
        }
        let mut tally = Tally::default();
        for entry in fs::read_dir(self.folder.join("new")).into_iter().flatten() {
            let path = entry.expect("a directory entry").path();
            let stored = fs::read(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
            let (id, intact) = mail::read(&stored).unwrap_or_else(|| ("not one of ours".to_owned(), false));
            let delivery = (id, recipient_of(&stored));
            match expected.get_mut(&delivery) {
                Some(times) if intact => *times += 1,
                _ => tally.wrong.push(delivery),
            }
        }
        tally.duplicates = expected.values().map(|times| times.saturating_sub(1)).sum();
        tally.missing = expected.into_iter().filter(|(_, times)| *times == 0).map(|(delivery, _)| delivery).collect();
        tally
    }
}

impl Tally {
    /// Each delivery once, byte for byte, and nothing else.
    pub fn assert_exactly_once(&self) {
        self.assert_nothing_lost();
        assert_eq!(self.duplicates, 0, "{} deliveries came twice", self.duplicates);
    }

    /// Each delivery at least once, byte for byte, and nothing else.
    pub fn assert_nothing_lost(&self) {
        let some =
            |list: &[(String, String)]| format!("{} ({:?} ...)", list.len(), list.iter().take(5).collect::<Vec<_>>());
        assert!(self.missing.is_empty(), "lost: {}", some(&self.missing));
        assert!(self.wrong.is_empty(), "changed on the way, or never sent: {}", some(&self.wrong));
    }
}

/// The recipient, as Postfix or Exim wrote it above the message.
fn recipient_of(stored: &[u8]) -> String {
    let header = stored.split(|octet| *octet == b'\n').take_while(|line| !line.is_empty());
    let mut lines = header.map(|line| String::from_utf8_lossy(line).into_owned());
    let field = |line: String| {
        let (name, value) = line.split_once(':')?;
        let known = ["delivered-to", "envelope-to"].contains(&name.to_ascii_lowercase().as_str());
        known.then(|| value.trim().to_owned())
    };
    lines.find_map(field).unwrap_or_default()
}
