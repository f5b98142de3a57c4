//! Octets and times in few characters.

/// Octets as a whole number of four digits at the most, with a unit of 1024 where they need one.
pub fn octets(octets: u64) -> String {
    const UNITS: [&str; 7] = ["", "K", "M", "G", "T", "P", "E"];
    let (mut value, mut unit) = (u128::from(octets), 0);
    while value >= 10_000 && unit + 1 < UNITS.len() {
        // To the nearest: what is left over is less than half a unit.
        value = (value + 512) / 1024;
        unit += 1;
    }
    format!("{value}{}", UNITS[unit])
}

/// A time in its two largest units. What is no time, such as one before now, is none.
pub fn time(seconds: f64) -> String {
    // A cast of what is too large or no number ends at a bound.
    let whole = seconds as u64;
    match whole {
        0..10 => format!("{:.1}s", seconds.max(0.0)),
        10..60 => format!("{whole}s"),
        60..3600 => format!("{}m{:02}s", whole / 60, whole % 60),
        3600..86_400 => format!("{}h{:02}m", whole / 3600, whole / 60 % 60),
        _ => format!("{}d{:02}h", whole / 86_400, whole / 3600 % 24),
    }
}

/// The bound of a size class as `sizebins` writes it: kilobytes. Any other number of octets is written out.
pub fn bound(up_to: Option<u64>) -> String {
    match up_to {
        None => "any".to_owned(),
        Some(octets) if octets.is_multiple_of(1024) => format!("<={}K", octets / 1024),
        Some(octets) => format!("<={octets}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_have_four_digits_at_the_most() {
        let shown = [0, 9_999, 10_000, 10_240, 1 << 20, 10 << 20, 3 << 40, u64::MAX].map(octets);
        assert_eq!(shown, ["0", "9999", "10K", "10K", "1024K", "10M", "3072G", "16E"]);
    }

    #[test]
    fn times_have_their_two_largest_units() {
        let shown = [0.04, 9.94, 42.9, 61.0, 3_720.0, 90_000.0].map(time);
        assert_eq!(shown, ["0.0s", "9.9s", "42s", "1m01s", "1h02m", "1d01h"]);
        assert_eq!([-5.0, f64::NAN].map(time), ["0.0s", "0.0s"]);
        assert!(time(f64::INFINITY).len() < 25 && time(1e300).len() < 25);
    }

    #[test]
    fn bounds_are_kilobytes() {
        let shown = [Some(4096), Some(65_536), Some(1_024_000), Some(5000), None].map(bound);
        assert_eq!(shown, ["<=4K", "<=64K", "<=1000K", "<=5000", "any"]);
    }
}
