//! Text of a file as Unix keeps it, lines ended by LF, read in the one form that may go on a wire. Nothing is copied:
//! each line end becomes CRLF while it is read.
//!
//! [`UnixText::survey`] reads the range once. It counts what the text will have on the wire, block by block, so that
//! any place in it is found later by reading one block. A CR alone counts as a line end, as in
//! [`super::ContentBuilder`]; a last line without its end is given one; a NUL is refused.
//!
//! Nobody may change the range while it is read. If somebody does, [`UnixText::read_at`] fails: what it gives is always
//! clean, and always as many octets as were counted.

use super::content::{ContentError, MAX_LINE};
use super::spool::changed;
use memchr::{memchr, memchr2, memchr2_iter};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Octets of the file in one block.
const BLOCK: u64 = 16 * 1024;

/// A range of a file, counted.
#[derive(Debug)]
pub(super) struct UnixText {
    file: Arc<File>,
    start: u64,
    len: u64,
    /// Where on the wire each block begins, and behind the last one the end.
    places: Vec<u64>,
    eight_bit: bool,
}

/// What is looked for while text goes by.
#[derive(Debug)]
pub(super) struct Inspector {
    refuse_long: bool,
    line: u64,
    line_len: usize,
    /// The octet before the next one; an LF at the beginning.
    before: u8,
    eight_bit: bool,
}

impl Inspector {
    /// At the beginning of a content.
    pub fn new(refuse_long: bool) -> Inspector {
        Inspector { refuse_long, line: 1, line_len: 0, before: b'\n', eight_bit: false }
    }

    /// Takes a piece and tells how many octets it has on the wire.
    pub fn push(&mut self, piece: &[u8]) -> Result<u64, ContentError> {
        let refused = |line, what| Err(ContentError::Refused { line, what });
        if let Some(at) = memchr(0, piece) {
            return refused(self.line + ends(self.before, &piece[..at]), "a NUL");
        }
        self.eight_bit = self.eight_bit || !piece.is_ascii();
        let (mut octets, mut begin) = (piece.len() as u64, 0);
        for at in memchr2_iter(b'\r', b'\n', piece) {
            let before = at.checked_sub(1).map_or(self.before, |before| piece[before]);
            if piece[at] == b'\n' && before == b'\r' {
                (octets, begin) = (octets - 1, at + 1);
                continue;
            }
            self.line_len += at - begin;
            if self.refuse_long && self.line_len > MAX_LINE {
                return refused(self.line, "over 998 octets");
            }
            (octets, begin, self.line_len) = (octets + 1, at + 1, 0);
            self.line += 1;
        }
        self.line_len += piece.len() - begin;
        self.before = piece.last().copied().unwrap_or(self.before);
        if self.refuse_long && self.line_len > MAX_LINE {
            return refused(self.line, "over 998 octets");
        }
        Ok(octets)
    }

    /// Whether octets beyond ASCII went by.
    pub fn is_eight_bit(&self) -> bool {
        self.eight_bit
    }

    fn is_at_line_start(&self) -> bool {
        matches!(self.before, b'\r' | b'\n')
    }
}

/// Line ends in a piece.
fn ends(mut before: u8, piece: &[u8]) -> u64 {
    let mut count = 0;
    for &octet in piece {
        count += u64::from(octet == b'\r' || octet == b'\n' && before != b'\r');
        before = octet;
    }
    count
}

/// Appends a piece as it is on the wire. `before` is the octet before it.
pub(super) fn expand(mut before: u8, mut piece: &[u8], out: &mut Vec<u8>) {
    while let Some(at) = memchr2(b'\r', b'\n', piece) {
        out.extend_from_slice(&piece[..at]);
        if at > 0 || piece[at] == b'\r' || before != b'\r' {
            out.extend_from_slice(b"\r\n");
        }
        before = piece[at];
        piece = &piece[at + 1..];
    }
    out.extend_from_slice(piece);
}

impl UnixText {
    /// Counts the range from `start` to the end of the file, which goes on what the inspector has seen.
    pub fn survey(file: &Arc<File>, start: u64, inspector: &mut Inspector) -> Result<UnixText, ContentError> {
        let storage = |source| ContentError::Storage { directory: "its file".into(), source };
        let end = file.metadata().map_err(storage)?.len();
        let len = end.checked_sub(start).ok_or_else(|| storage(io::ErrorKind::UnexpectedEof.into()))?;
        let (mut places, mut done, mut wire, mut block) = (vec![0], 0, 0, vec![0; BLOCK as usize]);
        while done < len {
            let octets = BLOCK.min(len - done);
            let piece = &mut block[..octets as usize];
            file.read_exact_at(piece, start + done).map_err(storage)?;
            wire += inspector.push(piece)?;
            done += octets;
            places.push(wire);
        }
        if len > 0 && !inspector.is_at_line_start() {
            *places.last_mut().expect("one at least") += 2;
        }
        Ok(UnixText { file: Arc::clone(file), start, len, places, eight_bit: inspector.is_eight_bit() })
    }

    /// Octets on the wire.
    pub fn len(&self) -> u64 {
        *self.places.last().expect("one at least")
    }

    /// Reads octets from `offset` of what goes on the wire, and tells how many; 0 only at the end.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if offset >= self.len() || buffer.is_empty() {
            return Ok(0);
        }
        let block = self.places.partition_point(|&place| place <= offset) - 1;
        let wire = self.block(block)?;
        let from = usize::try_from(offset - self.places[block]).map_err(|_| changed())?;
        let octets = buffer.len().min(wire.len() - from);
        buffer[..octets].copy_from_slice(&wire[from..from + octets]);
        Ok(octets)
    }

    /// A block as it goes on the wire.
    fn block(&self, block: usize) -> io::Result<Vec<u8>> {
        let begin = block as u64 * BLOCK;
        let end = self.len.min(begin + BLOCK);
        let lead = u64::from(block > 0);
        let mut raw = vec![0; (lead + end - begin) as usize];
        self.file.read_exact_at(&mut raw, self.start + begin - lead)?;
        let before = if lead > 0 { raw[0] } else { b'\n' };
        let raw = &raw[lead as usize..];
        let mut wire = Vec::with_capacity(raw.len() + raw.len() / 16);
        expand(before, raw, &mut wire);
        if end == self.len && !matches!(raw.last(), Some(b'\r' | b'\n')) {
            wire.extend_from_slice(b"\r\n");
        }
        let counted = self.places[block + 1] - self.places[block];
        let clean = memchr(0, raw).is_none() && (self.eight_bit || raw.is_ascii());
        if clean && wire.len() as u64 == counted { Ok(wire) } else { Err(changed()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::{Content, ContentRules};
    use proptest::prelude::*;
    use std::io::Write;

    fn file_of(octets: &[u8]) -> Arc<File> {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(octets).expect("room on the disk");
        Arc::new(file)
    }

    fn read(content: &Content, size: usize) -> io::Result<Vec<u8>> {
        let (mut all, mut buffer) = (Vec::new(), vec![0; size]);
        loop {
            match content.read_at(&mut buffer, all.len() as u64)? {
                0 => return Ok(all),
                octets => all.extend_from_slice(&buffer[..octets]),
            }
        }
    }

    fn headed(head: &[u8], file: &[u8], start: u64) -> Result<Content, ContentError> {
        Content::headed(head, &file_of(file), start, &ContentRules::default())
    }

    #[test]
    fn headers_then_the_body_from_its_offset_with_crlf() {
        let content = headed(b"Subject: x\nTo: a\n", b"env\n\nBody.\n.\nlast", 5).expect("good");
        assert_eq!(read(&content, 4096).expect("read"), b"Subject: x\r\nTo: a\r\n\r\nBody.\r\n.\r\nlast\r\n");
        assert_eq!((content.len(), content.is_eight_bit()), (37, false));
        let empty = headed(b"Subject: x\n", b"env\n", 4).expect("good");
        assert_eq!(read(&empty, 3).expect("read"), b"Subject: x\r\n\r\n");
    }

    #[test]
    fn what_no_server_should_be_sent_is_named_by_its_line() {
        let error = headed(b"Subject: x\n", b"a\nb\0\n", 0).expect_err("a NUL");
        assert_eq!(error.to_string(), "line 4 of the content has a NUL");
        let strict = ContentRules { refuse_long_lines: true, ..ContentRules::default() };
        let long = [vec![b'x'; MAX_LINE + 1], b"\n".to_vec()].concat();
        assert!(Content::headed(b"A: b\n", &file_of(&long), 0, &strict).is_err());
        assert!(Content::headed(b"A: b\n", &file_of(&long[1..]), 0, &strict).is_ok());
        assert!(matches!(headed(b"A: b\n", b"abc", 4), Err(ContentError::Storage { .. })));
        let small = ContentRules { size_limit: 10, ..ContentRules::default() };
        assert!(matches!(Content::headed(b"A: b\n", &file_of(b"c\n"), 0, &small), Err(ContentError::TooLarge(10))));
    }

    #[test]
    fn a_file_that_is_changed_afterwards_is_an_error() {
        let text = b"line\n".repeat(10_000);
        for (at, with) in [(3u64, &b"\n"[..]), (4, b"x"), (0, b"\0"), (0, b"\xe9"), (40_000, b"\r\r")] {
            let file = file_of(&text);
            let content = Content::headed(b"A: b\n", &file, 0, &ContentRules::default()).expect("good");
            assert_eq!(read(&content, 5000).expect("unchanged").len() as u64, content.len());
            file.write_all_at(with, at).expect("writable");
            assert!(read(&content, 5000).is_err(), "{with:?} at {at}");
        }
        let file = file_of(&text);
        let content = Content::headed(b"A: b\n", &file, 0, &ContentRules::default()).expect("good");
        file.set_len(20_000).expect("cut");
        assert!(read(&content, 5000).is_err());
    }

    proptest! {
        #[test]
        fn it_reads_as_the_builder_would_make_it(
            head in "([A-Z]: [a-z]{0,5}\n){1,3}",
            body in proptest::collection::vec(
                prop_oneof![3 => Just(b'\r'), 3 => Just(b'\n'), 3 => 1u8..=255], 0..60),
            filler in prop_oneof![Just(0usize), (BLOCK as usize - 30)..(BLOCK as usize + 5)],
            size in 1usize..50,
        ) {
            let body = [&vec![b'x'; filler][..], &body].concat();
            let content = headed(head.as_bytes(), &[b"abc", &body[..]].concat(), 3).expect("no NUL");
            let built = Content::from_bytes(&[head.as_bytes(), b"\n", &body].concat()).expect("no NUL");
            prop_assert_eq!(content.len(), built.len());
            prop_assert_eq!(content.is_eight_bit(), built.is_eight_bit());
            prop_assert_eq!(read(&content, size + filler).expect("read"), read(&built, 4096).expect("read"));
        }
    }
}
