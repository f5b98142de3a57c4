//! How connections to a next hop are encrypted (RFC 3207, RFC 8314), as values. What they lead to is decided in `conn`.

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
}

impl TlsPolicy {
    const ALL: [TlsPolicy; 4] = [TlsPolicy::None, TlsPolicy::May, TlsPolicy::Require, TlsPolicy::Verify];

    /// The name in configuration.
    pub const fn name(self) -> &'static str {
        match self {
            TlsPolicy::None => "none",
            TlsPolicy::May => "may",
            TlsPolicy::Require => "require",
            TlsPolicy::Verify => "verify",
        }
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
}
