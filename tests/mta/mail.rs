//! Generated messages that prove on arrival that they are whole.
//!
//! The first header line carries an id and the SHA-256 digest of everything behind that line, with LF line ends (as
//! a Maildir stores them). Servers put their own lines above it, so those do not matter.

use sha2::{Digest, Sha256};

/// The header that carries the id and the digest.
pub const MARK: &str = "X-Pipelane-Test: ";

/// One message with its envelope.
#[derive(Debug, Clone)]
pub struct Mail {
    /// Names the message in logs and assertions.
    pub id: String,
    /// The reverse-path; empty is `<>`.
    pub sender: String,
    /// The forward-paths.
    pub recipients: Vec<String>,
    /// Header and body with CRLF line ends, neither stuffed nor terminated.
    pub content: Vec<u8>,
}

impl Mail {
    /// A message of this body, which is ended with CRLF if it is not: SMTP knows no other way.
    pub fn new(id: &str, recipients: &[&str], body: &[u8]) -> Mail {
        let mut rest = format!(
            "From: <sender@client.test>\r\nTo: undisclosed-recipients:;\r\nSubject: {id}\r\n\
             Date: Thu, 01 Jan 2026 00:00:00 +0000\r\nMessage-ID: <{id}@client.test>\r\nMIME-Version: 1.0\r\n\
             Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
        )
        .into_bytes();
        rest.extend_from_slice(body);
        if !rest.ends_with(b"\r\n") {
            rest.extend_from_slice(b"\r\n");
        }
        let mut content = format!("{MARK}{id} {}\r\n", digest(&without_cr(&rest))).into_bytes();
        content.append(&mut rest);
        let recipients = recipients.iter().map(|recipient| (*recipient).to_owned()).collect();
        Mail { id: id.to_owned(), sender: "sender@client.test".to_owned(), recipients, content }
    }

    /// So many messages of so many octets, to one recipient each.
    pub fn series(name: &str, count: usize, octets: usize) -> Vec<Mail> {
        let one = |n: usize| {
            Mail::new(&format!("{name}-{n}"), &[&format!("{name}-{n}@example.test")], &body(n as u64, octets))
        };
        (0..count).map(one).collect()
    }

    /// The content as DATA sends it: stuffed, and ended by the dot.
    pub fn stuffed(&self) -> Vec<u8> {
        let mut wire = Vec::with_capacity(self.content.len() + self.content.len() / 64 + 3);
        for line in self.content.split_inclusive(|octet| *octet == b'\n') {
            if line.first() == Some(&b'.') {
                wire.push(b'.');
            }
            wire.extend_from_slice(line);
        }
        wire.extend_from_slice(b".\r\n");
        wire
    }
}

/// The id of a stored message, and whether it is as it was sent. `None`: not one of ours.
pub fn read(stored: &[u8]) -> Option<(String, bool)> {
    let mut from = 0;
    for line in stored.split_inclusive(|octet| *octet == b'\n') {
        from += line.len();
        if let Some(mark) = line.strip_prefix(MARK.as_bytes()) {
            let mark = std::str::from_utf8(mark).ok()?;
            let (id, wanted) = mark.trim_end().split_once(' ')?;
            return Some((id.to_owned(), digest(&stored[from..]) == wanted));
        }
        if line == b"\n" {
            return None;
        }
    }
    None
}

/// A body of exactly so many octets (one at least), the same for the same seed: lines of 0 to 998 octets, many at the
/// limit, some starting with dots or being nothing else, with octets over 127.
pub fn body(seed: u64, octets: usize) -> Vec<u8> {
    let mut body = Vec::with_capacity(octets);
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    while octets - body.len() > 3 {
        let room = octets - body.len() - 2;
        let draw = next();
        let length = match draw % 8 {
            0 => 998,
            1 => 997,
            2 => (draw >> 8) as usize % 4,
            _ => (draw >> 8) as usize % 990,
        };
        // A rest of one octet could not be a line, so none is left.
        let length = if length >= room || room - length < 3 { room.min(998) } else { length };
        let dots = (draw >> 40) as usize % 4;
        body.extend((0..length).map(|at| if at < dots { b'.' } else { letter(next()) }));
        body.extend_from_slice(b"\r\n");
    }
    body.extend(std::iter::repeat_n(b'x', octets - body.len()));
    body
}

/// Printable, or over 127.
fn letter(draw: u64) -> u8 {
    let octet = (draw >> 24) as u8;
    if octet & 0x7f < 0x20 || octet == 0x7f { octet & 0x80 | 0x41 } else { octet }
}

/// The text with LF line ends, as a pipe takes it and a Maildir stores it.
pub fn without_cr(text: &[u8]) -> Vec<u8> {
    text.iter().copied().filter(|octet| *octet != b'\r').collect()
}

/// The SHA-256 of these octets, in hexadecimal.
pub fn digest(octets: &[u8]) -> String {
    Sha256::digest(octets).iter().map(|octet| format!("{octet:02x}")).collect()
}

mod tests {
    use super::*;

    fn stored(mail: &Mail) -> Vec<u8> {
        [b"Delivered-To: someone@example.test\n".to_vec(), without_cr(&mail.content)].concat()
    }

    #[test]
    fn a_stored_message_is_known_and_one_changed_octet_is_seen() {
        let mail = Mail::new("m1", &["a@example.test"], &body(7, 5000));
        let mut file = stored(&mail);
        assert_eq!(read(&file), Some(("m1".to_owned(), true)));
        let last = file.len() - 10;
        file[last] ^= 1;
        assert_eq!(read(&file), Some(("m1".to_owned(), false)));
        assert_eq!(read(&stored(&mail)[..file.len() - 1]), Some(("m1".to_owned(), false)));
        assert_eq!(read(b"Subject: other\n\nX-Pipelane-Test: not a header\n"), None);
    }

    #[test]
    fn bodies_have_their_size_and_no_line_over_998() {
        for octets in [1, 2, 3, 4, 5, 1000, 1001, 1002, 1003, 100_000] {
            let body = body(octets as u64, octets);
            assert_eq!(body.len(), octets);
            let lines: Vec<&[u8]> = body.split(|octet| *octet == b'\n').collect();
            assert!(lines.iter().all(|line| line.len() <= 999), "a line too long in {octets}");
            let bare = body.iter().filter(|octet| **octet == b'\r').count();
            assert_eq!(bare, lines.len() - 1, "a bare CR or LF in {octets}");
        }
        let large = body(1, 100_000);
        assert!(large.iter().any(|octet| *octet > 127));
        assert!(large.windows(3).any(|three| three == b"\n.."));
        assert!(large.split(|octet| *octet == b'\n').any(|line| line.len() == 999));
    }

    #[test]
    fn every_line_that_starts_with_a_dot_is_stuffed() {
        let mail = Mail::new("m2", &["a@example.test"], b".\r\n..a\r\nb.\r\n");
        assert!(mail.stuffed().ends_with(b"\r\n\r\n..\r\n...a\r\nb.\r\n.\r\n"));
    }
}
