//! What is wrong with a configuration, for people: file, line, key, and what is allowed there.
//!
//! Everything quoted from the file is escaped and cut short, so that an error is always one line of sane length.

use std::fmt;

/// The most errors of one file that are kept; of the rest only the number is.
pub const MAX_ERRORS: usize = 50;
/// The most characters of one error's text.
const MAX_TEXT: usize = 400;
/// The most characters quoted of one name or value.
const MAX_QUOTED: usize = 80;

/// One error of a configuration file. Displayed as `FILE:LINE: KEY: what is wrong`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file as it was named.
    pub file: String,
    /// The line, counted from 1; `None` when the error is of the file as a whole.
    pub line: Option<usize>,
    /// The key with its section, such as `listen.max_clients`; empty when no key is concerned.
    pub key: String,
    /// What is wrong and what is allowed.
    pub what: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.what)
    }
}

/// All errors of a configuration file, never none. Displayed one a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    kept: Vec<ConfigError>,
    more: usize,
}

impl ConfigErrors {
    /// No error yet.
    pub(super) fn none() -> ConfigErrors {
        ConfigErrors { kept: Vec::new(), more: 0 }
    }

    /// The error of a file that could not be read at all.
    pub(super) fn of_file(file: &str, what: String) -> ConfigErrors {
        let mut errors = ConfigErrors::none();
        errors.push(ConfigError { file: file.to_owned(), line: None, key: String::new(), what });
        errors
    }

    pub(super) fn push(&mut self, mut error: ConfigError) {
        if self.kept.len() == MAX_ERRORS {
            self.more += 1;
            return;
        }
        if let Some((end, _)) = error.what.char_indices().nth(MAX_TEXT) {
            error.what.truncate(end);
            error.what.push_str("...");
        }
        self.kept.push(error);
    }

    /// `value` if there was no error; else the errors, in the order of the file.
    pub(super) fn or<T>(mut self, value: T) -> Result<T, ConfigErrors> {
        self.kept.sort_by_key(|error| error.line);
        if self.kept.is_empty() { Ok(value) } else { Err(self) }
    }

    /// The errors, at most [`MAX_ERRORS`] of them.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.kept.iter()
    }

    /// How many errors there were beyond those kept.
    pub fn more(&self) -> usize {
        self.more
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, error) in self.kept.iter().enumerate() {
            let end = if n == 0 { "" } else { "\n" };
            write!(f, "{end}{error}")?;
        }
        match (self.more, self.kept.first()) {
            (1.., Some(first)) => write!(f, "\n{}: {} more", first.file, self.more),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for ConfigErrors {}

/// A text from outside in quotes, escaped and cut short.
pub(super) fn quoted(text: &str) -> String {
    let rest = if text.chars().nth(MAX_QUOTED).is_some() { "..." } else { "" };
    let mut start = String::new();
    for c in text.chars().take(MAX_QUOTED) {
        match c {
            '\'' => start.push(c),
            _ => start.extend(c.escape_debug()),
        }
    }
    format!("\"{start}{rest}\"")
}

/// A key as TOML writes it: bare where that is possible, else in quotes.
pub(super) fn key_text(name: &str) -> String {
    let bare = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    if bare && name.len() <= MAX_QUOTED { name.to_owned() } else { quoted(name) }
}
