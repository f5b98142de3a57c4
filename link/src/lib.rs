//! A long or slow link on one machine: two network namespaces, a TUN device in each, and a thread that carries IP
//! packets between them with a fixed delay, a rate and a bounded queue, each direction by itself.
//!
//! The kernel's own TCP runs over it, so that slow start, windows and retransmission are real. The programs on it are
//! plain programs, started in a namespace ([`Namespace::command`]) or running in this process ([`Namespace::run`]).
//!
//! ```no_run
//! use pipelane_link::{Direction, Link, LinkOptions};
//! use std::{net::{TcpListener, TcpStream}, time::Duration};
//!
//! let slow = Direction { rate: Some(2_000_000), queue: 75_000 };
//! let link = Link::start(LinkOptions::symmetric(Duration::from_millis(150), slow))?;
//! let to = (link.far().address(), 2525);
//! // A socket stays in the namespace it was made in, whichever thread uses it.
//! let listener = link.far().run(|| TcpListener::bind(to))??;
//! let stream = link.near().run(|| TcpStream::connect(to))??;
//! println!("{}", link.stop()?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Promises:
//! - Nothing is left behind: the namespaces have no names, and end with their last handle, process and socket.
//! - Rate and queue count IP octets, headers included. A packet is never larger than [`MTU`].
//! - What was carried and what was dropped is told at the end ([`Tally`]), and how late the latest packet was.
//! - Where it cannot run, [`Link::start`] says so by an error of its own ([`LinkError::Unavailable`]).
//!
//! IPv4 only, Linux only; making namespaces needs root (CAP_SYS_ADMIN and CAP_NET_ADMIN). `unsafe` is in `sys.rs` only.

mod carrier;
mod link;
mod namespace;
mod options;
mod sys;
mod tally;
mod way;

pub use link::{Link, LinkError};
pub use namespace::{DEVICE, MTU, Namespace};
pub use options::{Direction, LinkOptions};
pub use sys::{adopt_orphans, reap_group, signal_group};
pub use tally::{Count, Tally, Traffic};
