//! The cases: what is delivered over which distance, by whom. Each has a list of entries, which become the rows of its
//! table.
//!
//! Entries that leave the machine idle (slow links) may run at the same time, each in a world of its own; all others
//! run one after the other, each entry once before any runs again, so that a busy minute of the machine meets them
//! alike.

mod growth;
mod long;
mod memory;
mod mixed;
mod narrow;
mod speed;
mod whole;
mod zmailer;

use crate::machine::{Machine, load};
use crate::sample::{Row, Sample};
use serde::{Deserialize, Serialize};
use std::thread;

/// One client in a case.
pub struct Entry {
    who: &'static str,
    how: String,
    x: Option<f64>,
    run: Box<dyn Fn() -> Result<Sample, String> + Send + Sync>,
}

/// A client, how it is set, and its run.
pub fn entry(who: &'static str, how: &str, run: impl Fn() -> Result<Sample, String> + Send + Sync + 'static) -> Entry {
    Entry { who, how: how.to_owned(), x: None, run: Box::new(run) }
}

impl Entry {
    fn at(self, x: f64) -> Entry {
        Entry { x: Some(x), ..self }
    }
}

/// A case before it is run.
pub struct Case {
    /// Its name on the command line and of its files.
    pub name: &'static str,
    /// What is delivered, over what.
    pub title: &'static str,
    /// What has to be known to read the figures.
    pub notes: &'static str,
    /// Whether more is better in the first figure.
    pub more_is_better: bool,
    /// Whether its entries run at the same time.
    pub side_by_side: bool,
    /// The name of the x axis, when it is a plot.
    pub axis: Option<&'static str>,
    entries: fn() -> Vec<Entry>,
}

/// A case with what was measured, as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// As of the case.
    pub name: String,
    /// As of the case.
    pub title: String,
    /// As of the case.
    pub notes: String,
    /// As of the case.
    pub more_is_better: bool,
    /// As of the case.
    pub axis: Option<String>,
    /// How to measure it again.
    pub command: String,
    /// With what.
    pub machine: Machine,
    /// One for each entry; the first is pipelane's.
    pub rows: Vec<Row>,
}

/// All cases, in the order of the page.
pub fn all() -> Vec<Case> {
    let mut cases = long::cases();
    cases.extend([mixed::case(), narrow::case()]);
    cases.extend(speed::cases());
    cases.extend([memory::case(), whole::case(), zmailer::case()]);
    cases.extend(growth::cases());
    cases
}

impl Case {
    /// Runs those of its entries that `wanted` names, so many times each.
    pub fn run(&self, runs: usize, wanted: impl Fn(&Row) -> bool) -> Measured {
        let entries = (self.entries)();
        let empty = |entry: &Entry| Row {
            who: entry.who.to_owned(),
            how: entry.how.clone(),
            x: entry.x,
            figures: Vec::new(),
            loads: Vec::new(),
            lacking: None,
            alone: false,
        };
        let mut rows: Vec<(Entry, Row)> =
            entries.into_iter().map(|entry| (empty(&entry), entry)).map(|(row, entry)| (entry, row)).collect();
        rows.retain(|(_, row)| wanted(row));
        for _ in 0..runs {
            if self.side_by_side {
                thread::scope(|scope| rows.iter_mut().for_each(|pair| drop(scope.spawn(|| self.once(pair)))));
            } else {
                rows.iter_mut().for_each(|pair| self.once(pair));
            }
        }
        Measured {
            name: self.name.to_owned(),
            title: self.title.to_owned(),
            notes: self.notes.to_owned(),
            more_is_better: self.more_is_better,
            axis: self.axis.map(str::to_owned),
            command: format!("scripts/bench {}", self.name),
            machine: Machine::look(),
            rows: rows.into_iter().map(|(_, row)| row).collect(),
        }
    }

    fn once(&self, (entry, row): &mut (Entry, Row)) {
        // What is not there now will not be there in the next run.
        if row.lacking.is_some() && row.figures.is_empty() {
            return;
        }
        let told = match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| (entry.run)())) {
            Ok(Ok(sample)) => {
                let figures = sample.0.iter().map(|one| format!("{} {:.3} {}", one.name, one.value, one.unit));
                let told = figures.collect::<Vec<_>>().join(", ");
                row.take(sample, load());
                told
            }
            Ok(Err(why)) => row.lacking.insert(why).clone(),
            Err(_) => row.lacking.insert("a run failed".to_owned()).clone(),
        };
        eprintln!("{}: {}, {}: {told} (load {:.1})", self.name, entry.who, entry.how, load());
    }
}
