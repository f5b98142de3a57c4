//! The sockets that the door listens on: a UNIX socket per next hop under `<runtime>/nh/`, and TCP addresses.

use super::super::socket::{self, DoorError, SocketFile, SocketMaker};
use crate::config::{Config, Listen};
use crate::mail::NextHop;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixListener;

/// One listening socket.
#[derive(Debug)]
pub(super) enum Listener {
    Unix { socket: UnixListener, next_hop: NextHop, file: SocketFile },
    Tcp { socket: TcpListener, address: SocketAddr },
}

impl Listener {
    /// For `poll(2)`.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Listener::Unix { socket, .. } => socket.as_fd(),
            Listener::Tcp { socket, .. } => socket.as_fd(),
        }
    }

    /// Whose socket it is; `None` for one whose recipients are routed.
    pub(super) fn next_hop(&self) -> Option<&NextHop> {
        match self {
            Listener::Unix { next_hop, .. } => Some(next_hop),
            Listener::Tcp { .. } => None,
        }
    }
}

/// Opens all that the configuration asks for. When one fails, those opened before are removed again.
pub(super) fn open(config: &Config) -> Result<Vec<Listener>, DoorError> {
    check_any(&config.listen, config)?;
    let mut listeners = open_unix(&config.listen, config.next_hops.keys())?;
    for address in &config.listen.lmtp {
        listeners.push(open_tcp(*address)?);
    }
    Ok(listeners)
}

/// Whether there is anything to listen on: TCP addresses, or next hops.
pub(super) fn check_any(listen: &Listen, config: &Config) -> Result<(), DoorError> {
    match config.next_hops.is_empty() && listen.lmtp.is_empty() {
        true => Err(DoorError::Nothing),
        false => Ok(()),
    }
}

/// Opens the sockets of these next hops, or none of them.
pub(super) fn open_unix<'a>(
    listen: &Listen,
    next_hops: impl Iterator<Item = &'a NextHop>,
) -> Result<Vec<Listener>, DoorError> {
    let mut next_hops = next_hops.peekable();
    if next_hops.peek().is_none() {
        return Ok(Vec::new());
    }
    let maker = SocketMaker::new(listen)?;
    socket::make_directory(&listen.runtime_directory.join("nh"))?;
    let open_one = |next_hop: &NextHop| {
        let purpose = format!("next hop {next_hop}");
        let (socket, file) = maker.make(&purpose, &listen.socket_path(next_hop), listen.socket_mode)?;
        Ok(Listener::Unix { socket, next_hop: next_hop.clone(), file })
    };
    next_hops.map(open_one).collect()
}

fn open_tcp(address: SocketAddr) -> Result<Listener, DoorError> {
    let socket = TcpListener::bind(address).map_err(DoorError::system("listen on", address))?;
    socket.set_nonblocking(true).map_err(DoorError::system("listen on", address))?;
    let address = socket.local_addr().map_err(DoorError::system("listen on", address))?;
    Ok(Listener::Tcp { socket, address })
}
