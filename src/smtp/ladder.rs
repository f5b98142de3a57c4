//! The pipelining ladder: which level may be used with a server, given what it offers, what it has proved, and
//! what the administrator allows.
//!
//! | level    | on a warm connection                                            | a message costs      |
//! |----------|-----------------------------------------------------------------|----------------------|
//! | lockstep | one command, one reply                                          | 3 + recipients trips |
//! | envelope | `RSET MAIL RCPT.. DATA`, then the content                       | 2 round trips        |
//! | overlap  | content `.` `RSET MAIL RCPT.. DATA` of the next message         | 1 round trip         |
//! | chunk    | `RSET MAIL RCPT.. BDAT n LAST`                                  | 1 round trip         |
//! | stream   | as chunk, as many transactions at once as the window holds      | about none           |
//!
//! PIPELINING (RFC 2920) makes `envelope` safe and nothing more. The levels above are earned: `overlap` by one RSET in
//! the same small write as a final dot, `chunk` and `stream` by the honesty probe, a refused `BDAT 6 LAST` whose chunk
//! would be a command to a server that does not consume it. What was learned is [`Knowledge`]; what a session learns it
//! says as [`Fact`]s. Remembering them, and forgetting them in time, is not done here ([`crate::conn`]).

use super::extension::Extensions;
use super::window;
use crate::config::{Level, Trust};
use std::fmt;

/// Outside any transaction, in one write: a server that consumes a refused chunk (RFC 3030 section 2) gives two
/// replies, one that would run a message body as commands gives three.
pub const HONESTY_PROBE: &[u8] = b"BDAT 6 LAST\r\nNOOP\r\nRSET\r\n";

/// Whether a server has shown that it can be trusted with something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Proof {
    /// Not tried.
    #[default]
    Unknown,
    /// It passed.
    Earned,
    /// It failed, or lost it later.
    Refused,
}

/// What is known of one server from earlier connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Knowledge {
    /// Commands behind a final dot are executed.
    pub overlap: Proof,
    /// A refused chunk is consumed.
    pub chunk: Proof,
    /// No level above this works.
    pub ceiling: Level,
    /// Transactions it takes on one connection.
    pub mail_max: Option<u32>,
    /// Recipients it takes in one transaction.
    pub rcpt_max: Option<u32>,
    /// Errors on one connection at which it hangs up.
    pub error_max: Option<u32>,
    /// The window to start with.
    pub window: usize,
}

impl Default for Knowledge {
    fn default() -> Knowledge {
        Knowledge {
            overlap: Proof::Unknown,
            chunk: Proof::Unknown,
            ceiling: Level::Stream,
            mail_max: None,
            rcpt_max: None,
            error_max: None,
            window: window::START,
        }
    }
}

/// Something that a session has learned about its server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// Commands behind a final dot are executed, or not.
    Overlap(Proof),
    /// A refused chunk is consumed, or not.
    Chunk(Proof),
    /// It takes no more transactions on one connection.
    MailMax(u32),
    /// It takes no more recipients in one transaction.
    RcptMax(u32),
    /// It hangs up at so many errors.
    ErrorMax(u32),
    /// The connection was lost at this level with replies owed.
    Lost(Level),
}

impl Knowledge {
    /// Takes a fact in.
    pub fn learn(&mut self, fact: &Fact) {
        match *fact {
            Fact::Overlap(proof) => self.overlap = proof,
            Fact::Chunk(proof) => self.chunk = proof,
            Fact::MailMax(n) => self.mail_max = Some(n),
            Fact::RcptMax(n) => self.rcpt_max = Some(n),
            Fact::ErrorMax(n) => self.error_max = Some(n),
            Fact::Lost(level) => self.ceiling = self.ceiling.min(below(level)),
        }
    }
}

/// One step down, but not below `envelope`: a connection that is lost proves little.
fn below(level: Level) -> Level {
    match level {
        Level::Stream | Level::Chunk => Level::Overlap,
        _ => Level::Envelope,
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fact::Overlap(Proof::Earned) => {
                write!(f, "it executes commands behind the final dot: level overlap earned")
            }
            Fact::Overlap(_) => write!(f, "it does not execute commands behind the final dot: no level above envelope"),
            Fact::Chunk(Proof::Earned) => write!(f, "it consumes refused chunks: levels chunk and stream earned"),
            Fact::Chunk(_) => write!(f, "it does not handle chunks as RFC 3030 says: levels chunk and stream refused"),
            Fact::MailMax(n) => write!(f, "it takes {n} transactions on one connection"),
            Fact::RcptMax(n) => write!(f, "it takes {n} recipients in one transaction"),
            Fact::ErrorMax(n) => write!(f, "it hangs up at {n} errors on one connection"),
            Fact::Lost(level) => write!(f, "a connection was lost at level {level} with replies owed"),
        }
    }
}

/// The highest level that may be used.
pub fn level(offered: &Extensions, known: &Knowledge, allowed: Level, trust: Trust) -> Level {
    if !offered.pipelining {
        return Level::Lockstep;
    }
    let proved = |proof: Proof| proof == Proof::Earned || (trust == Trust::Stream && proof == Proof::Unknown);
    let earned = if known.overlap == Proof::Refused {
        Level::Envelope
    } else if offered.chunking && proved(known.chunk) {
        Level::Stream
    } else if proved(known.overlap) {
        Level::Overlap
    } else {
        Level::Envelope
    };
    let capped = earned.min(allowed).min(known.ceiling);
    // A cap below `chunk` on a server that never had to prove `overlap` leaves `envelope`.
    if capped == Level::Overlap && !proved(known.overlap) { Level::Envelope } else { capped }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(pipelining: bool, chunking: bool) -> Extensions {
        Extensions { pipelining, chunking, ..Extensions::default() }
    }

    fn known(overlap: Proof, chunk: Proof) -> Knowledge {
        Knowledge { overlap, chunk, ..Knowledge::default() }
    }

    #[test]
    fn nothing_is_pipelined_without_the_extension() {
        let all = known(Proof::Earned, Proof::Earned);
        assert_eq!(level(&offered(false, true), &all, Level::Stream, Trust::Stream), Level::Lockstep);
    }

    #[test]
    fn levels_are_earned_or_given() {
        use Proof::{Earned, Refused, Unknown};
        for (overlap, chunk, chunking, trust, expected) in [
            (Unknown, Unknown, true, Trust::Learned, Level::Envelope),
            (Earned, Unknown, true, Trust::Learned, Level::Overlap),
            (Unknown, Earned, true, Trust::Learned, Level::Stream),
            (Earned, Earned, false, Trust::Learned, Level::Overlap),
            (Refused, Earned, true, Trust::Learned, Level::Envelope),
            (Unknown, Unknown, true, Trust::Stream, Level::Stream),
            (Unknown, Unknown, false, Trust::Stream, Level::Overlap),
            (Unknown, Refused, true, Trust::Stream, Level::Overlap),
            (Refused, Unknown, true, Trust::Stream, Level::Envelope),
        ] {
            let got = level(&offered(true, chunking), &known(overlap, chunk), Level::Stream, trust);
            assert_eq!(got, expected, "{overlap:?} {chunk:?} {chunking} {trust:?}");
        }
    }

    #[test]
    fn the_administrator_and_experience_set_a_ceiling() {
        let mut all = known(Proof::Earned, Proof::Earned);
        for allowed in Level::ALL {
            assert_eq!(level(&offered(true, true), &all, allowed, Trust::Learned), allowed);
        }
        all.learn(&Fact::Lost(Level::Stream));
        assert_eq!(level(&offered(true, true), &all, Level::Stream, Trust::Learned), Level::Overlap);
        let unproved = known(Proof::Unknown, Proof::Earned);
        assert_eq!(level(&offered(true, true), &unproved, Level::Overlap, Trust::Learned), Level::Envelope);
    }
}
