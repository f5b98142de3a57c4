//! The executable: its two commands, its status, and that it leaves no process behind.

use crate::needs;
use pipelane_link::{LinkOptions, signal_group};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

fn can_run() -> bool {
    needs::start(LinkOptions::default()).is_some()
}

fn executable(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pipelane-link"));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn output(arguments: &[&str]) -> (Output, String, String) {
    let output = executable(arguments).output().expect("it runs");
    let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).expect("UTF-8");
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    (output, out, err)
}

/// Whether a process group ends within a time that is enough on any machine.
fn ends(group: u32) -> bool {
    let started = Instant::now();
    while signal_group(group, 0).is_ok() {
        if started.elapsed() > Duration::from_secs(20) {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}

/// Started, and the process group ids that its commands print, one a line.
fn running(arguments: &[&str], groups: usize) -> (Child, Vec<u32>, BufReader<ChildStdout>) {
    let command = executable(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).spawn();
    let mut child = command.expect("it runs");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut group = || {
        let mut line = String::new();
        lines.read_line(&mut line).expect("a line");
        line.trim().parse().unwrap_or_else(|_| panic!("{line:?}"))
    };
    let ids = (0..groups).map(|_| group()).collect();
    (child, ids, lines)
}

#[test]
fn the_status_is_the_near_commands_and_the_tally_is_told() {
    if !can_run() {
        return;
    }
    let (output, out, err) = output(&["--near", "echo $LINK_NEAR_ADDRESS $LINK_FAR_ADDRESS; exit 7"]);
    assert_eq!((output.status.code(), out.as_str()), (Some(7), "198.18.0.1 198.18.0.2\n"), "{err}");
    assert!(err.contains("up:   carried 0 packets (0 octets), dropped 0 packets"), "{err}");
    let by_signal = executable(&["--near", "kill -KILL $$"]).stderr(Stdio::null()).status().expect("it runs");
    assert_eq!(by_signal.code(), Some(128 + 9));
}

#[test]
fn the_far_command_and_what_either_left_behind_end_with_the_near_one() {
    if !can_run() {
        return;
    }
    // A shell that waits for a child: both are in the group, and both have to go. The near one waits for the far one's
    // line.
    let far = "sleep 600 & echo $$; echo > $FIFO; wait";
    let folder = std::env::temp_dir().join(format!("pipelane-link-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let fifo = folder.join("fifo").display().to_string();
    assert!(Command::new("mkfifo").arg(&fifo).status().expect("mkfifo runs").success());
    let near = format!("read line < {fifo}; sleep 600 & echo $$");
    let (mut child, groups, _lines) = running(&["--far", &far.replace("$FIFO", &fifo), "--near", &near], 2);
    let status = child.wait().expect("it ends");
    std::fs::remove_dir_all(&folder).expect("it is ours");
    assert!(status.success(), "{status}");
    assert!(groups[0] != groups[1] && groups.iter().all(|group| ends(*group)), "{groups:?}");
}

#[test]
fn a_signal_ends_both_commands_and_the_tally_is_told_all_the_same() {
    if !can_run() {
        return;
    }
    let (mut child, groups, _lines) = running(&["--far", "echo $$; sleep 600", "--near", "echo $$; sleep 600"], 2);
    signal_group(child.id(), 15).expect("it is there");
    let status = child.wait().expect("it ends");
    let mut err = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut err).expect("UTF-8");
    assert_eq!(status.code(), Some(128 + 15), "{err}");
    assert!(err.contains("down: carried"), "{err}");
    assert!(groups.iter().all(|group| ends(*group)), "{groups:?}");
}

#[test]
fn a_far_command_that_ends_first_is_told() {
    if !can_run() {
        return;
    }
    let (output, _, err) = output(&["--far", "exit 3", "--near", "sleep 1"]);
    assert!(output.status.success());
    assert_eq!(err.matches("the far command has ended: exit status: 3").count(), 1, "{err}");
}

#[test]
fn what_is_wrong_with_the_arguments_is_told() {
    for arguments in [&["--rate", "2M", "--near", "true"][..], &[], &["--delay", "150", "--near", "true"]] {
        let (output, _, err) = output(arguments);
        assert_eq!(output.status.code(), Some(2), "{err}");
    }
    let (output, _, err) = output(&["--delay", "100s", "--near", "true"]);
    assert_eq!((output.status.code(), err.as_str()), (Some(125), "pipelane-link: a delay of 100s is over 60s\n"));
}
