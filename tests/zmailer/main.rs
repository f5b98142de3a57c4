//! `pipelane ta` behind a stand-in for ZMailer's scheduler, with control files and servers that are as real as they can
//! be had here.
//!
//! `scheduler` keeps the scheduler's rules, `office` writes control files; both come from the description of the
//! interface and share nothing with the agent.

mod delivery;
mod examples;
mod groups;
mod interruption;
mod office;
mod options;
mod scheduler;

use pipelane::sink::{Received, Sink, SinkOptions, Store};
use std::time::Duration;

/// What is tested.
fn executable() -> std::path::PathBuf {
    env!("CARGO_BIN_EXE_pipelane").into()
}

/// A server that keeps what it takes.
fn sink(latency_ms: u64) -> Sink {
    sink_at("127.0.0.1:0", latency_ms)
}

fn sink_at(listen: &str, latency_ms: u64) -> Sink {
    let options = SinkOptions {
        listen: listen.parse().expect("an address"),
        latency: Duration::from_millis(latency_ms),
        store: Store::Memory,
        ..SinkOptions::default()
    };
    Sink::start(options).expect("a sink")
}

/// The options that send everything there.
fn force(sink: &Sink) -> Vec<String> {
    with(sink, &[])
}

/// The same and others.
fn with(sink: &Sink, others: &[&str]) -> Vec<String> {
    let force = ["-F".to_owned(), format!("[{}]:{}", sink.address().ip(), sink.address().port())];
    force.into_iter().chain(others.iter().map(|other| (*other).to_owned())).collect()
}

fn text(received: &Received) -> String {
    String::from_utf8(received.content.clone()).expect("UTF-8")
}

fn addresses(received: &Received) -> Vec<String> {
    received.recipients.iter().map(|recipient| recipient.address.clone()).collect()
}

/// No client of a sink may make a mistake.
fn no_mistakes(sink: &Sink) {
    let totals = sink.totals();
    assert!(totals.mistake_texts.is_empty(), "{:?}", totals.mistake_texts);
}
