//! What a test needs of the machine, and what is said when it is not there.

use crate::{dovecot, exim, sendmail};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Something that a test cannot do without.
#[derive(Debug, Clone, Copy)]
pub enum Need {
    /// Postfix, and the right to start an instance of it.
    Postfix,
    /// Exim, unpacked by `scripts/install-needs`.
    Exim,
    /// Sendmail, unpacked by `scripts/install-needs`.
    Sendmail,
    /// Dovecot with its LMTP server.
    Dovecot,
    /// Time and disk space for a message of 1 GB.
    Large,
    /// The right to make network namespaces and an emulated link between them.
    Link,
}

/// Whether the calling test can run here. If not, it says so and the test returns; where everything is required, it
/// panics.
pub fn met(needs: &[Need]) -> bool {
    let Some((need, why)) = needs.iter().find_map(|need| Some((need, need.lacking()?))) else { return true };
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let required = std::env::var_os("PIPELANE_REQUIRE_MTA").is_some_and(|value| value == "1");
    assert!(!required || matches!(need, Need::Large | Need::Link), "PIPELANE_REQUIRE_MTA=1, but {why}");
    announce(&format!("skipped: {test}: {why}"));
    false
}

impl Need {
    fn lacking(self) -> Option<String> {
        match self {
            Need::Postfix => not_root().or_else(no_postfix),
            Need::Exim => not_root().or_else(exim::lacking),
            Need::Sendmail => not_root().or_else(sendmail::lacking),
            Need::Dovecot => not_root().or_else(dovecot::lacking),
            Need::Link => no_link(),
            Need::Large => match std::env::var_os("PIPELANE_TEST_LARGE") {
                Some(value) if value == "1" => None,
                _ => Some("it moves 1 GB and runs only with PIPELANE_TEST_LARGE=1".to_owned()),
            },
        }
    }
}

fn not_root() -> Option<String> {
    // The owner of /proc/self is the effective user.
    let owner = std::fs::metadata("/proc/self").map(|found| std::os::unix::fs::MetadataExt::uid(&found));
    (!matches!(owner, Ok(0)))
        .then(|| "starting a private mail server needs root (try sudo, or scripts/test)".to_owned())
}

fn no_link() -> Option<String> {
    match pipelane_link::Link::start(pipelane_link::LinkOptions::default()) {
        Err(error @ pipelane_link::LinkError::Unavailable { .. }) => Some(error.to_string()),
        _ => None,
    }
}

fn no_postfix() -> Option<String> {
    let missing = ["postfix", "postconf", "postqueue"].into_iter().find(|name| !runs(name))?;
    Some(format!("the command {missing} was not found: install Postfix (Debian: scripts/install-needs)"))
}

/// Whether a command of this name is in PATH or in sbin.
fn runs(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.into_iter().any(|folder: std::path::PathBuf| folder.join(name).is_file())
}

/// Whether this process may have a mount namespace of its own.
pub fn may_unshare() -> bool {
    let tried = Command::new("unshare").args(["-m", "true"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    tried.is_ok_and(|status| status.success())
}

/// Written past the capture of the test runner, which hides what a passing test prints.
pub fn announce(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
    if let Some(list) = std::env::var_os("PIPELANE_SKIP_LIST").filter(|_| line.starts_with("skipped: ")) {
        let opened = OpenOptions::new().create(true).append(true).open(Path::new(&list));
        let _ = opened.and_then(|mut file| writeln!(file, "{line}"));
    }
}
