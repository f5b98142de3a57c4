//! What happens while a policy is looked for and is worth a line in a log. The line is the caller's, with the domain.

use super::fetch::FetchError;
use super::{Mode, PolicyId};
use crate::net::dns::SoftFailure;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// One of them. Its text goes behind the name of the domain.
#[derive(Debug)]
pub enum News {
    /// A policy was fetched.
    Fetched {
        /// Which.
        id: PolicyId,
        /// How serious it is.
        mode: Mode,
    },
    /// It could not be fetched.
    NotFetched {
        /// Why.
        error: FetchError,
        /// Whether there is an earlier one that holds.
        holds: bool,
    },
    /// DNS does not say whether there is one.
    NotAsked(SoftFailure),
    /// A file in this directory cannot be read.
    Unread(PathBuf, io::Error),
    /// No file can be written in this directory.
    Unwritten(PathBuf, io::Error),
}

impl News {
    /// Whether it is for this system's administrator to mend.
    pub fn is_ours(&self) -> bool {
        matches!(self, News::Unread(..) | News::Unwritten(..))
    }
}

impl fmt::Display for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            News::Fetched { id, mode } => write!(f, "its MTA-STS policy is {}, mode {}", id.as_str(), mode.name()),
            News::NotFetched { error, holds } => {
                let then = if *holds { "the one before it still holds" } else { "it goes on as without one" };
                write!(f, "its MTA-STS policy cannot be fetched, {then}: {error}")
            }
            News::NotAsked(error) => write!(f, "whether it has an MTA-STS policy cannot be looked up: {error}"),
            News::Unread(directory, error) => {
                write!(f, "its MTA-STS policy in {} (mta_sts_directory) cannot be read: {error}", directory.display())
            }
            News::Unwritten(directory, error) => {
                write!(f, "its MTA-STS policy cannot be kept in {} (mta_sts_directory): {error}", directory.display())
            }
        }
    }
}
