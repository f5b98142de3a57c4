//! Making a connection: dial, then a session ready to be driven.

use super::ledger::Ledger;
use crate::config::NextHopSettings;
use crate::mail::NextHop;
use crate::net::{DialError, DialOptions, Duplex, Target, Wake, dial};
use crate::smtp::{Knowledge, Reply, Session, SessionOptions, WindowBounds};
use std::net::SocketAddr;
use std::sync::Arc;
use thiserror::Error;

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
    /// The connection ended before it could be used.
    #[error("{server}: {text}")]
    Broken {
        /// Which.
        server: String,
        /// What happened.
        text: String,
    },
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
    /// Signalled when there is news for the lane.
    pub news: Wake,
    /// Signalled, and left so, when the lane is to stop: nothing is dialled any more.
    pub halt: Wake,
}

/// A connected socket with its fresh session.
pub(super) struct Opened {
    pub duplex: Duplex,
    pub session: Session,
    pub address: SocketAddr,
    pub server: String,
}

impl Opener {
    /// Connects to the first address that answers and is not excluded.
    pub(super) fn dial(&self, exclude: &[SocketAddr]) -> Result<Opened, OpenError> {
        let host = self.next_hop.host();
        let target = Target { host, port: self.next_hop.port() };
        let options = DialOptions {
            budget: self.settings.timeouts.connect,
            source_address: self.settings.source_address,
            exclude,
            wake: Some(&self.halt),
        };
        let dialled = dial(&target, &options)?;
        let server = format!("{host}[{}]:{}", dialled.address.ip(), dialled.address.port());
        let duplex = Duplex::new(dialled.stream)
            .map_err(|error| OpenError::Broken { server: server.clone(), text: error.to_string() })?;
        let session = Session::new(self.session_options(), Knowledge::default());
        Ok(Opened { duplex, session, address: dialled.address, server })
    }

    fn session_options(&self) -> SessionOptions {
        let settings = &self.settings;
        SessionOptions {
            helo_name: settings.helo_name.clone().unwrap_or_else(crate::net::host_name),
            ignore_extensions: settings.ignore_extensions.clone(),
            max_level: settings.max_level,
            trust: settings.trust,
            window: WindowBounds { messages: settings.window_messages, bytes: settings.window_bytes },
            messages: settings.messages_per_connection,
        }
    }
}
