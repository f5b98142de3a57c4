//! Floor 6: the subcommands of the executable, one file each: arguments in, an exit code out.

pub mod check;
pub mod deliver;
pub mod demo;
pub mod probe;
pub mod serve;
mod signals;
pub mod sink;
