//! Making a connection: dial, then a session ready to be driven.

use super::gauge::Gauge;
use super::ledger::Ledger;
use super::policy;
use super::secure::Encryption;
use crate::config::{NextHopSettings, TlsPolicy};
use crate::mail::{NextHop, Outcome};
use crate::net::{DialError, DialOptions, Dialled, Duplex, Target, Wake, dial, dial_addresses};
use crate::smtp::{Auth, Knowledge, Reply, Session, SessionOptions, WindowBounds};
use log::{debug, warn};
use std::net::SocketAddr;
use std::sync::Arc;
use thiserror::Error;

/// Servers of one next hop that are asked in turn when each refuses the session.
const SERVERS: usize = 5;

/// Octets that the kernel holds at the most before they are on the wire, on a lane that may have to pause.
const FEW_UNSENT: u32 = 16 * 1024;

/// Why no connection can be used.
#[derive(Debug, Error)]
pub enum OpenError {
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
    /// TLS was begun and failed.
    #[error("{server}: {text} (tls = \"{policy}\")")]
    Handshake {
        /// Which.
        server: String,
        /// What is asked of it.
        policy: TlsPolicy,
        /// What failed.
        text: String,
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
    /// It may have to hold its content back for smaller messages ([`super::yielding`]); so the kernel is to keep few octets that are not on
    /// the wire yet, and a pause takes effect at once.
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
    pub duplex: Duplex,
    pub session: Session,
    pub address: SocketAddr,
    pub server: String,
    pub encryption: Encryption,
}

impl Opener {
    /// Connects to the first address that answers and is not excluded.
    pub(super) fn dial(&self, exclude: &[SocketAddr]) -> Result<Opened, OpenError> {
        let auth = self.auth()?;
        let dialled = dial(&self.target(), &self.dial_options(exclude))?;
        let encryption = self.encryption(dialled.address);
        self.opened(dialled, encryption, auth)
    }

    /// Connects to a server once more, for a session in clear.
    pub(super) fn dial_again(&self, address: SocketAddr) -> Result<Opened, OpenError> {
        let auth = self.auth()?;
        let dialled = dial_addresses(&self.target(), vec![address], &self.dial_options(&[]))?;
        self.opened(dialled, Encryption::Clear, auth)
    }

    fn target(&self) -> Target<'_> {
        Target { host: self.next_hop.host(), port: self.next_hop.port() }
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
    fn opened(&self, dialled: Dialled, encryption: Encryption, auth: Option<Auth>) -> Result<Opened, OpenError> {
        let host = self.next_hop.host();
        let server = format!("{host}[{}]:{}", dialled.address.ip(), dialled.address.port());
        let duplex = Duplex::new(dialled.stream)
            .map_err(|error| OpenError::Broken { server: server.clone(), text: error.to_string() })?;
        for refused in dialled.refused_options {
            warn!("{}: {}: {server}: {refused}", self.next_hop, self.lane);
        }
        if self.manners.yields
            && let Err(error) = duplex.limit_unsent(FEW_UNSENT)
        {
            debug!("{server}: cannot limit what the kernel holds back: {error}");
        }
        let session = Session::new(self.session_options(encryption, auth), Knowledge::default());
        Ok(Opened { duplex, session, address: dialled.address, server, encryption })
    }

    /// Tries servers in turn until one gives a session: `open` is called with the addresses not to be tried again, and
    /// says with an error which address it reached, if any. An error is what to tell of the site.
    pub fn in_turn<C>(
        mut open: impl FnMut(&[SocketAddr]) -> Result<C, (OpenError, Option<SocketAddr>)>,
        is_stopping: impl Fn() -> bool,
    ) -> Result<C, Outcome> {
        let mut refused: Vec<SocketAddr> = Vec::new();
        let mut last: Option<Outcome> = None;
        loop {
            let (error, address) = match open(&refused) {
                Ok(opened) => return Ok(opened),
                Err(failed) => failed,
            };
            let outcome = Outcome { text: error.to_string(), ..policy::unopened(&error) };
            let Some(address) = address else {
                // With every address tried, what the last server said is the better reason.
                let said = last.filter(|_| matches!(error, OpenError::Dial(_)));
                return Err(said.unwrap_or(outcome));
            };
            debug!("{error}");
            refused.push(address);
            if refused.len() >= SERVERS || is_stopping() {
                return Err(outcome);
            }
            last = Some(outcome);
        }
    }

    fn session_options(&self, encryption: Encryption, auth: Option<Auth>) -> SessionOptions {
        let settings = &self.settings;
        SessionOptions {
            helo_name: settings.helo_name.clone().unwrap_or_else(crate::net::host_name),
            ignore_extensions: settings.ignore_extensions.clone(),
            max_level: settings.max_level,
            starttls: encryption.starttls(settings.tls.policy),
            secured: encryption == Encryption::Wrapped,
            auth,
            trust: settings.trust,
            window: WindowBounds { messages: settings.window_messages, bytes: settings.window_bytes },
            messages: settings.messages_per_connection,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conn::{Connection, Token};
    use crate::net::tls::Connectors;
    use std::io::{BufRead, BufReader, Write};
    use std::net::{Ipv4Addr, TcpListener};
    use std::thread::{self, JoinHandle};
    use std::time::{Duration, Instant};

    struct Nothing;

    impl Token for Nothing {
        fn is_cancelled(&self) -> bool {
            false
        }

        fn sent_whole(&mut self) {}
    }

    /// A server for one connection: it says these lines, each but the first after a line of the client.
    fn server(lines: &'static [&'static str]) -> (SocketAddr, JoinHandle<()>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("bound");
        let thread = thread::spawn(move || {
            let (stream, _) = listener.accept().expect("a client");
            let (mut reader, mut heard) = (BufReader::new(&stream), String::new());
            for (n, line) in lines.iter().enumerate() {
                if n > 0 {
                    reader.read_line(&mut heard).expect("a line");
                }
                (&stream).write_all(line.as_bytes()).expect("sent");
            }
            let _ = reader.read_line(&mut heard);
        });
        (address, thread)
    }

    fn opener() -> Opener {
        Opener {
            next_hop: "mx.test:2525".parse().expect("a next hop"),
            settings: Arc::default(),
            ledger: Arc::default(),
            lane: "lane 1".into(),
            manners: Manners::default(),
            news: Wake::new().expect("a descriptor"),
            halt: Wake::new().expect("a descriptor"),
            gauge: Arc::default(),
        }
    }

    /// Opens a connection to one of these addresses, as if the next hop's name had them all.
    fn open(opener: &Opener, addresses: &[SocketAddr]) -> Result<SocketAddr, Outcome> {
        let target = Target { host: opener.next_hop.host(), port: opener.next_hop.port() };
        let connection = Opener::in_turn(
            |exclude| {
                let options = DialOptions { exclude, ..DialOptions::new(Duration::from_secs(60)) };
                let dialled = dial_addresses(&target, addresses.to_vec(), &options);
                let opened = dialled
                    .map_err(OpenError::Dial)
                    .and_then(|dialled| opener.opened(dialled, Encryption::Clear, None));
                let opened = opened.map_err(|error| (error, None))?;
                Connection::<Nothing>::establish(opener, &Connectors::default(), opened, &|| None)
            },
            || false,
        );
        connection.map(|connection| connection.address())
    }

    #[test]
    fn a_server_that_refuses_the_session_is_followed_by_the_next_address() {
        let (busy, one) = server(&["421 4.3.2 too busy\r\n"]);
        let (refuses, two) = server(&["220 mx.test\r\n", "554 5.7.1 no\r\n", "554 5.7.1 no\r\n"]);
        let (good, three) = server(&["220 mx.test\r\n", "250 mx.test\r\n"]);
        let opener = opener();
        assert_eq!(open(&opener, &[busy, refuses, good]).expect("the third"), good);
        [one, two, three].into_iter().for_each(|thread| thread.join().expect("ends"));
    }

    #[test]
    fn when_all_refuse_the_last_one_says_why() {
        let (first, one) = server(&["421 4.3.2 too busy\r\n"]);
        let (second, two) = server(&["554 5.7.1 go away\r\n"]);
        let outcome = open(&opener(), &[first, second]).expect_err("both refuse");
        assert_eq!((outcome.status.to_string().as_str(), outcome.code), ("4.7.1", Some(554)));
        assert!(outcome.text.contains(&format!("mx.test[127.0.0.1]:{}", second.port())), "{}", outcome.text);
        [one, two].into_iter().for_each(|thread| thread.join().expect("ends"));
    }

    #[test]
    fn a_name_with_addresses_without_end_is_not_followed_to_the_end() {
        let mut asked = 0;
        let refusing = |_: &[SocketAddr]| -> Result<(), _> {
            asked += 1;
            let reply = Reply { code: 421, lines: vec!["busy".into()] };
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, asked));
            Err((OpenError::NotReady { server: "mx.test".into(), reply }, Some(address)))
        };
        assert!(Opener::in_turn(refusing, || false).is_err());
        assert_eq!(usize::from(asked), SERVERS);
    }

    #[test]
    fn a_halt_gives_up_the_dial() {
        let opener = opener();
        opener.halt.signal();
        let begun = Instant::now();
        let error = opener.dial(&[]).err().expect("halted");
        assert!(matches!(error, OpenError::Dial(_)) && begun.elapsed() < Duration::from_secs(60), "{error}");
    }
}
