//! The other end of the control door: asks a running engine.
//!
//! It trusts whoever listens there no further than the bounds: an answer has [`MAX_ANSWER`] octets at the most, and
//! every wait ends.

use socket2::{Domain, SockAddr, Socket, Type};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use thiserror::Error;

/// The most octets of an answer: hundreds of thousands of lanes.
const MAX_ANSWER: u64 = 64 << 20;

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum AskError {
    /// Nobody listens there.
    #[error("no pipelane serve answers at {0}: {1}; does it run, with this runtime_directory?")]
    Nobody(PathBuf, io::Error),
    /// This user may not connect.
    #[error(
        "{0} may not be used by this user: {1}; socket_owner, socket_group and socket_mode of [listen] say who may"
    )]
    NotAllowed(PathBuf, io::Error),
    /// It took the connection and did not answer in time, or not to the end.
    #[error("what listens at {0} has not answered: {1}")]
    NoAnswer(PathBuf, io::Error),
}

/// Sends the request to the socket and reads the answer, within `patience`.
pub fn ask(path: &Path, request: &str, patience: Duration) -> Result<Vec<u8>, AskError> {
    let deadline = Instant::now() + patience;
    let mut socket = connect(path, patience).map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied => AskError::NotAllowed(path.to_owned(), error),
        ErrorKind::WouldBlock => AskError::NoAnswer(path.to_owned(), ErrorKind::TimedOut.into()),
        _ => AskError::Nobody(path.to_owned(), error),
    })?;
    exchange(&mut socket, request, deadline).map_err(|error| match error.kind() {
        // What a socket with a timeout says when it is over.
        ErrorKind::WouldBlock => AskError::NoAnswer(path.to_owned(), ErrorKind::TimedOut.into()),
        _ => AskError::NoAnswer(path.to_owned(), error),
    })
}

/// std's own connect would wait for ever at a full backlog.
fn connect(path: &Path, patience: Duration) -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_write_timeout(Some(patience))?;
    socket.connect(&SockAddr::unix(path)?)?;
    Ok(socket)
}

fn exchange(socket: &mut Socket, request: &str, deadline: Instant) -> io::Result<Vec<u8>> {
    socket.write_all(format!("{request}\n").as_bytes())?;
    let mut answer = Vec::new();
    let mut piece = [0; 16 * 1024];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        socket.set_read_timeout(Some(left))?;
        match socket.read(&mut piece) {
            Ok(0) if answer.is_empty() => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(0) => return Ok(answer),
            Ok(octets) => answer.extend_from_slice(&piece[..octets]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if answer.len() as u64 > MAX_ANSWER {
            return Err(io::Error::other("the answer is over 64M"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    const SHORT: Duration = Duration::from_millis(20);

    #[test]
    fn nobody_and_a_silent_listener_are_told_apart() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("control");
        assert!(matches!(ask(&path, "status", SHORT), Err(AskError::Nobody(..))), "there is nothing");
        let silent = UnixListener::bind(&path).expect("bound");
        let error = ask(&path, "status", SHORT).expect_err("no answer");
        assert!(matches!(&error, AskError::NoAnswer(_, why) if why.kind() == ErrorKind::TimedOut), "{error}");
        drop(silent);
        assert!(matches!(ask(&path, "status", SHORT), Err(AskError::Nobody(..))), "it is gone");
        std::fs::write(directory.path().join("file"), "").expect("written");
        assert!(matches!(ask(&directory.path().join("file"), "status", SHORT), Err(AskError::Nobody(..))));
        let long = directory.path().join("x".repeat(200));
        assert!(matches!(ask(&long, "status", SHORT), Err(AskError::Nobody(..))), "too long for a socket");
    }

    #[test]
    fn a_listener_that_closes_without_a_word_has_not_answered() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("control");
        let listener = UnixListener::bind(&path).expect("bound");
        let closing = std::thread::spawn(move || drop(listener.accept().expect("a client")));
        let asked = ask(&path, "status", Duration::from_secs(30));
        assert!(matches!(asked, Err(AskError::NoAnswer(..))), "{asked:?}");
        closing.join().expect("ends");
    }
}
