//! All that the scheduler is told goes out here: whole lines, in the order in which they were said, by one thread.
//!
//! The scheduler counts `#hungry` and takes every line that it does not know for a mistake, so nothing else may write
//! to these descriptors: standard error is the same socket. [`Output`] is also where log lines go, as comments. When
//! the scheduler has gone nothing is written any more; what becomes of jobs is in their control files then.
//!
//! Whoever marks never waits for the scheduler to read: lines are queued. Only who takes jobs does, in
//! [`Output::hungry`], while much is queued; so what is queued is bounded by that and the jobs in hand. Comments are
//! left out meanwhile, and counted.

use crate::door::reply::{clean, cut};
use crate::sync::{Condvar, Mutex};
use std::io::{self, Write};
use std::sync::Arc;
use std::thread;

/// The most octets of a comment.
const MAX_COMMENT: usize = 1000;

/// Octets that are queued before no more jobs are taken.
const MUCH: usize = 1 << 20;

/// The way to the scheduler. Clones are the same one.
#[derive(Clone)]
pub struct Output(Arc<Sayers>);

/// What a protocol log hears: who says it, and whole lines.
pub type Hear = Box<dyn FnMut(char, &[u8]) + Send>;

/// All who can say something. When they have gone the thread ends, having written what they said.
struct Sayers(Arc<Way>);

struct Way {
    state: Mutex<State>,
    news: Condvar,
}

#[derive(Default)]
struct State {
    queued: Vec<u8>,
    /// The thread has taken lines out of the queue and writes them.
    is_writing: bool,
    /// Comments left out since the last one that was not.
    left_out: u64,
    log: Option<Hear>,
    has_gone: bool,
    is_last: bool,
}

impl Output {
    /// A writer to the scheduler, which must not buffer.
    pub fn new(sink: Box<dyn Write + Send>) -> io::Result<Output> {
        let way = Arc::new(Way { state: Mutex::default(), news: Condvar::new() });
        let writer = Arc::clone(&way);
        thread::Builder::new().name("output".into()).spawn(move || writer.write(sink))?;
        Ok(Output(Arc::new(Sayers(way))))
    }

    /// From now on `log` hears what is said by both sides: `T` the transport agent, `S` the scheduler.
    pub fn heard_by(&self, log: Hear) {
        self.way().state.lock().log = Some(log);
    }

    /// The scheduler has said this.
    pub(super) fn heard(&self, line: &[u8]) {
        if let Some(log) = &mut self.way().state.lock().log {
            log('S', &[line, b"\n"].concat());
        }
    }

    /// One line was taken and there is room for another. Waits while much is queued.
    pub fn hungry(&self) {
        let way = self.way();
        let mut state = way.state.lock();
        while state.queued.len() >= MUCH {
            way.news.wait(&mut state);
        }
        way.queue(&mut state, b"#hungry\n");
    }

    /// Something for the scheduler's log.
    pub fn comment(&self, text: &str) {
        let way = self.way();
        let mut state = way.state.lock();
        if state.queued.len() >= MUCH {
            state.left_out += 1;
            return;
        }
        let left_out = std::mem::take(&mut state.left_out);
        if left_out > 0 {
            way.queue(&mut state, comment(&format!("{left_out} comments were left out")).as_bytes());
        }
        way.queue(&mut state, comment(text).as_bytes());
    }

    /// Whole lines.
    pub fn say(&self, lines: &[u8]) {
        let way = self.way();
        way.queue(&mut way.state.lock(), lines);
    }

    /// Waits until all that was said is written, or the scheduler has gone.
    pub fn flush(&self) {
        let way = self.way();
        let mut state = way.state.lock();
        while state.is_writing || !state.queued.is_empty() {
            way.news.wait(&mut state);
        }
    }

    fn way(&self) -> &Way {
        &self.0.0
    }
}

impl Drop for Sayers {
    fn drop(&mut self) {
        self.0.state.lock().is_last = true;
        self.0.news.notify_all();
    }
}

impl Way {
    fn queue(&self, state: &mut State, lines: &[u8]) {
        if lines.is_empty() {
            return;
        }
        debug_assert_eq!(lines.last(), Some(&b'\n'));
        if let Some(log) = &mut state.log {
            log('T', lines);
        }
        if !state.has_gone {
            state.queued.extend_from_slice(lines);
            self.news.notify_all();
        }
    }

    /// The thread: writes what is queued, with nobody held up by it.
    fn write(&self, mut sink: Box<dyn Write + Send>) {
        let mut state = self.state.lock();
        loop {
            if state.queued.is_empty() {
                if state.is_last {
                    return;
                }
                self.news.wait(&mut state);
                continue;
            }
            let lines = std::mem::take(&mut state.queued);
            state.is_writing = true;
            drop(state);
            let has_gone = sink.write_all(&lines).is_err();
            state = self.state.lock();
            state.is_writing = false;
            if has_gone {
                state.has_gone = true;
                state.queued.clear();
            }
            self.news.notify_all();
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
    use crate::sync::atomic::{AtomicBool, Ordering};
    use crate::sync::{Receiver, Sender, bounded, unbounded};

    /// Keeps what it is given.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    fn output(sink: impl Write + Send + 'static) -> Output {
        Output::new(Box::new(sink)).expect("a thread")
    }

    impl Write for Kept {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(octets);
            Ok(octets.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_is_said_is_whole_lines_in_its_order() {
        let kept = Kept::default();
        let output = output(kept.clone());
        output.hungry();
        output.say(resync("A/1-1", "").as_bytes());
        output.say(resync("A/1-1", "broken").as_bytes());
        output.comment("two\nlines\t\x01");
        let mut comments = Comments::new(output.clone());
        comments.write_all(b"a log ").expect("kept");
        comments.write_all(b"line\nhalf").expect("kept");
        output.flush();
        assert_eq!(
            String::from_utf8_lossy(&kept.0.lock()),
            "#hungry\n#resync A/1-1\n# A/1-1: broken\n#resync A/1-1\n# two lines\n# a log line\n"
        );
    }

    /// Takes nothing until nobody holds it any more, and tells when it is asked to.
    struct Stuck {
        asked: Sender<()>,
        held: Receiver<()>,
        kept: Kept,
    }

    impl Write for Stuck {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            let _ = self.asked.send(());
            let _ = self.held.recv();
            self.kept.write(octets)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// An output that is stuck with its first line; what it will have written, and what to drop to let it go.
    fn stuck() -> (Output, Kept, Sender<()>) {
        let (kept, (asked, is_asked), (hold, held)) = (Kept::default(), unbounded(), bounded(0));
        let output = output(Stuck { asked, held, kept: kept.clone() });
        output.say(b"#first\n");
        is_asked.recv().expect("it writes");
        (output, kept, hold)
    }

    #[test]
    fn only_who_takes_jobs_waits_for_the_scheduler_to_read() {
        let ((output, kept, hold), is_free) = (stuck(), AtomicBool::new(false));
        let long = [vec![b'x'; MUCH], b"\n".to_vec()].concat();
        (0..3).for_each(|_| output.say(&long));
        output.comment("this is too much");
        thread::scope(|scope| {
            scope.spawn(|| {
                output.hungry();
                assert!(is_free.load(Ordering::SeqCst), "it did not wait");
            });
            is_free.store(true, Ordering::SeqCst);
            drop(hold);
        });
        output.comment("and this is not");
        output.flush();
        let said = String::from_utf8(kept.0.lock().clone()).expect("UTF-8");
        let last: Vec<&str> = said.lines().skip(4).collect();
        assert_eq!(last, ["#hungry", "# 1 comments were left out", "# and this is not"]);
    }

    #[test]
    fn the_last_words_are_written() {
        let (output, kept, hold) = stuck();
        output.say(b"#last\n");
        drop((output, hold));
        while Arc::strong_count(&kept.0) > 1 {
            thread::yield_now();
        }
        assert_eq!(*kept.0.lock(), b"#first\n#last\n");
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
        let output = output(Gone(Arc::clone(&count)));
        (0..3).for_each(|_| {
            output.hungry();
            output.flush();
        });
        assert_eq!(*count.lock(), 1);
    }
}
