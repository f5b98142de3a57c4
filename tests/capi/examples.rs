//! The examples do what they say, also the one in README.md.

use super::place::{Language, Sink, compile, folder, has, library, read, root, run};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const LETTER: &str = "Subject: a letter\n\nHello.\n";

/// Runs a program with a letter on its standard input.
fn with_letter(command: &mut Command) -> Output {
    let letter = folder().join("letter");
    fs::write(&letter, LETTER).expect("a file");
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec \"$@\" < \"$0\""]).arg(letter).arg(command.get_program()).args(command.get_args());
    shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    run(&mut shell)
}

fn sends(command: &mut Command, refused: i32) {
    let sink = Sink::start(&[]);
    let output =
        with_letter(command.args([&sink.next_hop, "a@example.org", "b@example.net", "reject-550@example.net"]));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("b@example.net: delivered, 250 2.0.0 "), "{output:?}");
    assert!(said.contains("reject-550@example.net: failed, 550 5.1.1 "), "{output:?}");
    assert_eq!(output.status.code(), Some(refused));
}

#[test]
fn send_in_c_and_as_cplusplus() {
    for language in [Language::C, Language::CPlusPlus] {
        if has(&[language.compiler()]) {
            sends(&mut Command::new(compile(&root().join("examples/c/send.c"), language, &[])), 69);
        }
    }
}

#[test]
fn send_in_python() {
    if has(&["python3"]) {
        let mut command = Command::new("python3");
        sends(command.arg(root().join("examples/python/send.py")).env("PIPELANE_LIBRARY", library()), 75);
    }
}

#[test]
fn relay_a_directory() {
    if !has(&["gcc"]) {
        return;
    }
    let program = compile(&root().join("examples/c/relay.c"), Language::C, &[]);
    let (sink, letters) = (Sink::start(&[]), tempfile::tempdir().expect("a folder"));
    let letter = |name: &Path, text: &str| fs::write(letters.path().join(name), text).expect("a file");
    for number in 0..1500 {
        letter(Path::new(&format!("letter{number}")), LETTER);
    }
    letter(Path::new("wrong"), "Subject: has a NUL\n\n\0\n");
    let relay = |recipient: &str| {
        run(Command::new(&program).args([&sink.next_hop, "a@example.org", recipient]).arg(letters.path()))
    };
    let refused = relay("reject-550@example.net");
    assert_eq!(refused.status.code(), Some(75));
    assert_eq!(fs::read_dir(letters.path()).expect("a folder").count(), 1501, "nothing may be lost");
    let taken = relay("b@example.net");
    assert_eq!(taken.status.code(), Some(75));
    let left: Vec<_> = fs::read_dir(letters.path()).expect("a folder").flatten().map(|file| file.file_name()).collect();
    assert_eq!(left, ["wrong"], "{}", String::from_utf8_lossy(&taken.stdout));
    assert!(String::from_utf8_lossy(&taken.stderr).contains("wrong: line 3 of the content has a NUL"));
    fs::remove_file(letters.path().join("wrong")).expect("it is there");
    assert_eq!(relay("b@example.net").status.code(), Some(0));
}

#[test]
fn the_example_of_the_readme() {
    if !has(&["gcc"]) {
        return;
    }
    let text = read("README.md");
    let (_, section) = text.split_once("\n## From C\n").expect("a section");
    let (_, code) = section.split_once("```c\n").expect("an example");
    let (code, _) = code.split_once("```").expect("its end");
    let sink = Sink::start(&[]);
    let source = folder().join("readme.c");
    fs::write(&source, code.replace("[relay.example.net]:25", &sink.next_hop)).expect("a file");
    let output = run(&mut Command::new(compile(&source, Language::C, &[])));
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("b@example.net: 250 2.0.0 "), "{output:?}");
}
