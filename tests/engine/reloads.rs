//! Other settings while a connection is open: what they tighten holds for the next message.

use crate::place::*;
use pipelane::config::{Config, NextHopSettings, Timeouts, TlsPolicy, TlsSettings};
use pipelane::mail::Verdict;
use pipelane::sink::SinkOptions;
use std::sync::Arc;

#[test]
fn no_message_goes_in_clear_over_an_open_connection_once_the_policy_forbids_it() {
    let sink = sink_with(SinkOptions::default());
    let settings = || {
        let timeouts = Timeouts { idle: LONG, ..Timeouts::default() };
        NextHopSettings { timeouts, ..settings() }
    };
    let engine = engine(settings());
    let hop = hop(sink.address());
    all_delivered(&submit_many(&engine, &hop, "clear", 3));
    let tls = TlsSettings { policy: TlsPolicy::Require, ..TlsSettings::default() };
    let strict = NextHopSettings { tls, ..settings() };
    engine.reconfigure(Arc::new(Config { defaults: Arc::new(strict), ..Config::default() }));
    let report = report(&submit(&engine, message(&hop, "later", "r@b.test", 200)));
    let outcome = &report.outcomes[0];
    assert_eq!((outcome.verdict, outcome.status.to_string().as_str()), (Verdict::Deferred, "4.7.4"), "{outcome:?}");
    assert_eq!(sink.messages().len(), 3);
    engine.drain();
}
