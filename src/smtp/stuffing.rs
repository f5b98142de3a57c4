//! Dot-stuffing, the transparency of DATA (RFC 5321 4.5.2), in both directions and independent of how the
//! input is cut.
//!
//! [`Stuffer`] takes content in its normal form (CRLF line ends only, [`crate::mail::Content`]). As a second guard
//! against smuggling it doubles a dot behind *any* CR or LF, so that no server's idea of a line end turns content into
//! commands. [`Unstuffer`] is the receiving side: only `CRLF . CRLF` ends the content; a dot line ended otherwise is
//! content.

use memchr::memchr2_iter;

/// Adds dots to content on its way out.
#[derive(Debug, Clone)]
pub struct Stuffer {
    line_start: bool,
    last: [u8; 2],
}

impl Default for Stuffer {
    fn default() -> Stuffer {
        Stuffer { line_start: true, last: *b"\r\n" }
    }
}

impl Stuffer {
    /// Appends `input`, stuffed, to `out`.
    pub fn push(&mut self, input: &[u8], out: &mut Vec<u8>) {
        let Some(&last) = input.last() else { return };
        if self.line_start && input[0] == b'.' {
            out.push(b'.');
        }
        let mut copied = 0;
        for end in memchr2_iter(b'\r', b'\n', input) {
            if input.get(end + 1) == Some(&b'.') {
                out.extend_from_slice(&input[copied..=end]);
                out.push(b'.');
                copied = end + 1;
            }
        }
        out.extend_from_slice(&input[copied..]);
        self.line_start = last == b'\r' || last == b'\n';
        let before = if input.len() > 1 { input[input.len() - 2] } else { self.last[1] };
        self.last = [before, last];
    }

    /// Appends the end of content: the missing CRLF, if any, and the dot line.
    pub fn finish(self, out: &mut Vec<u8>) {
        let end: &[u8] = if self.last == *b"\r\n" { b".\r\n" } else { b"\r\n.\r\n" };
        out.extend_from_slice(end);
    }
}

/// What the receiving side has seen of the dot line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// In the middle of a line.
    Text,
    /// A CR, perhaps of a line end.
    Cr,
    /// At the start of a line.
    Start,
    /// A dot at the start of a line.
    Dot,
    /// A dot and a CR at the start of a line.
    DotCr,
}

/// Takes the dots away on the way in and finds the end.
#[derive(Debug, Clone)]
pub struct Unstuffer {
    seen: Seen,
    unstuffed: u64,
}

impl Default for Unstuffer {
    fn default() -> Unstuffer {
        Unstuffer { seen: Seen::Start, unstuffed: 0 }
    }
}

impl Unstuffer {
    /// Appends content to `out` until the input or the content ends. Returns how many octets of input were used, and
    /// whether the final dot line was among them.
    pub fn push(&mut self, input: &[u8], out: &mut Vec<u8>) -> (usize, bool) {
        let mut at = 0;
        while at < input.len() {
            if self.seen == Seen::Text {
                let plain = memchr::memchr(b'\r', &input[at..]).unwrap_or(input.len() - at);
                out.extend_from_slice(&input[at..at + plain]);
                at += plain;
                if at == input.len() {
                    break;
                }
            }
            let byte = input[at];
            at += 1;
            if self.step(byte, out) {
                return (at, true);
            }
        }
        (at, false)
    }

    /// Dots at the start of a line that were followed by neither a second dot nor the end: a client that does not
    /// stuff.
    pub fn unstuffed_dots(&self) -> u64 {
        self.unstuffed
    }

    fn step(&mut self, byte: u8, out: &mut Vec<u8>) -> bool {
        self.seen = match (self.seen, byte) {
            (Seen::Start, b'.') => Seen::Dot,
            (Seen::Dot, b'\r') => Seen::DotCr,
            (Seen::DotCr, b'\n') => return true,
            (Seen::DotCr, _) => {
                self.unstuffed += 1;
                out.extend_from_slice(b".\r");
                return self.plain(Seen::Cr, byte, out);
            }
            (Seen::Dot, b'.') => {
                out.push(b'.');
                Seen::Text
            }
            (Seen::Dot, _) => {
                self.unstuffed += 1;
                out.push(b'.');
                return self.plain(Seen::Text, byte, out);
            }
            (before, _) => return self.plain(before, byte, out),
        };
        false
    }

    fn plain(&mut self, before: Seen, byte: u8, out: &mut Vec<u8>) -> bool {
        out.push(byte);
        self.seen = match (before, byte) {
            (_, b'\r') => Seen::Cr,
            (Seen::Cr, b'\n') => Seen::Start,
            _ => Seen::Text,
        };
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stuffed(pieces: &[&[u8]]) -> Vec<u8> {
        let (mut stuffer, mut out) = (Stuffer::default(), Vec::new());
        for piece in pieces {
            stuffer.push(piece, &mut out);
        }
        stuffer.finish(&mut out);
        out
    }

    #[test]
    fn dots_are_doubled_at_every_line_start() {
        assert_eq!(stuffed(&[b""]), b".\r\n");
        assert_eq!(stuffed(&[b".\r\n..\r\na.\r\n"]), b"..\r\n...\r\na.\r\n.\r\n");
        assert_eq!(stuffed(&[b"a\r\n", b".b\r", b"\n"]), b"a\r\n..b\r\n.\r\n");
        assert_eq!(stuffed(&[b"no end"]), b"no end\r\n.\r\n");
    }

    #[test]
    fn a_dot_behind_a_bare_line_end_is_doubled_too() {
        assert_eq!(stuffed(&[b"a\n.\r\nQUIT\r\n"]), b"a\n..\r\nQUIT\r\n.\r\n");
        assert_eq!(stuffed(&[b"a\r", b".\rb\r\n"]), b"a\r..\rb\r\n.\r\n");
    }

    #[test]
    fn only_the_true_end_ends_the_content() {
        for input in [&b"a\n.\r\n"[..], b"a\r\n.\n", b"a\r.\r\n", b"a\r\n.\rb", b"a\r\n.\r.\r\n"] {
            let (mut unstuffer, mut out) = (Unstuffer::default(), Vec::new());
            assert_eq!(unstuffer.push(input, &mut out), (input.len(), false), "{input:?}");
        }
    }

    #[test]
    fn what_stands_behind_the_end_is_left_alone() {
        let (mut unstuffer, mut out) = (Unstuffer::default(), Vec::new());
        assert_eq!(unstuffer.push(b"..a\r\n.b\r\n.\r\nRSET\r\n", &mut out), (12, true));
        assert_eq!(out, b".a\r\n.b\r\n");
        assert_eq!(unstuffer.unstuffed_dots(), 1);
    }

    proptest! {
        #[test]
        fn the_round_trip_is_the_identity(lines in proptest::collection::vec("[.a\u{e9}]{0,4}", 0..20), cuts in proptest::collection::vec(1usize..9, 1..30)) {
            let content: Vec<u8> = lines.iter().flat_map(|l| [l.as_bytes(), b"\r\n"].concat()).collect();
            let wire = stuffed(&cut(&content, &cuts));
            prop_assert_eq!(&wire, &stuffed(&[&content]));
            let (mut unstuffer, mut out, mut ended) = (Unstuffer::default(), Vec::new(), false);
            for piece in cut(&wire, &cuts) {
                prop_assert!(!ended);
                let (used, end) = unstuffer.push(piece, &mut out);
                prop_assert_eq!(used, piece.len());
                ended = end;
            }
            prop_assert!(ended);
            prop_assert_eq!(out, content);
            prop_assert_eq!(unstuffer.unstuffed_dots(), 0);
        }
    }

    fn cut<'a>(mut bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
        let (mut pieces, mut sizes) = (Vec::new(), cuts.iter().cycle());
        while !bytes.is_empty() {
            let (piece, rest) = bytes.split_at((*sizes.next().expect("cycle")).min(bytes.len()));
            pieces.push(piece);
            bytes = rest;
        }
        pieces
    }
}
