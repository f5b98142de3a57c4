//! How much a message is in a hurry: the message transfer priority of RFC 6710, -9 to 9, higher first.
//!
//! The text has one form for each value, that of `priority-value` in RFC 6710 section 7: no sign before a positive
//! number or 0, no second digit, no blank. So what was parsed is written as it came. What a value comes to is the
//! business of whoever treats messages by it; the names of the policies (MIXER, STANAG4406, NSEP) change nothing here.

use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// A priority. Greater is sooner; the default is 0, that of a message of which nothing was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Priority(i8);

/// A text or a number that is no priority. The text is not repeated: it may hold anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a priority is a whole number from -9 to 9, without a plus sign")]
pub struct PriorityError;

impl Priority {
    /// The last to go.
    pub const LOWEST: Priority = Priority(-9);

    /// The first to go.
    pub const HIGHEST: Priority = Priority(9);

    /// A priority from its number.
    pub fn new(number: i8) -> Result<Priority, PriorityError> {
        let range = Priority::LOWEST.0..=Priority::HIGHEST.0;
        if range.contains(&number) { Ok(Priority(number)) } else { Err(PriorityError) }
    }

    /// A priority from its text, whole and in its one form.
    pub fn parse(text: &str) -> Result<Priority, PriorityError> {
        match *text.as_bytes() {
            [b'0'] => Ok(Priority(0)),
            [digit @ b'1'..=b'9'] => Ok(Priority((digit - b'0') as i8)),
            [b'-', digit @ b'1'..=b'9'] => Ok(Priority(-((digit - b'0') as i8))),
            _ => Err(PriorityError),
        }
    }

    /// The number.
    pub fn get(self) -> i8 {
        self.0
    }

    /// How many steps lie between it and the highest: 0 for that, 18 for the lowest.
    pub fn steps_below_highest(self) -> u32 {
        u32::from(Priority::HIGHEST.0.abs_diff(self.0))
    }
}

impl FromStr for Priority {
    type Err = PriorityError;

    fn from_str(text: &str) -> Result<Priority, PriorityError> {
        Priority::parse(text)
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_value_is_read_as_it_is_written() {
        for number in -9..=9 {
            let priority = Priority::new(number).expect("in the range");
            assert_eq!((priority.get(), Priority::parse(&number.to_string())), (number, Ok(priority)));
        }
    }

    #[test]
    fn what_is_not_the_one_form_of_a_value_is_refused() {
        for text in [
            "",
            "-",
            "+",
            "+1",
            "+0",
            "-0",
            "00",
            "01",
            "-01",
            "10",
            "-10",
            "99",
            "127",
            "128",
            "-129",
            "1 ",
            " 1",
            "1\r",
            "1\n",
            "\t1",
            "1\0",
            "1.0",
            "1e0",
            "0x1",
            "--1",
            "1-",
            "\u{0663}",
            "\u{2212}1",
            "\u{ff11}",
            "one",
            "HIGH",
        ] {
            assert_eq!(Priority::parse(text), Err(PriorityError), "{text:?}");
        }
        assert_eq!((Priority::new(10), Priority::new(-10)), (Err(PriorityError), Err(PriorityError)));
    }

    #[test]
    fn greater_is_sooner_and_nothing_said_is_the_middle() {
        assert!(Priority::LOWEST < Priority::default() && Priority::default() < Priority::HIGHEST);
        assert_eq!(Priority::default().get(), 0);
    }

    proptest! {
        #[test]
        fn a_number_is_one_exactly_within_the_range(number: i8) {
            let priority = Priority::new(number);
            prop_assert_eq!(priority.is_ok(), (-9..=9).contains(&number));
            if let Ok(priority) = priority {
                prop_assert_eq!(Priority::parse(&priority.to_string()), Ok(priority));
            }
        }

        #[test]
        fn what_is_parsed_is_displayed_as_it_came(text in "[-+ ]{0,2}[0-9]{0,3}|\\PC{0,4}") {
            if let Ok(priority) = text.parse::<Priority>() {
                prop_assert_eq!(priority.to_string(), text);
            }
        }
    }
}
