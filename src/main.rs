//! The `pipelane` executable: its subcommands are in [`cli`], all else is the library.

mod cli;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Pipelined and streamed SMTP delivery for existing mail servers.
#[derive(Debug, Parser)]
#[command(name = "pipelane", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check a configuration file, or list the keys that one can have.
    Check(cli::check::CheckArgs),
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Check(arguments) => cli::check::run(arguments),
    }
}
