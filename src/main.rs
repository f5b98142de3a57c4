//! The `pipelane` executable: its subcommands are in [`cli`], all else is the library.

mod cli;

use clap::{Parser, Subcommand};
use std::ffi::OsStr;
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
    Demo(cli::demo::DemoArgs),
    Probe(cli::probe::ProbeArgs),
    Sink(cli::sink::SinkArgs),
    /// Run the resident engine: take messages by LMTP and deliver them.
    Serve(cli::serve::ServeArgs),
    /// Show how a running pipelane serve is: next hops, size classes, lanes.
    Status(cli::status::StatusArgs),
    /// Deliver one message from standard input, for an MTA that runs a command.
    Deliver(cli::deliver::DeliverArgs),
    /// A transport agent behind ZMailer's scheduler, in the place of its smtp agent.
    Ta(cli::ta::TaArgs),
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        // An MTA reads the end of `deliver` and `ta`; help is asked for by people.
        Err(error) if error.use_stderr() => match std::env::args_os().nth(1).as_deref().and_then(OsStr::to_str) {
            Some("deliver") => return cli::deliver::run_usage(&error),
            Some("ta") => return cli::ta::run_usage(&error),
            _ => error.exit(),
        },
        Err(error) => error.exit(),
    };
    match arguments.command {
        Command::Check(arguments) => cli::check::run(arguments),
        Command::Probe(arguments) => cli::probe::run(arguments),
        Command::Demo(arguments) => cli::demo::run(arguments),
        Command::Sink(arguments) => cli::sink::run(arguments),
        Command::Serve(arguments) => cli::serve::run(arguments),
        Command::Status(arguments) => cli::status::run(arguments),
        Command::Deliver(arguments) => cli::deliver::run(arguments),
        Command::Ta(arguments) => cli::ta::run(arguments),
    }
}
