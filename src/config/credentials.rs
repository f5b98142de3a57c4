//! The file of users and passwords, in the format of the source text of Postfix's `smtp_sasl_password_maps`
//! (`sasl_passwd`, postmap(1)).
//!
//! ```text
//! # Comment. A line that begins with blanks goes on with the line above it.
//! [relay.example.net]:587   user:password
//! relay.example.org         user:pass:word with blanks
//! ```
//!
//! As with Postfix, the host is looked for first and then the next hop as it is written, in letters of any case; the
//! first line with a key counts, and the first colon ends the user. There is no database of it: the text is read for
//! each connection, so that a changed file counts from the next one on. It is refused when anybody but its owner may
//! read or write it, or when that is neither root nor who we are. No error quotes any of it but a line's number.

use super::secret::{Secret, wipe};
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The most octets of a file.
const MAX_FILE: u64 = 1 << 20;
/// The most octets of a user and a password or token: as base64 it is still within the 12288 octets of RFC 4954
/// section 4.
const MAX_VALUE: usize = 8192;
/// What nobody but the owner may have: reading and writing.
const OTHERS: u32 = 0o066;
const EXPECTED: &str = "expected NEXT-HOP USER:PASSWORD, without control characters and with 8192 octets at the most";

/// Who we say that we are, and how that is shown.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The user.
    pub user: String,
    /// The password, or the token.
    pub password: Secret,
}

/// Why a file of passwords cannot be used.
#[derive(Debug, Error)]
pub enum CredentialsError {
    /// The system says no.
    #[error("{0}: cannot be read: {1}")]
    Unreadable(PathBuf, io::Error),
    /// A directory, a device, a pipe.
    #[error("{0}: is no plain file")]
    NotAFile(PathBuf),
    /// It is not private.
    #[error("{0}: its group or others may read or write it (mode {1:04o}), so it is not used; say: chmod 600 {0}")]
    TooOpen(PathBuf, u32),
    /// Whoever it belongs to can say who we are.
    #[error(
        "{0}: belongs to the user with the number {1}, neither to root nor to the user that pipelane runs as, so it is not used"
    )]
    NotOurs(PathBuf, u32),
    /// Over the bound.
    #[error("{0}: has over 1048576 octets, which no file of passwords needs")]
    TooLarge(PathBuf),
    /// Not the format.
    #[error("{0}:{1}: {2}")]
    BadLine(PathBuf, usize, &'static str),
}

/// One logical line, with the number of its first line in the file.
type Entry = (usize, Secret);

impl Credentials {
    /// Looks for the credentials for a host, or else for the next hop as it is written. `None`: nothing is said about
    /// either.
    pub fn find(file: &Path, host: &str, next_hop: &str) -> Result<Option<Credentials>, CredentialsError> {
        let entries = entries(file)?;
        let has_key = |entry: &&Entry, key: &str| split(entry.1.expose()).0.eq_ignore_ascii_case(key);
        let found = [host, next_hop].into_iter().find_map(|key| entries.iter().find(|entry| has_key(entry, key)));
        found.map(|entry| parse(file, entry)).transpose()
    }

    /// Whether the file can be used and each of its lines understood.
    pub fn check(file: &Path) -> Result<(), CredentialsError> {
        entries(file)?.iter().try_for_each(|entry| parse(file, entry).map(|_| ()))
    }
}

/// What stands behind the key.
fn parse(file: &Path, (line, text): &Entry) -> Result<Credentials, CredentialsError> {
    let value = split(text.expose()).1;
    let fits = value.len() <= MAX_VALUE && !value.contains(char::is_control);
    match value.split_once(':').filter(|(user, password)| fits && !user.is_empty() && !password.is_empty()) {
        Some((user, password)) => Ok(Credentials { user: user.to_owned(), password: Secret::new(password) }),
        None => Err(CredentialsError::BadLine(file.to_owned(), *line, EXPECTED)),
    }
}

/// Key and value of a logical line.
fn split(text: &str) -> (&str, &str) {
    let end = text.find([' ', '\t']).unwrap_or(text.len());
    (&text[..end], text[end..].trim_matches([' ', '\t']))
}

fn entries(file: &Path) -> Result<Vec<Entry>, CredentialsError> {
    let text = read(file)?;
    let mut entries: Vec<Entry> = Vec::new();
    for (number, line) in text.expose().lines().enumerate().map(|(n, line)| (n + 1, line)) {
        let content = line.trim_start_matches([' ', '\t']);
        match entries.last_mut() {
            _ if content.is_empty() || content.starts_with('#') => {}
            _ if content.len() == line.len() => entries.push((number, Secret::new(line))),
            Some((_, start)) => start.push(line),
            None => {
                let what = "begins with blanks, and there is no line above that it could go on with";
                return Err(CredentialsError::BadLine(file.to_owned(), number, what));
            }
        }
    }
    Ok(entries)
}

/// Whether a file of this owner is root's or our own. Root reads all there is, also for a program that will run as
/// somebody else.
fn is_ours(owner: u32, own: u32) -> bool {
    own == 0 || owner == 0 || owner == own
}

/// A file that is private and of sane size, and its size.
fn open(path: &Path) -> Result<(File, u64), CredentialsError> {
    let failed = |error| CredentialsError::Unreadable(path.to_owned(), error);
    // What it is, is looked at once it is open, so that it is no other by then; opening waits for no pipe.
    let options = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path);
    let file = options.map_err(failed)?;
    let about = file.metadata().map_err(failed)?;
    if !about.is_file() {
        return Err(CredentialsError::NotAFile(path.to_owned()));
    }
    if !is_ours(about.uid(), own_uid().map_err(failed)?) {
        return Err(CredentialsError::NotOurs(path.to_owned(), about.uid()));
    }
    let mode = about.permissions().mode() & 0o7777;
    if mode & OTHERS != 0 {
        return Err(CredentialsError::TooOpen(path.to_owned(), mode));
    }
    if about.len() > MAX_FILE {
        return Err(CredentialsError::TooLarge(path.to_owned()));
    }
    Ok((file, about.len()))
}

/// As whom files are opened: whose a pipe is that we make.
fn own_uid() -> io::Result<u32> {
    let (reader, _writer) = io::pipe()?;
    Ok(File::from(OwnedFd::from(reader)).metadata()?.uid())
}

/// The text of such a file.
fn read(path: &Path) -> Result<Secret, CredentialsError> {
    let (file, size) = open(path)?;
    // Room for all of it at once: no copy is left behind by growing.
    let mut octets = Vec::with_capacity(MAX_FILE.min(size) as usize + 1);
    if let Err(error) = file.take(MAX_FILE + 1).read_to_end(&mut octets) {
        wipe(&mut octets);
        return Err(CredentialsError::Unreadable(path.to_owned(), error));
    }
    let octets_are_too_many = octets.len() as u64 > MAX_FILE;
    match String::from_utf8(octets) {
        Ok(text) if !octets_are_too_many => Ok(Secret::new(text)),
        Ok(text) => {
            drop(Secret::new(text));
            Err(CredentialsError::TooLarge(path.to_owned()))
        }
        Err(error) => {
            let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = good.iter().filter(|octet| **octet == b'\n').count() + 1;
            wipe(&mut error.into_bytes());
            Err(CredentialsError::BadLine(path.to_owned(), line, "is not UTF-8"))
        }
    }
}

#[cfg(test)]
mod tests;
