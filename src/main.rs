//! The executable: one subcommand for each thing that it can be.

mod cli;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Pipelined and streamed SMTP delivery for existing mail servers.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// What to be.
#[derive(Debug, Subcommand)]
enum Command {
    Sink(cli::sink::SinkArgs),
}

fn main() -> ExitCode {
    env_logger::init();
    match Arguments::parse().command {
        Command::Sink(arguments) => cli::sink::run(arguments),
    }
}
