//! Floor 3: one connection to one server: the session of [`crate::smtp`] driven over a stream of [`crate::net`].
//!
//! [`drive`] is the one loop that knows both the protocol and the socket; [`policy`] the one place where faults become
//! outcomes; [`servers`] finds whom to connect to; [`ledger`] is what is remembered of servers from one connection to
//! the next. [`delivery`] is a message on its way: which of its recipients still need a transaction; `secure` joins
//! STARTTLS and TLS, [`pledge`] is what DNSSEC says of that, `domain_policy` what the mail domain itself says, `login`
//! has the credentials; [`aboard`] has the messages on one connection. Which message goes over which connection is
//! decided above.

pub mod aboard;
pub mod delivery;
mod domain_policy;
pub mod drive;
pub mod feed;
#[cfg(test)]
mod fixture;
pub mod gauge;
pub mod ledger;
mod line;
mod login;
pub mod open;
pub mod pace;
pub mod pledge;
pub mod policy;
mod probing;
mod secure;
pub mod servers;
pub mod yielding;

pub use aboard::{Retry, Token};
pub use delivery::Delivery;
pub use drive::Connection;
pub use feed::{Feed, Vacancy};
pub use gauge::Gauge;
pub use ledger::Ledger;
pub use open::{Manners, OpenError, Opener};
pub use servers::{Server, Servers, Ways};
