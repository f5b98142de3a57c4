//! A thin LMTP client (RFC 2033) of the resident engine's socket.
//!
//! It trusts the socket's owner to be pipelane or at least an LMTP server, and no more: replies are bounded, every wait
//! ends at the deadline, and whatever goes wrong is temporary. Envelope commands go in groups small enough for any
//! socket buffer, DATA with the last, so that the door sees the whole of a small envelope at once.

use super::super::Reply;
use super::Ending;
use crate::mail::{Content, EnhancedStatus, Message, Recipient};
use crate::smtp::stuffing::Stuffer;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// Octets of commands that are sent before replies are read.
const GROUP: usize = 8 * 1024;

/// The most octets of one reply, all its lines together.
const MAX_REPLY: usize = 16 * 1024;

/// Octets of content that are sent at once.
const PIECE: usize = 64 * 1024;

/// Hands the message over and waits for its results.
pub fn deliver_via(socket: &Path, message: &Message, deadline: Instant) -> Ending {
    let stream = match UnixStream::connect(socket) {
        Ok(stream) => stream,
        Err(error) => {
            let text = format!("cannot reach pipelane at {}: {error}", socket.display());
            return Ending::temporary(4, 1, text);
        }
    };
    let mut client = Client { stream, input: Vec::new(), deadline, content_sent: false };
    match client.deliver(message) {
        Ok(replies) => Ending::of_replies(&message.envelope.recipients, &replies),
        Err(trouble) => client.ending(trouble),
    }
}

/// Why there is no result from the dialogue itself.
enum Trouble {
    /// The connection failed or ended.
    Lost(io::Error),
    /// A reply that stands for the whole message.
    Told(Reply),
    /// What came is no reply.
    Nonsense,
    /// The content could not be read back.
    Content(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Trouble {
        Trouble::Lost(error)
    }
}

struct Client {
    stream: UnixStream,
    input: Vec<u8>,
    deadline: Instant,
    content_sent: bool,
}

impl Client {
    fn deliver(&mut self, message: &Message) -> Result<Vec<Reply>, Trouble> {
        let greeting = self.reply()?;
        self.accepts_us(greeting)?;
        self.send(b"LHLO localhost\r\n")?;
        let lhlo = self.reply()?;
        let keywords = self.accepts_us(lhlo)?;
        let offers = |keyword: &str| keywords.iter().any(|k| k.split(' ').next() == Some(keyword));
        if let Some(id) = message.queue_id.as_deref().filter(|_| offers("XFORWARD")) {
            self.send(format!("XFORWARD IDENT={}\r\n", xtext(id)).as_bytes())?;
            // Only for logs; refused or not, the delivery goes on.
            self.reply()?;
        }
        let mail = mail_command(message, offers);
        let recipients = &message.envelope.recipients;
        let mut replies = self.envelope(mail, recipients)?;
        let accepted: Vec<usize> = (0..recipients.len()).filter(|n| replies[*n].is_success()).collect();
        let data = self.reply()?;
        if data.0 != 354 || accepted.is_empty() {
            let told = self.to_reply(data);
            // No content was sent, so nothing that sounds like success can be one.
            let refused = if told.is_success() { Reply::new(451, 5, 0, "DATA was not answered by 354") } else { told };
            accepted.iter().for_each(|n| replies[*n] = refused.clone());
            return Ok(replies);
        }
        self.content(message)?;
        for n in accepted {
            let told = self.reply()?;
            replies[n] = self.to_reply(told);
        }
        // The results are here; a courtesy that fails takes nothing away from them.
        let _ = self.send(b"QUIT\r\n");
        Ok(replies)
    }

    /// The lines of a good reply behind its first; any other says nothing about the message.
    fn accepts_us(&self, (code, lines): (u16, Vec<String>)) -> Result<Vec<String>, Trouble> {
        if (200..300).contains(&code) {
            return Ok(lines.into_iter().skip(1).map(|line| line.to_ascii_uppercase()).collect());
        }
        let told = self.to_reply((code, lines));
        Err(Trouble::Told(Reply::new(451, told.status.subject, told.status.detail, told.text)))
    }

    /// MAIL, every RCPT and DATA; the replies to the RCPTs, DATA's being the next to come.
    fn envelope(&mut self, mail: String, recipients: &[Recipient]) -> Result<Vec<Reply>, Trouble> {
        let (mut group, mut owed, mut mail_reply) = (mail, 1, None);
        let mut replies = Vec::with_capacity(recipients.len());
        let mut take = |client: &mut Client, owed: usize| -> Result<(), Trouble> {
            for _ in 0..owed {
                let reply = client.reply()?;
                let reply = client.to_reply(reply);
                if mail_reply.is_some() { replies.push(reply) } else { mail_reply = Some(reply) }
            }
            Ok(())
        };
        for recipient in recipients {
            let command = format!("RCPT TO:<{}>\r\n", recipient.address);
            if group.len() + command.len() > GROUP {
                self.send(group.as_bytes())?;
                take(self, owed)?;
                (group, owed) = (String::new(), 0);
            }
            group.push_str(&command);
            owed += 1;
        }
        self.send((group + "DATA\r\n").as_bytes())?;
        take(self, owed)?;
        match mail_reply {
            Some(reply) if !reply.is_success() => Err(Trouble::Told(reply)),
            _ => Ok(replies),
        }
    }

    fn content(&mut self, message: &Message) -> Result<(), Trouble> {
        let (mut stuffer, mut out) = (Stuffer::default(), Vec::new());
        if let Some(content) = &message.content {
            let mut piece = vec![0; PIECE];
            let mut at = 0;
            while at < content.len() {
                let octets = content.read_at(&mut piece, at).map_err(Trouble::Content)?;
                if octets == 0 {
                    return Err(Trouble::Content(io::ErrorKind::UnexpectedEof.into()));
                }
                out.clear();
                stuffer.push(&piece[..octets], &mut out);
                self.send(&out)?;
                at += octets as u64;
            }
        }
        out.clear();
        stuffer.finish(&mut out);
        self.content_sent = true;
        Ok(self.send(&out)?)
    }

    /// The next reply: its code, and its lines without code.
    fn reply(&mut self) -> Result<(u16, Vec<String>), Trouble> {
        let (mut lines, mut octets) = (Vec::new(), 0);
        loop {
            let line = self.line()?;
            octets += line.len();
            let code = line.get(..3).and_then(|code| code.parse().ok()).filter(|code| (200..600).contains(code));
            let (Some(code), true) = (code, octets <= MAX_REPLY) else { return Err(Trouble::Nonsense) };
            let more = line.as_bytes().get(3) == Some(&b'-');
            lines.push(line.get(4..).unwrap_or_default().to_owned());
            if !more {
                return Ok((code, lines));
            }
        }
    }

    fn line(&mut self) -> Result<String, Trouble> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.input) {
                let line: Vec<u8> = self.input.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            if self.input.len() > MAX_REPLY {
                return Err(Trouble::Nonsense);
            }
            self.stream.set_read_timeout(Some(self.left()?))?;
            let mut piece = [0; 4096];
            match self.stream.read(&mut piece) {
                Ok(0) => return Err(Trouble::Lost(io::ErrorKind::UnexpectedEof.into())),
                Ok(octets) => self.input.extend_from_slice(&piece[..octets]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Trouble::Lost(error)),
            }
        }
    }

    fn send(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.stream.set_write_timeout(Some(self.left()?))?;
            match self.stream.write(bytes) {
                Ok(octets) => bytes = &bytes[octets..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Time until the deadline.
    fn left(&self) -> io::Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }

    fn to_reply(&self, (code, lines): (u16, Vec<String>)) -> Reply {
        // 354 and the like where a verdict belongs are no verdict.
        let code = if (300..400).contains(&code) { 451 } else { code };
        let line = lines.join(" ");
        match EnhancedStatus::split(&line) {
            Some((status, text)) if u16::from(status.class) == code / 100 => {
                Reply::new(code, status.subject, status.detail, text)
            }
            _ => Reply::new(code, 0, 0, line),
        }
    }

    fn ending(&self, trouble: Trouble) -> Ending {
        let doubt = if self.content_sent { "; the message may be delivered already" } else { "" };
        match trouble {
            Trouble::Told(reply) => Ending::of_reply(&reply),
            Trouble::Lost(error) if is_timeout(&error) && self.content_sent => Ending::out_of_time(),
            Trouble::Lost(error) if is_timeout(&error) => Ending::temporary(4, 2, "no result before the time limit"),
            Trouble::Lost(error) => Ending::temporary(4, 2, format!("lost the connection to pipelane: {error}{doubt}")),
            Trouble::Nonsense => Ending::temporary(5, 0, format!("what answered is no LMTP server{doubt}")),
            Trouble::Content(error) => Ending::temporary(3, 0, format!("cannot read the stored content: {error}")),
        }
    }
}

fn mail_command(message: &Message, offers: impl Fn(&str) -> bool) -> String {
    let mut mail = format!("MAIL FROM:<{}>", message.envelope.sender);
    if offers("SIZE") {
        mail.push_str(&format!(" SIZE={}", message.size()));
    }
    if offers("8BITMIME") && message.content.as_ref().is_some_and(Content::is_eight_bit) {
        mail.push_str(" BODY=8BITMIME");
    }
    if offers("SMTPUTF8") && message.envelope.needs_smtputf8() {
        mail.push_str(" SMTPUTF8");
    }
    if let (Some(priority), true) = (message.envelope.priority, offers("MT-PRIORITY")) {
        mail.push_str(&format!(" MT-PRIORITY={priority}"));
    }
    mail + "\r\n"
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock)
}

/// RFC 3461 4: what is not plain becomes `+XX`.
fn xtext(text: &str) -> String {
    let plain = |b: u8| (b'!'..=b'~').contains(&b) && b != b'+' && b != b'=';
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("+{b:02X}") }).collect()
}
