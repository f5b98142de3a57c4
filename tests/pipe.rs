//! `pipelane deliver` as an MTA runs it: exit status and output, through the socket of a door with a scripted engine.

mod script;

use pipelane::config::Config;
use pipelane::door::lmtp::LmtpDoor;
use pipelane::mail::{EnhancedStatus, Outcome, Priority};
use pipelane::sink::{Extensions, Sink, SinkOptions, Store};
use script::{HOP, LONG, Script, config};
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use tempfile::TempDir;

struct House {
    config: Config,
    script: Arc<Script>,
    _door: LmtpDoor,
    directory: TempDir,
}

fn house() -> House {
    let directory = tempfile::tempdir().expect("a directory");
    let config = config(directory.path());
    let script = Script::new(config.clone());
    let _door = LmtpDoor::start(Arc::clone(&script), &config).expect("the door opens");
    House { config, script, _door, directory }
}

fn start(arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pipelane"));
    command.arg("deliver").args(arguments).env_clear();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("runs")
}

fn feed(child: &mut Child, content: &str) {
    // A command that ends early does not read; its output is what is looked at.
    let _ = child.stdin.take().expect("piped").write_all(content.as_bytes());
}

/// Exit status and line; standard error must stay empty, since the MTA reads it as part of the output.
fn ended(output: &Output) -> (i32, String) {
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let line = String::from_utf8(output.stdout.clone()).expect("UTF-8");
    let line = line.strip_suffix('\n').expect("one line").to_owned();
    assert!(line.len() < 4000 && !line.contains(['\n', '\t', '\r']), "{line:?}");
    (output.status.code().expect("no signal"), line)
}

fn run(arguments: &[&str], content: &str) -> (i32, String) {
    let mut child = start(arguments);
    feed(&mut child, content);
    ended(&child.wait_with_output().expect("ends"))
}

fn via(house: &House, arguments: &[&str], content: &str) -> (i32, String) {
    let directory = house.directory.path().to_str().expect("UTF-8");
    run(&[&["--via", directory, "--next-hop", HOP], arguments].concat(), content)
}

#[test]
fn all_delivered_is_success_with_the_servers_words() {
    let house = house();
    let (exit, line) = via(
        &house,
        &["-f", "s@example.org", "--queue-id", "4bX1", "--", "ok@x", "ok2@x"],
        "Subject: x\n\n.dot\n\u{e9}",
    );
    assert_eq!(
        (exit, line.as_str()),
        (0, "2.0.0 mx.example.net[192.0.2.1]:25 said: 250 2.0.0 Ok: queued as ABC (lane 1, stream)")
    );
    let seen = &house.script.seen()[0];
    assert_eq!(seen.content.as_deref(), Some("Subject: x\r\n\r\n.dot\r\n\u{e9}\r\n"));
    assert_eq!((seen.queue_id.as_deref(), seen.sender.as_str()), (Some("4bX1"), "s@example.org"));
    assert_eq!(seen.recipients, ["ok@x", "ok2@x"]);
}

#[test]
fn the_socket_itself_may_be_named_and_the_sender_be_null() {
    let house = house();
    let socket = house.config.listen.socket_path(&HOP.parse().expect("a next hop"));
    let socket = socket.to_str().expect("UTF-8");
    let (exit, _) = run(&["--via", socket, "--next-hop", HOP, "-f", "", "--", "d\u{e9}@x"], "\r\nx\r\n");
    assert_eq!(exit, 0);
    let seen = &house.script.seen()[0];
    assert_eq!((seen.sender.as_str(), seen.smtputf8, seen.content.as_deref()), ("", true, Some("\r\nx\r\n")));
}

#[test]
fn a_priority_is_handed_over_if_it_was_given() {
    let house = house();
    let given = [&[][..], &["--priority", "9"], &["--priority", "-9"], &["--priority=0"], &["--priority=-4"]];
    for priority in given {
        let (exit, line) = via(&house, &[priority, &["-f", "s@x", "--", "ok@x"]].concat(), "x\n");
        assert_eq!(exit, 0, "{priority:?}: {line}");
    }
    let seen: Vec<_> = house.script.seen().iter().map(|message| message.priority).collect();
    assert_eq!(seen, [None, Some(9), Some(-9), Some(0), Some(-4)]);
    for priority in ["", "+1", "10", "-10", "-0", "1 ", " 1", "\u{0663}", "high"] {
        let priority = format!("--priority={priority}");
        let (exit, line) = via(&house, &[&priority, "-f", "s@x", "--", "ok@x"], "x\n");
        assert_eq!((exit, &line[..13]), (75, "4.3.5 usage: "), "{priority}: {line}");
    }
}

/// An LMTP server that does not offer MT-PRIORITY is not told one.
#[test]
fn a_priority_is_not_told_to_a_server_that_does_not_offer_it() {
    for (offer, told) in [("250 SIZE", " SIZE=3"), ("250-X\r\n250 MT-PRIORITY MIXER", " MT-PRIORITY=5")] {
        let directory = tempfile::tempdir().expect("a directory");
        let socket = directory.path().join("s");
        let said = format!("220 x\r\n250-x\r\n{offer}\r\n250 x\r\n250 x\r\n354 x\r\n250 2.0.0 x\r\n");
        let server = talk(&socket, said);
        let socket = socket.to_str().expect("UTF-8");
        let (exit, line) =
            run(&["--via", socket, "--next-hop", HOP, "--priority", "5", "-f", "s@x", "--", "a@x"], "x\n");
        assert_eq!((exit, line.as_str()), (0, "2.0.0 x"));
        let heard = server.join().expect("the server ends");
        assert!(heard.contains(&format!("\r\nMAIL FROM:<s@x>{told}\r\n")), "{heard}");
    }
}

/// Without a resident engine the server itself is told.
#[test]
fn a_priority_goes_to_the_server_that_offers_it() {
    let options = |extensions| SinkOptions { extensions, store: Store::Memory, ..SinkOptions::default() };
    let without = Extensions::ALL.without("MT-PRIORITY").expect("it exists");
    for (extensions, told) in [(Extensions::ALL, Some(-4)), (without, None)] {
        let sink = Sink::start(options(extensions)).expect("a sink");
        let hop = format!("[127.0.0.1]:{}", sink.address().port());
        let (exit, line) = run(&["--next-hop", &hop, "--priority", "-4", "-f", "s@x", "--", "ok@x"], "x\n");
        assert_eq!(exit, 0, "{line}");
        let message = &sink.messages()[0];
        assert_eq!((message.priority.map(Priority::get), &message.content[..]), (told, &b"x\r\n"[..]));
        assert!(sink.totals().mistake_texts.is_empty(), "{:?}", sink.totals().mistake_texts);
    }
}

#[test]
fn refusals_deferrals_and_mixtures() {
    let house = house();
    for (recipients, exit, line) in [
        (&["fail@x"][..], 67, "5.1.1 mx.example.net[192.0.2.1]:25 said: 550 5.1.1 no such user (lane 1, stream)"),
        (&["defer@x"], 75, "4.2.1 mx.example.net"),
        (&["gone@x"], 75, "4.3.2 mx.example.net"),
        (&["doubt@x"], 75, "4.4.2 may be delivered already: mx.example.net"),
        (&["ok@x", "fail@x"], 75, "4.3.0 delivered: ok@x; failed: fail@x (550 5.1.1 mx.example.net"),
        (&["fail@x", "defer@x"], 75, "4.2.1 failed: fail@x (550 5.1.1 mx.example.net"),
    ] {
        let (status, told) = via(&house, &[&["-f", "s@x", "--"], recipients].concat(), "x\n");
        assert_eq!(status, exit, "{recipients:?}: {told}");
        assert!(told.starts_with(line), "{recipients:?}: {told}");
    }
}

#[test]
fn many_recipients_go_in_several_groups() {
    let house = house();
    let recipients: Vec<String> = (0..1000).map(|n| format!("ok{n}@example.org")).collect();
    let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
    let (exit, line) = via(&house, &[&["-f", "s@x", "--"], &recipients[..]].concat(), "x\n");
    assert_eq!(exit, 0, "{line}");
    assert_eq!(house.script.seen()[0].recipients, recipients);
}

#[test]
fn a_large_content_arrives_whole() {
    let house = house();
    house.script.behaviour.lock().offers = Ok(Default::default());
    let content = ".0123456789 0123456789\n".repeat(40_000);
    let (exit, line) = via(&house, &["-f", "s@x", "--", "ok@x"], &content);
    assert_eq!(exit, 0, "{line}");
    assert_eq!(house.script.seen()[0].content.as_deref(), Some(content.replace('\n', "\r\n").as_str()));
}

#[test]
fn what_is_refused_for_its_content_is_told_as_such() {
    let house = house();
    assert_eq!(via(&house, &["-f", "s@x", "--", "ok@x"], "a\n\0\n").0, 65);
    let (exit, line) = via(&house, &["-f", "s@x", "--", "ok@x"], &"0123456789\n".repeat(10_000));
    assert_eq!((exit, &line[..6]), (65, "5.3.4 "));
    let (exit, line) =
        via(&house, &["-o", "message_size=64K", "-f", "s@x", "--", "ok@x"], &"0123456789\n".repeat(6000));
    assert_eq!((exit, &line[..6]), (65, "5.3.4 "), "{line}");
    assert_eq!(house.script.seen(), []);
}

#[test]
fn trouble_of_our_own_is_always_temporary() {
    let house = house();
    let dead = Outcome::deferred(EnhancedStatus::new(4, 4, 1), "connect to mx: refused");
    house.script.behaviour.lock().trouble = Some(dead);
    assert_eq!(via(&house, &["-f", "s@x", "--", "ok@x"], "x\n"), (75, "4.4.1 connect to mx: refused".into()));
    house.script.behaviour.lock().trouble = None;
    house.script.behaviour.lock().panics = true;
    let (exit, line) = via(&house, &["-f", "s@x", "--", "ok@x"], "x\n");
    assert_eq!(exit, 75);
    assert!(line.starts_with("4.4.2 lost the connection") && line.ends_with("may be delivered already"), "{line}");
    for (arguments, status) in [
        (&["--via", "/nonexistent/socket", "--next-hop", HOP, "-f", "s@x", "--", "ok@x"][..], "4.4.1 cannot reach"),
        (&["--via", "/nonexistent", "--next-hop", HOP, "-f", "s@x", "--", "a b@x"], "4.3.0 recipient: "),
        (&["--via", "/nonexistent", "--next-hop", HOP, "-f", "a b@x", "--", "ok@x"], "4.3.0 sender: "),
        (&["--next-hop", HOP, "-c", "/nonexistent", "-f", "s@x", "--", "ok@x"], "4.3.5 /nonexistent"),
        (&["--next-hop", HOP, "-o", "no_such_key=1", "-f", "s@x", "--", "ok@x"], "4.3.5 -o no_such_key=1"),
        (&["--next-hop", HOP, "--priority", "-f", "s@x", "--", "ok@x"], "4.3.5 usage: "),
        (&["--next-hop", "a b", "-f", "s@x", "--", "ok@x"], "4.3.5 usage: "),
        (&["--next-hop", HOP, "-f", "s@x", "--"], "4.3.5 usage: "),
        (&["--no-such-option"], "4.3.5 usage: "),
        (&[], "4.3.5 usage: "),
    ] {
        let (exit, line) = run(arguments, "x\n");
        assert_eq!(exit, 75, "{arguments:?}: {line}");
        assert!(line.starts_with(status), "{arguments:?}: {line}");
    }
}

#[test]
fn without_a_resident_engine_it_delivers_by_itself() {
    // A port that nothing listens on: whatever happens inside, it is temporary.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let hop = format!("[127.0.0.1]:{}", listener.local_addr().expect("bound").port());
    drop(listener);
    let (exit, line) = run(&["--next-hop", &hop, "--time-limit", "20s", "-f", "s@x", "--", "ok@x"], "x\n");
    assert_eq!((exit, &line[..2]), (75, "4."), "{line}");
}

#[test]
fn it_gives_up_before_the_time_limit() {
    let house = house();
    house.script.behaviour.lock().hold = true;
    let told = via(&house, &["--time-limit", "1s", "-f", "s@x", "--", "ok@x"], "x\n");
    assert_eq!(told, (75, "4.4.2 no result before the time limit; the message may be delivered already".into()));
    script::eventually("the cancellation", || house.script.all_cancelled());
}

#[test]
fn a_signal_is_a_temporary_result_and_cancels() {
    let house = house();
    house.script.behaviour.lock().hold = true;
    let directory = house.directory.path().to_str().expect("UTF-8");
    let mut child = start(&["--via", directory, "--next-hop", HOP, "-f", "s@x", "--", "ok@x"]);
    feed(&mut child, "x\n");
    house.script.await_seen(1);
    let killed = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill runs");
    assert!(killed.success());
    let output = child.wait_with_output().expect("ends");
    assert_eq!(output.status.signal(), None);
    let (exit, line) = ended(&output);
    assert_eq!((exit, &line[..6]), (75, "4.3.2 "));
    script::eventually("the cancellation", || house.script.all_cancelled());
}

/// What a server that is no pipelane says is bounded and never taken for success.
#[test]
fn a_server_that_talks_nonsense_is_a_temporary_result() {
    let flood = format!("220 {}\r\n", "x".repeat(100_000));
    for (said, status) in [
        ("", "4.4.2 lost the connection"),
        ("hello\r\n", "4.5.0 "),
        (flood.as_str(), "4.5.0 "),
        ("554 5.7.1 go away\r\n", "4.7.1 go away"),
        ("220 x\r\n250 x\r\n250 x\r\n250 x\r\n250 x\r\n", "4.5.0 DATA"),
        ("220 x\r\n250 x\r\n250 x\r\n250 x\r\n354 x\r\n354 x\r\n", "4.0.0 "),
        ("220 x\r\n250 x\r\n250 x\r\n250 x\r\n354 x\r\n", "4.4.2 lost the connection"),
        ("220 x\r\n250 x\r\n550 5.1.7 sender\r\n503 x\r\n503 x\r\n", "5.1.7 sender"),
    ] {
        let directory = tempfile::tempdir().expect("a directory");
        let socket = directory.path().join("s");
        let server = talk(&socket, said.to_owned());
        let told = run(&["--via", socket.to_str().expect("UTF-8"), "--next-hop", HOP, "-f", "s@x", "--", "a@x"], "x\n");
        assert!(told.1.starts_with(status), "{}: {told:?}", &said[..said.len().min(80)]);
        assert_eq!(told.0 == 75, status.starts_with('4'), "{told:?}");
        server.join().expect("the server ends");
    }
}

/// A server that says all of it at once, reads to the end of what the client says, and closes. It gives what it heard.
fn talk(socket: &Path, said: String) -> std::thread::JoinHandle<String> {
    let listener = UnixListener::bind(socket).expect("bound");
    std::thread::spawn(move || {
        let (mut client, _) = listener.accept().expect("a client");
        client.set_read_timeout(Some(LONG)).expect("a timeout");
        // The client may have had enough before it has read everything.
        let _ = client.write_all(said.as_bytes());
        let _ = client.shutdown(std::net::Shutdown::Write);
        let mut heard = Vec::new();
        let _ = client.read_to_end(&mut heard);
        String::from_utf8_lossy(&heard).into_owned()
    })
}
