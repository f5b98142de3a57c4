//! A connection to a UNIX socket of this machine (unix(7)).
//!
//! It is made or refused at once, but for one case: the listener's queue is full. The kernel tells nobody when there is
//! room again, so it is tried anew after short pauses, until the budget is over or a wake is signalled.

use super::error::without_number;
use super::race::LONGEST;
use super::{DialError, DialErrorKind};
use crate::net::Wake;
use crate::net::sys::{self, Interest, Watch};
use socket2::{Domain, SockAddr, Socket, Type};
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// The pauses: the first, doubled each time, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// Connects to the socket at `path`. The wake is left as it is.
pub fn dial_unix(path: &Path, budget: Duration, wake: Option<&Wake>) -> Result<UnixStream, DialError> {
    let fail = |kind| DialError { host: format!("unix:{}", path.display()), port: None, kind, attempts: Vec::new() };
    let failed = |error: io::Error| fail(DialErrorKind::NotConnected(without_number(&error)));
    let ends = Instant::now() + budget.min(LONGEST);
    let address = SockAddr::unix(path).map_err(failed)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(failed)?;
    socket.set_nonblocking(true).map_err(failed)?;
    let mut pause = FIRST_PAUSE;
    loop {
        if wake.is_some_and(Wake::is_signalled) {
            return Err(fail(DialErrorKind::Interrupted));
        }
        match socket.connect(&address) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(failed(error)),
            Ok(()) => break,
        }
        if Instant::now() >= ends {
            return Err(fail(DialErrorKind::TimedOut(budget)));
        }
        rest(wake, ends.min(Instant::now() + pause));
        pause = (2 * pause).min(LONGEST_PAUSE);
    }
    socket.set_nonblocking(false).map_err(failed)?;
    Ok(socket.into())
}

/// Waits until that moment, or until the wake is signalled.
fn rest(wake: Option<&Wake>, until: Instant) {
    let mut watches: Vec<_> = wake.into_iter().map(|wake| Watch::new(wake.fd(), Interest::Read)).collect();
    // poll fails for want of kernel memory only; then it is tried again sooner.
    let _ = sys::poll(&mut watches, Some(until));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixListener;
    use std::path::PathBuf;
    use std::thread;
    use tempfile::TempDir;

    const LONG: Duration = Duration::from_secs(60);

    fn place() -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lmtp");
        (folder, path)
    }

    /// A socket whose queue holds one connection and is full, with what keeps it so.
    fn full(path: &Path) -> (Socket, UnixStream) {
        let listener = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
        listener.bind(&SockAddr::unix(path).expect("a path")).expect("bound");
        listener.listen(0).expect("listens");
        let first = UnixStream::connect(path).expect("room for one");
        (listener, first)
    }

    #[test]
    fn a_socket_is_connected_to_in_blocking_mode() {
        let (_folder, path) = place();
        let listener = UnixListener::bind(&path).expect("bound");
        let mut stream = dial_unix(&path, LONG, None).expect("up");
        let (mut server, _) = listener.accept().expect("connected");
        let writer = thread::spawn(move || server.write_all(b"220"));
        stream.read_exact(&mut [0; 3]).expect("a blocking read");
        writer.join().expect("ends").expect("sent");
    }

    #[test]
    fn why_there_is_none_is_said_with_the_path() {
        let (_folder, path) = place();
        let said = |path: &Path| dial_unix(path, LONG, None).expect_err("nobody listens").to_string();
        let shown = path.display();
        assert_eq!(said(&path), format!("connect to unix:{shown}: No such file or directory"));
        drop(UnixListener::bind(&path).expect("bound"));
        assert_eq!(said(&path), format!("connect to unix:{shown}: Connection refused"));
        let long = PathBuf::from(format!("/{}", "p".repeat(200)));
        assert!(said(&long).starts_with("connect to unix:/ppp"), "{}", said(&long));
    }

    #[test]
    fn a_full_queue_is_waited_for_as_long_as_the_budget_allows() {
        let (_folder, path) = place();
        let (listener, _first) = full(&path);
        let (begun, budget) = (Instant::now(), Duration::from_millis(200));
        let error = dial_unix(&path, budget, None).expect_err("no room");
        assert_eq!(error.kind, DialErrorKind::TimedOut(budget));
        assert!(begun.elapsed() >= budget && begun.elapsed() < LONG / 2);
        let waiting = thread::spawn({
            let path = path.clone();
            move || dial_unix(&path, LONG, None)
        });
        let accepted = [listener.accept().expect("the first"), listener.accept().expect("the one that waited")];
        waiting.join().expect("ends").expect("connected");
        drop(accepted);
    }

    #[test]
    fn a_wake_gives_up_before_and_while_waiting() {
        let (_folder, path) = place();
        let (_listener, _first) = full(&path);
        let wake = Wake::new().expect("a descriptor");
        let begun = Instant::now();
        for _ in 0..2 {
            let error = thread::scope(|scope| {
                let dialling = scope.spawn(|| dial_unix(&path, LONG, Some(&wake)));
                wake.signal();
                dialling.join().expect("ends").expect_err("no room")
            });
            assert_eq!(error.kind, DialErrorKind::Interrupted);
        }
        assert!(begun.elapsed() < LONG / 2 && wake.is_signalled());
    }
}
