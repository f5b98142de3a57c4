//! A status as text for people.
//!
//! Everything in it comes from another process, and some of that from servers: it is made plain, and cut short.

use super::amounts::{bound, octets, time};
use crate::cli::columns::columns;
use crate::cli::plain::plain;
use pipelane::engine::EngineStatus;
use pipelane::lane::status::{BinStatus, ChannelStatus, LaneStatus};
use pipelane::mail::NextHop;
use std::fmt::Write as _;

/// The most characters of a server's words.
const MAX_WORDS: usize = 200;
/// The most characters of a name.
const MAX_NAME: usize = 100;

/// The whole of it, or of these next hops.
pub fn listing(status: &EngineStatus, next_hops: &[NextHop]) -> String {
    let EngineStatus { version, process, uptime, counts, channels } = status;
    let version = plain(version, MAX_NAME);
    let mut text = format!("pipelane {version}, process {process}, up {}\n{counts}\n", time(*uptime));
    let is_wanted = |one: &&ChannelStatus| next_hops.is_empty() || next_hops.iter().any(|hop| is_of(one, hop));
    for one in channels.iter().filter(is_wanted) {
        text.push('\n');
        text.push_str(&channel(one));
    }
    for hop in next_hops.iter().filter(|hop| !channels.iter().any(|one| is_of(one, hop))) {
        let _ = write!(text, "\n{hop}: not in use\n");
    }
    if channels.is_empty() && next_hops.is_empty() {
        text.push_str("\nno next hop is in use\n");
    }
    text
}

fn is_of(channel: &ChannelStatus, next_hop: &NextHop) -> bool {
    channel.next_hop == next_hop.as_str()
}

fn channel(channel: &ChannelStatus) -> String {
    let ChannelStatus { next_hop, passed, order, trouble, max_connections, bins, lanes } = channel;
    let (mut next_hop, order) = (plain(next_hop, MAX_NAME), plain(order, MAX_NAME));
    if !passed.is_empty() {
        let _ = write!(next_hop, " (put off by {})", plain(&passed.join(", "), MAX_NAME));
    }
    let waiting = bins.iter().fold(0, |sum: usize, bin| sum.saturating_add(bin.waiting));
    let waiting_octets = bins.iter().fold(0, |sum: u64, bin| sum.saturating_add(bin.waiting_octets));
    let connected = lanes.iter().filter(|lane| lane.server.is_some()).count();
    let mut text = format!(
        "{next_hop}: {order}, {waiting} waiting ({} octets), {connected} of {max_connections} connections\n",
        octets(waiting_octets)
    );
    if let Some(trouble) = trouble {
        let _ = writeln!(text, "  trouble: {}", plain(trouble, MAX_WORDS));
    }
    let mut rows = vec![["bin", "waiting", "octets", "oldest", "unanswered"].map(str::to_owned)];
    rows.extend(bins.iter().map(bin_row));
    text.push_str(&indented(&columns(&rows)));
    if !lanes.is_empty() {
        let heads = ["lane", "bins", "state", "level", "window", "octets", "messages", "octets done", "in doubt"];
        let last = ["oldest", "server", "last trouble"];
        let mut rows =
            vec![std::array::from_fn(|n| heads.iter().chain(&last).nth(n).map_or("", |head| head).to_owned())];
        rows.extend(lanes.iter().map(|lane| lane_row(lane, bins)));
        text.push_str(&indented(&columns(&rows)));
    }
    text
}

fn bin_row(bin: &BinStatus) -> [String; 5] {
    let BinStatus { up_to, waiting, waiting_octets, oldest_wait, unanswered } = bin;
    let oldest = oldest_wait.map_or_else(none, time);
    [bound(*up_to), waiting.to_string(), octets(*waiting_octets), oldest, unanswered.to_string()]
}

fn lane_row(lane: &LaneStatus, bins: &[BinStatus]) -> [String; 12] {
    let optional = |text: &Option<String>, most| text.as_deref().map_or_else(none, |text| plain(text, most));
    [
        lane.number.to_string(),
        lane.bins.map_or_else(none, |(first, last)| span(first, last, bins)),
        lane.state.name().to_owned(),
        optional(&lane.level, MAX_NAME),
        format!("{}/{}", lane.window_messages, lane.window_messages_limit),
        format!("{}/{}", octets(lane.window_octets), octets(lane.window_octets_limit)),
        lane.messages.to_string(),
        octets(lane.octets),
        lane.in_doubt.to_string(),
        lane.oldest.map_or_else(none, time),
        optional(&lane.server, MAX_NAME),
        optional(&lane.last_trouble, MAX_WORDS),
    ]
}

/// The bounds of a lane's own size classes.
fn span(first: usize, last: usize, bins: &[BinStatus]) -> String {
    let name = |n: usize| bins.get(n).map_or_else(|| format!("#{n}"), |bin| bound(bin.up_to));
    if first == last { name(first) } else { format!("{}..{}", name(first), name(last)) }
}

/// What stands where nothing is.
fn none() -> String {
    "-".to_owned()
}

fn indented(table: &str) -> String {
    table.lines().map(|line| format!("  {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipelane::engine::Engine;
    use pipelane::lane::status::LaneState;
    use std::sync::Arc;

    fn status(channels: Vec<ChannelStatus>) -> EngineStatus {
        let empty = Engine::new(Arc::default()).status();
        EngineStatus { version: "1.2.3".into(), process: 42, uptime: 3725.0, channels, ..empty }
    }

    fn bin(up_to: Option<u64>, waiting: usize) -> BinStatus {
        let oldest_wait = (waiting > 0).then_some(1.25);
        BinStatus { up_to, waiting, waiting_octets: 1024 * waiting as u64, oldest_wait, unanswered: 2 }
    }

    fn lane(number: usize, state: LaneState) -> LaneStatus {
        LaneStatus {
            number,
            bins: Some((0, 0)),
            state,
            level: Some("stream".into()),
            server: Some("mx[192.0.2.1]:25".into()),
            window_messages: 12,
            window_messages_limit: 64,
            window_octets: 100 << 10,
            window_octets_limit: 1 << 20,
            messages: 1200,
            octets: 40 << 20,
            in_doubt: 1,
            oldest: Some(0.3),
            last_trouble: None,
        }
    }

    fn unconnected(number: usize, state: LaneState) -> LaneStatus {
        let (level, server, oldest, bins) = (None, None, None, None);
        LaneStatus { bins, level, server, oldest, window_messages: 0, window_octets: 0, ..lane(number, state) }
    }

    fn channel(lanes: Vec<LaneStatus>) -> ChannelStatus {
        ChannelStatus {
            next_hop: "[relay.example.net]:25".into(),
            passed: Vec::new(),
            order: "sorted".into(),
            trouble: None,
            max_connections: 4,
            bins: vec![bin(Some(4096), 120), bin(Some(65_536), 0), bin(None, 3)],
            lanes,
        }
    }

    #[test]
    fn bins_and_lanes_stand_in_tables() {
        let wide = LaneStatus { bins: Some((1, 2)), ..lane(2, LaneState::Yielding) };
        let gone = LaneStatus { last_trouble: Some("connection lost".into()), ..unconnected(3, LaneState::Connecting) };
        let text = listing(&status(vec![channel(vec![lane(1, LaneState::Busy), wide, gone])]), &[]);
        let expected = "\
pipelane 1.2.3, process 42, up 1h02m
messages=0 connections=0 redispatched=0 recipients: delivered=0 deferred=0 failed=0 in_doubt=0

[relay.example.net]:25: sorted, 123 waiting (123K octets), 2 of 4 connections
  bin    waiting  octets  oldest  unanswered
  <=4K   120      120K    1.2s    2
  <=64K  0        0       -       2
  any    3        3072    1.2s    2
  lane  bins        state       level   window  octets      messages  octets done  in doubt  oldest  server            last trouble
  1     <=4K        busy        stream  12/64   100K/1024K  1200      40M          1         0.3s    mx[192.0.2.1]:25  -
  2     <=64K..any  yielding    stream  12/64   100K/1024K  1200      40M          1         0.3s    mx[192.0.2.1]:25  -
  3     -           connecting  -       0/64    0/1024K     1200      40M          1         -       -                 connection lost
";
        assert_eq!(text, expected);
    }

    #[test]
    fn every_state_has_its_name() {
        let states = [
            LaneState::Resting,
            LaneState::Connecting,
            LaneState::Idle,
            LaneState::Busy,
            LaneState::Yielding,
            LaneState::Leaving,
        ];
        let lanes = states.iter().enumerate().map(|(n, state)| unconnected(n + 1, *state)).collect();
        let text = listing(&status(vec![channel(lanes)]), &[]);
        for (n, state) in states.iter().enumerate() {
            let beginning = format!("  {}     -     {}", n + 1, state.name());
            assert!(text.lines().any(|line| line.starts_with(&beginning)), "{beginning:?} in\n{text}");
        }
    }

    #[test]
    fn nothing_is_told_as_nothing() {
        assert!(listing(&status(Vec::new()), &[]).ends_with("\n\nno next hop is in use\n"));
        let empty = ChannelStatus { bins: Vec::new(), ..channel(Vec::new()) };
        assert!(listing(&status(vec![empty]), &[]).contains("25: sorted, 0 waiting (0 octets), 0 of 4 connections\n"));
    }

    #[test]
    fn only_the_next_hops_asked_for_are_shown() {
        let other = ChannelStatus { next_hop: "[other]:25".into(), ..channel(Vec::new()) };
        let hops = ["[Other]:25", "[third]:25"].map(|hop| hop.parse().expect("a next hop"));
        let text = listing(&status(vec![channel(Vec::new()), other]), &hops);
        assert!(text.contains("\n[other]:25: sorted") && text.ends_with("\n[third]:25: not in use\n"), "{text}");
        assert!(!text.contains("relay.example.net"), "{text}");
    }

    #[test]
    fn hostile_and_endless_texts_and_numbers_do_no_harm() {
        let hostile = format!("\x1b]0;owned\x07\u{9b}2J\u{202e}\r\n{}", "x".repeat(1 << 20));
        let some = || Some(hostile.clone());
        let worst = LaneStatus {
            bins: Some((7, usize::MAX)),
            level: some(),
            server: some(),
            last_trouble: some(),
            oldest: Some(-1e300),
            octets: u64::MAX,
            ..lane(usize::MAX, LaneState::Idle)
        };
        let mut channel = channel(vec![worst]);
        channel.bins = vec![bin(Some(u64::MAX), 1), bin(Some(0), 1)];
        channel.bins.iter_mut().for_each(|bin| (bin.waiting, bin.waiting_octets) = (usize::MAX, u64::MAX));
        (channel.next_hop, channel.order, channel.trouble) = (hostile.clone(), hostile.clone(), some());
        let status = EngineStatus { version: hostile.clone(), uptime: f64::MAX, ..status(vec![channel]) };
        let text = listing(&status, &[]);
        assert!(text.len() < 10_000, "{}", text.len());
        assert!(text.chars().all(|c| c == '\n' || (c.is_ascii() && !c.is_ascii_control())), "{text:?}");
        assert!(text.contains("  trouble: \\u{1b}]0;owned\\u{7}\\u{9b}2J\\u{202e}\\u{d}\\u{a}xxx"), "{text}");
    }
}
