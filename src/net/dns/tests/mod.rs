//! The client and the routes against a server on 127.0.0.1 that says what a test wants; and octets without sense.

mod client;
mod octets;
mod routes;
mod server;
mod turns;

use super::*;
use server::{A, TestServer};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Far longer than anything takes, so that a slow machine fails no test.
const LONG: Duration = Duration::from_secs(60);

fn long() -> Wait<'static> {
    Wait { until: Instant::now() + LONG, wake: None }
}

fn name(text: &str) -> Name {
    Name::parse(text).expect(text)
}

/// A resolver that asks these, each for a long time and twice.
fn resolver(servers: &[&TestServer]) -> Resolver {
    let servers = servers.iter().map(|server| Server::new(server.address)).collect();
    Resolver::new(Settings { timeout: LONG, ..Settings::of(servers) })
}

fn address(last: u8) -> Record {
    Record::Address(IpAddr::from([192, 0, 2, last]))
}

fn good() -> TestServer {
    TestServer::saying(|reply| reply.record("a.test", A, 60, "192.0.2.1"))
}

fn ask(servers: &[&TestServer]) -> Result<Answer, SoftFailure> {
    resolver(servers).query(&name("a.test"), Type::A, &long())
}

fn records(answer: Result<Answer, SoftFailure>) -> Vec<Record> {
    answer.expect("an answer").records().to_vec()
}

fn text(answer: Result<Answer, SoftFailure>) -> String {
    answer.expect_err("no answer").to_string()
}
