//! A policy: its text (RFC 8461 section 3.2), and which servers it names (section 4.1).
//!
//! Promises: a text of any octets gives a policy or says in words why it is none; its work and its memory are bounded
//! by [`POLICY`] octets and [`PATTERNS`] patterns. A policy that is not written as the RFC says is none at all, so that
//! no half of one is enforced; but empty lines are passed over, and lines may end in CRLF or LF. Fields that nobody
//! knows are for later versions. Of a field that stands twice the first counts. A policy holds for a year at the
//! most, and for a minute at the least, so that no domain makes us ask without end.

use super::record::is_name;
use crate::net::dns::Name;
use std::fmt;
use std::time::Duration;
use thiserror::Error;

/// The most octets of a policy's text.
pub const POLICY: usize = 64 * 1024;

/// The most patterns of a policy. No domain is known to come near.
pub const PATTERNS: usize = 100;

/// How long a policy can hold (RFC 8461 section 3.2).
pub const LONGEST: Duration = Duration::from_secs(31_557_600);

/// No policy is asked for anew sooner, whatever it says.
pub const SHORTEST: Duration = Duration::from_secs(60);

/// What the domain wants done with servers that do not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// No mail to them.
    Enforce,
    /// Mail as ever; it only wants to hear of it.
    Testing,
    /// Nothing: it has no policy any more.
    None,
}

impl Mode {
    const ALL: [Mode; 3] = [Mode::Enforce, Mode::Testing, Mode::None];

    /// As policies have it.
    pub const fn name(self) -> &'static str {
        match self {
            Mode::Enforce => "enforce",
            Mode::Testing => "testing",
            Mode::None => "none",
        }
    }
}

/// Names of servers that a policy has: one, or all that have one more label before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    name: Name,
    is_wildcard: bool,
}

impl Pattern {
    /// `mx.example.org` or `*.example.org`.
    pub fn parse(text: &str) -> Option<Pattern> {
        let (is_wildcard, name) = match text.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, text),
        };
        Some(Pattern { name: Name::parse(name).ok()?, is_wildcard })
    }

    /// Whether this is one of the names. The wildcard stands for exactly one label, the first.
    pub fn matches(&self, server: &Name) -> bool {
        match self.is_wildcard {
            false => *server == self.name,
            true => server.as_str().split_once('.').is_some_and(|(_, rest)| rest == self.name.as_str()),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.is_wildcard { "*." } else { "" }, self.name)
    }
}

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// How serious it is.
    pub mode: Mode,
    /// The servers; at least one, unless the mode is none.
    pub patterns: Vec<Pattern>,
    /// How long it holds from when it was fetched, in whole seconds.
    pub max_age: Duration,
}

/// Why a text is no policy. For people.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct BadPolicy(String);

/// What has been read so far.
#[derive(Default)]
struct Fields {
    version: bool,
    mode: Option<Mode>,
    max_age: Option<Duration>,
    patterns: Vec<Pattern>,
}

impl Policy {
    /// The policy that this text is.
    pub fn parse(octets: &[u8]) -> Result<Policy, BadPolicy> {
        let bad = |text: &str| BadPolicy(text.to_owned());
        if octets.len() > POLICY {
            return Err(bad("it is too long"));
        }
        let text = std::str::from_utf8(octets).map_err(|_| bad("it is no text in UTF-8"))?;
        let mut fields = Fields::default();
        for (at, line) in text.split('\n').enumerate() {
            let line = line.strip_suffix('\r').unwrap_or(line).trim_end_matches([' ', '\t']);
            if !line.is_empty() {
                fields.take(line).map_err(|text| BadPolicy(format!("line {}: {text}", at + 1)))?;
            }
        }
        fields.policy().map_err(bad)
    }

    /// Whether the policy names this server.
    pub fn names(&self, server: &Name) -> bool {
        self.patterns.iter().any(|pattern| pattern.matches(server))
    }
}

/// The same policy as a text.
impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "version: STSv1\nmode: {}", self.mode.name())?;
        self.patterns.iter().try_for_each(|pattern| writeln!(f, "mx: {pattern}"))?;
        writeln!(f, "max_age: {}", self.max_age.as_secs())
    }
}

impl Fields {
    /// One line that is not empty. The error is what is wrong with it.
    fn take(&mut self, line: &str) -> Result<(), &'static str> {
        let (name, value) = line.split_once(':').ok_or("there is no field")?;
        let value = value.trim_start_matches([' ', '\t']);
        match name {
            "version" => {
                // A second one is passed over, but what the text is, the first says.
                self.version = self.version || value == "STSv1";
                self.version.then_some(()).ok_or("the version is not STSv1")
            }
            "mode" if self.mode.is_some() => Ok(()),
            "mode" => {
                self.mode = Mode::ALL.into_iter().find(|mode| mode.name() == value);
                self.mode.map(drop).ok_or("there is no such mode")
            }
            "max_age" if self.max_age.is_some() => Ok(()),
            "max_age" => {
                self.max_age = seconds(value);
                self.max_age.map(drop).ok_or("max_age is no number of seconds")
            }
            "mx" if self.patterns.len() >= PATTERNS => Err("there are too many servers"),
            "mx" => Pattern::parse(value).map(|pattern| self.patterns.push(pattern)).ok_or("mx is no name of a server"),
            _ if is_name(name) && !value.is_empty() && !value.chars().any(char::is_control) => Ok(()),
            _ => Err("there is no field"),
        }
    }

    fn policy(self) -> Result<Policy, &'static str> {
        let mode = match (self.version, self.mode) {
            (false, _) => return Err("it has no version"),
            (true, None) => return Err("it has no mode"),
            (true, Some(mode)) => mode,
        };
        let max_age = self.max_age.ok_or("it has no max_age")?;
        match mode != Mode::None && self.patterns.is_empty() {
            true => Err("it names no server"),
            false => Ok(Policy { mode, patterns: self.patterns, max_age }),
        }
    }
}

/// 1 to 10 digits.
fn seconds(digits: &str) -> Option<Duration> {
    let fits = (1..=10).contains(&digits.len()) && digits.bytes().all(|octet| octet.is_ascii_digit());
    let seconds = fits.then(|| digits.parse().ok()).flatten()?;
    Some(Duration::from_secs(seconds).clamp(SHORTEST, LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> Name {
        Name::parse(text).expect(text)
    }

    fn refusal(text: &str) -> String {
        Policy::parse(text.as_bytes()).expect_err(text).to_string()
    }

    #[test]
    fn the_example_of_the_rfc() {
        let text = "version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\n\
            mx: backupmx.example.com\r\nmax_age: 604800\r\n";
        let policy = Policy::parse(text.as_bytes()).expect("a policy");
        assert_eq!((policy.mode, policy.max_age), (Mode::Enforce, Duration::from_secs(604_800)));
        let patterns: Vec<String> = policy.patterns.iter().map(Pattern::to_string).collect();
        assert_eq!(patterns, ["mail.example.com", "*.example.net", "backupmx.example.com"]);
        assert!(policy.names(&name("MAIL.example.com")) && policy.names(&name("a.example.net")));
        assert!(!policy.names(&name("example.net")) && !policy.names(&name("mail.example.org")));
    }

    #[test]
    fn other_ways_to_write_it() {
        for (text, expected) in [
            ("version:STSv1\nmode:none\nmax_age:86400", (Mode::None, 0, 86400)),
            ("mx: a.test\nmax_age: 86400\nmode: testing\nversion: STSv1", (Mode::Testing, 1, 86400)),
            ("version: STSv1 \t\n\n\r\nmode: \t enforce \nmx: a.test.\nmax_age: 0\n\n", (Mode::Enforce, 1, 60)),
            ("version: STSv1\nmode: none\nmax_age: 9999999999\n", (Mode::None, 0, 31_557_600)),
            (
                "version: STSv1\nmode: enforce\nmode: none\nmx: a.test\nmax_age: 61\nmax_age: x\n",
                (Mode::Enforce, 1, 61),
            ),
            ("version: STSv1\nversion: STSv9\nmode: none\nmax_age: 61\n", (Mode::None, 0, 61)),
            ("version: STSv1\nmode: none\nnew-one.x_y: ä b: c\nmax_age: 61\n", (Mode::None, 0, 61)),
        ] {
            let policy = Policy::parse(text.as_bytes()).expect(text);
            assert_eq!((policy.mode, policy.patterns.len(), policy.max_age.as_secs()), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_policy_says_why() {
        let rest = "mode: enforce\nmx: a.test\nmax_age: 86400\n";
        for (text, why) in [
            ("", "it has no version"),
            (rest, "it has no version"),
            ("version: STSv1\nmx: a.test\nmax_age: 86400\n", "it has no mode"),
            ("version: STSv1\nmode: enforce\nmx: a.test\n", "it has no max_age"),
            ("version: STSv1\nmode: enforce\nmax_age: 1\n", "it names no server"),
            ("version: STSv1\nmode: testing\nmax_age: 1\n", "it names no server"),
            ("version: STSv2\n", "line 1: the version is not STSv1"),
            ("version: stsv1\n", "line 1: the version is not STSv1"),
            ("version: STSv1\nmode: Enforce\n", "line 2: there is no such mode"),
            ("version: STSv1\nmode:\n", "line 2: there is no such mode"),
            ("max_age: -1\n", "line 1: max_age is no number of seconds"),
            ("max_age: +1\n", "line 1: max_age is no number of seconds"),
            ("max_age: 00000000001\n", "line 1: max_age is no number of seconds"),
            ("max_age: 1 2\n", "line 1: max_age is no number of seconds"),
            ("mx: *\n", "line 1: mx is no name of a server"),
            ("mx: *.\n", "line 1: mx is no name of a server"),
            ("mx: *.*.test\n", "line 1: mx is no name of a server"),
            ("mx: a.*.test\n", "line 1: mx is no name of a server"),
            ("mx: *a.test\n", "line 1: mx is no name of a server"),
            ("mx: .a.test\n", "line 1: mx is no name of a server"),
            ("mx: a.test b.test\n", "line 1: mx is no name of a server"),
            ("mx: [192.0.2.1]\n", "line 1: mx is no name of a server"),
            ("mx:\n", "line 1: mx is no name of a server"),
            ("\n<html>\n", "line 2: there is no field"),
            (" mode: none\n", "line 1: there is no field"),
            ("mode : none\n", "line 1: there is no field"),
            ("new:\n", "line 1: there is no field"),
            ("new: a\u{1}\n", "line 1: there is no field"),
            ("version: STSv1\rmode: none\rmax_age: 1", "line 1: the version is not STSv1"),
        ] {
            assert_eq!(refusal(text), why, "{text:?}");
        }
        assert_eq!(Policy::parse(b"version: \xff").expect_err("no text").to_string(), "it is no text in UTF-8");
    }

    #[test]
    fn a_policy_has_its_bounds() {
        let with = |count| format!("version: STSv1\nmode: enforce\nmax_age: 61\n{}", "mx: a.test\n".repeat(count));
        assert_eq!(Policy::parse(with(PATTERNS).as_bytes()).expect("a policy").patterns.len(), PATTERNS);
        assert!(refusal(&with(PATTERNS + 1)).ends_with("there are too many servers"));
        let fill = |length: usize| {
            let text = with(1);
            [text.as_bytes(), &vec![b'\n'; length - text.len()]].concat()
        };
        assert!(Policy::parse(&fill(POLICY)).is_ok());
        assert_eq!(Policy::parse(&fill(POLICY + 1)).expect_err("too long").to_string(), "it is too long");
    }

    #[test]
    fn a_pattern_matches_one_name_or_one_label_before_it() {
        for (pattern, server, expected) in [
            ("mx.test", "mx.test", true),
            ("MX.Test.", "mx.test", true),
            ("mx.test", "a.mx.test", false),
            ("mx.test", "test", false),
            ("*.test", "mx.test", true),
            ("*.Test", "MX.test", true),
            ("*.test", "test", false),
            ("*.test", "a.mx.test", false),
            ("*.mx.test", "a.mx.test", true),
            ("*.mx.test", "amx.test", false),
            ("*.mx.test", "a.b.mx.test", false),
        ] {
            let found = Pattern::parse(pattern).expect(pattern).matches(&name(server));
            assert_eq!(found, expected, "{pattern} {server}");
        }
    }

    fn policy() -> impl Strategy<Value = Policy> {
        let pattern = "(\\*\\.)?[a-z0-9_-]{1,12}(\\.[a-z0-9-]{1,12}){0,4}";
        let patterns = proptest::collection::vec(pattern, 1..20);
        (prop_oneof![Just(Mode::Enforce), Just(Mode::Testing), Just(Mode::None)], patterns, 60..31_557_601u64).prop_map(
            |(mode, patterns, seconds)| {
                let patterns = patterns.iter().map(|text| Pattern::parse(text).expect("a pattern")).collect();
                Policy { mode, patterns, max_age: Duration::from_secs(seconds) }
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_policy_is_the_same_after_it_was_written(policy in policy()) {
            prop_assert_eq!(Policy::parse(policy.to_string().as_bytes()), Ok(policy));
        }

        #[test]
        fn any_octets_are_survived(octets in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = Policy::parse(&octets);
            let _ = Policy::parse(&[b"version: STSv1\nmode: enforce\nmx: a.test\nmax_age: 1\n", &octets[..]].concat());
        }

        #[test]
        fn what_is_changed_in_a_policy_keeps_its_bounds(
            policy in policy(),
            at in any::<prop::sample::Index>(),
            octet in any::<u8>(),
        ) {
            let mut octets = policy.to_string().into_bytes();
            let at = at.index(octets.len());
            octets[at] = octet;
            if let Ok(changed) = Policy::parse(&octets) {
                prop_assert!((SHORTEST..=LONGEST).contains(&changed.max_age));
                prop_assert!(changed.patterns.len() <= PATTERNS);
                prop_assert!(changed.mode == Mode::None || !changed.patterns.is_empty());
                prop_assert_eq!(Policy::parse(changed.to_string().as_bytes()), Ok(changed));
            }
        }

        #[test]
        fn a_wildcard_stands_for_one_label(label in "[a-z0-9_-]{1,20}", rest in "[a-z]{1,9}(\\.[a-z]{1,9}){0,3}") {
            let pattern = Pattern::parse(&format!("*.{rest}")).expect("a pattern");
            let (one, two) = (name(&format!("{label}.{rest}")), name(&format!("{label}.{label}.{rest}")));
            prop_assert!(pattern.matches(&one));
            prop_assert!(!pattern.matches(&two));
            let plain = Pattern::parse(one.as_str()).expect("a pattern");
            prop_assert!(plain.matches(&one));
        }
    }
}
