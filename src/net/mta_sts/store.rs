//! Policies on disk, so that a restart does not begin with trust in whoever answers first (RFC 8461 section 10.2).
//!
//! One file for each domain, with the domain for its name: letters, digits, `-`, `_` and single dots only, at most 253
//! octets. In it are four lines of our own and the policy as text. Promises: a file is there whole or not at all;
//! what is read back is as little trusted as what a server says: a file of another version, about another domain, too
//! long, or broken is as none. Whoever can write to the directory can say what policy a domain has. What is long over,
//! and what a crash has left, is swept away; other files are left alone.

use super::Kept;
use super::policy::{POLICY, Policy};
use super::record::PolicyId;
use crate::net::dns::Name;
use std::fs::{DirBuilder, DirEntry, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What a file begins with.
const VERSION: &str = "pipelane MTA-STS policy 1";

/// The most octets of a file: a policy, and lines of our own.
const FILE: u64 = POLICY as u64 + 1024;

/// What a file that is not whole yet begins with: no domain does, so that a crash leaves nothing like a policy.
const UNFINISHED: &str = ".new-";

/// How long a policy must be over, and a file unfinished, to be swept away: by a clock that is a little wrong nothing is
/// lost.
const LONG_OVER: Duration = Duration::from_secs(30 * 24 * 3600);

/// The most files that are looked at in one sweep.
const SWEPT: usize = 20_000;

/// The directory.
#[derive(Debug)]
pub(super) struct Store {
    directory: PathBuf,
}

impl Store {
    pub(super) fn new(directory: PathBuf) -> Store {
        Store { directory }
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// What is kept of this domain. An error is one of the file system.
    pub(super) fn read(&self, domain: &Name) -> io::Result<Option<Kept>> {
        let file = match File::open(self.path(domain)) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut octets = Vec::new();
        file.take(FILE + 1).read_to_end(&mut octets)?;
        Ok(if octets.len() as u64 > FILE { None } else { parse(&octets, domain) })
    }

    /// Keeps this instead of what there is.
    pub(super) fn write(&self, domain: &Name, kept: &Kept) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o755).create(&self.directory)?;
        let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(&self.directory)?;
        file.write_all(text(domain, kept).as_bytes())?;
        file.as_file().sync_data()?;
        file.persist(self.path(domain)).map_err(|error| error.error)?;
        Ok(())
    }

    /// Keeps nothing of this domain.
    pub(super) fn remove(&self, domain: &Name) {
        // One that stays is over, and will be found so again.
        let _ = std::fs::remove_file(self.path(domain));
    }

    /// Removes what is of no use any more.
    pub(super) fn sweep(&self, now: SystemTime) {
        let entries = std::fs::read_dir(&self.directory).into_iter().flatten();
        for entry in entries.take(SWEPT).flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_file()) && self.is_useless(&entry, now) == Some(true) {
                // One that stays will be found again.
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }

    fn is_useless(&self, entry: &DirEntry, now: SystemTime) -> Option<bool> {
        let name = entry.file_name();
        let name = name.to_str()?;
        let ended = if name.starts_with(UNFINISHED) {
            entry.metadata().ok()?.modified().ok()?
        } else {
            let kept = self.read(&Name::parse(name).ok().filter(|domain| domain.as_str() == name)?).ok()??;
            kept.fetched.checked_add(kept.policy.max_age)?
        };
        Some(now.duration_since(ended).is_ok_and(|since| since >= LONG_OVER))
    }

    fn path(&self, domain: &Name) -> PathBuf {
        self.directory.join(domain.as_str())
    }
}

fn text(domain: &Name, kept: &Kept) -> String {
    let fetched = kept.fetched.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    format!("{VERSION}\ndomain: {domain}\nid: {}\nfetched: {fetched}\n{}", kept.id.as_str(), kept.policy)
}

fn parse(octets: &[u8], domain: &Name) -> Option<Kept> {
    let text = std::str::from_utf8(octets).ok()?;
    let text = text.strip_prefix(VERSION)?.strip_prefix('\n')?;
    let (whose, text) = text.strip_prefix("domain: ")?.split_once('\n')?;
    let (id, text) = text.strip_prefix("id: ")?.split_once('\n')?;
    let (fetched, policy) = text.strip_prefix("fetched: ")?.split_once('\n')?;
    let digits = fetched.bytes().all(|octet| octet.is_ascii_digit());
    let fetched = digits.then(|| fetched.parse::<u64>().ok()).flatten()?;
    let fetched = UNIX_EPOCH.checked_add(Duration::from_secs(fetched))?;
    let policy = Policy::parse(policy.as_bytes()).ok()?;
    let kept = Kept { id: PolicyId::parse(id)?, policy, fetched };
    (whose == domain.as_str() && is_possible(&kept)).then_some(kept)
}

/// Whether the moment when it ends can be reckoned.
fn is_possible(kept: &Kept) -> bool {
    let end: Option<SystemTime> = kept.fetched.checked_add(kept.policy.max_age);
    end.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> Name {
        Name::parse(text).expect(text)
    }

    fn kept() -> Kept {
        let policy = b"version: STSv1\nmode: enforce\nmx: *.a.test\nmx: b.test\nmax_age: 86400\n";
        Kept {
            id: PolicyId::parse("20260101").expect("an id"),
            policy: Policy::parse(policy).expect("a policy"),
            fetched: UNIX_EPOCH + Duration::from_secs(1_700_000_000),
        }
    }

    #[test]
    fn what_is_written_is_read_back_by_another() {
        let folder = tempfile::tempdir().expect("a directory");
        let directory = folder.path().join("not/yet");
        let store = Store::new(directory.clone());
        let longest = name(&[&vec!["a2345678"; 28].join("."), "b"].join("."));
        assert_eq!(longest.as_str().len(), 253);
        for domain in [name("a.test"), name("_x-1.test"), longest] {
            assert_eq!(store.read(&domain).expect("no file"), None);
            store.write(&domain, &kept()).expect("written");
            assert_eq!(Store::new(directory.clone()).read(&domain).expect("a file"), Some(kept()));
        }
        store.remove(&name("a.test"));
        assert_eq!(store.read(&name("a.test")).expect("no file"), None);
        // Nothing else was left behind.
        assert_eq!(std::fs::read_dir(&directory).expect("a directory").count(), 2);
    }

    #[test]
    fn a_file_that_is_not_ours_is_as_none() {
        let domain = name("a.test");
        let good = text(&domain, &kept());
        assert_eq!(parse(good.as_bytes(), &domain), Some(kept()));
        for (from, to) in [
            ("policy 1\n", "policy 2\n"),
            ("policy 1\n", "policy 1\r\n"),
            ("domain: a.test", "domain: b.test"),
            ("id: 20260101", "id: "),
            ("id: 20260101", "id: a-b"),
            ("fetched: 1", "fetched: +1"),
            ("fetched: 1", "fetched: -1"),
            ("fetched: 1700000000", "fetched: 99999999999999999999"),
            ("fetched: 1700000000", "fetched: 18446744073709551615"),
            ("fetched: 1700000000", "fetched: 9223372036854775807"),
            ("fetched: 1700000000", "fetched: "),
            ("version: STSv1\n", ""),
            ("mode: enforce", "mode: enforced"),
        ] {
            assert!(good.contains(from), "{from}");
            assert_eq!(parse(good.replace(from, to).as_bytes(), &domain), None, "{to}");
        }
        assert_eq!(parse(b"", &domain), None);
    }

    #[test]
    fn a_file_without_end_is_not_read_to_it() {
        let folder = tempfile::tempdir().expect("a directory");
        let (store, domain) = (Store::new(folder.path().to_owned()), name("a.test"));
        let long = format!("{}{}", text(&domain, &kept()), "\n".repeat(FILE as usize));
        std::fs::write(folder.path().join("a.test"), long).expect("written");
        assert_eq!(store.read(&domain).expect("a file"), None);
        std::fs::create_dir(folder.path().join("b.test")).expect("made");
        assert!(store.read(&name("b.test")).is_err());
    }

    #[test]
    fn what_is_long_over_and_what_was_left_unfinished_is_swept_away_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a directory");
        let store = Store::new(folder.path().to_owned());
        let end = kept().fetched + kept().policy.max_age;
        for (domain, fetched) in [
            ("over.test", kept().fetched),
            ("lately.test", kept().fetched + Duration::from_secs(1)),
            ("future.test", end + 2 * LONG_OVER),
        ] {
            store.write(&name(domain), &Kept { fetched, ..kept() }).expect("written");
        }
        for (file, written) in [(".new-old", end), (".new-now", end + LONG_OVER), ("other.test", end), ("NOTES", end)] {
            let file = File::create(folder.path().join(file)).expect("made");
            file.set_modified(written).expect("ours");
        }
        std::fs::create_dir(folder.path().join(".new-folder")).expect("made");
        let left = || {
            store.sweep(end + LONG_OVER);
            let entries = std::fs::read_dir(folder.path()).expect("a directory");
            let mut names: Vec<String> =
                entries.map(|entry| entry.expect("one").file_name().to_string_lossy().into_owned()).collect();
            names.sort();
            names
        };
        assert_eq!(left(), [".new-folder", ".new-now", "NOTES", "future.test", "lately.test", "other.test"]);
        Store::new(folder.path().join("not-there")).sweep(end);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn an_error_in_a_file_is_survived(at in any::<prop::sample::Index>(), octet in any::<u8>(), cut in any::<bool>()) {
            let domain = name("a.test");
            let mut octets = text(&domain, &kept()).into_bytes();
            let at = at.index(octets.len());
            match cut {
                true => octets.truncate(at),
                false => octets[at] = octet,
            }
            let _ = parse(&octets, &domain);
        }
    }
}
