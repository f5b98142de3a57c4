//! How a next hop's messages are sorted into lanes: the values, how they are written, and whether they fit together.
//!
//! A **bin** is a size class; its bound is the largest message in octets that it takes, and the last bin takes every
//! size. `lanes`, `dscp` and `congestion` have one value for every bin, or one for each. Pure values: how lanes are
//! made of them is [`crate::lane::bins`]'s business.

use super::NextHopSettings;
use std::fmt;
use std::str::FromStr;

/// The most size classes.
pub const MAX_BINS: usize = 16;
/// The most connections of one bin.
pub const MAX_LANES: usize = 1000;
/// The largest bound, in kilobytes: a terabyte.
const MAX_BOUND: u64 = 1 << 30;
const KILOBYTE: u64 = 1024;

/// In which order messages are handed to lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// By size, into the lanes of their bin.
    #[default]
    Sorted,
    /// Whichever lane has room takes the next.
    Unsorted,
}

impl Order {
    /// The name in configuration and listings.
    pub const fn name(self) -> &'static str {
        match self {
            Order::Sorted => "sorted",
            Order::Unsorted => "unsorted",
        }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Order {
    type Err = ();

    fn from_str(name: &str) -> Result<Order, ()> {
        [Order::Sorted, Order::Unsorted].into_iter().find(|order| order.name() == name).ok_or(())
    }
}

/// `sizebins`: upper bounds in kilobytes, rising; the last is 0, which means no limit. In octets, `u64::MAX` for no
/// limit.
pub(super) fn bounds(words: &[&str]) -> Option<Vec<u64>> {
    let (last, others) = words.split_last()?;
    let kilobytes: Vec<u64> = others.iter().map(|word| number(word, 1, MAX_BOUND)).collect::<Option<_>>()?;
    let rising = kilobytes.windows(2).all(|pair| pair[0] < pair[1]);
    let fits = words.len() <= MAX_BINS && rising && *last == "0";
    fits.then(|| kilobytes.into_iter().map(|bound| bound * KILOBYTE).chain([u64::MAX]).collect())
}

/// Bounds as `sizebins` has them.
pub fn in_kilobytes(bounds: &[u64]) -> String {
    let word = |bound: &u64| if *bound == u64::MAX { "0".to_owned() } else { (bound / KILOBYTE).to_string() };
    bounds.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// `lanes`: how many connections each bin may have.
pub(super) fn lanes(words: &[&str]) -> Option<Vec<usize>> {
    let lanes = words.iter().map(|word| number(word, 1, MAX_LANES as u64).map(|n| n as usize));
    lanes.collect::<Option<Vec<_>>>().filter(|lanes| (1..=MAX_BINS).contains(&lanes.len()))
}

/// `dscp`: a code point (RFC 2474) for each bin, as a number or by its name; none at all leaves it to the system.
pub(super) fn code_points(words: &[&str]) -> Option<Vec<u8>> {
    words.iter().map(|word| code_point(word)).collect::<Option<Vec<_>>>().filter(|points| points.len() <= MAX_BINS)
}

/// One code point: 0 to 63, or the name of a class (RFC 2474, RFC 2597, RFC 3246, RFC 8622).
fn code_point(word: &str) -> Option<u8> {
    let digit = |at: usize, most: u8| word.as_bytes().get(at).map(|b| b - b'0').filter(|d| *d <= most);
    match word {
        "le" => Some(1),
        "ef" => Some(46),
        _ if word.len() == 3 && word.starts_with("cs") && word.as_bytes()[2].is_ascii_digit() => {
            digit(2, 7).map(|class| 8 * class)
        }
        _ if word.len() == 4 && word.starts_with("af") && word.bytes().skip(2).all(|b| b.is_ascii_digit()) => {
            let (class, drop) = (digit(2, 4).filter(|d| *d > 0)?, digit(3, 3).filter(|d| *d > 0)?);
            Some(8 * class + 2 * drop)
        }
        _ => number(word, 0, 63).map(|n| n as u8),
    }
}

/// `congestion`: names as the kernel may have them (TCP_CA_NAME_MAX is 16 with its NUL).
pub(super) fn congestion(words: &[&str]) -> Option<Vec<String>> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    let is_name = |word: &&str| word.len() < 16 && word.bytes().all(fits);
    (words.len() <= MAX_BINS && words.iter().all(is_name)).then(|| words.iter().map(|&word| word.to_owned()).collect())
}

/// A whole number in plain digits within its bounds.
fn number(word: &str, least: u64, most: u64) -> Option<u64> {
    let digits = !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
    word.parse().ok().filter(|number| digits && (least..=most).contains(number))
}

impl NextHopSettings {
    /// The bounds of the bins in force: those of `sizebins`, or one bin for everything when unsorted.
    pub fn bounds(&self) -> &[u64] {
        match self.order {
            Order::Sorted => &self.sizebins,
            Order::Unsorted => &[u64::MAX],
        }
    }

    /// Connections that each bin may have, one number a bin.
    pub fn lanes_by_bin(&self) -> Vec<usize> {
        let of_all = self.lanes.first().copied().unwrap_or(1);
        (0..self.bounds().len()).map(|bin| self.lanes.get(bin).copied().unwrap_or(of_all)).collect()
    }

    /// The code point of each bin's packets, if any is set.
    pub fn dscp_of(&self, bin: usize) -> Option<u8> {
        self.dscp.get(bin).or(self.dscp.first()).copied()
    }

    /// The congestion control of each bin's connections, if any is set.
    pub fn congestion_of(&self, bin: usize) -> Option<&str> {
        self.congestion.get(bin).or(self.congestion.first()).map(String::as_str)
    }

    /// What does not fit together, although each key by itself is allowed: the key, and why.
    pub fn conflict(&self) -> Option<(&'static str, String)> {
        let bins = self.bounds().len();
        let fits = |count: usize| count <= 1 || count == bins;
        let what = |count: usize| match self.order {
            Order::Sorted => {
                format!("{count} values for the {bins} bins of sizebins; give one, or one for each")
            }
            Order::Unsorted => {
                format!("{count} values, but order is \"unsorted\", where all lanes are alike; give one")
            }
        };
        let counts = [("lanes", self.lanes.len()), ("dscp", self.dscp.len()), ("congestion", self.congestion.len())];
        let unfit = counts.into_iter().find(|(_, count)| !fits(*count)).map(|(key, count)| (key, what(count)));
        unfit.or_else(|| self.tls.conflict())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<&str> {
        text.split_whitespace().collect()
    }

    #[test]
    fn bounds_rise_and_end_without_limit() {
        assert_eq!(bounds(&words("4 64 1000 0")), Some(vec![4096, 65_536, 1_024_000, u64::MAX]));
        assert_eq!(bounds(&words("0")), Some(vec![u64::MAX]));
        assert_eq!(in_kilobytes(&bounds(&words("4 64 1000 0")).expect("bounds")), "4 64 1000 0");
        for bad in ["", "4", "4 64", "0 4", "4 0 0", "64 4 0", "4 4 0", "-4 0", "4.5 0", "4K 0", "+4 0", "٤ 0", "4 00"]
        {
            assert_eq!(bounds(&words(bad)), None, "{bad:?}");
        }
        assert_eq!(bounds(&words("99999999999999999999 0")), None);
        assert!(bounds(&words("1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 0")).is_some());
        assert_eq!(bounds(&words("1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 0")), None);
    }

    #[test]
    fn lanes_are_one_at_least() {
        assert_eq!(lanes(&words("2 1 1 1")), Some(vec![2, 1, 1, 1]));
        assert_eq!(lanes(&words("7")), Some(vec![7]));
        for bad in ["", "0", "1 0", "1001", "-1", "a", "1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"] {
            assert_eq!(lanes(&words(bad)), None, "{bad:?}");
        }
    }

    #[test]
    fn code_points_have_numbers_and_names() {
        let all = words("ef af21 cs1 le 0 63 af43 cs7");
        assert_eq!(code_points(&all), Some(vec![46, 18, 8, 1, 0, 63, 38, 56]));
        assert_eq!(code_points(&[]), Some(Vec::new()));
        for bad in ["64", "af14", "af51", "af01", "af10", "cs8", "cs", "EF", "csx", "af1x", "ä", "af é"] {
            assert_eq!(code_points(&[bad]), None, "{bad:?}");
        }
    }

    #[test]
    fn as_many_lanes_as_bins_or_one_number() {
        let mut settings = NextHopSettings::default();
        assert_eq!((settings.conflict(), settings.lanes_by_bin()), (None, vec![1, 1, 1, 1]));
        settings.lanes = vec![3];
        assert_eq!((settings.conflict(), settings.lanes_by_bin()), (None, vec![3, 3, 3, 3]));
        settings.lanes = vec![2, 1, 1];
        let (key, why) = settings.conflict().expect("three for four");
        assert!(key == "lanes" && why.starts_with("3 values for the 4 bins"), "{why}");
        settings.lanes = vec![2, 1, 1, 1];
        assert_eq!((settings.conflict(), settings.lanes_by_bin()), (None, vec![2, 1, 1, 1]));
        settings.order = Order::Unsorted;
        assert_eq!(settings.conflict().expect("unsorted").0, "lanes");
        settings.lanes = vec![5];
        assert_eq!((settings.conflict(), settings.lanes_by_bin()), (None, vec![5]));
        settings.dscp = vec![1, 2];
        assert_eq!(settings.conflict().expect("unsorted").0, "dscp");
        settings.dscp = vec![46];
        assert_eq!((settings.conflict(), settings.dscp_of(0)), (None, Some(46)));
    }
}
