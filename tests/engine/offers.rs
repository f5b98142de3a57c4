//! What a server offers, found out by connecting without a message.

use crate::host::{Host, yes};
use crate::place::*;
use pipelane::config::NextHopSettings;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

#[test]
fn a_door_that_asks_is_answered_by_a_connection_without_a_message() {
    let sink = sink();
    let engine = engine(settings());
    let offers = engine.offers(&hop(sink.address()), LONG).expect("it is up");
    assert!(offers.eight_bit_mime && offers.smtputf8 && offers.dsn);
    assert_eq!(offers.size, Some(64 << 20));
    assert!(offers.server.contains("127.0.0.1"), "{}", offers.server);
    assert!(sink.wait_until_idle(LONG), "the connection is closed when nothing comes");
    assert_eq!((sink.totals().connections, sink.totals().messages), (1, 0));
    assert_eq!(engine.offers(&hop(sink.address()), LONG).expect("known"), offers);
    assert_eq!(sink.totals().connections, 1, "what is known is not asked again");
}

#[test]
fn several_doors_wait_for_one_connection() {
    let (go, gone) = channel::<()>();
    let gone = Mutex::new(gone);
    let host = Host::start(move |_, mut peer| {
        let _ = gone.lock().expect("no panic").recv();
        peer.greet(&["8BITMIME", "SIZE 1000000"]);
        peer.serve(yes);
    });
    let engine = engine(NextHopSettings { lanes: vec![4], ..settings() });
    let hop = hop(host.address);
    std::thread::scope(|scope| {
        let doors: Vec<_> = (0..10).map(|_| scope.spawn(|| engine.offers(&hop, LONG))).collect();
        eventually("one of them has made a connection", || host.connections() > 0);
        let message = submit(&engine, message(&hop, "rides", "r@b.test", 100));
        drop(go);
        for door in doors {
            let offers = door.join().expect("ends").expect("offers");
            assert_eq!((offers.eight_bit_mime, offers.dsn, offers.size), (true, false, Some(1_000_000)));
        }
        all_delivered(&[message]);
    });
    assert_eq!(host.connections(), 1);
}

#[test]
fn the_wait_is_bounded_and_an_error_comes_as_soon_as_it_is_known() {
    let mute = Host::start(|_, mut peer| peer.wait_for_end());
    let engine = engine(settings());
    let begun = Instant::now();
    let late = engine.offers(&hop(mute.address), Duration::from_millis(200)).expect_err("it says nothing");
    assert_eq!(late.status.class, 4);
    assert!(begun.elapsed() < LONG / 2, "{:?}", begun.elapsed());
    let busy = Host::start(|_, mut peer| peer.say("421 4.3.2 busy\r\n"));
    let refused = engine.offers(&hop(busy.address), LONG * 2).expect_err("it refuses");
    assert_eq!(refused.code, Some(421));
    assert!(begun.elapsed() < LONG, "{:?}", begun.elapsed());
}

#[test]
fn a_change_is_seen_with_the_next_connection() {
    let host = Host::start(|number, mut peer| {
        peer.greet(if number == 0 { &["SIZE 10000"] } else { &["SIZE 20000", "8BITMIME"] });
        peer.serve(yes);
    });
    let engine = engine(settings());
    let hop = hop(host.address);
    assert_eq!(engine.offers(&hop, LONG).expect("up").size, Some(10_000));
    eventually("a second connection is made", || {
        all_delivered(&submit_many(&engine, &hop, "m", 1));
        std::thread::sleep(Duration::from_millis(150));
        host.connections() > 1
    });
    let offers = engine.offers(&hop, LONG).expect("up");
    assert_eq!((offers.size, offers.eight_bit_mime), (Some(20_000), true));
}

#[test]
fn a_connection_that_only_asked_and_is_closed_by_the_server_is_no_trouble() {
    let host = Host::start(|_, mut peer| peer.greet(&[]));
    let engine = engine(settings());
    for port in 0..5 {
        assert!(engine.offers(&hop(host.address), LONG).is_ok(), "{port}");
        assert!(engine.trouble(&hop(host.address)).is_none());
    }
}
