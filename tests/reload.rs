//! SIGHUP: `pipelane serve` reads its configuration again while it runs.

mod serving;

use pipelane::sink::{Sink, SinkOptions, Store};
use serving::{Client, HOP, LONG, Serving, eventually};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

fn table(next_hop: &str) -> String {
    format!("[next_hop.\"{next_hop}\"]\n")
}

fn sink() -> (Sink, String) {
    let sink = Sink::start(SinkOptions { store: Store::Memory, ..SinkOptions::default() }).expect("a sink");
    let next_hop = format!("[127.0.0.1]:{}", sink.address().port());
    (sink, next_hop)
}

/// Hands one message over at this next hop's socket, which is delivered.
fn deliver(serving: &Serving, next_hop: &str) {
    let mut client = Client::greeted(&serving.socket(next_hop));
    client.hand_over();
    client.expect("250 2.0.0 ");
    client.quit();
}

#[test]
fn a_new_next_hop_gets_a_socket_that_delivers() {
    let serving = Serving::start(&table(HOP));
    let (sink, added) = sink();
    serving.configure(&[table(HOP), table(&added)].concat());
    serving.reload();
    deliver(&serving, &added);
    assert_eq!(sink.messages().len(), 1);
    Client::greeted(&serving.socket(HOP)).quit();
    assert!(serving.log().contains(&format!("read again: next hops added: {added}\n")), "{}", serving.log());
    serving.stop();
}

#[test]
fn a_next_hop_that_is_gone_loses_its_socket_and_its_clients_finish_in_peace() {
    let (sink, removed) = sink();
    let serving = Serving::start(&[table(HOP), table(&removed)].concat());
    let mut client = Client::greeted(&serving.socket(&removed));
    serving.configure(&table(HOP));
    serving.reload();
    assert!(!serving.socket(&removed).exists());
    client.hand_over();
    client.expect("250 2.0.0 ");
    client.quit();
    assert_eq!(sink.messages().len(), 1);
    // And back again: the name is free.
    serving.configure(&[table(HOP), table(&removed)].concat());
    serving.reload();
    deliver(&serving, &removed);
    serving.stop();
}

#[test]
fn a_file_with_errors_is_refused_as_a_whole_and_each_is_told_with_its_line() {
    let serving = Serving::start(&table(HOP));
    serving.configure(&format!("{}[next_hop.\"[other]:25\"]\nlanes = 0\nno_such_key = 1\n[route]\n", table(HOP)));
    serving.reload();
    let (log, file) = (serving.log(), serving.file());
    for error in ["5: next_hop.\"[other]:25\".lanes: ", "6: next_hop.\"[other]:25\".no_such_key: "] {
        assert!(log.contains(&format!("{}:{error}", file.display())), "{error:?} in {log}");
    }
    assert!(log.contains("the configuration stays as it was"), "{log}");
    assert!(!serving.socket("[other]:25").exists());
    Client::greeted(&serving.socket(HOP)).quit();
    fs::remove_file(&file).expect("there");
    serving.reload();
    assert!(serving.log().contains("cannot be read: "), "{}", serving.log());
    Client::greeted(&serving.socket(HOP)).quit();
    serving.stop();
}

#[test]
fn a_socket_that_cannot_be_made_leaves_everything_as_it_was() {
    let serving = Serving::start(&table(HOP));
    // The first of them can be made, the second cannot.
    let (first, second) = ("[a.test]:25", "[b.test]:25");
    fs::write(serving.socket(second), "mine").expect("written");
    serving.configure(&[table(first), table(second)].concat());
    serving.reload();
    let log = serving.log();
    assert!(log.contains(&format!("{} is there and is no socket", serving.socket(second).display())), "{log}");
    assert!(log.contains("the configuration stays as it was"), "{log}");
    assert!(!serving.socket(first).exists(), "what was opened before is removed");
    Client::greeted(&serving.socket(HOP)).quit();
    fs::remove_file(serving.socket(second)).expect("there");
    serving.reload();
    assert!(!serving.socket(HOP).exists());
    Client::greeted(&serving.socket(first)).quit();
    Client::greeted(&serving.socket(second)).quit();
    serving.stop();
}

#[test]
fn settings_and_routes_hold_for_new_clients_and_what_cannot_change_is_named() {
    let rules = |rule: &str| format!("max_clients = 7\n{}bare_newlines = \"{rule}\"\n", table(HOP));
    let (_sink, hop) = sink();
    let serving = Serving::start(&table(&hop));
    serving.configure(&format!(
        "max_clients = 7\nlmtp = [\"127.0.0.1:0\"]\n[limits]\ndrain_timeout = \"7s\"\n{}long_lines = \"refuse\"\n\
         [route]\n\"x.test\" = \"{HOP}\"\n",
        table(&hop)
    ));
    serving.reload();
    let log = serving.log();
    assert!(log.contains(&format!("read again: next hops changed: {hop}; [route] changed\n")), "{log}");
    let warning = "not while pipelane runs: listen.lmtp, listen.max_clients, limits.drain_timeout; the old values hold";
    assert!(log.contains(warning), "{log}");
    let mut client = Client::greeted(&serving.socket(&hop));
    client.say("LHLO x\r\n");
    client.expect("250 ");
    client.say("MAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nDATA\r\n");
    ["250 ", "250 ", "354 "].iter().for_each(|reply| drop(client.expect(reply)));
    client.say(&format!("{}\r\n.\r\n", "x".repeat(1200)));
    client.expect("554 5.6.0 ");
    client.quit();
    serving.configure(&rules("refuse"));
    serving.reload();
    assert!(serving.log().contains("not while pipelane runs: listen.max_clients; "), "{}", serving.log());
    serving.stop();
}

/// A server without any extension that keeps its reply to the first content until told to give it.
struct Keeping {
    next_hop: String,
    /// The content has come.
    came: Receiver<()>,
    /// The reply may go.
    release: Sender<()>,
}

fn keeping() -> Keeping {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let next_hop = format!("[127.0.0.1]:{}", listener.local_addr().expect("bound").port());
    let ((coming, came), (release, released)) = (channel(), channel());
    thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a client");
        // The client may go in its own way; what it was told is what the test looks at.
        let _ = keep(stream, &coming, &released);
    });
    Keeping { next_hop, came, release }
}

fn keep(stream: TcpStream, coming: &Sender<()>, released: &Receiver<()>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(LONG))?;
    let mut lines = BufReader::new(stream);
    lines.get_mut().write_all(b"220 keeping\r\n")?;
    let (mut line, mut in_content) = (String::new(), false);
    while lines.read_line(&mut line)? > 0 {
        let reply = match (in_content, line.trim_end()) {
            (true, ".") => {
                coming.send(()).expect("the test waits");
                released.recv_timeout(LONG).expect("released in time");
                in_content = false;
                "250 2.0.0 kept\r\n"
            }
            (true, _) => "",
            (false, "DATA") => {
                in_content = true;
                "354 go on\r\n"
            }
            (false, _) => "250 2.0.0 Ok\r\n",
        };
        lines.get_mut().write_all(reply.as_bytes())?;
        line.clear();
    }
    Ok(())
}

#[test]
fn a_message_on_its_way_is_not_disturbed() {
    let server = keeping();
    let serving = Serving::start(&table(&server.next_hop));
    let mut client = Client::greeted(&serving.socket(&server.next_hop));
    client.hand_over();
    server.came.recv_timeout(LONG).expect("the content comes");
    // Other settings, then gone altogether, then there again.
    for config in [format!("{}lanes = 3\n", table(&server.next_hop)), table(HOP), table(&server.next_hop)] {
        serving.configure(&config);
        serving.reload();
    }
    server.release.send(()).expect("it waits");
    let reply = client.expect("250 2.0.0 ");
    assert!(reply.contains("kept"), "{reply}");
    // The one reply: what comes next is the answer to this.
    client.quit();
    serving.stop();
}

#[test]
fn ten_in_a_row_end_with_the_last_file() {
    let mut serving = Serving::start(&table(HOP));
    for n in 0..10 {
        serving.configure(&[table(HOP), table(&format!("[h{n}.test]:25"))].concat());
        serving.signal("HUP");
    }
    // How many of them are one is up to the kernel; the last comes behind the last file.
    let is_there = |n: usize| serving.socket(&format!("[h{n}.test]:25")).exists();
    eventually("the last next hop alone", || {
        assert!(serving.told().starts_with("RELOADING=1\n"));
        assert_eq!(serving.told(), "READY=1");
        (0..10).all(|n| is_there(n) == (n == 9))
    });
    Client::greeted(&serving.socket(HOP)).quit();
    assert!(serving.is_running());
    assert!(!serving.log().contains("ERROR"), "{}", serving.log());
    serving.stop();
}

#[test]
fn a_stop_does_not_wait_for_a_reload_that_stands_still() {
    let mut serving = Serving::start(&table(HOP));
    fs::remove_file(serving.file()).expect("there");
    // Who opens it waits for a writer, and none comes.
    assert!(Command::new("mkfifo").arg(serving.file()).status().expect("mkfifo runs").success());
    serving.signal("HUP");
    assert!(serving.told().starts_with("RELOADING=1\n"));
    Client::greeted(&serving.socket(HOP)).quit();
    serving.signal("INT");
    assert_eq!(serving.told(), "STOPPING=1");
    assert!(serving.ended().success());
    assert!(!serving.socket(HOP).exists());
}
