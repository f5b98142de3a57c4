//! Policies over time: when they are fetched again, how long they hold, and what outlives what.

use crate::place::{Client, PolicyHost, Zone, at, news, page, policy, resolver, response, servers};
use pipelane::net::dns::Wait;
use pipelane::net::mta_sts::PAUSE;
use std::thread;
use std::time::Instant;

const DAY: u64 = 86400;

fn names(servers: &[&str]) -> Option<Vec<String>> {
    Some(servers.iter().map(|server| (*server).to_owned()).collect())
}

fn saying(servers: &[&str]) -> Vec<u8> {
    page(&policy("enforce", servers))
}

#[test]
fn a_domain_without_a_record_is_not_asked() {
    let host = PolicyHost::start("policy", saying(&["mx.test"]));
    for record in [None, Some("v=spf1 -all"), Some("v=STSv1; id=;"), Some("v=STSv2; id=1;")] {
        let found = Client::new(&Zone::start(record), host.port(), None).find(at(0));
        assert!(found.policy.is_none() && found.news.is_empty(), "{found:?}");
    }
    let zone = Zone::start(Some("v=STSv1; id=1;"));
    zone.add("_mta-sts.a.test", crate::dns::TXT, "v=STSv1; id=2;");
    assert_eq!(Client::new(&zone, host.port(), None).servers(at(0)), None, "two of them");
    assert_eq!(host.requests().len(), 0);
}

#[test]
fn a_policy_is_fetched_again_when_its_id_changes_or_half_its_time_is_over() {
    let (zone, host) = (Zone::start(Some("v=STSv1; id=1;")), PolicyHost::start("policy", saying(&["mx.test"])));
    let client = Client::new(&zone, host.port(), None);
    let asked = |seconds, expected: &[&str], requests| {
        assert_eq!(client.servers(at(seconds)), names(expected), "{seconds}");
        assert_eq!(host.requests().len(), requests, "{seconds}");
    };
    asked(0, &["mx.test"], 1);
    host.say(saying(&["*.test"]));
    asked(DAY / 2 - 1, &["mx.test"], 1);
    zone.say(Some("v=STSv1; id=2;"));
    asked(DAY / 2 - 1, &["*.test"], 2);
    asked(DAY / 2, &["*.test"], 2);
    host.say(saying(&["three.test"]));
    // Half a day after the second fetch, with the same id.
    asked(DAY - 2, &["*.test"], 2);
    asked(DAY - 1, &["three.test"], 3);
}

#[test]
fn what_cannot_be_fetched_is_not_asked_for_all_the_time() {
    let (zone, host) = (Zone::start(Some("v=STSv1; id=1;")), PolicyHost::start("policy", Vec::new()));
    let client = Client::new(&zone, host.port(), None);
    host.say(response("503 Busy", "text/plain", ""));
    for (seconds, requests) in [(0, 1), (1, 1), (PAUSE.as_secs() - 1, 1), (PAUSE.as_secs(), 2), (PAUSE.as_secs(), 2)] {
        assert_eq!(client.servers(at(seconds)), None);
        assert_eq!(host.requests().len(), requests, "{seconds}");
    }
    host.say(saying(&["mx.test"]));
    assert_eq!(client.servers(at(2 * PAUSE.as_secs() - 1)), None);
    assert_eq!(client.servers(at(2 * PAUSE.as_secs())), names(&["mx.test"]));
}

#[test]
fn a_policy_holds_to_its_end_whatever_happens_to_its_domain() {
    let folder = tempfile::tempdir().expect("a directory");
    let directory = Some(folder.path());
    for (what, happens) in [("host", 0), ("another id", 1), ("record", 2), ("DNS", 3), ("page", 4)] {
        let (zone, host) = (Zone::start(Some("v=STSv1; id=1;")), PolicyHost::start("policy", saying(&["mx.test"])));
        let (port, client) = (host.port(), Client::new(&zone, host.port(), directory));
        assert_eq!(client.servers(at(0)), names(&["mx.test"]), "{what}");
        match happens {
            0 => {}
            1 => zone.say(Some("v=STSv1; id=2;")),
            2 => zone.say(None),
            3 => zone.fail(),
            _ => host.say(page("no policy any more\n")),
        }
        let host = (happens == 4).then_some(host);
        // The same in memory, and after a restart.
        let restarted = Client::new(&zone, port, directory);
        for seconds in [1, DAY / 2, DAY - 1] {
            assert_eq!(client.servers(at(seconds)), names(&["mx.test"]), "{what} {seconds}");
            assert_eq!(restarted.servers(at(seconds)), names(&["mx.test"]), "{what} {seconds}");
        }
        assert_eq!((client.servers(at(DAY)), restarted.servers(at(DAY))), (None, None), "{what}");
        assert_eq!(Client::new(&zone, port, directory).servers(at(DAY)), None, "{what}");
        assert_eq!(std::fs::read_dir(folder.path()).expect("a directory").count(), 0, "{what}: it is not kept longer");
        drop(host);
    }
}

#[test]
fn a_start_sweeps_the_directory() {
    let folder = tempfile::tempdir().expect("a directory");
    let (zone, host) = (Zone::start(Some("v=STSv1; id=1;")), PolicyHost::start("policy", saying(&["mx.test"])));
    let port = host.port();
    assert_eq!(Client::new(&zone, port, Some(folder.path())).servers(at(0)), names(&["mx.test"]));
    let of_another = std::fs::read_to_string(folder.path().join("a.test")).expect("a file").replace("a.test", "b.test");
    std::fs::write(folder.path().join("b.test"), of_another).expect("written");
    zone.say(None);
    let client = Client::new(&zone, port, Some(folder.path()));
    assert_eq!(client.servers(at(40 * DAY)), None);
    assert_eq!(std::fs::read_dir(folder.path()).expect("a directory").count(), 0);
}

#[test]
fn without_a_directory_a_restart_forgets() {
    let (zone, host) = (Zone::start(Some("v=STSv1; id=1;")), PolicyHost::start("policy", saying(&["mx.test"])));
    let port = host.port();
    assert_eq!(Client::new(&zone, port, None).servers(at(0)), names(&["mx.test"]));
    drop(host);
    let found = Client::new(&zone, port, None).find(at(0));
    assert!(found.policy.is_none() && news(&found).contains("cannot be fetched"), "{found:?}");
}

#[test]
fn a_failure_of_dns_without_a_policy_is_told() {
    let zone = Zone::start(Some("v=STSv1; id=1;"));
    zone.fail();
    let found = Client::new(&zone, 9, None).find(at(0));
    assert!(
        found.policy.is_none() && news(&found).contains("cannot be looked up: TXT of _mta-sts.a.test"),
        "{found:?}"
    );
}

#[test]
fn a_file_that_was_altered_is_as_none() {
    let folder = tempfile::tempdir().expect("a directory");
    let (zone, host) = (Zone::start(Some("v=STSv1; id=1;")), PolicyHost::start("policy", saying(&["mx.test"])));
    let client = || Client::new(&zone, host.port(), Some(folder.path()));
    let path = folder.path().join("a.test");
    assert_eq!(client().servers(at(0)), names(&["mx.test"]));
    let kept = std::fs::read_to_string(&path).expect("a file");
    assert_eq!(client().servers(at(1)), names(&["mx.test"]));
    assert_eq!(host.requests().len(), 1, "the file was enough");
    std::fs::write(&path, kept.replace("mode: enforce", "mode: enforced")).expect("written");
    assert_eq!(client().servers(at(1)), names(&["mx.test"]));
    assert_eq!(host.requests().len(), 2, "the file was not enough");
    assert_eq!(std::fs::read_to_string(&path).expect("a file").replace("1700000001", "1700000000"), kept);
}

#[test]
fn a_policy_from_the_future_is_renewed_and_holds_until_then() {
    let folder = tempfile::tempdir().expect("a directory");
    let (zone, host) = (Zone::start(Some("v=STSv1; id=1;")), PolicyHost::start("policy", saying(&["mx.test"])));
    let client = || Client::new(&zone, host.port(), Some(folder.path()));
    let running = client();
    // By a clock that is then set back.
    assert_eq!(running.servers(at(9 * DAY)), names(&["mx.test"]));
    host.say(response("503 Busy", "text/plain", ""));
    for client in [&running, &client()] {
        let asked = host.requests().len();
        assert_eq!(client.servers(at(0)), names(&["mx.test"]));
        assert_eq!(host.requests().len(), asked + 1, "it is old");
        assert_eq!(client.servers(at(DAY / 2 - 1)), names(&["mx.test"]));
    }
    zone.say(None);
    assert_eq!(std::fs::read_dir(folder.path()).expect("a directory").count(), 1, "the file stays");
    // The clock is right again.
    assert_eq!(running.servers(at(9 * DAY + 1)), names(&["mx.test"]));
    zone.say(Some("v=STSv1; id=1;"));
    host.say(saying(&["two.test"]));
    assert_eq!(client().servers(at(0)), names(&["two.test"]));
    assert_eq!(Client::new(&zone, host.port(), Some(folder.path())).servers(at(1)), names(&["two.test"]));
}

#[test]
fn a_failure_in_memory_does_not_hide_what_is_on_disk() {
    let folder = tempfile::tempdir().expect("a directory");
    let (zone, host) = (Zone::start(Some("v=STSv1; id=1;")), PolicyHost::start("policy", Vec::new()));
    let client = || Client::new(&zone, host.port(), Some(folder.path()));
    host.say(response("503 Busy", "text/plain", ""));
    let early = client();
    assert_eq!(early.servers(at(0)), None);
    host.say(saying(&["mx.test"]));
    assert_eq!(client().servers(at(1)), names(&["mx.test"]), "another process has it");
    assert_eq!(early.servers(at(2)), names(&["mx.test"]));
    assert_eq!(host.requests().len(), 2);
}

#[test]
fn a_directory_that_cannot_be_used_is_told_and_the_policy_holds() {
    let folder = tempfile::tempdir().expect("a directory");
    let (file, zone) = (folder.path().join("file"), Zone::start(Some("v=STSv1; id=1;")));
    std::fs::write(&file, "x").expect("written");
    let host = PolicyHost::start("policy", saying(&["mx.test"]));
    let client = Client::new(&zone, host.port(), Some(&file));
    let found = client.find(at(0));
    assert!(found.policy.is_some() && news(&found).contains("(mta_sts_directory) cannot be read"), "{found:?}");
    assert!(found.news.iter().any(|news| news.is_ours()));
    assert_eq!((client.servers(at(1)), host.requests().len()), (names(&["mx.test"]), 1));
}

#[test]
fn many_that_need_a_policy_at_once_wait_for_one_fetch() {
    let (zone, host) = (Zone::start(Some("v=STSv1; id=1;")), PolicyHost::start("policy", saying(&["mx.test"])));
    let client = Client::new(&zone, host.port(), None);
    host.hold(true);
    thread::scope(|scope| {
        let find = || {
            // Each with a memory of its own, so that it is seen how many have come so far.
            let wait = Wait { until: Instant::now() + crate::LONG, wake: None };
            servers(&client.find_by(&resolver(&zone), wait, at(0)))
        };
        let finding: Vec<_> = (0..8).map(|_| scope.spawn(find)).collect();
        host.wait_for(1);
        // Each has asked for the record, and one more question is for the host's address.
        zone.server.times_asked(8);
        host.hold(false);
        finding.into_iter().for_each(|one| assert_eq!(one.join().expect("no panic"), names(&["mx.test"])));
    });
    assert_eq!(host.requests().len(), 1);
}
