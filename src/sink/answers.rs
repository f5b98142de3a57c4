//! Replies, and the one who gives them: when each is due, which are held back together until the input at hand is used
//! up, and what is lost in a reset.

use super::counters::Risen;
use super::outbox::{Outbox, Piece};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Octets of replies that are held back while there is input to work on; what Postfix and others do.
const GROUP: usize = 4096;

/// A reply of one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    pub code: u16,
    /// The enhanced status code, or nothing.
    pub status: &'static str,
    pub text: String,
}

impl Reply {
    pub(super) fn new(code: u16, status: &'static str, text: &str) -> Reply {
        Reply { code, status, text: text.to_owned() }
    }

    /// A refusal that an address asked for.
    pub(super) fn wished(code: u16) -> Reply {
        let status = match code {
            450 => "4.2.0",
            452 => "4.3.1",
            550 => "5.1.1",
            552 => "5.2.2",
            421 => "4.3.2",
            400..=499 => "4.7.1",
            _ => "5.7.1",
        };
        Reply::new(code, status, "Refused as the address asks")
    }

    pub(super) fn is_error(&self) -> bool {
        self.code >= 400
    }

    /// The line, with the enhanced status code if it is offered.
    pub(super) fn line(&self, enhanced: bool) -> Vec<u8> {
        let status = if enhanced { self.status } else { "" };
        let blank = if status.is_empty() { "" } else { " " };
        format!("{} {status}{blank}{}\r\n", self.code, self.text).into_bytes()
    }
}

/// Gives replies on one connection.
#[derive(Debug)]
pub(super) struct Answers {
    outbox: Arc<Outbox>,
    latency: Duration,
    group: Vec<Piece>,
    octets: usize,
    given: u64,
}

impl Answers {
    pub(super) fn new(outbox: &Arc<Outbox>, latency: Duration) -> Answers {
        Answers { outbox: Arc::clone(outbox), latency, group: Vec::new(), octets: 0, given: 0 }
    }

    /// Gives a reply to what was received (and worked on) at that moment.
    pub(super) fn give(&mut self, at: Instant, bytes: Vec<u8>, message: Option<Risen>) {
        self.given += 1;
        self.octets += bytes.len();
        self.group.push(Piece { due: at + self.latency, bytes, message });
        if self.octets >= GROUP {
            self.release();
        }
    }

    /// Sends off what was held back.
    pub(super) fn release(&mut self) {
        self.octets = 0;
        if !self.group.is_empty() {
            self.outbox.push(std::mem::take(&mut self.group));
        }
    }

    /// Loses what was held back.
    pub(super) fn lose_group(&mut self) {
        self.group.clear();
    }

    /// Loses all that is not written.
    pub(super) fn lose_all(&mut self) {
        self.group.clear();
        self.outbox.abandon();
    }

    /// Whether every reply given is written.
    pub(super) fn all_written(&self) -> bool {
        self.outbox.written() >= self.given
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_enhanced_code_is_left_out_where_it_is_not_offered() {
        let reply = Reply::new(250, "2.0.0", "Ok");
        assert_eq!(reply.line(true), b"250 2.0.0 Ok\r\n");
        assert_eq!(reply.line(false), b"250 Ok\r\n");
        assert_eq!(Reply::new(354, "", "Go").line(true), b"354 Go\r\n");
    }

    #[test]
    fn a_refusal_and_its_status_are_of_one_class() {
        for code in 400..600 {
            let reply = Reply::wished(code);
            assert_eq!(reply.status.as_bytes()[0], reply.line(false)[0], "{code}");
        }
    }

    #[test]
    fn replies_are_held_back_until_released_or_many() {
        let outbox = Arc::new(Outbox::default());
        let mut answers = Answers::new(&outbox, Duration::ZERO);
        let writer = std::thread::spawn({
            let outbox = Arc::clone(&outbox);
            let (listener, _) = pair();
            move || outbox.run(&listener, false)
        });
        answers.give(Instant::now(), b"250 a\r\n".to_vec(), None);
        assert!(!answers.all_written());
        answers.release();
        outbox.finish();
        writer.join().expect("the writer ends");
        assert!(answers.all_written());
    }

    fn pair() -> (std::net::TcpStream, std::net::TcpStream) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let client = std::net::TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
        (client, listener.accept().expect("accepted").0)
    }
}
