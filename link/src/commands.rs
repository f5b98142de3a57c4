//! The two commands at the ends of a link, from their start to the end of both.
//!
//! Each is a process group of its own, with all that it starts and does not move out of it. The near command's end is
//! the end of both groups: SIGTERM, and SIGKILL for what is there after [`GRACE`]. A signal to us ends the near command
//! in the same way. Neither reads from a terminal, which a group in the background could not.

use pipelane_link::{Link, Namespace, adopt_orphans, reap_group, signal_group};
use signal_hook::consts::{SIGINT, SIGKILL, SIGTERM};
use std::io::{self, IsTerminal};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const GRACE: Duration = Duration::from_secs(5);
/// How often one looks whether something has ended.
const GLANCE: Duration = Duration::from_millis(10);

/// Runs them. The near command's status as a shell tells it.
pub(crate) fn run(link: &Link, near: &str, far: Option<&str>) -> io::Result<u8> {
    adopt_orphans()?;
    let asked_to_end = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&asked_to_end))?;
    }
    let mut far = far.map(|command| Group::start(link, link.far(), command, Stdio::null())).transpose()?;
    let input = if io::stdin().is_terminal() { Stdio::null() } else { Stdio::inherit() };
    let mut near = Group::start(link, link.near(), near, input)?;
    loop {
        if let Some(status) = near.leader.try_wait()? {
            return Ok(told(status));
        }
        if asked_to_end.load(Ordering::Relaxed) {
            return near.end().map(told);
        }
        if let Some(status) = far.as_mut().map_or(Ok(None), Group::news)? {
            eprintln!("pipelane-link: the far command has ended: {status}");
        }
        thread::sleep(GLANCE);
    }
}

/// A command and what it started. Ended when dropped.
struct Group {
    leader: Child,
    /// Its end was told.
    is_told: bool,
    /// All of it was ended.
    is_ended: bool,
}

impl Group {
    fn start(link: &Link, end: &Namespace, command: &str, input: Stdio) -> io::Result<Group> {
        let mut shell = end.command("sh");
        shell.args(["-c", command]).stdin(input).process_group(0);
        shell.env("LINK_NEAR_ADDRESS", link.near().address().to_string());
        shell.env("LINK_FAR_ADDRESS", link.far().address().to_string());
        Ok(Group { leader: shell.spawn()?, is_told: false, is_ended: false })
    }

    /// How the command ended, once.
    fn news(&mut self) -> io::Result<Option<ExitStatus>> {
        let status = self.leader.try_wait()?;
        self.is_ended = self.is_ended || status.is_some() && self.is_gone();
        Ok(status.filter(|_| !std::mem::replace(&mut self.is_told, true)))
    }

    /// Whether nobody is left, the command itself having ended.
    fn is_gone(&self) -> bool {
        reap_group(self.leader.id());
        signal_group(self.leader.id(), 0).is_err()
    }

    /// Ends all of it, and tells how the command ended.
    fn end(&mut self) -> io::Result<ExitStatus> {
        self.is_ended = true;
        // An id is not given to another process as long as it is that of a group; and an empty one is not signalled
        // again.
        for signal in [SIGTERM, SIGKILL] {
            let until = Instant::now() + GRACE;
            // An error says that nobody is left.
            let _ = signal_group(self.leader.id(), signal);
            while Instant::now() < until {
                if let Some(status) = self.leader.try_wait()?.filter(|_| self.is_gone()) {
                    return Ok(status);
                }
                thread::sleep(GLANCE);
            }
        }
        Err(io::Error::other("a command does not end"))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.is_ended
            && let Err(error) = self.end()
        {
            eprintln!("pipelane-link: {error}");
        }
    }
}

/// A status as a shell tells it.
fn told(status: ExitStatus) -> u8 {
    let told = status.code().or(status.signal().map(|signal| 128 + signal));
    told.and_then(|told| u8::try_from(told).ok()).unwrap_or(u8::MAX)
}
