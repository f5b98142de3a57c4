//! A Postfix log file, read as facts: what became of each recipient, and what connected.

use crate::place::tail;
use std::fs;
use std::path::{Path, PathBuf};

/// The log of one private instance.
#[derive(Debug, Clone)]
pub struct Log {
    file: PathBuf,
}

/// A place in the log: what follows is new.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mark(usize);

/// One recipient's line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The service that spoke, as in `postfix/lanes/lmtp`.
    pub service: String,
    /// `to=`.
    pub to: String,
    /// `relay=`.
    pub relay: String,
    /// `dsn=`.
    pub dsn: String,
    /// `status=`: sent, bounced, deferred.
    pub status: String,
    /// What stands in parentheses behind it.
    pub text: String,
}

/// One connection that ended: how many commands of each kind were accepted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Session {
    /// MAIL commands.
    pub mail: usize,
    /// BDAT commands.
    pub bdat: usize,
    /// DATA commands.
    pub data: usize,
}

impl Log {
    /// The log in this file; it need not exist yet.
    pub fn at(file: &Path) -> Log {
        Log { file: file.to_owned() }
    }

    /// The end of the log as it is now.
    pub fn mark(&self) -> Mark {
        Mark(fs::metadata(&self.file).map_or(0, |found| found.len() as usize))
    }

    fn lines(&self, since: Mark) -> Vec<String> {
        let octets = fs::read(&self.file).unwrap_or_default();
        let text = String::from_utf8_lossy(octets.get(since.0..).unwrap_or_default()).into_owned();
        text.lines().map(str::to_owned).collect()
    }

    /// Every recipient's line since then.
    pub fn verdicts(&self, since: Mark) -> Vec<Verdict> {
        self.lines(since).iter().filter_map(|line| verdict(line)).collect()
    }

    /// How many client connections smtpd(8) logged since then.
    pub fn connects(&self, since: Mark) -> usize {
        self.count(since, ": connect from ")
    }

    /// How many messages smtpd(8) has begun to store since then.
    pub fn accepted(&self, since: Mark) -> usize {
        self.count(since, ": client=")
    }

    /// The connections that ended since then.
    pub fn sessions(&self, since: Mark) -> Vec<Session> {
        self.lines(since).iter().filter_map(|line| session(line)).collect()
    }

    fn count(&self, since: Mark, text: &str) -> usize {
        self.lines(since).iter().filter(|line| line.contains("/smtpd[") && line.contains(text)).count()
    }

    /// For a person who looks at a failure.
    pub fn tail(&self) -> String {
        tail(&self.file, 30)
    }
}

fn verdict(line: &str) -> Option<Verdict> {
    let (head, facts) = line.split_once(": to=<")?;
    let service = head.split(' ').find(|word| word.starts_with("postfix/"))?.split('[').next()?.to_owned();
    let (to, facts) = facts.split_once(">, ")?;
    let (facts, status) = facts.split_once("status=")?;
    let (status, text) = status.split_once(' ').unwrap_or((status, ""));
    let fact = |name: &str| facts.split(", ").find_map(|fact| fact.strip_prefix(name)).unwrap_or_default().to_owned();
    let text = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')).unwrap_or(text).to_owned();
    Some(Verdict {
        service,
        to: to.to_owned(),
        relay: fact("relay="),
        dsn: fact("dsn="),
        status: status.to_owned(),
        text,
    })
}

/// `mail=2/3` is two accepted of three.
fn session(line: &str) -> Option<Session> {
    let (_, facts) = line.split_once(": disconnect from ")?;
    let fact = |name: &str| {
        let value = facts.split(' ').find_map(|fact| fact.strip_prefix(name))?;
        value.split('/').next()?.parse().ok()
    };
    let count = |name: &str| fact(name).unwrap_or(0);
    Some(Session { mail: count("mail="), bdat: count("bdat="), data: count("data=") })
}

mod tests {
    use super::*;

    #[test]
    fn a_recipients_line_is_read() {
        let line = "Jan  2 03:04:05 s postfix/lanes/lmtp[12]: 4ABC: to=<a@example.test>, relay=s[/run/[127.0.0.1]:25], \
                    delay=0.1, delays=0/0/0/0.1, dsn=5.1.1, status=bounced (host s said: 550 5.1.1 no (really))";
        let read = verdict(line).expect("a verdict");
        assert_eq!((read.service.as_str(), read.to.as_str()), ("postfix/lanes/lmtp", "a@example.test"));
        assert_eq!((read.dsn.as_str(), read.status.as_str()), ("5.1.1", "bounced"));
        assert_eq!(read.relay, "s[/run/[127.0.0.1]:25]");
        assert_eq!(read.text, "host s said: 550 5.1.1 no (really)");
        assert_eq!(verdict("Jan  2 03:04:05 s postfix/qmgr[12]: 4ABC: removed"), None);
    }

    #[test]
    fn an_ended_connection_is_read() {
        let line = "Jan  2 03:04:05 r postfix/smtpd[9]: disconnect from unknown[127.0.0.1] ehlo=1 mail=2/3 rcpt=2 bdat=2 quit=1 commands=8/9";
        assert_eq!(session(line), Some(Session { mail: 2, bdat: 2, data: 0 }));
    }
}
