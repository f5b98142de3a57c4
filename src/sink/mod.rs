//! Floor 6: an SMTP server for trials and tests.
//!
//! It takes mail and keeps it in memory, in a Maildir, or not at all; it counts what it takes exactly; it watches what
//! the client sends and names every mistake; and it can be far away (latency), on a narrow line (rate), or like a
//! server that gets pipelining wrong (personality). Everything a test needs to know is in [`Totals`] and [`Received`].
//!
//! # Shape
//!
//! ```text
//!   server      one thread takes connections, owns their threads, joins them at the end
//!   connection  two threads each: reader and writer; how the connection ends
//!     session     reader: bytes -> command lines -> the handlers; groups, errors, what personalities do
//!       hello       EHLO, HELO, RSET
//!       envelope    MAIL, RCPT        command, parameters, script: pure parsing
//!       content     DATA, BDAT        inspection: pure checks; storage: where messages go
//!       answers     when a reply is due, which are held back together
//!     outbox      writer: each reply when it is due
//! ```
//!
//! # Promises
//!
//! - A message is counted and kept exactly when it is accepted; its 250 is given afterwards. A client that does not get
//!   the 250 has a message in doubt, and the sink knows the truth.
//! - Latency is a full round trip: the reply to what was received at *t* is written at *t* + latency, and reading never
//!   waits for it, so a pipelined group costs one latency. Replies keep their order; those due together leave in one write.
//! - The rate holds for all connections together, and only for what is received.
//! - Every buffer is bounded; so is the number of connections. [`Sink::stop`] leaves no thread behind.
//! - No mistake is counted that a client following the RFCs and sending RSET after failed transactions could make:
//!   commands that come out of a chunk which the sink itself failed to consume, and lines cut in two because the sink threw input
//!   away, are not held against it.
//!
//! # Not here
//!
//! TLS, AUTH, LMTP, queueing, and safety against loss of power.

mod answers;
mod command;
mod connection;
mod content;
mod counters;
mod envelope;
mod halt;
mod hello;
mod input;
mod inspection;
mod options;
mod outbox;
mod parameters;
mod personality;
mod script;
mod server;
mod session;
mod storage;

pub use counters::{Counters, MAX_MISTAKES, Mistake, Totals};
pub use options::{Extensions, Limits, SinkOptions, Store};
pub use personality::Personality;
pub use storage::{By, Received, ReceivedRecipient};

use personality::Closing;
use server::Shared;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Why a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The client has closed, or its side of it.
    Peer,
    /// The socket is broken.
    Broken,
    /// The sink is being stopped.
    Halted,
    /// The client was silent for too long.
    Idle,
    /// The server closes.
    Close(Closing),
}

/// A running server. Dropping it stops it.
#[derive(Debug)]
pub struct Sink {
    address: SocketAddr,
    shared: Arc<Shared>,
    listener: Arc<TcpListener>,
    thread: Option<JoinHandle<()>>,
}

impl Sink {
    /// Starts one. Fails when the address cannot be had or the store cannot be opened.
    pub fn start(options: SinkOptions) -> io::Result<Sink> {
        let shared = Arc::new(Shared::new(options)?);
        let listener = Arc::new(listen(&shared)?);
        let address = listener.local_addr()?;
        let thread = std::thread::Builder::new().name("sink".to_owned()).spawn({
            let (listener, shared) = (Arc::clone(&listener), Arc::clone(&shared));
            move || server::accept(&listener, &shared)
        })?;
        Ok(Sink { address, shared, listener, thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The live numbers, for a progress bar.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.shared.counters)
    }

    /// The numbers at this moment.
    pub fn totals(&self) -> Totals {
        self.shared.counters.totals()
    }

    /// The messages of [`Store::Memory`], in the order in which they were accepted.
    pub fn messages(&self) -> Vec<Received> {
        self.shared.storage.messages()
    }

    /// The same, and forgets them.
    pub fn take_messages(&self) -> Vec<Received> {
        self.shared.storage.take()
    }

    /// Waits until so many messages were accepted in all; `false` when the time ran out first.
    pub fn wait_for_messages(&self, count: u64, patience: Duration) -> bool {
        self.wait_until(patience, |counters| counters.messages.load(Ordering::SeqCst) >= count)
    }

    /// Waits until no connection is open; `false` when the time ran out first.
    pub fn wait_until_idle(&self, patience: Duration) -> bool {
        self.wait_until(patience, |counters| counters.open_connections.load(Ordering::SeqCst) == 0)
    }

    fn wait_until(&self, patience: Duration, done: impl Fn(&Counters) -> bool) -> bool {
        let deadline = Instant::now() + patience;
        while !done(&self.shared.counters) {
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        true
    }

    /// Stops listening, cuts off every connection and joins every thread. May be called again.
    pub fn stop(&mut self) {
        self.shared.halt.set();
        // Wakes the thread that waits in accept(2); close(2) would not.
        let _ = socket2::SockRef::from(&*self.listener).shutdown(Shutdown::Both);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("sink: the accepting thread has panicked");
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A listening socket, with a small receive buffer for a narrow line (it is inherited, and must be set before).
fn listen(shared: &Shared) -> io::Result<TcpListener> {
    use socket2::{Domain, Protocol, Socket, Type};
    let address = shared.options.listen;
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if let Some(line) = &shared.line {
        socket.set_recv_buffer_size(line.receive_buffer())?;
    }
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    Ok(socket.into())
}
