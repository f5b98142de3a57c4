//! Floor 6: the subcommands of the executable, one file each; `signals` is what two of them need.

pub mod check;
pub mod deliver;
pub mod serve;
mod signals;
