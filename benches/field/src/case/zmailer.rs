//! As ZMailer's transport agent.

use super::{Case, Entry, entry};
use crate::senders::zmailer::{Mail, run};
use std::time::Duration;

const DELAY: Duration = Duration::from_millis(300);

/// The case.
pub fn case() -> Case {
    Case {
        name: "zmailer",
        title: "ZMailer: one message of 1 kB to 2000 recipients, and 20 messages of 4 kB, replies 300 ms late",
        notes: "From the first job line to the last report, with connecting and EHLO, by one agent and one connection. The scheduler is a \
            stand-in that keeps its rules; replies come 300 ms late, without a link, so that TCP's slow start is not in it. ZMailer's own \
            smtp agent, measured in the same way but by other means (a proxy that delays), took 13.0 s for the first and 12.8 s for the \
            second; pipelane is to take at most 1.2 s and 2.5 s. With `learned` a first message takes four round trips, 1.2 s, by \
            themselves; with `stream` three.",
        more_is_better: false,
        side_by_side: false,
        axis: None,
        entries,
    }
}

fn entries() -> Vec<Entry> {
    const MANY: Mail = Mail { messages: 1, recipients: 2000, octets: 1000 };
    const TWENTY: Mail = Mail { messages: 20, recipients: 1, octets: 4000 };
    let one =
        |how: &str, mail: Mail, settings: &'static str| entry("pipelane ta", how, move || run(mail, DELAY, settings));
    vec![
        one("2000 recipients, trust = \"stream\"", MANY, "trust = \"stream\""),
        one("2000 recipients, defaults", MANY, ""),
        one("20 messages, trust = \"stream\"", TWENTY, "trust = \"stream\""),
        one("20 messages, defaults", TWENTY, ""),
    ]
}
