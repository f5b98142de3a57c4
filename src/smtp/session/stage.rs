//! What the session waits for: the oldest unanswered command (RFC 5321 4.5.3.2 gives each its time).

use super::{Owed, Session};
use crate::config::Level;

/// What the oldest unanswered command is: it decides how long to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The greeting, EHLO, LHLO, HELO or STARTTLS.
    Greeting,
    /// A RSET with nothing behind it.
    Reset,
    /// A RSET sent behind a dot with the next envelope. Its reply is due with the dot's.
    Overlap,
    /// A RSET sent behind a dot to see whether it is executed. Its reply is due with the dot's.
    Proof,
    /// MAIL, or the RSET in front of it.
    Mail,
    /// RCPT
    Rcpt,
    /// DATA
    Data,
    /// The final dot, or BDAT.
    Content,
}

impl Stage {
    /// For people: what was not answered.
    pub const fn name(self) -> &'static str {
        match self {
            Stage::Greeting => "the greeting",
            Stage::Reset => "RSET",
            Stage::Overlap | Stage::Proof => "RSET behind the final dot",
            Stage::Mail => "MAIL",
            Stage::Rcpt => "RCPT",
            Stage::Data => "DATA",
            Stage::Content => "the end of the content",
        }
    }
}

impl Session {
    /// What the oldest unanswered command is; `None` when nothing is owed.
    pub fn stage(&self) -> Option<Stage> {
        let stage = match self.owed.front()? {
            Owed::Greeting | Owed::Ehlo | Owed::Helo | Owed::StartTls => Stage::Greeting,
            Owed::ProbeSurplus | Owed::ProofReset => Stage::Proof,
            Owed::ProbeReset | Owed::SilenceReset => Stage::Reset,
            Owed::Reset(id) => match self.flights.iter().find(|f| f.id == *id) {
                Some(flight) if flight.level >= Level::Chunk => Stage::Mail,
                Some(flight) if flight.overlaps => Stage::Overlap,
                _ => Stage::Reset,
            },
            Owed::Mail(_) => Stage::Mail,
            Owed::Rcpt(_) => Stage::Rcpt,
            Owed::Data(_) => Stage::Data,
            Owed::ProbeChunk | Owed::Dot(_) | Owed::LoneDot(_) | Owed::Chunk { .. } => Stage::Content,
        };
        Some(stage)
    }
}
