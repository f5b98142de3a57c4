//! The trace for the user who asked for one: the `v` line of a control file names the file.
//!
//! The agent may run as root, and the name comes from whoever sent the message. So only a file in `../public/` is
//! appended to, where ZMailer lets users make it, if it is there already, a regular one, has no other name, and belongs
//! to whom the message belongs to. Whatever fails, the mail is not concerned.

use super::marks;
use super::recipient::Listed;
use crate::door::reply::{Reply, clean};
use crate::mail::{Report, Verdict};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The file that a trace goes to.
#[derive(Debug)]
pub(super) struct Trace {
    path: String,
    owner: u32,
}

impl Trace {
    /// The trace of the message in this spool file; `None` where there can be none.
    pub fn of(path: &[u8], spool: &File) -> Option<Trace> {
        let path = std::str::from_utf8(path).ok().filter(|path| is_public(path))?;
        Some(Trace { path: path.to_owned(), owner: spool.metadata().ok()?.uid() })
    }

    /// Appends what became of each recipient.
    pub fn tell(&self, directory: &Path, listed: &[Listed], report: &Report) {
        let lines: String = listed.iter().enumerate().map(|(index, listed)| line(listed, report, index)).collect();
        let opened = marks::open(&directory.join(&self.path), OpenOptions::new().append(true));
        let Ok(mut file) = opened else { return };
        if file.metadata().is_ok_and(|data| data.nlink() == 1 && data.uid() == self.owner) {
            // A user who took the file away does not want to know.
            let _ = file.write_all(lines.as_bytes());
        }
    }
}

/// A name right in the directory.
fn is_public(path: &str) -> bool {
    let name = path.strip_prefix("../public/");
    name.is_some_and(|name| !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0']))
}

fn line(listed: &Listed, report: &Report, index: usize) -> String {
    let became = match report.outcomes.get(index).map(|outcome| outcome.verdict) {
        Some(Verdict::Delivered) => "delivered",
        Some(Verdict::Failed) => "failed",
        Some(Verdict::InDoubt) => "in doubt",
        Some(Verdict::Deferred) | None => "deferred",
    };
    let reply = Reply::of_report(report, index);
    format!("pipelane: <{}>: {became}: {} {}\n", clean(&listed.user), reply.status, reply.text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_name_in_the_public_directory_is_one() {
        assert!(is_public("../public/v_sendmail.123"));
        for path in
            ["", "/etc/passwd", "../public/", "../public/../x", "../public/..", "../queue/1", "../public/a/b", "v"]
        {
            assert!(!is_public(path), "{path}");
        }
    }
}
