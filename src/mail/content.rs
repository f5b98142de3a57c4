//! Message content in the one form that may go on a wire: every line ends in CRLF, there is no other CR or
//! LF, no NUL, and the last line is ended (RFC 5321 2.3.8 and 4.1.1.4; RFC 5322 2.1).
//!
//! [`ContentBuilder`] makes it from input cut anywhere, keeps it in memory up to a limit and beyond that in an unlinked
//! temporary file, so that nothing is left behind however the process ends. What the rules refuse is named by line.
//! [`Content`] is read at any offset, by several threads at once, and is cheap to clone.
//!
//! [`Content::in_place`] takes a range of a caller's file as it is, without a copy, when it is in that form already;
//! [`Content::headed`] takes headers in memory and the text of a file whose lines end in LF, as MTAs keep it, without a
//! copy too.
//!
//! Not done here: dot-stuffing (it belongs to DATA, [`crate::smtp::stuffing`]) and any look at headers.

use super::spool::{Range, Survey};
use super::unix_text::{Inspector, UnixText, expand};
use memchr::memchr3;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use thiserror::Error;

/// The longest line, without CRLF, that RFC 5322 2.1.1 allows.
pub const MAX_LINE: usize = 998;

/// What is done with content that no server should be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentRules {
    /// A CR without LF or an LF without CR: made a CRLF when `true`, refused when `false`.
    pub normalise_newlines: bool,
    /// Lines over [`MAX_LINE`] octets are refused when `true`, passed on as they are when `false`.
    pub refuse_long_lines: bool,
    /// Octets kept in memory; a longer content moves to a file.
    pub memory_limit: u64,
    /// The most octets the content may have at all, counted as it will go on the wire; 0 for no limit.
    pub size_limit: u64,
    /// Where the unlinked file is made.
    pub directory: PathBuf,
}

impl Default for ContentRules {
    fn default() -> ContentRules {
        ContentRules {
            normalise_newlines: true,
            refuse_long_lines: false,
            memory_limit: 256 * 1024,
            size_limit: 0,
            directory: std::env::temp_dir(),
        }
    }
}

impl ContentRules {
    fn is_too_large(&self, len: u64) -> bool {
        self.size_limit > 0 && len > self.size_limit
    }
}

/// Why a content cannot be taken.
#[derive(Debug, Error)]
pub enum ContentError {
    /// The rules refuse what stands on a line (counted from 1). Trying again cannot help.
    #[error("line {line} of the content has {what}")]
    Refused {
        /// The line, counted from 1.
        line: u64,
        /// What it has.
        what: &'static str,
    },
    /// Over [`ContentRules::size_limit`].
    #[error("the content is over the limit of {0} octets")]
    TooLarge(u64),
    /// The temporary file could not be written (a full disk, say). Trying again later may help.
    #[error("cannot store the content in {directory}: {source}")]
    Storage {
        /// Where the file was to be.
        directory: String,
        /// What the system said.
        source: io::Error,
    },
}

/// Finished content. Clones share the same octets.
#[derive(Debug, Clone)]
pub struct Content {
    store: Arc<Store>,
    len: u64,
    eight_bit: bool,
}

#[derive(Debug)]
enum Store {
    Memory(Vec<u8>),
    File(File),
    Range(Range),
    Headed(Vec<u8>, UnixText),
}

impl Content {
    /// The octets themselves, not copied, if the rules have nothing to change or to refuse in them; else the octets
    /// back.
    pub fn as_it_is(octets: Vec<u8>, rules: &ContentRules) -> Result<Content, Vec<u8>> {
        let len = octets.len() as u64;
        let mut survey = Survey::default();
        if len > rules.memory_limit || rules.is_too_large(len) || !survey.push(&octets) {
            return Err(octets);
        }
        match survey.finish(rules.refuse_long_lines) {
            Some(eight_bit) => Ok(Content { store: Arc::new(Store::Memory(octets)), len, eight_bit }),
            None => Err(octets),
        }
    }

    /// `len` octets of the file from `start`, not copied, if the rules have nothing to change or to refuse in them.
    /// Nobody may change that range while the content lives; if somebody does, [`Content::read_at`] fails. An error is
    /// one of reading.
    pub fn in_place(file: &Arc<File>, start: u64, len: u64, rules: &ContentRules) -> io::Result<Option<Content>> {
        if rules.is_too_large(len) {
            return Ok(None);
        }
        let range = Range::survey(file, start, len, rules.refuse_long_lines)?;
        let of_range = |range: Range| {
            let eight_bit = range.is_eight_bit();
            Content { store: Arc::new(Store::Range(range)), len, eight_bit }
        };
        Ok(range.map(of_range))
    }

    /// Headers (whole lines, without the empty line behind them) and the text of the file from `start` to its end,
    /// which is not copied. Line ends may be LF everywhere and become CRLF while they are read; a CR alone counts as
    /// one whatever the rules say. Nobody may change the file while the content lives; if somebody does,
    /// [`Content::read_at`] fails.
    pub fn headed(head: &[u8], file: &Arc<File>, start: u64, rules: &ContentRules) -> Result<Content, ContentError> {
        let mut inspector = Inspector::new(rules.refuse_long_lines);
        inspector.push(head)?;
        inspector.push(b"\n")?;
        let mut wire = Vec::with_capacity(head.len() + head.len() / 16);
        expand(b'\n', head, &mut wire);
        wire.extend_from_slice(b"\r\n");
        let text = UnixText::survey(file, start, &mut inspector)?;
        let len = wire.len() as u64 + text.len();
        if rules.is_too_large(len) {
            return Err(ContentError::TooLarge(rules.size_limit));
        }
        Ok(Content { store: Arc::new(Store::Headed(wire, text)), len, eight_bit: inspector.is_eight_bit() })
    }

    /// Content from octets in memory, by the default rules (bare line ends become CRLF).
    pub fn from_bytes(bytes: &[u8]) -> Result<Content, ContentError> {
        let rules = ContentRules { memory_limit: u64::MAX, ..ContentRules::default() };
        let mut builder = ContentBuilder::new(rules);
        builder.push(bytes)?;
        builder.finish()
    }

    /// Octets, as counted by SIZE (RFC 1870) and BDAT (RFC 3030): with CRLF, without dot-stuffing.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is no octet at all.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether an octet has its high bit set, so that 8BITMIME is needed (RFC 6152).
    pub fn is_eight_bit(&self) -> bool {
        self.eight_bit
    }

    /// Reads octets from `offset` into `buffer` and tells how many; 0 only at the end.
    ///
    /// An error or an early end means that the temporary file is broken; the content must then not be continued on a
    /// wire.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match &*self.store {
            Store::Memory(bytes) => Ok(copy(bytes, buffer, offset)),
            Store::File(file) => file.read_at(buffer, offset),
            Store::Range(range) => range.read_at(buffer, offset),
            Store::Headed(head, text) => {
                let octets = copy(head, buffer, offset);
                let behind = (offset + octets as u64).checked_sub(head.len() as u64);
                Ok(octets + behind.map_or(Ok(0), |at| text.read_at(&mut buffer[octets..], at))?)
            }
        }
    }
}

/// What of the bytes is behind `offset`, as far as there is room.
fn copy(bytes: &[u8], buffer: &mut [u8], offset: u64) -> usize {
    let start = usize::try_from(offset).map_or(bytes.len(), |o| o.min(bytes.len()));
    let octets = buffer.len().min(bytes.len() - start);
    buffer[..octets].copy_from_slice(&bytes[start..start + octets]);
    octets
}

/// Builds [`Content`] from input in pieces of any size.
#[derive(Debug)]
pub struct ContentBuilder {
    rules: ContentRules,
    memory: Vec<u8>,
    file: Option<File>,
    len: u64,
    line: u64,
    line_len: usize,
    after_cr: bool,
    eight_bit: bool,
}

impl ContentBuilder {
    /// An empty content to be.
    pub fn new(rules: ContentRules) -> ContentBuilder {
        ContentBuilder {
            rules,
            memory: Vec::new(),
            file: None,
            len: 0,
            line: 1,
            line_len: 0,
            after_cr: false,
            eight_bit: false,
        }
    }

    /// Adds input. After an error the builder holds nothing of use; the rest of the input may be thrown away.
    pub fn push(&mut self, mut input: &[u8]) -> Result<(), ContentError> {
        while let Some(&first) = input.first() {
            if self.after_cr {
                self.after_cr = false;
                input = if first == b'\n' { &input[1..] } else { input };
                self.end_line(first != b'\n')?;
                continue;
            }
            let plain = memchr3(b'\r', b'\n', 0, input).unwrap_or(input.len());
            self.text(&input[..plain])?;
            match input.get(plain) {
                None => return Ok(()),
                Some(b'\r') => self.after_cr = true,
                Some(b'\n') => self.end_line(true)?,
                Some(_) => return Err(self.refused("a NUL")),
            }
            input = &input[plain + 1..];
        }
        Ok(())
    }

    /// Ends the content. A last line without its end is given one.
    pub fn finish(mut self) -> Result<Content, ContentError> {
        if self.after_cr {
            self.end_line(true)?;
        } else if self.line_len > 0 {
            self.store(b"\r\n")?;
        }
        let store = match self.file.take() {
            Some(file) => {
                self.spill(&file)?;
                Store::File(file)
            }
            None => Store::Memory(std::mem::take(&mut self.memory)),
        };
        Ok(Content { store: Arc::new(store), len: self.len, eight_bit: self.eight_bit })
    }

    /// Octets taken so far, as they will be counted on the wire.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether nothing was taken yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn text(&mut self, text: &[u8]) -> Result<(), ContentError> {
        if text.is_empty() {
            return Ok(());
        }
        self.line_len += text.len();
        if self.rules.refuse_long_lines && self.line_len > MAX_LINE {
            return Err(self.refused("over 998 octets"));
        }
        self.eight_bit = self.eight_bit || !text.is_ascii();
        self.store(text)
    }

    fn end_line(&mut self, bare: bool) -> Result<(), ContentError> {
        if bare && !self.rules.normalise_newlines {
            return Err(self.refused("a CR or an LF alone"));
        }
        self.store(b"\r\n")?;
        self.line += 1;
        self.line_len = 0;
        Ok(())
    }

    fn refused(&self, what: &'static str) -> ContentError {
        ContentError::Refused { line: self.line, what }
    }

    fn store(&mut self, bytes: &[u8]) -> Result<(), ContentError> {
        self.len += bytes.len() as u64;
        if self.rules.is_too_large(self.len) {
            return Err(ContentError::TooLarge(self.rules.size_limit));
        }
        self.memory.extend_from_slice(bytes);
        if self.file.is_none() && self.len > self.rules.memory_limit {
            let file = tempfile::tempfile_in(&self.rules.directory).map_err(|e| self.storage(e))?;
            self.file = Some(file);
        }
        const PIECE: usize = 64 * 1024;
        if let Some(file) = self.file.take() {
            if self.memory.len() >= PIECE {
                self.spill(&file)?;
            }
            self.file = Some(file);
        }
        Ok(())
    }

    fn spill(&mut self, mut file: &File) -> Result<(), ContentError> {
        file.write_all(&self.memory).map_err(|e| self.storage(e))?;
        self.memory.clear();
        Ok(())
    }

    fn storage(&self, source: io::Error) -> ContentError {
        ContentError::Storage { directory: self.rules.directory.display().to_string(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn built(rules: ContentRules, pieces: &[&[u8]]) -> Result<Vec<u8>, ContentError> {
        let mut builder = ContentBuilder::new(rules);
        for piece in pieces {
            builder.push(piece)?;
        }
        Ok(all(&builder.finish()?))
    }

    fn all(content: &Content) -> Vec<u8> {
        let mut out = vec![0; content.len() as usize + 1];
        let mut filled = 0;
        loop {
            match content.read_at(&mut out[filled..], filled as u64).expect("readable") {
                0 => break,
                n => filled += n,
            }
        }
        out.truncate(filled);
        out
    }

    #[test]
    fn line_ends_become_crlf() {
        for (input, wire) in [
            (&b"a\nb\n"[..], &b"a\r\nb\r\n"[..]),
            (b"a\r\nb", b"a\r\nb\r\n"),
            (b"a\rb\r", b"a\r\nb\r\n"),
            (b"\r\r\n\n", b"\r\n\r\n\r\n"),
            (b"", b""),
            (b"\n.\n", b"\r\n.\r\n"),
        ] {
            assert_eq!(built(ContentRules::default(), &[input]).expect("allowed"), wire, "{input:?}");
        }
    }

    #[test]
    fn strict_rules_name_the_line() {
        let strict = ContentRules { normalise_newlines: false, refuse_long_lines: true, ..ContentRules::default() };
        let long = vec![b'x'; MAX_LINE + 1];
        for (input, line, says) in [
            (&b"a\r\nb\nc"[..], 2, "line 2 of the content has a CR or an LF alone"),
            (b"a\rb", 1, "line 1 of the content has a CR or an LF alone"),
            (b"\r\n\r\na\0", 3, "line 3 of the content has a NUL"),
            (&long, 1, "line 1 of the content has over 998 octets"),
        ] {
            let error = built(strict.clone(), &[input]).expect_err("refused");
            assert!(matches!(error, ContentError::Refused { line: at, .. } if at == line));
            assert_eq!(error.to_string(), says);
        }
        assert!(built(strict, &[&long[1..], b"\r\n"]).is_ok());
    }

    #[test]
    fn a_content_over_the_size_limit_is_refused() {
        let rules = ContentRules { size_limit: 5, ..ContentRules::default() };
        assert!(built(rules.clone(), &[b"abc\r\n"]).is_ok());
        assert!(matches!(built(rules, &[b"abcd\r\n"]), Err(ContentError::TooLarge(5))));
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_a_storage_error() {
        let rules = ContentRules { memory_limit: 1, directory: "/nonexistent".into(), ..ContentRules::default() };
        let error = built(rules, &[b"abc\r\n"]).expect_err("no such directory");
        assert!(error.to_string().starts_with("cannot store the content in /nonexistent: "), "{error}");
    }

    proptest! {
        #[test]
        fn cuts_and_storage_change_nothing(input in proptest::collection::vec(
            prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'.'), 1u8..=255], 0..400), cut in 0usize..400, limit in 0u64..300)
        {
            let cut = cut.min(input.len());
            let whole = built(ContentRules::default(), &[&input]).expect("allowed");
            let rules = ContentRules { memory_limit: limit, ..ContentRules::default() };
            let pieces = built(rules, &[&input[..cut], &input[cut..]]).expect("allowed");
            prop_assert_eq!(&whole, &pieces);
            let stripped: Vec<u8> = whole.windows(2).filter(|w| w == b"\r\n").flatten().copied().collect();
            prop_assert_eq!(stripped.len(), whole.iter().filter(|b| b"\r\n".contains(b)).count());
        }
    }
}
