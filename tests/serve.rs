//! `pipelane serve` as a process: ready, a client, signals, the end.

mod serving;

use serving::{Client, HOP, Serving};
use std::io::{Read, Write};
use std::process::{Command, Stdio};

#[test]
fn it_says_when_it_is_ready_serves_and_ends_on_a_signal() {
    let mut serving = Serving::start(&format!("[limits]\ndrain_timeout = \"5s\"\n[next_hop.\"{HOP}\"]\n"));
    let mut client = Client::greeted(&serving.socket(HOP));
    serving.signal("TERM");
    client.expect("421 4.3.2 ");
    assert!(serving.ended().success());
    assert!(!serving.socket(HOP).exists());
}

#[test]
fn a_stop_does_not_wait_for_a_service_manager_that_does_not_read() {
    let mut serving = Serving::start(&format!("[next_hop.\"{HOP}\"]\n"));
    serving.deafen();
    serving.signal("TERM");
    assert!(serving.ended().success());
    assert!(serving.log().contains("cannot notify "), "{}", serving.log());
}

#[test]
fn a_client_on_the_standard_streams_is_served_to_its_end() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("pipelane.toml");
    std::fs::write(&file, "").expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_pipelane"));
    command.args(["serve", "--stdio", "--next-hop", HOP, "-c"]).arg(&file).env_clear();
    let mut running = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("runs");
    let mut input = running.stdin.take().expect("piped");
    input.write_all(b"NOOP\r\nQUIT\r\n").expect("written");
    let mut told = String::new();
    running.stdout.take().expect("piped").read_to_string(&mut told).expect("UTF-8");
    let replies: Vec<&str> = told.lines().map(|line| &line[..4]).collect();
    assert_eq!(replies, ["220 ", "250 ", "221 "]);
    assert!(running.wait().expect("ends").success());
}

#[test]
fn a_configuration_that_cannot_be_used_is_told() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("pipelane.toml");
    std::fs::write(&file, "[listen]\nno_such_key = 1\n").expect("written");
    let output = Command::new(env!("CARGO_BIN_EXE_pipelane")).args(["serve", "-c"]).arg(&file).output().expect("runs");
    assert_eq!(output.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no_such_key"));
}
