//! The hot paths, to be counted in instructions: `scripts/bench --instructions` runs this under callgrind, which counts
//! what is inside the functions called `measured_…` and nothing else. One argument names the path; without one, their
//! names are listed.
//!
//! Counts do not depend on how busy the machine is; they do depend on the compiler, so the baseline names the one it
//! was made with.

use pipelane::config::{Level, Protocol, Trust};
use pipelane::mail::{Address, Content, Envelope};
use pipelane::smtp::reply::ReplyParser;
use pipelane::smtp::stuffing::Stuffer;
use pipelane::smtp::{Event, Extensions, Knowledge, Session, SessionOptions, Transaction, Want, WindowBounds, command};
use std::hint::black_box;
use std::sync::Arc;

const PATHS: [(&str, fn()); 5] = [
    ("reply_parsing", reply_parsing),
    ("dot_stuffing", dot_stuffing),
    ("envelope_writing", envelope_writing),
    ("transactions", transactions),
    ("recipients", recipients),
];
const GREETING: &[u8] = b"220 mx.test ESMTP\r\n";
const HELLO: &[u8] =
    b"250-mx.test\r\n250-PIPELINING\r\n250-SIZE 0\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250 CHUNKING\r\n";

fn main() {
    // Cargo adds options of its own.
    let named = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    match named.and_then(|name| PATHS.iter().find(|(path, _)| *path == name)) {
        Some((_, run)) => run(),
        None => PATHS.iter().for_each(|(name, _)| println!("{name}")),
    }
}

/// 10000 replies of one line, 100 in a read.
fn reply_parsing() {
    #[inline(never)]
    fn measured_reply_parsing(input: &[u8]) -> usize {
        let mut parser = ReplyParser::default();
        let mut replies = 0;
        for _ in 0..100 {
            let mut rest = input;
            while let Ok(Some(reply)) = parser.feed(&mut rest) {
                black_box(reply);
                replies += 1;
            }
        }
        replies
    }
    assert_eq!(black_box(measured_reply_parsing(&b"250 2.1.5 Ok\r\n".repeat(100))), 10_000);
}

/// 10 MB of text in pieces of 64 kB; every third line starts with a dot.
fn dot_stuffing() {
    #[inline(never)]
    fn measured_dot_stuffing(piece: &[u8]) -> usize {
        let (mut stuffer, mut out, mut octets) = (Stuffer::default(), Vec::with_capacity(2 * piece.len()), 0);
        for _ in 0..160 {
            stuffer.push(piece, &mut out);
            octets += out.len();
            out.clear();
        }
        octets
    }
    let line = b"The quick brown fox jumps over the lazy dog, and does so again.\r\n";
    let piece = [line.as_slice(), line, b".A line that starts with a dot.\r\n"].concat().repeat(400);
    assert!(black_box(measured_dot_stuffing(&piece)) > 10_000_000);
}

fn offered() -> Extensions {
    let mut session = session();
    greet(&mut session);
    session.offered().clone()
}

/// MAIL and 10000 RCPT.
fn envelope_writing() {
    #[inline(never)]
    fn measured_envelope_writing(envelope: &Envelope, offered: &Extensions) -> usize {
        let mut out = Vec::new();
        command::mail(envelope, None, offered, &mut out);
        envelope.recipients.iter().for_each(|recipient| command::rcpt(recipient, offered, &mut out));
        command::bdat(4000, true, &mut out);
        out.len()
    }
    let (envelope, offered) = (envelope(10_000), offered());
    assert!(black_box(measured_envelope_writing(&envelope, &offered)) > 100_000);
}

/// 1000 messages of 4 kB to one recipient each, streamed to nobody.
fn transactions() {
    assert_eq!(measured_session(&Work::new(1000, 1)), 1000);
}

/// One message of 4 kB to 10000 recipients, to nobody.
fn recipients() {
    assert_eq!(measured_session(&Work::new(1, 10_000)), 1);
}

#[inline(never)]
fn measured_session(work: &Work) -> usize {
    work.run()
}

fn envelope(recipients: usize) -> Envelope {
    let address = |text: &str| Address::parse(text).expect("an address");
    let recipients = (0..recipients).map(|n| address(&format!("subscriber{n}@example.test"))).collect();
    Envelope::new(address("sender@client.test"), recipients)
}

fn session() -> Session {
    let options = SessionOptions {
        protocol: Protocol::Smtp,
        helo_name: "client.test".into(),
        ignore_extensions: Vec::new(),
        max_level: Level::Stream,
        starttls: pipelane::smtp::StartTls::Never,
        secured: false,
        auth: None,
        trust: Trust::Stream,
        window: WindowBounds { messages: 256, bytes: 1 << 20 },
        messages: 0,
    };
    Session::new(options, Knowledge::default())
}

fn greet(session: &mut Session) {
    session.input(GREETING);
    while session.want() == Want::Write {
        session.wrote(session.output().len());
    }
    session.input(HELLO);
}

/// Messages, and the replies that a server would give.
struct Work {
    messages: usize,
    transaction: Transaction,
    octets: Vec<u8>,
    replies: Vec<u8>,
}

impl Work {
    fn new(messages: usize, recipients: usize) -> Work {
        let octets = b"A line of the content, which is plain text.\r\n".repeat(90);
        let content = Content::from_bytes(&octets).expect("content");
        let replies =
            ["250 2.1.0 Ok\r\n", &"250 2.1.5 Ok\r\n".repeat(recipients), "250 2.0.0 Ok: queued as 4A\r\n"].concat();
        let envelope = Arc::new(envelope(recipients));
        let transaction = Transaction { envelope, recipients: (0..recipients).collect(), content: Some(content) };
        Work { messages, transaction, octets, replies: replies.into_bytes() }
    }

    /// All of it over one connection; how many were answered.
    fn run(&self) -> usize {
        let (mut session, mut begun, mut replied, mut ended) = (session(), 0, 0, 0);
        greet(&mut session);
        while ended < self.messages {
            while begun < self.messages && session.has_room() {
                session.begin(self.transaction.clone());
                begun += 1;
            }
            match session.want() {
                Want::Content { offset, max, .. } => {
                    let from = offset as usize;
                    session.supply(&self.octets[from..self.octets.len().min(from + max)]);
                }
                Want::Write => session.wrote(session.output().len()),
                _ => {
                    while replied < begun {
                        // All but the first have a RSET in front.
                        if replied > 0 {
                            session.input(b"250 2.0.0 Ok\r\n");
                        }
                        session.input(&self.replies);
                        replied += 1;
                    }
                }
            }
            while let Some(event) = session.next_event() {
                ended += usize::from(matches!(event, Event::Ended { .. }));
            }
        }
        ended
    }
}
