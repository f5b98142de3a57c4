//! Lanes on a narrow line: an emulated link with a real Postfix at its far end.

use crate::needs::{Need, met};
use crate::place::wait;
use crate::postfix::{Postfix, Setup};
use pipelane::config::keys::set_next_hop;
use pipelane::config::{Config, NextHopSettings};
use pipelane::engine::Engine;
use pipelane::lane::{Inbox, Ticket};
use pipelane::mail::{Address, Content, Envelope, Message, NextHop};
use pipelane_link::{Direction, Link, LinkOptions};
use std::sync::Arc;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(120);
const LARGE: usize = 600_000;

/// An engine with these settings for every next hop.
fn engine(settings: &[(&str, &str)]) -> Arc<Engine> {
    let mut of_hop = NextHopSettings::default();
    settings.iter().for_each(|(key, value)| set_next_hop(&mut of_hop, key, value).expect(key));
    Engine::new(Arc::new(Config { defaults: Arc::new(of_hop), ..Config::default() }))
}

fn submit(engine: &Engine, hop: &NextHop, size: usize) -> Inbox {
    let address = |text: &str| Address::parse(text).expect("an address");
    let content = format!("Subject: narrow\r\n\r\n{}", "0123456789abcdef\r\n".repeat(size / 18));
    let message = Message {
        queue_id: None,
        next_hop: hop.clone(),
        envelope: Envelope::new(address("sender@client.test"), vec![address("r@example.test")]).into(),
        content: Some(Content::from_bytes(content.as_bytes()).expect("content")),
    };
    let room = engine.room(hop, message.size(), LONG).expect("room");
    let (ticket, inbox) = Ticket::issue(1);
    engine.submit(message, room, ticket);
    inbox
}

fn delivered(inboxes: &[Inbox]) {
    for inbox in inboxes {
        let report = inbox.wait(LONG).expect("a report");
        assert!(report.outcomes[0].is_delivered(), "{report:?}");
    }
}

/// Whether so many small messages, submitted while large ones are under way, are all delivered before the last large
/// one.
fn small_overtake(link: &Link, settings: &[(&str, &str)]) -> bool {
    let postfix = Postfix::start(Setup::discarding().at(link.far()));
    let hop: NextHop = postfix.next_hop().parse().expect("a next hop");
    let overtake = || {
        let engine = engine(settings);
        let large: Vec<Inbox> = (0..4).map(|_| submit(&engine, &hop, LARGE)).collect();
        let under_way = || engine.status().channels.iter().flat_map(|c| &c.lanes).any(|lane| lane.messages > 0);
        wait("the first large message", LONG, || postfix.trouble(), || under_way().then_some(()));
        let small: Vec<Inbox> = (0..20).map(|_| submit(&engine, &hop, 2000)).collect();
        delivered(&small);
        let last = large.last().expect("four").take();
        assert!(last.as_ref().is_none_or(|report| report.outcomes[0].is_delivered()), "{last:?}");
        delivered(&large[..3]);
        last.is_none() && large[3].wait(LONG).expect("a report").outcomes[0].is_delivered()
    };
    link.near().run(overtake).expect("the near namespace")
}

/// A line on which a large message takes more than two seconds.
fn narrow() -> Option<Link> {
    let line = Direction { rate: Some(2_000_000), queue: 75_000 };
    if !met(&[Need::Postfix, Need::Link]) {
        return None;
    }
    Some(Link::start(LinkOptions::symmetric(Duration::from_millis(50), line)).expect("a link"))
}

#[test]
fn small_mail_is_through_before_large_mail_that_was_under_way() {
    let Some(link) = narrow() else { return };
    assert!(small_overtake(&link, &[]));
}

#[test]
fn a_single_queue_has_no_such_order() {
    let Some(link) = narrow() else { return };
    assert!(!small_overtake(&link, &[("order", "unsorted"), ("trust", "stream")]));
}
