//! Exim's smtp transport: a private spool is filled, then one queue run in two passes (`-qq`).
//!
//! Exim can hand a connection from one delivery process to the next. In this unpacked installation, without the
//! set-user-ID bit, it did not: each message had a connection of its own, as the tables show.

use super::{COLD, CONNECTIONS, CPU, PATIENCE, times};
use crate::exim::{command, lacking, libraries, program};
use crate::machine;
use crate::mail::Mail;
use crate::place::Place;
use crate::sample::Sample;
use crate::work::Work;
use crate::world::World;
use nix::sys::resource::UsageWho;
use std::fs;
use std::process::{Command, Stdio};
use std::time::Instant;

const CONFIGURATION: &str = "\
primary_hostname = client.test
exim_user = mail
exim_group = mail
never_users =
keep_environment =
spool_directory = FOLDER/spool
log_file_path = FOLDER/log/%slog
host_lookup =
queue_only = true
queue_run_max = 1
message_size_limit = 0
recipients_max = 0
trusted_users = root
begin routers
all:
  driver = manualroute
  route_list = * HOST::PORT byname
  transport = relay
  self = send
begin transports
relay:
  driver = smtp
  hosts_try_chunking = *
  hosts_avoid_tls = *
  max_rcpt = 0
  allow_localhost = true
begin retry
* * F,2h,1m
";

/// Of the executable, when it is there.
pub fn version() -> Option<String> {
    let output = Command::new(program()).arg("--version").env("LD_LIBRARY_PATH", libraries()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split_whitespace().nth(2).map(str::to_owned)
}

/// Delivers all of it.
pub fn run(world: &World, work: Work) -> Result<Sample, String> {
    if let Some(why) = lacking() {
        return Err(why);
    }
    let (place, (host, port)) = (Place::new(), world.address());
    for name in ["spool", "log"] {
        place.folder(name);
        place.give(name, "mail:mail");
    }
    let folder = place.path().display().to_string();
    let text = CONFIGURATION.replace("FOLDER", &folder).replace("HOST", &host).replace("PORT", &port.to_string());
    let configuration = place.write("exim.conf", &text);
    let exim = |arguments: &str| command(&place, &configuration, &format!("{arguments} </dev/stdin"));
    fs::write(place.path().join("batch"), batch(&work.mails("m"))).map_err(|error| error.to_string())?;
    let input = fs::File::open(place.path().join("batch")).map_err(|error| error.to_string())?;
    let filled = world.near(|| exim("-bS").stdin(Stdio::from(input)).status()).map_err(|error| error.to_string())?;
    let before = machine::cpu(UsageWho::RUSAGE_CHILDREN);
    let begun = Instant::now();
    let ended = world.near(|| limited(exim("-qq")).status()).map_err(|error| error.to_string())?;
    let cold = begun.elapsed().as_secs_f64();
    let used = machine::cpu(UsageWho::RUSAGE_CHILDREN) - before;
    let log = fs::read_to_string(place.path().join("log/mainlog")).unwrap_or_default();
    let delivered = log.lines().filter(|line| line.contains(" => ") || line.contains(" -> ")).count();
    if !filled.success() || !ended.success() || delivered != work.messages * work.recipients {
        return Err(format!(
            "Exim delivered {delivered}\n{}",
            log.lines().rev().take(5).collect::<Vec<_>>().join("\n")
        ));
    }
    let connections = times(world, cold, cold).get(CONNECTIONS);
    Ok(Sample::default().and(COLD, "s", cold).and(CONNECTIONS, "", connections).and(CPU, "s", used))
}

fn limited(command: Command) -> Command {
    let mut limited = Command::new("timeout");
    limited.arg(PATIENCE.as_secs().to_string()).arg(command.get_program()).args(command.get_args());
    limited.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?)))).stdin(Stdio::null());
    limited
}

/// As `exim -bS` reads it.
fn batch(mails: &[Mail]) -> Vec<u8> {
    let mut batch = Vec::new();
    for mail in mails {
        batch.extend(format!("MAIL FROM:<{}>\r\n", mail.sender).bytes());
        mail.recipients.iter().for_each(|one| batch.extend(format!("RCPT TO:<{one}>\r\n").bytes()));
        batch.extend(b"DATA\r\n");
        batch.extend(mail.stuffed());
    }
    batch
}
