//! What a configuration that is read again changes, for the log and for those who follow it.

use super::{Config, Limits, Listen};
use crate::mail::NextHop;
use std::fmt;

/// The most next hops that are named in a text; of the rest only the number is.
const MAX_NAMED: usize = 20;

/// What is different in a further configuration. Displayed in one line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Difference {
    /// Next hops that are configured now.
    pub added: Vec<NextHop>,
    /// Next hops that are not configured any more.
    pub removed: Vec<NextHop>,
    /// Next hops with other settings than before, their own or by `[defaults]`.
    pub changed: Vec<NextHop>,
    /// Whether `[defaults]` are others, which hold for next hops without a table of their own too.
    pub defaults: bool,
    /// Whether `[route]` is another.
    pub routes: bool,
}

impl Difference {
    /// What is different in `new`, but for what [`fixed_keys`] tells.
    pub fn between(old: &Config, new: &Config) -> Difference {
        let only_in = |one: &Config, other: &Config| -> Vec<NextHop> {
            one.next_hops.keys().filter(|hop| !other.next_hops.contains_key(*hop)).cloned().collect()
        };
        let is_changed = |hop: &&NextHop| new.next_hops.get(*hop).is_some_and(|own| *own != old.settings(hop));
        Difference {
            added: only_in(new, old),
            removed: only_in(old, new),
            changed: old.next_hops.keys().filter(is_changed).cloned().collect(),
            defaults: old.defaults != new.defaults,
            routes: old.routes != new.routes,
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        for (what, next_hops) in [("added", &self.added), ("removed", &self.removed), ("changed", &self.changed)] {
            if !next_hops.is_empty() {
                parts.push(format!("next hops {what}: {}", named(next_hops)));
            }
        }
        let tables = [(self.defaults, "[defaults] changed"), (self.routes, "[route] changed")];
        parts.extend(tables.into_iter().filter(|(is_so, _)| *is_so).map(|(_, text)| text.to_owned()));
        f.write_str(&if parts.is_empty() { "nothing changed".to_owned() } else { parts.join("; ") })
    }
}

fn named(next_hops: &[NextHop]) -> String {
    let names: Vec<&str> = next_hops.iter().take(MAX_NAMED).map(NextHop::as_str).collect();
    match next_hops.len().saturating_sub(MAX_NAMED) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

/// The keys of `[listen]` and `[limits]` that are different in `new`: those that hold as long as the process runs.
pub fn fixed_keys(old: &Config, new: &Config) -> Vec<&'static str> {
    let keys = listen_keys(&old.listen, &new.listen).into_iter().chain(limits_keys(&old.limits, &new.limits));
    keys.filter(|(_, is_changed)| *is_changed).map(|(key, _)| key).collect()
}

// A field that is not named here does not compile.

fn listen_keys(old: &Listen, new: &Listen) -> [(&'static str, bool); 6] {
    let Listen { runtime_directory, lmtp, socket_mode, socket_owner, socket_group, max_clients } = old;
    [
        ("listen.runtime_directory", *runtime_directory != new.runtime_directory),
        ("listen.lmtp", *lmtp != new.lmtp),
        ("listen.socket_mode", *socket_mode != new.socket_mode),
        ("listen.socket_owner", *socket_owner != new.socket_owner),
        ("listen.socket_group", *socket_group != new.socket_group),
        ("listen.max_clients", *max_clients != new.max_clients),
    ]
}

fn limits_keys(old: &Limits, new: &Limits) -> [(&'static str, bool); 8] {
    let Limits {
        connections,
        messages,
        bytes,
        message_size,
        content_memory,
        content_directory,
        mta_sts_directory,
        drain,
    } = old;
    [
        ("limits.connections", *connections != new.connections),
        ("limits.messages", *messages != new.messages),
        ("limits.bytes", *bytes != new.bytes),
        ("limits.message_size", *message_size != new.message_size),
        ("limits.content_memory", *content_memory != new.content_memory),
        ("limits.content_directory", *content_directory != new.content_directory),
        ("limits.mta_sts_directory", *mta_sts_directory != new.mta_sts_directory),
        ("limits.drain_timeout", *drain != new.drain),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys::Section;

    fn config(text: &str) -> Config {
        Config::parse(text, "test").expect("a good configuration")
    }

    #[test]
    fn next_hops_come_go_and_change() {
        let old = config("[next_hop.\"[a]:25\"]\n[next_hop.\"[b]:25\"]\nlanes = 2\n[next_hop.\"[c]:25\"]\n");
        let new = config("[next_hop.\"[c]:25\"]\n[next_hop.\"[b]:25\"]\nlanes = 3\n[next_hop.\"[d]:25\"]\n");
        let text = Difference::between(&old, &new).to_string();
        assert_eq!(text, "next hops added: [d]:25; next hops removed: [a]:25; next hops changed: [b]:25");
        assert_eq!(Difference::between(&new, &new).to_string(), "nothing changed");
    }

    #[test]
    fn other_defaults_change_the_next_hops_that_have_them() {
        let next_hops = "[next_hop.\"[a]:25\"]\n[next_hop.\"[b]:25\"]\nlanes = 2\n";
        let old = config(next_hops);
        let new = config(&format!("[defaults]\nlanes = 5\n[route]\n\"x.test\" = \"[a]:25\"\n{next_hops}"));
        let text = Difference::between(&old, &new).to_string();
        assert_eq!(text, "next hops changed: [a]:25; [defaults] changed; [route] changed");
    }

    #[test]
    fn very_many_next_hops_are_one_line_of_sane_length() {
        let all: String = (0..1000).map(|n| format!("[next_hop.\"[h{n}.test]:25\"]\n")).collect();
        let text = Difference::between(&Config::default(), &config(&all)).to_string();
        assert!(text.ends_with(" and 980 more") && text.len() < 1000, "{text}");
    }

    #[test]
    fn every_key_that_holds_for_good_is_named_when_it_changes() {
        let others = [
            ("listen", "runtime_directory", "\"/elsewhere\""),
            ("listen", "lmtp", "[\"127.0.0.1:2003\"]"),
            ("listen", "socket_mode", "\"0600\""),
            ("listen", "socket_owner", "\"root\""),
            ("listen", "socket_group", "\"root\""),
            ("listen", "max_clients", "7"),
            ("limits", "connections", "7"),
            ("limits", "messages", "7"),
            ("limits", "bytes", "\"1G\""),
            ("limits", "message_size", "\"1M\""),
            ("limits", "content_memory", "7"),
            ("limits", "content_directory", "\"/elsewhere\""),
            ("limits", "mta_sts_directory", "\"/elsewhere\""),
            ("limits", "drain_timeout", "\"7s\""),
        ];
        let there = Section::Listen.keys().chain(Section::Limits.keys()).count();
        assert_eq!(others.len(), there, "a key is not tried");
        for (section, key, other) in others {
            let new = config(&format!("[{section}]\n{key} = {other}\n"));
            assert_eq!(fixed_keys(&Config::default(), &new), [format!("{section}.{key}")]);
            assert_eq!(Difference::between(&Config::default(), &new), Difference::default());
        }
    }
}
