//! SIGHUP: the configuration of `pipelane serve` is read again and followed, while messages are on their way.
//!
//! All or nothing. A file with an error, or a socket that cannot be opened, is told in the log and leaves everything as
//! it was. `[listen]` and `[limits]` hold as long as the process runs: what is changed there is named, and the rest is
//! followed.
//!
//! It has a thread of its own, so that a file or a lock that lets it wait does not keep a stop waiting.

use super::signals::Signals;
use super::systemd::{State, notify};
use pipelane::config::difference::{Difference, fixed_keys};
use pipelane::config::{Config, ConfigErrors};
use pipelane::door::DoorError;
use pipelane::door::lmtp::LmtpDoor;
use pipelane::engine::Engine;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

/// Whoever follows the file.
#[derive(Debug)]
pub struct Follower {
    /// As it was named on the command line.
    pub file: PathBuf,
    /// Lanes and limits.
    pub engine: Arc<Engine>,
    /// Sockets and clients.
    pub door: Arc<LmtpDoor>,
}

/// Why the configuration stays as it is.
#[derive(Debug)]
enum Refusal {
    File(ConfigErrors),
    Door(DoorError),
}

impl Follower {
    /// Reads the file again at every signal from now on, in a thread that ends with the process.
    pub fn start(self, mut signals: Signals) -> io::Result<()> {
        let work = move || {
            loop {
                signals.wait_for_all();
                notify(State::Reloading);
                // A mistake of ours must not make later signals go unheard.
                if catch_unwind(AssertUnwindSafe(|| self.reload())).is_err() {
                    log::error!("reading {} again has panicked", self.file.display());
                }
                notify(State::Ready);
            }
        };
        thread::Builder::new().name("reload".into()).spawn(work).map(drop)
    }

    fn reload(&self) {
        match self.follow() {
            Ok(difference) => log::info!("{}: read again: {difference}", self.file.display()),
            Err(refusal) => {
                match refusal {
                    // One line of the log for each.
                    Refusal::File(errors) => errors.to_string().lines().for_each(|error| log::error!("{error}")),
                    Refusal::Door(error) => log::error!("{error}"),
                }
                log::error!("{}: read again and refused; the configuration stays as it was", self.file.display());
            }
        }
    }

    fn follow(&self) -> Result<Difference, Refusal> {
        let running = self.engine.config();
        let read = Config::load(&self.file).map_err(Refusal::File)?;
        let fixed = fixed_keys(&running, &read);
        let new = Config { listen: running.listen.clone(), limits: running.limits.clone(), ..read };
        let difference = Difference::between(&running, &new);
        // The only step that can fail comes first, and changes nothing that is there. Clients of new sockets are
        // accepted behind the change of the configuration, so that none is served by the old one.
        let change = self.door.prepare(&new).map_err(Refusal::Door)?;
        self.engine.reconfigure(Arc::new(new));
        self.door.follow(change);
        if !fixed.is_empty() {
            let (file, keys) = (self.file.display(), fixed.join(", "));
            log::warn!("{file}: changed, but not while pipelane runs: {keys}; the old values hold until a restart");
        }
        Ok(difference)
    }
}
