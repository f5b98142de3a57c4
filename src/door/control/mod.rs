//! The control door: a UNIX socket, `<runtime>/control`, on which `pipelane status` is answered.
//!
//! A client sends one line and gets one JSON document, ended by a line end; then the connection is closed. The only
//! request is `status`; any other is answered by an object with an `error`.
//!
//! Promises: whatever its clients do, the engine is asked for its status ten times a second at the most, and nothing
//! else of it is touched; [`CLIENTS`] at a time are served, further ones wait in the backlog; each is left after
//! [`PATIENCE`], whether it was silent, slow or done. Who may connect is who may send mail by the sockets of
//! `[listen]`, but never everybody on the machine: what others send and where to is not for all to see.
//!
//! One thread serves all clients, each as far as it goes without waiting: the answer is at hand, so a thread for each
//! would only wait for a client, and clients one after another would wait for the first that is silent.
//!
//! Files: `exchange` one client, `answers` what is said, `client` the other end.

mod answers;
mod client;
mod exchange;

pub use client::{AskError, ask};

use super::socket::{DoorError, SocketFile, SocketMaker};
use crate::config::Listen;
use crate::engine::EngineStatus;
use crate::net::{self, Interest, Wake, Watch};
use answers::Answers;
use exchange::Exchange;
use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Clients at once.
pub const CLIENTS: usize = 64;

/// How long a client may take, from its connection to the last octet of the answer.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// How long nothing is accepted when the process has no descriptor left.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(250);

/// An open control door. Dropped, it closes and its socket is removed.
pub struct ControlDoor {
    stop: Wake,
    thread: Option<JoinHandle<()>>,
}

impl ControlDoor {
    /// Opens the socket and begins to answer with what `status` tells.
    pub fn start(
        listen: &Listen,
        status: impl Fn() -> EngineStatus + Send + 'static,
    ) -> Result<ControlDoor, DoorError> {
        let maker = SocketMaker::new(listen)?;
        let (socket, file) = maker.make("control", &listen.control_path(), listen.socket_mode & 0o770)?;
        let stop = Wake::new().map_err(DoorError::system("open", "an eventfd"))?;
        let answers = Answers::new(status);
        let mut desk =
            Desk { socket, _file: file, stop: stop.clone(), answers, clients: Vec::new(), closed_until: None };
        let thread = thread::Builder::new().name("control".into()).spawn(move || desk.run());
        Ok(ControlDoor { stop, thread: Some(thread.map_err(DoorError::system("start", "a thread"))?) })
    }
}

impl Drop for ControlDoor {
    fn drop(&mut self) {
        self.stop.signal();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            log::error!("the control door had panicked");
        }
    }
}

impl fmt::Debug for ControlDoor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControlDoor").finish_non_exhaustive()
    }
}

/// The thread's own: the socket, and who is being served.
struct Desk<F> {
    socket: UnixListener,
    _file: SocketFile,
    stop: Wake,
    answers: Answers<F>,
    clients: Vec<Exchange>,
    /// Accepting has failed; it is tried again then.
    closed_until: Option<Instant>,
}

impl<F: Fn() -> EngineStatus> Desk<F> {
    fn run(&mut self) {
        while !self.stop.is_signalled() {
            if let Err(error) = self.wait() {
                return log::error!("cannot wait for control clients any more: {error}");
            }
            let now = Instant::now();
            let answers = &mut self.answers;
            self.clients.retain_mut(|client| client.go_on(|request| answers.to(request, now)) && !client.is_late(now));
            self.closed_until = self.closed_until.filter(|until| *until > now);
            if let Err(error) = self.accept(now) {
                log::warn!("cannot accept a control client: {error}");
                self.closed_until = Some(now + EXHAUSTED_PAUSE);
            }
        }
    }

    fn is_open(&self) -> bool {
        self.clients.len() < CLIENTS && self.closed_until.is_none()
    }

    /// Waits until a client can go on or is late, another one comes, or the door closes.
    fn wait(&self) -> io::Result<()> {
        let mut watches = vec![Watch::new(self.stop.fd(), Interest::Read)];
        if self.is_open() {
            watches.push(Watch::new(self.socket.as_fd(), Interest::Read));
        }
        watches.extend(self.clients.iter().map(Exchange::watch));
        let deadlines = self.clients.iter().map(Exchange::deadline);
        net::poll(&mut watches, deadlines.chain(self.closed_until).min()).map(drop)
    }

    /// Takes those who are there, while there is a place. What they ask is looked at in the next turn.
    fn accept(&mut self, now: Instant) -> io::Result<()> {
        use io::ErrorKind::{ConnectionAborted, Interrupted, WouldBlock};
        while self.is_open() {
            match self.socket.accept() {
                Ok((stream, _)) => self.clients.push(Exchange::new(stream, now + PATIENCE)?),
                Err(error) if error.kind() == WouldBlock => break,
                Err(error) if matches!(error.kind(), ConnectionAborted | Interrupted) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
