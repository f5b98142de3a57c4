//! What DNS says of a name, typed.
//!
//! Promises: [`Content::NoData`] and [`Content::NoSuchName`] stand for a server's own word, never for a failure to
//! ask; everything else that is no answer is a [`SoftFailure`], and another time it may be different. `secure` is
//! true only when a trusted server has validated all of the answer (RFC 4035 3.2.3); nothing is validated here.

use super::Name;
use std::net::IpAddr;
use std::time::Duration;
use thiserror::Error;

/// The most octets of a text that are kept; what is behind them is cut off.
pub const TEXT: usize = 1024;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Type {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Mail exchangers.
    Mx,
    /// Certificates that a server may show (RFC 6698).
    Tlsa,
    /// Text.
    Txt,
    /// That it is an alias. Where that leads is not asked.
    Cname,
}

impl Type {
    /// Its name in zone files.
    pub fn as_str(self) -> &'static str {
        match self {
            Type::A => "A",
            Type::Aaaa => "AAAA",
            Type::Mx => "MX",
            Type::Tlsa => "TLSA",
            Type::Txt => "TXT",
            Type::Cname => "CNAME",
        }
    }
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// Of type A or AAAA.
    Address(IpAddr),
    /// Of type MX.
    Mx {
        /// The lower the better.
        preference: u16,
        /// The root: no mail is taken. It may be no host name.
        exchange: Name,
    },
    /// Of type TLSA.
    Tlsa(Tlsa),
    /// Of type TXT: its strings joined (RFC 7208 3.3), of which no more than [`TEXT`] octets are kept.
    Txt(Box<[u8]>),
    /// Of type CNAME, where that was asked for: the name behind it.
    Alias(Name),
}

/// A TLSA record (RFC 6698 2.1), as it is: numbers that nobody knows are for the reader to pass over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tlsa {
    /// Which certificate of the chain: 2 an authority, 3 the server itself.
    pub usage: u8,
    /// 0 the whole certificate, 1 its public key.
    pub selector: u8,
    /// 0 the thing itself, 1 its SHA-256, 2 its SHA-512.
    pub matching: u8,
    /// That, or the digest.
    pub data: Vec<u8>,
}

/// What there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// At least one record, each once.
    Records(Vec<Record>),
    /// The name exists, with no record of this type.
    NoData,
    /// There is no such name.
    NoSuchName,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What is there.
    pub content: Content,
    /// Whose it is: the name asked for, or the one that its aliases (CNAME) lead to.
    pub name: Name,
    /// Whether DNSSEC proves it.
    pub secure: bool,
    /// How long it may be kept; zero when it may not.
    pub lifetime: Duration,
}

impl Answer {
    /// The records; none for the other two answers.
    pub fn records(&self) -> &[Record] {
        match &self.content {
            Content::Records(records) => records,
            Content::NoData | Content::NoSuchName => &[],
        }
    }
}

/// No answer was to be had. The text is for people.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct SoftFailure(pub String);
