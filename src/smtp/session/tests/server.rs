//! A server that answers as it was told and holds the client to RFC 5321, 2033, 2920 and 3030: an assertion fails at
//! the first command out of order, content out of place, or octet sent ahead of its time.

use super::world::{self, Plan};
use crate::config::Protocol;
use crate::smtp::stuffing::Unstuffer;

/// What the server offers and how it behaves.
#[derive(Debug, Clone)]
pub struct Manners {
    pub protocol: Protocol,
    /// In LMTP, a last chunk for nobody has no reply, as RFC 2033 section 4.3 says; else it is refused.
    pub silent: bool,
    pub pipelining: bool,
    pub chunking: bool,
    /// Replies in the honesty probe: 2 for a chunk that is consumed.
    pub probe_replies: usize,
    /// In the place of this reply (counted from 0, the greeting) the server closes.
    pub stop: Option<(usize, Stop)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Says 421 and does nothing more.
    Farewell,
    /// Closes before it does what it was told.
    Before,
    /// Does it and closes without the reply.
    After,
    /// Does it and closes with a reset, which destroys every reply that is still on its way.
    Reset,
}

enum Mode {
    Command,
    Data(Unstuffer),
    Chunk { left: u64, last: bool },
}

/// What is open: the message's number and its recipients, accepted and refused.
#[derive(Debug, Default)]
struct Open {
    message: usize,
    mail_accepted: bool,
    named: usize,
    accepted: Vec<usize>,
    failed: bool,
}

pub struct Server<'a> {
    manners: Manners,
    ahead: bool,
    plans: &'a [Plan],
    contents: &'a [Option<Vec<u8>>],
    input: Vec<u8>,
    mode: Mode,
    open: Option<Open>,
    content: Vec<u8>,
    /// No MAIL since the start or the last RSET.
    fresh: bool,
    content_accepted: bool,
    /// The last command ends its group: nothing may come before its reply was read.
    group_ended: bool,
    replies: usize,
    pub out: Vec<u8>,
    pub closed: bool,
    pub quit: bool,
    /// Messages taken, with the places of their recipients.
    pub taken: Vec<(usize, Vec<usize>)>,
}

impl<'a> Server<'a> {
    /// `ahead`: the client may send more than one command at a time.
    pub fn new(manners: Manners, plans: &'a [Plan], contents: &'a [Option<Vec<u8>>], ahead: bool) -> Server<'a> {
        let mut server = Server {
            manners,
            ahead,
            plans,
            contents,
            input: Vec::new(),
            mode: Mode::Command,
            open: None,
            content: Vec::new(),
            fresh: true,
            content_accepted: false,
            group_ended: true,
            replies: 0,
            out: Vec::new(),
            closed: false,
            quit: false,
            taken: Vec::new(),
        };
        server.reply(220, "model.test ESMTP");
        server
    }

    /// Takes what the client has written.
    pub fn feed(&mut self, octets: &[u8]) {
        assert!(!self.quit, "the client went on after QUIT");
        if self.closed {
            return;
        }
        assert!(!self.group_ended || self.out.is_empty(), "sent ahead of a reply that must be read first");
        self.group_ended = false;
        self.input.extend_from_slice(octets);
        while !self.closed && self.step() {}
    }

    fn step(&mut self) -> bool {
        match &mut self.mode {
            Mode::Command => match self.input.iter().position(|octet| *octet == b'\n') {
                Some(end) => {
                    let line: Vec<u8> = self.input.drain(..=end).collect();
                    let line = String::from_utf8(line).expect("a command is text");
                    self.command(line.strip_suffix("\r\n").expect("a command ends with CRLF"));
                    true
                }
                None => false,
            },
            Mode::Data(unstuffer) => {
                let (used, ended) = unstuffer.push(&self.input, &mut self.content);
                assert_eq!(unstuffer.unstuffed_dots(), 0, "a dot was not stuffed");
                self.input.drain(..used);
                if ended {
                    self.mode = Mode::Command;
                    self.content_ended(true);
                }
                ended
            }
            Mode::Chunk { left, last } => {
                let n = self.input.len().min(usize::try_from(*left).expect("small"));
                self.content.extend(self.input.drain(..n));
                *left -= n as u64;
                let (done, last) = (*left == 0, *last);
                if done {
                    self.mode = Mode::Command;
                    self.chunk_ended(last);
                }
                done
            }
        }
    }

    fn command(&mut self, line: &str) {
        assert!(self.ahead || self.out.is_empty(), "{line}: sent ahead in lock-step");
        match line.split_once([' ', ':']).map_or(line, |(verb, _)| verb) {
            "EHLO" | "LHLO" => self.ehlo(line),
            "RSET" => self.rset(line),
            "MAIL" => self.mail(line),
            "RCPT" => self.rcpt(line),
            "DATA" => self.data(line),
            "BDAT" => self.bdat(line),
            "NOOP" if self.manners.probe_replies == 3 && self.open.is_none() => drop(self.act(250, "noop")),
            "QUIT" => {
                assert!(self.out.is_empty() && self.input.is_empty(), "QUIT with replies owed");
                self.quit = true;
            }
            _ => panic!("{line:?} is no command that is due"),
        }
        let alone = self.group_ended || !self.ahead;
        let content_follows = !matches!(self.mode, Mode::Command);
        assert!(!alone || content_follows || self.input.is_empty(), "{line}: something was sent behind it");
    }

    fn is_lmtp(&self) -> bool {
        self.manners.protocol == Protocol::Lmtp
    }

    fn ehlo(&mut self, line: &str) {
        assert_eq!(line, if self.is_lmtp() { "LHLO client.test" } else { "EHLO client.test" });
        self.group_ended = true;
        let offers = [("PIPELINING", self.manners.pipelining), ("CHUNKING", self.manners.chunking)];
        let offers: String = offers.iter().filter(|o| o.1).map(|o| format!("250-{}\r\n", o.0)).collect();
        self.reply(250, &format!("8BITMIME\r\n{offers}250 SIZE"));
    }

    fn rset(&mut self, line: &str) {
        assert_eq!(line, "RSET");
        if self.act(250, "reset") {
            self.open = None;
            self.content.clear();
            self.fresh = true;
        }
    }

    fn mail(&mut self, line: &str) {
        let warm = self.content_accepted && !self.ahead;
        assert!(self.fresh || warm, "{line}: no RSET in front");
        let message: usize = number(line, "MAIL FROM:<s", "@");
        let plan = &self.plans[message];
        let octets = self.contents[message].as_ref();
        let size = octets.map_or(String::new(), |octets| format!(" SIZE={}", octets.len()));
        let body = if octets.is_some_and(|octets| !octets.is_ascii()) { " BODY=8BITMIME" } else { "" };
        assert_eq!(line, format!("MAIL FROM:<{}>{size}{body}", world::sender(message)));
        (self.fresh, self.content_accepted) = (false, false);
        if self.act(plan.mail, "sender") {
            self.open = Some(Open { message, mail_accepted: plan.mail / 100 == 2, ..Open::default() });
        }
    }

    fn rcpt(&mut self, line: &str) {
        let open = self.open.as_mut().expect("MAIL came before");
        let (message, place) = (open.message, open.named);
        assert_eq!(line, format!("RCPT TO:<{}>", world::recipient(message, place)));
        open.named += 1;
        let code = if open.mail_accepted { self.plans[message].recipients[place] } else { 503 };
        if self.act(code, "recipient") && code / 100 == 2 {
            self.open.as_mut().expect("open").accepted.push(place);
        }
    }

    /// The message that content would belong to, once all of its envelope has come.
    fn addressed(&self, line: &str) -> (&'a Plan, bool) {
        let open = self.open.as_ref().expect("MAIL came before");
        let plan = &self.plans[open.message];
        assert_eq!(open.named, plan.recipients.len(), "{line}: recipients are missing");
        assert!(plan.size.is_some(), "{line}: nothing but the envelope was asked about");
        (plan, !open.accepted.is_empty())
    }

    fn data(&mut self, line: &str) {
        assert_eq!(line, "DATA");
        self.group_ended = true;
        let (plan, accepted) = self.addressed(line);
        let code = match accepted {
            true => plan.data,
            // RFC 2033 section 4.2.
            false if self.is_lmtp() => 503,
            false => plan.void,
        };
        if self.act(code, "data") && code == 354 {
            self.content.clear();
            self.mode = Mode::Data(Unstuffer::default());
        }
    }

    fn bdat(&mut self, line: &str) {
        assert!(self.manners.chunking, "{line}: not offered");
        if line == "BDAT 6 LAST" && self.open.is_none() {
            match self.manners.probe_replies {
                3 => drop(self.act(502, "probe")),
                _ => self.mode = Mode::Chunk { left: 6, last: true },
            }
            return;
        }
        let last = line.ends_with(" LAST");
        let left = line.trim_end_matches(" LAST").trim_start_matches("BDAT ").parse().expect("octets");
        assert_eq!(line, format!("BDAT {left}{}", if last { " LAST" } else { "" }));
        self.addressed(line);
        self.mode = Mode::Chunk { left, last };
    }

    fn chunk_ended(&mut self, last: bool) {
        let Some(open) = &self.open else {
            assert_eq!(std::mem::take(&mut self.content), b"NOOP\r\n", "the chunk of the probe");
            if !(self.is_lmtp() && self.manners.silent) {
                self.act(503, "probe");
            }
            return;
        };
        let plan = &self.plans[open.message];
        let lmtp = self.is_lmtp();
        assert!(!(open.failed && last && lmtp), "how many replies would that have?");
        if open.failed || (open.accepted.is_empty() && !last) {
            // RFC 3030 section 2: every chunk behind a failed one fails too.
            self.open.as_mut().expect("open").failed = true;
            self.act(554, "chunk");
        } else if open.accepted.is_empty() && lmtp && self.manners.silent {
            self.content.clear();
        } else if open.accepted.is_empty() {
            self.act(if plan.void == 354 { 554 } else { plan.void }, "chunk");
            self.content.clear();
        } else if plan.data >= 400 {
            let replies = if lmtp && last { open.accepted.len() } else { 1 };
            self.open.as_mut().expect("open").failed = true;
            for _ in 0..replies {
                self.act(plan.data, "chunk");
            }
        } else if last {
            self.content_ended(false);
        } else {
            self.act(250, "chunk");
        }
    }

    fn content_ended(&mut self, by_dot: bool) {
        let open = self.open.take().expect("open");
        let plan = &self.plans[open.message];
        let content = std::mem::take(&mut self.content);
        if open.accepted.is_empty() {
            assert!(by_dot && content.is_empty(), "content for nobody");
        } else {
            let expected = self.contents[open.message].as_ref().expect("content");
            assert!(content == *expected, "message {}: {} octets for {}", open.message, content.len(), expected.len());
        }
        let mut taken = Vec::new();
        match open.accepted.is_empty() {
            true => drop(self.act(554, "content")),
            false if self.is_lmtp() => {
                for place in open.accepted {
                    let code = plan.each[place];
                    taken.extend(Some(place).filter(|_| self.act(code, "content") && code / 100 == 2));
                }
            }
            false => {
                taken = Some(open.accepted)
                    .filter(|_| self.act(plan.end, "content") && plan.end / 100 == 2)
                    .unwrap_or_default()
            }
        }
        if !taken.is_empty() {
            self.taken.push((open.message, taken));
            self.content_accepted = true;
        }
    }

    /// Replies, and tells whether the command is to be executed.
    fn act(&mut self, code: u16, text: &str) -> bool {
        match self.manners.stop {
            // A store may have done it for all before it tells the first.
            Some((_, stop)) if self.closed => matches!(stop, Stop::After | Stop::Reset),
            Some((at, stop)) if at == self.replies => {
                self.closed = true;
                match stop {
                    Stop::Farewell => self.out.extend_from_slice(b"421 4.3.2 leaving\r\n"),
                    Stop::Reset => self.out.clear(),
                    Stop::Before | Stop::After => {}
                }
                matches!(stop, Stop::After | Stop::Reset)
            }
            _ => {
                self.reply(code, text);
                true
            }
        }
    }

    fn reply(&mut self, code: u16, text: &str) {
        self.replies += 1;
        let more = if self.replies.is_multiple_of(5) { format!("{code}-more\r\n") } else { String::new() };
        let line = match text.starts_with("8BITMIME") {
            true => format!("250-model.test\r\n250-{text}\r\n"),
            false => format!("{more}{code} {text} {}\r\n", self.replies),
        };
        self.out.extend_from_slice(line.as_bytes());
    }
}

fn number(line: &str, before: &str, behind: &str) -> usize {
    let rest = line.strip_prefix(before).unwrap_or_else(|| panic!("{line}"));
    rest.split_once(behind).and_then(|(n, _)| n.parse().ok()).unwrap_or_else(|| panic!("{line}"))
}
