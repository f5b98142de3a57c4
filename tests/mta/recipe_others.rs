//! The recipes of README.md for other mail servers than Postfix, as they stand there, by the rules of
//! [`crate::recipe`].

use crate::exim::Sending;
use crate::mail::{Mail, body};
use crate::needs::{Need, met};
use crate::postfix::{DOMAIN, Postfix};
use crate::recipe::{Served, block, with};
use crate::sendmail::{Sendmail, marked_for};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(120);
const NEXT_HOP: &str = "[relay.example.net]:25";
const RECIPIENTS: [&str; 4] = ["a@example.test", "reject-550@example.test", "defer-450@example.test", "b@example.test"];

fn arrived(receiving: &Postfix, mail: Mail) {
    receiving.drain(LIMIT);
    receiving.maildir().tally(&[mail]).assert_exactly_once();
}

#[test]
fn the_recipe_for_exim_works() {
    if !met(&[Need::Postfix, Need::Exim]) {
        return;
    }
    let receiving = Postfix::receiving();
    let served = Served::start(&receiving.next_hop(), "mail");
    let router = with(&block("Exim: a router"), "example.org", DOMAIN);
    let transport = with(&block("Exim: a transport"), NEXT_HOP, &receiving.next_hop());
    let exim = Sending::by(&router, &with(&transport, "/run/pipelane", &served.runtime()));
    let mail = Mail::new("exim", &RECIPIENTS, &body(9, 4000));
    exim.deliver(&mail);
    // "=>" or "->" delivered, "**" failed, "==" deferred.
    for (recipient, signs) in RECIPIENTS.iter().zip([["=>", "->"], ["**"; 2], ["=="; 2], ["=>", "->"]]) {
        let is_result = |line: &String| signs.iter().any(|sign| line.contains(&format!(" {sign} ")));
        let results: Vec<String> = exim.log_lines(recipient).into_iter().filter(is_result).collect();
        assert!(results.len() == 1 && results[0].contains("T=lanes"), "{recipient}: {results:?}\n{}", exim.trouble());
    }
    arrived(&receiving, mail);
}

#[test]
fn the_recipe_for_sendmail_works() {
    if !met(&[Need::Postfix, Need::Sendmail]) {
        return;
    }
    let receiving = Postfix::receiving();
    let served = Served::start(&receiving.next_hop(), "mail");
    let before = block("/etc/mail/sendmail.mc, before the MAILER lines");
    let behind = block("/etc/mail/sendmail.mc, at its end");
    let table = with(&block("/etc/mail/mailertable"), NEXT_HOP, &receiving.next_hop());
    let sendmail = Sendmail::sending(&before, &behind, &with(&table, "example.org", DOMAIN), &served.runtime());
    let mail = marked_for(Mail::new("sendmail", &RECIPIENTS, &body(9, 4000)));
    let said = sendmail.deliver(&mail);
    let sent: Vec<&str> = said.lines().filter_map(|line| line.strip_suffix("... Sent")).collect();
    let mut sent: Vec<&str> = sent.iter().flat_map(|recipients| recipients.split(',')).collect();
    sent.sort_unstable();
    assert_eq!(sent, ["a@example.test", "b@example.test"], "{said}");
    // The one that was put off is left; the one that was refused is in a notice to the sender.
    let left: Vec<String> = sendmail.queued("qf").into_iter().filter(|envelope| envelope.contains(DOMAIN)).collect();
    let listed = |name: &str| left.iter().any(|envelope| envelope.contains(&format!(":{name}@{DOMAIN}\n")));
    assert!(listed("defer-450") && !["a", "b", "reject-550"].iter().any(|name| listed(name)), "{left:?}\n{said}");
    let notices = sendmail.queued("df");
    let is_told = |notice: &String| notice.contains("reject-550@example.test") && notice.contains("said: 550 ");
    assert!(notices.iter().any(is_told), "{notices:?}\n{said}");
    arrived(&receiving, mail);
}
