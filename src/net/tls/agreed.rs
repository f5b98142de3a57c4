//! What a handshake came to, for logs and for people who ask.

use std::fmt;

/// Who vouches for the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vouched {
    /// Nobody was asked: whoever it is, nobody else reads along.
    Nobody,
    /// An authority, for its name (RFC 6125).
    Authority,
    /// A TLSA record of this usage (RFC 7672).
    Dane(u8),
}

/// What a handshake came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreed {
    /// As OpenSSL writes it: `TLSv1.3`.
    pub version: Option<&'static str>,
    /// As IANA has it, or else OpenSSL.
    pub cipher: Option<&'static str>,
    /// Whether an earlier session was gone on with.
    pub resumed: bool,
    /// Who vouches.
    pub vouched: Vouched,
}

impl fmt::Display for Agreed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.version.unwrap_or("TLS"))?;
        if let Some(cipher) = self.cipher {
            write!(f, " {cipher}")?;
        }
        if self.resumed {
            f.write_str(", resumed")?;
        }
        match self.vouched {
            Vouched::Nobody => f.write_str(", not verified"),
            Vouched::Authority => f.write_str(", verified"),
            Vouched::Dane(usage) => write!(f, ", verified by TLSA {usage}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_one_line_for_people() {
        let whole = Agreed {
            version: Some("TLSv1.3"),
            cipher: Some("TLS_AES_128_GCM_SHA256"),
            resumed: true,
            vouched: Vouched::Dane(3),
        };
        assert_eq!(whole.to_string(), "TLSv1.3 TLS_AES_128_GCM_SHA256, resumed, verified by TLSA 3");
        let least = Agreed { version: None, cipher: None, resumed: false, vouched: Vouched::Nobody };
        assert_eq!(least.to_string(), "TLS, not verified");
    }
}
