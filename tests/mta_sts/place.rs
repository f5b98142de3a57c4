//! The domain `a.test`: its zone, its host of policies, and a client that asks for them.

use crate::certificates::Certificates;
use crate::dns::{A, Asked, MX, NXDOMAIN, Reply, TLSA, TXT, TestServer};
use crate::sync::{Condvar, Mutex};
use openssl::ssl::{ShutdownResult, SslAcceptor, SslStream};
use pipelane::config::TlsSettings;
use pipelane::net::Wake;
use pipelane::net::dns::{Name, Resolver, Server, Settings, Wait};
use pipelane::net::mta_sts::{Errand, Found, Policies};
use pipelane::net::tls::Connectors;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A moment in the tests' time.
pub fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds)
}

/// A policy that holds for a day.
pub fn policy(mode: &str, servers: &[&str]) -> String {
    let servers: String = servers.iter().map(|server| format!("mx: {server}\r\n")).collect();
    format!("version: STSv1\r\nmode: {mode}\r\n{servers}max_age: 86400\r\n")
}

/// A response with this body, as servers make it.
pub fn page(body: &str) -> Vec<u8> {
    response("200 OK", "text/plain", body)
}

pub fn response(status: &str, kind: &str, body: &str) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n", body.len());
    format!("{head}Connection: close\r\n\r\n{body}").into_bytes()
}

/// What a name server says. Nothing is to be remembered of it.
pub struct Zone {
    records: Arc<Mutex<Vec<(String, u16, String)>>>,
    fails: Arc<AtomicBool>,
    pub server: TestServer,
}

impl Zone {
    /// `a.test` with its only mail server `mx.test`, its host of policies, and this record, if any.
    pub fn start(record: Option<&str>) -> Zone {
        let records = Arc::<Mutex<Vec<(String, u16, String)>>>::default();
        let fails = Arc::<AtomicBool>::default();
        let (known, broken) = (Arc::clone(&records), Arc::clone(&fails));
        let server = TestServer::start(move |asked| {
            let is_broken = asked.rtype == TXT && broken.load(Ordering::SeqCst);
            vec![if is_broken { Reply::to(asked).rcode(2) } else { answer(asked, &known.lock()) }.octets()]
        });
        let zone = Zone { records, fails, server };
        zone.add("mta-sts.a.test", A, "127.0.0.1");
        zone.add("mx.test", A, "127.0.0.1");
        zone.add("evil.test", A, "127.0.0.1");
        zone.add("a.test", MX, "20 mx.test");
        zone.say(record);
        zone
    }

    pub fn add(&self, name: &str, rtype: u16, data: &str) {
        self.records.lock().push((name.to_owned(), rtype, data.to_owned()));
    }

    /// The domain's record, instead of the one before.
    pub fn say(&self, record: Option<&str>) {
        self.records.lock().retain(|(_, rtype, _)| *rtype != TXT);
        record.iter().for_each(|record| self.add("_mta-sts.a.test", TXT, record));
    }

    /// From now on it has no answer about texts.
    pub fn fail(&self) {
        self.fails.store(true, Ordering::SeqCst);
    }

    /// Mail for the domain goes to these, in this order.
    pub fn servers(&self, names: &[&str]) {
        self.records.lock().retain(|(_, rtype, _)| *rtype != MX);
        names.iter().enumerate().for_each(|(at, name)| self.add("a.test", MX, &format!("{at} {name}")));
    }
}

fn answer(asked: &Asked, records: &[(String, u16, String)]) -> Reply {
    let of_name = || records.iter().filter(|(name, ..)| *name == asked.name);
    let reply = Reply::to(asked);
    if of_name().next().is_none() {
        return reply.rcode(NXDOMAIN);
    }
    // As a server that has validated it.
    let reply = if asked.rtype == TLSA || asked.rtype == MX || asked.rtype == A { reply.secure() } else { reply };
    of_name()
        .filter(|(_, rtype, _)| *rtype == asked.rtype)
        .fold(reply, |reply, (name, rtype, data)| reply.record(name, *rtype, 0, data))
}

#[derive(Default)]
struct State {
    response: Vec<u8>,
    requests: Vec<String>,
    /// It says nothing until this is over.
    is_held: bool,
    /// It ends without a close_notify.
    is_cut: bool,
}

/// A server of HTTPS that says one thing. It ends with the value, and then nobody listens there.
pub struct PolicyHost {
    address: SocketAddr,
    state: Arc<(Mutex<State>, Condvar)>,
    halt: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl PolicyHost {
    /// With the certificate of this name, and this response.
    pub fn start(certificate: &str, response: Vec<u8>) -> PolicyHost {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port");
        let address = listener.local_addr().expect("bound");
        let state = Arc::<(Mutex<State>, Condvar)>::default();
        state.0.lock().response = response;
        let (halt, acceptor) = (Arc::<AtomicBool>::default(), Certificates::get().acceptor(certificate));
        let (is_over, shared) = (Arc::clone(&halt), Arc::clone(&state));
        let thread = thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if is_over.load(Ordering::SeqCst) {
                    return;
                }
                // What a client makes of it is the test's to look at.
                let _ = serve(client, &acceptor, &shared);
            }
        });
        PolicyHost { address, state, halt, thread: Some(thread) }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn say(&self, response: Vec<u8>) {
        self.state.0.lock().response = response;
    }

    /// Whether it ends without telling so.
    pub fn cut(&self, is_cut: bool) {
        self.state.0.lock().is_cut = is_cut;
    }

    /// Whether it waits with its responses.
    pub fn hold(&self, is_held: bool) {
        self.state.0.lock().is_held = is_held;
        self.state.1.notify_all();
    }

    /// The requests that came, each as far as its empty line.
    pub fn requests(&self) -> Vec<String> {
        self.state.0.lock().requests.clone()
    }

    /// Waits until so many requests have come.
    pub fn wait_for(&self, count: usize) {
        let (mut state, until) = (self.state.0.lock(), Instant::now() + crate::LONG);
        while state.requests.len() < count {
            assert!(!self.state.1.wait_until(&mut state, until).timed_out(), "no request came");
        }
    }
}

impl Drop for PolicyHost {
    fn drop(&mut self) {
        self.hold(false);
        self.halt.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        self.thread.take().map(JoinHandle::join);
    }
}

fn serve(client: TcpStream, acceptor: &SslAcceptor, shared: &(Mutex<State>, Condvar)) -> io::Result<()> {
    client.set_read_timeout(Some(crate::LONG))?;
    let mut stream = acceptor.accept(client).map_err(io::Error::other)?;
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut octet = [0];
        stream.read_exact(&mut octet)?;
        request.push(octet[0]);
    }
    let (response, is_cut) = {
        let mut state = shared.0.lock();
        state.requests.push(String::from_utf8_lossy(&request).into_owned());
        shared.1.notify_all();
        let until = Instant::now() + crate::LONG;
        while state.is_held {
            shared.1.wait_until(&mut state, until);
        }
        (state.response.clone(), state.is_cut)
    };
    stream.write_all(&response)?;
    if !is_cut {
        farewell(&mut stream)?;
    }
    Ok(())
}

/// Tells the client that this was all, and waits until it has gone, so that no reset overtakes what was said.
fn farewell(stream: &mut SslStream<TcpStream>) -> io::Result<()> {
    if stream.shutdown().map_err(io::Error::other)? == ShutdownResult::Sent {
        stream.get_mut().read_to_end(&mut Vec::new())?;
    }
    Ok(())
}

/// One who asks this zone, and remembers nothing yet.
pub fn resolver(zone: &Zone) -> Resolver {
    Resolver::new(Settings { timeout: crate::LONG, ..Settings::of(vec![Server::new(zone.server.address)]) })
}

/// One who asks for the policy of `a.test`.
pub struct Client {
    pub policies: Policies,
    resolver: Resolver,
    connectors: Connectors,
    tls: TlsSettings,
}

impl Client {
    pub fn new(zone: &Zone, port: u16, directory: Option<&Path>) -> Client {
        let ca_file = Some(Certificates::get().path("ca.pem"));
        Client {
            policies: Policies::new(directory.map(Path::to_owned)).on_port(port),
            resolver: resolver(zone),
            connectors: Connectors::default(),
            tls: TlsSettings { ca_file, ..TlsSettings::default() },
        }
    }

    pub fn find(&self, now: SystemTime) -> Found {
        self.find_within(crate::LONG, None, now)
    }

    pub fn find_within(&self, patience: Duration, wake: Option<&Wake>, now: SystemTime) -> Found {
        let wait = Wait { until: Instant::now() + patience, wake };
        self.find_by(&self.resolver, wait, now)
    }

    pub fn find_by(&self, resolver: &Resolver, wait: Wait<'_>, now: SystemTime) -> Found {
        let (connectors, tls) = (&self.connectors, &self.tls);
        let errand = Errand { resolver, connectors, tls, source_address: None, wait };
        self.policies.find(&Name::parse("a.test").expect("a name"), &errand, now)
    }

    /// The servers of the policy that holds, or none.
    pub fn servers(&self, now: SystemTime) -> Option<Vec<String>> {
        servers(&self.find(now))
    }
}

/// The servers that the policy names.
pub fn servers(found: &Found) -> Option<Vec<String>> {
    found.policy.as_ref().map(|policy| policy.patterns.iter().map(ToString::to_string).collect())
}

/// What is worth a line in a log.
pub fn news(found: &Found) -> String {
    found.news.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
