//! Octets without sense, and sensible ones with errors in them: never a panic, never an answer to another question.

use super::super::message::{Heard, Question};
use super::server::{A, Asked, CNAME, MX, NXDOMAIN, Reply, SOA, TXT};
use super::*;
use proptest::prelude::*;

const NAMES: [&str; 4] = ["a.test", "b.test", "mx.a.test", "."];

fn question(asked: &Name) -> Question<'_> {
    Question { id: 0x1234, name: asked, of: Type::Mx, edns: true }
}

fn asked(name: &Name) -> Asked {
    let octets = question(name).octets().expect("it fits");
    let from = "127.0.0.1:9".parse().expect("an address");
    Asked { octets, name: name.to_string(), rtype: MX, is_tcp: false, from }
}

fn record() -> impl Strategy<Value = (usize, u16, u32, usize)> {
    (0..NAMES.len(), prop_oneof![Just(A), Just(MX), Just(CNAME), Just(SOA)], any::<u32>(), 0..NAMES.len())
}

/// A reply that could come, with any records.
fn reply(records: &[(usize, u16, u32, usize)], flags: u16) -> Vec<u8> {
    let name = name("a.test");
    let mut reply = Reply::to(&asked(&name));
    reply.flags |= flags;
    for (at, (owner, rtype, ttl, target)) in records.iter().enumerate() {
        let data = match *rtype {
            A => "192.0.2.1".to_owned(),
            MX => format!("{} {}", ttl % 65536, NAMES[*target]),
            SOA => ttl.to_string(),
            _ => NAMES[*target].to_owned(),
        };
        reply = match at % 3 {
            0 => reply.authority(NAMES[*owner], *rtype, *ttl, &data),
            _ => reply.record(NAMES[*owner], *rtype, *ttl, &data),
        };
    }
    reply.octets()
}

/// A reply with one MX record whose owner is a pointer to these octets, which follow the question.
fn pointing(octets: &[u8]) -> Option<Heard> {
    let name = name("a.test");
    let mut reply = Reply::to(&asked(&name)).octets();
    reply[7] = 1;
    reply.extend(octets);
    question(&name).read(&reply)
}

#[test]
fn names_that_point_in_circles_are_no_names() {
    // The record begins at octet 24. An honest pointer is one to the question's name at 12.
    let rest = |data: &[u8]| [&[0, 15, 0, 1, 0, 0, 0, 60, 0, 2 + data.len() as u8, 0, 10][..], data].concat();
    assert!(matches!(pointing(&[&[0xc0, 12][..], &rest(&[0xc0, 12])].concat()), Some(Heard::Answer(_))));
    for owner in [[0xc0, 24], [0xc0, 26], [0xff, 0xff], [0x80, 12]] {
        assert_eq!(pointing(&[&owner[..], &rest(&[0xc0, 12])].concat()), None, "{owner:?}");
    }
    // The exchanger's name, at 38: itself, with a label before a way back to it, behind its end, and cut.
    for data in [&[0xc0, 38][..], &[1, b'a', 0xc0, 38], &[0xc0, 60], &[5, b'a'], &[0xc0]] {
        assert_eq!(pointing(&[&[0xc0, 12][..], &rest(data)].concat()), None, "{data:?}");
    }
}

#[test]
fn chains_of_pointers_are_bounded() {
    let name = name("a.test");
    let mut reply = Reply::to(&asked(&name)).octets();
    // Pointers, each to the one before it, hidden in a record of an unknown type; then names that begin at the last.
    let begin = reply.len();
    reply.extend([0xc0, 12, 0xff, 0, 0, 1, 0, 0, 0, 0]);
    let pointers = 8000;
    reply.extend((2 * pointers as u16).to_be_bytes());
    let mut last = 12u16;
    for _ in 0..pointers {
        let here = reply.len() as u16;
        reply.extend((0xc000 | last).to_be_bytes());
        last = here;
    }
    assert!(begin + 2 * pointers < 0x4000, "pointers reach that far");
    let records = 4000;
    for _ in 0..records {
        reply.extend((0xc000 | last).to_be_bytes());
        reply.extend([0, 15, 0, 1, 0, 0, 0, 60, 0, 2, 0, 0]);
    }
    reply[6..8].copy_from_slice(&(1 + records as u16).to_be_bytes());
    let begun = Instant::now();
    assert_eq!(question(&name).read(&reply), None);
    assert!(begun.elapsed() < LONG / 2);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_octets_are_survived(octets in proptest::collection::vec(any::<u8>(), 0..600)) {
        let name = name("a.test");
        let _ = question(&name).read(&octets);
        // With the beginning of a reply, so that they are looked at.
        let head = Reply::to(&asked(&name));
        let mut octets = [head.octets(), octets].concat();
        for count in [7, 9, 11] {
            octets[count] = 20;
            let _ = question(&name).read(&octets);
        }
    }

    #[test]
    fn any_records_are_survived_and_an_answer_keeps_its_bounds(
        records in proptest::collection::vec(record(), 0..40),
        flags in prop_oneof![Just(0), Just(NXDOMAIN), Just(0x0400), Just(0x0020)],
    ) {
        let name = name("a.test");
        let Some(Heard::Answer(answer)) = question(&name).read(&reply(&records, flags)) else { return Ok(()) };
        prop_assert!(answer.lifetime <= Duration::from_secs(24 * 3600));
        prop_assert_eq!(answer.secure, flags == 0x0020);
        if let Content::Records(records) = &answer.content {
            prop_assert!(!records.is_empty());
            let are_mx = records.iter().all(|record| matches!(record, Record::Mx { .. }));
            prop_assert!(are_mx);
        }
    }

    #[test]
    fn a_reply_with_an_error_in_it_is_survived(
        records in proptest::collection::vec(record(), 0..20),
        errors in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let name = name("a.test");
        let mut octets = reply(&records, 0);
        for (at, octet) in errors {
            let at = at.index(octets.len());
            octets[at] = octet;
        }
        let _ = question(&name).read(&octets);
        octets.truncate(cut.index(octets.len()));
        let _ = question(&name).read(&octets);
    }

    #[test]
    fn a_name_is_kept_on_its_way_over_the_wire(text in "[a-zA-Z0-9_-]{1,20}(\\.[a-zA-Z0-9_-]{1,20}){0,5}") {
        let name = name(&text);
        prop_assert_eq!(Name::of_wire(&name.to_wire().expect("it fits")), name);
    }

    #[test]
    fn any_text_is_a_name_or_not(text in "\\PC{0,300}") {
        if let Ok(name) = Name::parse(&text) {
            prop_assert!(name.to_wire().is_some() && name.is_host());
        }
        let _ = Settings::parse(&text);
        let _ = text.parse::<Server>();
    }
}

/// What a TXT record with these octets as its data comes to.
fn of_text(data: &[u8]) -> Option<Heard> {
    let name = name("a.test");
    let question = Question { id: 0x1234, name: &name, of: Type::Txt, edns: true };
    let octets = question.octets().expect("it fits");
    let from = "127.0.0.1:9".parse().expect("an address");
    let asked = Asked { octets, name: name.to_string(), rtype: TXT, is_tcp: false, from };
    let mut reply = Reply::to(&asked).octets();
    reply[7] = 1;
    reply.extend([0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 60]);
    reply.extend((data.len() as u16).to_be_bytes());
    reply.extend(data);
    question.read(&reply)
}

#[test]
fn the_strings_of_a_text_are_joined_and_what_is_too_long_is_cut() {
    let text = |data: &[u8]| match of_text(data) {
        Some(Heard::Answer(answer)) => match answer.records() {
            [Record::Txt(text)] => text.to_vec(),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    assert_eq!(text(b"\x05v=STS\x00\x03v1;"), b"v=STSv1;");
    let long = [&[255][..], &[b'a'; 255]].concat().repeat(200);
    assert_eq!(text(&long), [b'a'; TEXT]);
    // A string that is longer than the record.
    assert_eq!(of_text(b"\x09v=STSv1;"), None);
}
