//! lettre's pooled `SmtpTransport`, in this process: so many threads that send, over so many connections.

use super::{COLD, CONNECTIONS, CPU, PATIENCE, times};
use crate::machine;
use crate::sample::Sample;
use crate::work::Work;
use crate::world::World;
use lettre::address::Envelope;
use lettre::transport::smtp::PoolConfig;
use lettre::{SmtpTransport, Transport};
use nix::sys::resource::UsageWho;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

/// As Cargo.lock has it.
pub const VERSION: &str = "0.11";

/// Delivers all of it over so many connections.
pub fn run(world: &World, work: Work, connections: u32) -> Result<Sample, String> {
    let (host, port) = world.address();
    let mails = work.mails("m");
    let envelope = |recipients: &[String]| -> Result<Envelope, String> {
        let recipients = recipients.iter().map(|one| one.parse().map_err(|error| format!("{error}")));
        let sender = "sender@client.test".parse().map_err(|error| format!("{error}"))?;
        Envelope::new(Some(sender), recipients.collect::<Result<_, _>>()?).map_err(|error| error.to_string())
    };
    let before = machine::cpu(UsageWho::RUSAGE_SELF);
    let next = AtomicUsize::new(0);
    let cold = world.near(|| -> Result<f64, String> {
        let builder = SmtpTransport::builder_dangerous(host).port(port).timeout(Some(PATIENCE));
        let transport = builder.pool_config(PoolConfig::new().max_size(connections)).build();
        let begun = Instant::now();
        let send = || -> Result<(), String> {
            while let Some(mail) = mails.get(next.fetch_add(1, Ordering::Relaxed)) {
                transport.send_raw(&envelope(&mail.recipients)?, &mail.content).map_err(|error| error.to_string())?;
            }
            Ok(())
        };
        thread::scope(|scope| {
            let threads: Vec<_> = (0..connections).map(|_| scope.spawn(send)).collect();
            threads.into_iter().try_for_each(|one| one.join().expect("a thread that sends"))
        })?;
        Ok(begun.elapsed().as_secs_f64())
    })?;
    let used = machine::cpu(UsageWho::RUSAGE_SELF) - before;
    // It does not tell when MAIL went out.
    let connections = times(world, cold, cold).get(CONNECTIONS);
    Ok(Sample::default().and(COLD, "s", cold).and(CONNECTIONS, "", connections).and(CPU, "s", used))
}
