//! From a domain to its servers, each row of RFC 5321 5.1.

use super::server::{A, AAAA, CNAME, MX, NXDOMAIN, Reply, TestServer};
use super::*;
use std::collections::HashSet;
use std::net::IpAddr;

/// No type of its own: the server fails for this name.
const FAIL: u16 = 0;

/// A server that knows these records, each of them proved.
fn zone(records: &'static [(&'static str, u16, &'static str)]) -> TestServer {
    TestServer::start(move |asked| {
        let reply = Reply::to(asked).secure();
        let own = || records.iter().filter(|(name, ..)| *name == asked.name);
        if own().any(|(_, rtype, data)| *rtype == FAIL && (data.is_empty() || *data == asked.rtype.to_string())) {
            return vec![reply.rcode(2).octets()];
        }
        if own().next().is_none() {
            return vec![reply.rcode(NXDOMAIN).soa().octets()];
        }
        let of_type = own().filter(|(_, rtype, _)| *rtype == asked.rtype || *rtype == CNAME);
        let is_empty = of_type.clone().next().is_none();
        let reply = of_type.fold(reply, |reply, (name, rtype, data)| reply.record(name, *rtype, 60, data));
        vec![if is_empty { reply.soa() } else { reply }.octets()]
    })
}

fn to(server: &TestServer, domain: &str, own: &[&str]) -> Result<Vec<Exchanger>, RouteError> {
    let own = Own { names: own.iter().map(|text| name(text)).collect(), addresses: None };
    route(&resolver(&[server]), domain, &own, &long())
}

fn hosts(server: &TestServer, domain: &str, own: &[&str]) -> Vec<String> {
    let found = to(server, domain, own).expect("a way");
    found.iter().map(|exchanger| exchanger.name.to_string()).collect()
}

/// The status and the text.
fn refusal(server: &TestServer, domain: &str, own: &[&str]) -> String {
    let error = to(server, domain, own).expect_err("no way");
    format!("{} {error}", error.status())
}

#[test]
fn servers_come_in_order_with_their_addresses() {
    let server = zone(&[
        ("a.test", MX, "20 mx2.test"),
        ("a.test", MX, "10 MX1.test"),
        ("mx1.test", A, "192.0.2.1"),
        ("mx1.test", AAAA, "2001:db8::1"),
        ("mx2.test", A, "192.0.2.2"),
    ]);
    let found = to(&server, "A.Test", &[]).expect("a way");
    let v6: IpAddr = "2001:db8::1".parse().expect("an address");
    let first = Exchanger {
        name: name("mx1.test"),
        canonical: name("mx1.test"),
        preference: 10,
        addresses: vec![v6, [192, 0, 2, 1].into()],
        proved: true,
        secure: true,
    };
    assert_eq!(found[0], first);
    assert_eq!((found[1].name.as_str(), found[1].preference), ("mx2.test", 20));
}

#[test]
fn equal_servers_take_turns() {
    let server = zone(&[
        ("a.test", MX, "10 mx1.test"),
        ("a.test", MX, "10 mx2.test"),
        ("a.test", MX, "5 mx0.test"),
        ("mx0.test", A, "192.0.2.1"),
        ("mx1.test", A, "192.0.2.1"),
        ("mx2.test", A, "192.0.2.1"),
    ]);
    let resolver = resolver(&[&server]);
    let orders: HashSet<Vec<Name>> = (0..64)
        .map(|_| {
            let found = route(&resolver, "a.test", &Own::default(), &long()).expect("a way");
            found.into_iter().map(|exchanger| exchanger.name).collect()
        })
        .collect();
    assert_eq!(orders.len(), 2, "by chance only one order in 2^63 runs");
    assert!(orders.iter().all(|order| order[0] == name("mx0.test")));
}

#[test]
fn a_domain_that_takes_no_mail_says_so() {
    let server = zone(&[
        ("a.test", MX, "0 ."),
        ("a.test", A, "192.0.2.1"),
        ("b.test", MX, "0 ."),
        ("b.test", MX, "10 mx.test"),
        ("mx.test", A, "192.0.2.1"),
    ]);
    assert_eq!(refusal(&server, "a.test", &[]), "5.1.10 a.test takes no mail: it has a null MX record");
    assert_eq!(hosts(&server, "b.test", &[]), ["mx.test"]);
}

#[test]
fn a_domain_without_mx_is_its_own_server() {
    let server = zone(&[("a.test", A, "192.0.2.1"), ("six.test", AAAA, "2001:db8::1"), ("b.test", FAIL, "99")]);
    assert_eq!(hosts(&server, "a.test", &[]), ["a.test"]);
    assert_eq!(hosts(&server, "six.test", &[]), ["six.test"]);
    assert_eq!(refusal(&server, "b.test", &[]), "5.4.4 no mail server of b.test has an address");
}

#[test]
fn a_domain_that_is_not_there_is_refused() {
    let server = zone(&[]);
    assert_eq!(refusal(&server, "a.test", &[]), "5.1.2 there is no domain a.test");
    assert_eq!(refusal(&server, "a b", &[]), "5.1.2 \"a b\" is no domain name");
}

#[test]
fn what_cannot_be_learnt_now_is_temporary() {
    let server = zone(&[
        ("a.test", FAIL, ""),
        // Its MX records cannot be had. Its address is not asked for instead.
        ("b.test", FAIL, "15"),
        ("b.test", A, "192.0.2.1"),
        ("c.test", MX, "10 gone.test"),
        ("c.test", MX, "20 fails.test"),
        ("fails.test", FAIL, ""),
    ]);
    for domain in ["a.test", "b.test", "c.test"] {
        let said = refusal(&server, domain, &[]);
        assert!(said.starts_with("4.4.3 ") && said.ends_with("answers SERVFAIL"), "{said}");
    }
}

#[test]
fn a_failure_does_not_matter_where_another_server_was_found() {
    let server = zone(&[
        ("a.test", MX, "10 fails.test"),
        ("a.test", MX, "20 half.test"),
        ("fails.test", FAIL, ""),
        ("half.test", FAIL, "28"),
        ("half.test", A, "192.0.2.1"),
    ]);
    assert_eq!(hosts(&server, "a.test", &[]), ["half.test"]);
}

#[test]
fn servers_without_an_address_are_passed_over() {
    let server = zone(&[
        ("a.test", MX, "10 gone.test"),
        ("a.test", MX, "15 bad host.test"),
        ("a.test", MX, "20 mx.test"),
        ("mx.test", A, "192.0.2.1"),
        ("b.test", MX, "10 gone.test"),
        ("b.test", A, "192.0.2.1"),
    ]);
    assert_eq!(hosts(&server, "a.test", &[]), ["mx.test"]);
    assert_eq!(refusal(&server, "b.test", &[]), "5.4.4 no mail server of b.test has an address");
}

#[test]
fn mail_does_not_come_back_to_this_system() {
    let server = zone(&[
        ("a.test", MX, "10 best.test"),
        ("a.test", MX, "20 we.test"),
        ("a.test", MX, "20 equal.test"),
        ("a.test", MX, "30 worse.test"),
        ("a.test", MX, "40 we-too.test"),
        ("best.test", A, "192.0.2.1"),
        ("we.test", A, "192.0.2.2"),
        ("equal.test", A, "192.0.2.3"),
        ("worse.test", A, "192.0.2.4"),
        ("we-too.test", A, "192.0.2.4"),
        ("us.test", A, "192.0.2.2"),
    ]);
    assert_eq!(hosts(&server, "a.test", &["WE.test", "we-too.test"]), ["best.test"]);
    assert_eq!(hosts(&server, "a.test", &["we-too.test"]).len(), 4);
    let expected = "5.4.6 mail for a.test loops back to this system, which is its mail server best.test";
    assert_eq!(refusal(&server, "a.test", &["we.test", "best.test"]), expected);
    let expected = "5.4.6 mail for us.test loops back to this system, which is its mail server us.test";
    assert_eq!(refusal(&server, "us.test", &["us.test"]), expected);
}

#[test]
fn servers_without_end_are_not_followed_to_the_end() {
    let server = TestServer::start(|asked| {
        let reply = Reply::to(asked);
        let all = |reply: Reply, kind: &str| {
            (0..30).fold(reply, |reply, n| reply.record(&asked.name, MX, 60, &format!("{n} mx{n}.{kind}.test")))
        };
        vec![
            match (asked.rtype, asked.name.as_str()) {
                (MX, "good.test") => all(reply, "good"),
                (MX, _) => all(reply, "bad"),
                (A, name) if name.ends_with("good.test") => reply.record(name, A, 60, "192.0.2.1"),
                _ => reply.soa(),
            }
            .octets(),
        ]
    });
    let expected: Vec<String> = (0..MAX_EXCHANGERS).map(|n| format!("mx{n}.good.test")).collect();
    assert_eq!(hosts(&server, "good.test", &[]), expected);
    let before = server.asked().len();
    let expected = "4.4.3 bad.test has more than 10 mail servers, and the first have no address";
    assert_eq!(refusal(&server, "bad.test", &[]), expected);
    assert_eq!(server.asked().len() - before, 1 + 2 * MAX_EXCHANGERS);
}

#[test]
fn an_alias_is_a_server_too() {
    let server = TestServer::start(|asked| {
        let reply = Reply::to(asked).secure();
        vec![
            match (asked.rtype, asked.name.as_str()) {
                (MX, "a.test") => reply.record("a.test", CNAME, 60, "b.test").record("b.test", MX, 60, "10 mx.test"),
                (A, "mx.test") => {
                    reply.record("mx.test", CNAME, 60, "host.test").record("host.test", A, 60, "192.0.2.1")
                }
                _ => reply.soa(),
            }
            .octets(),
        ]
    });
    let found = to(&server, "a.test", &[]).expect("a way");
    assert_eq!((found[0].name.as_str(), found[0].canonical.as_str()), ("mx.test", "host.test"));
    assert!(found[0].secure);
}

#[test]
fn a_way_is_proved_only_if_all_of_it_is() {
    for (proved, expected) in [([MX, A], true), ([MX, 0], false), ([0, A], false)] {
        let server = TestServer::start(move |asked| {
            let reply = Reply::to(asked);
            let reply = if proved.contains(&asked.rtype) { reply.secure() } else { reply };
            vec![
                match asked.rtype {
                    MX => reply.record("a.test", MX, 60, "10 mx.test"),
                    A => reply.record("mx.test", A, 60, "192.0.2.1"),
                    _ => reply.soa(),
                }
                .octets(),
            ]
        });
        assert_eq!(to(&server, "a.test", &[]).expect("a way")[0].secure, expected, "{proved:?}");
    }
}

#[test]
fn some_names_stand_for_themselves() {
    let server = TestServer::silent();
    let addresses = |domain| to(&server, domain, &[]).expect("a way")[0].addresses.clone();
    assert_eq!(addresses("192.0.2.7"), [IpAddr::from([192, 0, 2, 7])]);
    assert_eq!(addresses("localhost").len(), 2);
    assert!(server.asked().is_empty());
}

#[test]
fn only_our_own_side_may_name_an_address() {
    let server = zone(&[("a.test", MX, "10 192.0.2.9"), ("b.test", MX, "10 localhost")]);
    for domain in ["a.test", "b.test"] {
        assert!(refusal(&server, domain, &[]).starts_with("5.4.4 "));
    }
}

#[test]
fn a_host_is_found_without_mx() {
    let server = zone(&[("mx.test", MX, "10 other.test"), ("mx.test", A, "192.0.2.1"), ("fails.test", FAIL, "")]);
    let resolver = resolver(&[&server]);
    let found = host(&resolver, "MX.test", &long()).expect("a host");
    assert_eq!((found.name.as_str(), found.secure), ("mx.test", true));
    assert_eq!(found.addresses, [IpAddr::from([192, 0, 2, 1])]);
    assert!(server.asked().iter().all(|asked| asked.rtype != MX));
    let status = |text| host(&resolver, text, &long()).expect_err(text).status().to_string();
    assert_eq!((status("gone.test"), status("fails.test")), ("5.4.4".to_owned(), "4.4.3".to_owned()));
    assert_eq!(host(&resolver, "127.0.0.1", &long()).expect("itself").addresses, [IpAddr::from([127, 0, 0, 1])]);
}

#[test]
fn when_time_is_up_what_was_found_is_enough() {
    let server = TestServer::start(|asked| {
        let reply = Reply::to(asked);
        match (asked.rtype, asked.name.as_str()) {
            (MX, _) => {
                vec![reply.record("a.test", MX, 60, "10 mx.test").record("a.test", MX, 20, "20 slow.test").octets()]
            }
            (A, "mx.test") => vec![reply.record("mx.test", A, 60, "192.0.2.1").octets()],
            (AAAA, "mx.test") => vec![reply.soa().octets()],
            _ => Vec::new(),
        }
    });
    let wait = Wait { until: Instant::now() + Duration::from_secs(3), wake: None };
    let found = route(&resolver(&[&server]), "a.test", &Own::default(), &wait).expect("a way");
    assert_eq!(found.len(), 1);
}

#[test]
fn this_system_is_known_by_its_addresses_too() {
    let server = zone(&[
        ("a.test", MX, "10 good.test"),
        ("a.test", MX, "20 other-name.test"),
        ("a.test", MX, "20 equal.test"),
        ("a.test", MX, "30 behind.test"),
        ("b.test", MX, "10 loopback.test"),
        ("b.test", MX, "20 good.test"),
        ("c.test", MX, "10 fails.test"),
        ("c.test", MX, "20 other-name.test"),
        ("d.test", MX, "10 other-name.test"),
        ("d.test", MX, "20 fails.test"),
        ("e.test", MX, "10 nowhere.test"),
        ("f.test", MX, "10 mapped.test"),
        ("own.test", A, "192.0.2.7"),
        ("fails.test", FAIL, ""),
        ("good.test", A, "192.0.2.1"),
        ("behind.test", A, "192.0.2.3"),
        ("equal.test", A, "192.0.2.2"),
        ("other-name.test", A, "192.0.2.9"),
        ("other-name.test", A, "192.0.2.7"),
        ("loopback.test", A, "127.3.2.1"),
        ("nowhere.test", A, "0.0.0.0"),
        ("mapped.test", AAAA, "::ffff:192.0.2.7"),
    ]);
    let own = Own { names: Vec::new(), addresses: Some(vec![[192, 0, 2, 7].into()]) };
    let resolver = resolver(&[&server]);
    let to = |domain: &str| match route(&resolver, domain, &own, &long()) {
        Ok(found) => found.iter().map(|exchanger| exchanger.name.to_string()).collect::<Vec<_>>().join(" "),
        Err(error) => error.status().to_string(),
    };
    assert_eq!(to("a.test"), "good.test");
    for (domain, status) in [
        ("b.test", "5.4.6"),
        // The better one may be there another time.
        ("c.test", "4.4.3"),
        ("d.test", "5.4.6"),
        ("e.test", "5.4.6"),
        ("f.test", "5.4.6"),
        ("own.test", "5.4.6"),
    ] {
        assert_eq!(to(domain), status, "{domain}");
    }
    assert_eq!(hosts(&server, "b.test", &[]), ["loopback.test", "good.test"], "on another port that is another server");
}
