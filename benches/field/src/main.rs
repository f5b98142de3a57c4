//! Measures pipelane beside other senders of mail, with a real Postfix as the server. Run by `scripts/bench`.
//!
//! `case` has what is measured, `senders` by whom, `world` where; `sample` figures, `machine` with what; `keep`,
//! `page`, `plot` and `goals` what becomes of it.

// The harness of the tests with real mail servers: the same private instances.
#[allow(dead_code, missing_docs)]
#[path = "../../../tests/certificates/mod.rs"]
mod certificates;
#[allow(dead_code, missing_docs)]
#[path = "../../../tests/mta/client.rs"]
mod client;
#[allow(dead_code, missing_docs)]
#[path = "../../../tests/mta/dovecot.rs"]
mod dovecot;
#[allow(dead_code, missing_docs)]
#[path = "../../../tests/mta/exim.rs"]
mod exim;
#[allow(dead_code, missing_docs, unused_imports)]
#[path = "../../../tests/mta/log.rs"]
mod log;
#[allow(dead_code, missing_docs, unused_imports)]
#[path = "../../../tests/mta/mail.rs"]
mod mail;
#[allow(dead_code, missing_docs, unused_imports)]
#[path = "../../../tests/mta/maildir.rs"]
mod maildir;
#[allow(dead_code, missing_docs)]
#[path = "../../../tests/mta/needs.rs"]
mod needs;
#[allow(dead_code, missing_docs)]
#[path = "../../../tests/zmailer/office.rs"]
mod office;
#[allow(dead_code, missing_docs)]
#[path = "../../../tests/mta/pipelane.rs"]
mod pipelane;
#[allow(dead_code, missing_docs)]
#[path = "../../../tests/mta/place.rs"]
mod place;
#[allow(dead_code, missing_docs)]
#[path = "../../../tests/mta/postfix/mod.rs"]
mod postfix;
#[allow(dead_code, missing_docs)]
#[path = "../../../tests/zmailer/scheduler.rs"]
mod scheduler;
#[allow(dead_code, missing_docs)]
#[path = "../../../tests/mta/sendmail.rs"]
mod sendmail;

mod case;
mod goals;
mod keep;
mod machine;
mod page;
mod plot;
mod sample;
mod senders;
mod work;
mod world;

use self::pipelane::executable;
use case::{Case, Measured};
use clap::Parser;
use std::path::Path;
use std::process::ExitCode;
use std::{fs, thread};

/// Measures pipelane beside other senders of mail.
#[derive(Debug, Parser)]
struct Arguments {
    /// Cases to measure; none: all.
    cases: Vec<String>,
    /// Runs of each row.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Only rows in whose name and settings this text is; the others are kept as they were.
    #[arg(long)]
    row: Option<String>,
    /// Only pipelane, against the numbers that it has to reach; ends with 1 when one is missed.
    #[arg(long)]
    quick: bool,
    /// Makes page and plots from the kept data, without measuring.
    #[arg(long)]
    page: bool,
    /// Lists the cases.
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    env_logger::builder().parse_env("PIPELANE_LOG").init();
    let arguments = Arguments::parse();
    if let Some(unknown) = arguments.cases.iter().find(|name| !case::all().iter().any(|case| case.name == **name)) {
        eprintln!("no case is called {unknown}; --list lists them");
        return ExitCode::from(2);
    }
    if arguments.list {
        case::all().iter().for_each(|case| println!("{:<16} {}", case.name, case.title));
        return ExitCode::SUCCESS;
    }
    if arguments.quick {
        return quick();
    }
    match measure(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &Arguments) -> Result<(), String> {
    let chosen = |case: &Case| arguments.cases.is_empty() || arguments.cases.iter().any(|name| name == case.name);
    let of_row = |text: &str| format!("{text} ").contains(arguments.row.as_deref().unwrap_or_default());
    for case in case::all().iter().filter(|case| !arguments.page && chosen(case)) {
        let measured = case.run(arguments.runs, |row| of_row(&format!("{} {}", row.who, row.how)));
        keep::put(if arguments.row.is_some() { keep::merged(measured) } else { measured })?;
    }
    let all = keep::all();
    all.iter().try_for_each(plot::draw)?;
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/benchmarks.md");
    fs::write(page, page::write(&all)).map_err(|error| error.to_string())
}

/// The first row of each case that has a goal. Slow links leave the machine idle, so those run at the same time.
fn quick() -> ExitCode {
    let (slow, fast): (Vec<Case>, Vec<Case>) = case::all()
        .into_iter()
        .filter(|case| goals::cases().any(|name| name == case.name))
        .partition(|case| case.side_by_side);
    let first = |case: &Case| {
        let taken = std::cell::Cell::new(false);
        case.run(1, |_| !taken.replace(true))
    };
    let mut all: Vec<Measured> = fast.iter().map(first).collect();
    thread::scope(|scope| {
        let running: Vec<_> = slow.iter().map(|case| scope.spawn(move || first(case))).collect();
        all.extend(running.into_iter().filter_map(|one| one.join().ok()));
    });
    print!("{}", goals::table(&all));
    if goals::are_reached(&all) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
