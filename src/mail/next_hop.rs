//! Where a message goes: a next hop as Postfix writes it (transport(5)): `[host]:port`, `host:port`, `[host]`,
//! `domain`, `unix:/path`, or a list of these with commas, of which each is tried when those before it cannot be
//! reached.
//!
//! Brackets mean "this host, no MX lookup". The text is kept as written, because it also names a socket under the
//! runtime directory ([`NextHop::file_name`]) and a table of the configuration. Nothing is looked up here.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use thiserror::Error;

/// The port of SMTP relay (RFC 5321 4.5.4.2).
pub const SMTP_PORT: u16 = 25;

/// The most destinations in one next hop.
pub const MAX_DESTINATIONS: usize = 10;

/// The most octets of a UNIX socket's path on Linux, without its NUL (unix(7)).
pub const MAX_SOCKET_PATH: usize = 107;

/// One element of a next hop: where servers are found.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Destination {
    /// A mail domain: the servers that its MX records name (RFC 5321 5.1).
    Domain {
        /// In lower case.
        name: String,
        /// Of every server.
        port: u16,
    },
    /// One host, by its name or address, without brackets and `IPv6:` tag.
    Host {
        /// In lower case.
        name: String,
        /// Its port.
        port: u16,
    },
    /// A UNIX socket of this machine.
    Socket(PathBuf),
}

/// A parsed next hop. Two next hops are equal when their texts are equal but for the case of names and the blanks in a
/// list.
#[derive(Debug, Clone)]
pub struct NextHop {
    text: Arc<str>,
    destinations: Arc<[Destination]>,
}

/// Why a text names no next hop.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "\"{text}\" is no next hop: {why} (expected [host]:port, host:port, [host], domain or unix:/path, or several with commas)"
)]
pub struct NextHopError {
    text: String,
    why: &'static str,
}

impl NextHop {
    /// Where to go, in this order. At least one, at most [`MAX_DESTINATIONS`].
    pub fn destinations(&self) -> &[Destination] {
        &self.destinations
    }

    /// The same, each with its own part of the text.
    pub fn written(&self) -> impl Iterator<Item = (&str, &Destination)> {
        self.text.split(',').zip(self.destinations.iter())
    }

    /// The text as written, names in lower case, without blanks.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The same as the name of a file: a slash is `%2f`.
    pub fn file_name(&self) -> String {
        self.text.replace('/', "%2f")
    }
}

// The text says it all. It is compared and hashed for each message.

impl PartialEq for NextHop {
    fn eq(&self, other: &NextHop) -> bool {
        self.text == other.text
    }
}

impl Eq for NextHop {}

impl Hash for NextHop {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl PartialOrd for NextHop {
    fn partial_cmp(&self, other: &NextHop) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for NextHop {
    fn cmp(&self, other: &NextHop) -> std::cmp::Ordering {
        self.text.cmp(&other.text)
    }
}

impl FromStr for NextHop {
    type Err = NextHopError;

    fn from_str(text: &str) -> Result<NextHop, NextHopError> {
        let fail = |why| NextHopError { text: text.escape_debug().to_string(), why };
        let (mut normal, mut destinations) = (String::new(), Vec::new());
        for element in text.split(',') {
            let element = written(element.trim_matches([' ', '\t']));
            destinations.push(destination(&element).map_err(fail)?);
            normal.push_str(if normal.is_empty() { "" } else { "," });
            normal.push_str(&element);
        }
        if destinations.len() > MAX_DESTINATIONS {
            return Err(fail("it has more than 10 destinations"));
        }
        Ok(NextHop { text: normal.into(), destinations: destinations.into() })
    }
}

const UNIX: &str = "unix:";

/// Names in lower case; the path of a socket as it is.
fn written(element: &str) -> String {
    match element.split_at_checked(UNIX.len()) {
        Some((tag, path)) if tag.eq_ignore_ascii_case(UNIX) => format!("{UNIX}{path}"),
        _ => element.to_ascii_lowercase(),
    }
}

fn destination(element: &str) -> Result<Destination, &'static str> {
    if let Some(path) = element.strip_prefix(UNIX) {
        return socket(path);
    }
    let (host, port, is_host) = split(element)?;
    let port = match port {
        None => SMTP_PORT,
        Some(digits) => digits.parse().ok().filter(|p| *p > 0).ok_or("the port is not 1 to 65535")?,
    };
    if host.is_empty() || host.len() > 255 {
        return Err("the host has no characters, or over 255");
    }
    if !host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_:%".contains(&b)) {
        return Err("the host has a character that no host name or address has");
    }
    let name = host.to_owned();
    Ok(if is_host { Destination::Host { name, port } } else { Destination::Domain { name, port } })
}

fn socket(path: &str) -> Result<Destination, &'static str> {
    if !path.starts_with('/') {
        return Err("the path of a UNIX socket begins with a slash");
    }
    if path.len() > MAX_SOCKET_PATH {
        return Err("the path of a UNIX socket has 107 octets at most");
    }
    if path.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err("the path has a blank or a control character");
    }
    Ok(Destination::Socket(path.into()))
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

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Destination::Domain { name, port } => write!(f, "{name}:{port}"),
            Destination::Host { name, port } => write!(f, "[{name}]:{port}"),
            Destination::Socket(path) => write!(f, "{UNIX}{}", path.display()),
        }
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

    fn parsed(text: &str) -> Vec<Destination> {
        text.parse::<NextHop>().expect(text).destinations().to_vec()
    }

    fn host(name: &str, port: u16) -> Destination {
        Destination::Host { name: name.into(), port }
    }

    fn domain(name: &str, port: u16) -> Destination {
        Destination::Domain { name: name.into(), port }
    }

    #[test]
    fn every_form_that_postfix_writes() {
        assert_eq!(parsed("[relay.Example.net]:2525"), [host("relay.example.net", 2525)]);
        assert_eq!(parsed("[relay.example.net]"), [host("relay.example.net", 25)]);
        assert_eq!(parsed("relay.example.net:26"), [domain("relay.example.net", 26)]);
        assert_eq!(parsed("example.org"), [domain("example.org", 25)]);
        assert_eq!(parsed("[IPv6:::1]:2525"), [host("::1", 2525)]);
        assert_eq!(parsed("[::1]:2525"), [host("::1", 2525)]);
        assert_eq!(parsed("[127.0.0.9]:25"), [host("127.0.0.9", 25)]);
        assert_eq!(parsed("unix:/run/Store/lmtp"), [Destination::Socket("/run/Store/lmtp".into())]);
        assert_eq!(
            parsed("[A.test]:26, b.test,\tUNIX:/x"),
            [host("a.test", 26), domain("b.test", 25), Destination::Socket("/x".into())]
        );
    }

    #[test]
    fn case_and_blanks_make_no_other_next_hop() {
        let next_hop = |text: &str| text.parse::<NextHop>().expect(text);
        assert_eq!(next_hop("[A.test]:26, B.test"), next_hop("[a.test]:26,b.test"));
        assert_ne!(next_hop("unix:/a"), next_hop("unix:/A"));
        assert_eq!(next_hop("Unix:/run/Store").file_name(), "unix:%2frun%2fStore");
        assert_eq!(next_hop("[A.test]:26, B.test").to_string(), "[a.test]:26,b.test");
    }

    #[test]
    fn nonsense_is_named() {
        let many = ["a"; MAX_DESTINATIONS + 1].join(",");
        let long = format!("unix:/{}", "p".repeat(MAX_SOCKET_PATH));
        let bad = ["", "[a", "[a]b", "[]:25", "a:0", "a:65536", "a:b", "::1", "a/b", "..\n", "[../x]:25", "a,", ",a"];
        let bad = bad.into_iter().chain(["a b", "unix:", "unix:lmtp", "unix:/a b", "unix:/a\n", &many, &long]);
        for text in bad {
            assert!(text.parse::<NextHop>().is_err(), "{text:?}");
        }
    }
}
