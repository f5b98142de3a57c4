//! Making a connection: one server after the other is dialled, until a session is ready to be driven.

use super::gauge::Gauge;
use super::ledger::Ledger;
use super::policy;
use super::secure::Encryption;
use super::servers::{Owner, Server};
use crate::config::{NextHopSettings, Protocol, TlsPolicy};
use crate::mail::{NextHop, Outcome};
use crate::net::dns::RouteError;
use crate::net::{DialError, DialOptions, Duplex, Endpoint, Target, Wake, dial_addresses, dial_unix};
use crate::smtp::{Auth, Knowledge, Reply, Session, SessionOptions, WindowBounds};
use log::{debug, warn};
use std::net::SocketAddr;
use std::sync::Arc;
use thiserror::Error;

/// Addresses of one destination that are asked in turn when each refuses the session.
const SESSIONS: usize = 5;

/// Octets that the kernel holds at the most before they are on the wire, on a lane that may have to pause.
const FEW_UNSENT: u32 = 16 * 1024;

/// Why no connection can be used.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Its servers could not be found.
    #[error("{0}")]
    Route(#[from] RouteError),
    /// No address could be connected to.
    #[error("{0}")]
    Dial(#[from] DialError),
    /// The server greeted with a refusal, or refused EHLO and HELO.
    #[error("{server} refused the session: {reply}")]
    NotReady {
        /// Which.
        server: String,
        /// Its words.
        reply: Reply,
    },
    /// The connection must be encrypted and the server does not do it.
    #[error("{server}: {text}; the policy for it is tls = \"{policy}\", so nothing is sent to it in clear")]
    NotSecure {
        /// Which.
        server: String,
        /// What is asked of it.
        policy: TlsPolicy,
        /// What it said.
        text: String,
    },
    /// There are credentials for the server, and it is no server to log in at, or refused them.
    #[error("{server}: {text}{}", .reply.as_ref().map(|reply| format!(": {reply}")).unwrap_or_default())]
    NotAuthenticated {
        /// Which.
        server: String,
        /// What stands against it.
        text: String,
        /// Its words, where it refused.
        reply: Option<Reply>,
    },
    /// The file of users and passwords cannot be used.
    #[error("auth_file: {0}")]
    Credentials(String),
    /// What our own settings for TLS name cannot be used.
    #[error("{server}: no TLS can be begun: {text}")]
    TlsSettings {
        /// Which.
        server: String,
        /// Which file, and why.
        text: String,
    },
    /// TLS was begun and failed.
    #[error("{server}: {text} (tls = \"{policy}\")")]
    Handshake {
        /// Which.
        server: String,
        /// What is asked of it.
        policy: TlsPolicy,
        /// What failed.
        text: String,
        /// An earlier session was offered; another try has none.
        resumed: bool,
    },
    /// Somebody has put octets behind its consent to STARTTLS (CVE-2011-0411).
    #[error("{server}: {text}")]
    Injected {
        /// Which.
        server: String,
        /// What came.
        text: String,
    },
    /// The server must be vouched for by TLSA records, and it is not.
    #[error("{server}: {text}; the policy for it is tls = \"{policy}\"")]
    NotVouched {
        /// Which.
        server: String,
        /// What is asked of it.
        policy: TlsPolicy,
        /// What is missing.
        text: String,
    },
    /// The mail domain says that this is none of its servers (RFC 8461).
    #[error("{server}: the MTA-STS policy of {domain} does not name this server, so nothing is sent to it")]
    NotNamed {
        /// Which.
        server: String,
        /// Whose mail it would have been.
        domain: String,
    },
    /// The connection ended before it could be used.
    #[error("{server}: {text}")]
    Broken {
        /// Which.
        server: String,
        /// What happened.
        text: String,
    },
}

/// How a lane's packets behave beside those of others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Manners {
    /// DSCP code point; `None` leaves it to the system.
    pub dscp: Option<u8>,
    /// TCP congestion control; `None` leaves it to the system.
    pub congestion: Option<String>,
    /// It may have to hold its content back for smaller messages ([`super::yielding`]); so the kernel is to keep few
    /// octets that are not on the wire yet, and a pause takes effect at once.
    pub yields: bool,
}

/// Everything that is the same for all connections of one lane.
#[derive(Debug, Clone)]
pub struct Opener {
    /// Where to.
    pub next_hop: NextHop,
    /// How.
    pub settings: Arc<NextHopSettings>,
    /// What is remembered of servers.
    pub ledger: Arc<Ledger>,
    /// Servers not to be tried, by [`Server::label`]: they have put off what is to be sent.
    pub passed: Arc<[String]>,
    /// The lane's name, for logs.
    pub lane: String,
    /// How its packets behave.
    pub manners: Manners,
    /// Signalled when there is news for the lane.
    pub news: Wake,
    /// Signalled, and left so, when the lane is to stop: nothing is dialled any more.
    pub halt: Wake,
    /// Where its connections show how they are.
    pub gauge: Arc<Gauge>,
}

/// A connected socket with its fresh session.
pub(super) struct Opened {
    pub at: Arc<Server>,
    pub duplex: Duplex,
    pub session: Session,
    pub address: Endpoint,
    pub server: String,
    pub encryption: Encryption,
}

impl Opener {
    /// Connects to the server's first address that answers and is not excluded.
    pub(super) fn dial(&self, at: &Arc<Server>, exclude: &[Endpoint]) -> Result<Opened, OpenError> {
        let auth = self.auth(at)?;
        let (duplex, address) = self.connect(at, &at.addresses, exclude)?;
        let encryption = self.encryption(at, &address, auth.as_ref());
        Ok(self.opened(at, (duplex, address), encryption, auth))
    }

    /// Connects to a server once more.
    pub(super) fn dial_again(
        &self,
        at: &Arc<Server>,
        address: &Endpoint,
        encryption: Encryption,
    ) -> Result<Opened, OpenError> {
        let auth = self.auth(at)?;
        let connected = self.connect(at, std::slice::from_ref(address), &[])?;
        Ok(self.opened(at, connected, encryption, auth))
    }

    fn connect(&self, at: &Server, to: &[Endpoint], exclude: &[Endpoint]) -> Result<(Duplex, Endpoint), OpenError> {
        if let Some(Endpoint::Unix(path)) = to.first() {
            let stream = dial_unix(path, self.settings.timeouts.connect, Some(&self.halt))?;
            return Ok((Duplex::unix(stream), Endpoint::Unix(Arc::clone(path))));
        }
        let tcp = |endpoints: &[Endpoint]| endpoints.iter().filter_map(Endpoint::tcp).collect::<Vec<_>>();
        let (addresses, exclude) = (tcp(to), tcp(exclude));
        let target = Target { host: &at.name, port: addresses.first().map_or(0, SocketAddr::port) };
        let dialled = dial_addresses(&target, addresses, &self.dial_options(&exclude))?;
        let server = || at.at(&dialled.address.into());
        for refused in &dialled.refused_options {
            warn!("{}: {}: {}: {refused}", self.next_hop, self.lane, server());
        }
        let duplex = Duplex::new(dialled.stream);
        let duplex = duplex.map_err(|error| OpenError::Broken { server: server(), text: error.to_string() })?;
        Ok((duplex, dialled.address.into()))
    }

    fn dial_options<'a>(&'a self, exclude: &'a [SocketAddr]) -> DialOptions<'a> {
        DialOptions {
            budget: self.settings.timeouts.connect,
            source_address: self.settings.source_address,
            exclude,
            wake: Some(&self.halt),
            dscp: self.manners.dscp,
            congestion: self.manners.congestion.as_deref(),
        }
    }

    /// A fresh session over a connection that was made.
    fn opened(
        &self,
        at: &Arc<Server>,
        (duplex, address): (Duplex, Endpoint),
        encryption: Encryption,
        auth: Option<Auth>,
    ) -> Opened {
        let server = at.at(&address);
        if self.manners.yields
            && let Err(error) = duplex.limit_unsent(FEW_UNSENT)
        {
            debug!("{server}: cannot limit what the kernel holds back: {error}");
        }
        let session = Session::new(self.session_options(at, &address, encryption, auth), Knowledge::default());
        Opened { at: Arc::clone(at), duplex, session, address, server, encryption }
    }

    /// Tries servers in turn until one gives a session: `open` is called with a server and the addresses not to be
    /// tried again, and says with an error which address it reached, if any. An error is what to tell of the site.
    pub fn in_turn<C>(
        servers: impl Iterator<Item = Result<Server, OpenError>>,
        mut open: impl FnMut(&Arc<Server>, &[Endpoint]) -> Result<C, (OpenError, Option<Endpoint>)>,
        is_stopping: impl Fn() -> bool,
    ) -> Result<C, Outcome> {
        let (mut refused, mut failure): (Vec<Endpoint>, Option<OpenError>) = (Vec::new(), None);
        let (mut owner, mut sessions) = (Owner::default(), 0);
        for server in servers {
            let server = match server {
                Ok(server) => Arc::new(server),
                Err(error) => {
                    keep_better(&mut failure, error);
                    continue;
                }
            };
            if owner != server.owner {
                (owner, sessions) = (server.owner.clone(), 0);
            }
            while sessions < SESSIONS && server.addresses.iter().any(|address| !refused.contains(address)) {
                let (error, reached) = match open(&server, &refused) {
                    Ok(opened) => return Ok(opened),
                    Err(failed) => failed,
                };
                debug!("{error}");
                keep_better(&mut failure, error);
                if is_stopping() {
                    return Err(told(failure));
                }
                let Some(address) = reached else { break };
                refused.push(address);
                sessions += 1;
            }
        }
        Err(told(failure))
    }

    fn session_options(
        &self,
        at: &Server,
        address: &Endpoint,
        encryption: Encryption,
        auth: Option<Auth>,
    ) -> SessionOptions {
        let settings = &self.settings;
        SessionOptions {
            protocol: match (address.is_local(), at.owner.is_relay) {
                // Behind a UNIX socket is a mail store.
                (true, _) => Protocol::Lmtp,
                (false, true) => Protocol::Smtp,
                (false, false) => settings.protocol,
            },
            helo_name: settings.helo_name.clone().unwrap_or_else(crate::net::host_name),
            ignore_extensions: settings.ignore_extensions.clone(),
            max_level: settings.max_level,
            starttls: encryption.starttls(at.pledge.policy(settings.tls.policy)),
            secured: encryption == Encryption::Wrapped,
            auth,
            trust: settings.trust,
            window: WindowBounds { messages: settings.window_messages, bytes: settings.window_bytes },
            messages: settings.messages_per_connection,
        }
    }
}

/// Of two reasons the one that tells more: what a server said before why there was none, and that before what DNS
/// denies. Of two alike the later.
fn keep_better(kept: &mut Option<OpenError>, error: OpenError) {
    let weight = |error: &OpenError| match error {
        OpenError::Route(error) if error.status().class == 5 => 0,
        OpenError::Route(_) | OpenError::Dial(_) => 1,
        _ => 2,
    };
    if kept.as_ref().is_none_or(|kept| weight(kept) <= weight(&error)) {
        *kept = Some(error);
    }
}

fn told(failure: Option<OpenError>) -> Outcome {
    match failure {
        Some(error) => Outcome { text: error.to_string(), ..policy::unopened(&error) },
        None => policy::no_server(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::TlsSettings;
    use crate::conn::Connection;
    use crate::conn::fixture::{Nothing, server};
    use crate::conn::pledge::Pledge;
    use crate::mail::Verdict;
    use crate::net::dns::Name;
    use crate::net::tls::Connectors;
    use std::net::{Ipv4Addr, TcpListener};
    use std::time::{Duration, Instant};

    fn opener() -> Opener {
        crate::conn::fixture::opener("mx.test:2525", NextHopSettings::default())
    }

    fn server_at(name: &str, addresses: &[SocketAddr]) -> Server {
        let addresses = addresses.iter().copied().map(Endpoint::Tcp).collect();
        Server {
            name: name.into(),
            addresses,
            exchanger: None,
            pledge: Pledge::None,
            owner: Owner::default(),
            is_last: true,
        }
    }

    fn no_domain() -> OpenError {
        RouteError::NoSuchDomain(Name::parse("gone.test").expect("a name")).into()
    }

    /// Opens a connection to one of these servers.
    fn open(opener: &Opener, servers: Vec<Result<Server, OpenError>>) -> Result<Endpoint, Outcome> {
        let connection = Opener::in_turn(
            servers.into_iter(),
            |at, exclude| {
                let connected = opener.connect(at, &at.addresses, exclude).map_err(|error| (error, None))?;
                let opened = opener.opened(at, connected, Encryption::Clear, None);
                Connection::<Nothing>::establish(opener, &Connectors::default(), opened, &|| None)
            },
            || false,
        );
        connection.map(|connection| connection.address().clone())
    }

    #[test]
    fn a_server_that_refuses_the_session_is_followed_by_the_next_address() {
        let (busy, one) = server(&["421 4.3.2 too busy\r\n"]);
        let (refuses, two) = server(&["220 mx.test\r\n", "554 5.7.1 no\r\n", "554 5.7.1 no\r\n"]);
        let (good, three) = server(&["220 mx.test\r\n", "250 mx.test\r\n"]);
        let opener = opener();
        let one_name = vec![Ok(server_at("mx.test", &[busy, refuses, good]))];
        assert_eq!(open(&opener, one_name).expect("the third"), good.into());
        [one, two, three].into_iter().for_each(|thread| drop(thread.join().expect("ends")));
    }

    #[test]
    fn when_all_refuse_the_last_one_says_why() {
        let (first, one) = server(&["421 4.3.2 too busy\r\n"]);
        let (second, two) = server(&["554 5.7.1 go away\r\n"]);
        let outcome = open(&opener(), vec![Ok(server_at("mx.test", &[first, second]))]).expect_err("both refuse");
        assert_eq!((outcome.status.to_string().as_str(), outcome.code), ("4.7.1", Some(554)));
        assert!(outcome.text.contains(&format!("mx.test[127.0.0.1]:{}", second.port())), "{}", outcome.text);
        [one, two].into_iter().for_each(|thread| drop(thread.join().expect("ends")));
    }

    #[test]
    fn a_name_with_addresses_without_end_is_not_followed_to_the_end() {
        let mut asked = 0;
        let addresses: Vec<SocketAddr> = (1..100).map(|port| (Ipv4Addr::LOCALHOST, port).into()).collect();
        let refusing = |at: &Arc<Server>, refused: &[Endpoint]| -> Result<(), _> {
            asked += 1;
            let reply = Reply::new(421, &["busy"]);
            let address = at.addresses.iter().find(|address| !refused.contains(address)).cloned();
            Err((OpenError::NotReady { server: "mx.test".into(), reply }, address))
        };
        assert!(Opener::in_turn([Ok(server_at("mx.test", &addresses))].into_iter(), refusing, || false).is_err());
        assert_eq!(asked, SESSIONS);
    }

    #[test]
    fn a_server_that_cannot_be_reached_is_followed_by_the_next() {
        let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port").local_addr().expect("bound");
        let (good, thread) = server(&["220 mx.test\r\n", "250 mx.test\r\n"]);
        let servers = vec![Err(no_domain()), Ok(server_at("mx1.test", &[closed])), Ok(server_at("mx2.test", &[good]))];
        assert_eq!(open(&opener(), servers).expect("the last"), good.into());
        thread.join().expect("ends");
    }

    #[test]
    fn mail_fails_for_good_only_when_no_destination_may_come_back() {
        let outcome = open(&opener(), vec![Err(no_domain())]).expect_err("no server");
        assert_eq!((outcome.verdict, outcome.status.to_string().as_str()), (Verdict::Failed, "5.1.2"));
        let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port").local_addr().expect("bound");
        let outcome = open(&opener(), vec![Ok(server_at("mx.test", &[closed])), Err(no_domain())]).expect_err("none");
        assert_eq!((outcome.verdict, outcome.status.to_string().as_str()), (Verdict::Deferred, "4.4.1"));
    }

    #[test]
    fn what_is_said_of_the_next_hop_s_own_servers_is_not_said_of_the_relay() {
        let tls = TlsSettings { name: Some("store.test".into()), ..TlsSettings::default() };
        let settings = NextHopSettings { protocol: Protocol::Lmtp, tls, ..NextHopSettings::default() };
        let opener = crate::conn::fixture::opener("[127.0.0.1]:2525", settings);
        let spoken = |is_relay: bool| {
            let owner = Owner { is_relay, ..Owner::default() };
            let at = Server { owner, ..server_at("mx.test", &[([127, 0, 0, 1], 2525).into()]) };
            let options = opener.session_options(&at, &at.addresses[0], Encryption::Clear, None);
            (options.protocol, crate::conn::secure::name_of(&opener.settings.tls, &at).to_owned())
        };
        assert_eq!(spoken(false), (Protocol::Lmtp, "store.test".into()));
        assert_eq!(spoken(true), (Protocol::Smtp, "mx.test".into()));
    }

    #[test]
    fn a_destination_whose_servers_all_refuse_is_followed_by_the_next_destination() {
        let addresses: Vec<SocketAddr> = (1..10).map(|port| (Ipv4Addr::LOCALHOST, port).into()).collect();
        let of = |name: &str, addresses: &[SocketAddr]| {
            let owner = Owner { name: name.into(), written: name.into(), is_relay: false };
            Ok(Server { owner, ..server_at(name, addresses) })
        };
        let mut asked = Vec::new();
        let open = |at: &Arc<Server>, refused: &[Endpoint]| -> Result<(), _> {
            asked.push(at.name.clone());
            if at.name == "relay.test" {
                return Ok(());
            }
            let reply = Reply::new(421, &["busy"]);
            let address = at.addresses.iter().find(|address| !refused.contains(address)).cloned();
            Err((OpenError::NotReady { server: at.name.clone(), reply }, address))
        };
        let relay = of("relay.test", &[(Ipv4Addr::LOCALHOST, 26).into()]);
        let servers = [of("a.test", &addresses[..7]), of("a.test", &addresses[7..]), relay];
        Opener::in_turn(servers.into_iter(), open, || false).expect("the relay");
        assert_eq!(asked, ["a.test", "a.test", "a.test", "a.test", "a.test", "relay.test"]);
    }

    #[test]
    fn a_halt_gives_up_the_dial() {
        let opener = opener();
        opener.halt.signal();
        let begun = Instant::now();
        let (address, _) = server(&[]);
        let at = Arc::new(server_at("mx.test", &[address]));
        let error = opener.dial(&at, &[]).err().expect("halted");
        assert!(matches!(error, OpenError::Dial(_)) && begun.elapsed() < Duration::from_secs(60), "{error}");
    }
}
