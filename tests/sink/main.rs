//! The sink seen from outside, through raw sockets: what it answers, what it stores, what it counts, and what it holds
//! against a client. Nothing here uses the library's own client.

mod checks;
mod command_line;
mod nonsense;
mod personalities;
mod raw;
mod storing;
mod timing;
mod transactions;
mod wishes;

use pipelane::sink::Sink;

const SENDER: &str = "MAIL FROM:<a@example.org>\r\n";
const RECIPIENT: &str = "RCPT TO:<b@example.net>\r\n";
const REFUSED: &str = "RCPT TO:<reject-550@example.net>\r\n";

/// A whole transaction, its content in one chunk.
fn transaction(recipients: &[&str], content: &str) -> String {
    let recipients: String = recipients.iter().map(|to| format!("RCPT TO:<{to}>\r\n")).collect();
    format!("RSET\r\n{SENDER}{recipients}BDAT {} LAST\r\n{content}", content.len())
}

/// A whole message by DATA, without waiting for anything but the 354.
fn deliver(client: &mut raw::Client, content: &str) -> Vec<u16> {
    let mut codes = client.group(format!("RSET\r\n{SENDER}{RECIPIENT}DATA\r\n"), 4);
    codes.extend(client.group(format!("{content}.\r\n"), 1));
    codes
}

fn mistakes(sink: &Sink) -> Vec<String> {
    sink.totals().mistake_texts.into_iter().map(|mistake| mistake.text).collect()
}

fn no_mistakes(sink: &Sink) {
    assert_eq!(mistakes(sink), [""; 0], "the client did nothing wrong");
}
