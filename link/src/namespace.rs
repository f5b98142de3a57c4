//! A network namespace: one end of a link, with a loopback interface, a TUN device and an address.
//!
//! It has no name. It lives as long as a handle of it, a process or thread in it, or a socket made in it, and what is
//! in it ends with it. A thread that has entered stays; so what is only to be done in it has a thread of its own.

use crate::link::LinkError;
use crate::sys::{self, Setting};
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::panic;
use std::process::Command;
use std::sync::Arc;
use std::thread;

/// The largest IP packet that a link carries. The kernel cuts larger ones before it hands them over.
pub const MTU: u16 = 1500;
/// The TUN device's name, in either namespace.
pub const DEVICE: &str = "link0";
/// The two ends have a network of four addresses.
const NETMASK: Ipv4Addr = Ipv4Addr::new(255, 255, 255, 252);
/// Packets that the kernel keeps until the link reads them. They are read at once, so this is no queue, only patience
/// with a machine that is busy; the queue is the link's own.
const UNREAD_LIMIT: u16 = 10_000;

/// A handle of a namespace; its clones are the same namespace.
#[derive(Debug, Clone)]
pub struct Namespace {
    file: Arc<OwnedFd>,
    address: Ipv4Addr,
}

impl Namespace {
    /// A new one, and its device: read from it what is sent, write to it what is to be received. Neither waits.
    pub(crate) fn create(address: Ipv4Addr) -> Result<(Namespace, File), LinkError> {
        let made = thread::scope(|scope| {
            let builder = thread::Builder::new().name("link-end".to_owned());
            builder.spawn_scoped(scope, || make(address)).map(join)
        });
        let (file, device) = made.map_err(LinkError::system("start a thread"))??;
        Ok((Namespace { file: Arc::new(file), address }, device))
    }

    /// Its address on the link.
    pub fn address(&self) -> IpAddr {
        self.address.into()
    }

    /// Moves the calling thread into it for ever. Threads and processes that it then starts are in it too, and all
    /// sockets that it makes.
    pub fn enter(&self) -> io::Result<()> {
        sys::enter(self.file.as_fd())
    }

    /// Does something in it, on a thread of its own, and returns what came of it. A panic goes on in the caller.
    ///
    /// A socket stays in the namespace it was made in. So it is enough to bind or connect here, and use it anywhere.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        thread::scope(|scope| {
            let entered = || self.enter().map(|()| work());
            thread::Builder::new().name("link-run".to_owned()).spawn_scoped(scope, entered).map(join)
        })?
    }

    /// A program that will run in it. All else about it is as usual.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        sys::command_in(Arc::clone(&self.file), program.as_ref())
    }

    /// Packets that the kernel dropped since they were not read from the device in time.
    pub(crate) fn unread(&self) -> io::Result<u64> {
        let counters = self.run(|| fs::read_to_string("/proc/thread-self/net/dev"))??;
        dropped_by_sender(&counters, DEVICE).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

fn join<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panicked| panic::resume_unwind(panicked))
}

/// Makes a namespace of the calling thread's own, with all that is in it.
fn make(address: Ipv4Addr) -> Result<(OwnedFd, File), LinkError> {
    sys::unshare().map_err(LinkError::unavailable("make a network namespace"))?;
    let file = File::open("/proc/thread-self/ns/net").map_err(LinkError::system("open the new network namespace"))?;
    let open = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open("/dev/net/tun");
    let device = open.map_err(LinkError::unavailable("open /dev/net/tun"))?;
    sys::make_tun(&device, DEVICE).map_err(LinkError::unavailable("make a TUN device"))?;
    configure(address).map_err(LinkError::system("configure an interface"))?;
    Ok((file.into(), device))
}

fn configure(address: Ipv4Addr) -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    sys::configure(&socket, "lo", Setting::Up)?;
    let settings = [
        Setting::Mtu(MTU),
        Setting::QueueLength(UNREAD_LIMIT),
        Setting::Address(address),
        Setting::Netmask(NETMASK),
        Setting::Up,
    ];
    settings.into_iter().try_for_each(|setting| sys::configure(&socket, DEVICE, setting))
}

/// From the kernel's table of interfaces, the twelfth number in the line of `device`.
fn dropped_by_sender(table: &str, device: &str) -> Option<u64> {
    let mut lines = table.lines().filter_map(|line| line.split_once(':'));
    let (_, numbers) = lines.find(|(name, _)| name.trim() == device)?;
    numbers.split_whitespace().nth(11)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_table_of_interfaces_is_read() {
        let table = "Inter-|   Receive                            |  Transmit\n \
                     face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo ...\n\
                     \x20   lo:  11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26\n\
                     \x20link0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n";
        assert_eq!(dropped_by_sender(table, "link0"), Some(12));
        assert_eq!(dropped_by_sender(table, "lo"), Some(22));
        assert_eq!(dropped_by_sender(table, "link1"), None);
    }
}
