//! The one table of keys: name, section, kind, default, documentation and setter of everything that can be set.
//!
//! The parser of the file, `pipelane check --keys`, `-o KEY=TEXT` on a command line, the manual and the C ABI all read
//! [`all`] of them; none of them knows a key by itself. [`set_listen`], [`set_limits`] and [`set_next_hop`] set one key
//! from a text.

mod kind;
mod next_hop;
mod syntax;
mod table;

pub use kind::{Bounds, Kind, Syntax, Value};
pub use table::all;

use super::errors::key_text;
use super::{Limits, Listen, NextHopSettings};
use thiserror::Error;

/// Which table of the file a key stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Section {
    /// `[listen]`
    Listen,
    /// `[limits]`
    Limits,
    /// `[defaults]` and each `[next_hop."..."]`
    NextHop,
}

impl Section {
    /// All of them, in the order of the manual.
    pub const ALL: [Section; 3] = [Section::Listen, Section::Limits, Section::NextHop];

    /// The heading, as the file has it.
    pub const fn heading(self) -> &'static str {
        match self {
            Section::Listen => "[listen]",
            Section::Limits => "[limits]",
            Section::NextHop => "[defaults] or [next_hop.\"...\"]",
        }
    }

    /// The keys of this section, in the order of the manual.
    pub fn keys(self) -> impl Iterator<Item = &'static Key> {
        all().filter(move |key| key.section() == self)
    }
}

/// A key's section, with what it takes there.
#[derive(Debug)]
enum Place {
    Listen(Kind<Listen>),
    Limits(Kind<Limits>),
    NextHop(Kind<NextHopSettings>),
}

/// Runs one expression on the kind inside, whatever its section.
macro_rules! on_kind {
    ($place:expr, $kind:ident => $do:expr) => {
        match $place {
            Place::Listen($kind) => $do,
            Place::Limits($kind) => $do,
            Place::NextHop($kind) => $do,
        }
    };
}

/// One key that can be set.
#[derive(Debug)]
pub struct Key {
    /// The name, in lower case with underscores.
    pub name: &'static str,
    /// The default as a text, as a command line would give it.
    pub default: &'static str,
    /// What it means: unit, limits, RFC.
    pub doc: &'static str,
    place: Place,
}

impl Key {
    /// The section that it stands in.
    pub fn section(&self) -> Section {
        match self.place {
            Place::Listen(_) => Section::Listen,
            Place::Limits(_) => Section::Limits,
            Place::NextHop(_) => Section::NextHop,
        }
    }

    /// The name of its kind of value, such as `octets` or `path`.
    pub fn kind_name(&self) -> &'static str {
        on_kind!(&self.place, kind => kind.name())
    }

    /// What is allowed, in words: `octets from 4K to 1G, such as ...`.
    pub fn expected(&self) -> String {
        on_kind!(&self.place, kind => kind.expected())
    }

    /// The default as the file would write it.
    pub fn default_toml(&self) -> String {
        on_kind!(&self.place, kind => kind.toml_of(self.default))
    }
}

// Rows of the table, by section.

const fn listen(name: &'static str, default: &'static str, kind: Kind<Listen>, doc: &'static str) -> Key {
    Key { name, default, doc, place: Place::Listen(kind) }
}

const fn limit(name: &'static str, default: &'static str, kind: Kind<Limits>, doc: &'static str) -> Key {
    Key { name, default, doc, place: Place::Limits(kind) }
}

const fn hop(name: &'static str, default: &'static str, kind: Kind<NextHopSettings>, doc: &'static str) -> Key {
    Key { name, default, doc, place: Place::NextHop(kind) }
}

/// Why a key could not be set.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyError {
    /// No such key here.
    #[error("{}: unknown key{hint}", key_text(.key))]
    Unknown {
        /// The key as given.
        key: String,
        /// `; did you mean ...?`, or which section the key belongs to, or nothing.
        hint: String,
    },
    /// The value is not allowed.
    #[error("{key}: {why}")]
    BadValue {
        /// The key.
        key: &'static str,
        /// What was given and what is expected.
        why: String,
    },
}

impl KeyError {
    /// The error without the key's name, for a caller that names the key in full.
    pub fn why(&self) -> String {
        match self {
            KeyError::Unknown { hint, .. } => format!("unknown key{hint}"),
            KeyError::BadValue { why, .. } => why.clone(),
        }
    }
}

/// Settings that make up one section.
pub(super) trait Settings: Sized + 'static {
    const SECTION: Section;
    /// What the key takes, if it is one of this section.
    fn kind(key: &'static Key) -> Option<&'static Kind<Self>>;
}

macro_rules! settings {
    ($($section:ident: $settings:ty),*) => {$(
        impl Settings for $settings {
            const SECTION: Section = Section::$section;
            fn kind(key: &'static Key) -> Option<&'static Kind<Self>> {
                match &key.place {
                    Place::$section(kind) => Some(kind),
                    _ => None,
                }
            }
        }
    )*};
}

settings!(Listen: Listen, Limits: Limits, NextHop: NextHopSettings);

fn find<S: Settings>(name: &str) -> Result<(&'static Key, &'static Kind<S>), KeyError> {
    let found = all().filter(|key| key.name == name).find_map(|key| Some((key, S::kind(key)?)));
    found.ok_or_else(|| KeyError::Unknown { key: name.to_owned(), hint: hint(name, S::SECTION) })
}

/// Sets one key from a value of a file.
pub(super) fn set_value<S: Settings>(settings: &mut S, name: &str, value: &Value<'_>) -> Result<(), KeyError> {
    let (key, kind) = find::<S>(name)?;
    kind.set(settings, value).map_err(|why| KeyError::BadValue { key: key.name, why })
}

fn set_text<S: Settings>(settings: &mut S, name: &str, text: &str) -> Result<(), KeyError> {
    let (key, kind) = find::<S>(name)?;
    kind.set(settings, &kind.value_of(text)).map_err(|why| KeyError::BadValue { key: key.name, why })
}

/// Sets one key of `[listen]` from a text; lists have blanks or commas between their items.
pub fn set_listen(settings: &mut Listen, name: &str, text: &str) -> Result<(), KeyError> {
    set_text(settings, name, text)
}

/// Sets one key of `[limits]` from a text.
pub fn set_limits(settings: &mut Limits, name: &str, text: &str) -> Result<(), KeyError> {
    set_text(settings, name, text)
}

/// Sets one key of a next hop from a text; lists have blanks or commas between their items.
pub fn set_next_hop(settings: &mut NextHopSettings, name: &str, text: &str) -> Result<(), KeyError> {
    set_text(settings, name, text)
}

/// What may have been meant by an unknown key: one of another section, or one that is written much alike.
fn hint(name: &str, section: Section) -> String {
    if let Some(key) = all().find(|key| key.name == name && key.section() != section) {
        return format!("; it belongs in {}", key.section().heading());
    }
    did_you_mean(name, section.keys().map(|key| key.name))
}

/// `; did you mean "X"?` for the name that is nearest, or nothing when none is near.
pub(super) fn did_you_mean(name: &str, names: impl Iterator<Item = &'static str>) -> String {
    let nearest = names.map(|known| (edits(name, known), known)).min();
    match nearest {
        Some((distance, known)) if distance <= 2 + known.len() / 12 => format!("; did you mean \"{known}\"?"),
        _ => String::new(),
    }
}

/// How many characters to insert, remove or replace to make one name of the other (Levenshtein). Long names, which are
/// no near miss of any key, are not compared.
fn edits(from: &str, to: &str) -> usize {
    if from.len() > 64 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.bytes().enumerate() {
            let replaced = diagonal + usize::from(!a.eq_ignore_ascii_case(&b));
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests;
