//! One question, and all that can come back.

use super::server::{A, CNAME, NS, NXDOMAIN, Reply, SOA, TLSA, TXT, TestServer};
use super::*;
use std::net::{Ipv4Addr, UdpSocket};

#[test]
fn an_answer_has_records_a_lifetime_and_the_servers_word_on_dnssec() {
    let server = TestServer::saying(|reply| {
        let reply = reply.record("A.Test", A, 60, "192.0.2.1").record("a.test", A, 30, "192.0.2.2");
        reply.record("a.test", A, 30, "192.0.2.1").record("b.test", A, 1, "192.0.2.3").secure()
    });
    let answer = ask(&[&server]).expect("an answer");
    let expected = Answer {
        content: Content::Records(vec![address(1), address(2)]),
        name: name("a.test"),
        secure: true,
        lifetime: Duration::from_secs(60),
    };
    assert_eq!(Answer { lifetime: expected.lifetime, ..answer.clone() }, expected);
    assert!(answer.lifetime <= expected.lifetime);
    assert!(!ask(&[&good()]).expect("an answer").secure);
}

#[test]
fn an_alias_is_an_answer_where_it_is_asked_for() {
    let server = TestServer::start(|asked| {
        let reply = Reply::to(asked).record("a.test", CNAME, 60, "b.elsewhere");
        let whole = reply.clone().record("b.elsewhere", A, 60, "192.0.2.1");
        vec![if asked.rtype == CNAME { reply.secure() } else { whole }.octets()]
    });
    let resolver = resolver(&[&server]);
    let addresses = resolver.query(&name("a.test"), Type::A, &long()).expect("an answer");
    assert_eq!((addresses.name.as_str(), addresses.secure), ("b.elsewhere", false));
    let alias = resolver.query(&name("a.test"), Type::Cname, &long()).expect("an answer");
    assert_eq!((alias.name.as_str(), alias.secure), ("a.test", true));
    assert_eq!(alias.records(), [Record::Alias(name("b.elsewhere"))]);
    assert_eq!(is_proved_alias(&resolver, &name("a.test"), &long()), Ok(true));
    let other = TestServer::saying(|reply| reply.secure().soa());
    assert_eq!(is_proved_alias(&super::resolver(&[&other]), &name("a.test"), &long()), Ok(false));
}

#[test]
fn a_question_asks_for_recursion_dnssec_and_small_datagrams() {
    let server = good();
    records(ask(&[&server]));
    let asked = &server.asked()[0];
    assert_eq!((asked.name.as_str(), asked.rtype, asked.is_tcp), ("a.test", A, false));
    // RD and AD; one question, one additional record.
    assert_eq!(asked.octets[2..12], [0x01, 0x20, 0, 1, 0, 0, 0, 0, 0, 1]);
    // The root, type OPT, 1232 octets, no extended code, version 0, DO, no options.
    assert_eq!(asked.octets[12 + 8 + 4..], [0, 0, 41, 0x04, 0xd0, 0, 0, 0x80, 0, 0, 0]);
}

#[test]
fn identifiers_and_ports_differ() {
    let server = good();
    (0..8).for_each(|_| drop(records(ask(&[&server]))));
    let asked = server.asked();
    let differ = |key: &dyn Fn(&super::server::Asked) -> u32| {
        asked.iter().map(key).collect::<std::collections::HashSet<_>>().len()
    };
    // By chance two may be equal; all of eight are so never.
    assert!(differ(&|asked| u16::from_be_bytes([asked.octets[0], asked.octets[1]]).into()) > 4);
    assert!(differ(&|asked| asked.from.port().into()) > 4);
}

#[test]
fn what_does_not_belong_to_the_question_is_passed_over() {
    let server = TestServer::start(|asked| {
        let wrong = || Reply::to(asked).record("a.test", A, 60, "192.0.2.66");
        let (mut id, mut question, mut kind, mut class) = (wrong(), wrong(), wrong(), wrong());
        id.id[0] ^= 1;
        question.question = Some([&super::server::wire("b.test")[..], &[0, 1, 0, 1]].concat());
        kind.question = Some([&super::server::wire("a.test")[..], &[0, 28, 0, 1]].concat());
        class.question = Some([&super::server::wire("a.test")[..], &[0, 1, 0, 3]].concat());
        let (mut none, mut query) = (wrong(), wrong());
        none.question = None;
        query.flags &= 0x7fff;
        let mut cut = wrong().octets();
        cut.truncate(cut.len() - 1);
        let mut strange = vec![Vec::new(), vec![0; 3], b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), vec![0xff; 4000]];
        strange.extend([id, question, kind, class, none, query].map(|reply| reply.octets()));
        strange.extend([cut, Reply::to(asked).record("a.test", A, 60, "192.0.2.1").octets()]);
        strange
    });
    assert_eq!(records(ask(&[&server])), [address(1)]);
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn an_answer_from_another_address_is_not_heard() {
    let server = TestServer::start(|asked| {
        let forged = Reply::to(asked).record("a.test", A, 60, "192.0.2.66").octets();
        let other = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let _ = other.send_to(&forged, asked.from);
        vec![Reply::to(asked).record("a.test", A, 60, "192.0.2.1").octets()]
    });
    assert_eq!(records(ask(&[&server])), [address(1)]);
}

#[test]
fn what_is_cut_is_asked_for_again_over_tcp() {
    let server = TestServer::start(|asked| {
        let reply = Reply::to(asked);
        let many = |reply: Reply| {
            (0..4000u32).fold(reply, |reply, n| reply.record("a.test", A, 60, &Ipv4Addr::from(n).to_string()))
        };
        vec![if asked.is_tcp { many(reply).octets() } else { reply.truncated().octets() }]
    });
    // 4000 records of 24 octets are more than a message has; so the server's answer is broken.
    assert!(text(ask(&[&server])).contains("over TCP is broken"), "{:?}", ask(&[&server]));
    let server = TestServer::start(|asked| {
        let many = (0..2000u32).fold(Reply::to(asked), |reply, n| {
            reply.record("a.test", A, 60, &Ipv4Addr::from(0xc000_0000 + n).to_string())
        });
        vec![if asked.is_tcp { many.octets() } else { Reply::to(asked).truncated().octets() }]
    });
    assert_eq!(records(ask(&[&server])).len(), 2000);
    assert_eq!(server.asked().iter().map(|asked| asked.is_tcp).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn a_server_that_does_not_know_edns_is_asked_without() {
    let server = TestServer::start(|asked| {
        let reply = Reply::to(asked);
        vec![match asked.has_edns() {
            true => Reply { question: None, ..reply.rcode(1) }.octets(),
            false => reply.record("a.test", A, 60, "192.0.2.1").octets(),
        }]
    });
    assert_eq!(records(ask(&[&server])), [address(1)]);
    let never = TestServer::saying(|reply| reply.rcode(1));
    assert!(text(ask(&[&never])).ends_with("does not understand the question"));
}

#[test]
fn aliases_are_followed_in_any_order() {
    let server = TestServer::saying(|reply| {
        let reply = reply.record("c.test", A, 60, "192.0.2.1").record("b.test", CNAME, 5, "c.test");
        reply.record("a.test", CNAME, 60, "B.test").record("a.test", A, 60, "192.0.2.2").secure()
    });
    let answer = ask(&[&server]).expect("an answer");
    assert_eq!((answer.name.as_str(), answer.lifetime), ("c.test", Duration::from_secs(5)));
    assert!(answer.secure);
    assert_eq!(records(Ok(answer)), [address(1)]);
}

#[test]
fn aliases_without_end_are_a_soft_failure() {
    let circle =
        TestServer::saying(|reply| reply.record("a.test", CNAME, 60, "b.test").record("b.test", CNAME, 60, "a.test"));
    assert!(text(ask(&[&circle])).contains("alias with more than 16 others"));
    assert_eq!(circle.asked().len(), 1);
    // The same, one alias at a time.
    let slow = TestServer::start(|asked| {
        vec![Reply::to(asked).record(&asked.name, CNAME, 60, &format!("x{}", asked.name)).octets()]
    });
    assert!(text(ask(&[&slow])).contains("alias with more than 16 others"));
    assert_eq!(slow.asked().len(), CHAIN + 1);
}

#[test]
fn where_the_server_does_not_follow_an_alias_we_do() {
    let server = TestServer::start(|asked| {
        let reply = Reply::to(asked);
        vec![match asked.name.as_str() {
            "a.test" => reply.record("a.test", CNAME, 5, "b.test").secure().octets(),
            _ => reply.record("b.test", A, 60, "192.0.2.1").octets(),
        }]
    });
    let answer = ask(&[&server]).expect("an answer");
    assert_eq!((answer.name.as_str(), answer.secure), ("b.test", false));
    assert_eq!(answer.lifetime, Duration::from_secs(5));
    assert_eq!(records(Ok(answer)), [address(1)]);
}

#[test]
fn no_such_name_and_no_data_are_different() {
    let none = TestServer::saying(|reply| reply.rcode(NXDOMAIN).soa());
    assert_eq!(ask(&[&none]).expect("an answer").content, Content::NoSuchName);
    let empty = TestServer::saying(|reply| reply.soa());
    assert_eq!(ask(&[&empty]).expect("an answer").content, Content::NoData);
    let behind = TestServer::saying(|reply| reply.rcode(NXDOMAIN).record("a.test", CNAME, 60, "b.test").soa());
    let answer = ask(&[&behind]).expect("an answer");
    assert_eq!((answer.content, answer.name), (Content::NoSuchName, name("b.test")));
}

#[test]
fn a_server_that_does_not_look_up_for_others_cannot_deny_a_name() {
    let next = good();
    for lame in [
        TestServer::saying(|reply| reply.rcode(NXDOMAIN).soa().without_recursion()),
        TestServer::saying(|reply| reply.without_recursion()),
        TestServer::saying(|reply| reply.authority("test", NS, 60, "ns.test")),
    ] {
        assert_eq!(records(ask(&[&lame, &next])), [address(1)]);
        assert!(text(ask(&[&lame])).ends_with("does not look up names for others"));
    }
}

#[test]
fn an_answer_is_remembered_while_it_holds() {
    let server = TestServer::start(|asked| {
        let reply = Reply::to(asked);
        vec![match asked.name.as_str() {
            "a.test" => reply.record("a.test", A, 60, "192.0.2.1").octets(),
            "none.test" => reply.rcode(NXDOMAIN).soa().octets(),
            "brief.test" => reply.authority("test", SOA, 0, "60").octets(),
            "zero.test" => reply.record("zero.test", A, 0, "192.0.2.1").octets(),
            "negative.test" => reply.record("negative.test", A, 1 << 31, "192.0.2.1").octets(),
            "fails.test" => reply.rcode(2).octets(),
            _ => reply.octets(),
        }]
    });
    let resolver = resolver(&[&server]);
    for (domain, questions) in [
        ("a.test", 1),
        ("none.test", 1),
        ("brief.test", 2),
        ("zero.test", 2),
        ("negative.test", 2),
        ("fails.test", 2),
        ("unproved.test", 2),
    ] {
        let before = server.asked().len();
        let first = resolver.query(&name(domain), Type::A, &long());
        let second = resolver.query(&name(domain), Type::A, &long());
        assert_eq!(first.map(|answer| answer.content), second.map(|answer| answer.content), "{domain}");
        assert_eq!(server.asked().len() - before, questions, "{domain}");
    }
    assert!(resolver.query(&name("none.test"), Type::A, &long()).expect("kept").lifetime <= Duration::from_secs(60));
}

#[test]
fn tlsa_records_are_found_under_the_port() {
    let server = TestServer::start(|asked| {
        vec![Reply::to(asked).record("_25._tcp.mx.test", TLSA, 60, "3 1 1 171 205").secure().octets()]
    });
    let answer = tlsa(&resolver(&[&server]), 25, &name("mx.test"), &long()).expect("an answer");
    let expected = Tlsa { usage: 3, selector: 1, matching: 1, data: vec![0xab, 0xcd] };
    assert_eq!((answer.records(), answer.secure), (&[Record::Tlsa(expected)][..], true));
    assert_eq!((server.asked()[0].name.as_str(), server.asked()[0].rtype), ("_25._tcp.mx.test", TLSA));
    let fails = TestServer::saying(|reply| reply.rcode(2));
    assert!(tlsa(&resolver(&[&fails]), 25, &name("mx.test"), &long()).is_err());
}

#[test]
fn a_text_is_asked_for_under_its_own_name_and_two_are_told_apart() {
    let server = TestServer::start(|asked| {
        let reply = Reply::to(asked).record("_mta-sts.a.test", TXT, 60, "v=STSv1; |id=1;");
        vec![reply.record("_mta-sts.a.test", TXT, 60, "other").octets()]
    });
    let asked = name("a.test").below("_mta-sts").expect("short");
    let answer = resolver(&[&server]).query(&asked, Type::Txt, &long()).expect("an answer");
    let expected = [Record::Txt((*b"v=STSv1; id=1;").into()), Record::Txt((*b"other").into())];
    assert_eq!(answer.records(), expected);
    assert_eq!((server.asked()[0].name.as_str(), server.asked()[0].rtype), ("_mta-sts.a.test", TXT));
}
