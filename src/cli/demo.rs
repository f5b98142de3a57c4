//! `pipelane demo`: what pipelining and streaming are worth, shown in half a minute on one machine.
//!
//! Sinks 300 ms away run in this process; the same work is delivered to each at another level of the ladder, all at
//! once, with live bars. Every figure is measured. Where the whole work would take minutes a part is delivered, and the
//! table says from which part its time was extrapolated.

use clap::Args;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use pipelane::config::{Level, NextHopSettings, Trust};
use pipelane::mail::Verdict;
use pipelane::sink::SinkOptions;
use pipelane::trial::{Measured, Trial, TrialError};
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

/// Show what pipelining is worth: the same mail, delivered at each level of the ladder to a server far away.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// The round trip to the server, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=5000))]
    latency_ms: u64,
}

/// One line of the table.
struct Run {
    work: Work,
    level: Level,
    /// Messages or recipients that are really delivered.
    part: usize,
}

/// The two kinds of work.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    /// One message of 1 kB to 2000 recipients.
    List,
    /// 500 messages of 4 kB to one recipient each.
    Many,
}

impl Work {
    const fn whole(self) -> usize {
        match self {
            Work::List => 2000,
            Work::Many => 500,
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Work::List => "1 message of 1 kB, 2000 recipients",
            Work::Many => "500 messages of 4 kB, 1 recipient each",
        }
    }

    const fn unit(self) -> &'static str {
        match self {
            Work::List => "recipients",
            Work::Many => "messages",
        }
    }
}

fn runs() -> Vec<Run> {
    let run = |work, level, part| Run { work, level, part };
    vec![
        run(Work::List, Level::Lockstep, 30),
        run(Work::List, Level::Envelope, 2000),
        run(Work::List, Level::Stream, 2000),
        run(Work::Many, Level::Lockstep, 10),
        run(Work::Many, Level::Envelope, 20),
        run(Work::Many, Level::Overlap, 40),
        run(Work::Many, Level::Stream, 500),
    ]
}

impl Run {
    fn trial(&self, latency: Duration) -> Trial {
        let (messages, recipients, size) = match self.work {
            Work::List => (1, self.part, 1000),
            Work::Many => (self.part, 1, 4000),
        };
        let settings = NextHopSettings {
            max_level: self.level,
            trust: Trust::Stream,
            window_messages: 256,
            ..NextHopSettings::default()
        };
        Trial { sink: SinkOptions { latency, ..SinkOptions::default() }, settings, messages, recipients, size }
    }

    /// The time for the whole work, from MAIL to the last reply.
    fn whole_time(&self, measured: &Measured) -> f64 {
        let seconds = measured.delivery.as_secs_f64();
        match (self.part == self.work.whole(), self.work) {
            (true, _) => seconds,
            // MAIL, DATA and the dot are there once, whatever the number of recipients.
            (false, Work::List) => seconds * (self.work.whole() + 3) as f64 / (self.part + 3) as f64,
            (false, Work::Many) => seconds * self.work.whole() as f64 / self.part as f64,
        }
    }
}

/// Runs the demonstration. 0 when every message was delivered, else 1.
pub fn run(args: DemoArgs) -> ExitCode {
    let latency = Duration::from_millis(args.latency_ms);
    println!("A server {} ms away (a full round trip). One connection each, all runs at once:\n", args.latency_ms);
    let runs = runs();
    let results = deliver(&runs, latency);
    let mut complete = true;
    for work in [Work::List, Work::Many] {
        println!("\n{} (from MAIL to the last reply)", work.title());
        println!("  {:<10} {:>12}  {:>14}  {:>9}  measured", "level", "time", "trips/message", "speed-up");
        let rows = || runs.iter().zip(&results).filter(|(run, _)| run.work == work);
        let slowest = rows().next().and_then(|(run, result)| Some(run.whole_time(result.as_ref().ok()?)));
        for (run, result) in rows() {
            complete &= print_row(run, result, slowest, latency);
        }
    }
    println!("\nTCP itself is local here: on a real link its slow start comes on top, alike for every level.");
    if complete { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn deliver(runs: &[Run], latency: Duration) -> Vec<Result<Measured, TrialError>> {
    let bars = MultiProgress::new();
    let style = ProgressStyle::with_template("  {prefix:<48} {bar:30} {pos:>5}/{len}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    std::thread::scope(|scope| {
        let threads: Vec<_> = runs
            .iter()
            .map(|run| {
                let bar = bars.add(ProgressBar::new(run.part as u64).with_style(style.clone()));
                bar.set_prefix(format!("{}, {}", run.work.title(), run.level));
                scope.spawn(move || {
                    let result = run.trial(latency).run(&|done| bar.set_position(done));
                    bar.finish();
                    result
                })
            })
            .collect();
        if !std::io::stderr().is_terminal() {
            println!("  (no terminal: no live bars; this takes about {} round trips)", 46);
        }
        threads.into_iter().map(|thread| thread.join().expect("a trial reports its errors")).collect()
    })
}

/// Prints one line; whether all of it was delivered.
fn print_row(run: &Run, result: &Result<Measured, TrialError>, slowest: Option<f64>, latency: Duration) -> bool {
    let measured = match result {
        Ok(measured) => measured,
        Err(error) => {
            println!("  {:<10} {error}", run.level.name());
            return false;
        }
    };
    let seconds = run.whole_time(measured);
    let messages = if run.work == Work::List { 1 } else { run.work.whole() };
    let trips = seconds / latency.as_secs_f64() / messages as f64;
    let speed_up = slowest.map_or(String::new(), |slowest| format!("{:.0} x", slowest / seconds));
    let basis = if run.part == run.work.whole() {
        "all of it".to_owned()
    } else {
        format!("{} {} in {:.1} s, extrapolated", run.part, run.work.unit(), measured.delivery.as_secs_f64())
    };
    println!("  {:<10} {:>10.2} s  {:>14.3}  {:>9}  {basis}", run.level.name(), seconds, trips, speed_up);
    let delivered = measured.count(Verdict::Delivered);
    let expected: usize = measured.reports.iter().map(|report| report.outcomes.len()).sum();
    if delivered != expected {
        println!("  only {delivered} of {expected} recipients were delivered");
    }
    delivered == expected
}
