//! What all connections of a sink share, and the thread that takes them.
//!
//! That thread owns every other: it joins those that end, and when the sink is stopped it cuts all connections off and
//! joins their threads before it ends itself.

use super::connection;
use super::counters::Counters;
use super::halt::{Halt, Line};
use super::options::{Limits, SinkOptions};
use super::outbox::Outbox;
use super::personality::{Behaviour, MessageLimit, Personality};
use super::storage::Storage;
use std::io::{self, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What all connections share.
#[derive(Debug)]
pub(super) struct Shared {
    pub options: SinkOptions,
    /// The personality's, with the options worked in.
    pub behaviour: Behaviour,
    pub counters: Arc<Counters>,
    pub storage: Storage,
    pub halt: Halt,
    pub line: Option<Line>,
}

impl Shared {
    pub(super) fn new(options: SinkOptions) -> io::Result<Shared> {
        Ok(Shared {
            behaviour: behaviour(&options),
            counters: Arc::default(),
            storage: Storage::open(&options)?,
            halt: Halt::default(),
            line: options.rate_kbit.map(Line::new),
            options,
        })
    }
}

/// The personality as the options leave it.
fn behaviour(options: &SinkOptions) -> Behaviour {
    let mut behaviour = options.like.unwrap_or(Personality::Honest).behaviour();
    behaviour.extensions = behaviour.extensions.and(options.extensions);
    behaviour.max_recipients = options.max_recipients.or(behaviour.max_recipients);
    if options.limits != Limits::NONE {
        behaviour.limits = options.limits;
    }
    if let Some(count) = options.max_messages {
        let closes = behaviour.messages.is_some_and(|limit| limit.closes);
        behaviour.messages = Some(MessageLimit { count, closes });
    }
    if behaviour.tarpit.is_some() {
        behaviour.tarpit = options.tarpit.or(behaviour.tarpit);
    }
    behaviour
}

/// A connection as the accepting thread knows it.
struct Live {
    /// Weak, so that the socket is closed when the connection's own threads are done with it.
    stream: Weak<TcpStream>,
    outbox: Arc<Outbox>,
    thread: JoinHandle<()>,
}

/// Takes connections until the sink is halted.
pub(super) fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let (mut live, mut number) = (Vec::new(), 0);
    loop {
        let accepted = listener.accept();
        if shared.halt.is_set() {
            break;
        }
        live = reap(live, shared);
        match accepted {
            Ok((stream, _)) if live.len() >= shared.options.max_connections => refuse(&stream, shared),
            Ok((stream, _)) => {
                number += 1;
                match open(stream, number, shared) {
                    Ok(connection) => live.push(connection),
                    Err(error) => log::error!("sink: connection {number} cannot be served: {error}"),
                }
            }
            // A client that left again, or no descriptor left: neither ends the sink.
            Err(error) => {
                log::warn!("sink: {error}");
                shared.halt.sleep_until(Instant::now() + Duration::from_millis(20));
            }
        }
    }
    for connection in &live {
        connection.outbox.abandon();
        if let Some(stream) = connection.stream.upgrade() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
    live.into_iter().for_each(|connection| join(connection, shared));
}

fn open(stream: TcpStream, number: u64, shared: &Arc<Shared>) -> io::Result<Live> {
    stream.set_nodelay(!shared.behaviour.nagle)?;
    stream.set_read_timeout(Some(shared.options.idle_timeout))?;
    stream.set_write_timeout(Some(shared.options.idle_timeout))?;
    let (stream, outbox) = (Arc::new(stream), Arc::new(Outbox::default()));
    let weak = Arc::downgrade(&stream);
    let thread = std::thread::Builder::new().name(format!("sink-{number}")).spawn({
        let (shared, outbox) = (Arc::clone(shared), Arc::clone(&outbox));
        move || connection::serve(&shared, number, stream, &outbox)
    })?;
    Ok(Live { stream: weak, outbox, thread })
}

fn refuse(mut stream: &TcpStream, shared: &Shared) {
    Counters::one(&shared.counters.connections_refused);
    // A new socket's buffer has room for a line, so this never waits; a client that has gone has no need of it.
    let _ = stream.write_all(b"421 4.3.2 Too many connections\r\n");
}

/// Joins the threads that have ended.
fn reap(live: Vec<Live>, shared: &Shared) -> Vec<Live> {
    let (ended, live) = live.into_iter().partition::<Vec<_>, _>(|connection| connection.thread.is_finished());
    ended.into_iter().for_each(|connection| join(connection, shared));
    live
}

fn join(connection: Live, shared: &Shared) {
    if connection.thread.join().is_err() {
        Counters::one(&shared.counters.panics);
        log::error!("sink: a connection's thread has panicked");
    }
}
