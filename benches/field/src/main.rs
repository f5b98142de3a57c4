//! Measures pipelane on an emulated link, with a real Postfix as the server.

// The harness of the tests with real mail servers: the same private instances.
#[allow(dead_code, missing_docs, unused_imports)]
#[path = "../../../tests/mta/client.rs"]
mod client;
#[allow(dead_code, missing_docs, unused_imports)]
#[path = "../../../tests/mta/log.rs"]
mod log;
#[allow(dead_code, missing_docs, unused_imports)]
#[path = "../../../tests/mta/mail.rs"]
mod mail;
#[allow(dead_code, missing_docs, unused_imports)]
#[path = "../../../tests/mta/maildir.rs"]
mod maildir;
#[allow(dead_code, missing_docs, unused_imports)]
#[path = "../../../tests/mta/place.rs"]
mod place;
#[allow(dead_code, missing_docs, unused_imports)]
#[path = "../../../tests/mta/postfix/mod.rs"]
mod postfix;

mod mixed;

fn main() {
    env_logger::builder().parse_env("PIPELANE_LOG").init();
    mixed::run();
}
