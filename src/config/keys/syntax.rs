//! Texts that a key takes: names, addresses, paths and words, each with what an error says about it.
//!
//! A reader returns `None` for a text that it does not take and never changes one silently, but for the case of
//! EHLO keywords. An empty text means "not set" where a setting is optional.

use super::kind::Syntax;
use crate::config::Mechanism;
use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

/// The most items of a list.
const MAX_ITEMS: usize = 64;
/// The most octets of a domain (RFC 5321 4.5.3.1.2).
const MAX_DOMAIN: usize = 255;
/// The most octets of one label of a domain (RFC 1035 2.3.4).
const MAX_LABEL: usize = 63;
/// The most name servers that are asked.
const MAX_NAME_SERVERS: usize = 8;
/// The port of DNS.
const DNS_PORT: u16 = 53;
/// The most octets of a path (PATH_MAX of Linux, with its NUL).
const MAX_PATH: usize = 4095;

pub(super) const PATH: Syntax = Syntax { name: "path", expected: "an absolute path, such as \"/run/pipelane\"" };
pub(super) const OPTIONAL_PATH: Syntax =
    Syntax { name: "path", expected: "an absolute path, or \"\" for the system's temporary directory" };
pub(super) const DIRECTORY: Syntax = Syntax { name: "path", expected: "an absolute path, or \"\" for none" };
pub(super) const SOCKETS: Syntax = Syntax {
    name: "array of address:port",
    expected: "an array of different addresses, such as [\"127.0.0.1:2003\", \"[::1]:2003\"]",
};
pub(super) const MODE: Syntax =
    Syntax { name: "octal mode", expected: "three or four octal digits in quotes, \"0001\" to \"0777\"" };
pub(super) const ACCOUNT: Syntax =
    Syntax { name: "name", expected: "a name or a number in quotes, such as \"postfix\", or \"\" to leave it" };
pub(super) const LEVEL: Syntax =
    Syntax { name: "level", expected: "\"lockstep\", \"envelope\", \"overlap\", \"chunk\" or \"stream\"" };
pub(super) const PROTOCOL: Syntax = Syntax { name: "word", expected: "\"smtp\" or \"lmtp\"" };
pub(super) const TRUST: Syntax = Syntax { name: "trust", expected: "\"learned\" or \"stream\"" };
pub(super) const ORDER: Syntax = Syntax { name: "word", expected: "\"sorted\" or \"unsorted\"" };
pub(super) const SIZEBINS: Syntax = Syntax {
    name: "bounds",
    expected: "upper bounds in kilobytes, rising, at most 16, and 0 (no limit) for the last, such as \"4 64 1000 0\"",
};
pub(super) const LANES: Syntax =
    Syntax { name: "numbers", expected: "a whole number from 1 to 1000, or one for each bin, such as \"2 1 1 1\"" };
pub(super) const DSCP: Syntax = Syntax {
    name: "code points",
    expected: "numbers from 0 to 63 or names, such as \"46\" or \"ef af21 cs1 le\", or \"\" for none",
};
pub(super) const CONGESTION: Syntax = Syntax {
    name: "names",
    expected: "names, such as \"cubic\" or \"bbr bbr cubic cubic\", or \"\" for the system's default",
};
pub(super) const NEWLINES: Syntax = Syntax { name: "word", expected: "\"normalise\" or \"refuse\"" };
pub(super) const LINES: Syntax = Syntax { name: "word", expected: "\"pass\" or \"refuse\"" };
pub(super) const KEYWORDS: Syntax =
    Syntax { name: "array of keywords", expected: "an array of EHLO keywords, such as [\"CHUNKING\", \"SIZE\"]" };
pub(super) const EHLO_WORDS: Syntax = Syntax {
    name: "keywords",
    expected: "EHLO keywords with blanks between them, such as \"chunking pipelining\", or \"\" for none",
};
pub(super) const HELO: Syntax = Syntax {
    name: "domain",
    expected: "a domain or an address literal, such as \"mail.example.org\", \"[192.0.2.1]\" or \"[IPv6:2001:db8::1]\", or \"\" for the host's own name",
};
pub(super) const ADDRESS: Syntax =
    Syntax { name: "IP address", expected: "an IP address of this host, such as \"192.0.2.1\", or \"\" for any" };
pub(super) const NAME_SERVERS: Syntax = Syntax {
    name: "array of addresses",
    expected: "an array of at most 8 different addresses, such as [\"127.0.0.1\", \"[2001:db8::53]:5353\"]",
};
pub(super) const HOST_LOOKUP: Syntax = Syntax { name: "word", expected: "\"system\" or \"dns\"" };
pub(super) const NAMES: Syntax = Syntax {
    name: "array of names",
    expected: "an array of host names, such as [\"mail.example.org\", \"mx.example.org\"]",
};
pub(super) const RELAY: Syntax =
    Syntax { name: "next hop", expected: "a next hop, such as \"[relay.example.net]:25\", or \"\" for none" };
pub(super) const TLS_POLICY: Syntax =
    Syntax { name: "word", expected: "\"none\", \"may\", \"require\", \"verify\", \"dane\" or \"dane-only\"" };
pub(super) const TLS_LIBRARY: Syntax = Syntax { name: "word", expected: "\"openssl\" or \"native\"" };
pub(super) const TLS_NAME: Syntax = Syntax {
    name: "name",
    expected: "a host name or an IP address, such as \"mx.example.net\", or \"\" for the next hop's own",
};
pub(super) const TLS_FILE: Syntax =
    Syntax { name: "path", expected: "an absolute path, such as \"/etc/ssl/certs/mail.pem\", or \"\" for none" };
pub(super) const TLS_VERSION: Syntax = Syntax { name: "version", expected: "\"1.2\" or \"1.3\" in quotes" };
pub(super) const AUTH_FILE: Syntax =
    Syntax { name: "path", expected: "an absolute path, such as \"/etc/pipelane/sasl_passwd\", or \"\" for none" };
pub(super) const MECHANISMS: Syntax = Syntax {
    name: "array of mechanisms",
    expected: "an array of \"SCRAM-SHA-256\", \"PLAIN\" and \"LOGIN\", or of \"XOAUTH2\" alone",
};
pub(super) const YES_OR_NO: Syntax = Syntax { name: "word", expected: "\"yes\" or \"no\"" };

/// An absolute path without control characters.
pub(super) fn path(text: &str) -> Option<PathBuf> {
    let fits = text.starts_with('/') && text.len() <= MAX_PATH && !text.contains(char::is_control);
    fits.then(|| text.into())
}

/// `None` inside for an empty text, else what `read` makes of it.
pub(super) fn optional<T>(text: &str, read: impl Fn(&str) -> Option<T>) -> Option<Option<T>> {
    if text.is_empty() { Some(None) } else { read(text).map(Some) }
}

/// Addresses to listen on, none of them twice.
pub(super) fn sockets(items: &[Cow<'_, str>]) -> Option<Vec<SocketAddr>> {
    let sockets: Vec<SocketAddr> = items.iter().map(|item| item.parse().ok()).collect::<Option<_>>()?;
    // Port 0 is a free one each time, so only whole addresses collide.
    let twice = |(at, socket): (usize, &SocketAddr)| socket.port() != 0 && sockets[..at].contains(socket);
    (sockets.len() <= MAX_ITEMS && !sockets.iter().enumerate().any(twice)).then_some(sockets)
}

/// Permission bits in octal digits; not none at all, and none beyond 0777.
pub(super) fn mode(text: &str) -> Option<u32> {
    let digits = (3..=4).contains(&text.len()) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
    u32::from_str_radix(text, 8).ok().filter(|mode| digits && (1..=0o777).contains(mode))
}

/// A user or group: a name, or a number. The highest number means "unchanged" to chown(2) and is refused.
pub(super) fn account(text: &str) -> Option<String> {
    let fits = match text.bytes().all(|b| b.is_ascii_digit()) {
        true => text.parse::<u32>().is_ok_and(|id| id != u32::MAX),
        false => !text.starts_with('-') && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-$@".contains(&b)),
    };
    (fits && !text.is_empty() && text.len() <= MAX_DOMAIN).then(|| text.to_owned())
}

/// EHLO keywords (RFC 5321 4.1.1.1), in upper case, each once.
pub(super) fn keywords(items: &[Cow<'_, str>]) -> Option<Vec<String>> {
    let mut keywords = Vec::new();
    for item in items {
        let byte_fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        if item.is_empty() || item.len() > MAX_LABEL || item.starts_with('-') || !item.bytes().all(byte_fits) {
            return None;
        }
        let keyword = item.to_ascii_uppercase();
        if !keywords.contains(&keyword) {
            keywords.push(keyword);
        }
    }
    (items.len() <= MAX_ITEMS).then_some(keywords)
}

/// Mechanisms of SASL, at least one, each once. One that takes a token and one that takes a password cannot both be
/// meant.
pub(super) fn mechanisms(items: &[Cow<'_, str>]) -> Option<Vec<Mechanism>> {
    let mechanisms: Vec<Mechanism> = items.iter().map(|item| item.parse().ok()).collect::<Option<_>>()?;
    let twice = (1..mechanisms.len()).any(|at| mechanisms[..at].contains(&mechanisms[at]));
    let mixed = mechanisms.len() > 1 && mechanisms.contains(&Mechanism::XOAuth2);
    (!mechanisms.is_empty() && !twice && !mixed).then_some(mechanisms)
}

/// What EHLO may say (RFC 5321 4.1.1.1, 4.1.3): a domain, or an address literal. An underscore is taken: hosts have it.
pub(super) fn helo_name(text: &str) -> Option<String> {
    let fits = match text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(literal) => match literal.strip_prefix("IPv6:") {
            Some(address) => address.parse::<Ipv6Addr>().is_ok(),
            None => literal.parse::<Ipv4Addr>().is_ok(),
        },
        None => text.len() <= MAX_DOMAIN && text.split('.').all(is_label),
    };
    fits.then(|| text.to_owned())
}

fn is_label(label: &str) -> bool {
    let bytes = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    bytes && !label.is_empty() && label.len() <= MAX_LABEL && !label.starts_with('-') && !label.ends_with('-')
}

/// An address that a connection can come from.
pub(super) fn source_address(text: &str) -> Option<IpAddr> {
    text.parse().ok().filter(|address: &IpAddr| !address.is_unspecified() && !address.is_multicast())
}

/// Name servers, none of them twice: an address, or an address with a port.
pub(super) fn name_servers(items: &[Cow<'_, str>]) -> Option<Vec<SocketAddr>> {
    let one = |text: &str| text.parse().ok().or_else(|| Some(SocketAddr::new(text.parse::<IpAddr>().ok()?, DNS_PORT)));
    let servers: Vec<SocketAddr> = items.iter().map(|item| one(item)).collect::<Option<_>>()?;
    let twice = |(at, server): (usize, &SocketAddr)| servers[..at].contains(server) || server.port() == 0;
    (servers.len() <= MAX_NAME_SERVERS && !servers.iter().enumerate().any(twice)).then_some(servers)
}

/// Host names, in lower case, without the root's dot.
pub(super) fn names(items: &[Cow<'_, str>]) -> Option<Vec<String>> {
    let fits = |item: &&str| item.len() <= MAX_DOMAIN && item.split('.').all(is_label);
    let name = |item: &Cow<'_, str>| Some(&**item).filter(fits).map(str::to_ascii_lowercase);
    if items.len() <= MAX_ITEMS { items.iter().map(name).collect() } else { None }
}

/// A name that a certificate can be for: a domain, in ASCII and without the root's dot, or an IP address.
pub(super) fn server_name(text: &str) -> Option<String> {
    let domain = text.len() <= MAX_DOMAIN && text.split('.').all(is_label);
    (domain || text.parse::<IpAddr>().is_ok()).then(|| text.to_owned())
}

/// Which of two words the text is.
pub(super) fn either(text: &str, yes: &str, no: &str) -> Option<bool> {
    if text == yes { Some(true) } else { (text == no).then_some(false) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(items: &[&'static str]) -> Vec<Cow<'static, str>> {
        items.iter().map(|item| Cow::from(*item)).collect()
    }

    #[test]
    fn a_helo_name_stays_in_its_place() {
        for text in ["mail.example.org", "localhost", "my_host.x", "[192.0.2.1]", "[IPv6:2001:db8::1]", "xn--a.example"]
        {
            assert_eq!(helo_name(text).as_deref(), Some(text));
        }
        for text in [
            "",
            "a b",
            "a\r\nMAIL FROM:<>",
            "a\n",
            "a..b",
            ".a",
            "a.",
            "-a",
            "[a]",
            "[::1]",
            "[IPv6:1.2.3.4]",
            "192.0.2.1]",
            "é",
        ] {
            assert_eq!(helo_name(text), None, "{text:?}");
        }
        assert_eq!(helo_name(&"a.".repeat(128)), None);
        assert_eq!(helo_name(&"a".repeat(64)), None);
    }

    #[test]
    fn name_servers_have_a_port_or_get_one() {
        let read = |items: &[&'static str]| {
            name_servers(&list(items)).map(|all| all.iter().map(ToString::to_string).collect())
        };
        let expected = ["192.0.2.1:53", "127.0.0.1:5353", "[::1]:53", "[::1]:54"].map(String::from).to_vec();
        assert_eq!(read(&["192.0.2.1", "127.0.0.1:5353", "::1", "[::1]:54"]), Some(expected));
        for bad in [&["a"][..], &["1.2.3"], &["127.0.0.1:0"], &["::1", "[::1]:53"], &["127.0.0.1:x"], &[""]] {
            assert_eq!(read(bad), None::<Vec<String>>, "{bad:?}");
        }
    }

    #[test]
    fn a_mode_is_octal_and_lets_somebody_in() {
        assert_eq!(mode("0660"), Some(0o660));
        assert_eq!(mode("777"), Some(0o777));
        for text in ["", "0", "000", "0000", "0888", "4755", "+660", "06600", "rw-", "1777"] {
            assert_eq!(mode(text), None, "{text:?}");
        }
    }

    #[test]
    fn an_account_is_a_name_or_a_number() {
        for text in ["postfix", "_mail", "1000", "0", "user@realm", "machine$"] {
            assert_eq!(account(text).as_deref(), Some(text));
        }
        for text in ["", "a b", "a:b", "../x", "-1", "4294967295", "4294967296", "a\n"] {
            assert_eq!(account(text), None, "{text:?}");
        }
    }

    #[test]
    fn keywords_are_upper_case_and_unique() {
        assert_eq!(
            keywords(&list(&["chunking", "8BITMIME", "CHUNKING"])),
            Some(vec!["CHUNKING".into(), "8BITMIME".into()])
        );
        for bad in ["", "-A", "A B", "A\r\n", "AUTH="] {
            assert_eq!(keywords(&list(&[bad])), None, "{bad:?}");
        }
        assert_eq!(keywords(&list(&["A"; 65])), None);
    }

    #[test]
    fn a_token_and_a_password_are_not_mixed() {
        let read = |items: &[&'static str]| mechanisms(&list(items));
        assert_eq!(read(&["plain", "SCRAM-SHA-256"]), Some(vec![Mechanism::Plain, Mechanism::ScramSha256]));
        assert_eq!(read(&["XOAUTH2"]), Some(vec![Mechanism::XOAuth2]));
        for bad in [&[][..], &["PLAIN", "XOAUTH2"], &["PLAIN", "plain"], &["CRAM-MD5"], &[""], &["SCRAM-SHA-256-PLUS"]]
        {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn no_address_is_listened_on_twice() {
        assert_eq!(sockets(&list(&["127.0.0.1:24", "[::1]:24"])).map(|s| s.len()), Some(2));
        assert_eq!(sockets(&list(&["127.0.0.1:0", "127.0.0.1:0"])).map(|s| s.len()), Some(2));
        for bad in [&["127.0.0.1:24", "127.0.0.1:24"][..], &["localhost:24"], &["127.0.0.1"], &["::1:x"]] {
            assert_eq!(sockets(&list(bad)), None, "{bad:?}");
        }
    }

    #[test]
    fn a_path_is_absolute_and_printable() {
        assert_eq!(path("/run/x"), Some("/run/x".into()));
        for bad in ["", "run", "./x", "/a\0b", "/a\nb"] {
            assert_eq!(path(bad), None, "{bad:?}");
        }
        assert_eq!(path(&"/x".repeat(2048)), None);
    }

    #[test]
    fn a_source_address_is_one_of_a_host() {
        assert_eq!(source_address("::1"), Some(Ipv6Addr::LOCALHOST.into()));
        for bad in ["0.0.0.0", "::", "224.0.0.1", "ff02::1", "localhost", "127.0.0.1:25"] {
            assert_eq!(source_address(bad), None, "{bad:?}");
        }
    }
}
