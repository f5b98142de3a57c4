//! Plays every dialogue in `tests/transcripts/*.smtp` against the real engine, lanes, connection and sockets.
//!
//! A transcript is meant to be read by a postmaster:
//!
//! ```text
//! # Comment.
//! setting max_level = envelope          any next hop key of the configuration; {ca.pem} is the authority's certificate
//! credentials 127.0.0.1 u:p             a line of the file that auth_file names; the server's host is 127.0.0.1
//! message A from <s@a.test> to <r@b.test> <q@b.test>
//! | a line of content                   content lines follow; none: empty content
//! message B from <> to <r@b.test> verify        asks about the envelope only
//! message C from <> to <r@b.test> size 100000   content of so many octets
//! message D from <> to many 250                 <r1@b.test> to <r250@b.test>
//! message E from <> to <r@b.test> notify=NEVER orcpt=rfc822;x@b.test ret=HDRS envid=1 smtputf8 priority=-4
//!
//! connection                            what the server does on its first, second, ... connection
//! S: 220 mx.test ESMTP                  the server sends; adjoining S lines go out in one write
//! C: EHLO client.test                   the client must send exactly this line
//! C: {1234 octets}                      the client must send so many octets of whatever
//! repeat 1..250 C: RCPT TO:<r{n}@b.test>        the same, or S, with {n} counting
//! quiet                                 the client must send nothing more before the server speaks
//! flood 250-and so on                   the server sends this line until the client hangs up, as it soon must
//! flood-text 220 x                      the same without a line end
//! unread 500                            the server reads so many octets and looks no further (before close or reset)
//! tls mx | tls stranger | tls mx 1.2    TLS begins, the server with the certificate of this name, and the newest version so
//! tls-refused mx                        the client does not like it
//! scram P                               the server's part of SCRAM-SHA-256 for the password P, from AUTH to its own proof
//! scram-unproved P                      without that proof
//! scram-impostor P                      with a proof that is none
//! scram-refused P                       the client's proof must be of another password
//! scram-costly P                        the server asks for very many iterations, and the client must break off
//! close | reset | end                   the server closes, resets, or sees the client close
//! gone                                  sees it close, whatever it says before
//!
//! result A <r@b.test> failed 5.1.1 no such user       verdict, status, words contained in the text
//! result D <*> delivered 2.0.0                        every recipient that has no line of its own
//! ```
//!
//! All messages are submitted before the server greets, in the order in which they stand. Every recipient must have a
//! result, and the client must make no connection more than there are.

mod certificates;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use certificates::Certificates;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use openssl::ssl::SslStream;
use pipelane::config::{Config, NextHopSettings, Order, keys};
use pipelane::engine::Engine;
use pipelane::lane::{Inbox, Ticket};
use pipelane::mail::{Address, Content, Envelope, Message, Outcome, Parameter, Priority, Recipient, Return, Verdict};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Longer than any step takes on a loaded machine; a step that takes this long has failed.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long the server listens to hear nothing.
const QUIET: Duration = Duration::from_millis(40);
/// What a client may let a server send before it hangs up; the kernel's buffers are in it.
const FLOOD: usize = 32 << 20;
/// Transcripts played at the same time.
const ABREAST: usize = 6;

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Server(String),
    Client(String),
    Octets(usize),
    Flood(String),
    Quiet,
    Tls(String),
    TlsRefused(String),
    Scram(Scram, String),
    Close,
    Reset,
    End,
    Gone,
}

/// How the server plays its part of SCRAM-SHA-256.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Scram {
    Honest,
    Unproved,
    Impostor,
    Refused,
    Costly,
}

#[derive(Debug, Default)]
struct Transcript {
    /// Where the file of passwords is.
    place: Option<tempfile::TempDir>,
    settings: NextHopSettings,
    messages: Vec<(String, Envelope, Option<Vec<u8>>)>,
    connections: Vec<Vec<(usize, Step)>>,
    results: Vec<(usize, String)>,
}

fn parse(path: &Path) -> Transcript {
    let text = fs::read_to_string(path).expect("a readable transcript");
    let mut transcript = Transcript::default();
    transcript.settings.helo_name = Some("client.test".into());
    // One connection after another, unless a dialogue says otherwise.
    transcript.settings.order = Order::Unsorted;
    for (number, line) in text.lines().enumerate().map(|(n, line)| (n + 1, line)) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let at = || format!("{}:{number}: {line}", path.display());
        match word {
            "" | "#" => {}
            "setting" => {
                let (key, value) = rest.split_once(" = ").unwrap_or_else(|| panic!("{}: no value", at()));
                let value = match value.strip_prefix('{').and_then(|v| v.strip_suffix('}')) {
                    Some(file) => Certificates::get().path(file).display().to_string(),
                    None => value.to_owned(),
                };
                keys::set_next_hop(&mut transcript.settings, key, &value).unwrap_or_else(|e| panic!("{}: {e}", at()));
            }
            "credentials" => credentials(&mut transcript, rest),
            "message" => transcript.messages.push(message(rest)),
            "|" => {
                let content = transcript.messages.last_mut().and_then(|m| m.2.as_mut());
                content.unwrap_or_else(|| panic!("{}: no message", at())).extend(format!("{rest}\r\n").into_bytes());
            }
            "connection" => transcript.connections.push(Vec::new()),
            "result" => transcript.results.push((number, rest.to_owned())),
            _ => {
                let steps = steps(word, rest).unwrap_or_else(|| panic!("{}: not understood", at()));
                let connection = transcript.connections.last_mut().unwrap_or_else(|| panic!("{}: no connection", at()));
                connection.extend(steps.into_iter().map(|step| (number, step)));
            }
        }
    }
    transcript
}

/// Adds a line to the file of passwords.
fn credentials(transcript: &mut Transcript, line: &str) {
    let place = transcript.place.get_or_insert_with(|| tempfile::tempdir().expect("a directory"));
    let path = place.path().join("sasl_passwd");
    let mut options = fs::OpenOptions::new();
    let mut file = options.append(true).create(true).mode(0o600).open(&path).expect("a private file");
    writeln!(file, "{line}").expect("written");
    transcript.settings.auth.file = Some(path);
}

fn steps(word: &str, rest: &str) -> Option<Vec<Step>> {
    if word != "repeat" {
        return step(word, rest).map(|step| vec![step]);
    }
    let (range, line) = rest.split_once(' ')?;
    let (first, last) = range.split_once("..")?;
    let (word, rest) = line.split_once(' ')?;
    let numbers = first.parse::<u32>().ok()?..=last.parse().ok()?;
    numbers.map(|n| step(word, &rest.replace("{n}", &n.to_string()))).collect()
}

fn step(word: &str, rest: &str) -> Option<Step> {
    let octets = |text: &str| text.parse().ok().map(Step::Octets);
    match word {
        "S:" => Some(Step::Server(rest.to_owned())),
        "C:" => match rest.strip_prefix('{').and_then(|r| r.strip_suffix(" octets}")) {
            Some(number) => octets(number),
            None => Some(Step::Client(rest.to_owned())),
        },
        "unread" => octets(rest),
        "flood" => Some(Step::Flood(format!("{rest}\r\n"))),
        "flood-text" => Some(Step::Flood(rest.to_owned())),
        "quiet" => Some(Step::Quiet),
        "tls" => Some(Step::Tls(rest.to_owned())),
        "scram" => Some(Step::Scram(Scram::Honest, rest.to_owned())),
        "scram-unproved" => Some(Step::Scram(Scram::Unproved, rest.to_owned())),
        "scram-impostor" => Some(Step::Scram(Scram::Impostor, rest.to_owned())),
        "scram-refused" => Some(Step::Scram(Scram::Refused, rest.to_owned())),
        "scram-costly" => Some(Step::Scram(Scram::Costly, rest.to_owned())),
        "tls-refused" => Some(Step::TlsRefused(rest.to_owned())),
        "close" => Some(Step::Close),
        "reset" => Some(Step::Reset),
        "end" => Some(Step::End),
        "gone" => Some(Step::Gone),
        _ => None,
    }
}

/// What stands behind the word `message`.
fn message(text: &str) -> (String, Envelope, Option<Vec<u8>>) {
    let mut words = text.split(' ');
    let name = words.next().expect("a name").to_owned();
    assert_eq!(words.next(), Some("from"), "{text}");
    let inner = |word: &str| word.trim_matches(['<', '>']).to_owned();
    let sender = Address::parse_reverse(&inner(words.next().expect("a sender"))).expect("a sender");
    assert_eq!(words.next(), Some("to"), "{text}");
    let (mut envelope, mut content) = (Envelope::new(sender, Vec::new()), Some(Vec::new()));
    let recipient = |text: &str| Recipient::new(Address::parse(text).expect("a recipient"));
    while let Some(word) = words.next() {
        let mut number = || words.next().and_then(|n| n.parse::<usize>().ok()).expect("a number");
        match word {
            "verify" => content = None,
            "size" => content = Some(octets(number())),
            "many" => envelope.recipients.extend((1..=number()).map(|n| recipient(&format!("r{n}@b.test")))),
            "smtputf8" => envelope.smtputf8 = true,
            word if word.starts_with('<') => envelope.recipients.push(recipient(&inner(word))),
            word => parameter(word, &mut envelope).unwrap_or_else(|| panic!("{text}: what is {word}?")),
        }
    }
    (name, envelope, content)
}

fn parameter(word: &str, envelope: &mut Envelope) -> Option<()> {
    let (name, value) = word.split_once('=')?;
    let value = Parameter::parse(value).ok()?;
    match name {
        "notify" => envelope.recipients.last_mut()?.notify = Some(value),
        "orcpt" => envelope.recipients.last_mut()?.original = Some(value),
        "envid" => envelope.envelope_id = Some(value),
        "priority" => envelope.priority = Some(Priority::parse(value.as_str()).ok()?),
        "ret" => envelope.ret = Some(if value.as_str() == "FULL" { Return::Full } else { Return::Headers }),
        _ => return None,
    }
    Some(())
}

/// Content of exactly so many octets, in lines.
fn octets(size: usize) -> Vec<u8> {
    let mut content = Vec::with_capacity(size);
    while content.len() < size {
        let line = match size - content.len() {
            // The last line has at least its own end.
            left @ ..64 => left,
            64 | 65 => 32,
            _ => 64,
        };
        content.extend_from_slice(&b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd"[..line - 2]);
        content.extend_from_slice(b"\r\n");
    }
    content
}

/// Plays the server's side; the error says what differed.
fn play(listener: &TcpListener, connections: &[Vec<(usize, Step)>]) -> Result<(), String> {
    // Linux: accept(2) keeps to this too, so that a client which comes too seldom is no hang.
    socket2::SockRef::from(listener).set_read_timeout(Some(PATIENCE)).expect("a timeout");
    for (place, steps) in connections.iter().enumerate() {
        let (stream, _) = listener.accept().map_err(|e| format!("connection {}: {e}", place + 1))?;
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_nodelay(true).expect("nodelay");
        let mut server = Server {
            reader: BufReader::new(Wire::Clear(stream.try_clone().expect("a clone"))),
            stream,
            out: String::new(),
        };
        for (line, step) in steps {
            server.step(step).map_err(|e| format!("line {line}: {e}"))?;
        }
        server.flush()?;
    }
    Ok(())
}

/// The client has gone; whether it had come once more than it should.
fn no_further(listener: &TcpListener) -> Result<(), String> {
    listener.set_nonblocking(true).expect("a listener");
    match listener.accept() {
        Ok(_) => Err("the client made one connection more".into()),
        Err(_) => Ok(()),
    }
}

/// What the server speaks over.
enum Wire {
    Clear(TcpStream),
    Secured(SslStream<TcpStream>),
}

impl Read for Wire {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Wire::Clear(stream) => stream.read(into),
            Wire::Secured(stream) => stream.read(into),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Wire::Clear(stream) => stream.write(bytes),
            Wire::Secured(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

struct Server {
    reader: BufReader<Wire>,
    /// The same socket, for what is not said.
    stream: TcpStream,
    out: String,
}

impl Server {
    fn step(&mut self, step: &Step) -> Result<(), String> {
        if let Step::Server(text) = step {
            self.out.push_str(&format!("{text}\r\n"));
            return Ok(());
        }
        self.flush()?;
        match step {
            Step::Server(_) => Ok(()),
            Step::Client(expected) => self.expect(expected),
            Step::Octets(count) => {
                let mut octets = vec![0; *count];
                self.reader
                    .read_exact(&mut octets)
                    .map_err(|e| format!("the client sent less than {count} octets: {e}"))
            }
            Step::Flood(text) => self.flood(text),
            Step::Quiet => self.quiet(),
            Step::Tls(name) => self.secure(name),
            Step::TlsRefused(name) => match self.secure(name) {
                Ok(()) => Err("the client was content with the certificate".into()),
                Err(_) => Ok(()),
            },
            Step::Scram(manner, password) => self.scram(*manner, password),
            // A client that was faster and has reset the connection has closed it too.
            Step::Close => match self.stream.shutdown(std::net::Shutdown::Both) {
                Err(error) if error.kind() != std::io::ErrorKind::NotConnected => Err(error.to_string()),
                _ => Ok(()),
            },
            Step::Reset => {
                let socket = socket2::SockRef::from(&self.stream);
                socket.set_linger(Some(Duration::ZERO)).map_err(|e| e.to_string())
            }
            Step::Gone => {
                while self.reader.read(&mut [0; 1000]).is_ok_and(|octets| octets > 0) {}
                Ok(())
            }
            Step::End => match self.reader.read(&mut [0; 100]) {
                Ok(0) => Ok(()),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(()),
                Ok(_) => Err("the client should have closed, and sent something".into()),
                Err(error) => Err(format!("the client should have closed: {error}")),
            },
        }
    }

    /// Lets TLS begin, and waits for the handshake.
    fn secure(&mut self, name: &str) -> Result<(), String> {
        if !self.reader.buffer().is_empty() {
            return Err("the client sent something in clear behind STARTTLS".into());
        }
        let stream = self.stream.try_clone().map_err(|e| e.to_string())?;
        let secured = Certificates::get().acceptor(name).accept(stream).map_err(|e| format!("handshake: {e}"))?;
        self.reader = BufReader::new(Wire::Secured(secured));
        // With TLS 1.3 a client's verdict comes when the server's handshake is done; it is the first thing to be read.
        match self.quiet() {
            Err(error) if error.contains("Err") => Err(error),
            _ => Ok(()),
        }
    }

    /// SCRAM-SHA-256 by the letter of RFC 5802 section 3, with OpenSSL's arithmetic.
    fn scram(&mut self, manner: Scram, password: &str) -> Result<(), String> {
        const SALT: &[u8] = b"not very random";
        let line = self.line()?;
        let first = line.strip_prefix("AUTH SCRAM-SHA-256 ").ok_or_else(|| format!("no SCRAM: {line}"))?;
        let first = decoded(first)?;
        let bare = first.strip_prefix("n,,").ok_or_else(|| format!("{first}: the client knows no channel binding"))?;
        let (_, nonce) = bare.split_once(",r=").ok_or_else(|| format!("{first}: no nonce"))?;
        let iterations = if manner == Scram::Costly { u32::MAX } else { 4096 };
        let own = format!("r={nonce}server,s={},i={iterations}", BASE64_STANDARD.encode(SALT));
        self.challenge(&own)?;
        let line = self.line()?;
        if manner == Scram::Costly {
            return if line == "*" { Ok(()) } else { Err(format!("the client goes on: {line}")) };
        }
        let last = decoded(&line)?;
        let (without_proof, proof) = last.rsplit_once(",p=").ok_or_else(|| format!("{last}: no proof"))?;
        if without_proof != format!("c=biws,r={nonce}server") {
            return Err(format!("not what was agreed: {without_proof}"));
        }
        let mut salted = [0; 32];
        openssl::pkcs5::pbkdf2_hmac(password.as_bytes(), SALT, 4096, MessageDigest::sha256(), &mut salted)
            .map_err(|e| e.to_string())?;
        let said = format!("{bare},{own},{without_proof}");
        let client_key = hmac(&salted, "Client Key");
        let signature = hmac(&openssl::sha::sha256(&client_key), &said);
        let right: Vec<u8> = client_key.iter().zip(signature).map(|(a, b)| a ^ b).collect();
        if (BASE64_STANDARD.encode(right) == proof) == (manner == Scram::Refused) {
            return Err(format!("is it the password {password}? The client's proof says otherwise"));
        }
        match manner {
            Scram::Unproved | Scram::Refused | Scram::Costly => Ok(()),
            Scram::Impostor => self.challenge("v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
            Scram::Honest => {
                let signature = hmac(&hmac(&salted, "Server Key"), &said);
                self.challenge(&format!("v={}", BASE64_STANDARD.encode(signature)))
            }
        }
    }

    fn challenge(&mut self, message: &str) -> Result<(), String> {
        self.out.push_str(&format!("334 {}\r\n", BASE64_STANDARD.encode(message)));
        self.flush()
    }

    fn line(&mut self) -> Result<String, String> {
        let mut line = String::new();
        self.reader.read_line(&mut line).map_err(|e| format!("waited for a line: {e}"))?;
        line.strip_suffix("\r\n").map(str::to_owned).ok_or_else(|| format!("no line: {line:?}"))
    }

    fn expect(&mut self, expected: &str) -> Result<(), String> {
        let mut line = String::new();
        self.reader.read_line(&mut line).map_err(|e| format!("waited for \"{expected}\": {e}"))?;
        match line.strip_suffix("\r\n") {
            Some(line) if line == expected => Ok(()),
            _ => Err(format!("expected \"{expected}\", the client sent {line:?}")),
        }
    }

    fn quiet(&mut self) -> Result<(), String> {
        if !self.reader.buffer().is_empty() {
            return Err(format!("the client sent ahead: {:?}", String::from_utf8_lossy(self.reader.buffer())));
        }
        self.stream.set_read_timeout(Some(QUIET)).expect("a timeout");
        let heard = self.reader.fill_buf().map(|octets| String::from_utf8_lossy(octets).into_owned());
        self.stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        match heard {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(()),
            other => Err(format!("the client should have waited: {other:?}")),
        }
    }

    fn flood(&mut self, text: &str) -> Result<(), String> {
        let piece = text.repeat(1 + 65536 / text.len());
        for _ in 0..FLOOD / piece.len() {
            if self.reader.get_mut().write_all(piece.as_bytes()).is_err() {
                return Ok(());
            }
        }
        Err("the client swallows whatever it is sent".into())
    }

    fn flush(&mut self) -> Result<(), String> {
        let out = std::mem::take(&mut self.out);
        self.reader.get_mut().write_all(out.as_bytes()).map_err(|e| format!("the client took no reply: {e}"))
    }
}

fn decoded(line: &str) -> Result<String, String> {
    let octets = BASE64_STANDARD.decode(line).map_err(|e| format!("{line}: {e}"))?;
    String::from_utf8(octets).map_err(|e| format!("{line}: {e}"))
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let key = PKey::hmac(key).expect("a key");
    let mut signer = Signer::new(MessageDigest::sha256(), &key).expect("a signer");
    signer.sign_oneshot_to_vec(text.as_bytes()).expect("signed")
}

fn verdict(outcome: &Outcome) -> &'static str {
    match outcome.verdict {
        Verdict::Delivered => "delivered",
        Verdict::Deferred => "deferred",
        Verdict::Failed => "failed",
        Verdict::InDoubt => "in-doubt",
    }
}

/// Runs one transcript; the error is for people.
fn run(path: &Path) -> Result<(), String> {
    let transcript = parse(path);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let next_hop = format!("[127.0.0.1]:{}", listener.local_addr().expect("an address").port());
    let config = Config { defaults: Arc::new(transcript.settings.clone()), ..Config::default() };
    let engine = Engine::new(Arc::new(config));
    let mut inboxes: BTreeMap<String, (Envelope, Inbox)> = BTreeMap::new();
    for (name, envelope, content) in &transcript.messages {
        let content = content.as_ref().map(|bytes| Content::from_bytes(bytes).expect("content"));
        let next_hop = next_hop.parse().expect("a next hop");
        let message = Message { queue_id: Some(name.clone()), next_hop, envelope: envelope.clone().into(), content };
        let room = engine.room(&message.next_hop, message.size(), Duration::ZERO).expect("room");
        let (ticket, inbox) = Ticket::issue(envelope.recipients.len());
        engine.submit(message, room, ticket);
        inboxes.insert(name.clone(), (envelope.clone(), inbox));
    }
    let connections = transcript.connections.clone();
    let server = std::thread::spawn(move || play(&listener, &connections).map(|()| listener));
    let mut outcomes = BTreeMap::new();
    let mut missing = Vec::new();
    for (name, (envelope, inbox)) in &inboxes {
        let Some(report) = inbox.wait(PATIENCE) else {
            missing.push(name.clone());
            continue;
        };
        for (recipient, outcome) in envelope.recipients.iter().zip(report.outcomes) {
            outcomes.insert((name.clone(), recipient.address.to_string()), outcome);
        }
    }
    drop(inboxes);
    drop(engine);
    let listener = server.join().map_err(|_| "the server panicked")??;
    no_further(&listener)?;
    if !missing.is_empty() {
        return Err(format!("no report for {missing:?}"));
    }
    check(&transcript.results, outcomes)
}

/// Holds the results against the outcomes; each outcome must be held against one.
fn check(results: &[(usize, String)], mut outcomes: BTreeMap<(String, String), Outcome>) -> Result<(), String> {
    for (line, result) in results {
        let mut words = result.splitn(3, ' ');
        let (name, recipient) = (words.next().unwrap_or(""), words.next().unwrap_or("").trim_matches(['<', '>']));
        let is_meant = |key: &(String, String)| key.0 == name && (recipient == "*" || key.1 == recipient);
        let meant: Vec<_> = outcomes.keys().filter(|key| is_meant(key)).cloned().collect();
        if meant.is_empty() {
            return Err(format!("line {line}: there is no {recipient} in {name}, or it has a result already"));
        }
        for outcome in meant.iter().filter_map(|key| outcomes.remove(key)) {
            compare(words.clone().next().unwrap_or(""), &outcome).map_err(|e| format!("line {line}: {e}"))?;
        }
    }
    outcomes.keys().next().map_or(Ok(()), |key| Err(format!("nothing says what becomes of {key:?}")))
}

/// `verdict status words in the text`
fn compare(expected: &str, outcome: &Outcome) -> Result<(), String> {
    let mut words = expected.splitn(3, ' ');
    let as_expected = words.next() == Some(verdict(outcome))
        && words.next() == Some(&outcome.status.to_string())
        && outcome.text.contains(words.next().unwrap_or(""));
    let got = || format!("{} {} {:?} {}", verdict(outcome), outcome.status, outcome.code, outcome.text);
    if as_expected { Ok(()) } else { Err(format!("expected {expected:?}, got {}", got())) }
}

#[test]
fn every_transcript_is_played_as_it_is_written() {
    let _ = env_logger::builder().is_test(true).try_init();
    let wanted = std::env::var("TRANSCRIPT").unwrap_or_default();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let mut paths: Vec<_> =
        fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths.retain(|path| path.extension().is_some_and(|e| e == "smtp") && path.to_string_lossy().contains(&wanted));
    assert!(!paths.is_empty());
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..ABREAST {
            scope.spawn(|| {
                while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(error) = run(path) {
                        failures.lock().expect("no panic").push(format!("{}: {error}", path.display()));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no panic");
    assert!(failures.is_empty(), "{} of {} transcripts failed:\n{}", failures.len(), paths.len(), failures.join("\n"));
}
