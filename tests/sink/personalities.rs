//! Each server that gets something wrong does so, and only that.

use crate::raw::{Client, like, start};
use crate::{RECIPIENT, REFUSED, SENDER, deliver, mistakes, no_mistakes, transaction};
use pipelane::sink::{Personality, SinkOptions};
use std::time::Duration;

const GOOD: [u16; 5] = [250, 250, 250, 354, 250];

#[test]
fn every_one_takes_a_plain_message_from_a_client_that_waits() {
    for personality in Personality::ALL {
        if matches!(personality, Personality::Busy | Personality::Mute) {
            continue;
        }
        let sink = like(personality);
        let mut client = Client::connect(&sink);
        assert_eq!(client.reply().code, 220, "{personality}");
        let hello = if personality == Personality::NoEhlo { "HELO x\r\n" } else { "EHLO x\r\n" };
        assert_eq!(client.ask(hello).code, 250, "{personality}");
        let steps = ["RSET\r\n", SENDER, RECIPIENT, "DATA\r\n", "x\r\n.\r\n", "RSET\r\n", "QUIT\r\n"];
        let codes = steps.map(|step| client.ask(step).code);
        assert_eq!(codes, [250, 250, 250, 354, 250, 250, 221], "{personality}");
        assert_eq!((sink.totals().messages, sink.messages().len()), (1, 1), "{personality}");
        no_mistakes(&sink);
    }
}

#[test]
fn haraka_refuses_what_came_with_the_dot() {
    let sink = like(Personality::Haraka);
    let mut client = Client::ready(&sink);
    assert_eq!(client.group(format!("{SENDER}{RECIPIENT}DATA\r\n"), 3), [250, 250, 354]);
    let flight = format!("x\r\n.\r\nRSET\r\n{SENDER}{RECIPIENT}DATA\r\n");
    assert_eq!(client.group(flight, 5), [250, 503, 503, 503, 503]);
    assert_eq!(deliver(&mut client, "y\r\n"), GOOD);
    assert_eq!(client.group("RSET\r\nQUIT\r\n", 2), [250, 221]);
    no_mistakes(&sink);
}

#[test]
fn haraka_closes_when_too_much_came_with_the_dot() {
    let sink = like(Personality::Haraka);
    let mut client = Client::ready(&sink);
    assert_eq!(client.group(format!("{SENDER}{RECIPIENT}DATA\r\n"), 3), [250, 250, 354]);
    client.send(format!("x\r\n.\r\n{}", RECIPIENT.repeat(400)));
    assert!(client.is_closed());
    assert_eq!(sink.totals().messages, 1, "stored all the same");
}

#[test]
fn haraka_loses_replies_of_a_client_that_half_closes() {
    let options =
        SinkOptions { like: Some(Personality::Haraka), latency: Duration::from_millis(300), ..SinkOptions::default() };
    let sink = start(options);
    let mut client = Client::ready(&sink);
    assert_eq!(client.group(format!("{SENDER}{RECIPIENT}DATA\r\n"), 3), [250, 250, 354]);
    client.send("x\r\n.\r\n");
    client.half_close();
    assert!(client.is_closed());
    assert_eq!(sink.totals().messages, 1);
}

#[test]
fn input_behind_the_dot_is_lost_in_silence() {
    for personality in [Personality::LostInput, Personality::Chasquid] {
        let sink = like(personality);
        let mut client = Client::ready(&sink);
        assert_eq!(client.group(format!("{SENDER}{RECIPIENT}DATA\r\n"), 3), [250, 250, 354]);
        assert_eq!(client.ask(format!("x\r\n.\r\nRSET\r\n{SENDER}")).code, 250);
        assert!(client.is_silent());
        assert_eq!(deliver(&mut client, "y\r\n"), GOOD, "what comes later is taken");
        no_mistakes(&sink);
    }
}

#[test]
fn chasquid_has_a_hundred_recipients_and_three_errors() {
    let sink = like(Personality::Chasquid);
    let mut client = Client::ready(&sink);
    client.send(format!("{SENDER}{}", RECIPIENT.repeat(105)));
    let codes = client.rest();
    assert_eq!(codes[..101], [250; 101]);
    assert_eq!(codes[101..], [452, 452, 421]);
}

#[test]
fn go_smtp_runs_a_refused_chunk() {
    let sink = like(Personality::GoSmtp);
    let mut client = Client::ready(&sink);
    assert_eq!(client.group("BDAT 6 LAST\r\nNOOP\r\nRSET\r\n", 3), [502, 250, 250]);
    assert_eq!(client.group(transaction(&["b@example.net"], "x\r\n"), 4), [250; 4]);
    let body = "one\r\ntwo\r\nthree\r\nfour\r\nfive\r\nsix\r\n";
    client.send(transaction(&["reject-550@example.net"], body));
    assert_eq!(client.rest(), [250, 250, 550, 502, 500, 500, 500, 500, 500]);
    assert_eq!((sink.totals().messages, sink.totals().refused_chunks), (1, 2));
    no_mistakes(&sink);
}

#[test]
fn go_smtp_keeps_the_old_recipients() {
    let sink = like(Personality::GoSmtp);
    let mut client = Client::ready(&sink);
    let flight =
        format!("{SENDER}{RECIPIENT}MAIL FROM:<c@example.org>\r\nRCPT TO:<d@example.net>\r\nBDAT 3 LAST\r\nx\r\n");
    assert_eq!(client.group(flight, 5), [250; 5]);
    let message = sink.messages().remove(0);
    let recipients: Vec<&str> = message.recipients.iter().map(|to| to.address.as_str()).collect();
    assert_eq!((message.sender.as_str(), recipients), ("c@example.org", vec!["b@example.net", "d@example.net"]));
    assert_eq!(mistakes(&sink).len(), 1);
}

#[test]
fn one_command_at_a_time_or_none() {
    let sink = like(Personality::OneCommand);
    let mut client = Client::ready(&sink);
    client.send(format!("{SENDER}{RECIPIENT}DATA\r\n"));
    assert_eq!(client.rest(), [500]);
    let mut client = Client::ready(&sink);
    let codes = [SENDER, RECIPIENT, "DATA\r\n"].map(|step| client.ask(step).code);
    assert_eq!(codes, [250, 250, 354]);
    client.send("x\r\n.\r\nQUIT\r\n");
    assert_eq!(client.rest(), [500], "in the place of the reply to the dot");
    assert_eq!(sink.totals().messages, 0, "not stored");
    assert_eq!(sink.totals().protocol_mistakes, 2);
}

#[test]
fn postfix_closes_after_twenty_errors_that_no_message_paid_for() {
    let sink = like(Personality::PostfixErrors);
    let mut client = Client::ready(&sink);
    for _ in 0..2 {
        let nineteen = REFUSED.repeat(19);
        assert_eq!(client.group(format!("RSET\r\n{SENDER}{nineteen}"), 21)[2..], [550; 19]);
        assert_eq!(client.group(format!("{RECIPIENT}BDAT 3 LAST\r\nx\r\n"), 2), [250, 250]);
    }
    assert_eq!(client.ask(SENDER).code, 250);
    for _ in 0..19 {
        assert_eq!(client.ask(REFUSED).code, 550);
    }
    assert_eq!(client.group(REFUSED, 2), [550, 421]);
    assert!(client.is_closed());
    no_mistakes(&sink);
}

#[test]
fn postfix_resets_and_destroys_replies_of_a_client_that_sent_ahead() {
    let sink = like(Personality::PostfixErrors);
    let mut client = Client::ready(&sink);
    let good = transaction(&["b@example.net"], "x\r\n").repeat(5);
    let refused = transaction(&["reject-550@example.net"], "x\r\n").repeat(30);
    client.send(format!("{good}{refused}"));
    let codes = client.rest();
    assert!(client.was_reset);
    assert!(codes.len() < 20 + 41, "{} replies came", codes.len());
    assert!(sink.wait_until_idle(Duration::from_secs(20)));
    let totals = sink.totals();
    assert_eq!((totals.messages, totals.refused_chunks, totals.in_flight), (5, 10, 0));
}

#[test]
fn exim_wants_resets_to_be_paid_for() {
    let sink = like(Personality::EximResets);
    let mut client = Client::ready(&sink);
    for _ in 0..3 {
        assert_eq!(client.group(transaction(&["b@example.net"], "x\r\n"), 4), [250; 4]);
    }
    assert_eq!(client.group("RSET\r\n".repeat(10), 10), [250; 10], "one is paid for; the first of all was not");
    client.send("RSET\r\n".repeat(2));
    assert_eq!(client.rest(), [554]);
    assert!(client.was_reset);
}

#[test]
fn the_third_error_ends_the_connection() {
    let sink = like(Personality::ThirdError);
    let mut client = Client::ready(&sink);
    client.send(format!("{SENDER}{}RSET\r\n", REFUSED.repeat(3)));
    assert_eq!(client.rest(), [250, 550, 550, 421]);
}

#[test]
fn messages_of_a_connection_are_limited() {
    let sink = like(Personality::Hundred);
    let mut client = Client::ready(&sink);
    for _ in 0..100 {
        assert_eq!(client.group(transaction(&["b@example.net"], "x\r\n"), 4), [250; 4]);
    }
    assert_eq!(client.group(format!("RSET\r\n{SENDER}RSET\r\nQUIT\r\n"), 4), [250, 452, 250, 221]);
    let sink = like(Personality::Max421);
    let mut client = Client::ready(&sink);
    client.send(transaction(&["b@example.net"], "x\r\n").repeat(12));
    assert_eq!(client.rest(), [vec![250; 41], vec![421]].concat());
    assert_eq!(sink.totals().messages, 10);
    let sink = start(SinkOptions { max_messages: Some(1), ..SinkOptions::default() });
    let mut client = Client::ready(&sink);
    assert_eq!(
        client.group(transaction(&["b@example.net"], "x\r\n").repeat(2), 8),
        [250, 250, 250, 250, 250, 452, 503, 503]
    );
    no_mistakes(&sink);
}

#[test]
fn nagle_answers_a_group_in_full() {
    // That each reply is a write of its own is tested beside the outbox; what the kernel makes of them is its own
    // affair.
    let sink = like(Personality::Nagle);
    let mut client = Client::ready(&sink);
    assert_eq!(client.group(transaction(&["b@example.net"], "x\r\n").repeat(3), 12), [250; 12]);
    assert_eq!(sink.totals().messages, 3);
    no_mistakes(&sink);
}

#[test]
fn some_know_no_ehlo_or_noop_or_bdat() {
    let sink = like(Personality::NoEhlo);
    let mut client = Client::connect(&sink);
    assert_eq!(client.reply().code, 220);
    assert_eq!([client.ask("EHLO x\r\n").code, client.ask("HELO x\r\n").code], [502, 250]);
    let sink = like(Personality::NoNoop);
    assert_eq!(Client::ready(&sink).ask("NOOP\r\n").code, 500);
    let sink = like(Personality::Bdat500);
    let mut client = Client::ready(&sink);
    assert_eq!(client.group("BDAT 6 LAST\r\nNOOP\r\nRSET\r\n", 3), [500, 250, 250]);
    assert_eq!(client.group(transaction(&["b@example.net"], "x\r\ny\r\n"), 6), [250, 250, 250, 500, 500, 500]);
    assert_eq!(deliver(&mut client, "x\r\n"), GOOD);
    no_mistakes(&sink);
}

#[test]
fn limits_are_offered_and_kept() {
    let sink = like(Personality::Limits);
    let mut client = Client::connect(&sink);
    assert_eq!(client.reply().code, 220);
    assert!(client.ask("EHLO x\r\n").lines.contains(&"LIMITS MAILMAX=20 RCPTMAX=50".to_owned()));
    let codes = client.group(format!("{SENDER}{}", RECIPIENT.repeat(51)), 52);
    assert_eq!((codes[50], codes[51]), (250, 452));
    for _ in 1..20 {
        assert_eq!(client.group(format!("RSET\r\n{SENDER}"), 2), [250, 250]);
    }
    client.send(format!("RSET\r\n{SENDER}"));
    assert_eq!(client.rest(), [250, 421]);
    assert_eq!(mistakes(&sink).len(), 2);
}

#[test]
fn some_will_not_talk() {
    let sink = like(Personality::Busy);
    assert_eq!(Client::connect(&sink).rest(), [421]);
    let mut sink = like(Personality::Mute);
    let mut client = Client::connect(&sink);
    assert!(client.is_silent());
    sink.stop();
    assert!(client.is_closed());
}
