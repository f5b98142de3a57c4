//! What is wrong with a content, found as it comes, cut anywhere (RFC 5321 2.3.8, 4.5.3.1.6; RFC 6152). Pure.

use memchr::{memchr, memchr2_iter};

/// The longest line without its CRLF.
const MAX_LINE: u64 = 998;

/// Looks at content without dot-stuffing.
#[derive(Debug, Default)]
pub(super) struct Inspection {
    line: u64,
    after_cr: bool,
    unended: bool,
    bare_cr: bool,
    bare_lf: bool,
    nul: bool,
    long_line: bool,
    eight_bit: bool,
}

impl Inspection {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let Some(&last) = bytes.last() else { return };
        self.eight_bit = self.eight_bit || !bytes.is_ascii();
        self.nul = self.nul || memchr(0, bytes).is_some();
        let (before, mut seen) = (self.after_cr, 0);
        self.bare_cr |= before && bytes[0] != b'\n';
        for at in memchr2_iter(b'\r', b'\n', bytes) {
            let line = self.line + (at - seen) as u64;
            self.long_line |= line > MAX_LINE;
            let cr_before = if at == 0 { before } else { bytes[at - 1] == b'\r' };
            if bytes[at] == b'\r' {
                self.bare_cr |= bytes.get(at + 1).is_some_and(|&next| next != b'\n');
            } else {
                self.bare_lf |= !cr_before;
            }
            self.line = 0;
            seen = at + 1;
        }
        self.line += (bytes.len() - seen) as u64;
        self.long_line |= self.line > MAX_LINE;
        let cr_before_last = if bytes.len() > 1 { bytes[bytes.len() - 2] == b'\r' } else { before };
        self.unended = last != b'\n' || !cr_before_last;
        self.after_cr = last == b'\r';
    }

    /// The mistakes of the whole.
    pub(super) fn mistakes(&self, may_be_eight_bit: bool, unstuffed_dots: u64) -> Vec<&'static str> {
        let found = [
            (self.bare_cr || self.after_cr, "a CR without LF in the content"),
            (self.bare_lf, "an LF without CR in the content"),
            (self.nul, "a NUL in the content"),
            (self.long_line, "a line over 998 octets in the content"),
            (self.eight_bit && !may_be_eight_bit, "8-bit content without BODY=8BITMIME"),
            (self.unended, "the content does not end with CRLF"),
            (unstuffed_dots > 0, "a dot at the start of a line was not doubled"),
        ];
        found.into_iter().filter_map(|(wrong, text)| wrong.then_some(text)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(content: &[u8], piece: usize) -> Vec<&'static str> {
        let mut inspection = Inspection::default();
        for piece in content.chunks(piece) {
            inspection.push(piece);
        }
        inspection.mistakes(false, 0)
    }

    #[test]
    fn each_mistake_is_found_however_the_input_is_cut() {
        let long = [vec![b'x'; 999], b"\r\n".to_vec()].concat();
        let cases: [(&[u8], &[&str]); 10] = [
            (b"", &[]),
            (b"a\r\n\r\nb\r\n", &[]),
            (b"a\rb\r\n", &["a CR without LF in the content"]),
            (b"a\r\r\n", &["a CR without LF in the content"]),
            (b"a\nb\r\n", &["an LF without CR in the content"]),
            (b"a\r\n\n", &["an LF without CR in the content", "the content does not end with CRLF"]),
            (b"a\0\r\n", &["a NUL in the content"]),
            (b"\xe9\r\n", &["8-bit content without BODY=8BITMIME"]),
            (b"a\r\nb", &["the content does not end with CRLF"]),
            (&long, &["a line over 998 octets in the content"]),
        ];
        for (content, wanted) in cases {
            for piece in [1, 2, 3, 5, 4096] {
                assert_eq!(mistakes(content, piece), wanted, "{content:?} in pieces of {piece}");
            }
        }
        assert_eq!(mistakes(&[vec![b'x'; 998], b"\r\n".to_vec()].concat(), 7), [""; 0]);
    }
}
