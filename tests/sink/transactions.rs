//! What an honest server does with good clients, at each level of pipelining.

use crate::raw::{Client, start};
use crate::{RECIPIENT, REFUSED, SENDER, no_mistakes, transaction};
use pipelane::sink::{By, Extensions, SinkOptions};

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

#[test]
fn helo_and_verify_and_noop_are_answered() {
    let sink = start(SinkOptions::default());
    let mut client = Client::connect(&sink);
    assert_eq!(client.reply().code, 220);
    assert_eq!(client.ask("HELO client.example\r\n").code, 250);
    let codes = ["NOOP\r\n", "VRFY b\r\n", "RSET\r\n", SENDER].map(|command| client.ask(command).code);
    assert_eq!(codes, [250, 252, 250, 250]);
    no_mistakes(&sink);
}

#[test]
fn the_envelope_in_one_flight_is_taken() {
    let sink = start(SinkOptions::default());
    let mut client = Client::ready(&sink);
    assert_eq!(client.group(format!("{SENDER}{RECIPIENT}{REFUSED}DATA\r\n"), 4), [250, 250, 550, 354]);
    assert_eq!(client.ask("x\r\n.\r\n").code, 250);
    let totals = sink.totals();
    assert_eq!((totals.recipients_accepted, totals.recipients_refused, totals.deliveries), (1, 1, 1));
    no_mistakes(&sink);
}

#[test]
fn the_next_envelope_rides_behind_the_dot() {
    let sink = start(SinkOptions::default());
    let mut client = Client::ready(&sink);
    assert_eq!(client.group(format!("{SENDER}{RECIPIENT}DATA\r\n"), 3), [250, 250, 354]);
    for number in 0..20 {
        let flight = format!("X: {number}\r\n.\r\nRSET\r\n{SENDER}{RECIPIENT}DATA\r\n");
        assert_eq!(client.group(flight, 5), [250, 250, 250, 250, 354]);
    }
    assert_eq!(client.ask("last\r\n.\r\n").code, 250);
    let contents: Vec<String> =
        sink.messages().into_iter().map(|m| String::from_utf8(m.content).expect("ascii")).collect();
    assert_eq!(contents.len(), 21);
    assert!((0..20).all(|number| contents[number] == format!("X: {number}\r\n")));
    no_mistakes(&sink);
}

#[test]
fn a_stream_of_transactions_in_one_write_is_taken_and_refusals_hit_only_their_own() {
    let sink = start(SinkOptions::default());
    let mut client = Client::ready(&sink);
    let mut flight = String::new();
    for number in 0..50 {
        let to = if number % 5 == 4 { "reject-550@example.net" } else { "b@example.net" };
        flight += &transaction(&[to], &format!("X: {number}\r\n"));
    }
    let codes = client.group(flight, 200);
    for (number, codes) in codes.chunks(4).enumerate() {
        let wanted = if number % 5 == 4 { [250, 250, 550, 554] } else { [250; 4] };
        assert_eq!(codes, wanted, "transaction {number}");
    }
    let totals = sink.totals();
    assert_eq!((totals.messages, totals.deliveries, totals.refused_chunks), (40, 40, 10));
    assert_eq!(sink.messages()[39].transaction, 49);
    no_mistakes(&sink);
}

#[test]
fn a_refused_chunk_is_consumed() {
    let sink = start(SinkOptions::default());
    let mut client = Client::ready(&sink);
    assert_eq!(client.group("BDAT 6 LAST\r\nNOOP\r\nRSET\r\n", 2), [503, 250]);
    assert_eq!(
        client.group(format!("{SENDER}{REFUSED}BDAT 3\r\nabcBDAT 2 LAST\r\n\r\nRSET\r\n"), 5),
        [250, 550, 554, 503, 250]
    );
    assert!(client.is_silent());
    assert_eq!((sink.totals().refused_chunks, sink.totals().messages), (3, 0));
    no_mistakes(&sink);
}

#[test]
fn chunks_are_put_together() {
    let sink = start(SinkOptions::default());
    let mut client = Client::ready(&sink);
    let flight = format!("{SENDER}{RECIPIENT}BDAT 3\r\nX: BDAT 5\r\n1\r\n.\rBDAT 3\r\n\n\r\nBDAT 0 LAST\r\n");
    assert_eq!(client.group(flight, 6), [250; 6]);
    assert_eq!(sink.messages()[0].content, b"X: 1\r\n.\r\n\r\n");
    assert_eq!(sink.messages()[0].by, By::Bdat { chunks: 4 });
    no_mistakes(&sink);
}

#[test]
fn what_is_too_large_is_refused_before_and_after() {
    let sink = start(SinkOptions { max_size: 10, ..SinkOptions::default() });
    let mut client = Client::ready(&sink);
    assert_eq!(client.ask("MAIL FROM:<a@example.org> SIZE=11\r\n").code, 552);
    let codes = crate::deliver(&mut client, "0123456789\r\n");
    assert_eq!(codes, [250, 250, 250, 354, 552]);
    assert_eq!(client.group(transaction(&["b@example.net"], "0123456789\r\n"), 4), [250, 250, 250, 552]);
    let chunks = format!("RSET\r\n{SENDER}{RECIPIENT}BDAT 11\r\n0123456789\rBDAT 1 LAST\r\n\nRSET\r\n");
    assert_eq!(client.group(chunks, 6), [250, 250, 250, 552, 503, 250]);
    assert_eq!(client.group(transaction(&["b@example.net"], "01234567\r\n"), 4), [250; 4]);
    let totals = sink.totals();
    assert_eq!((totals.messages, totals.contents_refused, totals.senders_refused), (1, 2, 1));
    no_mistakes(&sink);
}

#[test]
fn recipients_over_the_limit_get_452() {
    let sink = start(SinkOptions { max_recipients: Some(2), ..SinkOptions::default() });
    let mut client = Client::ready(&sink);
    let recipients = RECIPIENT.repeat(3);
    assert_eq!(client.group(format!("{SENDER}{recipients}RSET\r\n"), 5), [250, 250, 250, 452, 250]);
    no_mistakes(&sink);
}

#[test]
fn two_thousand_recipients_need_no_reader() {
    let sink = start(SinkOptions::default());
    let mut client = Client::ready(&sink);
    client.send(format!("{SENDER}{}DATA\r\n", RECIPIENT.repeat(20_000)));
    let codes: Vec<u16> = (0..20_002).map(|_| client.reply().code).collect();
    assert!(codes[..20_001].iter().all(|&code| code == 250));
    assert_eq!(codes[20_001], 354);
    assert_eq!(client.ask("x\r\n.\r\n").code, 250);
    assert_eq!(sink.totals().deliveries, 20_000);
    no_mistakes(&sink);
}

#[test]
fn a_client_that_stops_inside_a_content_leaves_no_message() {
    let sink = start(SinkOptions::default());
    let mut client = Client::ready(&sink);
    assert_eq!(client.group(format!("{SENDER}{RECIPIENT}DATA\r\n"), 3), [250, 250, 354]);
    client.send("half a lin");
    drop(client);
    let mut client = Client::ready(&sink);
    client.send(format!("{SENDER}{RECIPIENT}BDAT 100 LAST\r\nhalf"));
    drop(client);
    assert!(sink.wait_until_idle(std::time::Duration::from_secs(20)));
    let totals = sink.totals();
    assert_eq!((totals.messages, totals.contents_unfinished, totals.connections), (0, 2, 2));
    no_mistakes(&sink);
}

#[test]
fn half_closing_loses_nothing_here() {
    let sink = start(SinkOptions::default());
    let mut client = Client::ready(&sink);
    client.send(transaction(&["b@example.net"], "x\r\n"));
    client.half_close();
    assert_eq!(client.rest(), [250; 4]);
}

#[test]
fn too_many_connections_are_turned_away() {
    let sink = start(SinkOptions { max_connections: 1, ..SinkOptions::default() });
    let _first = Client::ready(&sink);
    let mut second = Client::connect(&sink);
    assert_eq!(second.rest(), [421]);
    assert_eq!((sink.totals().connections, sink.totals().connections_refused), (1, 1));
}

#[test]
fn a_silent_client_is_sent_away() {
    let sink = start(SinkOptions { idle_timeout: std::time::Duration::from_millis(100), ..SinkOptions::default() });
    let mut client = Client::ready(&sink);
    assert_eq!(client.rest(), [421]);
}
