//! The files that the settings name, as octets, with an error that says which and why. Nothing waits for one that is no
//! plain file, such as a pipe that nobody writes to.

use super::TlsError;
use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// More than any file of certificates has.
const MOST: u64 = 16 << 20;

/// All of a file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let failed = |error: std::io::Error| TlsError::Settings(format!("{}: {error}", path.display()));
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path);
    let file = file.map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(TlsError::Settings(format!("{}: is no plain file", path.display())));
    }
    let mut octets = Vec::new();
    file.take(MOST + 1).read_to_end(&mut octets).map_err(failed)?;
    if octets.len() as u64 > MOST {
        return Err(TlsError::Settings(format!("{}: is over {} MiB", path.display(), MOST >> 20)));
    }
    Ok(octets)
}

/// A key in PEM, in a file of its own or behind the certificate.
pub(super) fn key(path: &Path) -> Result<Vec<u8>, TlsError> {
    let mut pem = read(path)?;
    // The key must be the first thing in what is given on.
    let begin = b"-----BEGIN PRIVATE KEY-----";
    let at = pem.windows(begin.len()).position(|part| part == begin).ok_or_else(|| {
        TlsError::Settings(format!("{}: no key in PKCS#8 (BEGIN PRIVATE KEY) is in it", path.display()))
    })?;
    Ok(pem.split_off(at))
}
