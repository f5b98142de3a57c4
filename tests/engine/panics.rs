//! A bug inside a lane: what it carried is reported, honestly, and the lane goes on.

use crate::place::*;
use pipelane::config::NextHopSettings;
use pipelane::mail::Verdict;
use pipelane::sink::SinkOptions;
use std::time::Duration;

#[test]
fn a_panic_after_a_message_was_sent_puts_it_in_doubt_and_the_lane_goes_on() {
    let sink = sink();
    let engine = engine(lockstep());
    let hop = hop(sink.address());
    // Its log line panics, when the server has taken it and before it is reported.
    let id = format!("q-{PANIC}");
    let inboxes: Vec<_> = ["before", &id, "behind", "last"]
        .into_iter()
        .map(|id| submit(&engine, message(&hop, id, "r@b.test", 100)))
        .collect();
    let verdicts = verdicts(&inboxes);
    use Verdict::{Delivered, InDoubt};
    assert_eq!(verdicts, [Delivered, InDoubt, Delivered, Delivered]);
    assert_eq!(arrived(&sink), ["before", &id, "behind", "last"]);
    drop(engine);
}

#[test]
fn a_panic_with_a_window_full_says_of_each_message_what_is_known() {
    let sink = sink_with(SinkOptions { latency: Duration::from_millis(100), ..SinkOptions::default() });
    let engine = engine(NextHopSettings { window_messages: 8, ..streaming() });
    let hop = hop(sink.address());
    let ids: Vec<String> = (0..40).map(|n| if n == 5 { format!("w5-{PANIC}") } else { format!("w{n}") }).collect();
    let inboxes: Vec<_> = ids.iter().map(|id| submit(&engine, message(&hop, id, "r@b.test", 100))).collect();
    let verdicts = verdicts(&inboxes);
    drop(engine);
    let there = arrived(&sink);
    for (id, verdict) in ids.iter().zip(&verdicts) {
        let copies = there.iter().filter(|other| *other == id).count();
        match verdict {
            Verdict::Delivered => assert_eq!(copies, 1, "{id}"),
            Verdict::Deferred => assert_eq!(copies, 0, "{id}"),
            Verdict::InDoubt => assert!(copies <= 1, "{id}"),
            Verdict::Failed => panic!("{id} failed"),
        }
    }
    assert_eq!(verdicts[5], Verdict::InDoubt);
    assert!(verdicts[20..].iter().all(|verdict| *verdict == Verdict::Delivered), "{verdicts:?}");
}

#[test]
fn a_panic_before_anything_was_sent_defers() {
    let sink = sink();
    let engine = engine(settings());
    let mut message = message(&hop(sink.address()), "early", "r@b.test", 100);
    // It is refused before it is sent, since the server takes no such size, and the line that says so panics.
    message.queue_id = Some(format!("early-{PANIC}"));
    message.content = Some(pipelane::mail::Content::from_bytes(&vec![b'x'; 65 << 20]).expect("content"));
    let inbox = submit(&engine, message);
    assert_eq!(verdict(&inbox), Verdict::Deferred);
    all_delivered(&submit_many(&engine, &hop(sink.address()), "ok", 3));
}
