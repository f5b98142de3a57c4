//! What the scheduler is told of a recipient, octet for octet: the report line, and the `d` line that goes into the
//! control file before it. Pure.
//!
//! No octet of a server's can end a line or a field early: control characters are blanks here, and texts are cut.

use super::recipient::Listed;
use crate::door::reply::{Reply, clean, cut};
use crate::mail::{EnhancedStatus, Outcome, Report, Route, Verdict};
use std::borrow::Cow;

/// The most octets of a text inside a DSN field.
const MAX_TEXT: usize = 400;

/// What a site in trouble makes of a deferral.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deferral {
    /// It is this recipient's own.
    Own,
    /// The whole site cannot be reached, and this is the first that the scheduler hears of it: it need not try the
    /// others.
    FirstOfAll,
    /// The whole site cannot be reached, and the scheduler was told.
    OfAll,
}

/// What becomes of a recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdicts {
    /// The octet that its state becomes.
    pub mark: u8,
    /// The `d` line, with its LF.
    pub diagnosis: Option<String>,
    /// The report line, with its LF.
    pub line: String,
}

/// Whom and what a report is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct About<'a> {
    /// The message's number.
    pub id: &'a str,
    /// The host field of its recipients.
    pub host: &'a str,
    /// This process.
    pub pid: u32,
    /// Seconds since the epoch.
    pub time: u64,
}

impl About<'_> {
    /// What becomes of this recipient, which is the one at `index` of the report.
    pub fn verdict(&self, listed: &Listed, report: &Report, index: usize, deferral: Deferral) -> Verdicts {
        let (outcome, route, message) = told(report, index);
        let server = route.map(|route| route.server.as_str());
        let passed_on = route.is_some_and(|route| route.dsn);
        let (mark, action, status) = match outcome.verdict {
            Verdict::Delivered if listed.wants_success && !passed_on => (b'+', Some("relayed"), "ok2"),
            Verdict::Delivered => (b'+', None, "ok3"),
            Verdict::Failed if listed.wants_failure => (b'-', Some("failed"), "error2"),
            Verdict::Failed => (b'-', None, "error2"),
            Verdict::Deferred | Verdict::InDoubt => {
                return self.deferred(listed, &outcome, server, &message, deferral);
            }
        };
        let diagnosis = action.map(|action| {
            let notary = self.notary(listed, action, &outcome, server);
            self.diagnosis(listed, &notary, &message)
        });
        Verdicts { mark, diagnosis, line: self.line(listed, "", status, &message) }
    }

    /// What becomes of it when its `d` line cannot be written. A delivery is a delivery, and told so that the scheduler
    /// writes the line; a failure that nobody would hear of waits.
    pub fn unrecorded(&self, listed: &Listed, report: &Report, index: usize, why: &str) -> Verdicts {
        let (outcome, route, message) = told(report, index);
        if outcome.is_delivered() {
            let notary = self.notary(listed, "relayed", &outcome, route.map(|route| route.server.as_str()));
            return Verdicts { mark: b'+', diagnosis: None, line: self.line(listed, &notary, "ok", &message) };
        }
        let text = format!("the failure cannot be recorded: {why}");
        self.deferred(
            listed,
            &Outcome::deferred(EnhancedStatus::new(4, 3, 1), text.as_str()),
            None,
            &clean(&text),
            Deferral::Own,
        )
    }

    fn deferred(
        &self,
        listed: &Listed,
        outcome: &Outcome,
        server: Option<&str>,
        message: &str,
        deferral: Deferral,
    ) -> Verdicts {
        let status = match deferral {
            Deferral::Own => "deferred",
            Deferral::FirstOfAll => "deferall",
            Deferral::OfAll => "retryat +60",
        };
        let notary = self.notary(listed, "delayed", outcome, server);
        Verdicts { mark: b' ', diagnosis: None, line: self.line(listed, &notary, status, message) }
    }

    /// `ID/OFFSET<TAB>NOTARY<TAB>STATUS MESSAGE`
    fn line(&self, listed: &Listed, notary: &str, status: &str, message: &str) -> String {
        format!("{}/{}\t{notary}\t{status} {message}\n", self.id, listed.offset)
    }

    /// `d RO:HO:NO::TIME<TAB>NOTARY<TAB>MESSAGE`
    fn diagnosis(&self, listed: &Listed, notary: &str, message: &str) -> String {
        let offset = |offset: Option<usize>| offset.map_or("-1".to_owned(), |offset| offset.to_string());
        let (headers, dsn) = (offset(listed.headers), offset(listed.dsn));
        format!("d {}:{headers}:{dsn}::{}\t{notary}\t{message}\n", listed.offset, self.time)
    }

    /// `final-rcpt ^A action ^A status ^A diagnostic-code ^A remote-mta ^A ta-id`
    fn notary(&self, listed: &Listed, action: &str, outcome: &Outcome, server: Option<&str>) -> String {
        let text = comment(&outcome.text);
        let code = match outcome.code {
            Some(code) => format!("smtp; {code} ({text})"),
            None => format!("x-local; {} ({text})", outcome.status),
        };
        let remote = server.map_or_else(|| clean(self.host), remote_mta);
        let user = clean(&listed.user);
        let user = cut(&user, MAX_TEXT);
        let pid = self.pid;
        format!("{user}\x01{action}\x01{}\x01{code}\x01dns; {remote}\x01pipelane[{pid}]", outcome.status)
    }
}

/// What a report says of the recipient at `index`: the outcome, how it went there, and the text for people.
fn told(report: &Report, index: usize) -> (Cow<'_, Outcome>, Option<&Route>, String) {
    let lost = || Cow::Owned(Outcome::deferred(EnhancedStatus::new(4, 3, 0), "pipelane lost this result"));
    let outcome = report.outcomes.get(index).map_or_else(lost, Cow::Borrowed);
    (outcome, report.route_of(index), Reply::of_report(report, index).text)
}

/// `host[address]:port` as `host (address|port)`.
fn remote_mta(server: &str) -> String {
    let server = clean(server);
    let parts = server.rsplit_once("]:").and_then(|(front, port)| Some((front.split_once('[')?, port)));
    match parts {
        Some(((host, address), port)) if port.bytes().all(|octet| octet.is_ascii_digit()) => {
            format!("{host} ({address}|{port})")
        }
        _ => server,
    }
}

/// A text that may stand in parentheses (RFC 5322 3.2.2): without control characters, and its own parentheses in pairs.
fn comment(text: &str) -> String {
    let text = clean(text);
    let text = cut(&text, MAX_TEXT);
    let mut depth = 0i32;
    let paired = text.chars().all(|letter| {
        depth += i32::from(letter == '(') - i32::from(letter == ')');
        depth >= 0
    });
    match paired && depth == 0 {
        true => text.to_owned(),
        false => text.replace('(', "[").replace(')', "]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::Arc;

    const ABOUT: About<'_> = About { id: "4711", host: "b.test", pid: 5150, time: 1_700_000_000 };

    fn listed(offset: usize, user: &str) -> Listed {
        Listed { offset, user: user.into(), headers: Some(218), dsn: None, wants_success: false, wants_failure: true }
    }

    fn report(verdict: Verdict, status: &str, code: Option<u16>, text: &str) -> Report {
        let status = status.parse().expect("a status");
        let outcome = Outcome { verdict, status, code, text: text.into() };
        Report { route: code.map(|_| route("mx.b.test[192.0.2.9]:25", false)), ..Report::uniform(1, outcome) }
    }

    fn route(server: &str, dsn: bool) -> Arc<Route> {
        Route { server: server.into(), lane: "lane 1".into(), level: "stream", dsn }.into()
    }

    #[test]
    fn a_delivery_and_a_failure_as_in_the_description() {
        let done = report(Verdict::Delivered, "2.0.0", Some(250), "queued as X");
        let verdict = ABOUT.verdict(&listed(87, "bob@b.test"), &done, 0, Deferral::Own);
        assert_eq!((verdict.mark, verdict.diagnosis), (b'+', None));
        assert_eq!(
            verdict.line,
            "4711/87\t\tok3 mx.b.test[192.0.2.9]:25 said: 250 2.0.0 queued as X (lane 1, stream)\n"
        );
        let failed = report(Verdict::Failed, "5.1.1", Some(550), "no such user");
        let verdict = ABOUT.verdict(&listed(175, "eve@b.test"), &failed, 0, Deferral::Own);
        let said = "mx.b.test[192.0.2.9]:25 said: 550 5.1.1 no such user (lane 1, stream)\n";
        assert_eq!((verdict.mark, verdict.line), (b'-', format!("4711/175\t\terror2 {said}")));
        let notary = "eve@b.test\x01failed\x015.1.1\x01smtp; 550 (no such user)\x01\
             dns; mx.b.test (192.0.2.9|25)\x01pipelane[5150]";
        assert_eq!(verdict.diagnosis, Some(format!("d 175:218:-1::1700000000\t{notary}\t{said}")));
    }

    #[test]
    fn a_success_that_was_asked_for_is_told_by_us_unless_the_server_does() {
        let done = report(Verdict::Delivered, "2.0.0", Some(250), "ok");
        let asks = Listed { wants_success: true, dsn: Some(128), ..listed(87, "bob@b.test") };
        let verdict = ABOUT.verdict(&asks, &done, 0, Deferral::Own);
        assert!(verdict.line.starts_with("4711/87\t\tok2 "), "{}", verdict.line);
        let diagnosis = verdict.diagnosis.expect("one");
        assert!(
            diagnosis.starts_with("d 87:218:128::1700000000\tbob@b.test\x01relayed\x012.0.0\x01smtp; 250 (ok)\x01")
        );
        let told = Report { route: Some(route("mx.b.test[192.0.2.9]:25", true)), ..done.clone() };
        let passed_on = ABOUT.verdict(&asks, &told, 0, Deferral::Own);
        assert_eq!((passed_on.diagnosis, &passed_on.line[..12]), (None, "4711/87\t\tok3"));
        let earlier = [(0, route("mx1.b.test[192.0.2.8]:25", true))].into();
        let by_another = ABOUT.verdict(&asks, &Report { earlier, ..done }, 0, Deferral::Own);
        assert!(by_another.line.starts_with("4711/87\t\tok3 mx1.b.test["), "{}", by_another.line);
    }

    #[test]
    fn a_failure_that_nobody_wants_to_hear_of_leaves_no_diagnosis() {
        let never = Listed { wants_failure: false, ..listed(87, "bob@b.test") };
        let verdict = ABOUT.verdict(&never, &report(Verdict::Failed, "5.1.1", Some(550), "no"), 0, Deferral::Own);
        assert_eq!((verdict.mark, verdict.diagnosis, &verdict.line[..15]), (b'-', None, "4711/87\t\terror2"));
    }

    #[test]
    fn a_deferral_of_one_and_of_all() {
        let dead = report(Verdict::Deferred, "4.4.1", None, "connect to mx.b.test: refused");
        let words = [(Deferral::Own, "deferred"), (Deferral::FirstOfAll, "deferall"), (Deferral::OfAll, "retryat +60")];
        for (deferral, word) in words {
            let verdict = ABOUT.verdict(&listed(87, "bob@b.test"), &dead, 0, deferral);
            let notary = "bob@b.test\x01delayed\x014.4.1\x01x-local; 4.4.1 (connect to mx.b.test: refused)\x01\
                 dns; b.test\x01pipelane[5150]";
            assert_eq!(verdict.line, format!("4711/87\t{notary}\t{word} connect to mx.b.test: refused\n"));
            assert_eq!((verdict.mark, verdict.diagnosis), (b' ', None));
        }
        let doubt = report(Verdict::InDoubt, "4.4.2", None, "lost");
        let verdict = ABOUT.verdict(&listed(87, "bob@b.test"), &doubt, 0, Deferral::Own);
        assert!(verdict.mark == b' ' && verdict.line.ends_with("\tdeferred may be delivered already: lost\n"));
    }

    #[test]
    fn a_recipient_without_a_result_is_deferred() {
        let verdict =
            ABOUT.verdict(&listed(87, "bob@b.test"), &report(Verdict::Delivered, "2.0.0", None, ""), 1, Deferral::Own);
        assert!(verdict.mark == b' ' && verdict.line.contains("\tdeferred "), "{}", verdict.line);
    }

    #[test]
    fn without_its_diagnosis_a_delivery_is_told_and_a_failure_waits() {
        let asks = Listed { wants_success: true, ..listed(87, "bob@b.test") };
        let done = report(Verdict::Delivered, "2.0.0", Some(250), "ok");
        let verdict = ABOUT.unrecorded(&asks, &done, 0, "no space");
        assert_eq!((verdict.mark, &verdict.diagnosis), (b'+', &None));
        assert!(
            verdict.line.starts_with("4711/87\tbob@b.test\x01relayed\x012.0.0\x01smtp; 250 (ok)\x01")
                && verdict.line.contains("\tok mx.b.test"),
            "{}",
            verdict.line
        );
        let failed = report(Verdict::Failed, "5.1.1", Some(550), "no");
        let verdict = ABOUT.unrecorded(&asks, &failed, 0, "no\nspace");
        assert_eq!((verdict.mark, &verdict.diagnosis), (b' ', &None));
        assert!(
            verdict.line.contains("\x01delayed\x014.3.1\x01")
                && verdict.line.ends_with("\tdeferred the failure cannot be recorded: no space\n"),
            "{}",
            verdict.line
        );
    }

    proptest! {
        #[test]
        fn whatever_a_server_says_stays_one_line_of_three_fields(
            text in "(\\PC|[\r\n\t\0\x01()]){0,600}",
            user in "(\\PC|[\n\t\x01]){1,20}",
            code in proptest::option::of(200u16..600),
            which in 0usize..4)
        {
            let verdict = [Verdict::Delivered, Verdict::Deferred, Verdict::Failed, Verdict::InDoubt][which];
            let class = [2, 4, 5, 4][which];
            let outcome = Outcome { verdict, status: EnhancedStatus::new(class, 1, 1), code, text: text.clone() };
            let report = Report { route: Some(route(&text, false)), ..Report::uniform(1, outcome) };
            let asks = Listed { wants_success: true, ..listed(87, &user) };
            let verdict = ABOUT.verdict(&asks, &report, 0, Deferral::Own);
            for line in verdict.diagnosis.iter().chain([&verdict.line]) {
                let body = line.strip_suffix('\n').expect("ended");
                let fields: Vec<&str> = body.split('\t').collect();
                prop_assert_eq!(fields.len(), 3);
                let parts = fields[1].split('\x01').count();
                prop_assert!(parts == 6 || fields[1].is_empty());
                prop_assert!(!body.replace(['\t', '\x01'], "").contains(char::is_control));
            }
        }
    }
}
