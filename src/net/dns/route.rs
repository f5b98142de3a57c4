//! From a mail domain to the servers that take its mail (RFC 5321 5.1, RFC 7505).
//!
//! Promises: servers come in the order of their preference, equal ones in random order, at most [`MAX_EXCHANGERS`],
//! each with at least one address. A domain without MX records is its own server. Where this system is among the
//! servers, by its name or by an address, only those that are better are left, so that mail does not go in circles. What cannot be learnt now is a
//! temporary failure, also if part of it is known: mail is returned only on what DNS says for sure. Only as far as
//! a server was found does a failure behind it not matter.
//!
//! An IPv4 address in place of a domain, and `localhost` (RFC 6761 6.3), stand for themselves; nobody is asked.

use super::answer::{Content, Record, SoftFailure, Type};
use super::exchange::Wait;
use super::{Name, NameError, Resolver};
use crate::mail::EnhancedStatus;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use thiserror::Error;

/// The most servers of one domain that are looked up.
pub const MAX_EXCHANGERS: usize = 10;

/// The most addresses of a server in each family.
const ADDRESSES: usize = 16;

/// A server that takes the mail of a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchanger {
    /// Its name, as the MX record has it.
    pub name: Name,
    /// The name that this is an alias of, or the same: TLSA records may be there too (RFC 7672 2.2.2).
    pub canonical: Name,
    /// The lower the better.
    pub preference: u16,
    /// At least one, those of IPv6 first.
    pub addresses: Vec<IpAddr>,
    /// Whether DNSSEC proves its name, or our own side has given it.
    pub proved: bool,
    /// Whether DNSSEC proves its addresses too: only then may its TLSA records be asked for, but for one case (RFC 7672
    /// section 2.2.2).
    pub secure: bool,
}

/// By what this system is known as a mail server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Own {
    /// Its names.
    pub names: Vec<Name>,
    /// Its addresses, beside those that nobody else can have. `None`: no address makes a server this system.
    pub addresses: Option<Vec<IpAddr>>,
}

impl Own {
    /// Whether one of these leads here.
    fn has_any(&self, addresses: &[IpAddr]) -> bool {
        let Some(own) = &self.addresses else { return false };
        let is_own = |address: IpAddr| address.is_loopback() || address.is_unspecified() || own.contains(&address);
        addresses.iter().any(|address| is_own(address.to_canonical()))
    }
}

/// Why there is no way.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RouteError {
    /// The text is no domain name.
    #[error("{0}")]
    BadName(#[from] NameError),
    /// DNS knows no such domain.
    #[error("there is no domain {0}")]
    NoSuchDomain(Name),
    /// The domain says that it takes no mail.
    #[error("{0} takes no mail: it has a null MX record")]
    NullMx(Name),
    /// There are no servers, or none with an address.
    #[error("no mail server of {0} has an address")]
    NoAddress(Name),
    /// This system is the best server there is.
    #[error("mail for {domain} loops back to this system, which is its mail server {own}")]
    Loop {
        /// The domain.
        domain: Name,
        /// The name that is ours.
        own: Name,
    },
    /// It could not be learnt now.
    #[error("{0}")]
    Soft(#[from] SoftFailure),
}

impl RouteError {
    /// As mail systems say it (RFC 3463, RFC 7505). Of class 5 only where DNS itself has said so, or never can say
    /// anything else.
    pub fn status(&self) -> EnhancedStatus {
        match self {
            RouteError::BadName(_) | RouteError::NoSuchDomain(_) => EnhancedStatus::new(5, 1, 2),
            RouteError::NullMx(_) => EnhancedStatus::new(5, 1, 10),
            RouteError::NoAddress(_) => EnhancedStatus::new(5, 4, 4),
            RouteError::Loop { .. } => EnhancedStatus::new(5, 4, 6),
            RouteError::Soft(_) => EnhancedStatus::new(4, 4, 3),
        }
    }
}

/// A server before its addresses are known.
struct Candidate {
    preference: u16,
    name: Name,
}

/// The servers of `domain`, best first, without this system and what is behind it.
pub fn route(resolver: &Resolver, domain: &str, own: &Own, wait: &Wait<'_>) -> Result<Vec<Exchanger>, RouteError> {
    let domain = Name::parse(domain)?;
    if let Some(itself) = of_itself(&domain) {
        return Ok(vec![itself]);
    }
    let mx = resolver.query(&domain, Type::Mx, wait)?;
    let candidates = match mx.content {
        Content::NoSuchName => return Err(RouteError::NoSuchDomain(domain)),
        Content::NoData => vec![Candidate { preference: 0, name: domain.clone() }],
        Content::Records(records) => named(records).ok_or_else(|| RouteError::NullMx(domain.clone()))?,
    };
    let candidates = sort(without_loop(&domain, candidates, &own.names)?);
    with_addresses(resolver, &domain, &candidates, own, mx.secure, wait)
}

/// One server by its name, for a next hop that names a host and not a domain: no MX record is asked for. The name
/// counts as proved, since nobody but the caller has said it.
pub fn host(resolver: &Resolver, name: &str, wait: &Wait<'_>) -> Result<Exchanger, RouteError> {
    let name = Name::parse(name)?;
    if let Some(itself) = of_itself(&name) {
        return Ok(itself);
    }
    let only = [Candidate { preference: 0, name: name.clone() }];
    let found = with_addresses(resolver, &name, &only, &Own::default(), true, wait)?;
    found.into_iter().next().ok_or(RouteError::NoAddress(name))
}

/// What needs no look-up. Only for a name that our own side has given: an MX record must not name an address.
fn of_itself(name: &Name) -> Option<Exchanger> {
    let text = name.as_str();
    let is_local = text == "localhost" || text.ends_with(".localhost");
    let addresses = match text.parse::<Ipv4Addr>() {
        Ok(address) => vec![address.into()],
        Err(_) if is_local => vec![Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()],
        Err(_) => return None,
    };
    let (name, canonical) = (name.clone(), name.clone());
    Some(Exchanger { name, canonical, preference: 0, addresses, proved: true, secure: false })
}

/// The servers that MX records name. `None` when they name the root only, which means that no mail is taken; beside
/// others it means nothing (RFC 7505 section 3).
fn named(records: Vec<Record>) -> Option<Vec<Candidate>> {
    let candidates = records.into_iter().filter_map(|record| match record {
        Record::Mx { preference, exchange } if !exchange.is_root() => Some(Candidate { preference, name: exchange }),
        _ => None,
    });
    Some(candidates.collect()).filter(|all: &Vec<_>| !all.is_empty())
}

/// Those that are better than this system.
fn without_loop(domain: &Name, mut candidates: Vec<Candidate>, own: &[Name]) -> Result<Vec<Candidate>, RouteError> {
    let ours = candidates.iter().filter(|candidate| own.contains(&candidate.name));
    let Some((limit, name)) = ours.map(|found| (found.preference, found.name.clone())).min() else {
        return Ok(candidates);
    };
    candidates.retain(|candidate| candidate.preference < limit);
    if candidates.is_empty() {
        return Err(RouteError::Loop { domain: domain.clone(), own: name });
    }
    Ok(candidates)
}

/// By preference; those that are equal in random order, so that each gets its share.
fn sort(mut candidates: Vec<Candidate>) -> Vec<Candidate> {
    fastrand::shuffle(&mut candidates);
    candidates.sort_by_key(|candidate| candidate.preference);
    candidates
}

fn with_addresses(
    resolver: &Resolver,
    domain: &Name,
    candidates: &[Candidate],
    own: &Own,
    is_proved: bool,
    wait: &Wait<'_>,
) -> Result<Vec<Exchanger>, RouteError> {
    let (mut exchangers, mut failure, mut ours) = (Vec::<Exchanger>::new(), None, None);
    for candidate in candidates.iter().take(MAX_EXCHANGERS) {
        if exchangers.iter().any(|known| known.name == candidate.name) {
            continue;
        }
        match addresses(resolver, &candidate.name, wait) {
            Ok(Some(found)) if own.has_any(&found.addresses) => {
                ours = Some(candidate);
                break;
            }
            Ok(Some(found)) => exchangers.push(found.exchanger(candidate, is_proved)),
            Ok(None) => {}
            Err(soft) => failure = failure.or(Some((candidate.preference, soft))),
        }
    }
    if let Some(ours) = ours {
        exchangers.retain(|exchanger| exchanger.preference < ours.preference);
        failure = failure.filter(|(preference, _)| *preference < ours.preference);
    }
    match (failure, ours) {
        _ if !exchangers.is_empty() => Ok(exchangers),
        (Some((_, soft)), _) => Err(soft.into()),
        (None, Some(ours)) => Err(RouteError::Loop { domain: domain.clone(), own: ours.name.clone() }),
        (None, None) if candidates.len() > MAX_EXCHANGERS => {
            let text = format!("{domain} has more than {MAX_EXCHANGERS} mail servers, and the first have no address");
            Err(SoftFailure(text).into())
        }
        (None, None) => Err(RouteError::NoAddress(domain.clone())),
    }
}

/// The addresses of a host.
struct Found {
    addresses: Vec<IpAddr>,
    canonical: Name,
    secure: bool,
}

impl Found {
    fn exchanger(self, candidate: &Candidate, is_proved: bool) -> Exchanger {
        Exchanger {
            name: candidate.name.clone(),
            canonical: self.canonical,
            preference: candidate.preference,
            addresses: self.addresses,
            proved: is_proved,
            secure: is_proved && self.secure,
        }
    }
}

/// `None` when it has none for sure.
fn addresses(resolver: &Resolver, name: &Name, wait: &Wait<'_>) -> Result<Option<Found>, SoftFailure> {
    if !name.is_host() {
        return Ok(None);
    }
    let mut found = Found { addresses: Vec::new(), canonical: name.clone(), secure: true };
    let mut failure = None;
    // Some servers deny a name that has no IPv6 address (RFC 4074 4.2); so that question comes second.
    for of in [Type::A, Type::Aaaa] {
        let answer = match resolver.query(name, of, wait) {
            Ok(answer) => answer,
            Err(soft) => {
                failure = Some(soft);
                continue;
            }
        };
        let of_this = answer.records().iter().filter_map(|record| match record {
            Record::Address(address) => Some(*address),
            _ => None,
        });
        let these: Vec<IpAddr> = of_this.take(ADDRESSES).collect();
        if !these.is_empty() {
            found.addresses.splice(..0, these);
            found.secure &= answer.secure;
            found.canonical = answer.name;
        } else if answer.content == Content::NoSuchName {
            // That holds for all types.
            break;
        }
    }
    match failure {
        _ if !found.addresses.is_empty() => Ok(Some(found)),
        Some(soft) => Err(soft),
        None => Ok(None),
    }
}
