//! Who we are at a server: credentials for a session, out of the file that the settings name, by the host, the mail
//! domain or the destination as the administrator wrote it. A name that only an MX record has is no key: who can change
//! what DNS says could else ask for the password of another server. Nor is a fallback relay given that of the next hop.
//!
//! Under `verify` a certificate says whose server it is. Where that is a name which only an MX record has, proved by
//! nobody, the certificate is worth what DNS is worth: whoever forges the record has a valid one of his own. Such a
//! server gets no password said to it, only the proof that we know it (SCRAM). A host that the administrator has named,
//! by the next hop or by `tls_name`, one that DNSSEC proves and one that the domain's MTA-STS policy names do. Where no
//! certificate is asked for, nothing of this is claimed, and `pipelane check` says so.
//!
//! The file is read for each connection, before anything is dialled: a changed password counts from the next
//! connection on, and none is kept. A file that cannot be used is the administrator's to mend; until then mail for
//! the next hop is deferred, since to send it without AUTH is not what was asked for.

use super::open::{OpenError, Opener};
use super::pledge::Pledge;
use super::servers::Server;
use crate::config::{Credentials, TlsPolicy};
use crate::net::dns::Exchanger;
use crate::smtp::Auth;
use log::warn;

/// Why a server is not told a password.
const HEARSAY: &str = "only an MX record that nobody has proved names this server, so it is not told the password; name \
     the server by the next hop, as in [mx.example.net]:587, or by tls_name";

impl Opener {
    /// As whom a session logs in; `None`: as nobody.
    pub(super) fn auth(&self, at: &Server) -> Result<Option<Auth>, OpenError> {
        let settings = &self.settings.auth;
        let Some(file) = &settings.file else { return Ok(None) };
        let found = Credentials::find(file, &at.owner.name, &at.owner.written).map_err(|error| {
            warn!("{}: auth_file: {error}", self.next_hop);
            OpenError::Credentials(error.to_string())
        })?;
        let auth = |credentials| Auth {
            credentials,
            mechanisms: settings.mechanisms.clone(),
            in_clear: settings.in_clear,
            undisclosed: self.is_hearsay(at).then_some(HEARSAY),
        };
        Ok(found.map(auth))
    }

    /// Whether the server's certificate must be valid for its name, and only an MX record that nobody has proved says
    /// that this is the name. Where no certificate counts, this is not what was asked for.
    fn is_hearsay(&self, at: &Server) -> bool {
        let tls = &self.settings.tls;
        let is_verified = at.pledge.policy(tls.policy) == TlsPolicy::Verify;
        let is_named = tls.name.is_some() && !at.owner.is_relay;
        let is_vouched_for = is_named || at.pledge != Pledge::None;
        let from_elsewhere = |server: &Exchanger| !server.secure && server.name.as_str() != at.owner.name;
        is_verified && !is_vouched_for && at.exchanger.as_ref().is_some_and(from_elsewhere)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{AuthSettings, NextHopSettings, TlsSettings};
    use crate::conn::fixture::{Nothing, serve};
    use crate::conn::secure::Encryption;
    use crate::conn::servers::Owner;
    use crate::conn::{Connection, Servers, Ways};
    use crate::net::Endpoint;
    use crate::net::dns::Name;
    use crate::net::tls::Connectors;
    use std::fs::{self, Permissions};
    use std::io::ErrorKind;
    use std::net::{Ipv4Addr, TcpListener};
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;
    use std::sync::Arc;

    fn opener(listener: &TcpListener, file: &Path) -> Opener {
        let auth = AuthSettings { file: Some(file.to_owned()), in_clear: true, ..AuthSettings::default() };
        let port = listener.local_addr().expect("bound").port();
        let settings = NextHopSettings { auth, ..NextHopSettings::default() };
        crate::conn::fixture::opener(&format!("[127.0.0.1]:{port}"), settings)
    }

    /// The server that the next hop names.
    fn server_of(opener: &Opener) -> Arc<Server> {
        let ways = Ways::default();
        Arc::new(Servers::of(opener, &ways).next().expect("one").expect("an address"))
    }

    fn open(opener: &Opener) -> Result<Connection<Nothing>, (OpenError, Option<Endpoint>)> {
        Connection::open(opener, &Connectors::default(), &server_of(opener), &[], &|| None)
    }

    /// A file of passwords with this mode, and a listener.
    fn place(text: &str, mode: u32) -> (tempfile::TempDir, std::path::PathBuf, TcpListener) {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("sasl_passwd");
        fs::write(&file, text).expect("written");
        fs::set_permissions(&file, Permissions::from_mode(mode)).expect("the owner may");
        (directory, file, TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port"))
    }

    #[test]
    fn with_a_file_that_cannot_be_used_nothing_is_dialled() {
        let (_directory, file, listener) = place("127.0.0.1 u:p\n", 0o640);
        let (error, address) = open(&opener(&listener, &file)).err().expect("not private");
        assert!(matches!(error, OpenError::Credentials(_)) && address.is_none(), "{error}");
        assert!(error.to_string().contains("chmod 600"), "{error}");
        let outcome = crate::conn::policy::unopened(&error);
        assert_eq!(outcome.status.to_string(), "4.3.5");
        listener.set_nonblocking(true).expect("a listener");
        assert_eq!(listener.accept().err().map(|error| error.kind()), Some(ErrorKind::WouldBlock));
    }

    #[test]
    fn a_refusal_is_the_address_s_own_so_that_the_next_one_is_tried() {
        let (_directory, file, listener) = place("127.0.0.1 u:p\n", 0o600);
        let opener = opener(&listener, &file);
        let server = serve(listener, &["220 x\r\n", "250-x\r\n250 AUTH PLAIN\r\n", "535 5.7.8 no\r\n"]);
        let (error, address) = open(&opener).err().expect("refused");
        assert!(matches!(error, OpenError::NotAuthenticated { reply: Some(_), .. }), "{error}");
        assert_eq!(address.as_ref(), server_of(&opener).addresses.first());
        assert!(server.join().expect("ends").ends_with("AUTH PLAIN AHUAcA==\r\n"));
    }

    #[test]
    fn a_fallback_relay_gets_no_password_of_the_next_hop() {
        let (_directory, file, listener) = place("127.0.0.1 u:p\n", 0o600);
        let mut opener = opener(&listener, &file);
        let mut settings = NextHopSettings::clone(&opener.settings);
        settings.routing.fallback_relay = "[127.0.0.2]:25, [127.0.0.1]:26".parse().ok();
        opener.settings = Arc::new(settings);
        let ways = Ways::default();
        let logs_in =
            |server: Result<Server, OpenError>| opener.auth(&server.expect("an address")).expect("a file").is_some();
        let all: Vec<bool> = Servers::of(&opener, &ways).map(logs_in).collect();
        assert_eq!(all, [true, false, true]);
        fs::write(&file, format!("{} u:p\n", opener.next_hop)).expect("written");
        let all: Vec<bool> = Servers::of(&opener, &ways).map(logs_in).collect();
        assert_eq!(all, [true, false, false], "only what is written so");
    }

    #[test]
    fn a_password_is_reason_enough_to_try_tls_where_it_has_failed_for_others() {
        let (_directory, file, listener) = place("127.0.0.1 u:p\n", 0o600);
        let mut opener = opener(&listener, &file);
        let (at, now) = (server_of(&opener), std::time::Instant::now());
        let address = at.addresses.first().expect("one");
        opener.ledger.note_broken_tls(address.clone(), &opener.settings.tls, now);
        let first_attempt = |opener: &Opener| {
            let auth = opener.auth(&at).expect("a file");
            opener.encryption(&at, address, auth.as_ref())
        };
        assert_eq!(first_attempt(&opener), Encryption::Clear, "it may be said in clear");
        let auth = AuthSettings { in_clear: false, ..opener.settings.auth.clone() };
        opener.settings = Arc::new(NextHopSettings { auth, ..NextHopSettings::default() });
        assert_eq!(first_attempt(&opener), Encryption::StartTls);
        fs::write(&file, "other u:p\n").expect("written");
        assert_eq!(first_attempt(&opener), Encryption::Clear, "there is none");
    }

    #[test]
    fn under_verify_a_server_that_only_dns_names_is_not_told_the_password() {
        let (_directory, file, listener) = place("a.test u:p\n", 0o600);
        let with = |tls: TlsSettings| {
            let mut opener = opener(&listener, &file);
            opener.settings = Arc::new(NextHopSettings { tls, ..NextHopSettings::clone(&opener.settings) });
            opener
        };
        let name = |text: &str| Name::parse(text).expect(text);
        let server = |of: &str, secure: bool, pledge: Pledge| {
            let addresses = vec![[192, 0, 2, 1].into()];
            let exchanger =
                Exchanger { name: name(of), canonical: name(of), preference: 1, addresses, proved: secure, secure };
            let owner = Owner { name: "a.test".into(), written: "a.test".into(), is_relay: false };
            let (name, addresses) = (of.to_owned(), Vec::new());
            Server { name, addresses, exchanger: Some(exchanger), pledge, owner, is_last: true }
        };
        let discloses = |tls: &TlsSettings, at: &Server| {
            let auth = with(tls.clone()).auth(at).expect("a file").expect("a password");
            auth.undisclosed.is_none()
        };
        let verify = TlsSettings { policy: TlsPolicy::Verify, ..TlsSettings::default() };
        let from_mx = server("mx.evil.test", false, Pledge::None);
        assert!(!discloses(&verify, &from_mx));
        // The domain itself, one that DNSSEC proves, one that the domain's policy names.
        assert!(discloses(&verify, &server("a.test", false, Pledge::None)));
        assert!(discloses(&verify, &server("mx.a.test", true, Pledge::None)));
        assert!(discloses(&verify, &server("mx.a.test", false, Pledge::Authority)));
        assert!(discloses(&TlsSettings { name: Some("mx.a.test".into()), ..verify.clone() }, &from_mx));
        let relay = Server { owner: Owner { is_relay: true, ..from_mx.owner.clone() }, ..from_mx.clone() };
        assert!(!discloses(&TlsSettings { name: Some("mx.a.test".into()), ..verify.clone() }, &relay), "not its name");
        // A host that the next hop names.
        assert!(discloses(&verify, &Server { exchanger: None, ..server("a.test", false, Pledge::None) }));
        // Where any certificate will do, nobody is authenticated anyway.
        assert!(discloses(&TlsSettings { policy: TlsPolicy::Require, ..verify.clone() }, &from_mx));
    }

    #[test]
    fn the_next_hop_as_it_is_written_is_a_key_too() {
        let (_directory, file, listener) = place("other x:y\n", 0o600);
        let opener = opener(&listener, &file);
        assert!(matches!(opener.auth(&server_of(&opener)), Ok(None)));
        fs::write(&file, format!("{} u:p\n", opener.next_hop)).expect("written");
        let server =
            serve(listener, &["220 x\r\n", "250-x\r\n250 AUTH LOGIN\r\n", "334 \r\n", "334 \r\n", "235 ok\r\n"]);
        let Ok(connection) = open(&opener) else { panic!("not welcome") };
        assert_eq!(connection.session().logged_in(), Some(crate::config::Mechanism::Login));
        drop(connection);
        assert!(server.join().expect("ends").ends_with("AUTH LOGIN\r\ndQ==\r\ncA==\r\n"));
    }
}
