//! Amounts and durations as people write them on a command line: a whole number and a unit.

use std::time::Duration;

/// `75000`, `75k`, `2M`, `1G`: decimal, large or small letters.
pub(crate) fn amount(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text)?;
    let factor = match unit {
        "" => 1,
        "k" | "K" => 1000,
        "m" | "M" => 1_000_000,
        "g" | "G" => 1_000_000_000,
        _ => return Err(format!("the unit is k, M or G, not {unit:?}")),
    };
    number.checked_mul(factor).ok_or_else(|| "too large".to_owned())
}

/// `20us`, `150ms`, `1s`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text)?;
    match unit {
        "us" => Ok(Duration::from_micros(number)),
        "ms" => Ok(Duration::from_millis(number)),
        "s" => Ok(Duration::from_secs(number)),
        _ => Err(format!("the unit is us, ms or s, not {unit:?}")),
    }
}

fn split(text: &str) -> Result<(u64, &str), String> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number = number.parse().map_err(|_| format!("{text:?} does not begin with a whole number"))?;
    Ok((number, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts() {
        for (text, value) in [("0", 0), ("75000", 75_000), ("64k", 64_000), ("2M", 2_000_000), ("1g", 1_000_000_000)] {
            assert_eq!(amount(text), Ok(value), "{text}");
        }
        for bad in ["", "k", "-1", "1.5M", "2MB", "2 M", "99999999999G", "99999999999999999999"] {
            assert!(amount(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations() {
        for (text, micros) in [("20us", 20), ("150ms", 150_000), ("2s", 2_000_000)] {
            assert_eq!(duration(text), Ok(Duration::from_micros(micros)), "{text}");
        }
        for bad in ["", "150", "ms", "1m", "-1s", "1.5s"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
