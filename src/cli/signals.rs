//! Signals as something that a thread can wait for.

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::low_level::pipe;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

/// Some signals, from the moment this is made.
#[derive(Debug)]
pub struct Signals(UnixStream);

impl Signals {
    /// Those that ask this process to end: SIGTERM and SIGINT. From now on they do nothing by themselves.
    pub fn to_end() -> io::Result<Signals> {
        Signals::catch(&[SIGTERM, SIGINT])
    }

    /// SIGHUP, which asks it to read its configuration again. From now on it does nothing by itself.
    pub fn to_reload() -> io::Result<Signals> {
        Signals::catch(&[SIGHUP])
    }

    /// SIGQUIT, by which ZMailer's scheduler shuts down slowly. From now on it does nothing by itself.
    pub fn to_end_slowly() -> io::Result<Signals> {
        Signals::catch(&[SIGQUIT])
    }

    fn catch(signals: &[i32]) -> io::Result<Signals> {
        let (receiver, sender) = UnixStream::pair()?;
        for signal in signals {
            pipe::register(*signal, sender.try_clone()?)?;
        }
        Ok(Signals(receiver))
    }

    /// Waits for the next one.
    pub fn wait(&mut self) {
        self.take(&mut [0]);
    }

    /// Waits for the next one, and takes those with it that came by then.
    pub fn wait_for_all(&mut self) {
        self.take(&mut [0; 1024]);
    }

    fn take(&mut self, room: &mut [u8]) {
        // The sending end lives as long as the process, so there is always either a byte or a wait.
        while let Err(error) = self.0.read(room) {
            if error.kind() != io::ErrorKind::Interrupted {
                log::error!("cannot wait for signals any more: {error}");
                loop {
                    std::thread::park();
                }
            }
        }
    }
}

/// From now on SIGHUP does nothing.
pub fn ignore_hang_up() -> io::Result<()> {
    signal_hook::flag::register(SIGHUP, Arc::default()).map(drop)
}
