//! Floor 6: the subcommands of the executable, one file each.

pub mod check;
