//! A text that is for the server it is meant for and for nobody else: a password, a token, a message made of one.
//!
//! It is shown by no formatter, and overwritten when it is dropped, as far as that can be done without `unsafe`:
//! copies that a growing buffer left behind, and those in the buffers of TLS and the kernel, are out of reach.

use std::fmt;

/// A text that formats as nothing.
#[derive(Clone, Default)]
pub struct Secret(String);

impl Secret {
    /// Takes the text in.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The text itself, for those who send or compare it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Makes more of it.
    pub fn push(&mut self, text: &str) {
        self.0.push_str(text);
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        wipe(&mut std::mem::take(&mut self.0).into_bytes());
    }
}

/// Overwrites all that a buffer has or had, and empties it.
pub fn wipe(octets: &mut Vec<u8>) {
    octets.clear();
    octets.resize(octets.capacity(), 0);
    // Somebody might look, as far as the compiler knows: so the zeros are written.
    std::hint::black_box(&*octets);
    octets.clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_formatter_shows_it() {
        let secret = Secret::new("pencil");
        for text in [format!("{secret:?}"), format!("{secret:#?}"), format!("{:?}", Some(secret.clone()))] {
            assert!(!text.contains("pencil") && text.contains("(secret)"), "{text}");
        }
        assert_eq!(secret.expose(), "pencil");
    }
}
