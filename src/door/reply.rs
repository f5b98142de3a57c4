//! One reply of ours: code, enhanced status and text (RFC 5321 4.2, RFC 2034), and how a recipient's outcome is
//! told as one.
//!
//! Promises: a reply is one line of at most [`MAX_REPLY`] octets, without control characters, whatever a server said;
//! its code agrees with its status; after the content it is never 421, which would tell Postfix that the site is dead.

use crate::mail::{EnhancedStatus, Outcome, Report, Route, Verdict};
use std::fmt;

/// The most octets of a reply line, CRLF included (RFC 5321 4.5.3.1.5 allows 512).
pub const MAX_REPLY: usize = 480;

/// A reply code, its enhanced status, and text for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// 200 to 599.
    pub code: u16,
    /// Its class is the code's first digit.
    pub status: EnhancedStatus,
    /// Clean text, short enough for the line.
    pub text: String,
}

impl Reply {
    /// A reply with the status `class.subject.detail`, the class being the code's first digit.
    pub fn new(code: u16, subject: u16, detail: u16, text: impl AsRef<str>) -> Reply {
        let class = if code < 400 { 2 } else { (code / 100) as u8 };
        let status = EnhancedStatus::new(class, subject, detail);
        Reply { code, status, text: cut(&clean(text.as_ref()), room_for(status)).to_owned() }
    }

    /// The outcome `index` of a report, for a client that waits behind its content or asks about an address.
    pub fn of_report(report: &Report, index: usize) -> Reply {
        match report.outcomes.get(index) {
            Some(outcome) => of_outcome(outcome, report.route_of(index)),
            // A bug elsewhere must not become a reply too few, which a client takes for another recipient's.
            None => Reply::new(451, 3, 0, "pipelane lost the result of this recipient"),
        }
    }

    /// An outcome as a reply to a greeting, LHLO or MAIL: it stands for the whole site.
    pub fn of_site(outcome: &Outcome) -> Reply {
        let status = EnhancedStatus { class: 4, ..outcome.status };
        Reply { code: 421, status, text: cut(&clean(&outcome.text), room_for(status)).to_owned() }
    }

    /// Whether the recipient needs nothing further.
    pub fn is_success(&self) -> bool {
        self.code < 400
    }

    /// Whether trying again cannot help.
    pub fn is_permanent(&self) -> bool {
        self.code >= 500
    }

    /// Appends the line to what is to be sent.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.to_string().as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // RFC 2034 3: no enhanced status in the greeting, LHLO and 3yz replies; those are not made here.
        write!(f, "{} {} {}", self.code, self.status, self.text)
    }
}

fn of_outcome(outcome: &Outcome, route: Option<&Route>) -> Reply {
    let code = code_of(outcome);
    let status = EnhancedStatus { class: (code / 100) as u8, ..outcome.status };
    let carried = route.map_or(String::new(), carried_by);
    let mut text = match (route.map(|route| &route.server), outcome.code) {
        (Some(server), Some(said)) => format!("{server} said: {said} {} {}", outcome.status, outcome.text),
        (None, Some(said)) => format!("server said: {said} {} {}", outcome.status, outcome.text),
        (Some(server), None) => format!("{server}: {}", outcome.text),
        (None, None) => outcome.text.clone(),
    };
    if outcome.verdict == Verdict::InDoubt {
        text.insert_str(0, "may be delivered already: ");
    }
    let text = clean(&text);
    let room = room_for(status).saturating_sub(carried.len());
    Reply { code, status, text: format!("{}{carried}", cut(&text, room).trim_end()) }
}

/// The server's own code where it fits the verdict. 421 and 521 speak of a connection that is not ours.
fn code_of(outcome: &Outcome) -> u16 {
    let said = outcome.code.unwrap_or(0);
    match outcome.verdict {
        Verdict::Delivered => 250,
        Verdict::Failed if (500..600).contains(&said) && said != 521 => said,
        Verdict::Failed => 554,
        Verdict::Deferred if (400..500).contains(&said) && said != 421 => said,
        Verdict::Deferred | Verdict::InDoubt => 451,
    }
}

/// ` (lane 1, stream)`
fn carried_by(route: &Route) -> String {
    format!(" ({}, {})", cut(&clean(&route.lane), 60), route.level)
}

/// Octets left for the text on a line that also holds the code, the status, two blanks and CRLF.
fn room_for(status: EnhancedStatus) -> usize {
    MAX_REPLY - "250  \r\n".len() - status.to_string().len()
}

/// The text without control characters: each becomes a blank, and no blank stands at an end.
pub(super) fn clean(text: &str) -> String {
    let blanked: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    blanked.trim().to_owned()
}

/// The longest beginning of the text that has at most `most` octets and ends between characters.
pub(super) fn cut(text: &str, most: usize) -> &str {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn route(server: &str) -> Route {
        Route { server: server.into(), lane: "lane 1".into(), level: "stream", dsn: false }
    }

    fn report(verdict: Verdict, class: u8, code: Option<u16>, text: &str) -> Report {
        let outcome = Outcome { verdict, status: EnhancedStatus::new(class, 0, 0), code, text: text.into() };
        Report { route: Some(route("mx.example.net[192.0.2.1]:25").into()), ..Report::uniform(1, outcome) }
    }

    #[test]
    fn a_delivery_tells_server_lane_and_the_servers_words() {
        let report = report(Verdict::Delivered, 2, Some(250), "Ok: queued as ABC");
        assert_eq!(
            Reply::of_report(&report, 0).to_string(),
            "250 2.0.0 mx.example.net[192.0.2.1]:25 said: 250 2.0.0 Ok: queued as ABC (lane 1, stream)"
        );
    }

    #[test]
    fn each_reply_names_the_server_that_has_decided() {
        let mut report = report(Verdict::Delivered, 2, Some(250), "Ok");
        report.outcomes.push(Outcome::deferred(EnhancedStatus::new(4, 4, 2), "lost"));
        report.earlier.insert(0, route("first.example.net[192.0.2.9]:25").into());
        let replies: Vec<String> = (0..2).map(|index| Reply::of_report(&report, index).text).collect();
        assert!(replies[0].starts_with("first.example.net[192.0.2.9]:25 said: 250"), "{replies:?}");
        assert!(replies[1].starts_with("mx.example.net[192.0.2.1]:25: lost"), "{replies:?}");
    }

    #[test]
    fn no_reply_behind_the_content_speaks_of_a_dead_site() {
        for (verdict, class, said, code) in [
            (Verdict::Deferred, 4, Some(421), 451),
            (Verdict::Deferred, 4, Some(452), 452),
            (Verdict::Deferred, 4, Some(550), 451),
            (Verdict::Deferred, 4, None, 451),
            (Verdict::InDoubt, 4, Some(250), 451),
            (Verdict::Failed, 5, Some(521), 554),
            (Verdict::Failed, 5, Some(550), 550),
            (Verdict::Failed, 5, Some(250), 554),
            (Verdict::Failed, 4, None, 554),
        ] {
            let reply = Reply::of_report(&report(verdict, class, said, "x"), 0);
            assert_eq!((reply.code, u16::from(reply.status.class)), (code, code / 100), "{verdict:?} {said:?}");
        }
    }

    #[test]
    fn in_doubt_is_said() {
        let reply = Reply::of_report(&report(Verdict::InDoubt, 4, None, "connection lost"), 0);
        assert!(reply.text.starts_with("may be delivered already: "), "{reply}");
    }

    #[test]
    fn a_recipient_without_an_outcome_is_deferred() {
        assert_eq!(Reply::of_report(&report(Verdict::Delivered, 2, None, ""), 1).code, 451);
    }

    proptest! {
        #[test]
        fn whatever_a_server_says_stays_one_short_line(text in "\\PC{0,300}[\r\n\t\0é]{0,9}\\PC{0,300}", code in 200u16..600) {
            let report = report(Verdict::Failed, 5, Some(code), &text);
            let mut line = Vec::new();
            Reply::of_report(&report, 0).write_to(&mut line);
            prop_assert!(line.len() <= MAX_REPLY);
            let line = String::from_utf8(line).expect("UTF-8");
            let body = line.strip_suffix("\r\n").expect("ended");
            prop_assert!(!body.chars().any(char::is_control));
            prop_assert!(body.ends_with(" (lane 1, stream)"));
        }
    }
}
