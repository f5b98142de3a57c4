//! The system calls that std has no safe form of. The only `unsafe` outside the C interface.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::Arc;

/// An eventfd that any thread signals and one thread waits on in `poll(2)` beside its socket. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Wake(Arc<OwnedFd>);

impl Wake {
    /// A new one, not signalled. Fails when the process has no descriptor left.
    pub fn new() -> io::Result<Wake> {
        // SAFETY: eventfd takes no pointer; the result is checked before it is owned.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: fd is a new descriptor that nothing else owns.
        Ok(Wake(Arc::new(unsafe { OwnedFd::from_raw_fd(fd) })))
    }

    /// Makes the descriptor readable until [`Wake::clear`].
    pub fn signal(&self) {
        let one = 1u64.to_ne_bytes();
        // SAFETY: eight octets are read from a live array. A full counter (EAGAIN) is already readable.
        let _ = unsafe { libc::write(self.0.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }

    /// Makes it unreadable and tells whether it had been signalled.
    pub fn clear(&self) -> bool {
        let mut count = [0u8; 8];
        // SAFETY: eight octets are written to a live array.
        unsafe { libc::read(self.0.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) == 8 }
    }

    /// Whether it is signalled, without clearing it.
    pub fn is_signalled(&self) -> bool {
        let mut poll = libc::pollfd { fd: self.0.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one pollfd, alive for the call; a timeout of 0 never waits.
        unsafe { libc::poll(&raw mut poll, 1, 0) == 1 }
    }

    /// For `poll(2)`.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

// STUB until the net branch is merged: `poll`, `user_id` and `group_id` with these signatures.

/// `poll(2)` on any number of descriptors, for as long as `patience` (`None`: for ever). A signal does not end the wait.
/// Returns how many have something to tell in `revents`.
pub fn poll(fds: &mut [libc::pollfd], patience: Option<std::time::Duration>) -> io::Result<usize> {
    let deadline = patience.map(|p| std::time::Instant::now() + p);
    loop {
        let left = deadline.map(|d| d.saturating_duration_since(std::time::Instant::now()));
        let timeout = left.map_or(-1, |l| i32::try_from(l.as_micros().div_ceil(1000)).unwrap_or(i32::MAX));
        // SAFETY: the slice is alive for the call and its length is the one given.
        let ready = unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, timeout) };
        match usize::try_from(ready) {
            Ok(ready) => return Ok(ready),
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
}

/// The number of a user, given by name or number; `None` when there is no such user.
pub fn user_id(name: &str) -> io::Result<Option<u32>> {
    id_in("/etc/passwd", name)
}

/// The number of a group, given by name or number; `None` when there is no such group.
pub fn group_id(name: &str) -> io::Result<Option<u32>> {
    id_in("/etc/group", name)
}

fn id_in(table: &str, name: &str) -> io::Result<Option<u32>> {
    if let Ok(number) = name.parse() {
        return Ok(Some(number));
    }
    let text = std::fs::read_to_string(table)?;
    let fields = text.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let mut found = fields.filter(|f| f.len() > 2 && f[0] == name).filter_map(|f| f[2].parse().ok());
    Ok(found.next())
}
