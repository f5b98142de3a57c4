//! Certificates for tests, made by openssl(1) when they are first asked for: an authority, a server `mx.test` that it vouches for,
//! and a server that nobody does. They are valid for a day and vanish with the process, or at the latest with /tmp.

use openssl::ssl::{SslAcceptor, SslAcceptorBuilder, SslFiletype, SslMethod, SslVerifyMode, SslVersion};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The files of one process.
pub struct Certificates {
    directory: tempfile::TempDir,
}

impl Certificates {
    /// Made once.
    pub fn get() -> &'static Certificates {
        static MADE: OnceLock<Certificates> = OnceLock::new();
        MADE.get_or_init(|| {
            let directory = tempfile::tempdir().expect("a directory");
            let at = directory.path();
            let own = "-x509 -newkey rsa:2048 -nodes -days 1";
            openssl(at, &format!("req {own} -keyout ca.key -out ca.pem -subj /CN=authority"));
            openssl(at, &format!("req {own} -keyout stranger.key -out stranger.pem -subj /CN=mx.test"));
            openssl(at, "req -newkey rsa:2048 -nodes -keyout mx.key -out mx.csr -subj /CN=mx.test");
            fs::write(at.join("mx.ext"), "subjectAltName=DNS:mx.test\n").expect("written");
            let signed = "-CA ca.pem -CAkey ca.key -CAcreateserial -extfile mx.ext -days 1";
            openssl(at, &format!("x509 -req -in mx.csr {signed} -out mx.pem"));
            Certificates { directory }
        })
    }

    /// The authority's certificate, `ca.pem`, or another file of them.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A server with the certificate of this name, `mx` or `stranger`; with ` 1.2` behind it, one that has no newer version.
    pub fn acceptor(&self, name: &str) -> SslAcceptor {
        self.builder(name).build()
    }

    /// One that asks its clients for a certificate, and takes any.
    #[allow(dead_code)]
    pub fn asking_acceptor(&self) -> SslAcceptor {
        let mut acceptor = self.builder("mx");
        acceptor.set_verify_callback(SslVerifyMode::PEER, |_, _| true);
        acceptor.build()
    }

    fn builder(&self, name: &str) -> SslAcceptorBuilder {
        let (name, old) = name.strip_suffix(" 1.2").map_or((name, false), |name| (name, true));
        let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).expect("an acceptor");
        acceptor.set_certificate_chain_file(self.path(&format!("{name}.pem"))).expect("a certificate");
        acceptor.set_private_key_file(self.path(&format!("{name}.key")), SslFiletype::PEM).expect("its key");
        if old {
            acceptor.set_max_proto_version(Some(SslVersion::TLS1_2)).expect("a version");
        }
        acceptor
    }
}

fn openssl(at: &Path, arguments: &str) {
    let output = Command::new("openssl").args(arguments.split(' ')).current_dir(at).output();
    let output = output.expect("openssl(1), which scripts/install-needs installs");
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}
