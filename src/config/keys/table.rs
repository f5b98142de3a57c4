//! The table itself: every key with its default, what it takes, where it goes and what it means. Those of next hops are
//! in [`super::next_hop`].
//!
//! Names, once shipped, stay. The defaults are those of [`crate::config::settings`]; a test says so.

use super::kind::Kind::{Count, List, Octets, Text, Time};
use super::kind::{HOUR, bounds};
use super::syntax::{self, ACCOUNT, DIRECTORY, MODE, OPTIONAL_PATH, PATH, SOCKETS};
use super::{Key, limit, listen, next_hop};

const K: u64 = 1 << 10;
const G: u64 = 1 << 30;
const T: u64 = 1 << 40;

/// Every key, by section, in the order of the manual.
pub fn all() -> impl Iterator<Item = &'static Key> {
    OWN.iter().chain(next_hop::KEYS)
}

/// Those of the process: `[listen]` and `[limits]`.
static OWN: &[Key] = &[
    listen(
        "runtime_directory",
        "/run/pipelane",
        Text(PATH, |s, t| syntax::path(t).map(|path| s.runtime_directory = path)),
        "Directory of the UNIX sockets: nh/NEXT_HOP for each configured next hop, on which an MTA speaks LMTP (RFC 2033), and \
         control, on which pipelane status is answered. Keep it short: a socket's whole path has 107 octets at most.",
    ),
    listen(
        "lmtp",
        "",
        List(SOCKETS, |s, t| syntax::sockets(t).map(|sockets| s.lmtp = sockets)),
        "TCP addresses on which LMTP (RFC 2033) is spoken too; the next hop is then found by [route], or is the recipient's \
         domain. There is no authentication: listen on loopback or a guarded network only. Port 0 is any free port.",
    ),
    listen(
        "socket_mode",
        "0660",
        Text(MODE, |s, t| syntax::mode(t).map(|mode| s.socket_mode = mode)),
        "Permission bits of the UNIX sockets. Who may write to a socket may send mail through it. The control socket has \
         them without those for others.",
    ),
    listen(
        "socket_owner",
        "",
        Text(ACCOUNT, |s, t| syntax::optional(t, syntax::account).map(|owner| s.socket_owner = owner)),
        "User that owns the UNIX sockets, by name or number. Empty leaves them to the user that pipelane runs as.",
    ),
    listen(
        "socket_group",
        "",
        Text(ACCOUNT, |s, t| syntax::optional(t, syntax::account).map(|group| s.socket_group = group)),
        "Group of the UNIX sockets, by name or number. Empty leaves them to the group that pipelane runs as.",
    ),
    listen(
        "max_clients",
        "1000",
        Count(bounds(1, 100_000), |s, n| s.max_clients = n as usize),
        "LMTP clients connected at once, at the most. One more is answered 421 and closed.",
    ),
    limit(
        "connections",
        "500",
        Count(bounds(1, 100_000), |s, n| s.connections = n),
        "Connections to servers open at once, all next hops together, at the most.",
    ),
    limit(
        "messages",
        "10000",
        Count(bounds(1, 10_000_000), |s, n| s.messages = n),
        "Messages held at once, all next hops together, at the most. Beyond it the MTA waits.",
    ),
    limit(
        "bytes",
        "16G",
        Octets(bounds(64 * K, 1024 * T), |s, n| s.bytes = n),
        "Octets of content held at once in memory and files, all next hops together, at the most. Beyond it the MTA \
         waits; a single larger message is taken alone.",
    ),
    limit(
        "message_size",
        "0",
        Octets(bounds(64 * K, T).or_zero(), |s, n| s.message_size = n),
        "Octets of the largest message taken; a larger one is refused (RFC 1870). 0 sets no limit here and leaves it \
         to the server. RFC 5321 4.5.3.1.7 asks for 64K at least.",
    ),
    limit(
        "content_memory",
        "128K",
        Octets(bounds(0, G), |s, n| s.content_memory = n),
        "Content of up to so many octets is kept in memory; more goes to an unlinked file. 0 keeps all content in files.",
    ),
    limit(
        "content_directory",
        "",
        Text(OPTIONAL_PATH, |s, t| {
            syntax::optional(t, syntax::path).map(|path| s.content_directory = path.unwrap_or_else(std::env::temp_dir))
        }),
        "Directory of those files. They have no name and vanish with the process. Empty is the system's temporary \
         directory (TMPDIR, or else /tmp).",
    ),
    limit(
        "mta_sts_directory",
        "/var/lib/pipelane/mta-sts",
        Text(DIRECTORY, |s, t| syntax::optional(t, syntax::path).map(|path| s.mta_sts_directory = path)),
        "Directory in which MTA-STS policies (mta_sts) outlive a restart, a file for each mail domain. It is made when it is \
         needed. Empty keeps them in memory only.",
    ),
    limit(
        "drain_timeout",
        "60s",
        Time(bounds(0, 24 * HOUR), |s, t| s.drain = t),
        "How long a stop waits for transactions on the wire before it defers them. 0 does not wait.",
    ),
];
