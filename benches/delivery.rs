//! Deliveries to a sink 300 ms away, in seconds and in round trips, beside what the ladder says they should take.
//!
//! The sink delays replies, not octets: TCP itself is as fast as loopback here, so what is measured is the protocol
//! alone. Run by `scripts/bench`.

use pipelane::config::{Level, NextHopSettings, Trust};
use pipelane::mail::Verdict;
use pipelane::sink::{Extensions, SinkOptions};
use pipelane::trial::{Measured, Trial};
use std::time::Duration;

const ROUND_TRIP: Duration = Duration::from_millis(300);
/// The greeting and EHLO: nothing can be sent before.
const TO_GREET: f64 = 2.0;

struct Case {
    name: &'static str,
    trial: Trial,
    /// Round trips that the ladder says, after EHLO.
    expected: f64,
}

fn settings(level: Level, trust: Trust, window: usize) -> NextHopSettings {
    NextHopSettings { max_level: level, trust, window_messages: window, ..NextHopSettings::default() }
}

fn case(
    name: &'static str,
    work: (usize, usize, usize),
    settings: NextHopSettings,
    chunking: bool,
    expected: f64,
) -> Case {
    let (messages, recipients, size) = work;
    let extensions = Extensions { chunking, ..Extensions::ALL };
    let sink = SinkOptions { latency: ROUND_TRIP, extensions, ..SinkOptions::default() };
    Case { name, trial: Trial { sink, settings, messages, recipients, size }, expected }
}

fn cases() -> Vec<Case> {
    const LIST: (usize, usize, usize) = (1, 2000, 1000);
    const MANY: (usize, usize, usize) = (1000, 1, 4000);
    let stream = |window| settings(Level::Stream, Trust::Stream, window);
    vec![
        case("1 x 2000 recipients, envelope", LIST, settings(Level::Envelope, Trust::Learned, 64), false, 2.0),
        case("1 x 2000 recipients, stream", LIST, stream(64), true, 1.0),
        case("1000 x 4 kB, stream, window 256", MANY, stream(256), true, 4.0),
        case("1000 x 4 kB, stream, window 64", MANY, stream(64), true, 1000_f64 / 64.0),
        case("1000 x 4 kB, learned, window 256", MANY, settings(Level::Stream, Trust::Learned, 256), true, 12.0),
        case(
            "40 x 4 kB, overlap (no CHUNKING)",
            (40, 1, 4000),
            settings(Level::Overlap, Trust::Stream, 64),
            false,
            41.0,
        ),
        case("20 x 4 kB, envelope", (20, 1, 4000), settings(Level::Envelope, Trust::Learned, 64), false, 40.0),
    ]
}

fn print(case: &Case, measured: &Measured) {
    let trips = measured.round_trips(ROUND_TRIP);
    let ladder = case.expected + TO_GREET;
    let delivered = measured.count(Verdict::Delivered);
    assert_eq!(delivered, case.trial.messages * case.trial.recipients, "not all was delivered");
    println!(
        "{:<36} {:>7.2} s  {:>7.2} round trips  ladder {:>6.2}  {:>+5.1} %  {} connection(s)",
        case.name,
        measured.elapsed.as_secs_f64(),
        trips,
        ladder,
        (trips / ladder - 1.0) * 100.0,
        measured.totals.connections,
    );
}

fn main() {
    println!("A sink at {} ms. All figures from the first submission to the last report.", ROUND_TRIP.as_millis());
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    for case in cases().into_iter().filter(|case| case.name.contains(&only)) {
        match case.trial.run(&|_| ()) {
            Ok(measured) => print(&case, &measured),
            Err(error) => println!("{:<36} {error}", case.name),
        }
    }
}
