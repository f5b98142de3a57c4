//! One fetch, and all that can come back.

use crate::place::{Client, PolicyHost, Zone, at, news, page, policy, response, servers};
use pipelane::net::Wake;
use pipelane::net::mta_sts::POLICY;
use std::net::{Ipv4Addr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

const RECORD: Option<&str> = Some("v=STSv1; id=1;");

/// What comes of this response: the servers, and the news.
fn fetched(response: Vec<u8>) -> (Option<Vec<String>>, String) {
    fetched_from(&PolicyHost::start("policy", response))
}

fn fetched_from(host: &PolicyHost) -> (Option<Vec<String>>, String) {
    let found = Client::new(&Zone::start(RECORD), host.port(), None).find(at(0));
    (servers(&found), news(&found))
}

fn good() -> String {
    policy("enforce", &["mx.test"])
}

#[test]
fn the_request_is_as_the_rfc_says() {
    let host = PolicyHost::start("policy", page(&good()));
    let (servers, news) = fetched_from(&host);
    assert_eq!((servers, news.as_str()), (Some(vec!["mx.test".into()]), "its MTA-STS policy is 1, mode enforce"));
    let [request] = &host.requests()[..] else { panic!("one request") };
    assert!(request.starts_with("GET /.well-known/mta-sts.txt HTTP/1.1\r\n"), "{request}");
    let request = request.to_ascii_lowercase();
    assert!(request.contains(&format!("\r\nhost: mta-sts.a.test:{}\r\n", host.port())), "{request}");
    assert!(!request.contains("accept-encoding") && !request.contains("cookie"), "{request}");
}

#[test]
fn a_policy_may_come_in_other_ways() {
    let good = good();
    let (one, two) = good.split_at(10);
    let chunked = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunks = format!("{chunked}{:x}\r\n{one}\r\n{:x}\r\n{two}\r\n0\r\n\r\n", one.len(), two.len());
    let full = format!("{good}{}", "\n".repeat(POLICY - good.len()));
    for (what, response) in [
        ("a character set", response("200 OK", "Text/Plain; charset=utf-8", &good)),
        ("chunks", chunks.into_bytes()),
        ("of full length", page(&full)),
    ] {
        let (servers, news) = fetched(response);
        assert_eq!(servers, Some(vec!["mx.test".into()]), "{what}: {news}");
    }
}

#[test]
fn what_is_no_policy_is_refused_and_told() {
    let good = good();
    let too_long = format!("{good}{}", "\n".repeat(POLICY + 1 - good.len()));
    let chunk = "40\r\nx: y\r\n".to_owned() + &"\n".repeat(58) + "\r\n";
    let endless = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        chunk.repeat(5000)
    );
    let head = format!("HTTP/1.1 200 OK\r\nX: {}\r\nContent-Length: 0\r\n\r\n", "x".repeat(100_000));
    let short = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 999\r\n\r\n";
    for (what, response, told) in [
        ("gone", response("404 Not Found", "text/plain", &good), "the server answers 404"),
        ("other success", response("203 Non-Authoritative Information", "text/plain", &good), "answers 203"),
        ("broken", response("500 Oops", "text/plain", &good), "the server answers 500"),
        ("a page", response("200 OK", "text/html", &good), "not of type text/plain but \"text/html\""),
        ("a file", response("200 OK", "text/plainer", &good), "not of type text/plain"),
        ("not a policy", page("hello\n"), "it is no policy: line 1: there is no field"),
        ("half of one", page("version: STSv1\nmode: enforce\n"), "it is no policy: it has no max_age"),
        ("too long", page(&too_long), "body"),
        ("without end", endless.into_bytes(), "body"),
        ("a long head", head.into_bytes(), ""),
        ("less than said", format!("{short}{good}").into_bytes(), ""),
        ("no type", format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{good}", good.len()).into_bytes(), "type"),
        ("no HTTP", format!("220 mx.test ESMTP\r\n{good}").into_bytes(), ""),
        ("nothing", Vec::new(), ""),
    ] {
        let (servers, news) = fetched(response);
        assert_eq!(servers, None, "{what}");
        let expected = "its MTA-STS policy cannot be fetched, it goes on as without one: ";
        assert!(news.starts_with(expected) && news.contains(told), "{what}: {news}");
        assert!(news.len() < 500 && !news.contains('\n'), "{what}: {news}");
    }
}

#[test]
fn a_redirect_is_not_followed() {
    let host = PolicyHost::start("policy", Vec::new());
    let to = format!("https://mta-sts.a.test:{}/elsewhere", host.port());
    for status in ["301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent"] {
        host.say(format!("HTTP/1.1 {status}\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n").into_bytes());
        let before = host.requests().len();
        let (servers, news) = fetched_from(&host);
        assert_eq!(servers, None);
        assert!(news.contains(&format!("the server answers {}", &status[..3])), "{news}");
        assert_eq!(host.requests().len(), before + 1, "{status}");
    }
}

#[test]
fn a_policy_that_was_cut_is_none() {
    let good = good();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n";
    for (what, response) in [
        ("no length", format!("{head}\r\n{good}")),
        ("another coding", format!("{head}Transfer-Encoding: identity\r\n\r\n{good}")),
        ("two codings", format!("{head}Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n{good}")),
        ("chunks before their time", format!("{}Transfer-Encoding: chunked\r\n\r\n{good}", head.replace("1.1", "1.0"))),
        ("a length", format!("{head}Content-Length: {}\r\n\r\n{good}", good.len() + 1)),
        ("no last chunk", format!("{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{good}\r\n", good.len())),
        ("half a chunk", format!("{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{good}", good.len() + 1)),
    ] {
        for is_cut in [true, false] {
            let host = PolicyHost::start("policy", response.clone().into_bytes());
            host.cut(is_cut);
            let (servers, news) = fetched_from(&host);
            assert!(servers.is_none() && news.contains("cannot be fetched"), "{what} {is_cut}: {news}");
        }
    }
}

#[test]
fn the_certificate_must_be_valid_for_the_host_of_policies() {
    for certificate in ["other", "expired", "stranger", "mx"] {
        let host = PolicyHost::start(certificate, page(&good()));
        let (servers, news) = fetched_from(&host);
        assert_eq!((servers, host.requests().len()), (None, 0), "{certificate}");
        assert!(news.contains("for the name mta-sts.a.test failed"), "{certificate}: {news}");
    }
}

#[test]
fn a_host_that_says_nothing_is_waited_for_only_so_long() {
    let (silent, held) =
        (TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port"), PolicyHost::start("policy", page(&good())));
    held.hold(true);
    for port in [silent.local_addr().expect("bound").port(), held.port()] {
        let zone = Zone::start(RECORD);
        let client = Client::new(&zone, port, None);
        let begun = Instant::now();
        let patience = Duration::from_secs(2);
        let found = client.find_within(patience, None, at(0));
        assert!(found.policy.is_none() && news(&found).contains("cannot be fetched"), "{found:?}");
        assert!((patience..crate::LONG / 2).contains(&begun.elapsed()));
    }
}

#[test]
fn a_stop_ends_the_wait_and_is_no_failure_of_the_domain() {
    let (zone, host) = (Zone::start(RECORD), PolicyHost::start("policy", page(&good())));
    host.hold(true);
    let (client, wake) = (Client::new(&zone, host.port(), None), Wake::new().expect("a descriptor"));
    let begun = Instant::now();
    let found = thread::scope(|scope| {
        let finding = scope.spawn(|| client.find_within(crate::LONG, Some(&wake), at(0)));
        host.wait_for(1);
        wake.signal();
        finding.join().expect("no panic")
    });
    assert!(found.policy.is_none() && found.news.is_empty() && begun.elapsed() < crate::LONG / 2, "{found:?}");
    // It is asked again at once.
    host.hold(false);
    assert_eq!(client.servers(at(1)), Some(vec!["mx.test".into()]));
    // A wake that is signalled before ends it even sooner.
    let found = Client::new(&zone, host.port(), None).find_within(crate::LONG, Some(&wake), at(0));
    assert!(found.policy.is_none() && found.news.is_empty(), "{found:?}");
}
