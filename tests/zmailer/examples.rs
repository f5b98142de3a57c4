//! The worked examples of the interface's description, octet for octet. The agent is in this process; the engine
//! answers by a script.

use crate::office::Office;
use pipelane::config::Config;
use pipelane::door::Delivery;
use pipelane::door::zmailer::{Agent, AgentOptions, Output, Route};
use pipelane::engine::Offers;
use pipelane::lane::Ticket;
use pipelane::mail::{Content, EnhancedStatus, Message, NextHop, Outcome, Report, Verdict};
use pipelane::sync::Mutex;
use std::io::{BufRead, BufReader, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

const SERVER: &str = "mx.b.test[192.0.2.9]:25";

/// An engine whose server knows everybody but eve, or cannot be reached.
struct Model {
    control: PathBuf,
    is_dead: bool,
    /// What the control file was when each message came, its headers and body, and its recipients.
    seen: Mutex<Vec<(String, String, Vec<String>)>>,
    found_dead: Mutex<bool>,
}

impl Model {
    fn new(office: &Office, is_dead: bool) -> Arc<Model> {
        let control = office.transport().join("4711-88");
        Arc::new(Model { control, is_dead, seen: Mutex::default(), found_dead: Mutex::default() })
    }
}

fn options(office: &Office) -> AgentOptions {
    AgentOptions {
        channel: "smtp".into(),
        host: None,
        route: Route::default(),
        directory: office.transport(),
        most_open: 10,
    }
}

fn refused() -> Outcome {
    let text = "connect to mx.b.test[192.0.2.9]:25: Connection refused";
    Outcome::deferred(EnhancedStatus::new(4, 4, 1), text)
}

impl Delivery for Model {
    type Room = ();

    fn config(&self) -> Arc<Config> {
        Arc::default()
    }

    fn room(&self, _: &NextHop, _: u64, _: Duration) -> Option<()> {
        Some(())
    }

    fn submit(&self, message: Message, (): (), ticket: Ticket) {
        let control = std::fs::read_to_string(&self.control).expect("the control file");
        let recipients = message.envelope.recipients.iter().map(|one| one.address.as_str().to_owned()).collect();
        self.seen.lock().push((control, all(message.content.as_ref().expect("content")), recipients));
        if self.is_dead {
            *self.found_dead.lock() = true;
            drop(ticket.settle(Report::uniform(message.envelope.recipients.len(), refused())));
            return;
        }
        let outcome = |address: &str| match address.starts_with("eve") {
            true => (Verdict::Failed, EnhancedStatus::new(5, 1, 1), 550, "no such user"),
            false => (Verdict::Delivered, EnhancedStatus::new(2, 0, 0), 250, "queued as X"),
        };
        let outcomes = message.envelope.recipients.iter().map(|recipient| {
            let (verdict, status, code, text) = outcome(recipient.address.as_str());
            Outcome { verdict, status, code: Some(code), text: text.into() }
        });
        let route = pipelane::mail::Route { server: SERVER.into(), lane: "lane 1".into(), level: "stream", dsn: false };
        let report =
            Report { outcomes: outcomes.collect(), route: Some(route.into()), ..Report::uniform(0, refused()) };
        ticket.settle(report);
    }

    fn offers(&self, _: &NextHop, _: Duration) -> Result<Offers, Outcome> {
        Ok(Offers::default())
    }

    fn trouble(&self, _: &NextHop) -> Option<Outcome> {
        self.found_dead.lock().then(refused)
    }
}

fn all(content: &Content) -> String {
    let mut octets = vec![0; content.len() as usize];
    let mut at = 0;
    while at < octets.len() {
        at += content.read_at(&mut octets[at..], at as u64).expect("readable");
    }
    String::from_utf8(octets).expect("UTF-8")
}

/// The example's control file as it stands in the description.
const EXAMPLE: &str = "@ 0x00000007\ni 4711-88\no 212\nl <m1@a.test>\ne ann@a.test\ns smtp a.test ann@a.test 65534\n\
    r           smtp b.test bob@b.test 65534\nN NOTIFY=FAILURE,DELAY ORCPT=rfc822;bob@b.test\n\
    r           smtp b.test eve@b.test 65534\nm\nReceived: from a.test ...\nFrom: <ann@a.test>\n\n";

/// A scheduler's end of the line to an agent.
struct Line {
    office: Office,
    model: Arc<Model>,
    reader: BufReader<UnixStream>,
    thread: JoinHandle<()>,
}

impl Line {
    fn start(is_dead: bool) -> Line {
        let office = Office::new();
        office.write("transport", "4711-88", EXAMPLE);
        office.write("queue", "4711-88", &format!("{}Body.\n", "x".repeat(212)));
        let model = Model::new(&office, is_dead);
        let (own, other) = UnixStream::pair().expect("a pair");
        own.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
        let output = Output::new(Box::new(other.try_clone().expect("a descriptor"))).expect("a thread");
        let agent = Agent::new(Arc::clone(&model), options(&office), output);
        let thread = thread::spawn(move || agent.run(other));
        Line { office, model, reader: BufReader::new(own), thread }
    }

    fn say(&mut self, lines: &str) {
        self.reader.get_mut().write_all(lines.as_bytes()).expect("the agent hears");
    }

    fn hears(&mut self, line: &str) {
        assert_eq!(self.next(), line);
    }

    /// A line is answered and its job reported on by two threads: `#hungry` comes before, between or behind these.
    fn hears_beside_hungry(&mut self, lines: &[String]) {
        let mut said: Vec<String> = (0..=lines.len()).map(|_| self.next()).collect();
        let hungry = said.iter().position(|line| line == "#hungry\n");
        said.remove(hungry.unwrap_or_else(|| panic!("no #hungry: {said:?}")));
        assert_eq!(said, lines);
    }

    fn next(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).expect("the agent says something");
        // Said first on a machine with large process numbers.
        if line.contains("kernel.pid_max") { self.next() } else { line }
    }

    /// The empty line, then the end.
    fn end(mut self) -> (Office, Arc<Model>) {
        self.say("\n");
        self.reader.get_mut().shutdown(Shutdown::Write).expect("it was open");
        self.thread.join().expect("the agent ends");
        let mut rest = String::new();
        self.reader.read_line(&mut rest).expect("the end");
        assert_eq!(rest, "", "nothing more was to be said");
        (self.office, self.model)
    }
}

/// 3.1. `#hungry` does not wait for the reports here: jobs are taken eagerly. The server's own words are longer.
#[test]
fn one_job_with_a_mixed_result() {
    let mut line = Line::start(false);
    let pid = std::process::id();
    line.hears("#hungry\n");
    line.say("4711-88\tb.test\n");
    line.hears_beside_hungry(&[
        format!("4711/87\t\tok3 {SERVER} said: 250 2.0.0 queued as X (lane 1, stream)\n"),
        format!("4711/175\t\terror2 {SERVER} said: 550 5.1.1 no such user (lane 1, stream)\n"),
    ]);
    line.say("#idle\n");
    line.hears("#hungry\n");
    let (office, model) = line.end();
    let seen = model.seen.lock().clone();
    let lock = crate::office::lock_of(pid);
    let locked = format!("{}{lock}{}{lock}{}", &EXAMPLE[..88], &EXAMPLE[95..176], &EXAMPLE[183..]);
    let content = "Received: from a.test ...\r\nFrom: <ann@a.test>\r\n\r\nBody.\r\n";
    assert_eq!(seen, [(locked, content.to_owned(), vec!["bob@b.test".to_owned(), "eve@b.test".to_owned()])]);
    let control = String::from_utf8(office.control("4711-88")).expect("UTF-8");
    let marked = format!("{}+      {}-      {}", &EXAMPLE[..88], &EXAMPLE[95..176], &EXAMPLE[183..]);
    let diagnosis =
        control.strip_prefix(&marked).expect("the marks are at 88 and at 176, and nothing else was changed");
    let (place, rest) = diagnosis.split_once("::").expect("a d line");
    let (time, rest) = rest.split_once('\t').expect("a d line");
    assert_eq!(place, "d 175:218:-1");
    assert!(time.parse::<u64>().expect("a number") > 1_700_000_000);
    assert_eq!(
        rest,
        format!(
            "eve@b.test\x01failed\x015.1.1\x01smtp; 550 (no such user)\x01\
             dns; mx.b.test (192.0.2.9|25)\x01pipelane[{pid}]\t\
             {SERVER} said: 550 5.1.1 no such user (lane 1, stream)\n"
        )
    );
}

/// 3.2. The first recipient tells of the host, as ZMailer's smtp does; a second `deferall` would count one more attempt
/// for every message that waits.
#[test]
fn a_connection_that_fails_is_not_tried_for_the_rest_of_the_thread() {
    let mut line = Line::start(true);
    let pid = std::process::id();
    let notary = |user: &str| {
        format!(
            "{user}@b.test\x01delayed\x014.4.1\x01x-local; 4.4.1 (connect to {SERVER}: Connection refused)\x01\
             dns; b.test\x01pipelane[{pid}]"
        )
    };
    let (bob, eve) = (notary("bob"), notary("eve"));
    line.hears("#hungry\n");
    line.say("4711-88\tb.test\n");
    line.hears_beside_hungry(&[
        format!("4711/87\t{bob}\tdeferall connect to {SERVER}: Connection refused\n"),
        format!("4711/175\t{eve}\tretryat +60 connect to {SERVER}: Connection refused\n"),
    ]);
    // Fed again while the host is known to be dead: nothing is locked and nothing submitted.
    line.say("4711-88\tb.test\n");
    line.hears_beside_hungry(&[
        format!("4711/87\t{bob}\tretryat +60 connect to {SERVER}: Connection refused\n"),
        format!("4711/175\t{eve}\tretryat +60 connect to {SERVER}: Connection refused\n"),
    ]);
    let (office, model) = line.end();
    assert_eq!(model.seen.lock().len(), 1);
    assert_eq!(office.control("4711-88"), EXAMPLE.as_bytes(), "the recipients are marked blank again");
}

/// 3.3. Three lines in one read get three `#hungry`; what the scheduler does not get it does not need to ask for.
#[test]
fn lines_that_come_together_are_answered_one_by_one() {
    let mut line = Line::start(false);
    for path in ["2-1", "3-1", "4-1"] {
        line.office.post_simple(path, vec![crate::office::to("b.test", "bob@b.test")]);
    }
    line.hears("#hungry\n");
    line.say("2-1\tb.test\n3-1\tb.test\n4-1\tb.test\n");
    let (mut hungry, mut reports) = (0, Vec::new());
    while hungry < 3 || reports.len() < 3 {
        match line.next() {
            said if said == "#hungry\n" => hungry += 1,
            said => reports.push(said),
        }
    }
    reports.sort();
    let said: Vec<String> = reports.iter().map(|line| line.split('/').next().expect("an id").to_owned()).collect();
    assert_eq!(said, ["2", "3", "4"]);
    assert!(reports.iter().all(|line| line.contains("\t\tok3 ")), "{reports:?}");
    line.end();
}

/// 3.4
#[test]
fn a_file_without_work_is_to_be_read_again() {
    let mut line = Line::start(false);
    line.hears("#hungry\n");
    line.say("A/Q/77-3\tb.test\n");
    line.hears("#resync A/Q/77-3\n");
    line.hears("#hungry\n");
    line.say("4711-88\tc.test\n");
    line.hears("#resync 4711-88\n");
    line.hears("#hungry\n");
    let (_, model) = line.end();
    assert!(model.seen.lock().is_empty());
}

#[test]
fn a_host_is_compared_without_regard_to_case_and_a_locked_recipient_is_left_alone() {
    let mut line = Line::start(false);
    let locked = EXAMPLE
        .replacen("r           smtp b.test bob", "r~     1    smtp B.Test bob", 1)
        .replace("smtp b.test", "smtp B.Test");
    line.office.write("transport", "4711-88", &locked);
    line.hears("#hungry\n");
    line.say("4711-88\tb.test\n");
    let said = format!("4711/175\t\terror2 {SERVER} said: 550 5.1.1 no such user (lane 1, stream)\n");
    line.hears_beside_hungry(&[said]);
    let (office, model) = line.end();
    assert_eq!(model.seen.lock()[0].2, ["eve@b.test"]);
    assert_eq!(office.mark("4711-88", 87), "~     1");
}

#[test]
fn a_part_of_a_line_is_thrown_away_and_an_unknown_line_still_counts() {
    let mut line = Line::start(false);
    line.hears("#hungry\n");
    line.say("what?\tb.test\n");
    line.hears("# not understood: what? b.test\n");
    line.hears("#hungry\n");
    line.say("#idle\n4711-88\tb.te");
    line.hears("#hungry\n");
    line.reader.get_mut().shutdown(Shutdown::Write).expect("it was open");
    line.thread.join().expect("the agent ends");
    assert!(line.model.seen.lock().is_empty());
}

/// An input that ends in a mistake of ours.
struct Broken;

impl std::io::Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        panic!("a mistake, for this test")
    }
}

#[test]
fn a_reader_that_fails_is_an_end_of_input() {
    let Line { office, model, .. } = Line::start(false);
    let output = Output::new(Box::new(std::io::sink())).expect("a thread");
    Agent::new(model, options(&office), output).run(Broken);
}

/// A scheduler that reads nothing until this lock is open.
struct Unread(Arc<Mutex<()>>, Arc<Mutex<Vec<u8>>>);

impl Write for Unread {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        let _open = self.0.lock();
        self.1.lock().extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn all_is_marked_while_the_scheduler_does_not_read_and_told_before_the_end() {
    let (office, closed, said) = (Office::new(), Arc::new(Mutex::new(())), Arc::new(Mutex::new(Vec::new())));
    office.write("transport", "4711-88", EXAMPLE);
    let paths: Vec<String> = (1..20).map(|n| format!("{n}-1")).collect();
    let posted = paths.iter().map(|path| office.post_simple(path, vec![crate::office::to("b.test", "bob@b.test")]));
    let posted: Vec<_> = posted.collect();
    let lines: String = paths.iter().map(|path| format!("{path}\tb.test\n")).collect();
    let output = Output::new(Box::new(Unread(Arc::clone(&closed), Arc::clone(&said)))).expect("a thread");
    let agent = Agent::new(Model::new(&office, false), options(&office), output);
    let unread = closed.lock();
    let thread = thread::spawn(move || agent.run(std::io::Cursor::new(lines)));
    let is_marked = |posted: &crate::office::Posted| {
        posted.recipients.keys().all(|offset| office.mark(&posted.path, *offset).starts_with('+'))
    };
    let deadline = Instant::now() + crate::scheduler::LONG;
    while !posted.iter().all(is_marked) {
        assert!(Instant::now() < deadline, "marking waits for the scheduler");
        thread::yield_now();
    }
    assert!(said.lock().is_empty() && !thread.is_finished());
    drop(unread);
    thread.join().expect("the agent ends");
    let said = String::from_utf8(said.lock().clone()).expect("UTF-8");
    assert_eq!((said.matches("\t\tok3 ").count(), said.matches("#hungry\n").count()), (19, 20));
}
