//! The system calls that std has no safe form of. The only `unsafe` outside the C interface.
//!
//! Each function here is safe to call with any argument, retries after a signal (EINTR) by itself, and reports
//! errors as [`io::Error`]. None keeps state, and none decides anything: what an error means is for the callers.

mod accounts;
mod interfaces;
#[cfg(all(unix, not(target_vendor = "apple")))]
pub mod sessions;

pub use accounts::{group_id, user_id};
pub use interfaces::interface_addresses;
use socket2::{SockAddr, SockAddrStorage, SockRef};
use std::ffi::{CStr, CString, c_int};
use std::io;
use std::marker::PhantomData;
use std::mem;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// An eventfd that any thread signals and one thread waits on in `poll(2)` beside its socket. Cheap to clone.
/// Signalling it again costs no system call. Whoever clears it looks afterwards at what it was signalled for.
#[derive(Debug, Clone)]
pub struct Wake(Arc<Bell>);

#[derive(Debug)]
struct Bell {
    fd: OwnedFd,
    /// Signalled and not cleared since; taken back behind the read, so that who finds it set is still seen by the
    /// reader.
    rung: AtomicBool,
}

impl Wake {
    /// A new one, not signalled. Fails when the process has no descriptor left.
    pub fn new() -> io::Result<Wake> {
        // SAFETY: eventfd takes no pointer; the result is checked before it is owned.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: fd is a new descriptor that nothing else owns.
        Ok(Wake(Arc::new(Bell { fd: unsafe { OwnedFd::from_raw_fd(fd) }, rung: AtomicBool::new(false) })))
    }

    /// Makes the descriptor readable until [`Wake::clear`].
    pub fn signal(&self) {
        let one = 1u64.to_ne_bytes();
        if !self.0.rung.swap(true, Ordering::AcqRel) {
            // SAFETY: eight octets are read from a live array. A full counter (EAGAIN) is already readable.
            let _ = unsafe { libc::write(self.0.fd.as_raw_fd(), one.as_ptr().cast(), one.len()) };
        }
    }

    /// Makes it unreadable and tells whether it had been signalled.
    pub fn clear(&self) -> bool {
        let mut count = [0u8; 8];
        // SAFETY: eight octets are written to a live array.
        let had = unsafe { libc::read(self.0.fd.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) == 8 };
        self.0.rung.swap(false, Ordering::AcqRel);
        had
    }

    /// Whether it is signalled, without clearing it.
    pub fn is_signalled(&self) -> bool {
        let mut poll = libc::pollfd { fd: self.0.fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one pollfd, alive for the call; a timeout of 0 never waits.
        unsafe { libc::poll(&raw mut poll, 1, 0) == 1 }
    }

    /// Waits until it is signalled, without clearing it, or until the moment has come. Whether it is signalled.
    pub fn wait(&self, until: Option<Instant>) -> bool {
        matches!(poll(&mut [Watch::new(self.fd(), Interest::Read)], until), Ok(found) if found > 0)
    }

    /// Waits for so long, or until it is signalled.
    pub fn pause(&self, patience: Duration) {
        self.wait(Some(Instant::now() + patience));
    }

    /// For `poll(2)`.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.fd.as_fd()
    }
}

/// What [`poll`] is asked about a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// Something to read, or the end of it.
    Read,
    /// Room to write.
    Write,
    /// Either.
    Both,
    /// Only that the other side has closed, also while bytes of it are unread.
    End,
    /// The other end is gone altogether, or the connection is broken. A peer that has only closed its sending side is
    /// not.
    HangUp,
}

/// One descriptor to wait for, and after [`poll`] what was found.
#[repr(transparent)]
#[derive(Debug)]
pub struct Watch<'fd> {
    raw: libc::pollfd,
    fd: PhantomData<BorrowedFd<'fd>>,
}

impl<'fd> Watch<'fd> {
    /// To be given to [`poll`].
    pub fn new(fd: BorrowedFd<'fd>, interest: Interest) -> Watch<'fd> {
        let events = match interest {
            Interest::Read => libc::POLLIN,
            Interest::Write => libc::POLLOUT,
            Interest::Both => libc::POLLIN | libc::POLLOUT,
            Interest::End => libc::POLLRDHUP,
            Interest::HangUp => 0,
        };
        Watch { raw: libc::pollfd { fd: fd.as_raw_fd(), events, revents: 0 }, fd: PhantomData }
    }

    /// Whether a read would not wait. An error or a hang-up counts, because a read is how one learns of it.
    pub fn is_readable(&self) -> bool {
        self.raw.revents & !libc::POLLOUT != 0
    }

    /// Whether a write would not wait. An error or a hang-up counts, because a write would fail at once.
    pub fn is_writable(&self) -> bool {
        self.raw.revents & !libc::POLLIN != 0
    }

    /// Whether anything was found.
    pub fn is_ready(&self) -> bool {
        self.raw.revents != 0
    }
}

/// Waits until something is found on one of `watches` or `until` has passed, and tells on how many. Never
/// returns 0 before `until`; a past `until` only looks. Without `until` it waits for ever.
pub fn poll(watches: &mut [Watch<'_>], until: Option<Instant>) -> io::Result<usize> {
    loop {
        let timeout = until.map_or(-1, |until| millis(until.saturating_duration_since(Instant::now())));
        // SAFETY: Watch is a transparent wrapper of pollfd, so the slice is an array of that many live
        // pollfds; each borrows its descriptor, so none is closed during the call.
        let found = unsafe { libc::poll(watches.as_mut_ptr().cast(), watches.len() as libc::nfds_t, timeout) };
        match found {
            0 if until.is_none_or(|until| Instant::now() < until) => {}
            0.. => return Ok(found as usize),
            _ => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
}

/// Milliseconds for poll(2), rounded up: rounded down, the last part of a millisecond would be a busy loop.
fn millis(left: Duration) -> c_int {
    c_int::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap_or(c_int::MAX)
}

/// Sends what fits without waiting; `WouldBlock` when nothing does. A closed connection is an error, never SIGPIPE.
pub fn send(stream: &impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    retry(|| SockRef::from(stream).send_with_flags(bytes, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL))
}

/// Receives what is there without waiting; `WouldBlock` when nothing is, 0 at the end.
pub fn recv(stream: &impl AsFd, into: &mut [u8]) -> io::Result<usize> {
    let socket = stream.as_fd().as_raw_fd();
    retry(|| {
        // SAFETY: at most `into.len()` octets are written to a live, initialised slice.
        let n = unsafe { libc::recv(socket, into.as_mut_ptr().cast(), into.len(), libc::MSG_DONTWAIT) };
        usize::try_from(n).map_err(|_| io::Error::last_os_error())
    })
}

/// Makes the kernel acknowledge at once what it has got and gets next. It falls back by itself, so this is
/// said before each wait. Only a matter of speed: a failure is no error.
pub fn quick_ack(stream: &impl AsFd) {
    let _ = SockRef::from(stream).set_tcp_quickack(true);
}

/// Octets written that the peer's kernel has not acknowledged (SIOCOUTQ). Over a UNIX socket: the memory of those that
/// the peer has not read.
pub fn unacknowledged(stream: &impl AsFd) -> io::Result<usize> {
    let mut octets: c_int = 0;
    // SAFETY: TIOCOUTQ, which is SIOCOUTQ for a socket, writes one int to the live variable.
    if unsafe { libc::ioctl(stream.as_fd().as_raw_fd(), libc::TIOCOUTQ, &raw mut octets) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(usize::try_from(octets).unwrap_or(0))
}

/// What the kernel's TCP knows of a connection's path (TCP_INFO).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path {
    /// The smoothed round trip time.
    pub round_trip: Duration,
    /// Octets that may be on their way: the congestion window.
    pub window: u64,
    /// How long ago the peer has acknowledged something.
    pub acknowledged: Duration,
}

/// What is known of the path, when the kernel has measured a round trip.
pub fn path(stream: &impl AsFd) -> Option<Path> {
    // SAFETY: tcp_info holds integers only, so all zeroes is a value of it.
    let mut info: libc::tcp_info = unsafe { mem::zeroed() };
    let mut size = mem::size_of_val(&info) as libc::socklen_t;
    let at = (&raw mut info).cast();
    let socket = stream.as_fd().as_raw_fd();
    // SAFETY: at most `size` octets are written to the live struct of that size.
    let done = unsafe { libc::getsockopt(socket, libc::IPPROTO_TCP, libc::TCP_INFO, at, &raw mut size) };
    let window = u64::from(info.tcpi_snd_cwnd) * u64::from(info.tcpi_snd_mss);
    let round_trip = Duration::from_micros(info.tcpi_rtt.into());
    let acknowledged = Duration::from_millis(info.tcpi_last_ack_recv.into());
    (done == 0 && info.tcpi_rtt > 0).then_some(Path { round_trip, window, acknowledged })
}

/// Runs `start`, which starts a thread, with signals blocked, but for those that a thread's own faults raise, so that
/// the new one never gets one of its host's. The mask is what it was afterwards.
pub fn with_signals_blocked<T>(start: impl FnOnce() -> T) -> T {
    // SAFETY: sigset_t holds integers only, and both are filled below.
    let (mut all, mut before): (libc::sigset_t, libc::sigset_t) = unsafe { (mem::zeroed(), mem::zeroed()) };
    let faults = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGSYS];
    // SAFETY: the pointers are to live sets, and the numbers are signals, so that no call can fail.
    unsafe {
        libc::sigfillset(&raw mut all);
        let _ = faults.map(|fault| libc::sigdelset(&raw mut all, fault));
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, &raw mut before);
    }
    let done = catch_unwind(AssertUnwindSafe(start));
    // SAFETY: the set is live and was filled above; the old one is not asked for.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, ptr::null_mut()) };
    done.unwrap_or_else(|payload| resume_unwind(payload))
}

/// Raises the limit on open descriptors to the most that this process may have, and tells that. Each client, each
/// connection and each content on disk needs one. For executables only: a library does not change its host's limits.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a live rlimit.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: as above; the limit is only read.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(limit.rlim_cur)
}

/// The time since some fixed moment (CLOCK_MONOTONIC), as other processes see it too.
pub fn monotonic() -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live timespec. This clock is always there, so the call cannot fail.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    Duration::new(now.tv_sec.try_into().unwrap_or(0), now.tv_nsec.try_into().unwrap_or(0))
}

/// Who is at the other end of a UNIX-domain connection, as the kernel saw it when the connection was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerCredentials {
    /// The process; 0 when it lives in another PID namespace.
    pub process: i32,
    /// Its effective user id.
    pub user: u32,
    /// Its effective group id.
    pub group: u32,
}

/// Asks for the peer's credentials (SO_PEERCRED).
pub fn peer_credentials(stream: &UnixStream) -> io::Result<PeerCredentials> {
    let mut found = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut size = mem::size_of_val(&found) as libc::socklen_t;
    let at = (&raw mut found).cast();
    // SAFETY: at most `size` octets are written to the live struct of that size.
    let done = unsafe { libc::getsockopt(stream.as_raw_fd(), libc::SOL_SOCKET, libc::SO_PEERCRED, at, &raw mut size) };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(PeerCredentials { process: found.pid, user: found.uid, group: found.gid })
}

/// Why a host name has no addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// The resolver says that there is no such name, or none with an address.
    #[error("{0}")]
    NoSuchHost(String),
    /// The resolver could not tell: a time-out, a server failure, a broken set-up. Another time it may.
    #[error("{0}")]
    Failed(String),
}

/// The addresses of a host name or address literal, in getaddrinfo(3)'s order (RFC 6724), each once, with `port`.
///
/// It waits as long as the system's resolver does (resolv.conf(5): `timeout`, `attempts`), and a name without
/// a dot at its end is also tried with the system's search list. std's form of this call hides the reason of a
/// failure in a text that depends on the host's locale; so it is made here.
pub fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, ResolveError> {
    let name = CString::new(host).map_err(|_| ResolveError::NoSuchHost("a NUL is in the name".into()))?;
    // SAFETY: addrinfo holds integers and pointers only; zeroes and null pointers are what hints must have.
    let mut hints: libc::addrinfo = unsafe { mem::zeroed() };
    hints.ai_socktype = libc::SOCK_STREAM;
    let mut list: *mut libc::addrinfo = ptr::null_mut();
    // SAFETY: the name ends with NUL, hints and list live through the call.
    let code = unsafe { libc::getaddrinfo(name.as_ptr(), ptr::null(), &raw const hints, &raw mut list) };
    if code != 0 {
        return Err(resolve_error(code));
    }
    let mut found: Vec<SocketAddr> = Vec::new();
    let mut next = list;
    // SAFETY: getaddrinfo gave a list that ends with a null pointer and is freed only below.
    while let Some(entry) = unsafe { next.as_ref() } {
        if let Some(mut address) = socket_address(entry) {
            address.set_port(port);
            if !found.contains(&address) {
                found.push(address);
            }
        }
        next = entry.ai_next;
    }
    // SAFETY: the list came from getaddrinfo, is freed once, and nothing borrows from it any more.
    unsafe { libc::freeaddrinfo(list) };
    Ok(found)
}

/// The address in one entry of getaddrinfo's list, when it is IPv4 or IPv6.
fn socket_address(entry: &libc::addrinfo) -> Option<SocketAddr> {
    let mut storage = SockAddrStorage::zeroed();
    let size = (entry.ai_addrlen as usize).min(mem::size_of_val(&storage));
    // SAFETY: ai_addr has ai_addrlen octets; no more than the storage has are copied; the two do not overlap.
    unsafe { ptr::copy_nonoverlapping(entry.ai_addr.cast::<u8>(), (&raw mut storage).cast(), size) };
    // SAFETY: the storage holds an address of that many octets as its family lays it out.
    unsafe { SockAddr::new(storage, entry.ai_addrlen) }.as_socket()
}

fn resolve_error(code: c_int) -> ResolveError {
    if code == libc::EAI_SYSTEM {
        return ResolveError::Failed(io::Error::last_os_error().to_string());
    }
    // SAFETY: gai_strerror returns a static text that ends with NUL, for any number.
    let text = unsafe { CStr::from_ptr(libc::gai_strerror(code)) }.to_string_lossy().into_owned();
    match code {
        libc::EAI_NONAME | libc::EAI_NODATA | EAI_ADDRFAMILY => ResolveError::NoSuchHost(text),
        _ => ResolveError::Failed(text),
    }
}

/// The name exists, but has no address of a family asked for (netdb.h; the libc crate does not name it).
const EAI_ADDRFAMILY: c_int = -9;

/// Repeats a call that a signal interrupted.
fn retry(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_poll_does_not_return_before_its_time() {
        let wake = Wake::new().expect("a descriptor");
        let limit = Instant::now() + Duration::from_micros(20_300);
        assert_eq!(poll(&mut [Watch::new(wake.fd(), Interest::Read)], Some(limit)).expect("waits"), 0);
        assert!(Instant::now() >= limit);
        assert_eq!(millis(Duration::from_nanos(1)), 1);
        assert_eq!(millis(Duration::from_millis(7)), 7);
        assert_eq!(millis(Duration::ZERO), 0);
        assert_eq!(millis(Duration::MAX), c_int::MAX);
    }

    #[test]
    fn a_poll_tells_which_descriptor_is_ready_for_what() {
        let (mut ours, theirs) = UnixStream::pair().expect("a pair");
        let wake = Wake::new().expect("a descriptor");
        ours.write_all(b"x").expect("fits");
        let both = |stream| Watch::new(stream, Interest::Both);
        let mut watches = [both(ours.as_fd()), both(theirs.as_fd()), Watch::new(wake.fd(), Interest::Read)];
        assert_eq!(poll(&mut watches, None).expect("ready"), 2);
        let found = watches.each_ref().map(|watch| (watch.is_readable(), watch.is_writable(), watch.is_ready()));
        assert_eq!(found, [(false, true, true), (true, true, true), (false, false, false)]);
        drop(theirs);
        let mut end = [Watch::new(ours.as_fd(), Interest::Read)];
        assert_eq!(poll(&mut end, None).expect("hung up"), 1);
        assert!(end[0].is_readable());
    }

    #[test]
    fn the_monotonic_clock_goes_on() {
        let before = monotonic();
        assert!(before > Duration::ZERO && monotonic() >= before);
    }

    #[test]
    fn a_thread_is_started_with_its_signals_blocked_and_ours_are_as_before() {
        let mask = || {
            let status = std::fs::read_to_string("/proc/thread-self/status").expect("readable");
            let line = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).expect("a mask").trim().to_owned();
            u64::from_str_radix(&line, 16).expect("a number")
        };
        let (before, bit) = (mask(), |signal: c_int| 1u64 << (signal - 1));
        let inside = with_signals_blocked(|| std::thread::spawn(mask)).join().expect("it ends");
        assert_eq!(mask(), before);
        for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGCHLD, libc::SIGPIPE, libc::SIGALRM, libc::SIGUSR1] {
            assert_ne!(inside & bit(signal), 0, "{signal}");
        }
        assert_eq!(inside & bit(libc::SIGSEGV), 0);
    }

    #[test]
    fn the_peer_of_a_socket_pair_is_this_process() {
        let (ours, _theirs) = UnixStream::pair().expect("a pair");
        let peer = peer_credentials(&ours).expect("the kernel knows");
        assert_eq!(u32::try_from(peer.process), Ok(std::process::id()));
    }

    #[test]
    fn the_resolver_tells_no_such_name_from_no_answer() {
        for code in [libc::EAI_NONAME, libc::EAI_NODATA, EAI_ADDRFAMILY] {
            assert!(matches!(resolve_error(code), ResolveError::NoSuchHost(_)), "{code}");
        }
        for code in [libc::EAI_AGAIN, libc::EAI_FAIL, libc::EAI_MEMORY, libc::EAI_SYSTEM] {
            assert!(matches!(resolve_error(code), ResolveError::Failed(_)), "{code}");
        }
    }

    #[test]
    fn a_literal_resolves_to_itself_once() {
        for (host, expected) in [("192.0.2.9", "192.0.2.9:25"), ("2001:db8::9", "[2001:db8::9]:25")] {
            assert_eq!(resolve(host, 25).expect("a literal"), [expected.parse().expect("an address")]);
        }
    }
}
