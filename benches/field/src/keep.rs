//! What was measured, as it is kept: `docs/benchmarks/CASE.json`, from which page and plots are made.

use crate::case::{self, Measured};
use crate::sample::Row;
use std::fs;
use std::path::{Path, PathBuf};

/// The folder of the data and the plots.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/benchmarks")
}

/// Keeps it in the place of what was there.
pub fn put(measured: Measured) -> Result<(), String> {
    let path = folder().join(format!("{}.json", measured.name));
    let text = serde_json::to_string_pretty(&measured).map_err(|error| error.to_string())?;
    fs::create_dir_all(folder()).and_then(|()| fs::write(path, text + "\n")).map_err(|error| error.to_string())
}

/// It, and what is kept of the rows that it does not have.
pub fn merged(measured: Measured) -> Measured {
    let Some(mut kept) = all().into_iter().find(|one| one.name == measured.name) else { return measured };
    for row in measured.rows {
        let row = Row { alone: true, ..row };
        match kept.rows.iter_mut().find(|one| (&one.who, &one.how, one.x) == (&row.who, &row.how, row.x)) {
            Some(old) => *old = row,
            None => kept.rows.push(row),
        }
    }
    Measured { rows: kept.rows, ..measured }
}

/// All that is kept, in the order of the cases.
pub fn all() -> Vec<Measured> {
    let read = |name: &str| {
        let text = fs::read_to_string(folder().join(format!("{name}.json"))).ok()?;
        serde_json::from_str(&text).map_err(|error| eprintln!("{name}.json: {error}")).ok()
    };
    case::all().iter().filter_map(|case| read(case.name)).collect()
}
