//! Texts from outside, made fit for a terminal: what a server said can hold escape sequences, or marks that turn the
//! order of what is read.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The text in one line of printable characters, cut short at `most` of them: all others are written as their numbers.
pub fn plain(text: &str, most: usize) -> String {
    let mut shown = String::new();
    let mut left = most;
    for c in text.chars() {
        let written: Cow<'_, str> =
            if is_plain(c) { c.to_string().into() } else { c.escape_unicode().to_string().into() };
        let Some(rest) = left.checked_sub(written.chars().count()) else { return shown + "..." };
        left = rest;
        shown.push_str(&written);
    }
    shown
}

/// A JSON text that says the same in printable characters and line ends. All others can stand in its strings only, and
/// there as numbers too.
pub fn plain_json(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => shown.push(c),
            _ if is_plain(c) => shown.push(c),
            _ => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    // Writing to a String cannot fail.
                    let _ = write!(shown, "\\u{unit:04x}");
                }
            }
        }
    }
    shown
}

/// Whether a terminal shows it and does nothing else: `escape_debug` knows control, format and unassigned characters,
/// blanks of other kinds, and marks that only join to what is before them.
fn is_plain(c: char) -> bool {
    matches!(c, '\'' | '"' | '\\') || c.escape_debug().len() == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_and_marks_that_turn_the_order_become_numbers() {
        let hostile = "a\x1b[2J\u{9b}31m\r\n\t\0\x7f\u{202e}\u{2066}\u{200f}\u{2028}\u{feff}\u{e0041}\u{301}z";
        let shown = plain(hostile, 1000);
        assert_eq!(
            shown,
            "a\\u{1b}[2J\\u{9b}31m\\u{d}\\u{a}\\u{9}\\u{0}\\u{7f}\\u{202e}\\u{2066}\\u{200f}\\u{2028}\\u{feff}\\u{e0041}\\u{301}z"
        );
        assert_eq!(plain("é \"said\" 'no' C:\\x 語", 1000), "é \"said\" 'no' C:\\x 語");
    }

    #[test]
    fn a_long_text_is_cut() {
        assert_eq!(plain("abcdef", 6), "abcdef");
        assert_eq!(plain("abcdefg", 6), "abcdef...");
        assert_eq!(plain("abcde\x1b", 6), "abcde...");
        assert!(plain(&"\u{202e}".repeat(100_000), 50).chars().count() <= 53);
    }

    #[test]
    fn json_says_the_same_without_them() {
        let value = serde_json::json!({ "said": "\x1b[2J\u{9b}\u{202e}\u{10ffff} é \\ \"", "other": [1, null] });
        let text = value.to_string() + "\n";
        let shown = plain_json(&text);
        assert!(shown.chars().all(|c| c == '\n' || is_plain(c)), "{shown:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).expect("JSON"), value);
    }
}
