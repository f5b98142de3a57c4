//! Floor 6: the subcommands of the executable, one file each: arguments in, an exit code out.

pub mod check;
mod columns;
pub mod deliver;
pub mod demo;
mod plain;
pub mod probe;
mod reload;
pub mod serve;
mod settings;
mod signals;
pub mod sink;
pub mod status;
mod systemd;
pub mod ta;
