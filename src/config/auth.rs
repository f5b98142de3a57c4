//! How pipelane logs in at a next hop (RFC 4954), as values. The dialogue is in `smtp`; passwords are in a file of
//! their own, see [`super::credentials`].

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// A mechanism of SASL (RFC 4422), the weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mechanism {
    /// draft-murchison-sasl-login: user and password, in two steps.
    Login,
    /// RFC 4616: both at once.
    Plain,
    /// RFC 5802, RFC 7677: the password stays here, and the server proves that it knows it too.
    ScramSha256,
    /// A token of OAuth 2.0 in place of a password, as Google and Microsoft have it.
    XOAuth2,
}

impl Mechanism {
    /// All of them.
    pub const ALL: [Mechanism; 4] = [Mechanism::Login, Mechanism::Plain, Mechanism::ScramSha256, Mechanism::XOAuth2];

    /// The name on the wire and in configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Mechanism::Login => "LOGIN",
            Mechanism::Plain => "PLAIN",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::XOAuth2 => "XOAUTH2",
        }
    }

    /// Whether the server is told the password, or the token, itself.
    pub const fn discloses(self) -> bool {
        !matches!(self, Mechanism::ScramSha256)
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Mechanism {
    type Err = ();

    fn from_str(name: &str) -> Result<Mechanism, ()> {
        Mechanism::ALL.into_iter().find(|mechanism| mechanism.name().eq_ignore_ascii_case(name)).ok_or(())
    }
}

/// Everything that can be set about AUTH for one next hop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthSettings {
    /// The file of users and passwords; `None`: nobody logs in.
    pub file: Option<PathBuf>,
    /// Which mechanisms may be used.
    pub mechanisms: Vec<Mechanism>,
    /// AUTH is said over a connection that is not encrypted too.
    pub in_clear: bool,
}

impl Default for AuthSettings {
    fn default() -> AuthSettings {
        let mechanisms = vec![Mechanism::ScramSha256, Mechanism::Plain, Mechanism::Login];
        AuthSettings { file: None, mechanisms, in_clear: false }
    }
}
