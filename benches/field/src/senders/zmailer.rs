//! `pipelane ta`, behind the tests' stand-in for ZMailer's scheduler.

use super::COLD;
use crate::office::{Group, Office, group, to};
use crate::sample::Sample;
use crate::scheduler::Scheduler;
use pipelane::sink::{Sink, SinkOptions};
use std::time::{Duration, Instant};

/// What is in the office.
#[derive(Debug, Clone, Copy)]
pub struct Mail {
    /// Control files.
    pub messages: usize,
    /// Recipients of each.
    pub recipients: usize,
    /// Octets of each body.
    pub octets: usize,
}

/// Delivers it to a sink whose replies are that late. From the first job line, with connecting, to the last report.
pub fn run(mail: Mail, delay: Duration, settings: &str) -> Result<Sample, String> {
    let sink =
        Sink::start(SinkOptions { latency: delay, ..SinkOptions::default() }).map_err(|error| error.to_string())?;
    let office = Office::new();
    let config = office.path().join("pipelane.toml");
    std::fs::write(&config, format!("[defaults]\n{settings}\n")).map_err(|error| error.to_string())?;
    let posted: Vec<_> = (0..mail.messages).map(|n| post(&office, n, mail)).collect();
    let config = config.display().to_string();
    let force = format!("[{}]:{}", sink.address().ip(), sink.address().port());
    let mut scheduler = Scheduler::start(&office, &["--config", &config, "-F", &force], 20);
    scheduler.looks = false;
    // It has said that it is there, and is waited for no longer: a scheduler keeps its agents.
    scheduler.run_until("the first #hungry", |scheduler| scheduler.hungry > 0);
    let begun = Instant::now();
    posted.iter().for_each(|posted| scheduler.know(posted));
    scheduler.run_until_told(mail.messages * mail.recipients, &["ok2", "ok3"]);
    let elapsed = begun.elapsed().as_secs_f64();
    scheduler.end();
    Ok(Sample::default().and(COLD, "s", elapsed).and("connections", "", sink.totals().connections as f64))
}

fn post(office: &Office, n: usize, mail: Mail) -> crate::office::Posted {
    let all = (0..mail.recipients).map(|user| to("b.test", &format!("u{user}@b.test"))).collect();
    let groups: [Group; 1] = [group(all, "Subject: a message\n")];
    let body = "A line of a body that is as long as lines of bodies mostly are.\n".repeat(mail.octets / 64);
    office.post(&format!("{}-1", 1000 + n), &[], &groups, &body)
}
