//! The caller's queue id from the top `Received:` header (RFC 5321 4.4), for a message that came without XFORWARD
//! IDENT.
//!
//! Only the first 8 KiB are looked at. A wrong guess does no harm: the id is for logs.

use super::command::is_queue_id;
use crate::mail::Content;

/// How far a queue id is looked for.
const SCAN: usize = 8 * 1024;

/// The id behind `id` in the first Received field, if there is one.
pub(super) fn queue_id(content: &Content) -> Option<String> {
    let mut head = vec![0; SCAN];
    let mut filled = 0;
    while filled < SCAN {
        match content.read_at(&mut head[filled..], filled as u64) {
            Ok(0) | Err(_) => break,
            Ok(octets) => filled += octets,
        }
    }
    received(&head[..filled])
}

fn received(head: &[u8]) -> Option<String> {
    let head = String::from_utf8_lossy(head);
    let mut field: Option<String> = None;
    for line in head.split("\r\n").take_while(|line| !line.is_empty()) {
        let folded = line.starts_with([' ', '\t']);
        match &mut field {
            Some(text) if folded => text.push_str(line),
            Some(_) => break,
            None if line.get(..9).is_some_and(|name| name.eq_ignore_ascii_case("received:")) => {
                field = Some(line[9..].to_owned());
            }
            None => {}
        }
    }
    let field = field?;
    let mut words = field.split([' ', '\t', ';']).filter(|word| !word.is_empty());
    words.find(|word| word.eq_ignore_ascii_case("id"))?;
    words.next().filter(|id| is_queue_id(id)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_in_the_first_received_field() {
        let postfix = "Return-Path: <a@x>\r\nReceived: by mail.example.org (Postfix, from userid 0)\r\n\tid 4bQzXY1k2; Mon, 1 Jan\r\n\
            Received: from b by c id OTHER; x\r\n\r\nReceived: id BODY\r\n";
        assert_eq!(received(postfix.as_bytes()).as_deref(), Some("4bQzXY1k2"));
        let exim = "RECEIVED: from x by y with esmtp (Exim 4.96)\r\n (envelope-from <a@x>)\r\n id 1rA2bC-000123-Xy\r\n\tfor b@y;\r\n";
        assert_eq!(received(exim.as_bytes()).as_deref(), Some("1rA2bC-000123-Xy"));
    }

    #[test]
    fn no_field_or_no_id_is_no_id() {
        for head in [
            "",
            "\r\nReceived: by x id ABC\r\n",
            "Received: by x\r\n\r\n id ABC\r\n",
            "Received: id <x>\r\n",
            "Subject: id A\r\n",
        ] {
            assert_eq!(received(head.as_bytes()), None, "{head:?}");
        }
    }

    #[test]
    fn a_content_shorter_than_the_scan_is_read_whole() {
        let content = Content::from_bytes(b"Received: by x id ABC\r\n\r\n").expect("allowed");
        assert_eq!(queue_id(&content).as_deref(), Some("ABC"));
    }
}
