//! Where messages go: nowhere, into memory, or into a Maildir; and the log of envelopes.
//!
//! [`Storage::begin`] gives a [`Draft`] that takes content as it comes; [`Storage::keep`] makes it a message. A draft
//! that is dropped leaves nothing behind: no file, no memory.

use super::options::{SinkOptions, Store};
use crate::mail::Priority;
use crate::sync::Mutex;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A message that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The reverse-path, empty for the null one.
    pub sender: String,
    /// The parameters of MAIL as they were given.
    pub parameters: Vec<String>,
    /// The priority, if MAIL gave one.
    pub priority: Option<Priority>,
    /// The recipients that were accepted, in order.
    pub recipients: Vec<ReceivedRecipient>,
    /// The content byte for byte, without dot-stuffing.
    pub content: Vec<u8>,
    /// Octets of the content.
    pub size: u64,
    /// Which connection it came on, counted from 1.
    pub connection: u64,
    /// Which transaction of that connection it was, counted from 1 with those that failed.
    pub transaction: u64,
    /// How the content came.
    pub by: By,
    /// When it was whole.
    pub at: Instant,
}

/// A recipient of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedRecipient {
    /// The forward-path.
    pub address: String,
    /// The parameters of RCPT as they were given.
    pub parameters: Vec<String>,
}

/// How a content came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// DATA.
    Data,
    /// BDAT, in so many chunks.
    Bdat {
        /// The number of BDAT commands.
        chunks: u64,
    },
}

/// The place itself.
#[derive(Debug)]
pub(super) struct Storage {
    place: Store,
    hostname: String,
    memory: Mutex<Vec<Received>>,
    held: Arc<AtomicU64>,
    limit: u64,
    names: AtomicU64,
    log: Option<Mutex<File>>,
}

impl Storage {
    /// Makes the folders and opens the log.
    pub(super) fn open(options: &SinkOptions) -> io::Result<Storage> {
        if let Store::Maildir(directory) = &options.store {
            for part in ["tmp", "new", "cur"] {
                fs::create_dir_all(directory.join(part))?;
            }
        }
        let log = match &options.envelope_log {
            Some(path) => Some(Mutex::new(File::options().create(true).append(true).open(path)?)),
            None => None,
        };
        Ok(Storage {
            place: options.store.clone(),
            hostname: options.hostname.replace(['/', ':'], "_"),
            memory: Mutex::new(Vec::new()),
            held: Arc::default(),
            limit: options.memory_limit,
            names: AtomicU64::new(0),
            log,
        })
    }

    /// A place for one content.
    pub(super) fn begin(&self) -> io::Result<Draft> {
        let body = match &self.place {
            Store::Discard => Body::Nothing,
            Store::Memory => {
                Body::Memory { content: Vec::new(), reserved: 0, held: Arc::clone(&self.held), limit: self.limit }
            }
            Store::Maildir(directory) => {
                let name = self.name();
                let path = directory.join("tmp").join(&name);
                let file = BufWriter::with_capacity(64 << 10, File::create_new(&path)?);
                Body::File { file, path, name }
            }
        };
        Ok(Draft { body })
    }

    /// Stores the message; `received.content` is filled in from the draft. Nothing is stored after an error.
    pub(super) fn keep(&self, mut draft: Draft, mut received: Received) -> io::Result<()> {
        let mut line = String::new();
        if self.log.is_some() {
            line = log_line(&received);
        }
        match (&mut draft.body, &self.place) {
            (Body::Memory { content, reserved, .. }, _) => {
                *reserved = 0;
                received.content = std::mem::take(content);
                self.memory.lock().push(received);
            }
            (Body::File { file, path, name }, Store::Maildir(directory)) => {
                file.flush()?;
                fs::rename(path, directory.join("new").join(name))?;
            }
            _ => {}
        }
        if let Some(log) = &self.log
            && let Err(error) = log.lock().write_all(line.as_bytes())
        {
            log::error!("sink: the log of envelopes cannot be written: {error}");
        }
        Ok(())
    }

    /// The messages in memory.
    pub(super) fn messages(&self) -> Vec<Received> {
        self.memory.lock().clone()
    }

    /// The messages in memory, which then are there no more.
    pub(super) fn take(&self) -> Vec<Received> {
        let taken = std::mem::take(&mut *self.memory.lock());
        self.held.fetch_sub(taken.iter().map(|received| received.size).sum(), Ordering::SeqCst);
        taken
    }

    /// A name as Maildir wants it: time, process, number, host.
    fn name(&self) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let number = self.names.fetch_add(1, Ordering::SeqCst);
        let process = std::process::id();
        format!("{}.M{}P{process}Q{number}.{}", now.as_secs(), now.subsec_micros(), self.hostname)
    }
}

/// A content that is being received.
#[derive(Debug)]
pub(super) struct Draft {
    body: Body,
}

#[derive(Debug)]
enum Body {
    Nothing,
    Memory { content: Vec<u8>, reserved: u64, held: Arc<AtomicU64>, limit: u64 },
    File { file: BufWriter<File>, path: PathBuf, name: String },
}

impl Draft {
    /// Adds content.
    pub(super) fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.body {
            Body::Nothing => {}
            Body::Memory { content, reserved, held, limit } => {
                let more = bytes.len() as u64;
                if held.fetch_add(more, Ordering::SeqCst) + more > *limit {
                    held.fetch_sub(more, Ordering::SeqCst);
                    return Err(io::ErrorKind::OutOfMemory.into());
                }
                *reserved += more;
                content.extend_from_slice(bytes);
            }
            Body::File { file, .. } => file.write_all(bytes)?,
        }
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        match &mut self.body {
            Body::Nothing => {}
            Body::Memory { reserved, held, .. } => {
                held.fetch_sub(*reserved, Ordering::SeqCst);
            }
            // After a rename the old name is gone, and this does nothing.
            Body::File { path, .. } => drop(fs::remove_file(path)),
        }
    }
}

/// One line of JSON.
fn log_line(received: &Received) -> String {
    let by = match received.by {
        By::Data => "DATA",
        By::Bdat { .. } => "BDAT",
    };
    let mut line = format!("{{\"connection\":{},\"by\":\"{by}\",\"size\":{},", received.connection, received.size);
    line.push_str("\"sender\":");
    quote(&received.sender, &mut line);
    line.push_str(",\"parameters\":");
    list(&received.parameters, &mut line);
    line.push_str(",\"recipients\":[");
    for (at, recipient) in received.recipients.iter().enumerate() {
        line.push_str(if at > 0 { ",{\"address\":" } else { "{\"address\":" });
        quote(&recipient.address, &mut line);
        line.push_str(",\"parameters\":");
        list(&recipient.parameters, &mut line);
        line.push('}');
    }
    line.push_str("]}\n");
    line
}

fn list(words: &[String], line: &mut String) {
    line.push('[');
    for (at, word) in words.iter().enumerate() {
        line.push_str(if at > 0 { "," } else { "" });
        quote(word, line);
    }
    line.push(']');
}

fn quote(text: &str, line: &mut String) {
    line.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => line.extend(['\\', c]),
            c if c.is_control() => drop(write!(line, "\\u{:04x}", u32::from(c))),
            c => line.push(c),
        }
    }
    line.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(size: u64) -> Received {
        let recipients =
            vec![ReceivedRecipient { address: "\"b\\\"\"@x".into(), parameters: vec!["NOTIFY=NEVER".into()] }];
        let (sender, parameters) = ("a@x".to_owned(), vec![]);
        Received {
            sender,
            parameters,
            priority: None,
            recipients,
            content: vec![],
            size,
            connection: 1,
            transaction: 1,
            by: By::Data,
            at: Instant::now(),
        }
    }

    fn storage(store: Store) -> Storage {
        Storage::open(&SinkOptions { store, memory_limit: 10, ..SinkOptions::default() }).expect("storage")
    }

    #[test]
    fn memory_is_bounded_and_given_back() {
        let storage = storage(Store::Memory);
        let mut draft = storage.begin().expect("memory");
        draft.push(b"12345678").expect("eight of ten");
        assert!(storage.begin().expect("memory").push(b"901").is_err());
        storage.keep(draft, received(8)).expect("kept");
        drop(storage.begin().and_then(|mut draft| draft.push(b"90").map(|()| draft)).expect("the last two"));
        assert_eq!(storage.messages()[0].content, b"12345678");
        assert_eq!(storage.take().len(), 1);
        storage.begin().expect("memory").push(b"1234567890").expect("all is free again");
    }

    #[test]
    fn a_maildir_holds_what_was_kept_and_nothing_else() {
        let directory = tempfile::tempdir().expect("a folder");
        let storage = storage(Store::Maildir(directory.path().to_owned()));
        let mut draft = storage.begin().expect("a file");
        draft.push(b"a\r\n.b\r\n").expect("written");
        let mut dropped = storage.begin().expect("a file");
        dropped.push(b"x").expect("written");
        drop(dropped);
        storage.keep(draft, received(7)).expect("kept");
        let files = |part: &str| fs::read_dir(directory.path().join(part)).expect(part).collect::<Vec<_>>();
        assert_eq!((files("tmp").len(), files("new").len()), (0, 1));
        let path = files("new").remove(0).expect("an entry").path();
        assert_eq!(fs::read(path).expect("the file"), b"a\r\n.b\r\n");
    }

    #[test]
    fn the_log_quotes_what_it_must() {
        let line = log_line(&received(7));
        let wanted = r#"{"connection":1,"by":"DATA","size":7,"sender":"a@x","parameters":[],"recipients":[{"address":"\"b\\\"\"@x","parameters":["NOTIFY=NEVER"]}]}"#;
        assert_eq!(line.trim_end(), wanted);
    }
}
