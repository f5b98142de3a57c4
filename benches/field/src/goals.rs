//! The numbers that pipelane is held to, and whether it has reached them.

use crate::case::Measured;
use crate::page::number;
use std::fmt::Write;

/// One number.
struct Goal {
    what: &'static str,
    /// What Postfix's client took when the goals were set.
    postfix: &'static str,
    /// What has to be reached, for people.
    wanted: &'static str,
    case: &'static str,
    /// Each figure of the case's first row, with its bound.
    bounds: &'static [(&'static str, Bound)],
}

enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

use Bound::{AtLeast, AtMost};

const GOALS: [Goal; 6] = [
    Goal {
        what: "1 message of 1 kB to 2000 recipients, round trip 300 ms, from MAIL to the last reply",
        postfix: "14 s in one transaction; about 5 s with its defaults, as 40 copies on 20 connections",
        wanted: "at most 1.0 s, one copy, one connection",
        case: "recipients",
        bounds: &[("MAIL to the last reply", AtMost(1.0)), ("connections", AtMost(1.0))],
    },
    Goal {
        what: "1000 messages of 4 kB, round trip 300 ms, from MAIL to the last reply",
        postfix: "49 s on 20 connections; 11.3 s on 100",
        wanted: "at most 3.6 s, one connection",
        case: "many",
        bounds: &[("1000 messages", AtMost(3.6)), ("connections", AtMost(1.0))],
    },
    Goal {
        what: "the same under TLS, against the time in clear",
        postfix: "not measured",
        wanted: "at most 1.1 times, one connection",
        case: "tls",
        bounds: &[("TLS / clear", AtMost(1.1)), ("connections", AtMost(1.0))],
    },
    Goal {
        what: "the same, server without CHUNKING, one connection, each message",
        postfix: "0.6 to 0.9 s",
        wanted: "at most 0.34 s",
        case: "plain",
        bounds: &[("a message", AtMost(0.34)), ("connections", AtMost(1.0))],
    },
    Goal {
        what: "2 Mbit/s, 300 ms: 20 messages of 1 MB, then 100 of 2 kB; 95th percentile of the small, and all against the link's own time",
        postfix: "53 s",
        wanted: "at most 2.6 s; all within 1.1 times the link's own time",
        case: "mixed",
        bounds: &[("small: 95th", AtMost(2.6)), ("all / link", AtMost(1.1))],
    },
    Goal {
        what: "64 kbit/s, 600 ms: 1 kB messages, use of the line",
        postfix: "6.5 % (one connection)",
        wanted: "at least 95 %",
        case: "narrow",
        bounds: &[("use of the line", AtLeast(95.0))],
    },
];

/// The cases that are needed.
pub fn cases() -> impl Iterator<Item = &'static str> {
    GOALS.iter().map(|goal| goal.case)
}

/// What was measured for a goal, and whether that is enough.
fn judge(goal: &Goal, all: &[Measured]) -> (String, bool) {
    let row = all.iter().find(|one| one.name == goal.case).and_then(|one| one.rows.first());
    let figures = goal.bounds.iter().map(|(name, bound)| {
        let Some(figure) = row.and_then(|row| row.figure(name)) else { return ("not measured".to_owned(), false) };
        let median = figure.median();
        let enough = match bound {
            AtMost(most) => median <= *most,
            AtLeast(least) => median >= *least,
        };
        let unit = if figure.unit.is_empty() { format!(" ({name})") } else { format!(" {}", figure.unit) };
        (format!("{}{unit}{}", number(median), if enough { "" } else { " MISSED" }), enough)
    });
    let (texts, enough): (Vec<_>, Vec<_>) = figures.unzip();
    (texts.join(", "), enough.into_iter().all(|one| one))
}

/// Whether all are reached.
pub fn are_reached(all: &[Measured]) -> bool {
    GOALS.iter().all(|goal| judge(goal, all).1)
}

/// As Markdown.
pub fn table(all: &[Measured]) -> String {
    let mut text = "| work | Postfix smtp(8) | pipelane must | pipelane does |\n| --- | --- | --- | --- |\n".to_owned();
    for goal in &GOALS {
        let _ = writeln!(text, "| {} | {} | {} | {} |", goal.what, goal.postfix, goal.wanted, judge(goal, all).0);
    }
    text
}
