//! The reader of one connection: it turns input into command lines, has them run, and answers.
//!
//! Here are the commands that concern no message, the rules about groups (RFC 2920), the counting of errors, and those
//! habits of personalities that concern the connection as a whole. `envelope` and `content` hold the rest.

use super::End;
use super::answers::{Answers, Reply};
use super::command::{Command, Wrong};
use super::counters::{Counters, Risen};
use super::envelope::Transaction;
use super::hello::Hello;
use super::input::Input;
use super::outbox::Outbox;
use super::personality::{BdatHabit, Closing, ErrorKind, Greeting};
use super::script::Wish;
use super::server::Shared;
use std::convert::Infallible;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The longest command line that is read at all, with its end.
const MAX_LINE: usize = 4096;

/// The longest that a command without parameters may have (RFC 5321 4.5.3.1.4), with its end.
const MAX_PLAIN_LINE: usize = 512;

/// The longest delay of an error.
const MAX_TARPIT: Duration = Duration::from_secs(60);

/// One client's session.
#[derive(Debug)]
pub(super) struct Session<'a> {
    pub shared: &'a Arc<Shared>,
    pub number: u64,
    pub input: Input,
    pub hello: Hello,
    pub transaction: Transaction,
    /// Transactions begun, with those that failed.
    pub transactions: u64,
    /// Whether the last transaction failed and no RSET has come since.
    pub failed: bool,
    /// Whether a content has begun and not ended.
    pub receiving: bool,
    /// Messages accepted.
    pub messages: u64,
    /// MAIL commands accepted.
    pub mails: u64,
    /// Commands that begin before this position are refused (they came behind a dot).
    pub refuse_until: u64,
    /// Input before this position is an unconsumed chunk, and no mistake of the client's.
    pub stray_until: u64,
    /// Whether input was thrown away, so that nothing can be held against the client any more.
    pub blind: bool,
    /// Whether an accepted message has paid for the next RSET.
    pub reset_paid: bool,
    pub answers: Answers,
    errors: u32,
    pub unpaid_resets: u32,
    tarpit: Option<Duration>,
    busy_until: Instant,
    stray: bool,
    /// A command that must be the last of its group and whose reply may not have been written yet.
    unanswered: Option<&'static str>,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        shared: &'a Arc<Shared>,
        number: u64,
        stream: Arc<TcpStream>,
        outbox: &Arc<Outbox>,
    ) -> Session<'a> {
        Session {
            shared,
            number,
            input: Input::new(stream, Arc::clone(shared)),
            hello: Hello::None,
            transaction: Transaction::default(),
            transactions: 0,
            failed: false,
            receiving: false,
            messages: 0,
            mails: 0,
            refuse_until: 0,
            stray_until: 0,
            blind: false,
            reset_paid: false,
            answers: Answers::new(outbox, shared.options.latency),
            errors: 0,
            unpaid_resets: 0,
            tarpit: shared.behaviour.tarpit,
            busy_until: Instant::now(),
            stray: false,
            unanswered: None,
        }
    }

    /// Talks until the end. Returns how the connection is to be closed, unless the client has closed it. All replies
    /// are in the outbox then, or lost, as it should be.
    pub(super) fn run(&mut self) -> Option<Closing> {
        let Err(end) = self.converse();
        if self.receiving {
            Counters::one(&self.shared.counters.contents_unfinished);
        }
        match end {
            End::Halted | End::Broken => self.answers.lose_all(),
            End::Peer if self.shared.behaviour.half_close_loses => self.answers.lose_all(),
            End::Close(Closing::ResetLosingReplies) if self.has_unread() => self.answers.lose_group(),
            End::Idle => self.say(&Reply::new(421, "4.4.2", "Silent for too long"), None),
            End::Peer | End::Close(_) => {}
        }
        self.answers.release();
        match end {
            End::Close(closing) => Some(closing),
            End::Idle => Some(Closing::Drain),
            _ => None,
        }
    }

    /// Whether there is input that was not looked at.
    pub(super) fn has_unread(&self) -> bool {
        self.input.has_unread()
    }

    fn converse(&mut self) -> Result<Infallible, End> {
        let hostname = &self.shared.options.hostname;
        if self.shared.behaviour.greeting == Greeting::Busy {
            let busy = Reply::new(421, "", &format!("{hostname} is busy"));
            self.answer(busy)?;
        }
        self.say(&Reply::new(220, "", &format!("{hostname} ESMTP sink for trials")), None);
        self.must_wait("the connect (the greeting)");
        loop {
            self.one_command()?;
        }
    }

    fn one_command(&mut self) -> Result<(), End> {
        let start = self.input.position();
        let line = self.read_line()?;
        Counters::one(&self.shared.counters.commands);
        self.stray = start < self.stray_until;
        self.alone()?;
        if start < self.refuse_until {
            return self.answer(Reply::new(503, "5.5.1", "Commands behind the dot are not taken"));
        }
        match line.as_deref().map_or(Err(Wrong::TooLong), |line| self.understand(line)) {
            Ok(command) => self.execute(command),
            Err(wrong) => self.refuse(wrong),
        }
    }

    /// A line without its LF; `None` for one that is over the limit and was thrown away.
    fn read_line(&mut self) -> Result<Option<Vec<u8>>, End> {
        let mut overlong = false;
        loop {
            let window = &self.input.buffered()[..self.input.buffered().len().min(MAX_LINE)];
            let (octets, found) = match memchr::memchr(b'\n', window) {
                Some(at) => (at + 1, true),
                None => (window.len(), false),
            };
            if found {
                let line = window[..octets - 1].to_vec();
                self.input.consume(octets);
                return Ok((!overlong).then_some(line));
            }
            if overlong || octets == MAX_LINE {
                overlong = true;
                self.input.consume(octets);
            }
            if self.input.buffered().is_empty() || octets < MAX_LINE {
                self.more()?;
            }
        }
    }

    fn understand(&mut self, line: &[u8]) -> Result<Command, Wrong> {
        let Some(line) = line.strip_suffix(b"\r") else {
            self.mistake("a command line that does not end with CRLF");
            return std::str::from_utf8(line).map_err(|_| Wrong::Unknown).and_then(Command::parse);
        };
        if memchr::memchr2(b'\r', 0, line).is_some() {
            return Err(Wrong::Octets("a CR or NUL"));
        }
        let command = std::str::from_utf8(line).map_err(|_| Wrong::Octets("no UTF-8")).and_then(Command::parse)?;
        if line.len() + 2 > MAX_PLAIN_LINE && !matches!(command, Command::Mail(_) | Command::Rcpt(_)) {
            self.mistake("a command line over 512 octets");
        }
        Ok(command)
    }

    fn execute(&mut self, command: Command) -> Result<(), End> {
        let (verb, ends_group) = (command.verb(), command.ends_group());
        match command {
            Command::Ehlo => self.ehlo(),
            Command::Helo => self.helo(),
            Command::Mail(path) => self.mail(path),
            Command::Rcpt(path) => self.rcpt(path),
            Command::Data => return self.data(),
            Command::Bdat { octets, last } => self.bdat(octets, last),
            Command::Rset => self.rset(),
            Command::Noop if !self.shared.behaviour.noop => {
                self.answer(Reply::new(500, "5.5.1", "NOOP is not known here"))
            }
            Command::Noop => self.answer(Reply::new(250, "2.0.0", "Ok")),
            Command::Vrfy => self.answer(Reply::new(252, "2.5.2", "Send mail and see")),
            Command::Quit => {
                self.say(&Reply::new(221, "2.0.0", "Bye"), None);
                self.must_wait(verb);
                Err(End::Close(Closing::Drain))
            }
        }?;
        if ends_group {
            self.must_wait(verb);
        } else {
            self.must_wait_without_pipelining(verb);
        }
        Ok(())
    }

    fn refuse(&mut self, wrong: Wrong) -> Result<(), End> {
        let framing = matches!(wrong, Wrong::Framing(_));
        let (reply, text) = match wrong {
            Wrong::Unknown => (Reply::new(500, "5.5.1", "No such command"), "an unknown command".to_owned()),
            Wrong::TooLong => {
                (Reply::new(500, "5.5.2", "Line too long"), format!("a command line over {MAX_LINE} octets"))
            }
            Wrong::Octets(what) => {
                (Reply::new(500, "5.5.2", "Forbidden octets"), format!("a command line with {what}"))
            }
            Wrong::NotOffered(verb) => (Reply::new(502, "5.5.1", "Not offered"), format!("{verb} was not offered")),
            Wrong::Syntax(verb, what) => {
                (Reply::new(501, "5.5.4", &format!("{verb} {what}")), format!("{verb} {what}"))
            }
            Wrong::Framing(what) => (Reply::new(501, "5.5.4", "Malformed BDAT"), format!("BDAT with {what}")),
        };
        self.mistake(&text);
        if framing && self.offered().chunking && self.shared.behaviour.bdat == BdatHabit::Honest {
            // Nobody knows where the next command begins.
            self.say(&Reply { code: 521, ..reply }, None);
            return Err(End::Close(Closing::Drain));
        }
        self.answer(reply)?;
        self.must_wait_without_pipelining("a command");
        Ok(())
    }

    /// Waits for more input, with all replies sent off.
    pub(super) fn more(&mut self) -> Result<(), End> {
        self.answers.release();
        self.input.fill()?;
        if self.answers.all_written() {
            self.unanswered = None;
        } else {
            self.early();
        }
        Ok(())
    }

    /// What was just answered must be the last of its group: input before its reply is a mistake.
    pub(super) fn must_wait(&mut self, what: &'static str) {
        self.unanswered = Some(what);
        if !self.input.buffered().is_empty() {
            self.early();
        }
    }

    /// Without PIPELINING every command is a group.
    pub(super) fn must_wait_without_pipelining(&mut self, what: &'static str) {
        if !self.offered().pipelining {
            self.must_wait(what);
        }
    }

    fn early(&mut self) {
        if let Some(what) = self.unanswered.take() {
            self.mistake(&format!("input that did not wait for the reply to {what}"));
        }
    }

    /// Ends the connection of a client that sends more than one command at once to a server that cannot have it.
    pub(super) fn alone(&mut self) -> Result<(), End> {
        if !self.shared.behaviour.one_command || self.input.buffered().is_empty() {
            return Ok(());
        }
        self.mistake("more than one command at once, without PIPELINING");
        self.say(&Reply::new(500, "5.5.1", "Pipelining not supported"), None);
        Err(End::Close(Closing::Drain))
    }

    /// Notes a mistake of the client's, unless the sink itself has led it there.
    pub(super) fn mistake(&self, text: &str) {
        if !self.blind && !self.stray {
            self.shared.counters.mistake(self.number, text.to_owned());
        }
    }

    /// Does what an address asks for at its own command. Returns the refusal, if that is what it asks for.
    pub(super) fn grant(&mut self, wish: Wish) -> Result<Option<Reply>, End> {
        match wish {
            Wish::Refuse(code) => return Ok(Some(Reply::wished(code))),
            Wish::Slow(delay) => self.pause(delay)?,
            Wish::Drop => return Err(End::Close(Closing::Drain)),
            Wish::Reset => return Err(End::Close(Closing::Abort)),
            Wish::Accept | Wish::RefuseContent(_) | Wish::DropContent | Wish::EatContent => {}
        }
        Ok(None)
    }

    /// Answers, and does what the personality does about errors.
    pub(super) fn answer(&mut self, reply: Reply) -> Result<(), End> {
        self.answer_message(reply, None)
    }

    /// The same, for the reply to a content.
    pub(super) fn answer_message(&mut self, reply: Reply, message: Option<Risen>) -> Result<(), End> {
        if !reply.is_error() {
            self.say(&reply, message);
            return Ok(());
        }
        if let Some(delay) = self.tarpit {
            self.pause(delay)?;
            self.tarpit = Some((delay * 2).min(MAX_TARPIT));
        }
        let counts = |kind| kind == ErrorKind::Any || matches!(reply.code, 500 | 501);
        let limit = self.shared.behaviour.errors.filter(|limit| counts(limit.kind));
        self.errors += u32::from(limit.is_some());
        let reached = limit.filter(|limit| self.errors >= limit.count);
        if reached.is_none_or(|limit| !limit.replaces) {
            self.say(&reply, message);
        }
        if let Some(limit) = reached {
            let status = if limit.code < 500 { "4.7.0" } else { "5.5.1" };
            self.say(&Reply::new(limit.code, status, "Too many errors"), None);
            return Err(End::Close(self.shared.behaviour.closing));
        }
        if reply.code == 421 { Err(End::Close(Closing::Drain)) } else { Ok(()) }
    }

    /// A message was accepted: what it pays for.
    pub(super) fn accepted(&mut self) {
        self.messages += 1;
        self.reset_paid = true;
        if self.shared.behaviour.errors.is_some_and(|limit| limit.message_pays) {
            self.errors = 0;
        }
    }

    /// Gives a reply, whatever it is.
    pub(super) fn say(&mut self, reply: &Reply, message: Option<Risen>) {
        let enhanced = self.offered().enhanced_status_codes;
        self.answers.give(self.now(), reply.line(enhanced), message);
    }

    /// Works on something for so long; what comes behind it is late too.
    fn pause(&mut self, delay: Duration) -> Result<(), End> {
        self.answers.release();
        self.busy_until = self.now() + delay;
        if self.shared.halt.sleep_until(self.busy_until) { Ok(()) } else { Err(End::Halted) }
    }

    /// When the input at hand was received and all before it done.
    pub(super) fn now(&self) -> Instant {
        self.input.at().max(self.busy_until)
    }
}
