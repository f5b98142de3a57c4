//! Where a message goes: a next hop as Postfix writes it (transport(5)): `[host]:port`, `host:port`, `[host]`, `domain`.
//!
//! Brackets mean "this host, no MX lookup". The text is kept as written, because it is also a file name
//! (a socket under the runtime directory) and a key of the configuration.

use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// The port of SMTP relay (RFC 5321 4.5.4.2).
pub const SMTP_PORT: u16 = 25;

/// A parsed next hop. Two next hops are equal when their texts are equal but for the case of letters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NextHop {
    text: Box<str>,
    host: Box<str>,
    port: u16,
    literal: bool,
}

/// Why a text names no next hop.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("\"{text}\" is no next hop: {why} (expected [host]:port, host:port, [host] or domain)")]
pub struct NextHopError {
    text: String,
    why: &'static str,
}

impl NextHop {
    /// The host or domain, without brackets, an `IPv6:` tag removed, in lower case.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, 25 when none was written.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether the host stood in brackets: no MX lookup may be made for it.
    pub fn is_literal(&self) -> bool {
        self.literal
    }

    /// The text as written, in lower case.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for NextHop {
    type Err = NextHopError;

    fn from_str(text: &str) -> Result<NextHop, NextHopError> {
        let text = text.to_ascii_lowercase();
        let fail = |why| NextHopError { text: text.escape_debug().to_string(), why };
        let (host, port, literal) = split(&text).map_err(fail)?;
        let port = match port {
            None => SMTP_PORT,
            Some(digits) => digits.parse().ok().filter(|p| *p > 0).ok_or_else(|| fail("the port is not 1 to 65535"))?,
        };
        if host.is_empty() || host.len() > 255 {
            return Err(fail("the host has no characters, or over 255"));
        }
        if !host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_:%".contains(&b)) {
            return Err(fail("the host has a character that no host name or address has"));
        }
        let host = host.into();
        Ok(NextHop { text: text.into(), host, port, literal })
    }
}

/// Cuts the text into host, port and "was in brackets".
fn split(text: &str) -> Result<(&str, Option<&str>, bool), &'static str> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, tail) = rest.split_once(']').ok_or("the bracket is never closed")?;
        let host = host.strip_prefix("ipv6:").unwrap_or(host);
        return match tail.strip_prefix(':') {
            Some(port) => Ok((host, Some(port), true)),
            None if tail.is_empty() => Ok((host, None, true)),
            None => Err("something stands behind the bracket"),
        };
    }
    match text.split_once(':') {
        Some((_, port)) if port.contains(':') => Err("an IPv6 address needs brackets"),
        Some((host, port)) => Ok((host, Some(port), false)),
        None => Ok((text, None, false)),
    }
}

impl fmt::Display for NextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (String, u16, bool) {
        let hop: NextHop = text.parse().expect(text);
        (hop.host().to_owned(), hop.port(), hop.is_literal())
    }

    #[test]
    fn every_form_that_postfix_writes() {
        assert_eq!(parts("[relay.Example.net]:2525"), ("relay.example.net".into(), 2525, true));
        assert_eq!(parts("[relay.example.net]"), ("relay.example.net".into(), 25, true));
        assert_eq!(parts("relay.example.net:26"), ("relay.example.net".into(), 26, false));
        assert_eq!(parts("example.org"), ("example.org".into(), 25, false));
        assert_eq!(parts("[IPv6:::1]:2525"), ("::1".into(), 2525, true));
        assert_eq!(parts("[::1]:2525"), ("::1".into(), 2525, true));
        assert_eq!(parts("[127.0.0.9]:25"), ("127.0.0.9".into(), 25, true));
    }

    #[test]
    fn nonsense_is_named() {
        for text in ["", "[a", "[a]b", "[]:25", "a:0", "a:65536", "a:b", "::1", "a/b", "..\n", "[../x]:25"] {
            assert!(text.parse::<NextHop>().is_err(), "{text:?}");
        }
    }
}
