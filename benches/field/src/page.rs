//! `docs/benchmarks.md`: the kept data as tables. It is made by `scripts/bench` and not edited.

use crate::case::Measured;
use crate::goals;
use crate::sample::{Figure, Row};
use std::fmt::Write;

const HEAD: &str = "\
# Benchmarks

pipelane beside other senders of mail, against a real Postfix smtpd(8) as the server. Made by `scripts/bench`, which measures all of it
again on your machine (as root, on Linux); `scripts/bench CASE` measures one case, `scripts/bench --quick` the first table. The
numbers of every run are in [benchmarks/](benchmarks/) as JSON.

How it is measured:

* The server is a private instance of Postfix that takes everything and throws it away, at the far end of an emulated link: two
  network namespaces, joined by a program that carries IP packets with a delay, a rate and a bounded queue (`link/`). The
  kernel's own TCP runs over it, with its slow start. Every run has a link and a server of its own.
* All clients of a table are measured in one go, each in turn (on slow links, which leave the machine idle, at the same time, each on
  a link of its own). Figures are the median of the runs, with the least and the most in parentheses where they differ.
  A row that was measured again by itself (`--row`) stands in the place of the old one, and is named below its table.
* `pipelane is` compares the first figure of a row with that of the first row, pipelane's own.
* pipelane runs as a library in the measuring process, but where a table says `pipelane serve`. Postfix is a private instance whose mail
  is in its queue before it may send; its times are from its own log. Exim is a queue run over a filled spool; it
  did not reuse its connections in this setup, which it can elsewhere. libESMTP is a
  small program ([esmtp.c](../benches/field/esmtp.c)). lettre is its pooled `SmtpTransport`, one thread for each connection.
* The queues of all servers and clients are in memory where the machine has it (`/dev/shm`). A Postfix that stores 1000 messages on a disk
  waits for that disk 1000 times, and then the disk is what is measured.
* The least that the server alone takes is measured too, as rows on loopback: what is under that time, no client and no distance can
  reach. The load average tells how busy the machine was with other work.
* ZMailer is not installed: what was measured of its smtp agent elsewhere is told in the notes.
";

/// The whole page.
pub fn write(all: &[Measured]) -> String {
    let mut page = HEAD.to_owned();
    page += "\n## What it has to reach\n\n";
    page += "The numbers pipelane is held to, beside what Postfix's own client took on the same kind of link.\n\n";
    page += &goals::table(all);
    for measured in all {
        page += &section(measured);
    }
    page + &not_measured(all)
}

/// The cases of which nothing is kept, so that nobody takes the page for the whole.
fn not_measured(all: &[Measured]) -> String {
    let cases = crate::case::all();
    let lacking: Vec<_> = cases.iter().filter(|case| all.iter().all(|measured| measured.name != case.name)).collect();
    if lacking.is_empty() {
        return String::new();
    }
    let mut text = "\n## Not measured yet\n\n".to_owned();
    for case in lacking {
        let _ = writeln!(text, "* {} (`scripts/bench {}`)", case.title, case.name);
    }
    text
}

fn section(measured: &Measured) -> String {
    let Measured { title, name, notes, machine, .. } = measured;
    let mut text = format!("\n## {title}\n\n");
    text += &if measured.axis.is_some() { plotted(measured) } else { table(measured) };
    if measured.rows.iter().any(|row| !row.figures.is_empty()) {
        let _ = writeln!(text, "\n![{title}](benchmarks/{name}.svg)");
    }
    if !notes.is_empty() {
        let _ = writeln!(text, "\n{notes}");
    }
    for row in measured.rows.iter().filter(|row| row.lacking.is_some()) {
        let why = row.lacking.as_deref().unwrap_or_default().lines().next().unwrap_or_default();
        let _ = writeln!(text, "\n{}{}: {why}.", row.who, row.how_in_parentheses());
    }
    for row in measured.rows.iter().filter(|row| row.alone) {
        let _ = writeln!(text, "\n{}{} was measured again by itself.", row.who, row.how_in_parentheses());
    }
    let runs = measured.rows.iter().map(|row| row.loads.len()).max().unwrap_or(0);
    let loads = measured.rows.iter().flat_map(|row| &row.loads);
    let (low, high) = loads.fold((f64::MAX, 0_f64), |(low, high), load| (low.min(*load), high.max(*load)));
    if runs > 0 {
        let versions = machine.versions.iter().map(|(name, version)| format!("{name} {version}"));
        let versions = versions.collect::<Vec<_>>().join(", ");
        let _ = writeln!(
            text,
            "\n`{}`, {runs} runs, {}. Load average {low:.1} to {high:.1}. Congestion control {}. {versions}. {}.",
            measured.command, machine.date, machine.congestion_control, machine.hardware
        );
    }
    text
}

fn table(measured: &Measured) -> String {
    let with_figures = || measured.rows.iter().filter(|row| !row.figures.is_empty());
    let mut names: Vec<(&str, &str)> = Vec::new();
    for figure in with_figures().flat_map(|row| &row.figures) {
        if !names.iter().any(|(name, _)| *name == figure.name) {
            names.push((&figure.name, &figure.unit));
        }
    }
    let Some(own) = with_figures().next() else { return String::new() };
    let heads = names
        .iter()
        .map(|(name, unit)| format!("{name}{} |", if unit.is_empty() { String::new() } else { format!(", {unit}") }));
    let mut text = format!("| who | how | pipelane is | {}\n", heads.collect::<Vec<_>>().join(" "));
    text += &format!("| --- | --- | ---: |{}\n", " ---: |".repeat(names.len()));
    for row in with_figures() {
        let cells = names.iter().map(|(name, _)| row.figure(name).map_or_else(String::new, spread) + " |");
        let cells = cells.collect::<Vec<_>>().join(" ");
        let _ = writeln!(text, "| {} | {} | {} | {cells}", row.who, row.how, ratio(measured, own, row));
    }
    text
}

/// How many times better the first row is.
fn ratio(measured: &Measured, own: &Row, row: &Row) -> String {
    let (own, other) = (&own.figures[0], &row.figures[0]);
    // Without the first figure, a client has told no more than the time from the start.
    let comparable = own.unit == other.unit;
    if std::ptr::eq(own, other) || !comparable {
        return String::new();
    }
    let times = other.median() / own.median();
    format!("{} x", number(if measured.more_is_better { 1.0 / times } else { times }))
}

/// A plot's data: a row for each x, a column for each client.
fn plotted(measured: &Measured) -> String {
    let mut series: Vec<(&str, &str)> = Vec::new();
    let mut places: Vec<f64> = Vec::new();
    for row in &measured.rows {
        let (name, x) = ((row.who.as_str(), row.how.as_str()), row.x.unwrap_or_default());
        if !series.contains(&name) {
            series.push(name);
        }
        if !places.contains(&x) {
            places.push(x);
        }
    }
    let figures: Vec<(&str, &str)> = measured
        .rows
        .iter()
        .flat_map(|row| &row.figures)
        .take(2)
        .map(|one| (one.name.as_str(), one.unit.as_str()))
        .collect();
    let columns: Vec<_> = figures.iter().flat_map(|figure| series.iter().map(move |name| (figure, name))).collect();
    let heads = columns.iter().map(|((figure, unit), (who, how))| format!(" {figure}, {unit}: {who} {how} |"));
    let mut text = format!("| {} |{}\n", measured.axis.as_deref().unwrap_or_default(), heads.collect::<String>());
    text += &format!("| ---: |{}\n", " ---: |".repeat(columns.len()));
    for x in places {
        let cell = |((figure, _), (who, how)): &(&(&str, &str), &(&str, &str))| {
            let row = measured.rows.iter().find(|row| row.x == Some(x) && row.who == *who && row.how == *how);
            format!(" {} |", row.and_then(|row| row.figure(figure)).map_or_else(String::new, spread))
        };
        let _ = writeln!(text, "| {x} |{}", columns.iter().map(cell).collect::<String>());
    }
    text
}

/// `median (min-max)`.
fn spread(figure: &Figure) -> String {
    let [median, min, max] = [figure.median(), figure.min(), figure.max()].map(number);
    if min == max { median } else { format!("{median} ({min}-{max})") }
}

/// Three digits, or all before the point.
pub fn number(value: f64) -> String {
    let digits = match value.abs() {
        size if size == 0.0 || size >= 100.0 || value.fract() == 0.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 0.1 => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

impl Row {
    fn how_in_parentheses(&self) -> String {
        if self.how.is_empty() { String::new() } else { format!(" ({})", self.how) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_digits_that_mean_something() {
        for (value, text) in [
            (0.0, "0"),
            (1.0, "1"),
            (0.0123, "0.012"),
            (0.97, "0.97"),
            (3.456, "3.46"),
            (53.04, "53.0"),
            (602.1, "602"),
        ] {
            assert_eq!(number(value), text);
        }
    }
}
