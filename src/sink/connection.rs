//! One connection from accept to close: its two threads, and how it ends.

use super::counters::{Counters, Level};
use super::outbox::Outbox;
use super::personality::{Closing, Greeting};
use super::server::Shared;
use super::session::Session;
use std::io::Read;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the client is given to close after us.
const LINGER: Duration = Duration::from_secs(2);

/// Serves one client. When this returns, the socket is closed and the writer's thread has ended.
pub(super) fn serve(shared: &Arc<Shared>, number: u64, stream: Arc<TcpStream>, outbox: &Arc<Outbox>) {
    Counters::one(&shared.counters.connections);
    let _open = shared.counters.rise(Level::Connections);
    if shared.behaviour.greeting == Greeting::Mute {
        drain(shared, &stream, shared.options.idle_timeout);
        return;
    }
    let writer = std::thread::Builder::new().name(format!("sink-{number}-out")).spawn({
        let (stream, outbox, nagle) = (Arc::clone(&stream), Arc::clone(outbox), shared.behaviour.nagle);
        move || outbox.run(&stream, nagle)
    });
    let Ok(writer) = writer else {
        log::error!("sink: no thread for connection {number}");
        return;
    };
    let _unwinding = Unwinding(outbox);
    let mut session = Session::new(shared, number, Arc::clone(&stream), outbox);
    let closing = session.run();
    // Asked before the replies are waited for: what comes in meanwhile makes the kernel reset by itself.
    let reset = match closing {
        None | Some(Closing::Drain) => false,
        Some(Closing::Abort) => true,
        Some(Closing::Reset | Closing::ResetLosingReplies) => session.has_unread(),
    };
    outbox.finish();
    if writer.join().is_err() {
        log::error!("sink: the writer of connection {number} has panicked");
    }
    if reset {
        let _ = socket2::SockRef::from(&*stream).set_linger(Some(Duration::ZERO));
    } else if closing == Some(Closing::Drain) {
        let _ = stream.shutdown(Shutdown::Write);
        drain(shared, &stream, LINGER);
    }
}

/// Lets the writer go when the reader panics.
struct Unwinding<'a>(&'a Outbox);

impl Drop for Unwinding<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.abandon();
        }
    }
}

/// Throws input away until the client closes or the time is over, so that no reset overtakes the replies.
fn drain(shared: &Shared, mut stream: &TcpStream, patience: Duration) {
    let (deadline, mut junk) = (Instant::now() + patience, [0; 4096]);
    while let Some(left) = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        if stream.set_read_timeout(Some(left)).is_err() {
            return;
        }
        match stream.read(&mut junk) {
            Ok(0) | Err(_) => return,
            Ok(octets) => Counters::many(&shared.counters.octets, octets as u64),
        }
    }
}
