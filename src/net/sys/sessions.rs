//! Sessions of OpenSSL, for which the crate `openssl` has no safe form: one may be resumed only with the context that
//! it came from.
//!
//! Here each context that remembers has a number, each session carries that of its own, and another one refuses it. It
//! decides nothing: what is kept, how long and for whom is the callers'.

use openssl::error::ErrorStack;
use openssl::ex_data::Index;
use openssl::ssl::{SslContext, SslContextBuilder, SslRef, SslSession, SslSessionCacheMode};
use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// A session, and the number of its context.
pub struct Session {
    session: SslSession,
    context: u64,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // There are secrets in it.
        f.debug_struct("Session").field("context", &self.context).finish_non_exhaustive()
    }
}

impl Session {
    /// Offers it to the server in the handshake that `ssl` is to make. `false` where it cannot be: another context's is
    /// not.
    pub fn offer(&self, ssl: &mut SslRef) -> bool {
        if number(ssl) != Some(self.context) {
            return false;
        }
        // SAFETY: the session is associated with the context of `ssl`. It was told by the callback of the context with
        // this number (`remember`, the only maker of a `Session`), numbers are never given twice, and nobody but
        // `remember` sets them.
        unsafe { ssl.set_session(&self.session) }.is_ok()
    }
}

/// Where a context has its number.
fn index() -> Result<Index<SslContext, u64>, ErrorStack> {
    static INDEX: OnceLock<Index<SslContext, u64>> = OnceLock::new();
    if let Some(index) = INDEX.get() {
        return Ok(*index);
    }
    let made = SslContext::new_ex_index()?;
    Ok(*INDEX.get_or_init(|| made))
}

fn number(ssl: &SslRef) -> Option<u64> {
    ssl.ssl_context().ex_data(index().ok()?).copied()
}

/// Lets `keep` have each session that a client with this context makes or gets. Returns the number of the context.
pub fn remember(
    context: &mut SslContextBuilder,
    keep: impl Fn(&mut SslRef, Session) + Send + Sync + 'static,
) -> Result<u64, ErrorStack> {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let number = LAST.fetch_add(1, Ordering::Relaxed) + 1;
    context.set_ex_data(index()?, number);
    context.set_session_cache_mode(SslSessionCacheMode::CLIENT | SslSessionCacheMode::NO_INTERNAL);
    // The callback that is called is that of the context which the session comes from.
    context.set_new_session_callback(move |ssl, session| keep(ssl, Session { session, context: number }));
    Ok(number)
}
