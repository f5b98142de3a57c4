//! The table's rows for next hops: `[defaults]` and each `[next_hop."..."]`.

use super::kind::Kind::{Count, List, Octets, Text, Time, Words};
use super::kind::{STAGE, bounds};
use super::syntax::{
    self, ADDRESS, AUTH_FILE, CONGESTION, DSCP, EHLO_WORDS, HELO, HOST_LOOKUP, KEYWORDS, LANES, LEVEL, LINES,
    MECHANISMS, NAME_SERVERS, NAMES, NEWLINES, ORDER, PROTOCOL, RELAY, SIZEBINS, TLS_FILE, TLS_LIBRARY, TLS_NAME,
    TLS_POLICY, TLS_VERSION, TRUST, YES_OR_NO,
};
use super::{Key, hop};
use crate::config::sorting;
use std::borrow::Cow;

const K: u64 = 1 << 10;
const G: u64 = 1 << 30;
const T: u64 = 1 << 40;

/// See [`super::all`].
pub(super) static KEYS: &[Key] = &[
    hop(
        "order",
        "sorted",
        Text(ORDER, |s, t| t.parse().ok().map(|order| s.order = order)),
        "sorted: messages go by their size into the lanes of their bin, so that a small one never waits behind a large \
         one. unsorted: all lanes take from one queue, and whichever has room takes the next.",
    ),
    hop(
        "sizebins",
        "4 64 1000 0",
        Words(SIZEBINS, |s, w| sorting::bounds(w).map(|bounds| s.sizebins = bounds)),
        "The size classes (bins): the largest message of each in kilobytes of 1024 octets, rising. The last is 0, which \
         means no limit. Not used when order is unsorted.",
    ),
    hop(
        "lanes",
        "1",
        Words(LANES, |s, w| sorting::lanes(w).map(|lanes| s.lanes = lanes)),
        "Connections of each bin at the most: a number for each, or one for all alike; when order is unsorted, one number, \
         for all lanes together. One is opened only when messages wait that no open one has room for, and a further one of \
         the same bin only for a backlog that justifies it.",
    ),
    hop(
        "max_connections",
        "0",
        Count(bounds(1, 100_000).or_zero(), |s, n| s.max_connections = n as usize),
        "Connections to this next hop open at once, at the most; 0 allows as many as lanes says, to each of its servers that is asked. With fewer than there are bins, \
         neighbouring bins share a connection, and the smaller bin's messages go first. A server that refuses further \
         connections has the same effect for a time.",
    ),
    hop(
        "dscp",
        "",
        Words(DSCP, |s, w| sorting::code_points(w).map(|points| s.dscp = points)),
        "DSCP code point (RFC 2474) of each bin's packets: one for each, or one for all alike. Empty leaves it to the system.",
    ),
    hop(
        "congestion",
        "",
        Words(CONGESTION, |s, w| sorting::congestion(w).map(|names| s.congestion = names)),
        "TCP congestion control of each bin's connections, by the name that the kernel has for it (tcp(7)): one for each, or \
         one for all alike. One that the kernel does not have is said in the log, and its default is used. Empty leaves it to the system.",
    ),
    hop(
        "protocol",
        "smtp",
        Text(PROTOCOL, |s, t| t.parse().ok().map(|protocol| s.protocol = protocol)),
        "smtp, or lmtp (RFC 2033) to a mail store, which decides over each recipient by itself; lmtp also with unix:/path.",
    ),
    hop(
        "max_level",
        "stream",
        Text(LEVEL, |s, t| t.parse().ok().map(|level| s.max_level = level)),
        "The highest pipelining level used: lockstep, envelope (RFC 2920), overlap, chunk (RFC 3030) or stream, each faster \
         than the one before. The server's extensions and proofs may keep it lower.",
    ),
    hop(
        "trust",
        "learned",
        Text(TRUST, |s, t| t.parse().ok().map(|trust| s.trust = trust)),
        "learned: a server proves each level above envelope by tests that risk no message. stream: you vouch for it, and \
         whatever it offers is used at once. A server that misbehaves is stepped down either way.",
    ),
    hop(
        "window_messages",
        "64",
        Count(bounds(1, 10_000), |s, n| s.window_messages = n as usize),
        "Transactions sent and not yet answered on one connection, at the most. What is in the window when a connection \
         breaks can come to be in doubt.",
    ),
    hop(
        "window_bytes",
        "1M",
        Octets(bounds(4 * K, G), |s, n| s.window_bytes = n),
        "Octets of content in messages sent whole and not yet answered on one connection, at the most: what can come to be in \
         doubt. The end of a message that would pass it waits for the replies to those before it; a single larger message \
         is not held.",
    ),
    hop(
        "max_messages",
        "1000",
        Count(bounds(1, 1_000_000), |s, n| s.max_messages = n),
        "Messages held for this next hop at the most. Beyond it the MTA waits.",
    ),
    hop(
        "max_bytes",
        "2G",
        Octets(bounds(64 * K, 1024 * T), |s, n| s.max_bytes = n),
        "Octets of content held for this next hop at the most. Beyond it the MTA waits; a larger message is taken alone.",
    ),
    hop(
        "redispatches",
        "3",
        Count(bounds(0, 100), |s, n| s.redispatches = n as u32),
        "How often a message with which a connection was lost before all of it was sent is tried again before the MTA \
         gets it back as deferred. Of the messages on a lost connection one is charged, the first that was not sent whole. \
         A message that was sent whole is never tried again. 0 never tries a charged message again.",
    ),
    hop(
        "messages_per_connection",
        "0",
        Count(bounds(0, 1_000_000), |s, n| s.messages_per_connection = n as u32),
        "Messages sent on one connection before it is closed, at the most. 0: as many as the server allows (RFC 9422).",
    ),
    hop(
        "ignore_extensions",
        "",
        List(KEYWORDS, |s, t| syntax::keywords(t).map(|keywords| s.ignore_extensions = keywords)),
        "EHLO keywords (RFC 5321 4.1.1.1) treated as if the server had not offered them.",
    ),
    hop(
        "discard_ehlo",
        "",
        Words(EHLO_WORDS, |s, w| {
            let words: Vec<Cow<'_, str>> = w.iter().map(|word| Cow::from(*word)).collect();
            syntax::keywords(&words).map(|keywords| s.ignore_extensions = keywords)
        }),
        "The same as ignore_extensions, in the form of Postfix's smtp_discard_ehlo_keywords. Of the two the last in the file counts.",
    ),
    hop(
        "helo_name",
        "",
        Text(HELO, |s, t| syntax::optional(t, syntax::helo_name).map(|name| s.helo_name = name)),
        "The name given in EHLO (RFC 5321 4.1.1.1). Empty is the host's own name.",
    ),
    hop(
        "source_address",
        "",
        Text(ADDRESS, |s, t| syntax::optional(t, syntax::source_address).map(|address| s.source_address = address)),
        "Local IP address that connections come from. Empty leaves the choice to the system.",
    ),
    hop(
        "bind_address",
        "",
        Text(ADDRESS, |s, t| syntax::optional(t, syntax::source_address).map(|address| s.source_address = address)),
        "The same as source_address, by the name that Postfix has for it.",
    ),
    hop(
        "name_servers",
        "",
        List(NAME_SERVERS, |s, t| syntax::name_servers(t).map(|servers| s.routing.name_servers.addresses = servers)),
        "Addresses of the name servers that are asked for MX, address and TLSA records, in this order; the port is 53 where none is \
         written. Empty is those of resolv.conf(5), as it is at each time.",
    ),
    hop(
        "trust_ad",
        "no",
        Text(YES_OR_NO, |s, t| syntax::either(t, "yes", "no").map(|yes| s.routing.name_servers.trusted = yes)),
        "Whether name_servers are believed that an answer is proved by DNSSEC (the AD bit, RFC 4035 3.2.3) though they are not on \
         this machine: say yes only where they validate and nobody can change what they say on the way. Without name_servers \
         the option trust-ad of resolv.conf(5) says it; there only 127.0.0.1, 127.0.0.53 and ::1 are believed without. For \
         dane only servers that are believed are asked, where there is one.",
    ),
    hop(
        "host_lookup",
        "system",
        Text(HOST_LOOKUP, |s, t| t.parse().ok().map(|lookup| s.routing.host_lookup = lookup)),
        "Who turns the host of a next hop in brackets into addresses. system: getaddrinfo(3), so that /etc/hosts counts. dns: the \
         name servers, and a stop does not have to wait for them. A domain without brackets is looked up in DNS in any case.",
    ),
    hop(
        "own_names",
        "",
        List(NAMES, |s, t| syntax::names(t).map(|names| s.routing.own_names = names)),
        "Further names by which this machine is a mail server, beside its own and helo_name. Where MX records name one of them, only \
         better servers are tried, and mail that would come back is refused (RFC 5321 5.1); for port 25 only.",
    ),
    hop(
        "own_addresses",
        "yes",
        Text(YES_OR_NO, |s, t| syntax::either(t, "yes", "no").map(|yes| s.routing.own_addresses = yes)),
        "Whether a server that MX records lead to at an address of this machine, of an interface or 127.0.0.0/8, ::1, 0.0.0.0, ::, \
         counts as named in own_names. no: for a machine with several mail servers, each at an address of its own.",
    ),
    hop(
        "fallback_relay",
        "",
        Text(RELAY, |s, t| syntax::optional(t, |text| text.parse().ok()).map(|relay| s.routing.fallback_relay = relay)),
        "A further next hop, tried when no server of this one can be found or reached, or does not take a message or recipient for now.",
    ),
    hop(
        "mta_sts",
        "no",
        Text(YES_OR_NO, |s, t| syntax::either(t, "yes", "no").map(|yes| s.routing.mta_sts = yes)),
        "yes: a mail domain's MTA-STS policy (RFC 8461) is fetched over HTTPS; where it is to be enforced, mail goes only to \
         servers that it names, with TLS as under verify, whatever tls says. Never for a next hop in brackets.",
    ),
    hop(
        "tls",
        "may",
        Text(TLS_POLICY, |s, t| t.parse().ok().map(|policy| s.tls.policy = policy)),
        "Encryption by STARTTLS (RFC 3207). none: never. may: where it works, else in clear. require: never in clear, with any \
         certificate. verify: and only to a server whose certificate is valid for its name. dane: only to a server that its \
         TLSA records vouch for (RFC 7672); where DNSSEC proves none, as may. dane-only: only to such a server.",
    ),
    hop(
        "tls_name",
        "",
        Text(TLS_NAME, |s, t| syntax::optional(t, syntax::server_name).map(|name| s.tls.name = name)),
        "The name that the server is asked for (SNI, RFC 6066) and that its certificate must have under verify. Empty is the \
         host of the next hop, or the server's name in the MX record.",
    ),
    hop(
        "tls_ca_file",
        "",
        Text(TLS_FILE, |s, t| syntax::optional(t, syntax::path).map(|path| s.tls.ca_file = path)),
        "File with the certificates of the authorities that verify trusts, in PEM. Empty is what the system trusts.",
    ),
    hop(
        "tls_cert_file",
        "",
        Text(TLS_FILE, |s, t| syntax::optional(t, syntax::path).map(|path| s.tls.cert_file = path)),
        "File with the certificate, its chain behind it, that is shown to a server which asks for one, in PEM. Empty: none.",
    ),
    hop(
        "tls_key_file",
        "",
        Text(TLS_FILE, |s, t| syntax::optional(t, syntax::path).map(|path| s.tls.key_file = path)),
        "File with its key, in PEM as PKCS#8 (RFC 5958), without a pass phrase. Empty looks for it in tls_cert_file.",
    ),
    hop(
        "tls_minimum",
        "1.2",
        Text(TLS_VERSION, |s, t| t.parse().ok().map(|version| s.tls.minimum = version)),
        "The oldest version of TLS that is spoken (RFC 8996). A server that has only older ones is, under may, sent to in clear.",
    ),
    hop(
        "tls_wrapped",
        "no",
        Text(YES_OR_NO, |s, t| syntax::either(t, "yes", "no").map(|yes| s.tls.wrapped = yes)),
        "yes: TLS from the first octet on (RFC 8314 3.3, port 465) instead of STARTTLS; may is then as require, none as no.",
    ),
    hop(
        "tls_library",
        "openssl",
        Text(TLS_LIBRARY, |s, t| t.parse().ok().map(|library| s.tls.library = library)),
        "Who encrypts. openssl: the system's OpenSSL, which resumes sessions, can do dane, and tells what was agreed on. \
         native: what the system has of its own, without these; the default where there is no OpenSSL (Apple).",
    ),
    hop(
        "auth_file",
        "",
        Text(AUTH_FILE, |s, t| syntax::optional(t, syntax::path).map(|path| s.auth.file = path)),
        "File of users and passwords for AUTH (RFC 4954), in the format of Postfix's sasl_passwd: the host or the \
         next hop as it is written, blanks, user:password. It is read for each connection; nobody but its owner may \
         be able to read or write it. A next hop that is in it gets no mail without AUTH, one that is not gets mail \
         as ever. Empty is none.",
    ),
    hop(
        "auth_mechanisms",
        "SCRAM-SHA-256 PLAIN LOGIN",
        List(MECHANISMS, |s, t| syntax::mechanisms(t).map(|mechanisms| s.auth.mechanisms = mechanisms)),
        "The mechanisms that may be used; the strongest of them that the server offers is. XOAUTH2 takes an OAuth \
         2.0 token in place of the password, and so stands alone.",
    ),
    hop(
        "auth_in_clear",
        "no",
        Text(YES_OR_NO, |s, t| syntax::either(t, "yes", "no").map(|yes| s.auth.in_clear = yes)),
        "yes: AUTH is said over a connection that is not encrypted too. no: a next hop that is in auth_file gets \
         mail over an encrypted connection only, also where tls is may or none.",
    ),
    hop(
        "bare_newlines",
        "normalise",
        Text(NEWLINES, |s, t| syntax::either(t, "normalise", "refuse").map(|yes| s.normalise_newlines = yes)),
        "What is done with a CR or LF that stands alone in content (RFC 5321 2.3.8): normalise makes it CRLF, refuse \
         refuses the message. It is never passed on.",
    ),
    hop(
        "long_lines",
        "pass",
        Text(LINES, |s, t| syntax::either(t, "refuse", "pass").map(|yes| s.refuse_long_lines = yes)),
        "What is done with a line of content over 998 octets (RFC 5322 2.1.1): pass sends it as it is, refuse refuses the \
         message.",
    ),
    hop(
        "connect_timeout",
        "30s",
        Time(STAGE, |s, t| s.timeouts.connect = t),
        "How long looking a destination up in DNS may take, and then a TCP connection to one server, all its addresses together.",
    ),
    hop(
        "greeting_timeout",
        "5m",
        Time(STAGE, |s, t| s.timeouts.greeting = t),
        "How long the 220 greeting, then the reply to EHLO or HELO, and each reply of AUTH, may take (RFC 5321 4.5.3.2.1).",
    ),
    hop(
        "helo_timeout",
        "5m",
        Time(STAGE, |s, t| s.timeouts.greeting = t),
        "The same as greeting_timeout, by the name that Postfix has for it.",
    ),
    hop(
        "starttls_timeout",
        "5m",
        Time(STAGE, |s, t| s.timeouts.starttls = t),
        "How long the reply to STARTTLS may take, and then the TLS handshake, also where it comes first (tls_wrapped).",
    ),
    hop(
        "mail_timeout",
        "5m",
        Time(STAGE, |s, t| s.timeouts.mail = t),
        "How long the reply to MAIL, and to a RSET sent with it, may take (RFC 5321 4.5.3.2.2).",
    ),
    hop(
        "rcpt_timeout",
        "5m",
        Time(STAGE, |s, t| s.timeouts.rcpt = t),
        "How long the reply to each RCPT may take (RFC 5321 4.5.3.2.3).",
    ),
    hop(
        "data_init_timeout",
        "2m",
        Time(STAGE, |s, t| s.timeouts.data_init = t),
        "How long the reply to DATA may take (RFC 5321 4.5.3.2.4).",
    ),
    hop(
        "data_transfer_timeout",
        "3m",
        Time(STAGE, |s, t| s.timeouts.data_transfer = t),
        "How long one write of content may take (RFC 5321 4.5.3.2.5).",
    ),
    hop(
        "data_xfer_timeout",
        "3m",
        Time(STAGE, |s, t| s.timeouts.data_transfer = t),
        "The same as data_transfer_timeout, by the name that Postfix has for it.",
    ),
    hop(
        "data_done_timeout",
        "10m",
        Time(STAGE, |s, t| s.timeouts.data_done = t),
        "How long the reply to the final dot, or to BDAT, may take (RFC 5321 4.5.3.2.6). A message without that reply is in \
         doubt: do not set it low.",
    ),
    hop(
        "rset_timeout",
        "20s",
        Time(STAGE, |s, t| s.timeouts.rset = t),
        "How long the reply to a RSET that nothing was sent behind may take.",
    ),
    hop(
        "idle_timeout",
        "30s",
        Time(STAGE, |s, t| s.timeouts.idle = t),
        "How long a connection without work is kept open for more.",
    ),
    hop(
        "next_server_timeout",
        "1m",
        Time(STAGE, |s, t| s.timeouts.next_server = t),
        "How long recipients that one server puts off (4yz) may wait until they can be sent to the next server of the next hop. \
         The results of all others of the message wait with them.",
    ),
];
