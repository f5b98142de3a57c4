//! How connections to a next hop are encrypted (RFC 3207, RFC 7672, RFC 8314), as values. What they lead to is decided
//! in `conn`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// How much encryption a next hop needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TlsPolicy {
    /// STARTTLS is never said.
    None,
    /// Encrypted where the server offers it and it works, in clear where not (RFC 7435). Any certificate.
    #[default]
    May,
    /// No mail in clear. Any certificate.
    Require,
    /// No mail in clear, and only to a server whose certificate is valid for its name.
    Verify,
    /// Only to a server that DNSSEC's TLSA records vouch for, where there are such records (RFC 7672); else as `May`.
    Dane,
    /// Only to such a server.
    DaneOnly,
}

impl TlsPolicy {
    const ALL: [TlsPolicy; 6] =
        [TlsPolicy::None, TlsPolicy::May, TlsPolicy::Require, TlsPolicy::Verify, TlsPolicy::Dane, TlsPolicy::DaneOnly];

    /// The name in configuration.
    pub const fn name(self) -> &'static str {
        match self {
            TlsPolicy::None => "none",
            TlsPolicy::May => "may",
            TlsPolicy::Require => "require",
            TlsPolicy::Verify => "verify",
            TlsPolicy::Dane => "dane",
            TlsPolicy::DaneOnly => "dane-only",
        }
    }

    /// Whether TLSA records are asked for.
    pub const fn is_dane(self) -> bool {
        matches!(self, TlsPolicy::Dane | TlsPolicy::DaneOnly)
    }
}

impl fmt::Display for TlsPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for TlsPolicy {
    type Err = ();

    fn from_str(name: &str) -> Result<TlsPolicy, ()> {
        TlsPolicy::ALL.into_iter().find(|policy| policy.name() == name).ok_or(())
    }
}

/// The oldest version of TLS that is spoken; older ones are no longer to be used (RFC 8996).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TlsVersion {
    /// RFC 5246
    #[default]
    V12,
    /// RFC 8446
    V13,
}

impl FromStr for TlsVersion {
    type Err = ();

    fn from_str(name: &str) -> Result<TlsVersion, ()> {
        match name {
            "1.2" => Ok(TlsVersion::V12),
            "1.3" => Ok(TlsVersion::V13),
            _ => Err(()),
        }
    }
}

/// Who does the cryptography.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TlsLibrary {
    /// The system's OpenSSL with all that it can do: sessions that are resumed, TLSA records, a look at what was agreed
    /// on.
    Openssl,
    /// What the system has of its own, for a handshake and no more.
    Native,
}

impl TlsLibrary {
    /// Whether OpenSSL is in this build: on UNIX systems but Apple's.
    pub const HAS_OPENSSL: bool = cfg!(all(unix, not(target_vendor = "apple")));

    /// The name in configuration.
    pub const fn name(self) -> &'static str {
        match self {
            TlsLibrary::Openssl => "openssl",
            TlsLibrary::Native => "native",
        }
    }
}

impl Default for TlsLibrary {
    fn default() -> TlsLibrary {
        if TlsLibrary::HAS_OPENSSL { TlsLibrary::Openssl } else { TlsLibrary::Native }
    }
}

impl FromStr for TlsLibrary {
    type Err = ();

    fn from_str(name: &str) -> Result<TlsLibrary, ()> {
        [TlsLibrary::Openssl, TlsLibrary::Native].into_iter().find(|library| library.name() == name).ok_or(())
    }
}

/// Everything that can be set about TLS for one next hop.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct TlsSettings {
    /// How much is needed.
    pub policy: TlsPolicy,
    /// The name that is asked for (SNI) and verified; `None` is the next hop's host.
    pub name: Option<String>,
    /// Certificates in PEM that a server's chain may end in, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Our own certificate in PEM, with its chain.
    pub cert_file: Option<PathBuf>,
    /// Its key in PEM, PKCS#8 (RFC 5958).
    pub key_file: Option<PathBuf>,
    /// No older version.
    pub minimum: TlsVersion,
    /// TLS from the first octet (RFC 8314 section 3.3, port 465) instead of STARTTLS.
    pub wrapped: bool,
    /// Who does it.
    pub library: TlsLibrary,
}

impl TlsSettings {
    /// The first key that does not fit the others, and why.
    pub fn conflict(&self) -> Option<(&'static str, String)> {
        let name = self.library.name();
        match self.library {
            TlsLibrary::Openssl if !TlsLibrary::HAS_OPENSSL => {
                Some(("tls_library", format!("\"{name}\" is not in this build, which has \"native\" only")))
            }
            TlsLibrary::Native if self.policy.is_dane() => {
                let policy = self.policy;
                Some(("tls_library", format!("\"{name}\" cannot do tls = \"{policy}\", which takes \"openssl\"")))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_as_it_is_written() {
        for policy in TlsPolicy::ALL {
            assert_eq!(policy.name().parse(), Ok(policy));
        }
        for library in [TlsLibrary::Openssl, TlsLibrary::Native] {
            assert_eq!(library.name().parse(), Ok(library));
        }
        assert!("dane_only".parse::<TlsPolicy>().is_err() && "OpenSSL".parse::<TlsLibrary>().is_err());
    }

    #[test]
    fn a_library_that_cannot_do_what_the_policy_asks_for_is_refused() {
        for policy in TlsPolicy::ALL {
            let native = TlsSettings { policy, library: TlsLibrary::Native, ..TlsSettings::default() };
            assert_eq!(native.conflict().is_some(), policy.is_dane(), "{policy}");
            let default = TlsSettings { policy, ..TlsSettings::default() };
            assert_eq!(default.conflict().is_none(), TlsLibrary::HAS_OPENSSL || !policy.is_dane(), "{policy}");
        }
    }
}
