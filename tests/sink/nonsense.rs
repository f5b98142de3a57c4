//! Clients that send anything at all: the books still balance, and the next client is served.

use crate::raw::{Client, start};
use crate::{RECIPIENT, REFUSED, SENDER};
use pipelane::sink::{Personality, SinkOptions};
use proptest::prelude::*;
use std::time::Duration;

fn words() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => proptest::sample::select(vec![
            "RSET\r\n", SENDER, RECIPIENT, REFUSED, "DATA\r\n", "BDAT 7\r\n", "BDAT 7 LAST\r\n", "BDAT 0 LAST\r\n", "x\r\n.\r\n",
            ".\r\n", "..\r\n", "a\r\nb\r\n", "NOOP\r\n", "QUIT\r\n", "EHLO x\r\n", "HELO x\r\n", "BDAT x\r\n", "\n", "\r",
            "MAIL FROM:<dot-450@x>\r\n", "RCPT TO:<dropdot@x>\r\n", "RCPT TO:<eatdot@x>\r\n", "RCPT TO:<reset@x>\r\n",
            "MAIL FROM:<\"a\\\">@x> SIZE=1 SIZE=2\r\n",
        ]).prop_map(|word| word.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..20),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_books_balance(
        like in proptest::sample::select(Personality::ALL.to_vec()),
        flights in proptest::collection::vec(proptest::collection::vec(words(), 1..12), 1..4),
    ) {
        // Of no length, since it doubles with each error, and here nearly everything is one.
        let tarpit = Some(Duration::ZERO);
        let sink = start(SinkOptions { like: Some(like), tarpit, idle_timeout: Duration::from_millis(200), ..SinkOptions::default() });
        let mut client = Client::connect(&sink);
        client.try_send("EHLO x\r\n");
        for flight in flights {
            client.try_send(flight.concat());
        }
        client.try_half_close();
        let replies = client.rest().len();
        drop(client);
        prop_assert!(sink.wait_until_idle(Duration::from_secs(20)));
        let (totals, messages) = (sink.totals(), sink.messages());
        prop_assert_eq!(totals.messages, messages.len() as u64);
        prop_assert_eq!(totals.deliveries, messages.iter().map(|m| m.recipients.len() as u64).sum::<u64>());
        prop_assert_eq!(totals.content_octets, messages.iter().map(|m| m.content.len() as u64).sum::<u64>());
        prop_assert!(totals.deliveries <= totals.recipients_accepted);
        prop_assert_eq!((totals.in_flight, totals.open_connections), (0, 0));
        // The greeting, a reply to each command, one more to each content by DATA, and a parting word.
        prop_assert!(replies as u64 <= 2 + totals.commands + totals.messages + totals.contents_refused);
        let mut sink = sink;
        sink.stop();
        prop_assert_eq!(sink.totals().panics, 0);
    }
}
