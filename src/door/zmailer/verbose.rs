//! The trace for the user who asked for one: the `v` line of a control file names the file.
//!
//! The agent may run as root and the name comes from a file of the queue, so only a regular file that is there already is appended to, and
//! no link is followed. Whatever fails, the mail is not concerned.

use super::marks;
use super::recipient::Listed;
use crate::door::reply::{Reply, clean};
use crate::mail::{Report, Verdict};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

/// Appends what became of each recipient.
pub(super) fn tell(directory: &Path, path: &str, listed: &[Listed], report: &Report) {
    let lines: String = listed.iter().enumerate().map(|(index, listed)| line(listed, report, index)).collect();
    let file = marks::open(&directory.join(path), OpenOptions::new().append(true));
    // A user who took the file away does not want to know.
    let _ = file.and_then(|mut file| file.write_all(lines.as_bytes()));
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
