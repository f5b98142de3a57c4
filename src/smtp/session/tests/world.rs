//! What a run consists of: messages, and for each the server's decisions.

use crate::mail::{Address, Content, Envelope};
use crate::smtp::session::Transaction;
use proptest::collection::vec;
use proptest::prelude::*;
use std::sync::Arc;

/// One message and what the server says to its parts.
#[derive(Debug, Clone)]
pub struct Plan {
    pub mail: u16,
    pub recipients: Vec<u16>,
    /// The reply to DATA: 354, or a refusal (of BDAT too).
    pub data: u16,
    /// The reply to DATA or BDAT when no recipient was accepted.
    pub void: u16,
    /// The reply to the end of the content.
    pub end: u16,
    /// The same in LMTP: for each recipient, if it was accepted.
    pub each: Vec<u16>,
    /// Octets of content, about; `None` asks about the envelope only.
    pub size: Option<usize>,
}

impl Plan {
    /// A message that is accepted whole.
    pub fn good(recipients: usize, size: usize) -> Plan {
        let all = vec![250; recipients];
        Plan { mail: 250, recipients: all.clone(), data: 354, void: 554, end: 250, each: all, size: Some(size) }
    }
}

/// A message of the world: its number is in each of its addresses and in its content.
pub fn sender(message: usize) -> String {
    format!("s{message}@a.test")
}

pub fn recipient(message: usize, place: usize) -> String {
    format!("r{message}-{place}@b.test")
}

/// Content that would do harm if any of it left its place.
pub fn content(message: usize, size: usize) -> Vec<u8> {
    let mut content = Vec::new();
    let lines = [".", "..", "QUIT", ".\u{e9}", "RSET", "BDAT 3 LAST", "MAIL FROM:<x@x.test>", "DATA", "", "354 go"];
    for line in lines.iter().cycle() {
        if content.len() >= size {
            break;
        }
        content.extend_from_slice(
            format!("{line}{}\r\n", if line.is_empty() { message.to_string() } else { String::new() }).as_bytes(),
        );
    }
    content
}

/// The transaction that sends it.
pub fn transaction(message: usize, plan: &Plan, content: Option<&[u8]>) -> Transaction {
    let parse = |text: String| Address::parse(&text).expect("an address");
    let recipients: Vec<Address> = (0..plan.recipients.len()).map(|place| parse(recipient(message, place))).collect();
    Transaction {
        recipients: (0..recipients.len()).collect(),
        envelope: Arc::new(Envelope::new(parse(sender(message)), recipients)),
        content: content.map(|octets| Content::from_bytes(octets).expect("content")),
    }
}

/// Plans of an honest server, which refuses now and then.
pub fn plans(most: usize) -> impl Strategy<Value = Vec<Plan>> {
    let mail = prop_oneof![8 => Just(250), 1 => Just(553), 1 => Just(451)];
    let rcpt = prop_oneof![5 => Just(250), 1 => Just(251), 1 => Just(550), 1 => Just(450)];
    let data = prop_oneof![9 => Just(354), 1 => Just(451), 1 => Just(554)];
    let void = prop_oneof![1 => Just(503), 2 => Just(554), 1 => Just(354)];
    let end = || prop_oneof![5 => Just(250), 1 => Just(554), 1 => Just(451)];
    let size =
        prop_oneof![1 => Just(None), 1 => Just(Some(0)), 16 => (1usize..400).prop_map(Some), 1 => Just(Some(40_000))];
    let plan = (mail, vec(rcpt, 1..5), data, void, end(), vec(end(), 4), size);
    vec(plan.prop_map(to_plan), 1..most)
}

fn to_plan(
    (mail, recipients, data, void, end, each, size): (u16, Vec<u16>, u16, u16, u16, Vec<u16>, Option<usize>),
) -> Plan {
    Plan { mail, recipients, data, void, end, each, size }
}

/// Plans of a server that says anything to anything.
pub fn wild_plans() -> impl Strategy<Value = Vec<Plan>> {
    let code = || {
        proptest::sample::select(vec![250, 250, 250, 250, 354, 354, 354, 220, 421, 450, 452, 500, 502, 503, 550, 554])
    };
    let size = proptest::option::of(0usize..300);
    vec((code(), vec(code(), 1..4), code(), code(), code(), vec(code(), 3), size).prop_map(to_plan), 1..8)
}

/// Chance that can be repeated.
#[derive(Debug, Clone)]
pub struct Dice(pub u64);

impl Dice {
    /// 1 to `sides`.
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        1 + (self.0 >> 33) as usize % sides.max(1)
    }
}
