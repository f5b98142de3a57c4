//! pipelane delivers mail over SMTP (RFC 5321) for an MTA that keeps the queue, with many transactions in flight on one
//! connection (PIPELINING, RFC 2920; CHUNKING, RFC 3030), and gives one result per recipient.
//!
//! # What there is
//!
//! - [`engine::Engine`] is the way in: [`engine::Engine::room`] before a message is held, [`engine::Engine::submit`] when it is whole.
//! - [`lane::Ticket::issue`] makes the two ends of the duty to report: the [`lane::Ticket`] goes with the message, the
//!   [`lane::Inbox`] gets the one [`mail::Report`].
//! - [`mail`] has what a message is made of, [`config`] everything that can be set.
//! - [`capi`] is the C library, whose manual is `include/pipelane.h`.
//! - [`door`] has ready ways in for an MTA (LMTP, a command), [`sink`] a server to try it with, [`trial`] measured runs.
//!
//! `ARCHITECTURE.md` in the sources tells how these parts work together.
//!
//! # What it promises
//!
//! Exactly one report for each message submitted, whatever happens; "delivered" only on the server's own reply;
//! "failed" only where the server has refused for good, in a reply or in what it offers; [`mail::Verdict::InDoubt`]
//! where a message was sent whole and never answered. Nothing is kept on disk beyond a message's time in the engine:
//! who submits a message keeps it until the report is here.
//!
//! # What it does not do
//!
//! Queue, retry later, bounce, look up MX records, TLS, AUTH. Linux only.
//!
//! # Example
//!
//! One message to a server in this process:
//!
//! ```
//! use pipelane::config::Config;
//! use pipelane::engine::Engine;
//! use pipelane::lane::Ticket;
//! use pipelane::mail::{Address, Content, Envelope, Message};
//! use pipelane::sink::{Sink, SinkOptions, Store};
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Sink::start(SinkOptions { store: Store::Memory, ..SinkOptions::default() })?;
//!
//! let engine = Engine::new(Arc::new(Config::default()));
//! let recipients = vec![Address::parse("b@example.net")?, Address::parse("reject-550@example.net")?];
//! let message = Message {
//!     queue_id: Some("4hB1".into()),
//!     next_hop: format!("[127.0.0.1]:{}", server.address().port()).parse()?,
//!     envelope: Envelope::new(Address::parse("a@example.org")?, recipients).into(),
//!     content: Some(Content::from_bytes(b"Subject: hello\r\n\r\nHello.\r\n")?),
//! };
//!
//! let patience = Duration::from_secs(30);
//! let room = engine.room(&message.next_hop, message.size(), patience).ok_or("the engine is full")?;
//! let (ticket, inbox) = Ticket::issue(message.envelope.recipients.len());
//! engine.submit(message, room, ticket);
//!
//! let report = inbox.wait(patience).ok_or("no report yet")?;
//! assert!(report.outcomes[0].is_delivered());
//! assert_eq!(report.outcomes[1].code, Some(550));
//! assert_eq!(server.messages()[0].recipients.len(), 1);
//! # Ok(())
//! # }
//! ```

pub mod capi;
pub mod config;
pub mod conn;
pub mod door;
pub mod engine;
pub mod lane;
pub mod mail;
pub mod net;
pub mod sink;
pub mod smtp;
pub mod sync;
pub mod trial;
