//! Where messages go.

use crate::raw::{Client, start};
use crate::{RECIPIENT, SENDER, deliver, no_mistakes, transaction};
use pipelane::sink::{Sink, SinkOptions, Store};
use std::fs;

#[test]
fn a_maildir_holds_the_content_byte_for_byte() {
    let directory = tempfile::tempdir().expect("a folder");
    let log = directory.path().join("envelopes");
    let options = SinkOptions {
        store: Store::Maildir(directory.path().join("box")),
        envelope_log: Some(log.clone()),
        ..SinkOptions::default()
    };
    let sink = Sink::start(options).expect("started");
    let mut client = Client::ready(&sink);
    assert_eq!(deliver(&mut client, "X: 1\r\n\r\n..\r\n"), [250, 250, 250, 354, 250]);
    assert_eq!(client.group(transaction(&["dot-550@example.net"], "x\r\n"), 4), [250, 250, 250, 550]);
    client.send(format!("RSET\r\n{SENDER}{RECIPIENT}BDAT 10\r\nx"));
    drop(client);
    assert!(sink.wait_until_idle(std::time::Duration::from_secs(20)));
    let files = |part: &str| fs::read_dir(directory.path().join("box").join(part)).expect(part).collect::<Vec<_>>();
    assert_eq!((files("new").len(), files("tmp").len()), (1, 0));
    let path = files("new").remove(0).expect("an entry").path();
    assert_eq!(fs::read(path).expect("the message"), b"X: 1\r\n\r\n.\r\n");
    let log = fs::read_to_string(log).expect("the log");
    assert_eq!(log.lines().count(), 1);
    assert!(log.contains("\"sender\":\"a@example.org\"") && log.contains("\"size\":11"), "{log}");
    no_mistakes(&sink);
}

#[test]
fn a_priority_is_kept_with_the_message_and_logged() {
    let directory = tempfile::tempdir().expect("a folder");
    let log = directory.path().join("envelopes");
    let sink = start(SinkOptions { envelope_log: Some(log.clone()), ..SinkOptions::default() });
    let mut client = Client::ready(&sink);
    for word in ["", " MT-PRIORITY=-4", " mt-priority=0"] {
        let sender = format!("MAIL FROM:<a@example.org>{word}\r\n");
        assert_eq!(client.group(format!("RSET\r\n{sender}{RECIPIENT}BDAT 3 LAST\r\nx\r\n"), 4), [250; 4]);
    }
    let kept: Vec<_> = sink.messages().iter().map(|message| message.priority.map(|p| p.get())).collect();
    assert_eq!(kept, [None, Some(-4), Some(0)]);
    let log = fs::read_to_string(log).expect("the log");
    let words: Vec<bool> = log.lines().map(|line| line.contains("\"parameters\":[\"MT-PRIORITY=-4\"]")).collect();
    assert_eq!(words, [false, true, false], "{log}");
    no_mistakes(&sink);
}

#[test]
fn a_message_that_cannot_be_stored_is_not_accepted() {
    let directory = tempfile::tempdir().expect("a folder");
    let store = Store::Maildir(directory.path().join("box"));
    let sink = Sink::start(SinkOptions { store, ..SinkOptions::default() }).expect("started");
    fs::remove_dir_all(directory.path().join("box")).expect("removed");
    let mut client = Client::ready(&sink);
    assert_eq!(deliver(&mut client, "x\r\n"), [250, 250, 250, 354, 452]);
    assert_eq!((sink.totals().messages, sink.totals().contents_refused), (0, 1));
}

#[test]
fn memory_that_is_full_defers_and_can_be_emptied() {
    let sink = start(SinkOptions { memory_limit: 1000, ..SinkOptions::default() });
    let mut client = Client::ready(&sink);
    let content = format!("{}\r\n", "x".repeat(698));
    let flight = transaction(&["b@example.net"], &content);
    assert_eq!(client.group(&flight, 4), [250, 250, 250, 250]);
    assert_eq!(client.group(&flight, 4), [250, 250, 250, 452]);
    assert_eq!(sink.take_messages().len(), 1);
    assert_eq!(client.group(&flight, 4), [250, 250, 250, 250]);
    assert_eq!((sink.totals().messages, sink.totals().content_octets), (2, 1400));
}

#[test]
fn a_large_message_comes_through_whole_either_way() {
    let sink = start(SinkOptions::default());
    let mut client = Client::ready(&sink);
    let content = format!("{}\r\n", "0123456789".repeat(7)).repeat(50_000);
    assert_eq!(deliver(&mut client, &content), [250, 250, 250, 354, 250]);
    assert_eq!(client.group(transaction(&["b@example.net"], &content), 4), [250; 4]);
    let messages = sink.messages();
    assert!(messages.len() == 2 && messages.iter().all(|message| message.content == content.as_bytes()));
    no_mistakes(&sink);
}

#[test]
fn many_clients_at_once_lose_nothing() {
    let sink = start(SinkOptions::default());
    std::thread::scope(|scope| {
        for number in 0..20 {
            let sink = &sink;
            scope.spawn(move || {
                let mut client = Client::ready(sink);
                for turn in 0..20 {
                    let flight = transaction(&["b@example.net"], &format!("X: {number}-{turn}\r\n"));
                    assert_eq!(client.group(flight, 4), [250; 4]);
                }
                assert_eq!(client.ask("QUIT\r\n").code, 221);
            });
        }
    });
    let mut contents: Vec<Vec<u8>> = sink.messages().into_iter().map(|message| message.content).collect();
    contents.sort();
    contents.dedup();
    assert_eq!((contents.len(), sink.totals().messages, sink.totals().connections), (400, 400, 20));
    no_mistakes(&sink);
}
