//! Records against chains, as tables. The certificates are those of `tests/certificates`.

use super::*;
use crate::net::tls::certificates::Certificates;

/// The certificates of a file, the server's first.
fn file(name: &str) -> Vec<X509> {
    let pem = std::fs::read(Certificates::get().path(&format!("{name}.pem"))).expect("made");
    X509::stack_from_pem(&pem).expect("certificates")
}

/// What a server shows: the certificates of these files, one from each.
fn shown(names: &[&str]) -> Vec<X509> {
    names.iter().map(|name| file(name)[0].clone()).collect()
}

/// The record that somebody publishes who has the certificate in this file.
fn record(usage: u8, selector: u8, matching: u8, name: &str) -> Tlsa {
    let certificate = &file(name)[0];
    let part = match selector {
        0 => certificate.to_der(),
        _ => certificate.public_key().and_then(|key| key.public_key_to_der()),
    };
    let part = part.expect("DER");
    let data = match matching {
        0 => part,
        1 => sha256(&part).to_vec(),
        _ => sha512(&part).to_vec(),
    };
    Tlsa { usage, selector, matching, data }
}

fn judged(records: &[Tlsa], shown: &[X509], names: &[&str]) -> Result<u8, String> {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    let dane = Dane::new(records, names).expect("usable records");
    let mut chain = Stack::new().expect("a stack");
    shown.iter().for_each(|one| chain.push(one.clone()).expect("room"));
    vouched(&dane, &shown[0], &chain, 1)
}

const KINDS: [(u8, u8); 6] = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)];

#[test]
fn the_servers_own_certificate_is_enough_whatever_its_name_and_dates_are() {
    for server in ["mx", "stranger", "curve", "other", "expired", "under"] {
        for (selector, matching) in KINDS {
            let right = record(3, selector, matching, server);
            assert_eq!(judged(&[right], &shown(&[server]), &["mx.test"]), Ok(3), "{server} 3 {selector} {matching}");
            let another = if server == "mx" { "stranger" } else { "mx" };
            let wrong = record(3, selector, matching, another);
            let verdict = judged(&[wrong], &shown(&[server, "ca", another]), &["mx.test"]);
            assert!(verdict.is_err(), "{server} 3 {selector} {matching}: {verdict:?}");
        }
    }
}

#[test]
fn a_digest_with_one_bit_changed_is_another() {
    for (selector, matching) in [(0, 1), (0, 2), (1, 1), (1, 2)] {
        for usage in [2, 3] {
            let of = if usage == 2 { "ca" } else { "mx" };
            let right = record(usage, selector, matching, of);
            assert_eq!(judged(std::slice::from_ref(&right), &shown(&["mx", "ca"]), &["mx.test"]), Ok(usage));
            for at in [0, right.data.len() - 1] {
                let mut wrong = right.clone();
                wrong.data[at] ^= 1;
                assert!(judged(&[wrong], &shown(&["mx", "ca"]), &["mx.test"]).is_err());
            }
        }
    }
}

#[test]
fn an_authority_vouches_for_what_leads_to_it_by_name_and_in_time() {
    for (of, server, others, names, good) in [
        ("ca", "mx", &["ca"][..], &["mx.test"][..], true),
        ("ca", "mx", &["ca"], &["wrong.test", "mx.test"], true),
        ("ca", "mx", &["ca"], &["mx.test."], true),
        ("issuer", "under", &["issuer"], &["mx.test"], true),
        ("issuer", "under", &["issuer", "ca"], &["mx.test"], true),
        ("ca", "under", &["issuer", "ca"], &["mx.test"], true),
        ("ca", "under", &["ca", "issuer"], &["mx.test"], true),
        // The name.
        ("ca", "mx", &["ca"], &["wrong.test"], false),
        ("ca", "mx", &["ca"], &[], false),
        ("ca", "other", &["ca"], &["mx.test"], false),
        // The dates.
        ("ca", "expired", &["ca"], &["mx.test"], false),
        // The chain: broken, or not leading there.
        ("ca", "under", &["ca"], &["mx.test"], false),
        ("ca", "stranger", &["ca"], &["mx.test"], false),
        ("issuer", "mx", &["issuer", "ca"], &["mx.test"], false),
        ("stranger", "mx", &["ca", "stranger"], &["mx.test"], false),
        // The server is not above itself.
        ("mx", "mx", &["ca"], &["mx.test"], false),
        ("stranger", "stranger", &[], &["mx.test"], false),
        ("stranger", "stranger", &["stranger"], &["mx.test"], false),
    ] {
        for (selector, matching) in KINDS {
            let files: Vec<&str> = [server].iter().chain(others).copied().collect();
            let verdict = judged(&[record(2, selector, matching, of)], &shown(&files), names);
            assert_eq!(verdict.is_ok(), good, "2 {selector} {matching} of {of}, {files:?} {names:?}: {verdict:?}");
        }
    }
}

#[test]
fn an_authority_that_is_not_shown_must_be_in_the_record() {
    let judge = |selector, matching| judged(&[record(2, selector, matching, "ca")], &shown(&["mx"]), &["mx.test"]);
    assert_eq!(judge(0, 0), Ok(2));
    for (selector, matching) in [(0, 1), (0, 2), (1, 0), (1, 1), (1, 2)] {
        assert!(judge(selector, matching).is_err(), "2 {selector} {matching}");
    }
}

#[test]
fn one_record_of_several_is_enough() {
    let wrong = record(3, 1, 1, "stranger");
    let shown = shown(&["mx", "ca"]);
    assert_eq!(judged(&[wrong.clone(), record(2, 0, 1, "ca")], &shown, &["mx.test"]), Ok(2));
    assert_eq!(judged(&[wrong.clone(), record(3, 0, 1, "mx")], &shown, &["mx.test"]), Ok(3));
    let why = judged(&[wrong, record(2, 0, 1, "ca")], &shown, &["wrong.test"]).expect_err("the name is wrong");
    assert!(why.contains("wrong.test"), "{why}");
}
