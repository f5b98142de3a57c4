//! The door itself: one thread that accepts on all sockets, a thread per client, and the end.
//!
//! Promises: at most `listen.max_clients` clients at once, more are told 421 at the greeting; a panic in one session
//! ends that client only; after [`LmtpDoor::stop`] no client is accepted, those that owe us a command are told 421 and
//! left, and those that wait for a result still get it.
//!
//! A further configuration is followed in two steps. [`LmtpDoor::prepare`] opens what is new and changes nothing that
//! is there, so that a socket that cannot be made leaves the door as it was; [`LmtpDoor::follow`] then changes over,
//! and cannot fail. What is in `[listen]` stays as it was when the door opened.

use super::super::socket::DoorError;
use super::super::{Delivery, Reply};
use super::client::Client;
use super::listener::{self, Listener};
use super::session::{Patience, Session};
use super::wire::Stop;
use crate::config::{Config, Listen};
use crate::mail::NextHop;
use crate::net::{self, Interest, Wake, Watch};
use crate::sync::{Condvar, Mutex, Receiver, Sender, bounded, unbounded};
use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixListener;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long a client may leave our replies unread.
const WRITE_PATIENCE: Duration = Duration::from_secs(300);

/// How long nothing is accepted when the process has no descriptor or thread left.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(250);

/// An open LMTP door. Dropped, it stops.
pub struct LmtpDoor {
    stop: Stop,
    crowd: Arc<Crowd>,
    addresses: Vec<SocketAddr>,
    listen: Listen,
    /// The next hops that have a socket.
    next_hops: Mutex<BTreeSet<NextHop>>,
    changes: Sender<Change>,
    changed: Wake,
    acceptor: Mutex<Option<JoinHandle<()>>>,
}

/// What a further configuration changes in the door: sockets that are open already, and next hops that lose theirs.
#[derive(Debug)]
pub struct Prepared {
    added: Vec<Listener>,
    removed: Vec<NextHop>,
}

/// A change on its way to the acceptor.
struct Change {
    what: Prepared,
    /// Dropped when it is done.
    _done: Sender<()>,
}

impl LmtpDoor {
    /// Opens all sockets of the configuration and begins to accept.
    pub fn start<D: Delivery>(delivery: Arc<D>, config: &Config) -> Result<LmtpDoor, DoorError> {
        LmtpDoor::start_with(delivery, config, Patience::default())
    }

    /// As [`LmtpDoor::start`], with other waiting times.
    pub fn start_with<D: Delivery>(
        delivery: Arc<D>,
        config: &Config,
        patience: Patience,
    ) -> Result<LmtpDoor, DoorError> {
        let listeners = listener::open(config)?;
        let stop = Stop::new().map_err(DoorError::system("open", "an eventfd"))?;
        let changed = Wake::new().map_err(DoorError::system("open", "an eventfd"))?;
        let (changes, inbox) = unbounded();
        let tcp = |one: &Listener| match one {
            Listener::Tcp { address, .. } => Some(*address),
            Listener::Unix { .. } => None,
        };
        let addresses = listeners.iter().filter_map(tcp).collect();
        let crowd = Arc::new(Crowd { limit: config.listen.max_clients, ..Crowd::default() });
        let host = Host { delivery, name: host_name().into(), patience, stop: stop.clone(), crowd: Arc::clone(&crowd) };
        let mut acceptor = Acceptor { host, listeners, changes: inbox, changed: changed.clone() };
        let acceptor = thread::Builder::new().name("lmtp-accept".into()).spawn(move || acceptor.run());
        let acceptor = Mutex::new(Some(acceptor.map_err(DoorError::system("start", "a thread"))?));
        let next_hops = Mutex::new(config.next_hops.keys().cloned().collect());
        let listen = config.listen.clone();
        Ok(LmtpDoor { stop, crowd, addresses, listen, next_hops, changes, changed, acceptor })
    }

    /// Opens the sockets of this configuration's new next hops. Nobody is accepted on them before [`LmtpDoor::follow`]:
    /// whoever connects waits. Dropped instead, they are removed again.
    pub fn prepare(&self, config: &Config) -> Result<Prepared, DoorError> {
        listener::check_any(&self.listen, config)?;
        let present = self.next_hops.lock().clone();
        let added = config.next_hops.keys().filter(|hop| !present.contains(*hop));
        let added = listener::open_unix(&self.listen, added)?;
        let removed = present.into_iter().filter(|hop| !config.next_hops.contains_key(hop)).collect();
        Ok(Prepared { added, removed })
    }

    /// Accepts on the new sockets, and removes those of next hops that are gone: who is connected there, or waits to
    /// be, is served to the end. Returns when it is done. A door that was stopped stays so.
    pub fn follow(&self, change: Prepared) {
        {
            let mut next_hops = self.next_hops.lock();
            next_hops.retain(|hop| !change.removed.contains(hop));
            next_hops.extend(change.added.iter().filter_map(Listener::next_hop).cloned());
        }
        let (done, is_done) = bounded::<()>(0);
        if self.changes.send(Change { what: change, _done: done }).is_ok() {
            self.changed.signal();
            // Never a message: the sender is dropped when the change is done, or with an acceptor that has ended.
            let _ = is_done.recv();
        }
    }

    /// The TCP addresses listened on, with the ports that the system chose.
    pub fn tcp_addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Clients connected at this moment.
    pub fn clients(&self) -> usize {
        *self.crowd.present.lock()
    }

    /// Accepts no more, removes the sockets, and leaves the clients that nothing is owed to. Those that wait for a
    /// result stay until it comes: stop the engine next, then [`LmtpDoor::wait`].
    pub fn stop(&self) {
        self.stop.request();
        let acceptor = self.acceptor.lock().take();
        if acceptor.is_some_and(|acceptor| acceptor.join().is_err()) {
            log::error!("the LMTP acceptor had panicked");
        }
    }

    /// Waits until the last client has left; `false` when some were still there at the end of `patience`.
    pub fn wait(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let mut present = self.crowd.present.lock();
        while *present > 0 {
            if self.crowd.left.wait_until(&mut present, deadline).timed_out() {
                return *present == 0;
            }
        }
        true
    }
}

impl Drop for LmtpDoor {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for LmtpDoor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LmtpDoor").field("addresses", &self.addresses).field("clients", &self.clients()).finish()
    }
}

/// Serves one client to its end, in this thread. `next_hop` is `None` for one whose recipients are routed.
pub fn serve_client<D: Delivery, C: Client>(
    delivery: &D,
    next_hop: Option<NextHop>,
    patience: Patience,
    client: C,
    stop: Stop,
) -> io::Result<()> {
    Session::new(delivery, next_hop, &host_name(), patience, client, stop).map(Session::run)
}

/// What every session of the door needs.
struct Host<D> {
    delivery: Arc<D>,
    name: Arc<str>,
    patience: Patience,
    stop: Stop,
    crowd: Arc<Crowd>,
}

/// How many clients there are.
#[derive(Default)]
struct Crowd {
    limit: usize,
    present: Mutex<usize>,
    left: Condvar,
}

/// One client's place; given back when its thread ends, however it ends.
struct Place(Arc<Crowd>);

impl Place {
    fn take(crowd: &Arc<Crowd>) -> Option<Place> {
        let mut present = crowd.present.lock();
        if *present >= crowd.limit {
            return None;
        }
        *present += 1;
        Some(Place(Arc::clone(crowd)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *self.0.present.lock() -= 1;
        self.0.left.notify_all();
    }
}

/// The thread that accepts, with its sockets. They are removed when it ends.
struct Acceptor<D> {
    host: Host<D>,
    listeners: Vec<Listener>,
    changes: Receiver<Change>,
    changed: Wake,
}

impl<D: Delivery> Acceptor<D> {
    fn run(&mut self) {
        while !self.host.stop.is_requested() {
            let ready = match self.wait() {
                Ok(ready) => ready,
                Err(error) => return log::error!("cannot wait for LMTP clients: {error}"),
            };
            for (one, _) in self.listeners.iter().zip(ready).filter(|(_, ready)| *ready) {
                if let Err(error) = accept(&self.host, one) {
                    log::warn!("cannot accept an LMTP client: {error}");
                    pause(&self.host.stop);
                }
            }
            // Cleared before looking: a change that comes in between signals again.
            self.changed.clear();
            while let Ok(change) = self.changes.try_recv() {
                self.follow(change.what);
            }
        }
    }

    /// Waits for a client, a change or the end. Says of each listener whether somebody is there.
    fn wait(&self) -> io::Result<Vec<bool>> {
        let others = [self.host.stop.wake().fd(), self.changed.fd()];
        let fds = self.listeners.iter().map(Listener::fd).chain(others);
        let mut watches: Vec<_> = fds.map(|fd| Watch::new(fd, Interest::Read)).collect();
        net::poll(&mut watches, None)?;
        Ok(watches.iter().take(self.listeners.len()).map(Watch::is_ready).collect())
    }

    fn follow(&mut self, change: Prepared) {
        let is_gone = |one: &mut Listener| one.next_hop().is_some_and(|hop| change.removed.contains(hop));
        let gone: Vec<Listener> = self.listeners.extract_if(.., is_gone).collect();
        gone.into_iter().for_each(|one| dismiss(&self.host, one));
        self.listeners.extend(change.added);
    }
}

/// Removes the name first, so that nobody comes any more, and then takes those who were waiting.
fn dismiss<D: Delivery>(host: &Host<D>, listener: Listener) {
    let Listener::Unix { socket, next_hop, file } = listener else { return };
    drop(file);
    loop {
        match accept_unix(host, &socket, &next_hop) {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => return log::warn!("cannot accept the last clients for {next_hop}: {error}"),
        }
    }
}

/// Waits a little, unless the door closes.
fn pause(stop: &Stop) {
    let mut watches = [Watch::new(stop.wake().fd(), Interest::Read)];
    // The only failure is a lack of memory, and then the next accept says so.
    let _ = net::poll(&mut watches, Some(Instant::now() + EXHAUSTED_PAUSE));
}

fn accept<D: Delivery>(host: &Host<D>, listener: &Listener) -> io::Result<()> {
    match listener {
        Listener::Unix { socket, next_hop, .. } => accept_unix(host, socket, next_hop).map(drop),
        Listener::Tcp { socket, .. } => {
            let Some((client, _)) = gone_again(socket.accept())? else { return Ok(()) };
            client.set_nodelay(true)?;
            client.set_write_timeout(Some(WRITE_PATIENCE))?;
            admit(host, client, None)
        }
    }
}

/// Whether there was one.
fn accept_unix<D: Delivery>(host: &Host<D>, socket: &UnixListener, next_hop: &NextHop) -> io::Result<bool> {
    let Some((client, _)) = gone_again(socket.accept())? else { return Ok(false) };
    client.set_write_timeout(Some(WRITE_PATIENCE))?;
    admit(host, client, Some(next_hop.clone())).map(|()| true)
}

/// A client that left between `poll` and `accept` is no error.
fn gone_again<T>(accepted: io::Result<T>) -> io::Result<Option<T>> {
    use io::ErrorKind::{ConnectionAborted, Interrupted, WouldBlock};
    match accepted {
        Ok(client) => Ok(Some(client)),
        Err(error) if matches!(error.kind(), ConnectionAborted | Interrupted | WouldBlock) => Ok(None),
        Err(error) => Err(error),
    }
}

fn admit<D: Delivery, C: Client + Write + 'static>(
    host: &Host<D>,
    mut client: C,
    next_hop: Option<NextHop>,
) -> io::Result<()> {
    let Some(place) = Place::take(&host.crowd) else {
        let mut line = Vec::new();
        Reply::new(421, 3, 2, "pipelane has as many clients as it may; try again later").write_to(&mut line);
        // A new socket's buffer takes this line at once; a client that has left does not need it.
        let _ = Client::write_all(&mut client, &line);
        return Ok(());
    };
    let (delivery, name) = (Arc::clone(&host.delivery), Arc::clone(&host.name));
    let (patience, stop) = (host.patience.clone(), host.stop.clone());
    let work = move || {
        let _place = place;
        let served = catch_unwind(AssertUnwindSafe(|| {
            Session::new(&*delivery, next_hop, &name, patience, client, stop).map(Session::run)
        }));
        match served {
            Ok(Ok(())) => {}
            Ok(Err(error)) => log::warn!("cannot serve an LMTP client: {error}"),
            Err(_) => log::error!("an LMTP session panicked; its client will try again"),
        }
    };
    thread::Builder::new().name("lmtp-client".into()).spawn(work).map(drop)
}

/// This host's name for greetings.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    match name.is_empty() || name.len() > 255 || !name.bytes().all(plain) {
        true => "localhost".into(),
        false => name.into(),
    }
}
