//! What a mail domain's MTA-STS policy comes to for its servers (RFC 8461), where `mta_sts` is set.
//!
//! | the policy that holds        | a server that it names              | another one                       |
//! |------------------------------|-------------------------------------|-----------------------------------|
//! | none, or of mode none        | as `tls` says                       | as `tls` says                     |
//! | of mode testing              | as `tls` says                       | as `tls` says; told in the log    |
//! | of mode enforce              | as under `verify`                   | not tried; at the last: deferred 4.7.5 |
//!
//! Promises: nothing that `tls` asks for is loosened. TLSA records that can be used go before the policy (RFC 8461
//! section 2): they prove the server's name, and what its certificate is. Records of which none can be used do not.
//! The look-up is bounded by [`PATIENCE`] and ends when the lane is to stop.

use super::open::{OpenError, Opener};
use super::pledge::Pledge;
use super::servers::Ways;
use crate::net::dns::{Name, Resolver, Wait};
use crate::net::mta_sts::{Errand, Mode, Policy};
use crate::sync::after;
use log::{debug, info, warn};
use std::time::{Duration, SystemTime};

/// How long finding a policy may take (RFC 8461 section 3.3 speaks of a minute).
const PATIENCE: Duration = Duration::from_secs(60);

/// A domain with its policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DomainPolicy {
    domain: Name,
    policy: Policy,
}

impl DomainPolicy {
    /// The policy of a domain that holds now, if it has one and it is asked for.
    pub fn find(opener: &Opener, ways: &Ways, resolver: &Resolver, domain: &Name) -> Option<DomainPolicy> {
        let settings = &opener.settings;
        if !settings.routing.mta_sts {
            return None;
        }
        let errand = Errand {
            resolver,
            connectors: &ways.connectors,
            tls: &settings.tls,
            source_address: settings.source_address,
            wait: Wait { until: after(PATIENCE), wake: Some(&opener.halt) },
        };
        let found = ways.policies.find(domain, &errand, SystemTime::now());
        for news in found.news {
            match news.is_ours() {
                true => warn!("{domain}: {news}"),
                false => info!("{domain}: {news}"),
            }
        }
        found.policy.map(|policy| DomainPolicy { domain: domain.clone(), policy })
    }

    /// Whether mail goes only to servers that it names.
    pub fn is_enforced(&self) -> bool {
        self.policy.mode == Mode::Enforce
    }

    pub fn names(&self, server: &Name) -> bool {
        self.policy.names(server)
    }

    /// The server's name is not in it.
    pub fn refusal(&self, server: &str) -> OpenError {
        OpenError::NotNamed { server: server.to_owned(), domain: self.domain.to_string() }
    }

    /// What is promised of a server, with what TLSA records promise. An error is that mail must not go to it.
    pub fn applied(&self, server: &Name, pledge: Pledge) -> Result<Pledge, OpenError> {
        let is_proved = matches!(pledge, Pledge::Certificate { .. });
        match self.policy.mode {
            Mode::None => {}
            _ if is_proved => {}
            Mode::Enforce if self.names(server) => return Ok(Pledge::Authority),
            Mode::Enforce => return Err(self.refusal(server.as_str())),
            Mode::Testing if self.names(server) => debug!("{}: its MTA-STS policy names {server}", self.domain),
            Mode::Testing => {
                info!("{}: its MTA-STS policy, which is in testing, does not name {server}", self.domain);
            }
        }
        Ok(pledge)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{TlsPolicy, TlsSettings};
    use crate::net::dns::Tlsa;
    use crate::net::tls::Dane;
    use proptest::prelude::*;

    fn name(text: &str) -> Name {
        Name::parse(text).expect(text)
    }

    fn of(mode: &str) -> DomainPolicy {
        let text = format!("version: STSv1\nmode: {mode}\nmx: *.a.test\nmax_age: 86400\n");
        DomainPolicy { domain: name("a.test"), policy: Policy::parse(text.as_bytes()).expect("a policy") }
    }

    fn certificate() -> Pledge {
        let record = Tlsa { usage: 3, selector: 1, matching: 1, data: vec![7; 32] };
        let dane = Dane::new(&[record], vec!["mx.b.test".into()]).expect("usable");
        Pledge::Certificate { dane, name: "mx.b.test".into() }
    }

    #[test]
    fn what_each_mode_comes_to() {
        for (mode, named, other) in [
            ("enforce", Some(Pledge::Authority), None),
            ("testing", Some(Pledge::None), Some(Pledge::None)),
            ("none", Some(Pledge::None), Some(Pledge::None)),
        ] {
            assert_eq!(of(mode).applied(&name("mx.a.test"), Pledge::None).ok(), named, "{mode}");
            assert_eq!(of(mode).applied(&name("mx.b.test"), Pledge::None).ok(), other, "{mode}");
        }
    }

    #[test]
    fn tlsa_records_that_can_be_used_go_before_it_and_others_do_not() {
        let enforced = of("enforce");
        assert_eq!(enforced.applied(&name("mx.b.test"), certificate()).ok(), Some(certificate()));
        assert_eq!(enforced.applied(&name("mx.a.test"), certificate()).ok(), Some(certificate()));
        assert_eq!(enforced.applied(&name("mx.a.test"), Pledge::Encrypted).ok(), Some(Pledge::Authority));
        assert!(enforced.applied(&name("mx.b.test"), Pledge::Encrypted).is_err());
        assert_eq!(of("testing").applied(&name("mx.b.test"), Pledge::Encrypted).ok(), Some(Pledge::Encrypted));
    }

    #[test]
    fn who_is_refused_is_told_by_name() {
        let error = of("enforce").applied(&name("mx.b.test"), Pledge::None).expect_err("not named").to_string();
        assert_eq!(
            error,
            "mx.b.test: the MTA-STS policy of a.test does not name this server, so nothing is sent to it"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn nothing_that_tls_asks_for_is_loosened(
            policy in prop::sample::select(vec!["none", "may", "require", "verify", "dane"]),
            own_name in any::<bool>(),
        ) {
            let policy: TlsPolicy = policy.parse().expect("a policy");
            let tls = TlsSettings {
                policy,
                name: own_name.then(|| "x.test".into()),
                ca_file: Some("/ca".into()),
                wrapped: true,
                ..TlsSettings::default()
            };
            let came = Pledge::Authority.settings(&tls);
            prop_assert_eq!(came.policy, TlsPolicy::Verify);
            // The administrator's own name stays where it was verified before; else it is the server's.
            let name = if policy == TlsPolicy::Verify { tls.name.clone() } else { None };
            prop_assert_eq!(came.into_owned(), TlsSettings { policy: TlsPolicy::Verify, name, ..tls });
        }
    }
}
