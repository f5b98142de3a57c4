//! One message on its way: envelope, content and next hop, as a door hands it to the engine.

use super::{Content, Envelope, NextHop};
use std::sync::Arc;

/// A message. It is moved, never shared: whoever holds it also holds the obligation to report on it.
#[derive(Debug, Clone)]
pub struct Message {
    /// The caller's own name for it (a Postfix queue id), for logs only. Not unique.
    pub queue_id: Option<String>,
    /// Where it goes.
    pub next_hop: NextHop,
    /// From whom, to whom. Shared with each transaction, and with who has to tell what became of it.
    pub envelope: Arc<Envelope>,
    /// What is sent; `None` asks the server about the envelope only (MAIL, RCPT, then RSET), as an
    /// address verification does.
    pub content: Option<Content>,
}

impl Message {
    /// Octets of content, 0 for an address verification.
    pub fn size(&self) -> u64 {
        self.content.as_ref().map_or(0, Content::len)
    }

    /// The queue id, or `-`, as log lines begin.
    pub fn log_id(&self) -> &str {
        self.queue_id.as_deref().unwrap_or("-")
    }
}
