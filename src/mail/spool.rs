//! Content that stays where its caller has it: octets in memory or a range of a file, if they are already in the one
//! form that may go on a wire. Nothing is copied then; what is not in that form is left to [`super::ContentBuilder`].
//!
//! The caller may be wrong about a file that it says nobody changes. So [`Range::read_at`] checks again what it reads:
//! an octet that must not stand on a wire is an error there, as a disk that cannot be read would be.

use super::content::MAX_LINE;
use memchr::memchr_iter;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Octets read at once.
const PIECE: usize = 64 * 1024;

/// Looks for what must not stand on a wire, in pieces of any size.
#[derive(Debug, Default)]
pub(super) struct Survey {
    after_cr: bool,
    line_len: usize,
    longest: usize,
    eight_bit: bool,
}

impl Survey {
    /// Whether all is well up to here.
    pub fn push(&mut self, piece: &[u8]) -> bool {
        let Some(&first) = piece.first() else { return true };
        if self.after_cr && first != b'\n' || memchr::memchr(0, piece).is_some() {
            return false;
        }
        self.eight_bit = self.eight_bit || !piece.is_ascii();
        let (mut begin, mut lf) = (0, 0);
        for at in memchr_iter(b'\n', piece) {
            let cr = at.checked_sub(1).map_or(self.after_cr, |before| piece[before] == b'\r');
            if !cr {
                return false;
            }
            self.longest = self.longest.max((self.line_len + at - begin).saturating_sub(1));
            (self.line_len, begin, lf) = (0, at + 1, lf + 1);
        }
        // Every LF has its CR; a CR without its LF is what is left to look for.
        let (cr, cr_at_end) = (memchr_iter(b'\r', piece).count(), piece.last() == Some(&b'\r'));
        let owed = lf - usize::from(self.after_cr) + usize::from(cr_at_end);
        self.line_len += piece.len() - begin;
        self.after_cr = cr_at_end;
        cr == owed
    }

    /// Whether octets are beyond ASCII, if all is well and the last line is ended; lines over the limit count when
    /// `refuse_long`.
    pub fn finish(&self, refuse_long: bool) -> Option<bool> {
        let whole = !self.after_cr && self.line_len == 0;
        (whole && !(refuse_long && self.longest > MAX_LINE)).then_some(self.eight_bit)
    }
}

/// A range of a file, checked once and again at each reading.
#[derive(Debug)]
pub(super) struct Range {
    file: Arc<File>,
    start: u64,
    len: u64,
    eight_bit: bool,
}

impl Range {
    /// The range, if it may go on a wire as it is. Reads all of it.
    pub fn survey(file: &Arc<File>, start: u64, len: u64, refuse_long: bool) -> io::Result<Option<Range>> {
        let (mut survey, mut done, mut piece) = (Survey::default(), 0, vec![0; PIECE]);
        while done < len {
            let most = usize::try_from(len - done).map_or(PIECE, |left| left.min(PIECE));
            let octets = file.read_at(&mut piece[..most], start + done)?;
            if octets == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if !survey.push(&piece[..octets]) {
                return Ok(None);
            }
            done += octets as u64;
        }
        let eight_bit = survey.finish(refuse_long);
        Ok(eight_bit.map(|eight_bit| Range { file: Arc::clone(file), start, len, eight_bit }))
    }

    pub fn is_eight_bit(&self) -> bool {
        self.eight_bit
    }

    /// Reads octets from `offset` and tells how many. They begin and end at any place but between a CR and its LF,
    /// unless there is room for one octet only. Content that was changed since is an error.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let left = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let most = buffer.len().min(left);
        let mut octets = self.file.read_at(&mut buffer[..most], self.start + offset)?;
        if octets > 1 && buffer[octets - 1] == b'\r' {
            octets -= 1;
        }
        if self.is_sound(&buffer[..octets], offset)? { Ok(octets) } else { Err(changed()) }
    }

    fn is_sound(&self, piece: &[u8], offset: u64) -> io::Result<bool> {
        let (Some(&first), Some(&last)) = (piece.first(), piece.last()) else { return Ok(true) };
        let starts = first != b'\n' || (offset > 0 && self.octet(offset - 1)? == b'\r');
        let goes_on = last != b'\r' || self.octet(offset + piece.len() as u64)? == b'\n';
        let ends = offset + (piece.len() as u64) < self.len || last == b'\n';
        let mut survey = Survey { after_cr: first == b'\n', ..Survey::default() };
        let clean = survey.push(piece) && (self.eight_bit || !survey.eight_bit);
        Ok(starts && goes_on && ends && clean)
    }

    fn octet(&self, offset: u64) -> io::Result<u8> {
        let mut octet = [0];
        match self.file.read_at(&mut octet, self.start + offset)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(octet[0]),
        }
    }
}

pub(super) fn changed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the file was changed after it was handed over")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    fn file_of(octets: &[u8]) -> Arc<File> {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(octets).expect("room on the disk");
        Arc::new(file)
    }

    fn surveyed(pieces: &[&[u8]]) -> Option<bool> {
        let mut survey = Survey::default();
        pieces.iter().all(|piece| survey.push(piece)).then(|| survey.finish(true)).flatten()
    }

    #[test]
    fn only_the_one_form_is_taken() {
        let long = [vec![b'x'; MAX_LINE + 1], b"\r\n".to_vec()].concat();
        for (octets, is) in [
            (&b""[..], Some(false)),
            (b"a\r\n", Some(false)),
            (b"\r\n\r\n", Some(false)),
            (b"\xe9\r\n", Some(true)),
            (&long[1..], Some(false)),
            (&long, None),
            (b"a", None),
            (b"a\n", None),
            (b"a\r", None),
            (b"\r\r\n", None),
            (b"\r\n\n", None),
            (b"a\rb\r\n", None),
            (b"a\0\r\n", None),
        ] {
            assert_eq!(surveyed(&[octets]), is, "{octets:?}");
        }
    }

    #[test]
    fn a_file_that_is_changed_afterwards_is_an_error_and_never_a_line() {
        let file = file_of(b"Subject: x\r\n\r\nHello.\r\nBye.\r\n");
        let range = Range::survey(&file, 14, 14, true).expect("read").expect("sound");
        let mut buffer = [0; 64];
        assert_eq!(range.read_at(&mut buffer, 0).expect("sound"), 14);
        assert_eq!(&buffer[..14], b"Hello.\r\nBye.\r\n");
        for (at, with) in [(20, &b"x"[..]), (21, b"x"), (16, b"\n"), (16, b"\0"), (16, b"\xe9"), (26, b"xx")] {
            let mut before = vec![0; with.len()];
            file.read_at(&mut before, at).expect("readable");
            file.write_at(with, at).expect("writable");
            let whole = range.read_at(&mut buffer, 0);
            let single = (0..14).find_map(|offset| range.read_at(&mut buffer[..1], offset).err());
            assert!(whole.is_err() && single.is_some(), "{with:?} at {at}");
            file.write_at(&before, at).expect("writable");
        }
        file.set_len(20).expect("cut");
        assert_eq!(range.read_at(&mut buffer, 6).expect("the end"), 0);
    }

    proptest! {
        #[test]
        fn a_survey_agrees_with_the_builder(octets in proptest::collection::vec(
            prop_oneof![3 => Just(b'\r'), 3 => Just(b'\n'), 1 => Just(0u8), 2 => any::<u8>()], 0..12), cut in 0usize..12)
        {
            let cut = cut.min(octets.len());
            let built = crate::mail::Content::from_bytes(&octets);
            let same = built.is_ok_and(|content| {
                let mut wire = vec![0; content.len() as usize];
                content.read_at(&mut wire, 0).is_ok() && wire == octets
            });
            prop_assert_eq!(surveyed(&[&octets]).is_some(), same);
            prop_assert_eq!(surveyed(&[&octets[..cut], &octets[cut..]]).is_some(), same);
        }

        #[test]
        fn a_range_reads_as_its_octets_are(lines in proptest::collection::vec("[a-z]{0,3}", 0..6), size in 1usize..9) {
            let octets: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
            let file = file_of(&[b"head", octets.as_bytes(), b"tail"].concat());
            let range = Range::survey(&file, 4, octets.len() as u64, true).expect("read").expect("sound");
            let (mut read, mut buffer) = (Vec::new(), vec![0; size]);
            loop {
                match range.read_at(&mut buffer, read.len() as u64).expect("sound") {
                    0 => break,
                    octets => read.extend_from_slice(&buffer[..octets]),
                }
            }
            prop_assert_eq!(read, octets.into_bytes());
        }
    }
}
