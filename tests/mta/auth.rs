//! AUTH at a real Postfix, which asks Dovecot who may log in and takes mail from nobody else.

use crate::certificates::Certificates;
use crate::dovecot::{Dovecot, PASSWORD, USER};
use crate::needs::{Need, met};
use crate::postfix::Postfix;
use crate::tls;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// A Postfix that takes mail from those only who have logged in, over TLS.
fn server(dovecot: &Dovecot) -> Postfix {
    let lines = [
        "smtpd_sasl_auth_enable=yes",
        "smtpd_sasl_type=dovecot",
        &format!("smtpd_sasl_path={}", dovecot.auth_socket().display()),
        "smtpd_sasl_security_options=noanonymous",
        "smtpd_tls_auth_only=yes",
        "smtpd_client_restrictions=permit_sasl_authenticated,reject",
    ];
    tls::server("mx", &lines.join("\n"))
}

/// What becomes of a message with this file of passwords: delivered, or the status that it is put off with.
fn outcome(server: &Postfix, file: &Path, mechanism: &str) -> String {
    let ca = Certificates::get().path("ca.pem").display().to_string();
    let file = file.display().to_string();
    let engine = tls::engine(&[
        ("tls", "verify"),
        ("tls_name", "mx.test"),
        ("tls_ca_file", &ca),
        ("auth_file", &file),
        ("auth_mechanisms", mechanism),
    ]);
    let outcome = tls::deliver(&engine, server);
    engine.drain();
    if outcome.is_delivered() { "delivered".into() } else { format!("{} {}", outcome.status, outcome.text) }
}

#[test]
fn who_has_the_password_logs_in_by_every_mechanism_and_nobody_else() {
    if !met(&[Need::Postfix, Need::Dovecot]) {
        return;
    }
    let dovecot = Dovecot::start();
    let server = server(&dovecot);
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("sasl_passwd");
    let write = |line: String| {
        fs::write(&file, line).expect("written");
        fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("the owner may");
    };
    for mechanism in ["PLAIN", "LOGIN", "SCRAM-SHA-256"] {
        write(format!("{} {USER}:{PASSWORD}\n", server.next_hop()));
        let said = outcome(&server, &file, mechanism);
        assert_eq!(said, "delivered", "{mechanism}\n{}{}", server.trouble(), dovecot.trouble());
        write(format!("{} {USER}:{PASSWORD}x\n", server.next_hop()));
        let said = outcome(&server, &file, mechanism);
        assert!(said.starts_with("4.7.8 "), "{mechanism}: {said}\n{}", dovecot.trouble());
    }
    write("[elsewhere.test]:25 u:p\n".into());
    let said = outcome(&server, &file, "PLAIN");
    assert!(!said.starts_with("delivered") && !said.starts_with("4.7.8 "), "without a password: {said}");
}
