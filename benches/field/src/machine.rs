//! What the measurements were made with, and how busy it was.

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde::{Deserialize, Serialize};
use std::fs;
use std::process::Command;

/// Versions and the machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// `2026-11-25`.
    pub date: String,
    /// Name and version of each program and the kernel.
    pub versions: Vec<(String, String)>,
    /// Of a new network namespace.
    pub congestion_control: String,
    /// Processors and memory.
    pub hardware: String,
}

impl Machine {
    /// This one, now.
    pub fn look() -> Machine {
        let lines = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let model = lines("/proc/cpuinfo")
            .lines()
            .find_map(|line| Some(line.strip_prefix("model name")?.split_once(':')?.1.trim().to_owned()));
        let memory = lines("/proc/meminfo")
            .lines()
            .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse::<f64>().ok());
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        Machine {
            date: said("date", &["-u", "+%F"]),
            versions: versions(),
            congestion_control: lines("/proc/sys/net/ipv4/tcp_congestion_control").trim().to_owned(),
            hardware: format!(
                "{cores} processors ({}), {:.0} GB of memory",
                model.unwrap_or_else(|| "unknown".to_owned()),
                memory.unwrap_or_default() / 1e6
            ),
        }
    }
}

fn versions() -> Vec<(String, String)> {
    let own = (env!("CARGO_PKG_VERSION"), said("git", &["describe", "--always", "--dirty", "--exclude=*"]));
    let mut versions = vec![
        ("pipelane".to_owned(), if own.1.is_empty() { own.0.to_owned() } else { own.1 }),
        ("Linux".to_owned(), said("uname", &["-r"])),
        ("rustc".to_owned(), said("rustc", &["-V"]).trim_start_matches("rustc ").to_owned()),
        ("Postfix".to_owned(), said("/usr/sbin/postconf", &["-hd", "mail_version"])),
    ];
    for (name, version) in [("Exim", crate::senders::exim::version()), ("libESMTP", crate::senders::esmtp::version())] {
        versions.extend(version.map(|version| (name.to_owned(), version)));
    }
    versions.push(("lettre".to_owned(), crate::senders::lettre::VERSION.to_owned()));
    versions
}

/// The first line that a command writes; empty when it fails.
pub fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or_default().trim().to_owned()
}

/// The load average of the last minute.
pub fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|one| one.parse().ok()).unwrap_or(f64::NAN)
}

/// CPU seconds of this process with all its threads, or of the children that it has waited for.
pub fn cpu(who: UsageWho) -> f64 {
    getrusage(who).map_or(f64::NAN, |usage| (usage.user_time() + usage.system_time()).num_microseconds() as f64 / 1e6)
}

/// CPU seconds of the living children of a process, by their names.
pub fn cpu_of_children(parent: i32, names: &[&str]) -> f64 {
    const TICKS: f64 = 100.0;
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let seconds = entries.filter_map(|entry| {
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        let name = stat.split_once('(')?.1.rsplit_once(')')?;
        let fields: Vec<&str> = name.1.split_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<f64>().ok();
        (names.contains(&name.0) && number(1)? as i32 == parent).then_some((number(11)? + number(12)?) / TICKS)
    });
    seconds.sum()
}

/// TCP segments that were sent again in the caller's network namespace.
pub fn retransmitted() -> u64 {
    let table = fs::read_to_string("/proc/thread-self/net/snmp").unwrap_or_default();
    let mut lines = table.lines().filter_map(|line| line.strip_prefix("Tcp: ")).map(|line| line.split(' '));
    let (Some(mut names), Some(mut values)) = (lines.next(), lines.next()) else { return 0 };
    let at = names.position(|name| name == "RetransSegs").unwrap_or(usize::MAX);
    values.nth(at).and_then(|value| value.parse().ok()).unwrap_or(0)
}
