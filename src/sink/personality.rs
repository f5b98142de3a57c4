//! Ways in which servers differ from the honest one, as data. A [`Personality`] is a name for one row of
//! the table; the rest of the sink sees only the [`Behaviour`].
//!
//! Each row stands for one way of failing that was seen in the field, together with the extensions that such a
//! server offers, since it is the combination that misleads a client.

use super::options::{Extensions, Limits};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A server to be like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is described by its row of the table")]
pub enum Personality {
    Honest,
    Haraka,
    Chasquid,
    LostInput,
    GoSmtp,
    OneCommand,
    PostfixErrors,
    EximResets,
    ThirdError,
    Hundred,
    Max421,
    Tarpit,
    Nagle,
    NoEhlo,
    NoNoop,
    Bdat500,
    Limits,
    Busy,
    Mute,
}

/// What becomes of input that was already received behind the dot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BehindDot {
    /// It is run, as RFC 2920 has it.
    Run,
    /// Each command of it gets 503; with more octets than this the connection is closed, the message stored and
    /// unanswered.
    Refuse { at_most: usize },
    /// It is thrown away in silence.
    Lose,
}

/// What becomes of BDAT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BdatHabit {
    /// Every chunk is consumed, refused or not.
    Honest,
    /// A refused chunk gets 502 and is then run as commands.
    RunsRefused,
    /// Every BDAT gets 500 and its chunk is run as commands.
    Unknown,
}

/// What becomes of MAIL inside a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NestedMail {
    /// 503; the old transaction goes on.
    Refuse,
    /// 250; the old transaction is forgotten.
    Restart,
    /// 250; the new sender gets the old recipients too.
    KeepRecipients,
}

/// How a connection ends that the server gives up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closing {
    /// All replies, FIN, then input is thrown away until the client closes.
    Drain,
    /// All replies, then a reset if input is unread.
    Reset,
    /// A reset if input is unread, and the replies of the group that is being run are lost with it.
    ResetLosingReplies,
    /// All replies, then a reset in any case.
    Abort,
}

/// Which errors count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ErrorKind {
    /// Every 4yz and 5yz.
    Any,
    /// 500 and 501.
    Syntax,
}

/// How many errors end a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ErrorLimit {
    pub count: u32,
    pub kind: ErrorKind,
    /// Whether an accepted message sets the count to 0.
    pub message_pays: bool,
    /// Whether the last reply takes the place of the last error's own, or follows it unasked.
    pub replaces: bool,
    /// The code of the last reply.
    pub code: u16,
}

/// How many messages a connection may carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MessageLimit {
    pub count: u64,
    /// 421 and the end, or 452.
    pub closes: bool,
}

/// How the server opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Greeting {
    Ready,
    /// 421 and the end.
    Busy,
    /// Nothing, ever.
    Mute,
}

/// One row of the table.
#[derive(Debug, Clone)]
pub(super) struct Behaviour {
    pub extensions: Extensions,
    pub limits: Limits,
    pub greeting: Greeting,
    pub ehlo: bool,
    pub noop: bool,
    pub behind_dot: BehindDot,
    pub bdat: BdatHabit,
    pub nested_mail: NestedMail,
    pub errors: Option<ErrorLimit>,
    /// RSETs that no accepted message paid for; the next ends the connection.
    pub free_resets: Option<u32>,
    pub messages: Option<MessageLimit>,
    pub max_recipients: Option<usize>,
    /// The answer to DATA and BDAT when every recipient was refused.
    pub no_recipients: u16,
    /// Whether a second command in one read ends the connection.
    pub one_command: bool,
    /// The first delay of an error; each next is twice as long.
    pub tarpit: Option<Duration>,
    /// Whether each reply is written by itself, with Nagle's algorithm on.
    pub nagle: bool,
    /// Whether replies that are not yet written are lost when the client half-closes.
    pub half_close_loses: bool,
    pub closing: Closing,
}

const HONEST: Behaviour = Behaviour {
    extensions: Extensions::ALL,
    limits: Limits::NONE,
    greeting: Greeting::Ready,
    ehlo: true,
    noop: true,
    behind_dot: BehindDot::Run,
    bdat: BdatHabit::Honest,
    nested_mail: NestedMail::Refuse,
    errors: None,
    free_resets: None,
    messages: None,
    max_recipients: None,
    no_recipients: 554,
    one_command: false,
    tarpit: None,
    nagle: false,
    half_close_loses: false,
    closing: Closing::Drain,
};

/// What the servers that are known by name offer as they come: not MT-PRIORITY.
const USUAL: Extensions = Extensions { mt_priority: false, ..Extensions::ALL };

const NO_CHUNKING: Extensions = Extensions { chunking: false, ..Extensions::ALL };

const THREE: ErrorLimit = ErrorLimit { count: 3, kind: ErrorKind::Any, message_pays: false, replaces: true, code: 421 };

impl Personality {
    /// Every one, in the order of the help text.
    pub const ALL: [Personality; 19] = {
        use Personality::*;
        [
            Honest,
            Haraka,
            Chasquid,
            LostInput,
            GoSmtp,
            OneCommand,
            PostfixErrors,
            EximResets,
            ThirdError,
            Hundred,
            Max421,
            Tarpit,
            Nagle,
            NoEhlo,
            NoNoop,
            Bdat500,
            Limits,
            Busy,
            Mute,
        ]
    };

    /// The name, as it is given on the command line.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// One line for people.
    pub fn description(self) -> &'static str {
        self.row().1
    }

    fn row(self) -> (&'static str, &'static str) {
        match self {
            Personality::Honest => ("honest", "offers all and does what the RFCs say, much as Postfix does"),
            Personality::Haraka => {
                ("haraka", "503 for each command already received behind the dot; over 8192 octets it closes instead")
            }
            Personality::Chasquid => {
                ("chasquid", "input behind the dot is lost; third error: 421 and reset; 100 recipients")
            }
            Personality::LostInput => ("lost-input", "input already received behind the dot is thrown away in silence"),
            Personality::GoSmtp => (
                "go-smtp",
                "a refused BDAT gets 502 and its chunk is run as commands; closes at the fifth syntax error",
            ),
            Personality::OneCommand => {
                ("one-command", "offers no PIPELINING; a second command in one read: 500 and close")
            }
            Personality::PostfixErrors => (
                "postfix-errors",
                "20 errors without an accepted message between: 421 and a reset that destroys replies",
            ),
            Personality::EximResets => {
                ("exim-resets", "the 11th RSET that no accepted message paid for: 554 and reset")
            }
            Personality::ThirdError => ("third-error", "the third error of any kind: 421 and close"),
            Personality::Hundred => ("hundred", "after 100 messages MAIL gets 452"),
            Personality::Max421 => ("max-421", "after 10 messages MAIL gets 421 and the connection ends"),
            Personality::Tarpit => {
                ("tarpit", "each error is answered late, the first after 50 ms, each next after twice as long")
            }
            Personality::Nagle => ("nagle", "each reply is written by itself, with Nagle's algorithm on"),
            Personality::NoEhlo => ("no-ehlo", "EHLO gets 502; HELO works"),
            Personality::NoNoop => ("no-noop", "NOOP gets 500"),
            Personality::Bdat500 => {
                ("bdat-500", "offers CHUNKING, answers 500 to every BDAT and runs its chunk as commands")
            }
            Personality::Limits => ("limits", "offers LIMITS MAILMAX=20 RCPTMAX=50 and enforces both"),
            Personality::Busy => ("busy", "greets with 421 and closes"),
            Personality::Mute => ("mute", "takes the connection and never says a word"),
        }
    }

    pub(super) fn behaviour(self) -> Behaviour {
        match self {
            Personality::Honest => HONEST,
            Personality::Haraka => Behaviour {
                extensions: Extensions { chunking: false, dsn: false, enhanced_status_codes: false, ..USUAL },
                behind_dot: BehindDot::Refuse { at_most: 8192 },
                nested_mail: NestedMail::Restart,
                half_close_loses: true,
                ..HONEST
            },
            Personality::Chasquid => Behaviour {
                extensions: Extensions { chunking: false, dsn: false, ..USUAL },
                behind_dot: BehindDot::Lose,
                nested_mail: NestedMail::Restart,
                errors: Some(THREE),
                max_recipients: Some(100),
                closing: Closing::Reset,
                ..HONEST
            },
            Personality::LostInput => Behaviour { extensions: NO_CHUNKING, behind_dot: BehindDot::Lose, ..HONEST },
            Personality::GoSmtp => Behaviour {
                extensions: Extensions { dsn: false, ..USUAL },
                bdat: BdatHabit::RunsRefused,
                nested_mail: NestedMail::KeepRecipients,
                errors: Some(ErrorLimit { count: 5, kind: ErrorKind::Syntax, code: 500, ..THREE }),
                no_recipients: 502,
                ..HONEST
            },
            Personality::OneCommand => Behaviour {
                extensions: Extensions { pipelining: false, smtputf8: false, ..NO_CHUNKING },
                one_command: true,
                ..HONEST
            },
            Personality::PostfixErrors => Behaviour {
                extensions: USUAL,
                errors: Some(ErrorLimit { count: 20, message_pays: true, replaces: false, ..THREE }),
                closing: Closing::ResetLosingReplies,
                ..HONEST
            },
            Personality::EximResets => Behaviour {
                extensions: Extensions { enhanced_status_codes: false, ..USUAL },
                free_resets: Some(10),
                no_recipients: 503,
                closing: Closing::Reset,
                ..HONEST
            },
            Personality::ThirdError => Behaviour { errors: Some(THREE), ..HONEST },
            Personality::Hundred => Behaviour { messages: Some(MessageLimit { count: 100, closes: false }), ..HONEST },
            Personality::Max421 => Behaviour { messages: Some(MessageLimit { count: 10, closes: true }), ..HONEST },
            Personality::Tarpit => Behaviour { tarpit: Some(Duration::from_millis(50)), ..HONEST },
            Personality::Nagle => Behaviour { nagle: true, ..HONEST },
            Personality::NoEhlo => Behaviour { ehlo: false, ..HONEST },
            Personality::NoNoop => Behaviour { noop: false, ..HONEST },
            Personality::Bdat500 => Behaviour { bdat: BdatHabit::Unknown, ..HONEST },
            Personality::Limits => Behaviour { limits: Limits { mail_max: Some(20), rcpt_max: Some(50) }, ..HONEST },
            Personality::Busy => Behaviour { greeting: Greeting::Busy, ..HONEST },
            Personality::Mute => Behaviour { greeting: Greeting::Mute, ..HONEST },
        }
    }
}

impl FromStr for Personality {
    type Err = String;

    fn from_str(text: &str) -> Result<Personality, String> {
        let known = Personality::ALL.into_iter().find(|personality| personality.name() == text);
        known.ok_or_else(|| {
            let names: Vec<&str> = Personality::ALL.iter().map(|personality| personality.name()).collect();
            format!("no server like \"{text}\" is known; there are {}", names.join(", "))
        })
    }
}

impl fmt::Display for Personality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_name_is_found_again() {
        let names: HashSet<&str> = Personality::ALL.iter().map(|p| p.name()).collect();
        assert_eq!(names.len(), Personality::ALL.len());
        for personality in Personality::ALL {
            assert_eq!(personality.name().parse(), Ok(personality));
        }
        assert!("sendmail".parse::<Personality>().expect_err("unknown").contains("go-smtp"));
    }
}
