//! The system calls that std has no safe form of. The only `unsafe` of this crate.
//!
//! Each function here is safe to call with any argument and reports errors as [`io::Error`]. None keeps state, and none
//! decides anything. What they change of a thread (its namespace, its scheduling) stays so until it ends.

use std::ffi::{OsStr, c_int};
use std::fs::File;
use std::io;
use std::mem;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

/// Gives the calling thread a network namespace of its own.
pub(crate) fn unshare() -> io::Result<()> {
    // SAFETY: takes no pointer; only the calling thread is moved.
    done(unsafe { libc::unshare(libc::CLONE_NEWNET) })
}

/// Moves the calling thread into a network namespace.
pub(crate) fn enter(namespace: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: takes no pointer; the descriptor is borrowed for the call, and only the calling thread is moved.
    done(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) })
}

/// A command that runs in a network namespace. It keeps the namespace's descriptor for as long as it lives.
pub(crate) fn command_in(namespace: Arc<OwnedFd>, program: &OsStr) -> Command {
    let mut command = Command::new(program);
    let go = move || enter(namespace.as_fd());
    // SAFETY: between fork and exec the closure makes one system call on a descriptor that it owns a share of, and
    // reads errno; it allocates nothing and takes no lock.
    unsafe { command.pre_exec(go) };
    command
}

/// Makes a TUN device of this name in the network namespace in which `/dev/net/tun` was opened. A packet is then one
/// read or one write, with nothing before it.
pub(crate) fn make_tun(tun: &File, name: &str) -> io::Result<()> {
    let mut request = request(name)?;
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as i16;
    control(tun.as_fd(), libc::TUNSETIFF as _, &mut request)
}

/// What [`configure`] sets.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Setting {
    Address(Ipv4Addr),
    Netmask(Ipv4Addr),
    Mtu(u16),
    /// Packets that may wait to be read from a TUN device.
    QueueLength(u16),
    Up,
}

/// Sets something of the interface `name` in the namespace in which `socket`, any IPv4 socket, was made.
pub(crate) fn configure(socket: impl AsFd, name: &str, setting: Setting) -> io::Result<()> {
    let (socket, mut request) = (socket.as_fd(), request(name)?);
    let operation = match setting {
        Setting::Address(address) => {
            request.ifr_ifru.ifru_addr = raw_address(address);
            libc::SIOCSIFADDR
        }
        Setting::Netmask(mask) => {
            request.ifr_ifru.ifru_netmask = raw_address(mask);
            libc::SIOCSIFNETMASK
        }
        Setting::Mtu(octets) => {
            request.ifr_ifru.ifru_mtu = c_int::from(octets);
            libc::SIOCSIFMTU
        }
        Setting::QueueLength(packets) => {
            // The kernel reads it as an int at the same place as the MTU.
            request.ifr_ifru.ifru_mtu = c_int::from(packets);
            libc::SIOCSIFTXQLEN
        }
        Setting::Up => {
            control(socket, libc::SIOCGIFFLAGS as _, &mut request)?;
            // SAFETY: the call before has filled the flags in.
            let flags = unsafe { request.ifr_ifru.ifru_flags };
            request.ifr_ifru.ifru_flags = flags | libc::IFF_UP as i16;
            libc::SIOCSIFFLAGS
        }
    };
    control(socket, operation as _, &mut request)
}

/// Waits until one of two descriptors has something to read or a third one's other end is closed, or the time is over.
/// Without a time it waits for ever. Tells which of the three; none after a signal too.
pub(crate) fn wait(fds: [BorrowedFd<'_>; 3], limit: Option<Duration>) -> io::Result<[bool; 3]> {
    let mut polled = fds.map(|fd| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 });
    let limit = limit.map(|limit| libc::timespec {
        tv_sec: limit.as_secs() as libc::time_t,
        tv_nsec: libc::c_long::from(limit.subsec_nanos() as i32),
    });
    let limit = limit.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: three live pollfds whose descriptors are borrowed for the call; the time is null or a live timespec; the
    // signal mask is null, which leaves it as it is.
    match done(unsafe { libc::ppoll(polled.as_mut_ptr(), 3, limit, ptr::null()) }) {
        Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
        Err(_) => Ok([false; 3]),
        Ok(()) => Ok(polled.map(|fd| fd.revents != 0)),
    }
}

/// Makes the calling thread wake in time: its timers are exact, and where it is allowed it goes before other threads.
pub(crate) fn be_punctual() {
    // SAFETY: takes no pointer; a nanosecond is the least slack there is.
    let _ = unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1 as libc::c_ulong) };
    // SAFETY: all of it is integers, for which zero is a value.
    let mut lowest: libc::sched_param = unsafe { mem::zeroed() };
    lowest.sched_priority = 1;
    // SAFETY: 0 is the calling thread, and the parameter is alive for the call.
    let _ = unsafe { libc::sched_setscheduler(0, libc::SCHED_RR | libc::SCHED_RESET_ON_FORK, &raw const lowest) };
}

/// The CPU time of the calling thread.
pub(crate) fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes to a live timespec. A failure leaves it 0.
    let _ = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Sends a signal to every process of a group; 0 only asks whether there is one. An id of 1 or less is an error: it
/// would mean other processes than those of a group.
pub fn signal_group(id: u32, signal: i32) -> io::Result<()> {
    match i32::try_from(id) {
        // SAFETY: takes no pointer.
        Ok(id) if id > 1 => done(unsafe { libc::kill(-id, signal) }),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

/// From now on processes whose parent has ended become children of this process, if it is their ancestor.
pub fn adopt_orphans() -> io::Result<()> {
    // SAFETY: takes no pointer.
    done(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1 as libc::c_ulong) })
}

/// Lets go of those of a group's processes that have ended and are children of this one; else they would stay in the
/// group.
pub fn reap_group(id: u32) {
    let Some(id) = i32::try_from(id).ok().filter(|id| *id > 1) else { return };
    // SAFETY: the place for the status may be null; it does not wait.
    while unsafe { libc::waitpid(-id, ptr::null_mut(), libc::WNOHANG) } > 0 {}
}

/// An empty request for the interface `name`.
fn request(name: &str) -> io::Result<libc::ifreq> {
    // SAFETY: all of it is integers and arrays of them, for which zero is a value; its pointers may be null.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    // The last octet stays 0.
    if name.len() >= request.ifr_name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    Ok(request)
}

fn raw_address(address: Ipv4Addr) -> libc::sockaddr {
    // SAFETY: both are plain integers of the same size, and any octets are a value of either.
    unsafe {
        let mut raw: libc::sockaddr_in = mem::zeroed();
        raw.sin_family = libc::AF_INET as libc::sa_family_t;
        raw.sin_addr.s_addr = u32::from(address).to_be();
        mem::transmute::<libc::sockaddr_in, libc::sockaddr>(raw)
    }
}

fn control(fd: BorrowedFd<'_>, operation: libc::Ioctl, request: &mut libc::ifreq) -> io::Result<()> {
    // SAFETY: each operation given here reads and writes one ifreq, which is alive and borrowed for the call.
    done(unsafe { libc::ioctl(fd.as_raw_fd(), operation, ptr::from_mut(request)) })
}

fn done(result: c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_that_is_none_is_refused() {
        for id in [0, 1, u32::MAX] {
            assert_eq!(signal_group(id, 0).expect_err("refused").kind(), io::ErrorKind::InvalidInput, "{id}");
        }
    }

    #[test]
    fn a_name_has_at_most_fifteen_octets() {
        assert!(request("fifteen-octets-").is_ok());
        assert!(request("sixteen-octets--").is_err());
    }
}
