//! A long round trip and all the bandwidth one could want: many recipients, many messages, a server without CHUNKING.

use super::{Case, Entry, entry};
use crate::certificates::Certificates;
use crate::postfix::Setup;
use crate::sample::Sample;
use crate::senders::pipelane::Options;
use crate::senders::{COLD, CONNECTIONS, CPU, WARM, esmtp, exim, lettre, pipelane, postfix};
use crate::work::Work;
use crate::world::{Distance, World};

/// What an administrator sets for a server that is known to keep its promises.
pub const STREAM: Options = &[("trust", "stream"), ("window_messages", "256"), ("lanes", "1")];
const FAR: Distance = Distance::trip(300);
const NEARER: Distance = Distance::trip(20);

/// Those of this file.
pub fn cases() -> Vec<Case> {
    let case = |name, title, notes, entries| Case {
        name,
        title,
        notes,
        more_is_better: false,
        side_by_side: false,
        axis: None,
        entries,
    };
    vec![
        case("recipients", "1 message of 1 kB to 2000 recipients, round trip 300 ms", RECIPIENTS, recipients),
        case("many", "1000 messages of 4 kB, round trip 300 ms", MANY, || many(FAR, &SLOW)),
        case("many-20ms", "1000 messages of 4 kB, round trip 20 ms", MANY, || many(NEARER, &QUICK)),
        case("tls", "1000 messages of 4 kB under TLS, round trip 300 ms", TLS, tls),
        Case {
            side_by_side: true,
            ..case(
                "plain",
                "4 kB messages one after the other to a server without CHUNKING, round trip 300 ms, one connection",
                PLAIN,
                plain,
            )
        },
    ]
}

const RECIPIENTS: &str = "Times from the first octet of MAIL to the last reply; where a client does not tell when that was, from the start, \
    which is two to three round trips more (connecting, greeting, EHLO). Every connection is new: the 60 kB of RCPT commands are \
    more than a new TCP connection sends in two round trips, so three are the least. The fourth is the server's: its replies are \
    written in parts, and Nagle's algorithm (RFC 1122, 4.2.3.4), which Postfix leaves on, holds a short packet until the \
    short packet before it has been acknowledged. (Seen with strace(1): 825 octets of replies came one round trip after the 688 before \
    them; all others had come 1.01 s after MAIL.) With a larger initial window all commands leave in the first round trip. \
    For ZMailer's smtp agent, which sends them in one transaction too, 13 s were measured earlier through a proxy that \
    delays by 300 ms.";
const MANY: &str = "Clients that need several round trips for a message were measured with fewer messages, as the column says, and \
    scaled: their time is the same for each message. All else is measured whole. Times from the first MAIL to the last reply, \
    or from the start where a client does not tell. A new TCP connection doubles what it sends in a round trip, from 14 kB on: \
    at 300 ms that alone makes about 2.4 s for the 4 MB on one connection. For ZMailer's smtp agent 0.6 s a message \
    were measured earlier through a proxy that delays by 300 ms, which is 600 s.";
const TLS: &str = "The first figure is how many times the time in clear it takes from the first MAIL to the last reply, both measured one right \
    after the other against the same kind of server. The second counts from the start, with the round trips of STARTTLS, the \
    handshake and the second EHLO.";
const PLAIN: &str = "Without CHUNKING a client must wait for 354 before it sends content. What is left is to send the next envelope behind \
    the final dot, which makes one round trip a message.";

/// In a world of its own.
pub fn there(
    distance: Distance,
    setup: impl Fn() -> Setup,
    run: impl Fn(&World) -> Result<Sample, String>,
) -> Result<Sample, String> {
    let world = World::start(distance, setup())?;
    let sample = run(&world)?;
    world.end()?;
    Ok(sample)
}

fn far(run: impl Fn(&World) -> Result<Sample, String>) -> Result<Sample, String> {
    there(FAR, Setup::discarding, run)
}

/// The same without a link: less than this no distance takes.
fn own_time(how: &str, run: fn(&World) -> Result<Sample, String>) -> Entry {
    entry("pipelane", how, move || there(Distance::Loopback, Setup::discarding, run))
}

fn recipients() -> Vec<Entry> {
    const WORK: Work = Work { messages: 1, recipients: 2000, size: 1000 };
    let entry = |who, how, run: fn(&World) -> Result<Sample, String>| entry(who, how, move || far(run));
    vec![
        entry("pipelane", "trust = \"stream\"", |world| pipelane::run(world, WORK, STREAM)),
        entry("pipelane", "trust = \"stream\", the route with initcwnd 64 (ip-route(8))", |world| {
            world.set_initial_window(64)?;
            pipelane::run(world, WORK, STREAM)
        }),
        entry("pipelane", "defaults", |world| pipelane::run(world, WORK, &[])),
        own_time("on loopback: what the server takes for it", |world| pipelane::run(world, WORK, STREAM)),
        entry("Postfix", "one transaction (smtp_destination_recipient_limit = 2000)", |world| {
            postfix::run(world, WORK, "")
        }),
        entry("Postfix", "defaults: 50 recipients a copy, 20 connections", |world| {
            postfix::run(world, WORK, postfix::DEFAULTS)
        }),
        entry("Exim", "max_rcpt = 0", |world| exim::run(world, WORK)),
        entry("libESMTP", "", |world| esmtp::run(world, WORK)),
        Entry {
            run: Box::new(|| far(|world| scaled(lettre_recipients(world), 40))),
            ..entry("lettre", "50 recipients measured, scaled", |_| Ok(Sample::default()))
        },
    ]
}

/// It waits for each reply, so 2000 take 40 times as long as 50.
fn lettre_recipients(world: &World) -> Result<Sample, String> {
    lettre::run(world, Work { messages: 1, recipients: 50, size: 1000 }, 1)
}

fn scaled(sample: Result<Sample, String>, times: usize) -> Result<Sample, String> {
    let sample = sample?;
    Ok(Sample::default().and(COLD, "s", sample.get(COLD) * times as f64).and(CONNECTIONS, "", sample.get(CONNECTIONS)))
}

/// How many messages the clients are measured with that wait: Postfix with 20 connections, Exim, libESMTP, lettre with
/// 10 and 1.
type Counts = [usize; 5];
const SLOW: Counts = [1000, 20, 20, 50, 5];
const QUICK: Counts = [1000, 50, 400, 500, 100];

/// The time for 1000 messages, before what was measured.
fn thousand(sample: Result<Sample, String>, measured: usize) -> Result<Sample, String> {
    let sample = sample?;
    let warm = sample.get(WARM);
    let time = if warm.is_nan() { sample.get(COLD) } else { warm };
    Ok(Sample::default()
        .and("1000 messages", "s", time * 1000.0 / measured as f64)
        .and("measured", "", measured as f64)
        .with(sample))
}

fn many(distance: Distance, counts: &'static Counts) -> Vec<Entry> {
    let entry = |who, how, count: usize, run: fn(&World, Work) -> Result<Sample, String>| {
        entry(who, how, move || {
            there(distance, Setup::discarding, |world| thousand(run(world, Work::messages(count, 4000)), count))
        })
    };
    let [postfix, exim, esmtp, pool, single] = *counts;
    vec![
        entry("pipelane", "trust = \"stream\", window_messages = 256, 1 connection", 1000, |world, work| {
            pipelane::run(world, work, STREAM)
        }),
        entry("pipelane", "defaults", 1000, |world, work| pipelane::run(world, work, &[])),
        own_time("1 connection on loopback: what the server takes for it", |world| {
            let work = Work::messages(1000, 4000);
            thousand(pipelane::run(world, work, STREAM), work.messages)
        }),
        entry("Postfix", "defaults: 20 connections", postfix, |world, work| postfix::run(world, work, "")),
        entry("Postfix", "100 connections", postfix, |world, work| {
            let limits = "smtp_destination_concurrency_limit=100\nsmtp_initial_destination_concurrency=100";
            postfix::run(world, work, limits)
        }),
        entry("Exim", "one queue run, a connection for each message", exim, exim::run),
        entry("libESMTP", "1 session", esmtp, esmtp::run),
        entry("lettre", "pool of 10", pool, |world, work| lettre::run(world, work, 10)),
        entry("lettre", "1 connection", single, |world, work| lettre::run(world, work, 1)),
    ]
}

/// Each run is two, one right after the other: in clear and under TLS.
fn tls() -> Vec<Entry> {
    let entry = |how, tls: Options| entry("pipelane", how, move || against_clear(tls));
    vec![
        entry("trust = \"stream\", window_messages = 256, 1 connection, tls_library = \"openssl\"", OPENSSL),
        entry("the same, tls_library = \"native\"", NATIVE),
    ]
}

const IN_CLEAR: Options = &[("trust", "stream"), ("window_messages", "256"), ("lanes", "1"), ("tls", "none")];
const OPENSSL: Options =
    &[("trust", "stream"), ("window_messages", "256"), ("lanes", "1"), ("tls", "require"), ("tls_library", "openssl")];
const NATIVE: Options =
    &[("trust", "stream"), ("window_messages", "256"), ("lanes", "1"), ("tls", "require"), ("tls_library", "native")];

/// A server that offers STARTTLS to whoever wants it.
fn encrypting() -> Setup {
    let made = Certificates::get();
    let (chain, key) = (made.path("mx.pem"), made.path("mx.key"));
    Setup::discarding().main(&format!(
        "smtpd_tls_security_level=may\nsmtpd_tls_cert_file={}\nsmtpd_tls_key_file={}",
        chain.display(),
        key.display()
    ))
}

/// How many times that in clear the time under TLS is, and both.
fn against_clear(tls: Options) -> Result<Sample, String> {
    let run = |options| there(FAR, encrypting, |world| pipelane::run(world, Work::messages(1000, 4000), options));
    let (clear, tls) = (run(IN_CLEAR)?, run(tls)?);
    Ok(Sample::default()
        .and("TLS / clear", "x", tls.get(WARM) / clear.get(WARM))
        .and("from the start", "x", tls.get(COLD) / clear.get(COLD))
        .and("under TLS", "s", tls.get(WARM))
        .and("in clear", "s", clear.get(WARM))
        .and("handshake and greeting", "s", tls.get(COLD) - tls.get(WARM))
        .and("CPU under TLS", "s", tls.get(CPU))
        .and("CPU in clear", "s", clear.get(CPU))
        .and(CONNECTIONS, "", tls.get(CONNECTIONS)))
}

fn plain() -> Vec<Entry> {
    let setup = || Setup::discarding().main("smtpd_discard_ehlo_keywords=chunking");
    let entry = move |who, how, count: usize, run: fn(&World, Work) -> Result<Sample, String>| {
        entry(who, how, move || {
            there(FAR, setup, |world| {
                let sample = run(world, Work::messages(count, 4000))?;
                let warm = sample.get(WARM);
                let time = if warm.is_nan() { sample.get(COLD) } else { warm };
                Ok(Sample::default()
                    .and("a message", "s", time / count as f64)
                    .and("measured", "", count as f64)
                    .with(sample))
            })
        })
    };
    vec![
        entry("pipelane", "trust = \"stream\"", 100, |world, work| pipelane::run(world, work, STREAM)),
        entry("pipelane", "learned trust", 100, |world, work| pipelane::run(world, work, &[("lanes", "1")])),
        entry("Postfix", "1 connection", 40, |world, work| {
            postfix::run(world, work, "smtp_destination_concurrency_limit=1\nsmtp_initial_destination_concurrency=1")
        }),
        entry("Exim", "one queue run, a connection for each message", 40, exim::run),
        entry("libESMTP", "1 session", 40, esmtp::run),
        entry("lettre", "1 connection", 10, |world, work| lettre::run(world, work, 1)),
    ]
}
