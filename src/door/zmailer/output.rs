//! All that the scheduler is told goes out here: one writer for all threads, whole lines in one write.
//!
//! The scheduler counts `#hungry` and takes every line that it does not know for a mistake, so nothing else may write
//! to these descriptors: standard error is the same socket. [`Output`] is also where log lines go, as comments. When
//! the scheduler has gone nothing is written any more; what becomes of jobs is in their control files then.

use crate::door::reply::{clean, cut};
use crate::sync::Mutex;
use std::io::{self, Write};
use std::sync::Arc;

/// The most octets of a comment.
const MAX_COMMENT: usize = 1000;

/// The way to the scheduler. Clones are the same one.
#[derive(Clone)]
pub struct Output(Arc<Mutex<Way>>);

/// What a protocol log hears: who says it, and whole lines.
pub type Hear = Box<dyn FnMut(char, &[u8]) + Send>;

struct Way {
    sink: Box<dyn Write + Send>,
    log: Option<Hear>,
    has_gone: bool,
}

impl Output {
    /// A writer to the scheduler, which must not buffer.
    pub fn new(sink: Box<dyn Write + Send>) -> Output {
        Output(Arc::new(Mutex::new(Way { sink, log: None, has_gone: false })))
    }

    /// From now on `log` hears what is said by both sides: `T` the transport agent, `S` the scheduler.
    pub fn heard_by(&self, log: Hear) {
        self.0.lock().log = Some(log);
    }

    /// The scheduler has said this.
    pub(super) fn heard(&self, line: &[u8]) {
        if let Some(log) = &mut self.0.lock().log {
            log('S', &[line, b"\n"].concat());
        }
    }

    /// One line was taken and there is room for another.
    pub fn hungry(&self) {
        self.say(b"#hungry\n");
    }

    /// Something for the scheduler's log.
    pub fn comment(&self, text: &str) {
        self.say(comment(text).as_bytes());
    }

    /// Whole lines.
    pub fn say(&self, lines: &[u8]) {
        if lines.is_empty() {
            return;
        }
        debug_assert_eq!(lines.last(), Some(&b'\n'));
        let mut way = self.0.lock();
        if let Some(log) = &mut way.log {
            log('T', lines);
        }
        if !way.has_gone {
            way.has_gone = way.sink.write_all(lines).is_err();
        }
    }
}

/// A comment, as a whole line.
fn comment(text: &str) -> String {
    format!("# {}\n", cut(&clean(text), MAX_COMMENT))
}

/// The control file is not as the scheduler thinks; a reason that people should know goes before it.
pub(super) fn resync(path: &str, why: &str) -> String {
    let why = if why.is_empty() { String::new() } else { comment(&format!("{path}: {why}")) };
    format!("{why}#resync {path}\n")
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Output")
    }
}

/// For a logger: each line becomes a comment.
#[derive(Debug)]
pub struct Comments {
    output: Output,
    line: Vec<u8>,
}

impl Comments {
    /// Comments that go this way.
    pub fn new(output: Output) -> Comments {
        Comments { output, line: Vec::new() }
    }
}

impl Write for Comments {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        for &octet in octets {
            if octet == b'\n' {
                self.output.comment(&String::from_utf8_lossy(&self.line));
                self.line.clear();
            } else if self.line.len() < MAX_COMMENT {
                self.line.push(octet);
            }
        }
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keeps what it is given, write by write.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<Vec<u8>>>>);

    impl Write for Kept {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.lock().push(octets.to_vec());
            Ok(octets.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_write_is_whole_lines() {
        let kept = Kept::default();
        let output = Output::new(Box::new(kept.clone()));
        output.hungry();
        output.say(resync("A/1-1", "").as_bytes());
        output.say(resync("A/1-1", "broken").as_bytes());
        output.comment("two\nlines\t\x01");
        let mut comments = Comments::new(output);
        comments.write_all(b"a log ").expect("kept");
        comments.write_all(b"line\nhalf").expect("kept");
        let said: Vec<String> = kept.0.lock().iter().map(|write| String::from_utf8_lossy(write).into_owned()).collect();
        assert_eq!(
            said,
            ["#hungry\n", "#resync A/1-1\n", "# A/1-1: broken\n#resync A/1-1\n", "# two lines\n", "# a log line\n"]
        );
    }

    #[test]
    fn a_scheduler_that_has_gone_is_written_to_once() {
        struct Gone(Arc<Mutex<u32>>);
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                *self.0.lock() += 1;
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let count = Arc::new(Mutex::new(0));
        let output = Output::new(Box::new(Gone(Arc::clone(&count))));
        (0..3).for_each(|_| output.hungry());
        assert_eq!(*count.lock(), 1);
    }
}
