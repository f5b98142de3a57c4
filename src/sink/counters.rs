//! What a sink counts: live counters that a progress bar may read at any time, a snapshot of them, and the
//! mistakes that clients made.
//!
//! A message is in `messages` exactly when it is stored, whether or not the client ever learns of it. The texts of
//! mistakes are kept up to [`MAX_MISTAKES`]; the count goes on.

use crate::sync::Mutex;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many mistakes are kept with their text.
pub const MAX_MISTAKES: usize = 100;

/// Something that a client must not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// On which connection, counted from 1.
    pub connection: u64,
    /// What it was.
    pub text: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connection {}: {}", self.connection, self.text)
    }
}

/// Writes the list of counters once: as live numbers, as a snapshot, and as text.
macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// The live numbers. Each may be read at any time; together they agree only when nothing is going on.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[$doc])* pub $name: AtomicU64,)*
            kept: Mutex<Vec<Mistake>>,
        }

        /// The numbers at one moment.
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub struct Totals {
            $($(#[$doc])* pub $name: u64,)*
            /// The first of the mistakes, at most [`MAX_MISTAKES`].
            pub mistake_texts: Vec<Mistake>,
        }

        impl Counters {
            /// All numbers at this moment.
            pub fn totals(&self) -> Totals {
                Totals { $($name: self.$name.load(Ordering::SeqCst),)* mistake_texts: self.kept.lock().clone() }
            }
        }

        impl fmt::Display for Totals {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                $(writeln!(f, "{:<21}{}", stringify!($name), self.$name)?;)*
                for mistake in &self.mistake_texts {
                    writeln!(f, "  {mistake}")?;
                }
                Ok(())
            }
        }
    };
}

counters! {
    /// Connections taken.
    connections,
    /// Connections turned away because too many were open.
    connections_refused,
    /// Connections open at this moment.
    open_connections,
    /// The most connections that were open at once.
    most_connections,
    /// Command lines.
    commands,
    /// Messages stored.
    messages,
    /// Recipients of the messages stored.
    deliveries,
    /// RCPT commands answered with 250.
    recipients_accepted,
    /// RCPT commands answered otherwise.
    recipients_refused,
    /// MAIL commands refused for their sender, size or number.
    senders_refused,
    /// Contents that came whole and were not stored.
    contents_refused,
    /// Contents that were cut off by the end of the connection.
    contents_unfinished,
    /// BDAT chunks refused, whether or not they were consumed.
    refused_chunks,
    /// Octets received in all.
    octets,
    /// Octets of the messages stored, without dot-stuffing.
    content_octets,
    /// Messages whose last octet is here and whose reply is not yet on its way.
    in_flight,
    /// The most that `in_flight` ever was.
    most_in_flight,
    /// Mistakes of clients.
    protocol_mistakes,
    /// Connections whose thread panicked: a mistake of the sink's own.
    panics,
}

impl Counters {
    /// Counts one more of something.
    pub(super) fn one(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::SeqCst);
    }

    /// Counts many more of something.
    pub(super) fn many(counter: &AtomicU64, amount: u64) {
        counter.fetch_add(amount, Ordering::SeqCst);
    }

    /// Counts a mistake and keeps its text if there is room.
    pub(super) fn mistake(&self, connection: u64, text: String) {
        log::warn!("sink, connection {connection}: {text}");
        Self::one(&self.protocol_mistakes);
        let mut kept = self.kept.lock();
        if kept.len() < MAX_MISTAKES {
            kept.push(Mistake { connection, text });
        }
    }

    /// Counts a level up, and its peak, until the guard is dropped.
    pub(super) fn rise(self: &Arc<Self>, level: Level) -> Risen {
        let (now, most) = level.of(self);
        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        Risen { counters: Arc::clone(self), level }
    }
}

/// A counter that goes up and down and whose peak is kept.
#[derive(Debug, Clone, Copy)]
pub(super) enum Level {
    Connections,
    InFlight,
}

impl Level {
    fn of(self, counters: &Counters) -> (&AtomicU64, &AtomicU64) {
        match self {
            Level::Connections => (&counters.open_connections, &counters.most_connections),
            Level::InFlight => (&counters.in_flight, &counters.most_in_flight),
        }
    }
}

/// Keeps a [`Level`] up by one while it lives.
#[derive(Debug)]
pub(super) struct Risen {
    counters: Arc<Counters>,
    level: Level,
}

impl Drop for Risen {
    fn drop(&mut self) {
        self.level.of(&self.counters).0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_falls_again_and_its_peak_stays() {
        let counters = Arc::new(Counters::default());
        let both = (counters.rise(Level::InFlight), counters.rise(Level::InFlight));
        drop(both);
        let _one = counters.rise(Level::InFlight);
        assert_eq!((counters.totals().in_flight, counters.totals().most_in_flight), (1, 2));
    }

    #[test]
    fn texts_of_mistakes_are_bounded_and_their_count_is_not() {
        let counters = Counters::default();
        for n in 0..MAX_MISTAKES as u64 + 5 {
            counters.mistake(n, "x".to_owned());
        }
        let totals = counters.totals();
        assert_eq!((totals.protocol_mistakes, totals.mistake_texts.len()), (MAX_MISTAKES as u64 + 5, MAX_MISTAKES));
    }
}
