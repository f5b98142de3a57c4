//! Reads a configuration file: TOML in, [`Config`] or every error with file, line and key out.
//!
//! Which keys there are and what they take is not known here but in [`super::keys`]. The tables of next hops are the
//! defaults with their own keys over them, wherever in the file they stand. A file has 1 MiB at most.
//! After a line that is no TOML nothing can be trusted, so only errors of TOML itself are reported beyond it.

use super::errors::{ConfigError, ConfigErrors, key_text, quoted};
use super::keys::{Settings, Value, did_you_mean, set_value};
use super::{Config, Limits, Listen, NextHopSettings};
use crate::mail::{MAX_SOCKET_PATH, NextHop};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

/// The most octets that a file may have.
pub const MAX_FILE: usize = 1 << 20;
/// The most octets of a domain in `[route]` (RFC 5321 4.5.3.1.2).
const MAX_DOMAIN: usize = 255;
const SECTIONS: [&str; 5] = ["listen", "limits", "defaults", "next_hop", "route"];

/// One entry of a table: where it begins, where it ends, what it is.
struct Entry<'a, 't> {
    name: &'a str,
    value: &'a DeValue<'t>,
    span: Range<usize>,
}

impl Config {
    /// Reads the file at `path`.
    pub fn load(path: impl AsRef<Path>) -> Result<Config, ConfigErrors> {
        let name = path.as_ref().display().to_string();
        let failed = |why: std::io::Error| ConfigErrors::of_file(&name, format!("cannot be read: {why}"));
        let mut octets = Vec::new();
        let file = File::open(&path).map_err(failed)?;
        file.take(MAX_FILE as u64 + 1).read_to_end(&mut octets).map_err(failed)?;
        match std::str::from_utf8(&octets) {
            _ if octets.len() > MAX_FILE => Err(too_large(&name)),
            Ok(text) => Config::parse(text, &name),
            Err(error) => {
                let mut file = Reader::new(&name, "");
                let line = octets[..error.valid_up_to()].iter().filter(|b| **b == b'\n').count() + 1;
                file.push(line, "", "not UTF-8, which TOML has to be".into());
                file.errors.or(Config::default())
            }
        }
    }

    /// Reads a configuration from its text; errors call it `name`.
    pub fn parse(text: &str, name: &str) -> Result<Config, ConfigErrors> {
        if text.len() > MAX_FILE {
            return Err(too_large(name));
        }
        let mut reader = Reader::new(name, text);
        let (table, errors) = DeTable::parse_recoverable(text);
        reader.syntax(&errors);
        let config = reader.root(table.get_ref());
        reader.errors.or(config)
    }
}

fn too_large(name: &str) -> ConfigErrors {
    ConfigErrors::of_file(name, format!("has over {MAX_FILE} octets, which no configuration needs"))
}

/// One file while it is read.
struct Reader<'t> {
    file: &'t str,
    text: &'t str,
    /// Where each line but the first begins.
    lines: Vec<usize>,
    /// The first line that is no TOML.
    broken_at: usize,
    errors: ConfigErrors,
}

impl<'t> Reader<'t> {
    fn new(file: &'t str, text: &'t str) -> Reader<'t> {
        let lines = memchr::memchr_iter(b'\n', text.as_bytes()).map(|end| end + 1).collect();
        Reader { file, text, lines, broken_at: usize::MAX, errors: ConfigErrors::none() }
    }

    fn line(&self, at: usize) -> usize {
        self.lines.partition_point(|start| *start <= at) + 1
    }

    fn push(&mut self, line: usize, key: &str, what: String) {
        let (file, key) = (self.file.to_owned(), key.to_owned());
        self.errors.push(ConfigError { file, line: Some(line), key, what });
    }

    /// Reports an error of meaning, unless the entry reaches beyond what can be trusted.
    fn error(&mut self, span: &Range<usize>, key: &str, what: String) {
        if self.line(span.end) < self.broken_at {
            self.push(self.line(span.start), key, what);
        }
    }

    /// Reports what is no TOML, once a line. A key that stands twice is no TOML either, but breaks nothing else.
    fn syntax(&mut self, errors: &[toml::de::Error]) {
        let mut last = 0;
        for error in errors {
            let span = error.span().unwrap_or(self.text.len()..self.text.len());
            let line = self.line(span.start);
            let twice = error.message() == "duplicate key";
            if line != last && twice {
                let key = self.text.get(span).unwrap_or_default();
                self.push(line, "", format!("{} stands twice", quoted(key.trim_matches(['"', '\'']))));
            } else if line != last {
                self.push(line, "", format!("not TOML: {}", error.message()));
            }
            last = line;
            if !twice {
                self.broken_at = self.broken_at.min(line);
            }
        }
    }

    fn root(&mut self, root: &DeTable<'t>) -> Config {
        let (mut listen, mut limits, mut defaults) = (Listen::default(), Limits::default(), NextHopSettings::default());
        let (mut next_hops, mut routes) = (None, None);
        for entry in in_file_order(root) {
            if !SECTIONS.contains(&entry.name) {
                self.unknown_section(&entry);
                continue;
            }
            let Some(table) = self.table(&entry, entry.name, "a table") else { continue };
            match entry.name {
                "listen" => self.section(&mut listen, entry.name, table),
                "limits" => self.section(&mut limits, entry.name, table),
                "defaults" => {
                    self.section(&mut defaults, entry.name, table);
                    self.conflict(&defaults, entry.name, table, &entry.span);
                }
                "next_hop" => next_hops = Some(table),
                _ => routes = Some(table),
            }
        }
        // Last, since they need the sections above.
        let next_hops = next_hops.map(|table| self.next_hops(table, &defaults, &listen)).unwrap_or_default();
        let routes = routes.map(|table| self.routes(table)).unwrap_or_default();
        Config { listen, limits, defaults: Arc::new(defaults), next_hops, routes }
    }

    fn unknown_section(&mut self, entry: &Entry<'_, 't>) {
        let what = match entry.value {
            DeValue::Table(_) => "unknown section".to_owned() + &did_you_mean(entry.name, SECTIONS.into_iter()),
            _ => "stands in no section; put it under [listen], [limits], [defaults] or [next_hop.\"...\"]".to_owned(),
        };
        self.error(&entry.span, &key_text(entry.name), what);
    }

    /// The entry's value if it is a table; else an error that says what was expected.
    fn table<'a>(&mut self, entry: &Entry<'a, 't>, path: &str, expected: &str) -> Option<&'a DeTable<'t>> {
        if let DeValue::Table(table) = entry.value {
            return Some(table);
        }
        let found = value_of(entry.value).quoted();
        self.error(&entry.span, path, format!("{found} is not allowed; expected {expected}"));
        None
    }

    /// Sets every key of a table that the table of keys has a say in.
    fn section<S: Settings>(&mut self, settings: &mut S, path: &str, table: &DeTable<'t>) {
        for entry in in_file_order(table) {
            if let Err(error) = set_value(settings, entry.name, &value_of(entry.value)) {
                let dotted = match entry.value {
                    DeValue::Table(_) if path.starts_with("next_hop.") => {
                        "; a next hop with dots stands in quotes, as in [next_hop.\"relay.example.net\"]"
                    }
                    _ => "",
                };
                self.error(&entry.span, &format!("{path}.{}", key_text(entry.name)), error.why() + dotted);
            }
        }
    }

    /// Reports keys that are good each by itself and do not fit together, in the line of the key, or else of the table.
    fn conflict(&mut self, settings: &NextHopSettings, path: &str, table: &DeTable<'t>, span: &Range<usize>) {
        let Some((key, why)) = settings.conflict() else { return };
        let own = in_file_order(table).into_iter().find(|entry| entry.name == key).map(|entry| entry.span);
        self.error(own.as_ref().unwrap_or(span), &format!("{path}.{key}"), why);
    }

    fn next_hops(
        &mut self,
        table: &DeTable<'t>,
        defaults: &NextHopSettings,
        listen: &Listen,
    ) -> BTreeMap<NextHop, Arc<NextHopSettings>> {
        let mut next_hops = BTreeMap::new();
        let mut lines = BTreeMap::new();
        for entry in in_file_order(table) {
            let path = format!("next_hop.{}", key_text(entry.name));
            let expected = "a table of settings; those of all next hops stand in [defaults]";
            let Some(own) = self.table(&entry, &path, expected) else { continue };
            let mut settings = defaults.clone();
            self.section(&mut settings, &path, own);
            if defaults.conflict().is_none() {
                self.conflict(&settings, &path, own, &entry.span);
            }
            let Some(next_hop) = self.next_hop(entry.name, &entry.span, &path) else { continue };
            self.check_socket(&next_hop, listen, &entry.span, &path);
            if let Some(first) = lines.insert(next_hop.clone(), self.line(entry.span.start)) {
                let what = format!("the same next hop as in line {first}; case makes no difference");
                self.error(&entry.span, &path, what);
            }
            next_hops.insert(next_hop, Arc::new(settings));
        }
        next_hops
    }

    fn next_hop(&mut self, text: &str, span: &Range<usize>, path: &str) -> Option<NextHop> {
        match text.parse::<NextHop>() {
            // It names a socket too, and neither a hidden file nor a directory above.
            Ok(next_hop) if !next_hop.as_str().starts_with('.') => return Some(next_hop),
            Ok(_) => self.error(span, path, "a next hop cannot begin with a dot".into()),
            Err(error) => self.error(span, path, error.to_string()),
        }
        None
    }

    fn check_socket(&mut self, next_hop: &NextHop, listen: &Listen, span: &Range<usize>, path: &str) {
        let octets = listen.socket_path(next_hop).as_os_str().len();
        if octets > MAX_SOCKET_PATH {
            let what = format!(
                "its socket's path would have {octets} octets, and {MAX_SOCKET_PATH} is the most; shorten runtime_directory"
            );
            self.error(span, path, what);
        }
    }

    fn routes(&mut self, table: &DeTable<'t>) -> BTreeMap<String, NextHop> {
        let mut routes = BTreeMap::new();
        for entry in in_file_order(table) {
            let path = format!("route.{}", key_text(entry.name));
            let domain = entry.name.to_ascii_lowercase();
            let next_hop = match entry.value {
                DeValue::String(text) => self.next_hop(text, &entry.span, &path),
                other => {
                    let found = value_of(other).quoted();
                    let expected = "a next hop in quotes, as in \"example.org\" = \"[relay.example.net]:25\"";
                    self.error(&entry.span, &path, format!("{found} is not allowed; expected {expected}"));
                    None
                }
            };
            if let Some(why) = bad_domain(&domain) {
                self.error(&entry.span, &path, why.to_owned());
                continue;
            }
            let Some(next_hop) = next_hop else { continue };
            if routes.insert(domain, next_hop).is_some() {
                self.error(&entry.span, &path, "this domain is routed already; case makes no difference".into());
            }
        }
        routes
    }
}

/// Why a text can be no recipient's domain: those are letters of any script, or an address literal (RFC 5321 4.1.3).
fn bad_domain(domain: &str) -> Option<&'static str> {
    let odd = |c: char| c.is_control() || c.is_whitespace() || "@<>\"\\,;()".contains(c);
    match domain {
        "" => Some("the domain is empty; \"*\" stands for every other domain"),
        "*" => None,
        _ if domain.contains('*') => Some("\"*\" stands alone, for every domain that is not listed"),
        _ if domain.starts_with('.') => {
            Some("a domain cannot begin with a dot, and its subdomains have to be listed too")
        }
        _ if domain.len() > MAX_DOMAIN => Some("the domain has over 255 octets"),
        _ if domain.contains(odd) => Some("the domain has a character that no domain has"),
        _ => None,
    }
}

/// The entries of a table as they stand in the file: the parser keeps them sorted by name.
fn in_file_order<'a, 't>(table: &'a DeTable<'t>) -> Vec<Entry<'a, 't>> {
    let entry = |(key, value): (&'a Spanned<DeString<'t>>, &'a Spanned<DeValue<'t>>)| {
        let (start, end) = (key.span().start, key.span().end.max(value.span().end));
        Entry { name: key.get_ref().as_ref(), value: value.get_ref(), span: start..end }
    };
    let mut entries: Vec<Entry<'a, 't>> = table.iter().map(entry).collect();
    entries.sort_by_key(|entry| entry.span.start);
    entries
}

/// What TOML read, as the table of keys takes it.
fn value_of<'a>(value: &'a DeValue<'_>) -> Value<'a> {
    match value {
        DeValue::String(text) => Value::Text(text.as_ref().into()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or(Value::Other("a number that large"), Value::Integer),
        DeValue::Array(items) => {
            let texts = items.iter().map(|item| item.get_ref().as_str().map(Into::into));
            texts.collect::<Option<_>>().map_or(Value::Other("an array of other things than texts"), Value::List)
        }
        DeValue::Float(_) => Value::Other("a number with a fraction"),
        DeValue::Boolean(_) => Value::Other("a boolean"),
        DeValue::Datetime(_) => Value::Other("a date"),
        DeValue::Table(_) => Value::Other("a table"),
    }
}

#[cfg(test)]
mod tests;
