//! The table against the settings: every key reaches its own field, and every default is the default.

use super::*;
use crate::config::{
    AuthSettings, Config, HostLookup, Level, Mechanism, NameServers, Order, Protocol, Routing, Timeouts, TlsLibrary,
    TlsPolicy, TlsSettings, TlsVersion, Trust,
};
use std::time::Duration;

/// Settings in which no field has its default: written out, so that a new field does not compile without a thought
/// here.
fn other_listen() -> Listen {
    Listen {
        runtime_directory: "/other".into(),
        lmtp: vec!["127.0.0.1:24".parse().expect("an address")],
        socket_mode: 0o600,
        socket_owner: Some("a".into()),
        socket_group: Some("b".into()),
        max_clients: 7,
    }
}

fn other_limits() -> Limits {
    Limits {
        connections: 7,
        messages: 7,
        bytes: 7,
        message_size: 7,
        content_memory: 7,
        content_directory: "/other".into(),
        mta_sts_directory: Some("/other".into()),
        drain: Duration::from_secs(7),
    }
}

fn other_next_hop() -> NextHopSettings {
    let t = Duration::from_secs(7);
    NextHopSettings {
        order: Order::Unsorted,
        sizebins: vec![7168, u64::MAX],
        lanes: vec![7],
        max_connections: 7,
        dscp: vec![7],
        congestion: vec!["x".into()],
        protocol: Protocol::Lmtp,
        max_level: Level::Lockstep,
        trust: Trust::Stream,
        window_messages: 7,
        window_bytes: 7,
        max_messages: 7,
        max_bytes: 7,
        redispatches: 7,
        messages_per_connection: 7,
        ignore_extensions: vec!["SIZE".into()],
        helo_name: Some("x".into()),
        source_address: Some([127, 0, 0, 7].into()),
        routing: Routing {
            name_servers: NameServers { addresses: vec!["127.0.0.7:53".parse().expect("an address")], trusted: true },
            host_lookup: HostLookup::Dns,
            own_names: vec!["x".into()],
            own_addresses: false,
            fallback_relay: "x".parse().ok(),
            mta_sts: true,
        },
        tls: TlsSettings {
            policy: TlsPolicy::Verify,
            name: Some("x".into()),
            ca_file: Some("/x".into()),
            cert_file: Some("/x".into()),
            key_file: Some("/x".into()),
            minimum: TlsVersion::V13,
            wrapped: true,
            library: TlsLibrary::Native,
        },
        auth: AuthSettings { file: Some("/x".into()), mechanisms: vec![Mechanism::XOAuth2], in_clear: true },
        normalise_newlines: false,
        refuse_long_lines: true,
        timeouts: Timeouts {
            connect: t,
            greeting: t,
            starttls: t,
            mail: t,
            rcpt: t,
            data_init: t,
            data_transfer: t,
            data_done: t,
            rset: t,
            idle: t,
            next_server: t,
        },
    }
}

/// Each key's default changes nothing in default settings, something in the others, and all together make these the
/// default.
fn check<S: Settings + Default + Clone + PartialEq + std::fmt::Debug>(other: S) {
    let mut all = other.clone();
    for key in S::SECTION.keys() {
        let mut default = S::default();
        set_text(&mut default, key.name, key.default).expect(key.name);
        assert_eq!(default, S::default(), "the default of {}", key.name);
        let mut one = other.clone();
        set_text(&mut one, key.name, key.default).expect(key.name);
        assert_ne!(one, other, "{} sets nothing", key.name);
        set_text(&mut all, key.name, key.default).expect(key.name);
    }
    assert_eq!(all, S::default());
}

#[test]
fn every_field_has_a_key_and_every_default_text_is_the_default() {
    check(other_listen());
    check(other_limits());
    check(other_next_hop());
}

/// Where two keys have the same default the test above cannot tell them apart; this one gives each a value of its own.
#[test]
fn keys_with_the_same_default_reach_different_fields() {
    let (mut hop, mut listen, mut limits) = (NextHopSettings::default(), Listen::default(), Limits::default());
    let timeouts = [
        "connect",
        "greeting",
        "starttls",
        "mail",
        "rcpt",
        "data_init",
        "data_transfer",
        "data_done",
        "rset",
        "idle",
        "next_server",
    ];
    for (n, stage) in timeouts.iter().enumerate() {
        set_next_hop(&mut hop, &format!("{stage}_timeout"), &(n + 1).to_string()).expect(stage);
    }
    let s = Duration::from_secs;
    let expected = Timeouts {
        connect: s(1),
        greeting: s(2),
        starttls: s(3),
        mail: s(4),
        rcpt: s(5),
        data_init: s(6),
        data_transfer: s(7),
        data_done: s(8),
        rset: s(9),
        idle: s(10),
        next_server: s(11),
    };
    assert_eq!(hop.timeouts, expected);
    for file in ["ca", "cert", "key"] {
        set_next_hop(&mut hop, &format!("tls_{file}_file"), &format!("/{file}")).expect(file);
    }
    set_next_hop(&mut hop, "tls_name", "name").expect("a name");
    let path = |path: &str| Some(path.into());
    let tls = TlsSettings {
        name: Some("name".into()),
        ca_file: path("/ca"),
        cert_file: path("/cert"),
        key_file: path("/key"),
        ..TlsSettings::default()
    };
    assert_eq!(hop.tls, tls);
    for (name, text) in [("socket_owner", "a"), ("socket_group", "b"), ("max_clients", "5")] {
        set_listen(&mut listen, name, text).expect(name);
    }
    assert_eq!((listen.socket_owner.as_deref(), listen.socket_group.as_deref()), (Some("a"), Some("b")));
    set_limits(&mut limits, "content_directory", "/c").expect("a path");
    assert_eq!((limits.content_directory, listen.max_clients), ("/c".into(), 5));
}

#[test]
fn every_key_has_a_name_of_its_own_and_a_text() {
    for (n, key) in all().enumerate() {
        assert!(!all().take(n).any(|other| other.name == key.name), "{} twice", key.name);
        assert!(key.name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{}", key.name);
        assert!(key.doc.ends_with('.') && key.doc.len() > 20, "{}: {}", key.name, key.doc);
        assert!(!key.doc.contains("  ") && !key.doc.contains('\n'), "{}: {}", key.name, key.doc);
        assert!(!key.expected().is_empty() && !key.kind_name().is_empty());
    }
}

/// A bound in and a bound out, for every key that is a number.
fn check_bounds<S: Settings + Default>(of: fn(&Kind<S>) -> Option<(Bounds, &'static str)>) {
    for key in S::SECTION.keys() {
        let kind = S::kind(key).expect("a key of this section");
        let Some((bounds, unit)) = of(kind) else { continue };
        let set = |number: u64| set_text(&mut S::default(), key.name, &format!("{number}{unit}"));
        set(bounds.least).expect(key.name);
        set(bounds.most).expect(key.name);
        let above = set(bounds.most + 1).expect_err(key.name).to_string();
        assert!(above.contains(&key.expected()), "{above}");
        if bounds.least > 0 {
            assert_eq!(set(0).is_ok(), bounds.zero, "{} = 0", key.name);
        }
        if bounds.least > 1 {
            set(bounds.least - 1).expect_err(key.name);
        }
    }
}

fn number_bounds<S>(kind: &Kind<S>) -> Option<(Bounds, &'static str)> {
    match kind {
        Kind::Count(bounds, _) | Kind::Octets(bounds, _) => Some((*bounds, "")),
        Kind::Time(bounds, _) => Some((*bounds, "ms")),
        Kind::Text(..) | Kind::Words(..) | Kind::List(..) => None,
    }
}

#[test]
fn every_number_keeps_its_bounds() {
    check_bounds::<Listen>(number_bounds);
    check_bounds::<Limits>(number_bounds);
    check_bounds::<NextHopSettings>(number_bounds);
}

#[test]
fn a_text_sets_a_key_of_a_next_hop() {
    let mut settings = NextHopSettings::default();
    for (name, text) in [
        ("lanes", "4"),
        ("window_bytes", "64K"),
        ("rset_timeout", "500ms"),
        ("trust", "stream"),
        ("protocol", "lmtp"),
        ("max_level", "overlap"),
        ("helo_name", "mail.example.org"),
        ("source_address", "127.0.0.9"),
        ("ignore_extensions", "chunking, SIZE"),
        ("bare_newlines", "refuse"),
        ("long_lines", "refuse"),
    ] {
        set_next_hop(&mut settings, name, text).expect(name);
    }
    assert_eq!(
        settings,
        NextHopSettings {
            lanes: vec![4],
            window_bytes: 65_536,
            timeouts: Timeouts { rset: Duration::from_millis(500), ..Timeouts::default() },
            trust: Trust::Stream,
            protocol: Protocol::Lmtp,
            max_level: Level::Overlap,
            helo_name: Some("mail.example.org".into()),
            source_address: Some([127, 0, 0, 9].into()),
            ignore_extensions: vec!["CHUNKING".into(), "SIZE".into()],
            normalise_newlines: false,
            refuse_long_lines: true,
            ..NextHopSettings::default()
        }
    );
}

#[test]
fn a_refused_text_says_what_is_allowed_and_changes_nothing() {
    for (name, text, error) in [
        (
            "lanes",
            "0",
            "lanes: \"0\" is not allowed; expected a whole number from 1 to 1000, or one for each bin, such as \"2 1 1 1\"",
        ),
        (
            "sizebins",
            "64 4 0",
            "sizebins: \"64 4 0\" is not allowed; expected upper bounds in kilobytes, rising, at most 16, and 0 (no limit) for the last, such as \"4 64 1000 0\"",
        ),
        (
            "window_bytes",
            "1X",
            "window_bytes: \"1X\" is not allowed; expected octets from 4K to 1G, such as 65536 or \"64K\"",
        ),
        (
            "rset_timeout",
            "5 s",
            "rset_timeout: \"5 s\" is not allowed; expected a time from 100ms to 1d, such as 30, \"30s\" or \"5m\"",
        ),
        (
            "max_level",
            "fast",
            "max_level: \"fast\" is not allowed; expected \"lockstep\", \"envelope\", \"overlap\", \"chunk\" or \"stream\"",
        ),
        ("long_lines", "", "long_lines: \"\" is not allowed; expected \"pass\" or \"refuse\""),
        (
            "ignore_extensions",
            "A+B",
            "ignore_extensions: [\"A+B\"] is not allowed; expected an array of EHLO keywords, such as [\"CHUNKING\", \"SIZE\"]",
        ),
    ] {
        let mut settings = other_next_hop();
        let refused = set_next_hop(&mut settings, name, text).expect_err(name);
        assert!(matches!(refused, KeyError::BadValue { .. }));
        assert_eq!(refused.to_string(), error);
        assert_eq!(settings, other_next_hop());
    }
    let crlf = set_next_hop(&mut NextHopSettings::default(), "helo_name", "a\r\nRSET").expect_err("two lines");
    assert!(crlf.to_string().starts_with("helo_name: \"a\\r\\nRSET\" is not allowed; expected a domain"), "{crlf}");
}

#[test]
fn an_unknown_key_is_told_apart_and_helped() {
    let unknown = |name: &str| match set_next_hop(&mut NextHopSettings::default(), name, "1") {
        Err(error @ KeyError::Unknown { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(unknown("lane"), "lane: unknown key; did you mean \"lanes\"?");
    assert_eq!(unknown("Max_Level"), "Max_Level: unknown key; did you mean \"max_level\"?");
    assert_eq!(unknown("conect_timeout"), "conect_timeout: unknown key; did you mean \"connect_timeout\"?");
    assert_eq!(unknown("connections"), "connections: unknown key; it belongs in [limits]");
    assert_eq!(unknown("colour"), "colour: unknown key");
    assert_eq!(unknown(""), "\"\": unknown key");
    assert_eq!(unknown("a\nb"), "\"a\\nb\": unknown key");
    assert!(unknown(&"lanes".repeat(1000)).len() < 150);
    let misplaced = set_limits(&mut Limits::default(), "trust", "stream").expect_err("not a limit");
    assert_eq!(misplaced.to_string(), "trust: unknown key; it belongs in [defaults] or [next_hop.\"...\"]");
    assert_eq!(
        set_listen(&mut Listen::default(), "lmpt", "").map_err(|e| e.why()),
        Err("unknown key; did you mean \"lmtp\"?".into())
    );
}

#[test]
fn every_default_can_stand_in_a_file() {
    let section = |title: &str, section: Section| {
        let keys = section.keys().map(|key| format!("{} = {}\n", key.name, key.default_toml()));
        format!("[{title}]\n{}", keys.collect::<String>())
    };
    let text = section("listen", Section::Listen)
        + &section("limits", Section::Limits)
        + &section("defaults", Section::NextHop);
    assert_eq!(Config::parse(&text, "all defaults"), Ok(Config::default()));
}
