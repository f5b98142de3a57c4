//! Lines of the scheduler: octets in, orders out.
//!
//! [`Lines`] reads whole lines of any input and bounds them; a part of a line before the end of input is thrown away,
//! as the scheduler may have died while it wrote. [`Order::parse`] says what a line means. A path is taken only in the
//! forms that the scheduler writes, so that it cannot lead out of the directory.

use memchr::memchr;
use std::io::{self, Read};

/// The most octets of a line. A host may be a list, so this is far more than is ever needed.
pub(super) const MAX_LINE: usize = 16 * 1024;

/// What the scheduler says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// One job: deliver to the recipients in this control file that have this host; `None` is the host of the command
    /// line.
    Job {
        /// The control file.
        path: JobPath,
        /// The host, as it was written.
        host: Option<String>,
    },
    /// There is no more for now.
    Idle,
    /// Finish and end.
    End,
    /// Nothing that is known.
    Unknown,
}

/// The name of a control file below the directory of the agent: `NAME`, `X/NAME` or `X/Y/NAME`, `NAME` beginning with a
/// digit.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct JobPath(Box<str>);

impl JobPath {
    /// The name, checked.
    pub fn parse(text: &str) -> Option<JobPath> {
        let mut parts = text.rsplit('/');
        let name = parts.next()?;
        let directories: Vec<&str> = parts.collect();
        let hashed = |part: &&str| part.len() == 1 && part.as_bytes()[0].is_ascii_uppercase();
        let good = is_name(name) && directories.len() <= 2 && directories.iter().all(hashed);
        good.then(|| JobPath(text.into()))
    }

    /// As the scheduler wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The digits that the name begins with, by which the scheduler knows the message.
    pub fn id(&self) -> &str {
        let name = self.0.rsplit('/').next().unwrap_or_default();
        &name[..name.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(name.len())]
    }

    /// Where the spool file of this name is, from the same directory.
    pub fn spool(&self, name: &str) -> Option<String> {
        let directories = self.0.rfind('/').map_or("", |at| &self.0[..=at]);
        is_name(name).then(|| format!("../queue/{directories}{name}"))
    }
}

/// The name of a file of the queue.
fn is_name(name: &str) -> bool {
    let letters = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet);
    name.len() <= 255 && name.as_bytes().first().is_some_and(u8::is_ascii_digit) && name.bytes().all(letters)
}

impl Order {
    /// What a line means, without its LF.
    pub fn parse(line: &[u8]) -> Order {
        match line {
            b"" => return Order::End,
            b"#idle" => return Order::Idle,
            _ => {}
        }
        let (path, host) = match memchr(b'\t', line) {
            Some(tab) => (&line[..tab], Some(&line[tab + 1..])),
            None => (line, None),
        };
        let path = std::str::from_utf8(path).ok().and_then(JobPath::parse);
        match (path, host.map(str::from_utf8).transpose()) {
            (Some(path), Ok(host)) => Order::Job { path, host: host.map(str::to_owned) },
            _ => Order::Unknown,
        }
    }
}

/// Whole lines of an input.
#[derive(Debug)]
pub(super) struct Lines<R> {
    input: R,
    buffer: Vec<u8>,
    /// Of the buffer, up to here it was looked through without finding an LF.
    seen: usize,
    too_long: bool,
}

impl<R: Read> Lines<R> {
    pub fn new(input: R) -> Lines<R> {
        Lines { input, buffer: Vec::new(), seen: 0, too_long: false }
    }

    /// The next line without its LF; `None` at the end of input. A line over [`MAX_LINE`] comes as `#`, which means
    /// nothing.
    pub fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(at) = memchr(b'\n', &self.buffer[self.seen..]) {
                let end = self.seen + at;
                let mut line: Vec<u8> = self.buffer.drain(..=end).collect();
                line.pop();
                self.seen = 0;
                let too_long = std::mem::take(&mut self.too_long) || line.len() > MAX_LINE;
                return Ok(Some(if too_long { b"#".to_vec() } else { line }));
            }
            if self.buffer.len() > MAX_LINE {
                self.too_long = true;
                self.buffer.clear();
            }
            self.seen = self.buffer.len();
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    fn fill(&mut self) -> io::Result<bool> {
        let mut piece = [0; 4096];
        loop {
            match self.input.read(&mut piece) {
                Ok(octets) => {
                    self.buffer.extend_from_slice(&piece[..octets]);
                    return Ok(octets > 0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(mut input: &[u8]) -> Vec<Vec<u8>> {
        let (mut lines, mut all) = (Lines::new(&mut input), Vec::new());
        while let Some(line) = lines.next().expect("readable") {
            all.push(line);
        }
        all
    }

    #[test]
    fn every_line_that_the_scheduler_writes() {
        let job = |path: &str, host: Option<&str>| Order::Job {
            path: JobPath::parse(path).expect(path),
            host: host.map(str::to_owned),
        };
        for (line, order) in [
            ("4711-88\tb.test", job("4711-88", Some("b.test"))),
            ("A/Q/77-3\t((mx1)(mx2 mx3))", job("A/Q/77-3", Some("((mx1)(mx2 mx3))"))),
            ("S/10208755-13257", job("S/10208755-13257", None)),
            ("12\t", job("12", Some(""))),
            ("12\ta\tb", job("12", Some("a\tb"))),
            ("#idle", Order::Idle),
            ("", Order::End),
            ("#idle ", Order::Unknown),
            ("../etc/passwd\tb.test", Order::Unknown),
            ("/1\tb", Order::Unknown),
            ("A/B/C/1\tb", Order::Unknown),
            ("a/1\tb", Order::Unknown),
            ("A/../1\tb", Order::Unknown),
            ("x1\tb", Order::Unknown),
            ("\tb", Order::Unknown),
        ] {
            assert_eq!(Order::parse(line.as_bytes()), order, "{line:?}");
        }
    }

    #[test]
    fn a_path_tells_the_id_and_the_spool_file() {
        let path = JobPath::parse("E/F/10211089-7600").expect("good");
        assert_eq!(path.id(), "10211089");
        assert_eq!(path.spool("10211089-7600").as_deref(), Some("../queue/E/F/10211089-7600"));
        assert_eq!(JobPath::parse("42").expect("good").spool("42").as_deref(), Some("../queue/42"));
        assert_eq!((path.spool("../../etc/passwd"), path.spool("1/2"), path.spool("")), (None, None, None));
    }

    #[test]
    fn a_part_of_a_line_at_the_end_is_thrown_away() {
        assert_eq!(lines(b"1\ta\n2\tb"), [b"1\ta".to_vec()]);
        assert_eq!(lines(b"\n\n"), [b"".to_vec(), b"".to_vec()]);
    }

    #[test]
    fn a_line_without_end_is_bounded_and_is_still_one_line() {
        let long = [vec![b'1'; 5 * MAX_LINE], b"\n1\ta\n".to_vec()].concat();
        assert_eq!(lines(&long), [b"#".to_vec(), b"1\ta".to_vec()]);
        let mut endless = Lines::new(io::repeat(b'1').take(10_000_000));
        assert_eq!(endless.next().expect("readable"), None);
        assert!(endless.buffer.capacity() < 4 * MAX_LINE);
    }

    /// An input that gives one to seven octets at a time.
    struct Dribble<'a>(&'a [u8], usize);

    impl Read for Dribble<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.1 = self.1 % 7 + 1;
            let octets = self.1.min(self.0.len()).min(into.len());
            into[..octets].copy_from_slice(&self.0[..octets]);
            self.0 = &self.0[octets..];
            Ok(octets)
        }
    }

    proptest! {
        #[test]
        fn lines_are_the_same_however_they_come(
            input in proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..200))
        {
            let mut dribble = Lines::new(Dribble(&input, 0));
            let mut all = Vec::new();
            while let Some(line) = dribble.next().expect("readable") {
                all.push(line);
            }
            prop_assert_eq!(&all, &lines(&input));
            let count = input.iter().filter(|octet| **octet == b'\n').count();
            prop_assert_eq!(all.len(), count);
        }

        #[test]
        fn no_line_leads_out_of_the_directory(line in proptest::collection::vec(
            prop_oneof![Just(b'/'), Just(b'.'), Just(b'A'), Just(b'1'), Just(b'\t'), any::<u8>()], 0..12))
        {
            if let Order::Job { path, .. } = Order::parse(&line) {
                prop_assert!(!path.as_str().starts_with('/'));
                prop_assert!(path.as_str().split('/').all(|part| part != ".." && part != "." && !part.is_empty()));
                prop_assert!(!path.id().is_empty());
            }
        }
    }
}
