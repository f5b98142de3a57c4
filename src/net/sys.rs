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
