//! Certificates for tests, made by openssl(1) when they are first asked for. They vanish with the process, or at the
//! latest with /tmp.
//!
//! | file        | whose                                                          |
//! |-------------|----------------------------------------------------------------|
//! | `ca`        | an authority                                                   |
//! | `mx`        | the server `mx.test`, by `ca`                                  |
//! | `other`     | the server `other.test`, by `ca`                               |
//! | `policy`    | the server `mta-sts.a.test`, by `ca`                           |
//! | `expired`   | `mx.test`, by `ca`, and out of date; all others last a day     |
//! | `stranger`  | `mx.test`, by itself                                           |
//! | `curve`     | the same with an elliptic curve                                |
//! | `issuer`    | an authority, by `ca`                                          |
//! | `under`     | `mx.test`, by `issuer`, which stands behind it in the file     |

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
            let curve = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
            openssl(at, "req -x509 -newkey rsa:2048 -nodes -days 1 -keyout ca.key -out ca.pem -subj /CN=authority");
            openssl(
                at,
                "req -x509 -newkey rsa:2048 -nodes -days 1 -keyout stranger.key -out stranger.pem -subj /CN=mx.test",
            );
            openssl(at, &format!("req -x509 {curve} -days 1 -keyout curve.key -out curve.pem -subj /CN=mx.test"));
            issue(at, "mx", "-newkey rsa:2048 -nodes", "subjectAltName=DNS:mx.test", "ca", 1);
            issue(at, "other", curve, "subjectAltName=DNS:other.test", "ca", 1);
            issue(at, "policy", curve, "subjectAltName=DNS:mta-sts.a.test", "ca", 1);
            issue(at, "expired", curve, "subjectAltName=DNS:mx.test", "ca", -1);
            issue(at, "issuer", curve, "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign", "ca", 1);
            issue(at, "under", curve, "subjectAltName=DNS:mx.test", "issuer", 1);
            let both = ["under.pem", "issuer.pem"].map(|name| fs::read(at.join(name)).expect("made just now"));
            fs::write(at.join("under.pem"), both.concat()).expect("written");
            Certificates { directory }
        })
    }

    /// The authority's certificate, `ca.pem`, or another file of them.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A server with the certificate of this name; with ` 1.2` behind it, one that has no newer version.
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

/// A certificate for a new key of this kind.
fn issue(at: &Path, name: &str, key: &str, extensions: &str, by: &str, days: i32) {
    openssl(at, &format!("req {key} -keyout {name}.key -out {name}.csr -subj /CN={name}"));
    fs::write(at.join("ext"), format!("{extensions}\n")).expect("written");
    let signed = format!("-CA {by}.pem -CAkey {by}.key -CAcreateserial -extfile ext -days {days}");
    openssl(at, &format!("x509 -req -in {name}.csr {signed} -out {name}.pem"));
}

fn openssl(at: &Path, arguments: &str) {
    let output = Command::new("openssl").args(arguments.split(' ')).current_dir(at).output();
    let output = output.expect("openssl(1), which scripts/install-needs installs");
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}
