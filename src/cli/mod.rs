//! The subcommands of the executable: arguments in, an exit code out.

pub mod sink;
