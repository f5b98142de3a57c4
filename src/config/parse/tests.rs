//! Whole files: good ones to values, bad ones to their errors, word for word.

use super::*;
use crate::config::keys::{self, Section};
use crate::config::{Level, Trust};
use proptest::prelude::*;
use std::time::Duration;

const SAMPLE: &str = include_str!("../../../doc/pipelane.toml");

fn errors(text: &str) -> Vec<String> {
    match Config::parse(text, "f") {
        Ok(config) => panic!("no error: {config:?}"),
        Err(errors) => errors.to_string().lines().map(str::to_owned).collect(),
    }
}

fn parse(text: &str) -> Config {
    Config::parse(text, "f").unwrap_or_else(|errors| panic!("{errors}"))
}

fn hop(text: &str) -> NextHop {
    text.parse().expect(text)
}

#[test]
fn an_empty_file_is_the_defaults() {
    assert_eq!(parse(""), Config::default());
    assert_eq!(parse("[listen]\n[limits]\n[defaults]\n[next_hop]\n[route]\n"), Config::default());
}

#[test]
fn every_section_reaches_its_settings() {
    let config = parse(
        r#"
        [listen]
        runtime_directory = "/tmp/p"
        lmtp = ["127.0.0.1:2003", "[::1]:2003"]
        socket_mode = "0600"
        socket_owner = "postfix"
        max_clients = 5
        [limits]
        connections = 0x10
        bytes = 1_000_000
        message_size = "50M"
        drain_timeout = 2
        [route]
        "Example.ORG" = "[Relay.example.net]:26"
        "*" = "other.example"
        "#,
    );
    assert_eq!(config.listen.runtime_directory, Path::new("/tmp/p"));
    assert_eq!(config.listen.lmtp.len(), 2);
    assert_eq!((config.listen.socket_mode, config.listen.max_clients), (0o600, 5));
    assert_eq!(config.listen.socket_owner.as_deref(), Some("postfix"));
    assert_eq!((config.limits.connections, config.limits.bytes), (16, 1_000_000));
    assert_eq!((config.limits.message_size, config.limits.drain), (50 << 20, Duration::from_secs(2)));
    assert_eq!(config.route("EXAMPLE.org"), Some(hop("[relay.example.net]:26")));
    assert_eq!(config.route("sub.example.org"), Some(hop("other.example")));
}

#[test]
fn a_next_hop_is_the_defaults_under_its_own_keys_whatever_the_order() {
    let config = parse(
        r#"
        [next_hop."[Relay.example.net]:25"]
        trust = "stream"
        lanes = "4"
        [next_hop."plain.example"]
        [defaults]
        max_level = "chunk"
        lanes = 2
        "#,
    );
    let relay = config.settings(&hop("[relay.example.net]:25"));
    assert_eq!((relay.trust, relay.lanes.as_slice(), relay.max_level), (Trust::Stream, &[4][..], Level::Chunk));
    let plain = config.settings(&hop("plain.example"));
    assert_eq!((plain.trust, plain.lanes.as_slice(), plain.max_level), (Trust::Learned, &[2][..], Level::Chunk));
    assert_eq!(config.next_hops.len(), 2);
    assert_eq!(*config.defaults, *plain);
}

#[test]
fn unknown_names_are_named_with_what_they_may_have_been() {
    assert_eq!(
        errors("lanes = 3\n[listn]\n[listen]\nmax_client = 1\nconnections = 2\n[defaults]\ncolour = \"red\"\n[foo]\n"),
        [
            "f:1: lanes: stands in no section; put it under [listen], [limits], [defaults] or [next_hop.\"...\"]",
            "f:2: listn: unknown section; did you mean \"listen\"?",
            "f:4: listen.max_client: unknown key; did you mean \"max_clients\"?",
            "f:5: listen.connections: unknown key; it belongs in [limits]",
            "f:7: defaults.colour: unknown key",
            "f:8: foo: unknown section",
        ]
    );
}

#[test]
fn wrong_types_are_named() {
    assert_eq!(
        errors(concat!(
            "listen = 5\n",
            "[limits]\nconnections = true\nmessages = 1.5\nbytes = 1979-05-27\ndrain_timeout = [\"1s\"]\n",
            "messages = 3\n",
            "[defaults]\nhelo_name = 5\nignore_extensions = \"SIZE\"\nlanes = 99999999999999999999\ntrust.x = 1\n",
        )),
        [
            "f:1: listen: 5 is not allowed; expected a table",
            "f:3: limits.connections: a boolean is not allowed; expected a whole number from 1 to 100000",
            "f:4: limits.messages: a number with a fraction is not allowed; expected a whole number from 1 to 10000000",
            "f:5: limits.bytes: a date is not allowed; expected octets from 64K to 1024T, such as 65536 or \"64K\"",
            "f:6: limits.drain_timeout: [\"1s\"] is not allowed; expected a time from 0 to 1d, such as 30, \"30s\" or \"5m\"",
            "f:7: \"messages\" stands twice",
            "f:9: defaults.helo_name: 5 is not allowed; expected a domain or an address literal, such as \
             \"mail.example.org\", \"[192.0.2.1]\" or \"[IPv6:2001:db8::1]\", or \"\" for the host's own name",
            "f:10: defaults.ignore_extensions: \"SIZE\" is not allowed; expected an array of EHLO keywords, such as \
             [\"CHUNKING\", \"SIZE\"]",
            "f:11: defaults.lanes: a number that large is not allowed; expected a whole number from 1 to 1000, or one for each bin, such as \"2 1 1 1\"",
            "f:12: defaults.trust: a table is not allowed; expected \"learned\" or \"stream\"",
        ]
    );
}

#[test]
fn bad_values_say_what_is_allowed() {
    assert_eq!(
        errors(concat!(
            "[listen]\nruntime_directory = \"run\"\nlmtp = [\"localhost:24\"]\nlmtp2 = 1\nsocket_mode = \"0999\"\n",
            "socket_owner = \"a b\"\n[limits]\nmessage_size = 5\n",
            "[defaults]\nlanes = -1\nrset_timeout = 0\nsource_address = \"::\"\n",
        )),
        [
            "f:2: listen.runtime_directory: \"run\" is not allowed; expected an absolute path, such as \"/run/pipelane\"",
            "f:3: listen.lmtp: [\"localhost:24\"] is not allowed; expected an array of different addresses, such as \
             [\"127.0.0.1:2003\", \"[::1]:2003\"]",
            "f:4: listen.lmtp2: unknown key; did you mean \"lmtp\"?",
            "f:5: listen.socket_mode: \"0999\" is not allowed; expected three or four octal digits in quotes, \"0001\" to \
             \"0777\"",
            "f:6: listen.socket_owner: \"a b\" is not allowed; expected a name or a number in quotes, such as \"postfix\", or \
             \"\" to leave it",
            "f:8: limits.message_size: 5 is not allowed; expected 0, or octets from 64K to 1T, such as 65536 or \"64K\"",
            "f:10: defaults.lanes: -1 is not allowed; expected a whole number from 1 to 1000, or one for each bin, such as \"2 1 1 1\"",
            "f:11: defaults.rset_timeout: 0 is not allowed; expected a time from 100ms to 1d, such as 30, \"30s\" or \"5m\"",
            "f:12: defaults.source_address: \"::\" is not allowed; expected an IP address of this host, such as \
             \"192.0.2.1\", or \"\" for any",
        ]
    );
}

#[test]
fn bad_next_hops_are_named() {
    assert_eq!(
        errors(concat!(
            "[next_hop.\"a:0\"]\nlanes = 0\n",
            "[next_hop.\"..\"]\n",
            "[next_hop.\"[B]:25\"]\n[next_hop.\"[b]:25\"]\n",
            "[next_hop.relay.example]\nlanes = 2\n",
            "[next_hop.\"a\\nb\"]\n",
        )),
        [
            "f:1: next_hop.\"a:0\": \"a:0\" is no next hop: the port is not 1 to 65535 (expected [host]:port, host:port, \
             [host], domain or unix:/path, or several with commas)",
            "f:2: next_hop.\"a:0\".lanes: 0 is not allowed; expected a whole number from 1 to 1000, or one for each bin, such as \"2 1 1 1\"",
            "f:3: next_hop.\"..\": a next hop cannot begin with a dot",
            "f:5: next_hop.\"[b]:25\": the same next hop as in line 4; case makes no difference",
            "f:6: next_hop.relay.example: unknown key; a next hop with dots stands in quotes, as in \
             [next_hop.\"relay.example.net\"]",
            "f:8: next_hop.\"a\\nb\": \"a\\nb\" is no next hop: the host has a character that no host name or address has \
             (expected [host]:port, host:port, [host], domain or unix:/path, or several with commas)",
        ]
    );
    assert_eq!(
        errors("[next_hop]\nlanes = 3\n"),
        [
            "f:2: next_hop.lanes: 3 is not allowed; expected a table of settings; those of all next hops stand in [defaults]"
        ]
    );
    assert_eq!(
        errors("[[next_hop]]\nlanes = 3\n"),
        ["f:1: next_hop: an array of other things than texts is not allowed; expected a table"]
    );
}

#[test]
fn a_socket_path_that_no_socket_can_have_is_an_error() {
    let text = format!("[next_hop.\"relay.example\"]\n[listen]\nruntime_directory = \"/{}\"\n", "x".repeat(90));
    assert_eq!(
        errors(&text),
        ["f:1: next_hop.\"relay.example\": its socket's path would have 108 octets, and 107 is the most; shorten \
          runtime_directory"]
    );
    parse(&text.replace("xx", "x"));
}

#[test]
fn bad_routes_are_named() {
    let next_hop = "[host]:port, host:port, [host], domain or unix:/path, or several with commas";
    assert_eq!(
        errors(concat!(
            "[route]\nexample.org = \"a\"\n\"b.example\" = \"::1\"\n\"C.example\" = \"a\"\n\"c.example\" = \"a\"\n",
            "\"\" = \"a\"\n\"*.org\" = \"a\"\n\".org\" = \"a\"\n\"a@b\" = \"a\"\n\"d\" = 5\n",
        )),
        [
            "f:2: route.example: a table is not allowed; expected a next hop in quotes, as in \
             \"example.org\" = \"[relay.example.net]:25\"",
            &format!(
                "f:3: route.\"b.example\": \"::1\" is no next hop: an IPv6 address needs brackets (expected {next_hop})"
            ),
            "f:5: route.\"c.example\": this domain is routed already; case makes no difference",
            "f:6: route.\"\": the domain is empty; \"*\" stands for every other domain",
            "f:7: route.\"*.org\": \"*\" stands alone, for every domain that is not listed",
            "f:8: route.\".org\": a domain cannot begin with a dot, and its subdomains have to be listed too",
            "f:9: route.\"a@b\": the domain has a character that no domain has",
            "f:10: route.d: 5 is not allowed; expected a next hop in quotes, as in \
             \"example.org\" = \"[relay.example.net]:25\"",
        ]
    );
    assert_eq!(parse("[route]\n\"[192.0.2.1]\" = \"a\"\n\"exämple.org\" = \"b\"\n").routes.len(), 2);
}

#[test]
fn what_is_no_toml_has_its_line_and_hides_only_what_follows() {
    let found = errors("[defaults]\nlanes = 0\ntrust = stream\nlanes2 = 1\n[listen]\nmax_clients = 0\n");
    assert_eq!(
        found[0],
        "f:2: defaults.lanes: 0 is not allowed; expected a whole number from 1 to 1000, or one for each bin, such as \"2 1 1 1\""
    );
    assert!(found[1].starts_with("f:3: not TOML: "), "{}", found[1]);
    assert_eq!(found.len(), 2);
    for text in [
        "[defaults\nlanes = 1\n",
        "\n\n\"",
        "a = [\n",
        "= 3",
        "[a]]\n",
        "[listen]\nlmtp = '''\n\n",
        "[defaults]\nlanes = [\n1\n",
        "\0",
        "lanes 3\n",
    ] {
        let found = errors(text);
        assert!(found.iter().all(|error| error.contains(": not TOML: ")), "{text:?}: {found:?}");
    }
}

#[test]
fn errors_are_many_but_bounded() {
    let text: String = (0..60).map(|n| format!("key{n} = 1\n")).collect();
    let found = errors(&format!("[limits]\n{text}"));
    assert_eq!(found.len(), 51);
    assert_eq!(found[0], "f:2: limits.key0: unknown key");
    assert_eq!(found[49], "f:51: limits.key49: unknown key");
    assert_eq!(found[50], "f: 10 more");
    let long =
        errors(&format!("[defaults]\nhelo_name = \"{0}\"\n\"{0}\" = 1\n[next_hop.\"{0}\"]\n", "x".repeat(300_000)));
    assert_eq!(long.len(), 3);
    assert!(long.iter().all(|error| error.len() < 600), "{long:?}");
}

#[test]
fn a_file_is_read_and_what_cannot_be_read_is_said() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("p.toml");
    let error = |path: &Path| Config::load(path).expect_err("no good file").to_string();
    assert_eq!(error(&path), format!("{}: cannot be read: No such file or directory (os error 2)", path.display()));
    assert!(error(directory.path()).contains(": cannot be read: "));
    let write = |octets: &[u8]| std::fs::write(&path, octets).expect("written");
    write(b"[defaults]\nlanes = 3\n");
    assert_eq!(Config::load(&path).expect("a good file").defaults.lanes, [3]);
    write(b"[defaults]\nlanes = 0\n");
    assert!(error(&path).starts_with(&format!("{}:2: defaults.lanes: ", path.display())));
    write(b"[defaults]\n# caf\xe9\n");
    assert_eq!(error(&path), format!("{}:2: not UTF-8, which TOML has to be", path.display()));
    write(&vec![b'\n'; MAX_FILE]);
    assert_eq!(Config::load(&path), Ok(Config::default()));
    write(&vec![b'\n'; MAX_FILE + 1]);
    assert_eq!(error(&path), format!("{}: has over 1048576 octets, which no configuration needs", path.display()));
}

#[test]
fn line_ends_of_other_systems_and_a_byte_order_mark_do_not_matter() {
    let config = parse("\u{feff}[defaults]\r\nlanes = 3\r\n");
    assert_eq!(config.defaults.lanes, [3]);
    assert!(errors("[defaults]\r\nlanes = 0\r\n")[0].starts_with("f:2: "));
}

/// The sample with its settings uncommented: a line `# key = value` or `# [section]`. Prose has neither form.
fn uncommented(sample: &str) -> String {
    let setting = |line: &str| {
        let key = line.split(" = ").next().filter(|key| line.len() > key.len() && !key.contains(' '));
        key.is_some() || line.starts_with('[')
    };
    let lines = sample.lines().map(|line| line.strip_prefix("# ").filter(|rest| setting(rest)).unwrap_or(line));
    lines.map(|line| line.to_owned() + "\n").collect()
}

#[test]
fn the_sample_is_the_defaults_as_it_stands() {
    assert_eq!(parse(SAMPLE), Config::default());
}

#[test]
fn the_sample_has_every_key_with_its_default() {
    let section_of = |section: Section| match section {
        Section::Listen => "[listen]",
        Section::Limits => "[limits]",
        Section::NextHop => "[defaults]",
    };
    let all = uncommented(SAMPLE);
    for key in keys::all() {
        let (_, section) = all.split_once(&format!("{}\n", section_of(key.section()))).expect("the section");
        let section = section.split("\n[").next().expect("its lines");
        let line = format!("\n{} = {}\n", key.name, key.default_toml());
        assert!(format!("\n{section}\n").contains(&line), "{line}");
    }
    let config = parse(&all);
    let default = Config::default();
    assert_eq!(
        (&config.listen, &config.limits, &config.defaults),
        (&default.listen, &default.limits, &default.defaults)
    );
    assert!(!config.next_hops.is_empty() && !config.routes.is_empty());
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "[\\[\\]\"'={},.\n a-c#*\\\\0-9]{0,80}") {
        let _ = Config::parse(&text, "f");
    }

    #[test]
    fn no_damage_to_a_real_file_makes_the_reader_panic(at in 0..4000_usize, to in 0..4000_usize, with in "[\\[\\]\"'={}\n.]{0,3}") {
        let mut text = uncommented(SAMPLE);
        let (at, to) = (at.min(to) % text.len(), at.max(to) % text.len());
        if at <= to && text.is_char_boundary(at) && text.is_char_boundary(to) {
            text.replace_range(at..to.min(at + 20), &with);
        }
        if let Err(errors) = Config::parse(&text, "f") {
            prop_assert!(errors.iter().count() > 0);
        }
    }
}

#[test]
fn keys_that_do_not_fit_together_are_named_in_their_line() {
    assert_eq!(
        errors("[defaults]\ntrust = \"stream\"\nlanes = \"2 1 1\"\n"),
        ["f:3: defaults.lanes: 3 values for the 4 bins of sizebins; give one, or one for each"]
    );
    assert_eq!(
        errors(
            "[defaults]\nlanes = \"2 1 1 1\"\n[next_hop.a]\nsizebins = \"64 0\"\n[next_hop.b]\norder = \"unsorted\"\n"
        ),
        [
            "f:3: next_hop.a.lanes: 4 values for the 2 bins of sizebins; give one, or one for each",
            "f:5: next_hop.b.lanes: 4 values, but order is \"unsorted\", where all lanes are alike; give one",
        ]
    );
    let config =
        parse("[defaults]\nsizebins = \"4 64 0\"\nlanes = \"2 1 1\"\n[next_hop.a]\ndscp = \"ef 10 le\"\nlanes = 3\n");
    let a = &config.next_hops[&"a".parse().expect("a next hop")];
    assert_eq!((a.lanes_by_bin(), a.dscp.as_slice()), (vec![3, 3, 3], &[46, 10, 1][..]));
}
