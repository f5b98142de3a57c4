//! What DNSSEC says of a server's TLS before there is a connection to it (RFC 7672), under `tls = "dane"` and
//! `"dane-only"`.
//!
//! Promises, where the policy is one of these:
//!
//! | the server's name and addresses (1), and its TLSA records | `dane`                | `dane-only`                  |
//! |-------------------------------------------------------|---------------------------|------------------------------|
//! | not proved by DNSSEC, or proved that there are none   | as `may`                  | next server; deferred 4.7.5  |
//! | proved, none of them usable (RFC 7672 section 2.2)    | as `require`              | the same                     |
//! | proved, and usable                                    | only to whom they name    | only to whom they name       |
//! | it cannot be learnt now                               | next server; deferred 4.7.5 | the same                   |
//!
//! (1) Of a name that DNSSEC proves to be an alias of one about which it proves nothing, the name alone (RFC 7672 section
//! 2.2.2): its zone has then said whose certificate counts, wherever the server is.
//!
//! A failure to ask is never "there are none": who could make it so could read the mail. Under other policies nobody is
//! asked.

use super::open::OpenError;
use crate::config::{TlsPolicy, TlsSettings};
use crate::net::dns::{Answer, Exchanger, Name, Record, Resolver, SoftFailure, Tlsa, Wait, is_proved_alias, tlsa};
use crate::net::tls::Dane;
use std::borrow::Cow;

/// See the [module](self).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Pledge {
    /// Nothing, or nobody was asked.
    #[default]
    None,
    /// That it does TLS, with whatever certificate.
    Encrypted,
    /// That it does TLS, and what its certificate is.
    Certificate {
        /// The records.
        dane: Dane,
        /// The name that they are of, which is asked for (RFC 7672 section 3.2.1).
        name: String,
    },
    /// That it does TLS, with a certificate by an authority that is valid for its name: its domain's own word
    /// (`domain_policy`).
    Authority,
}

impl Pledge {
    /// What the policy comes to with this server.
    pub fn policy(&self, policy: TlsPolicy) -> TlsPolicy {
        match (policy, self) {
            (_, Pledge::Authority) => TlsPolicy::Verify,
            (TlsPolicy::Dane, Pledge::None) => TlsPolicy::May,
            (TlsPolicy::Dane, Pledge::Encrypted) => TlsPolicy::Require,
            _ => policy,
        }
    }

    /// The settings for TLS with this server.
    pub fn settings<'a>(&self, tls: &'a TlsSettings) -> Cow<'a, TlsSettings> {
        match self {
            // A name of the administrator's own is verified already.
            Pledge::Authority if tls.policy != TlsPolicy::Verify => {
                Cow::Owned(TlsSettings { policy: TlsPolicy::Verify, name: None, ..tls.clone() })
            }
            _ => Cow::Borrowed(tls),
        }
    }

    /// On whose word more is asked than the administrator does, for errors.
    pub fn because(&self) -> &'static str {
        if *self == Pledge::Authority { ", as its domain's MTA-STS policy asks" } else { "" }
    }
}

/// What is asked of one server.
pub(super) struct Asked<'a> {
    /// `dane` or `dane-only`.
    pub policy: TlsPolicy,
    /// Its name.
    pub server: &'a str,
    /// Its port.
    pub port: u16,
    /// What DNS says of it; `None` where it has not been asked.
    pub exchanger: Option<&'a Exchanger>,
    /// The mail domain from which MX records have led to it.
    pub domain: Option<&'a Name>,
}

impl Asked<'_> {
    /// The answer. An error is that mail must not go to this server now.
    pub fn pledge(&self, resolver: &Resolver, wait: &Wait<'_>) -> Result<Pledge, OpenError> {
        let policy = self.policy;
        let refused = |text: String| OpenError::NotVouched { server: self.server.to_owned(), policy, text };
        let pledge = match self.exchanger {
            Some(exchanger) => {
                let found = hosts(exchanger, |name| is_proved_alias(resolver, name, wait))
                    .and_then(|hosts| records(&hosts, |host| tlsa(resolver, self.port, host, wait)));
                let found = found.map_err(|error| refused(format!("its TLSA records cannot be looked up: {error}")))?;
                pledge(found, names(exchanger, self.domain))
            }
            None => Pledge::None,
        };
        match (policy, &pledge) {
            (TlsPolicy::DaneOnly, Pledge::None) => Err(refused("it has no TLSA records that DNSSEC proves".into())),
            (TlsPolicy::DaneOnly, Pledge::Encrypted) => Err(refused("none of its TLSA records can be used".into())),
            _ => Ok(pledge),
        }
    }
}

/// The names whose records count: first the name that it is an alias of (RFC 7672 section 2.2.2).
fn hosts(
    exchanger: &Exchanger,
    is_proved_alias: impl FnOnce(&Name) -> Result<bool, SoftFailure>,
) -> Result<Vec<&Name>, SoftFailure> {
    let (name, canonical) = (&exchanger.name, &exchanger.canonical);
    let is_alias = name != canonical;
    Ok(match exchanger.secure {
        true if is_alias => vec![canonical, name],
        true => vec![name],
        false if is_alias && exchanger.proved && is_proved_alias(name)? => vec![name],
        false => Vec::new(),
    })
}

/// The records that are proved, and whose they are.
fn records(
    hosts: &[&Name],
    ask: impl Fn(&Name) -> Result<Answer, SoftFailure>,
) -> Result<Option<(Name, Vec<Tlsa>)>, SoftFailure> {
    for host in hosts {
        let answer = ask(host)?;
        let records = answer.records().iter().filter_map(|record| match record {
            Record::Tlsa(tlsa) => Some(tlsa.clone()),
            _ => None,
        });
        let records: Vec<Tlsa> = records.collect();
        if answer.secure && !records.is_empty() {
            return Ok(Some(((*host).clone(), records)));
        }
    }
    Ok(None)
}

fn pledge(found: Option<(Name, Vec<Tlsa>)>, mut names: Vec<String>) -> Pledge {
    let Some((host, records)) = found else { return Pledge::None };
    let name = host.to_string();
    // The name of the records comes first (RFC 7672 section 3.2.2).
    names.retain(|other| *other != name);
    names.insert(0, name.clone());
    match Dane::new(&records, names) {
        Some(dane) => Pledge::Certificate { dane, name },
        None => Pledge::Encrypted,
    }
}

/// Names that an authority's certificate may have, besides that of the records.
fn names(exchanger: &Exchanger, domain: Option<&Name>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in [Some(&exchanger.name), domain].into_iter().flatten() {
        let name = name.to_string();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::dns::Content;
    use std::time::Duration;

    fn name(text: &str) -> Name {
        Name::parse(text).expect(text)
    }

    fn exchanger(name_of: &str, canonical: &str) -> Exchanger {
        let addresses = vec![[192, 0, 2, 1].into()];
        Exchanger {
            name: name(name_of),
            canonical: name(canonical),
            preference: 10,
            addresses,
            proved: true,
            secure: true,
        }
    }

    fn answer(host: &Name, records: Vec<Tlsa>, secure: bool) -> Answer {
        let content = match records.is_empty() {
            true => Content::NoData,
            false => Content::Records(records.into_iter().map(Record::Tlsa).collect()),
        };
        Answer { content, name: host.clone(), secure, lifetime: Duration::ZERO }
    }

    fn record(usage: u8) -> Tlsa {
        Tlsa { usage, selector: 1, matching: 1, data: vec![7; 32] }
    }

    #[test]
    fn records_of_the_name_behind_an_alias_come_first_and_only_proved_ones_count() {
        let mx = exchanger("mx.test", "host.test");
        let found = |of_host: (u8, bool), of_mx: (u8, bool)| {
            let ask = |host: &Name| {
                let (usage, secure) = if host.as_str() == "host.test" { of_host } else { of_mx };
                Ok(answer(host, if usage == 0 { Vec::new() } else { vec![record(usage)] }, secure))
            };
            let hosts = hosts(&mx, |_| panic!("it is proved as a whole")).expect("two");
            let found = records(&hosts, ask).expect("answers");
            found.map(|(name, records)| (name.to_string(), records[0].usage))
        };
        assert_eq!(found((3, true), (2, true)), Some(("host.test".into(), 3)));
        assert_eq!(found((3, false), (2, true)), Some(("mx.test".into(), 2)));
        assert_eq!(found((0, true), (2, true)), Some(("mx.test".into(), 2)));
        assert_eq!(found((3, false), (2, false)), None);
        assert_eq!(found((0, true), (0, true)), None);
    }

    #[test]
    fn a_failure_to_ask_is_not_that_there_are_none() {
        let ask = |_: &Name| Err(SoftFailure("SERVFAIL".into()));
        assert!(records(&[&name("mx.test")], ask).is_err());
        let mx = Exchanger { secure: false, ..exchanger("mx.test", "host.test") };
        assert!(hosts(&mx, |_| Err(SoftFailure("SERVFAIL".into()))).is_err());
    }

    #[test]
    fn a_proved_alias_of_an_unproved_name_has_records_of_its_own() {
        let of = |proved, canonical: &str, alias: bool| {
            let mx = Exchanger { proved, secure: false, ..exchanger("mx.test", canonical) };
            let hosts = hosts(&mx, |_| Ok(alias)).expect("an answer");
            hosts.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(of(true, "host.elsewhere", true), ["mx.test"]);
        assert!(of(true, "host.elsewhere", false).is_empty(), "the alias is not proved");
        assert!(of(false, "host.elsewhere", true).is_empty(), "the MX record is not");
        assert!(of(true, "mx.test", true).is_empty(), "it is no alias");
    }

    #[test]
    fn what_the_records_come_to() {
        let of = |records: Vec<Tlsa>| {
            pledge(Some((name("mx.test"), records)), names(&exchanger("mx.test", "mx.test"), Some(&name("a.test"))))
        };
        let certificate = of(vec![record(3)]);
        let Pledge::Certificate { name: of_records, .. } = &certificate else { panic!("{certificate:?}") };
        assert_eq!(of_records, "mx.test");
        assert_eq!(of(vec![record(1)]), Pledge::Encrypted);
        let (dane, only) = (TlsPolicy::Dane, TlsPolicy::DaneOnly);
        assert_eq!(Pledge::None.policy(dane), TlsPolicy::May);
        assert_eq!(Pledge::Encrypted.policy(dane), TlsPolicy::Require);
        assert_eq!((certificate.policy(dane), certificate.policy(only)), (dane, only));
        assert_eq!(Pledge::None.policy(TlsPolicy::Verify), TlsPolicy::Verify);
    }

    #[test]
    fn a_server_that_is_not_proved_is_as_under_may_and_no_server_under_dane_only() {
        let mx = Exchanger { secure: false, ..exchanger("mx.test", "mx.test") };
        let resolver = Resolver::new(crate::net::dns::Settings::of(Vec::new()));
        let wait = Wait { until: std::time::Instant::now(), wake: None };
        let of = |policy, exchanger| {
            Asked { policy, server: "mx.test", port: 25, exchanger, domain: None }.pledge(&resolver, &wait)
        };
        assert_eq!(of(TlsPolicy::Dane, Some(&mx)).expect("nobody is asked"), Pledge::None);
        assert_eq!(of(TlsPolicy::Dane, None).expect("nobody is asked"), Pledge::None);
        assert!(of(TlsPolicy::DaneOnly, None).is_err());
        let error = of(TlsPolicy::DaneOnly, Some(&mx)).expect_err("not vouched for").to_string();
        assert!(error.contains("mx.test") && error.contains("dane-only"), "{error}");
    }
}
