//! How much memory `pipelane serve` has resident.

use super::{Case, Entry, entry};
use crate::client::Client;
use crate::mail::Mail;
use crate::pipelane::{Pipelane, Sink};
use crate::sample::Sample;
use crate::work::Work;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// The case.
pub fn case() -> Case {
    Case {
        name: "memory",
        title: "Memory of pipelane serve",
        notes: "Resident memory of the whole process: at the time (`now`) and the most it ever was (`peak`). The mail comes by LMTP and goes \
            to `pipelane sink`.",
        more_is_better: false,
        side_by_side: false,
        axis: None,
        entries,
    }
}

fn entries() -> Vec<Entry> {
    vec![
        entry("pipelane", "started, no mail yet", || with_mail(|_| Ok(()))),
        entry("pipelane", "one lane, idle behind one message", || {
            with_mail(|served| stream(served, Work::messages(1, 4000), 1))
        }),
        entry("pipelane", "one lane, streaming: 10000 messages of 4 kB by 100 clients", || {
            with_mail(|served| stream(served, Work::messages(10_000, 4000), 100))
        }),
        entry("pipelane", "one message of 1 GB", || with_mail(gigabyte)),
    ]
}

fn with_mail(mail: impl Fn(&Pipelane) -> Result<(), String>) -> Result<Sample, String> {
    let sink = Sink::start();
    let served = Pipelane::serve(sink.next_hop(), "trust = \"stream\"\nwindow_messages = 256\nlanes = 1");
    mail(&served)?;
    thread::sleep(Duration::from_millis(300));
    let megabytes = |kilobytes: u64| kilobytes as f64 / 1024.0;
    Ok(Sample::default().and("peak", "MB", megabytes(served.peak_resident_kb())).and(
        "now",
        "MB",
        megabytes(served.resident_kb()),
    ))
}

/// By so many clients at a time.
fn stream(served: &Pipelane, work: Work, clients: usize) -> Result<(), String> {
    let mail: Mail = work.mail("m");
    let next = AtomicUsize::new(0);
    let send = || {
        let mut client = Client::lmtp(&served.socket());
        while next.fetch_add(1, Ordering::Relaxed) < work.messages {
            client.send(&mail);
        }
    };
    thread::scope(|scope| (0..clients).for_each(|_| drop(scope.spawn(send))));
    Ok(())
}

fn gigabyte(served: &Pipelane) -> Result<(), String> {
    let mut client = Client::lmtp(&served.socket());
    let piece = ("x".repeat(998) + "\r\n").repeat(1000);
    client.ask("MAIL FROM:<a@client.test> SIZE=1000000000", "250");
    client.ask("RCPT TO:<b@example.test>", "250");
    client.ask("DATA", "354");
    (0..1000).for_each(|_| client.raw(piece.as_bytes()));
    client.raw(b".\r\n");
    let reply = client.reply();
    reply.starts_with("250").then_some(()).ok_or(reply)
}
