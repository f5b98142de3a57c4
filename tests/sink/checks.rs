//! Each mistake is named, and the server goes on.

use crate::raw::{Client, start};
use crate::{RECIPIENT, REFUSED, SENDER, mistakes, transaction};
use pipelane::sink::{Extensions, Personality, SinkOptions};
use std::time::Duration;

/// Sends this after EHLO to a fresh sink and says which mistakes were noted after these replies.
fn noted(options: SinkOptions, flight: &[u8], codes: &[u16]) -> Vec<String> {
    let sink = start(options);
    let mut client = Client::ready(&sink);
    assert_eq!(client.group(flight, codes.len()), codes, "{}", String::from_utf8_lossy(flight));
    mistakes(&sink)
}

/// The same, for one mistake whose text has these words.
fn one(flight: impl AsRef<[u8]>, codes: &[u16], words: &str) {
    let noted = noted(SinkOptions::default(), flight.as_ref(), codes);
    assert!(noted.len() == 1 && noted[0].contains(words), "{noted:?} is not one mistake about {words}");
}

/// A content by DATA, the envelope already done.
fn content(content: impl AsRef<[u8]>, words: &str) {
    let sink = start(SinkOptions::default());
    let mut client = Client::ready(&sink);
    assert_eq!(client.group(format!("{SENDER}{RECIPIENT}DATA\r\n"), 3), [250, 250, 354]);
    assert_eq!(client.ask(content).code, 250);
    let noted = mistakes(&sink);
    assert!(noted.len() == 1 && noted[0].contains(words), "{noted:?} is not one mistake about {words}");
}

#[test]
fn lines_that_are_no_good_are_noted() {
    one("NOOP\n", &[250], "CRLF");
    one("NO\rOP\r\n", &[500], "CR or NUL");
    one("NO\0OP\r\n", &[500], "CR or NUL");
    one(b"NOOP \xff\r\n", &[500], "UTF-8");
    one(format!("NOOP {}\r\n", "x".repeat(600)), &[250], "over 512");
    one(format!("NOOP {}\r\nRSET\r\n", "x".repeat(5000)), &[500, 250], "over 4096");
    one(format!("{}\r\nRSET\r\n", "x".repeat(200_000)), &[500, 250], "over 4096");
}

#[test]
fn commands_that_are_no_good_are_noted() {
    one("XYZZY\r\n", &[500], "unknown command");
    one("STARTTLS\r\n", &[502], "STARTTLS");
    one("RSET now\r\n", &[501], "RSET");
    one("MAIL FROM: <a@example.org>\r\n", &[250], "blank");
    one("MAIL FROM:<a@example.org> X=1\r\n", &[555], "not offered");
    one("MAIL FROM:<a@example.org> SIZE=x\r\n", &[501], "malformed");
    one("MAIL FROM:<a@example.org> MT-PRIORITY=10\r\n", &[501], "malformed");
    one("MAIL FROM:<a@example.org> MT-PRIORITY=1 MT-PRIORITY=1\r\n", &[501], "twice");
    one("MAIL FROM:<\u{e9}@example.org>\r\n", &[553], "SMTPUTF8");
    one(format!("{SENDER}RCPT TO:<b@example.net> NOTIFY=X\r\n"), &[250, 501], "malformed");
    one("BDAT x\r\n", &[521], "BDAT");
}

#[test]
fn commands_out_of_order_are_noted() {
    one(RECIPIENT, &[503], "RCPT without MAIL");
    one("DATA\r\n", &[503], "DATA out of order");
    one(format!("{SENDER}DATA\r\n"), &[250, 554], "DATA out of order");
    one(format!("{SENDER}BDAT 1 LAST\r\nx"), &[250, 554], "BDAT out of order");
    one(format!("{SENDER}{SENDER}"), &[250, 503], "MAIL inside a transaction");
    one(format!("{SENDER}{RECIPIENT}BDAT 1\r\nx{RECIPIENT}"), &[250, 250, 250, 503], "RCPT behind BDAT");
    one(format!("{SENDER}{RECIPIENT}BDAT 1\r\nxDATA\r\n"), &[250, 250, 250, 503], "DATA behind BDAT");
}

#[test]
fn a_failed_transaction_wants_a_reset() {
    let words = "MAIL without RSET";
    one(format!("MAIL FROM:<reject-550@example.org>\r\n{SENDER}"), &[550, 250], words);
    one(format!("{SENDER}{REFUSED}BDAT 1 LAST\r\nx{SENDER}"), &[250, 550, 554, 250], words);
    one(format!("{SENDER}{REFUSED}BDAT 1\r\nx{SENDER}"), &[250, 550, 554, 503], words);
    let refused = "RCPT TO:<dot-550@example.net>\r\n";
    one(format!("{SENDER}{refused}BDAT 3 LAST\r\nx\r\n{SENDER}"), &[250, 250, 550, 250], words);
    let good = transaction(&["b@example.net"], "x\r\n");
    assert_eq!(noted(SinkOptions::default(), format!("{good}{SENDER}").as_bytes(), &[250; 5]), [""; 0]);
}

#[test]
fn contents_that_are_no_good_are_noted() {
    content("a\nb\r\n.\r\n", "LF without CR");
    content("a\rb\r\n.\r\n", "CR without LF");
    content("a\n.\r\nb\r\n.\r\n", "LF without CR");
    content(".a\r\n.\r\n", "not doubled");
    content("a\0\r\n.\r\n", "NUL");
    content(b"\xe9\r\n.\r\n", "8BITMIME");
    content(format!("{}\r\n.\r\n", "x".repeat(999)), "998");
    one(format!("{SENDER}{RECIPIENT}BDAT 1 LAST\r\nx"), &[250; 3], "end with CRLF");
    one(format!("{SENDER}{RECIPIENT}BDAT 4 LAST\r\nx\n\r\n"), &[250; 3], "LF without CR");
}

#[test]
fn a_group_ends_where_it_must() {
    one("NOOP\r\nRSET\r\n", &[250, 250], "reply to NOOP");
    one("VRFY x\r\nRSET\r\n", &[252, 250], "reply to VRFY");
    one("EHLO x\r\nRSET\r\n", &[250, 250], "reply to EHLO");
    one("QUIT\r\nRSET\r\n", &[221], "reply to QUIT");
    one(format!("{SENDER}{RECIPIENT}DATA\r\nx\r\n.\r\n"), &[250, 250, 354, 250], "reply to DATA");
    one(format!("{SENDER}{REFUSED}DATA\r\nRSET\r\n"), &[250, 550, 554, 250], "reply to DATA");
}

#[test]
fn not_waiting_is_noted_although_the_bytes_come_apart() {
    let sink = start(SinkOptions { latency: Duration::from_secs(1), ..SinkOptions::default() });
    let mut client = Client::ready(&sink);
    client.send("NOOP\r\n");
    assert!(client.is_silent(), "the reply is far away");
    client.send("RSET\r\n");
    assert_eq!([client.reply().code, client.reply().code], [250, 250]);
    assert_eq!(mistakes(&sink).len(), 1, "{:?}", mistakes(&sink));
}

#[test]
fn talking_before_the_greeting_is_noted() {
    let sink = start(SinkOptions { latency: Duration::from_millis(500), ..SinkOptions::default() });
    let mut client = Client::connect(&sink);
    assert_eq!(client.group("EHLO x\r\n", 2), [220, 250]);
    assert_eq!(mistakes(&sink).len(), 1, "{:?}", mistakes(&sink));
}

#[test]
fn mail_without_ehlo_is_noted() {
    let sink = start(SinkOptions::default());
    let mut client = Client::connect(&sink);
    assert_eq!(client.reply().code, 220);
    assert_eq!(client.ask(SENDER).code, 503);
    assert!(mistakes(&sink)[0].contains("without EHLO"));
}

#[test]
fn pipelining_that_was_not_offered_is_noted() {
    let options =
        |name| SinkOptions { extensions: Extensions::ALL.without(name).expect("it exists"), ..SinkOptions::default() };
    let flight = format!("{SENDER}{RECIPIENT}");
    assert_eq!(noted(options("PIPELINING"), flight.as_bytes(), &[250, 250]).len(), 1);
    assert_eq!(noted(options("CHUNKING"), b"BDAT 6 LAST\r\nNOOP\r\nRSET\r\n", &[500, 250, 250]).len(), 1);
    let sink = start(SinkOptions::default());
    let mut client = Client::connect(&sink);
    assert_eq!((client.reply().code, client.ask("HELO x\r\n").code), (220, 250));
    assert_eq!(client.group(format!("{SENDER}{RECIPIENT}"), 2), [250, 250]);
    assert_eq!(client.ask("BDAT 0 LAST\r\n").code, 500);
    assert_eq!(mistakes(&sink).len(), 2, "{:?}", mistakes(&sink));
}

#[test]
fn a_priority_that_was_not_offered_is_noted() {
    let given = b"MAIL FROM:<a@example.org> MT-PRIORITY=1\r\n";
    let extensions = Extensions::ALL.without("MT-PRIORITY").expect("it exists");
    for options in [
        SinkOptions { extensions, ..SinkOptions::default() },
        SinkOptions { like: Some(Personality::PostfixErrors), ..SinkOptions::default() },
    ] {
        let noted = noted(options, given, &[555]);
        assert!(noted.len() == 1 && noted[0].contains("not offered"), "{noted:?}");
    }
    assert_eq!(noted(SinkOptions::default(), given, &[250]), [""; 0]);
}

#[test]
fn lockstep_is_no_mistake_without_pipelining() {
    let extensions = Extensions::ALL.without("PIPELINING").expect("it exists");
    let sink = start(SinkOptions { extensions, ..SinkOptions::default() });
    let mut client = Client::ready(&sink);
    for _ in 0..3 {
        let codes = ["RSET\r\n", SENDER, RECIPIENT, "DATA\r\n", "x\r\n.\r\n"].map(|step| client.ask(step).code);
        assert_eq!(codes, [250, 250, 250, 354, 250]);
        let codes = ["RSET\r\n", SENDER, RECIPIENT, "BDAT 3 LAST\r\nx\r\n"].map(|step| client.ask(step).code);
        assert_eq!(codes, [250; 4]);
    }
    crate::no_mistakes(&sink);
}
