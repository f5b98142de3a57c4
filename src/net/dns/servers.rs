//! Which name servers to ask, and how patiently: out of resolv.conf(5), or as the caller says.
//!
//! Of resolv.conf it takes `nameserver` (with scope: `fe80::1%eth0`) and the options `timeout`, `attempts` and
//! `trust-ad`; no search list, since mail domains are whole names. As with the C library, a file without servers, and
//! no file, mean the one on this machine. What is not understood is passed over, as there. At most
//! [`MAX_SERVERS`] are used.
//!
//! Whose word counts that an answer is secure (RFC 4035 3.2.3): of a server that the file names only where it says
//! `trust-ad`, or at 127.0.0.1, ::1 or systemd-resolved's 127.0.0.53. Behind another loopback address may be what a
//! container's host has put there, which only passes on what it is told.

use super::resolver::REMEMBERED;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::str::FromStr;
use std::time::Duration;

/// The port of DNS.
pub const DNS_PORT: u16 = 53;

/// More servers than these are not asked.
pub const MAX_SERVERS: usize = 8;

/// A name server that looks up names for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Server {
    /// Where.
    pub address: SocketAddr,
    /// Whether to believe it that an answer is secure: the way to it must be safe, and it must validate.
    pub trusted: bool,
}

impl Server {
    /// A server that somebody has chosen: it is believed only if it is on this machine.
    pub fn new(address: SocketAddr) -> Server {
        Server { address, trusted: address.ip().to_canonical().is_loopback() }
    }

    /// One that a file names which others may have written.
    fn found(address: SocketAddr) -> Server {
        let usual: [IpAddr; 3] =
            [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into(), Ipv4Addr::new(127, 0, 0, 53).into()];
        Server { address, trusted: usual.contains(&address.ip().to_canonical()) }
    }
}

impl FromStr for Server {
    type Err = String;

    /// `address`, `address:port` or `[address]:port`.
    fn from_str(text: &str) -> Result<Server, String> {
        let whole = || text.parse().ok().or_else(|| with_scope(text, DNS_PORT));
        whole().map(Server::new).ok_or_else(|| format!("\"{}\" is no address of a name server", text.escape_debug()))
    }
}

/// Whom to ask, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// In this order.
    pub servers: Vec<Server>,
    /// How long one server is waited for, each time.
    pub timeout: Duration,
    /// How often a server is asked that does not answer.
    pub attempts: u32,
    /// The most answers that are remembered; 0 remembers none.
    pub remembered: usize,
}

impl Settings {
    /// These servers, with the usual patience.
    pub fn of(servers: Vec<Server>) -> Settings {
        Settings { servers, timeout: Duration::from_secs(5), attempts: 2, remembered: REMEMBERED }
    }

    /// Only those that are believed, if any is. Otherwise who keeps a question from the one that validates would have
    /// it answered by one whose every answer proves nothing, and so would unmake what DNSSEC asks for.
    pub fn only_believed(mut self) -> Settings {
        if self.servers.iter().any(|server| server.trusted) {
            self.servers.retain(|server| server.trusted);
        }
        self
    }

    /// As this text of a resolv.conf(5) says.
    pub fn parse(text: &str) -> Settings {
        let mut settings = Settings::of(Vec::new());
        let mut trusted = false;
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") => {
                    let address = words.next().and_then(|word| with_scope(word, DNS_PORT));
                    settings.servers.extend(address.map(Server::found));
                }
                Some("options") => words.for_each(|word| match word.split_once(':') {
                    Some(("timeout", n)) => settings.timeout = Duration::from_secs(number(n, 5, 30)),
                    Some(("attempts", n)) => settings.attempts = number(n, 2, 5) as u32,
                    _ => trusted |= word == "trust-ad",
                }),
                _ => {}
            }
        }
        if settings.servers.is_empty() {
            settings.servers.push(Server::found((Ipv4Addr::LOCALHOST, DNS_PORT).into()));
        }
        settings.servers.truncate(MAX_SERVERS);
        settings.servers.iter_mut().for_each(|server| server.trusted |= trusted);
        settings
    }
}

fn number(digits: &str, default: u64, most: u64) -> u64 {
    digits.parse().unwrap_or(default).clamp(1, most)
}

/// An address, with `%` and a scope behind one of IPv6 if it has one.
fn with_scope(text: &str, port: u16) -> Option<SocketAddr> {
    let Some((address, scope)) = text.split_once('%') else {
        return text.parse::<IpAddr>().ok().map(|address| SocketAddr::new(address, port));
    };
    let scope = scope.parse().ok().or_else(|| interface(scope))?;
    Some(SocketAddrV6::new(address.parse::<Ipv6Addr>().ok()?, port, 0, scope).into())
}

/// The number of a network interface, as the kernel shows it.
fn interface(name: &str) -> Option<u32> {
    let is_name = !name.is_empty() && !name.starts_with('.') && !name.contains('/');
    let number = is_name.then(|| fs::read_to_string(format!("/sys/class/net/{name}/ifindex")))?;
    number.ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(settings: &Settings) -> Vec<String> {
        settings.servers.iter().map(|server| server.address.to_string()).collect()
    }

    #[test]
    fn resolv_conf_is_read_as_the_c_library_does() {
        let text = "# x\nsearch a.test b.test\nnameserver 192.0.2.1\n nameserver\t2001:db8::1 # y\n\
            nameserver fe80::1%7\nnameserver fe80::1%lo\nnameserver nonsense\nnameserver\n\
            options ndots:2 timeout:3 attempts:4 trust-ad\n";
        let settings = Settings::parse(text);
        let expected = ["192.0.2.1:53", "[2001:db8::1]:53", "[fe80::1%7]:53", "[fe80::1%1]:53"];
        assert_eq!(addresses(&settings), expected);
        assert_eq!((settings.timeout, settings.attempts), (Duration::from_secs(3), 4));
        assert!(settings.servers.iter().all(|server| server.trusted));
    }

    #[test]
    fn a_file_without_servers_means_this_machine() {
        let settings = Settings::parse("options timeout:0 attempts:99 timeout:x\n");
        assert_eq!(addresses(&settings), ["127.0.0.1:53"]);
        assert_eq!((settings.timeout, settings.attempts), (Duration::from_secs(5), 5));
        assert!(settings.servers[0].trusted);
    }

    #[test]
    fn servers_without_end_are_cut() {
        assert_eq!(Settings::parse(&"nameserver 192.0.2.1\n".repeat(100)).servers.len(), MAX_SERVERS);
    }

    #[test]
    fn a_server_is_written_with_or_without_a_port() {
        let address = |text: &str| text.parse::<Server>().map(|server| server.address.to_string());
        for (text, expected) in [
            ("192.0.2.1", "192.0.2.1:53"),
            ("192.0.2.1:5353", "192.0.2.1:5353"),
            ("2001:db8::1", "[2001:db8::1]:53"),
            ("[2001:db8::1]:5353", "[2001:db8::1]:5353"),
            ("fe80::1%lo", "[fe80::1%1]:53"),
        ] {
            assert_eq!(address(text).expect(text), expected);
        }
        for text in ["", "ns.test", "192.0.2.1:x", "192.0.2.1%lo", "fe80::1%../lo", "fe80::1%"] {
            assert!(address(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_this_machine_is_believed_unasked() {
        for (text, believed) in [("127.0.0.53", true), ("::1", true), ("192.0.2.1", false), ("::ffff:127.0.0.1", true)]
        {
            assert_eq!(text.parse::<Server>().expect(text).trusted, believed, "{text}");
        }
    }

    #[test]
    fn of_a_file_only_the_usual_addresses_are_believed_unasked() {
        let believed =
            |text: &str| Settings::parse(text).servers.iter().map(|server| server.trusted).collect::<Vec<_>>();
        let text = "nameserver 127.0.0.1\nnameserver ::1\nnameserver 127.0.0.53\nnameserver 127.0.0.11\n\
            nameserver 192.0.2.1\n";
        assert_eq!(believed(text), [true, true, true, false, false]);
        assert_eq!(believed(&format!("{text}options trust-ad\n")), [true; 5]);
    }

    #[test]
    fn where_one_is_believed_the_others_may_be_left_out() {
        let left = |text: &str| addresses(&Settings::parse(text).only_believed());
        assert_eq!(left("nameserver 192.0.2.1\nnameserver 127.0.0.1\n"), ["127.0.0.1:53"]);
        assert_eq!(left("nameserver 192.0.2.1\nnameserver 192.0.2.2\n"), ["192.0.2.1:53", "192.0.2.2:53"]);
    }
}
