//! What systemd is told, as sd_notify(3) does it: a datagram to NOTIFY_SOCKET, if there is one. A failure hinders
//! nothing, and neither does a reader that does not read: a stop must not hang on it.

use pipelane::net;
use std::io::{self, ErrorKind};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// How long the reader may take to make room.
const PATIENCE: Duration = Duration::from_secs(2);

/// How the service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It works; also when it is done with reading its configuration again, whatever came of that.
    Ready,
    /// It reads its configuration again.
    Reloading,
    /// It is about to end.
    Stopping,
}

/// Tells it.
pub fn notify(state: State) {
    let Ok(path) = std::env::var("NOTIFY_SOCKET") else { return };
    let address = match path.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&path),
    };
    if let Err(error) = address.and_then(|address| send(&text(state), &address)) {
        log::warn!("cannot notify {path}: {error}");
    }
}

fn send(text: &str, to: &SocketAddr) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(PATIENCE))?;
    loop {
        match socket.send_to_addr(text.as_bytes(), to) {
            // A wait with a time is not taken up again by itself behind a signal; and of those there are some.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            sent => return sent.map(drop),
        }
    }
}

fn text(state: State) -> String {
    match state {
        State::Ready => "READY=1".into(),
        // The time tells systemd that this is not the answer to an earlier request.
        State::Reloading => format!("RELOADING=1\nMONOTONIC_USEC={}", net::monotonic().as_micros()),
        State::Stopping => "STOPPING=1".into(),
    }
}
