//! The kinds of value that a key can have: how each is written, which bounds it keeps, and where it goes.
//!
//! A [`Kind`] holds its setter, so that a value of one kind cannot reach a field of another. Reading never panics and
//! changes nothing when the value is refused.

use crate::config::errors::quoted;
use std::borrow::Cow;
use std::time::Duration;

const K: u64 = 1024;
/// Units of octets, largest first (1K = 1024).
const OCTET_UNITS: [(&str, u64); 5] = [("T", K * K * K * K), ("G", K * K * K), ("M", K * K), ("K", K), ("", 1)];
/// Units of time in milliseconds, largest first; a number without unit is seconds.
const TIME_UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// A value as it was written, by a file or on a command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'t> {
    /// A whole number.
    Integer(i64),
    /// A text. A number written as a text is a number too.
    Text(Cow<'t, str>),
    /// A list of texts.
    List(Vec<Cow<'t, str>>),
    /// Anything that no key takes, by its name ("a boolean").
    Other(&'static str),
}

impl Value<'_> {
    /// The value as an error quotes it.
    pub(in crate::config) fn quoted(&self) -> String {
        match self {
            Value::Integer(number) => number.to_string(),
            Value::Text(text) => quoted(text),
            Value::List(items) => {
                let items: Vec<String> = items.iter().take(4).map(|item| quoted(item)).collect();
                format!("[{}]", items.join(", "))
            }
            Value::Other(name) => (*name).to_owned(),
        }
    }
}

/// What a number may be: `least` to `most`, and zero where `zero` says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The smallest value.
    pub least: u64,
    /// The largest value.
    pub most: u64,
    /// Whether zero, which then has a meaning of its own, is allowed below `least`.
    pub zero: bool,
}

/// From `least` to `most`.
pub(super) const fn bounds(least: u64, most: u64) -> Bounds {
    Bounds { least, most, zero: false }
}

/// In milliseconds, as times are.
pub(super) const HOUR: u64 = 3600 * 1000;

/// What a stage of a session may take.
pub(super) const STAGE: Bounds = bounds(100, 24 * HOUR);

impl Bounds {
    /// The same, and zero.
    pub(super) const fn or_zero(self) -> Bounds {
        Bounds { zero: true, ..self }
    }

    /// Whether `number` is allowed.
    pub fn holds(self, number: u64) -> bool {
        (self.least..=self.most).contains(&number) || (self.zero && number == 0)
    }

    fn text(self, what: &str, units: &[(&str, u64)]) -> String {
        let zero = if self.zero { "0, or " } else { "" };
        format!("{zero}{what} from {} to {}", in_units(self.least, units), in_units(self.most, units))
    }
}

/// How a text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Syntax {
    /// Its name in a listing.
    pub name: &'static str,
    /// What an error says is expected.
    pub expected: &'static str,
}

/// The kind of a key of the settings `S`: what is allowed, and the setter.
#[derive(Debug)]
pub enum Kind<S: 'static> {
    /// A whole number.
    Count(Bounds, fn(&mut S, u64)),
    /// Octets: a number, with K, M, G or T for powers of 1024.
    Octets(Bounds, fn(&mut S, u64)),
    /// A time: seconds, or a number with ms, s, m, h or d. The bounds are milliseconds.
    Time(Bounds, fn(&mut S, Duration)),
    /// A text; the setter returns `None` for one that it does not take.
    Text(Syntax, fn(&mut S, &str) -> Option<()>),
    /// Words or numbers with blanks between them, in one text; a single number may stand without quotes. The setter
    /// returns `None` for what it does not take.
    Words(Syntax, fn(&mut S, &[&str]) -> Option<()>),
    /// A list of texts; the setter returns `None` for one that it does not take.
    List(Syntax, fn(&mut S, &[Cow<'_, str>]) -> Option<()>),
}

impl<S> Kind<S> {
    /// The kind's name in a listing, such as `octets` or `path`.
    pub fn name(&self) -> &'static str {
        match self {
            Kind::Count(..) => "number",
            Kind::Octets(..) => "octets",
            Kind::Time(..) => "time",
            Kind::Text(syntax, _) | Kind::Words(syntax, _) | Kind::List(syntax, _) => syntax.name,
        }
    }

    /// What is allowed, to follow "expected".
    pub fn expected(&self) -> String {
        match self {
            Kind::Count(bounds, _) => bounds.text("a whole number", &[("", 1)]),
            Kind::Octets(bounds, _) => format!("{}, such as 65536 or \"64K\"", bounds.text("octets", &OCTET_UNITS)),
            Kind::Time(bounds, _) => format!("{}, such as 30, \"30s\" or \"5m\"", bounds.text("a time", &TIME_UNITS)),
            Kind::Text(syntax, _) | Kind::Words(syntax, _) | Kind::List(syntax, _) => syntax.expected.to_owned(),
        }
    }

    /// A text as a value of this kind: a list is cut at blanks and commas.
    pub(super) fn value_of<'t>(&self, text: &'t str) -> Value<'t> {
        if !matches!(self, Kind::List(..)) {
            return Value::Text(text.into());
        }
        let items = text.split(|c: char| c == ',' || c.is_ascii_whitespace());
        Value::List(items.filter(|item| !item.is_empty()).map(Cow::from).collect())
    }

    /// The same text as TOML writes it: a plain number stands without quotes.
    pub(super) fn toml_of(&self, text: &str) -> String {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let numeric = matches!(self, Kind::Count(..) | Kind::Octets(..) | Kind::Time(..) | Kind::Words(..));
        if numeric && digits { text.to_owned() } else { self.value_of(text).quoted() }
    }

    /// Reads the value and sets it; the error says what was found and what is allowed.
    pub(super) fn set(&self, settings: &mut S, value: &Value<'_>) -> Result<(), String> {
        let done = match (self, value) {
            (Kind::Count(bounds, set), _) => {
                number(value, &[("", 1)], 1).filter(|n| bounds.holds(*n)).map(|n| set(settings, n))
            }
            (Kind::Octets(bounds, set), _) => {
                number(value, &OCTET_UNITS, 1).filter(|n| bounds.holds(*n)).map(|n| set(settings, n))
            }
            (Kind::Time(bounds, set), _) => number(value, &TIME_UNITS, 1000)
                .filter(|n| bounds.holds(*n))
                .map(|n| set(settings, Duration::from_millis(n))),
            (Kind::Text(_, set), Value::Text(text)) => set(settings, text),
            (Kind::Words(_, set), Value::Text(text)) => set(settings, &words(text)),
            (Kind::Words(_, set), Value::Integer(number)) => set(settings, &[&number.to_string()]),
            (Kind::List(_, set), Value::List(items)) => set(settings, items),
            _ => None,
        };
        done.ok_or_else(|| format!("{} is not allowed; expected {}", value.quoted(), self.expected()))
    }
}

/// What stands between blanks.
fn words(text: &str) -> Vec<&str> {
    text.split_ascii_whitespace().collect()
}

/// A number with an optional unit, times that unit; `bare` is the factor without one.
fn number(value: &Value<'_>, units: &[(&str, u64)], bare: u64) -> Option<u64> {
    let text = match value {
        Value::Integer(number) => return u64::try_from(*number).ok()?.checked_mul(bare),
        Value::Text(text) => text,
        Value::List(_) | Value::Other(_) => return None,
    };
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(unit_at);
    let factor = match unit {
        "" => bare,
        _ => units.iter().find(|(name, _)| *name == unit)?.1,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

/// A number in the largest unit that leaves nothing over.
fn in_units(number: u64, units: &[(&str, u64)]) -> String {
    let whole = units.iter().find(|(_, factor)| number >= *factor && number.is_multiple_of(*factor));
    whole.map_or_else(|| number.to_string(), |(name, factor)| format!("{}{name}", number / factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn octets(text: &str) -> Option<u64> {
        number(&Value::Text(text.into()), &OCTET_UNITS, 1)
    }

    fn milliseconds(text: &str) -> Option<u64> {
        number(&Value::Text(text.into()), &TIME_UNITS, 1000)
    }

    #[test]
    fn octets_have_units_of_1024() {
        assert_eq!(octets("17"), Some(17));
        assert_eq!(octets("64K"), Some(65_536));
        assert_eq!(octets("1M"), Some(1 << 20));
        assert_eq!(octets("2G"), Some(2 << 30));
        assert_eq!(octets("1T"), Some(1 << 40));
        assert_eq!(number(&Value::Integer(65_536), &OCTET_UNITS, 1), Some(65_536));
    }

    #[test]
    fn times_have_units_and_seconds_without_one() {
        assert_eq!(milliseconds("500ms"), Some(500));
        assert_eq!(milliseconds("30"), Some(30_000));
        assert_eq!(milliseconds("30s"), Some(30_000));
        assert_eq!(milliseconds("5m"), Some(300_000));
        assert_eq!(milliseconds("2h"), Some(7_200_000));
        assert_eq!(milliseconds("1d"), Some(86_400_000));
        assert_eq!(number(&Value::Integer(30), &TIME_UNITS, 1000), Some(30_000));
    }

    #[test]
    fn what_is_no_number_is_none() {
        for text in ["", "K", "1.5M", "-1", "+1", " 1", "1 ", "1 K", "1KB", "1k", "0x10", "1_000", "١"] {
            assert_eq!(octets(text), None, "{text:?}");
        }
        for text in ["99999999999999999999", "18446744073709551615K", "16777216T"] {
            assert_eq!(octets(text), None, "too large: {text}");
        }
        for value in [Value::Integer(-1), Value::Other("a boolean"), Value::List(vec!["1".into()])] {
            assert_eq!(number(&value, &OCTET_UNITS, 1), None, "{value:?}");
        }
        assert_eq!(milliseconds("18446744073709551615"), None);
    }

    #[test]
    fn bounds_are_shown_in_round_units() {
        assert_eq!(bounds(4096, 1 << 30).text("octets", &OCTET_UNITS), "octets from 4K to 1G");
        assert_eq!(bounds(100, 86_400_000).or_zero().text("a time", &TIME_UNITS), "0, or a time from 100ms to 1d");
        assert_eq!(bounds(0, 1500).text("a time", &TIME_UNITS), "a time from 0 to 1500ms");
    }

    #[test]
    fn zero_is_allowed_only_where_said() {
        assert!(bounds(5, 9).or_zero().holds(0) && !bounds(5, 9).or_zero().holds(4));
        assert!(!bounds(5, 9).holds(0) && bounds(5, 9).holds(5) && bounds(5, 9).holds(9) && !bounds(5, 9).holds(10));
    }
}
