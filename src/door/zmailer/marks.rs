//! The marks in a control file: who holds a recipient, and what became of it. They are the truth; reports only repeat
//! them.
//!
//! A lock is `~` and the PID in the recipient's line, written where the state was still blank; the end is `+`, `-` or a
//! blank again. A `d` line is appended in one write and synchronised before the mark that needs it, so that after a
//! crash at any point nothing is marked that was not delivered, and no failure is marked whose reason is lost. There
//! are no file locks: ZMailer has none.

use super::control::{MAX_FILE, State};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The largest PID that fits in its field.
pub(super) const LARGEST_PID: u32 = 999_999;

/// An open control file.
#[derive(Debug)]
pub(super) struct Marks {
    file: File,
    path: PathBuf,
    /// Octets that a mark has: 7 with a field for the PID, else 1.
    width: usize,
    /// The octets of a lock of this process.
    lock: [u8; 7],
}

/// Opens a file of the queue: a regular one, no link.
pub(super) fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let file = options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file")),
    }
}

/// The octets of a lock. A PID has six of them, the first six if it has more.
fn lock(pid: u32) -> [u8; 7] {
    let mut lock = *b"~      ";
    let digits = pid.to_string();
    let digits = &digits.as_bytes()[..digits.len().min(6)];
    lock[7 - digits.len()..].copy_from_slice(digits);
    lock
}

impl Marks {
    /// The file at this path and what is in it, up to one octet over [`MAX_FILE`]. Locks will be of this process.
    pub fn open(path: &Path, pid: u32) -> io::Result<(Marks, Vec<u8>)> {
        let file = open(path, OpenOptions::new().read(true).write(true))?;
        let mut octets = Vec::new();
        (&file).take(MAX_FILE + 1).read_to_end(&mut octets)?;
        Ok((Marks { file, path: path.to_owned(), width: 1, lock: lock(pid) }, octets))
    }

    /// Marks have so many octets.
    pub fn set_width(&mut self, width: usize) {
        self.width = width;
    }

    /// Locks the recipient at this offset for this process, unless it is not waiting any more. Whether it is ours now.
    pub fn lock(&self, offset: usize) -> io::Result<bool> {
        let at = offset as u64 + 1;
        let mut state = [0];
        self.file.read_exact_at(&mut state, at)?;
        if State::of(state[0]) != State::Waiting {
            return Ok(false);
        }
        self.file.write_all_at(&self.lock[..self.width], at)?;
        Ok(true)
    }

    /// Writes the state of the recipient at this offset, and that nobody holds it. That it waits again is written over
    /// a lock of this process only, and that it failed over no `+`: whoever took the lock away knows better.
    pub fn mark(&self, offset: usize, state: u8) -> io::Result<()> {
        let at = offset as u64 + 1;
        let mut field = [0; 7];
        let field = &mut field[..self.width];
        self.file.read_exact_at(field, at)?;
        let is_ours = match state {
            b' ' => *field == self.lock[..self.width],
            b'-' => field[0] != b'+',
            _ => true,
        };
        if is_ours {
            let mark = [state, b' ', b' ', b' ', b' ', b' ', b' '];
            self.file.write_all_at(&mark[..self.width], at)?;
        }
        Ok(())
    }

    /// Appends lines: all of them, on the disk, or none, as far as that can be had where other processes append too. In
    /// this process one does so at a time; that is the caller's affair.
    pub fn append(&self, lines: &[u8]) -> io::Result<()> {
        let mut end = open(&self.path, OpenOptions::new().append(true))?;
        let (own, other) = (self.file.metadata()?, end.metadata()?);
        if (own.dev(), own.ino()) != (other.dev(), other.ino()) {
            return Err(io::Error::new(io::ErrorKind::NotFound, "another file has taken its place"));
        }
        let octets = end.write(lines)?;
        let done = match octets == lines.len() {
            true => end.sync_data(),
            false => Err(io::Error::new(io::ErrorKind::WriteZero, "the disk took only a part")),
        };
        done.inspect_err(|_| take_back(&mut end, octets))
    }
}

/// Takes so many octets away that were just appended here: half a line would be taken for the beginning of the next
/// one. Where somebody has written behind them they stay, since what is theirs must.
fn take_back(end: &mut File, octets: usize) {
    if let (Ok(behind), Ok(data)) = (end.stream_position(), end.metadata())
        && data.len() == behind
    {
        // What cannot be taken back stays; there is nobody else to ask.
        let _ = end.set_len(behind.saturating_sub(octets as u64));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    const LINE: &str = "r           smtp b.test bob@b.test 65534\n";

    fn file(text: &str) -> (TempDir, PathBuf) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("4711-88");
        std::fs::write(&path, text).expect("written");
        (directory, path)
    }

    fn marks(path: &Path, pid: u32) -> Marks {
        let (mut marks, _) = Marks::open(path, pid).expect("opens");
        marks.set_width(7);
        marks
    }

    fn text(path: &Path) -> String {
        std::fs::read_to_string(path).expect("readable")
    }

    #[test]
    fn a_lock_and_an_end_are_seven_octets() {
        let (_directory, path) = file(&format!("s x\n{LINE}"));
        let (own, other) = (marks(&path, 5150), marks(&path, 1_234_567));
        assert!(own.lock(4).expect("written"));
        assert_eq!(text(&path), "s x\nr~  5150    smtp b.test bob@b.test 65534\n");
        assert!(!other.lock(4).expect("read"), "it is locked");
        own.mark(4, b'+').expect("written");
        assert_eq!(text(&path), "s x\nr+          smtp b.test bob@b.test 65534\n");
        assert!(!other.lock(4).expect("read"), "it is done");
        std::fs::write(&path, format!("s x\n{LINE}")).expect("written");
        assert!(other.lock(4).expect("written"));
        assert_eq!(text(&path), "s x\nr~123456    smtp b.test bob@b.test 65534\n");
    }

    /// The scheduler took the lock away, since it could not see whose it was, and another agent came.
    #[test]
    fn what_another_has_written_over_our_lock_stays() {
        for (there, mark, then) in [
            ("r+          x\n", b' ', "r+          x\n"),
            ("r-          x\n", b' ', "r-          x\n"),
            ("r~  5151    x\n", b' ', "r~  5151    x\n"),
            ("r~  5150    x\n", b' ', "r           x\n"),
            ("r+          x\n", b'-', "r+          x\n"),
            ("r~  5151    x\n", b'-', "r-          x\n"),
            ("r-          x\n", b'+', "r+          x\n"),
        ] {
            let (_directory, path) = file(there);
            marks(&path, 5150).mark(0, mark).expect("written");
            assert_eq!(text(&path), then, "{there}");
        }
    }

    #[test]
    fn without_a_field_for_the_pid_only_the_state_is_written() {
        let (_directory, path) = file("r smtp b u\n");
        let (marks, octets) = Marks::open(&path, 5150).expect("opens");
        assert_eq!(octets, b"r smtp b u\n");
        assert!(marks.lock(0).expect("written"));
        assert_eq!(text(&path), "r~smtp b u\n");
        marks.mark(0, b'-').expect("written");
        assert_eq!(text(&path), "r-smtp b u\n");
    }

    #[test]
    fn lines_go_to_the_end_and_only_of_the_same_file() {
        let (_directory, path) = file(LINE);
        let marks = marks(&path, 5150);
        marks.append(b"d 0:1:-1::1\tx\ty\n").expect("written");
        assert_eq!(text(&path), format!("{LINE}d 0:1:-1::1\tx\ty\n"));
        std::fs::remove_file(&path).expect("removed");
        assert!(marks.append(b"d\n").is_err());
        std::fs::write(&path, "another").expect("written");
        assert!(marks.append(b"d\n").is_err());
        assert_eq!(text(&path), "another");
        marks.mark(0, b'+').expect("a file without a name can be marked");
    }

    #[test]
    fn a_part_of_a_line_is_taken_back_unless_somebody_has_written_behind_it() {
        let (_directory, path) = file(LINE);
        let append = || open(&path, OpenOptions::new().append(true)).expect("opens");
        let mut end = append();
        end.write_all(b"d 0:1").expect("written");
        take_back(&mut end, 5);
        assert_eq!(text(&path), LINE);
        end.write_all(b"d 0:1").expect("written");
        append().write_all(b"d 9:9:-1::1\tx\ty\n").expect("written");
        take_back(&mut end, 5);
        assert_eq!(text(&path), format!("{LINE}d 0:1d 9:9:-1::1\tx\ty\n"));
    }

    #[test]
    fn a_link_or_a_directory_is_no_control_file() {
        let (directory, path) = file(LINE);
        let link = directory.path().join("1-1");
        std::os::unix::fs::symlink(&path, &link).expect("linked");
        assert!(Marks::open(&link, 1).is_err());
        assert!(Marks::open(directory.path(), 1).is_err());
    }
}
