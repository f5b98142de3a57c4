//! What systemd is told, as sd_notify(3) does it: a datagram to NOTIFY_SOCKET, if there is one. A failure hinders nothing.

use pipelane::net;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

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
    let sent = UnixDatagram::unbound().and_then(|socket| socket.send_to_addr(text(state).as_bytes(), &address?));
    if let Err(error) = sent {
        log::warn!("cannot notify {path}: {error}");
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
