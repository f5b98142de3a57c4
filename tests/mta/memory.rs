//! A message of 1 GB passes through `pipelane serve`, which stays small.

use crate::client::Client;
use crate::needs::{Need, announce, met};
use crate::pipelane::{Pipelane, Sink};

const GIGABYTE: usize = 1_000_000_000;
const LIMIT_KB: u64 = 64 * 1024;

#[test]
fn a_message_of_1_gb_needs_less_than_64_mb_of_memory() {
    if !met(&[Need::Large]) {
        return;
    }
    let sink = Sink::start();
    let pipelane = Pipelane::serve(sink.next_hop(), "trust = \"stream\"\nwindow_messages = 64");
    let mut client = Client::lmtp(&pipelane.socket());
    // About a quarter of the lines starts with a dot, which is doubled on the wire and undone behind it.
    let piece: Vec<u8> =
        ["..dots\r\n", "some text\r\n", &("x".repeat(998) + "\r\n"), "\r\n"].concat().repeat(1000).into();
    let pieces = GIGABYTE / piece.len() + 1;
    client.ask(&format!("MAIL FROM:<a@client.test> SIZE={}", pieces * piece.len()), "250");
    client.ask("RCPT TO:<b@example.test>", "250");
    client.ask("DATA", "354");
    for _ in 0..pieces {
        client.raw(&piece);
    }
    client.raw(b".\r\n");
    let reply = client.reply();
    assert!(reply.starts_with("250"), "the message was not delivered: {reply}");
    let peak = pipelane.peak_resident_kb();
    announce(&format!("1 GB through LMTP: at most {} MB resident", peak / 1024));
    assert!(peak < LIMIT_KB, "{peak} kB resident are over {LIMIT_KB} kB");
}
