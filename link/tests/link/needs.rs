//! What is said when no link can be made here.

use pipelane_link::{Link, LinkError, LinkOptions};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::thread;

/// A link, or `None` and a word about it where there can be none.
pub fn start(options: LinkOptions) -> Option<Link> {
    match Link::start(options) {
        Ok(link) => Some(link),
        Err(error @ LinkError::Unavailable { .. }) => {
            let test = thread::current().name().unwrap_or("a test").to_owned();
            announce(&format!("skipped: {test}: {error}"));
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Written past the capture of the test runner, and to the list of what was skipped.
fn announce(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
    if let Some(list) = std::env::var_os("PIPELANE_SKIP_LIST") {
        // A relative one is seen from the top of the project.
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(list);
        let opened = OpenOptions::new().create(true).append(true).open(path);
        let _ = opened.and_then(|mut file| writeln!(file, "{line}"));
    }
}
