//! A link from start to stop.

use crate::carrier::Carrier;
use crate::namespace::Namespace;
use crate::options::LinkOptions;
use crate::tally::Tally;
use std::io::{self, PipeWriter};
use std::net::Ipv4Addr;
use std::thread::{self, JoinHandle};

/// From the range that is set aside for measurements of networks (RFC 2544).
const NEAR: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
const FAR: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 2);

/// Why there is no link.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// This user on this machine may not have one: a test that needs it has to be skipped.
    #[error("cannot {what} here (it needs root and /dev/net/tun): {source}")]
    Unavailable {
        /// What was tried.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// Options that cannot be.
    #[error("{0}")]
    Options(String),
    /// Anything else that failed.
    #[error("cannot {what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

impl LinkError {
    pub(crate) fn unavailable(what: &'static str) -> impl FnOnce(io::Error) -> LinkError {
        move |source| LinkError::Unavailable { what, source }
    }

    pub(crate) fn system(what: &'static str) -> impl FnOnce(io::Error) -> LinkError {
        move |source| LinkError::System { what, source }
    }
}

/// Two namespaces and the thread that carries packets between them. Dropping it stops it.
///
/// Links are independent of each other: their namespaces are different ones, though the addresses are the same.
#[derive(Debug)]
pub struct Link {
    near: Namespace,
    far: Namespace,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    thread: JoinHandle<io::Result<Tally>>,
    /// Closing it stops the thread.
    stop: PipeWriter,
}

impl Link {
    /// Makes the namespaces and starts to carry.
    pub fn start(options: LinkOptions) -> Result<Link, LinkError> {
        options.check().map_err(LinkError::Options)?;
        let (near, near_device) = Namespace::create(NEAR)?;
        let (far, far_device) = Namespace::create(FAR)?;
        let (stopped, stop) = io::pipe().map_err(LinkError::system("make a pipe"))?;
        let carrier = Carrier::new(near_device, far_device, options);
        let thread = thread::Builder::new().name("link".to_owned()).spawn(move || carrier.run(&stopped));
        let thread = thread.map_err(LinkError::system("start a thread"))?;
        Ok(Link { near, far, running: Some(Running { thread, stop }) })
    }

    /// The end where the client is, by custom.
    pub fn near(&self) -> &Namespace {
        &self.near
    }

    /// The end where the server is, by custom.
    pub fn far(&self) -> &Namespace {
        &self.far
    }

    /// Stops carrying, and tells what was done. Fails when carrying had come to an end by itself.
    ///
    /// Whoever still has a handle of a namespace, or is in it, keeps it, but it is an end of nothing.
    pub fn stop(mut self) -> Result<Tally, LinkError> {
        // Before the thread ends, as the devices and their counters end with it.
        let unread = |end: &Namespace| end.unread().map_err(LinkError::system("read the counters of an interface"));
        let (up, down) = (unread(&self.near)?, unread(&self.far)?);
        let mut tally = self.halt().map_err(LinkError::system("carry packets"))?;
        (tally.up.unread, tally.down.unread) = (up, down);
        Ok(tally)
    }

    fn halt(&mut self) -> io::Result<Tally> {
        let Some(Running { thread, stop }) = self.running.take() else { return Ok(Tally::default()) };
        drop(stop);
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread panicked")))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // Nobody is left to be told.
        let _ = self.halt();
    }
}
