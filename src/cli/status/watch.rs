//! A status that is shown again and again: a live view on a terminal, else one block after another.

use console::{Term, truncate_str};
use std::io::{self, IsTerminal as _, Write as _};

/// Where it is shown.
#[derive(Debug)]
pub enum View {
    /// On a terminal, at the same place each time.
    Live(Term),
    /// One behind the other, with a blank line between them.
    Blocks {
        /// Whether one was shown before.
        begun: bool,
    },
}

impl View {
    /// For standard output. JSON is for programs: it is never shown live.
    pub fn new(json: bool) -> View {
        match io::stdout().is_terminal() && !json {
            true => View::Live(Term::buffered_stdout()),
            false => View::Blocks { begun: false },
        }
    }

    /// Shows the text. An error says that nobody can see it any more.
    pub fn show(&mut self, text: &str) -> io::Result<()> {
        match self {
            View::Live(terminal) => draw(terminal, text),
            View::Blocks { begun } => {
                let between = if std::mem::replace(begun, true) { "\n" } else { "" };
                let mut output = io::stdout().lock();
                output.write_all(format!("{between}{text}").as_bytes())?;
                output.flush()
            }
        }
    }

    /// Shows what is wrong: in the place of the text, or where it disturbs no reader of blocks.
    pub fn complain(&mut self, why: &str) -> io::Result<()> {
        match self {
            View::Live(terminal) => draw(terminal, why),
            View::Blocks { .. } => {
                // Nobody is left to tell when standard error is gone; a next block may be read all the same.
                let _ = writeln!(io::stderr(), "{why}");
                Ok(())
            }
        }
    }
}

/// In one write, so that it does not flicker and is whole whenever the process ends.
fn draw(terminal: &Term, text: &str) -> io::Result<()> {
    // One that does not know its size is taken for the smallest that is usual.
    let (rows, width) = terminal.size_checked().unwrap_or((24, 80));
    terminal.clear_screen()?;
    terminal.write_str(&frame(text, rows.into(), width.into()))?;
    terminal.flush()
}

/// What fits: the last row is for the cursor, and the one before it tells what does not.
fn frame(text: &str, rows: usize, width: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let room = rows.saturating_sub(1);
    let cut = |line: &str| format!("{}\n", truncate_str(line, width, ""));
    if lines.len() <= room {
        return lines.into_iter().map(cut).collect();
    }
    let kept = room.saturating_sub(1);
    let rest = format!("({} more lines; a NEXT_HOP shows less)", lines.len() - kept);
    lines.into_iter().take(kept).chain([rest.as_str()]).map(cut).take(room).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_fits_the_terminal() {
        let text = "one line\ntwo lines\nthree\nfour\n";
        assert_eq!(frame(text, 24, 80), text);
        assert_eq!(frame(text, 24, 5), "one l\ntwo l\nthree\nfour\n");
        assert_eq!(frame(text, 4, 80), "one line\ntwo lines\n(2 more lines; a NEXT_HOP shows less)\n");
        assert_eq!(frame(text, 4, 8), "one line\ntwo line\n(2 more \n");
        for rows in 0..8 {
            for width in 0..12 {
                let frame = frame(text, rows, width);
                assert!(frame.lines().count() <= rows.saturating_sub(1), "{rows} rows: {frame:?}");
                assert!(frame.lines().all(|line| line.chars().count() <= width), "{width} wide: {frame:?}");
            }
        }
    }
}
