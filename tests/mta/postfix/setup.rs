//! The configuration of a private instance, as the two files that Postfix reads.

use super::Host;
use crate::place::{Place, run};
use pipelane_link::Namespace;
use std::fmt::Write;
use std::process::Command;

/// The domain that all test mail goes to.
pub const DOMAIN: &str = "example.test";

/// What a receiving instance refuses, by recipient name: for good, and for now.
const REFUSALS: &str = "/^reject-550.*@/ 550 5.1.1 no such mailbox here\n/^defer-450.*@/ 450 4.2.0 mailbox is busy\n";

/// Whether the receiving instance refuses this recipient.
pub fn is_refused(recipient: &str) -> bool {
    recipient.starts_with("reject-550") || recipient.starts_with("defer-450")
}

/// main.cf and master.cf beyond what every instance has. `@` stands for the directory of the instance.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    main: String,
    master: String,
    transport: Option<String>,
    pub(super) host: Host,
}

impl Setup {
    /// Stores what it gets in one Maildir, whatever the recipient's name.
    pub fn receiving() -> Setup {
        Setup::default()
            .main(&format!("virtual_mailbox_domains={DOMAIN}"))
            .main("virtual_mailbox_base=@/mail")
            .main("virtual_mailbox_maps=static:all/")
            .main("virtual_uid_maps=static:65534\nvirtual_gid_maps=static:65534\nvirtual_mailbox_limit=0")
            .main(
                "smtpd_recipient_restrictions=check_recipient_access regexp:@/etc/refusals, permit_mynetworks, reject",
            )
            .main("smtpd_forbid_unauth_pipelining=yes")
            // A bare LF in what arrives is an error of the client's, not something to repair.
            .main("smtpd_forbid_bare_newline=yes\nsmtpd_forbid_bare_newline_exclusions=")
    }

    /// Hands mail for [`DOMAIN`] to this transport, and throws away all other mail (bounces).
    pub fn sending(transport: &str) -> Setup {
        let lanes = "lanes unix - - n - 200 lmtp\n -o syslog_name=postfix/lanes\n -o lmtp_send_xforward_command=yes\n \
                     -o lmtp_data_done_timeout=3h\n -o lmtp_tls_security_level=none\n -o lmtp_connect_timeout=10s";
        let mut setup = Setup::default()
            .main("transport_maps=texthash:@/etc/transport")
            .main("lanes_destination_concurrency_limit=100\nlanes_initial_destination_concurrency=100")
            .main("lanes_destination_recipient_limit=2000\nlanes_destination_concurrency_failed_cohort_limit=1")
            .main("smtp_destination_recipient_limit=2000")
            .main("lanepipe_destination_recipient_limit=1")
            .main("lanepipe_destination_concurrency_limit=20\nlanepipe_initial_destination_concurrency=20")
            .master(lanes);
        setup.transport = Some(transport.to_owned());
        setup
    }

    /// Takes everything and throws it away: a server that is as fast as it can be.
    pub fn discarding() -> Setup {
        Setup::default()
            .main("default_transport=discard:\nrelay_transport=discard:\nsmtpd_forbid_unauth_pipelining=yes")
            .main("smtpd_relay_restrictions=permit_mynetworks, reject")
    }

    /// Listens in this namespace, and takes mail from its link.
    pub fn at(mut self, namespace: &Namespace) -> Setup {
        self.host = Host::of(namespace);
        let address = self.host.address();
        self.main(&format!("inet_interfaces={address}\nmynetworks=127.0.0.0/8, 198.18.0.0/15"))
    }

    /// Adds to main.cf; a later value of the same name wins.
    pub fn main(mut self, lines: &str) -> Setup {
        let _ = writeln!(self.main, "{lines}");
        self
    }

    /// Adds a service.
    pub fn master(mut self, entry: &str) -> Setup {
        let _ = writeln!(self.master, "{entry}");
        self
    }

    /// Nothing leaves the queue before [`super::Postfix::release`].
    pub fn held(self) -> Setup {
        self.main("defer_transports=lanes lanepipe smtp")
    }

    /// Nothing leaves the queue before [`super::Postfix::unhold`], and nothing is tried before either.
    #[allow(dead_code, reason = "the benchmarks share this file")]
    pub fn on_hold(self) -> Setup {
        self.main("smtpd_client_restrictions=check_client_access static:HOLD")
    }

    /// Writes everything for an instance on this port; returns its host name.
    pub fn install(&self, place: &Place, port: u16) -> String {
        let folder = place.path().display().to_string();
        let filled = |text: &str| text.replace('@', &folder);
        place.folder("etc");
        place.folder("queue");
        place.folder("data");
        place.give("data", "postfix");
        place.folder("mail");
        place.give("mail", "65534:65534");
        let name = format!("mx{port}.test");
        let own =
            format!("config_directory=@/etc\nqueue_directory=@/queue\ndata_directory=@/data\nmyhostname={name}\n");
        let log = "maillog_file=@/maillog\nmaillog_file_prefixes=@\n";
        place.write("etc/main.cf", &without_repeats(&(directories() + MAIN + &filled(&(own + log + &self.main)))));
        place.write("etc/master.cf", &format!("{port} inet n - n - 300 smtpd\n{MASTER}{}", filled(&self.master)));
        place.write("etc/refusals", REFUSALS);
        if let Some(transport) = &self.transport {
            place.write("etc/transport", &format!("{DOMAIN} {transport}\n* discard:\n"));
        }
        name
    }
}

/// Each name with its last value only. Postfix would take that too, but every program of it would log a warning for
/// each repeat; master(8) stands still for ever when it has more to log at a reload than the socket of postlogd(8)
/// holds, which it has not started yet.
fn without_repeats(main: &str) -> String {
    let name = |line: &str| line.split('=').next().unwrap_or_default().trim().to_owned();
    let lines: Vec<&str> = main.lines().collect();
    let is_last = |(at, line): &(usize, &str)| !lines[at + 1..].iter().any(|later| name(later) == name(line));
    lines.iter().copied().enumerate().filter(is_last).map(|(_, line)| format!("{line}\n")).collect()
}

/// Where this machine's Postfix has its programs.
fn directories() -> String {
    let names =
        ["command_directory", "daemon_directory", "meta_directory", "shlib_directory", "mail_owner", "setgid_group"];
    let mut command = Command::new("postconf");
    command.env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default()));
    let known = run(command.arg("-d").args(names));
    known.lines().map(|line| line.replace(" = ", "=") + "\n").collect()
}

const MAIN: &str = "\
compatibility_level=3.6
inet_interfaces=127.0.0.1
inet_protocols=ipv4
smtp_host_lookup=native
smtp_dns_support_level=disabled
smtpd_peername_lookup=no
mydestination=
alias_maps=
alias_database=
local_recipient_maps=
notify_classes=
biff=no
mynetworks=127.0.0.0/8
smtpd_relay_restrictions=permit_mynetworks, reject
smtpd_recipient_limit=5000
smtpd_client_connection_count_limit=0
smtpd_error_sleep_time=0
message_size_limit=0
mailbox_size_limit=0
line_length_limit=4096
smtputf8_enable=no
default_process_limit=300
enable_long_queue_ids=yes
";

const MASTER: &str = "\
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
tlsmgr unix - - n 1000? 1 tlsmgr
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
";
