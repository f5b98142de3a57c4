//! Where the servers in use come from: the caller, for ever, or resolv.conf(5), as it is now.
//!
//! Promises: a changed file is seen at the first question that comes [`LOOK`] after the last look, as the C library
//! does it; a question that is on its way goes on with the servers it has. A file that cannot be read changes
//! nothing.

use super::servers::{Server, Settings};
use super::{MAX_SERVERS, RESOLV_CONF};
use crate::sync::Mutex;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// How long the file is not looked at again.
const LOOK: Duration = Duration::from_secs(5);

/// A server, and since when it is silent.
#[derive(Debug)]
pub(super) struct Known {
    pub server: Server,
    pub silent: Mutex<Option<Instant>>,
}

/// The servers of one moment, and how patiently they are asked.
#[derive(Debug)]
pub(super) struct InUse {
    pub servers: Vec<Known>,
    pub timeout: Duration,
    pub attempts: u32,
}

impl InUse {
    fn new(mut settings: Settings) -> Arc<InUse> {
        settings.servers.truncate(MAX_SERVERS);
        let servers = settings.servers.into_iter().map(|server| Known { server, silent: Mutex::new(None) }).collect();
        Arc::new(InUse { servers, timeout: settings.timeout, attempts: settings.attempts })
    }
}

#[derive(Debug)]
pub(super) struct Source {
    in_use: Mutex<Arc<InUse>>,
    file: Option<File>,
}

/// The file that is followed.
#[derive(Debug)]
struct File {
    path: PathBuf,
    pause: Duration,
    /// Servers that are not believed are left out, where there is one that is.
    only_believed: bool,
    /// When it was looked at, and its mark then.
    last: Mutex<(Instant, Option<Mark>)>,
}

/// What changes with the file: when it was written, and its size.
type Mark = (SystemTime, u64);

impl Source {
    /// These, for ever.
    pub(super) fn fixed(settings: Settings) -> Source {
        Source { in_use: Mutex::new(InUse::new(settings)), file: None }
    }

    /// Those of this machine.
    pub(super) fn system(only_believed: bool) -> Source {
        Source::following(Path::new(RESOLV_CONF), LOOK, only_believed)
    }

    fn following(path: &Path, pause: Duration, only_believed: bool) -> Source {
        // The mark comes first: a change in between is seen at the next look.
        let last = Mutex::new((Instant::now(), mark(path)));
        let file = File { path: path.to_owned(), pause, only_believed, last };
        let settings = file.read().unwrap_or_else(|| Settings::parse(""));
        Source { in_use: Mutex::new(InUse::new(settings)), file: Some(file) }
    }

    /// The servers to ask now.
    pub(super) fn current(&self) -> Arc<InUse> {
        if let Some(settings) = self.file.as_ref().and_then(File::change) {
            *self.in_use.lock() = InUse::new(settings);
        }
        Arc::clone(&self.in_use.lock())
    }
}

impl File {
    /// What it says now, if that may be something else.
    fn change(&self) -> Option<Settings> {
        let before = {
            let mut last = self.last.lock();
            if last.0.elapsed() < self.pause {
                return None;
            }
            last.0 = Instant::now();
            last.1
        };
        let now = mark(&self.path);
        if now.is_none() || now == before {
            return None;
        }
        let settings = self.read()?;
        self.last.lock().1 = now;
        Some(settings)
    }

    fn read(&self) -> Option<Settings> {
        let settings = Settings::parse(&String::from_utf8_lossy(&fs::read(&self.path).ok()?));
        Some(if self.only_believed { settings.only_believed() } else { settings })
    }
}

fn mark(path: &Path) -> Option<Mark> {
    let found = fs::metadata(path).ok()?;
    Some((found.modified().ok()?, found.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(source: &Source) -> Vec<String> {
        source.current().servers.iter().map(|known| known.server.address.ip().to_string()).collect()
    }

    #[test]
    fn a_changed_file_is_followed_and_one_that_is_gone_changes_nothing() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("resolv.conf");
        fs::write(&path, "nameserver 192.0.2.1\n").expect("written");
        let source = Source::following(&path, Duration::ZERO, false);
        let before = source.current();
        assert!(Arc::ptr_eq(&before, &source.current()), "nothing has changed");
        fs::write(&path, "nameserver 192.0.2.2\nnameserver 192.0.2.3\n").expect("written");
        assert_eq!(addresses(&source), ["192.0.2.2", "192.0.2.3"]);
        fs::remove_file(&path).expect("removed");
        assert_eq!(addresses(&source), ["192.0.2.2", "192.0.2.3"]);
        fs::write(&path, "").expect("written");
        assert_eq!(addresses(&source), ["127.0.0.1"]);
    }

    #[test]
    fn where_only_believed_servers_are_wanted_a_changed_file_changes_nothing_about_that() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("resolv.conf");
        fs::write(&path, "nameserver 192.0.2.1\n").expect("written");
        let source = Source::following(&path, Duration::ZERO, true);
        assert_eq!(addresses(&source), ["192.0.2.1"]);
        fs::write(&path, "nameserver 192.0.2.1\nnameserver 127.0.0.1\n").expect("written");
        assert_eq!(addresses(&source), ["127.0.0.1"]);
    }

    #[test]
    fn a_file_is_not_looked_at_all_the_time() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("resolv.conf");
        let source = Source::following(&path, Duration::from_secs(3600), false);
        fs::write(&path, "nameserver 192.0.2.1\n").expect("written");
        assert_eq!(addresses(&source), ["127.0.0.1"]);
        assert!(!addresses(&Source::system(false)).is_empty());
    }
}
