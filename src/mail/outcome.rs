//! What became of a message: one outcome per recipient, exactly one report per message.

use super::EnhancedStatus;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The four ends a recipient can come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The server has taken responsibility for this recipient.
    Delivered,
    /// Not delivered; the caller should try again.
    Deferred,
    /// The server refused for good; the caller should bounce.
    Failed,
    /// Sent whole and never answered: delivered or not, nobody can say. A retry may be a duplicate.
    InDoubt,
}

/// One recipient's result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What to do with the recipient.
    pub verdict: Verdict,
    /// The enhanced status; its class agrees with the verdict (2, 4, 5; in doubt is 4).
    pub status: EnhancedStatus,
    /// The server's reply code, when a reply of the server decided.
    pub code: Option<u16>,
    /// The server's own words (lines joined by blanks, without code and status), or ours when no reply decided.
    pub text: String,
}

impl Outcome {
    /// An outcome of our own making: by law it is temporary.
    pub fn deferred(status: EnhancedStatus, text: impl Into<String>) -> Outcome {
        debug_assert_eq!(status.class, 4);
        Outcome { verdict: Verdict::Deferred, status, code: None, text: text.into() }
    }

    /// Whether the recipient needs nothing further.
    pub fn is_delivered(&self) -> bool {
        self.verdict == Verdict::Delivered
    }
}

/// Where the time of a message went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timings {
    /// From submission until a lane put the first octet on the wire.
    pub queued: Duration,
    /// From there until the last reply.
    pub delivery: Duration,
}

/// All that is known of a message when it is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// One outcome per recipient, in the envelope's order.
    pub outcomes: Vec<Outcome>,
    /// How it went to the last server that it was sent to, if it was to any.
    pub route: Option<Arc<Route>>,
    /// For the recipients, by their index, of whom a server before that one has decided, how it went there.
    pub earlier: BTreeMap<usize, Arc<Route>>,
    /// Where the time went.
    pub timings: Timings,
}

/// How a message went to a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// `host[address]:port`
    pub server: String,
    /// The lane that carried it, for logs and reply texts (`lane 1`).
    pub lane: String,
    /// The pipelining level that was used (`stream`).
    pub level: &'static str,
    /// Whether the server has taken charge of what the sender wants to be told (RFC 3461).
    pub dsn: bool,
}

impl Report {
    /// A report in which every recipient has the same outcome and no server was reached.
    pub fn uniform(recipients: usize, outcome: Outcome) -> Report {
        Report {
            outcomes: vec![outcome; recipients],
            route: None,
            earlier: BTreeMap::new(),
            timings: Timings::default(),
        }
    }

    /// How the message went to the server that has decided of this recipient.
    pub fn route_of(&self, recipient: usize) -> Option<&Route> {
        self.earlier.get(&recipient).or(self.route.as_ref()).map(Arc::as_ref)
    }
}
