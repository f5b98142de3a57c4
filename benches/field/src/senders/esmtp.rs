//! A small sender on libESMTP (`benches/field/esmtp.c`), which `scripts/bench` compiles where the library is installed.

use super::{ACCEPTED, CPU, times};
use crate::machine;
use crate::sample::Sample;
use crate::work::Work;
use crate::world::World;
use nix::sys::resource::UsageWho;
use std::path::PathBuf;
use std::process::{Command, Stdio};

fn program() -> Result<PathBuf, String> {
    let path = std::env::var_os("PIPELANE_ESMTP").map(PathBuf::from).filter(|path| path.is_file());
    path.ok_or_else(|| "libESMTP is not installed (Debian: libesmtp-dev)".to_owned())
}

/// Of the library, when it is there.
pub fn version() -> Option<String> {
    Some(machine::said(program().ok()?.to_str()?, &[]))
}

/// Delivers all of it in one session.
pub fn run(world: &World, work: Work) -> Result<Sample, String> {
    let (host, port) = world.address();
    let numbers = [work.messages, work.recipients, work.size].map(|number| number.to_string());
    let mut command = Command::new("timeout");
    command.arg(super::PATIENCE.as_secs().to_string()).arg(program()?);
    command.arg(format!("{host}:{port}")).args(numbers).stdin(Stdio::null());
    let before = machine::cpu(UsageWho::RUSAGE_CHILDREN);
    let output = world.near(|| command.output()).map_err(|error| error.to_string())?;
    let used = machine::cpu(UsageWho::RUSAGE_CHILDREN) - before;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    match numbers[..] {
        [warm, cold] if output.status.success() => {
            let times = times(world, warm, cold);
            let accepted = times.get(ACCEPTED);
            let all = accepted == work.messages as f64;
            all.then(|| times.and(CPU, "s", used))
                .ok_or_else(|| format!("libESMTP: the server took {accepted} messages"))
        }
        _ => Err(format!("libESMTP: {text}{}", String::from_utf8_lossy(&output.stderr))),
    }
}
