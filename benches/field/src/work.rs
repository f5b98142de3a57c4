//! What is to be delivered: so many messages, of so many octets, to so many recipients each.
//!
//! Every client gets the same octets. Content is plain text with a dotted line now and then, and is exactly as large as
//! is said.

use crate::mail::Mail;
use crate::postfix::DOMAIN;

/// One kind of message, so many times.
#[derive(Debug, Clone, Copy)]
pub struct Work {
    /// Messages.
    pub messages: usize,
    /// Recipients of each.
    pub recipients: usize,
    /// Octets of content of each, header included.
    pub size: usize,
}

impl Work {
    /// So many messages of so many octets, to one recipient each.
    pub const fn messages(messages: usize, size: usize) -> Work {
        Work { messages, recipients: 1, size }
    }

    /// Octets of content in all.
    pub fn octets(&self) -> f64 {
        (self.messages * self.size) as f64
    }

    /// The messages, named by `series`.
    pub fn mails(&self, series: &str) -> Vec<Mail> {
        (0..self.messages).map(|n| self.mail(&format!("{series}{n}"))).collect()
    }

    /// One of the messages.
    pub fn mail(&self, id: &str) -> Mail {
        let recipients = (0..self.recipients).map(|n| format!("r{n}@{DOMAIN}")).collect();
        Mail { id: id.to_owned(), sender: "sender@client.test".to_owned(), recipients, content: content(id, self.size) }
    }
}

fn content(id: &str, size: usize) -> Vec<u8> {
    const LINES: &[u8] = b"The quick brown fox jumps over the lazy dog, and does so once more.\r\n\
        It is a line of plain text like any other, and so is the next one.\r\n\
        .. and this one starts with a dot, which some have to double.\r\n";
    let mut content =
        format!("From: <sender@client.test>\r\nSubject: {id}\r\nMessage-ID: <{id}@client.test>\r\n\r\n").into_bytes();
    while content.len() + LINES.len() + 2 < size {
        content.extend_from_slice(LINES);
    }
    let rest = size.saturating_sub(content.len() + 2).max(1);
    // No line is longer than 998 octets, as `LINES` is not.
    content.extend(std::iter::repeat_n(b'x', rest));
    content.extend_from_slice(b"\r\n");
    content
}
