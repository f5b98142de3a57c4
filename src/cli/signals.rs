//! SIGTERM and SIGINT as something that a thread can wait for; SIGHUP as nothing: the configuration is read once, at the start.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::pipe;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

/// The signals that ask this process to end, from the moment it is made.
#[derive(Debug)]
pub struct Signals(UnixStream);

impl Signals {
    /// From now on these signals do nothing by themselves.
    pub fn catch() -> io::Result<Signals> {
        let (receiver, sender) = UnixStream::pair()?;
        pipe::register(SIGTERM, sender.try_clone()?)?;
        pipe::register(SIGINT, sender)?;
        signal_hook::flag::register(SIGHUP, Arc::default())?;
        Ok(Signals(receiver))
    }

    /// Waits for the next one.
    pub fn wait(&mut self) {
        // The sending end lives as long as the process, so there is always either a byte or a wait.
        while let Err(error) = self.0.read_exact(&mut [0]) {
            if error.kind() != io::ErrorKind::Interrupted {
                log::error!("cannot wait for signals any more: {error}");
                loop {
                    std::thread::park();
                }
            }
        }
    }
}
