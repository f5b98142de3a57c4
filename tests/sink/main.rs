//! The sink seen from outside, through raw sockets: what it answers, what it stores, what it counts, and what it says
//! against a client. Nothing here uses the library's own client.

mod raw;

use pipelane::sink::{By, Extensions, Sink, SinkOptions};
use raw::{Client, start};

const SENDER: &str = "MAIL FROM:<a@example.org>\r\n";
const RECIPIENT: &str = "RCPT TO:<b@example.net>\r\n";

fn no_mistakes(sink: &Sink) {
    assert_eq!(sink.totals().mistake_texts, [], "the client did nothing wrong");
}

fn mistakes(sink: &Sink) -> Vec<String> {
    sink.totals().mistake_texts.into_iter().map(|mistake| mistake.text).collect()
}

/// A whole transaction with BDAT in one flight.
fn stream(recipients: &[&str], content: &str) -> String {
    let recipients: String = recipients.iter().map(|to| format!("RCPT TO:<{to}>\r\n")).collect();
    format!("RSET\r\n{SENDER}{recipients}BDAT {} LAST\r\n{content}", content.len())
}

#[test]
fn a_message_is_taken_step_by_step() {
    let sink = start(SinkOptions::default());
    let mut client = Client::connect(&sink);
    assert_eq!(client.reply().code, 220);
    let ehlo = client.ask("EHLO client.example\r\n");
    for name in Extensions::NAMES {
        assert!(ehlo.lines.iter().any(|line| line.split(' ').next() == Some(name)), "{name}");
    }
    assert_eq!(client.ask("MAIL FROM:<a@example.org> SIZE=20 RET=HDRS\r\n").code, 250);
    assert_eq!(client.ask("RCPT TO:<b@example.net> NOTIFY=NEVER\r\n").code, 250);
    assert_eq!(client.ask("DATA\r\n").code, 354);
    assert_eq!(client.ask("X: 1\r\n\r\n..dot\r\n.\r\n").code, 250);
    assert_eq!(client.ask("QUIT\r\n").code, 221);
    assert!(client.is_closed());
    let messages = sink.messages();
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].content, b"X: 1\r\n\r\n.dot\r\n");
    assert_eq!((messages[0].sender.as_str(), messages[0].parameters.len()), ("a@example.org", 2));
    assert_eq!(messages[0].recipients[0].address, "b@example.net");
    assert_eq!(messages[0].recipients[0].parameters, ["NOTIFY=NEVER"]);
    assert_eq!((messages[0].by, messages[0].connection, messages[0].transaction), (By::Data, 1, 1));
    no_mistakes(&sink);
}
