//! The programs of `tests/capi/`, in every way of running them.

use super::place::{Language, Sink, compile, done, folder, has, read, root, run, text};
use std::process::Command;

/// How a program is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Plain,
    CPlusPlus,
    Valgrind,
    Sanitizer,
}

const SLOW: &[&str] = &["--latency-ms", "30000"];

fn check(name: &str, sink: &[&str], way: Way) {
    let language = if way == Way::CPlusPlus { Language::CPlusPlus } else { Language::C };
    let needs: &[&str] = if way == Way::Valgrind { &["gcc", "valgrind"] } else { &[language.compiler()] };
    if !has(needs) {
        return;
    }
    let options: &[&str] = match way {
        Way::Sanitizer => &["-fsanitize=address", "-fno-omit-frame-pointer"],
        _ => &[],
    };
    let program = compile(&root().join(format!("tests/capi/{name}.c")), language, options);
    let sink = Sink::start(sink);
    let mut command = match way {
        Way::Valgrind => {
            let mut command = Command::new("valgrind");
            command.args(["--quiet", "--error-exitcode=99", "--leak-check=full", "--fair-sched=yes"]);
            command.args(["--errors-for-leak-kinds=definite,indirect,possible", "--num-callers=30"]);
            command.arg(program);
            command
        }
        _ => Command::new(program),
    };
    command.arg(&sink.next_hop);
    if way == Way::Valgrind && std::env::var_os("PIPELANE_TEST_LARGE").is_none_or(|value| value != "1") {
        // Only `many` has a use for it; all of them take minutes there.
        command.arg("2000");
    }
    command.env("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0").current_dir(folder());
    let said = done(&mut command);
    assert!(!said.contains("panicked"), "{said}");
}

/// A test for each program and way.
macro_rules! programs {
    ($($name:ident $sink:expr;)*) => {
        mod plain { $(#[test] fn $name() { super::check(stringify!($name), $sink, super::Way::Plain); })* }
        mod as_cplusplus { $(#[test] fn $name() { super::check(stringify!($name), $sink, super::Way::CPlusPlus); })* }
        mod with_valgrind { $(#[test] fn $name() { super::check(stringify!($name), $sink, super::Way::Valgrind); })* }
        mod with_a_sanitizer { $(#[test] fn $name() { super::check(stringify!($name), $sink, super::Way::Sanitizer); })* }

        const NAMES: &[&str] = &[$(stringify!($name)),*];
    };
}

programs! {
    every &[];
    null &[];
    order &[];
    forked &[];
    signals &[];
    busy super::SLOW;
    threads &[];
    many &[];
}

#[test]
fn each_program_has_its_tests() {
    for entry in std::fs::read_dir(root().join("tests/capi")).expect("a folder").flatten() {
        let name = entry.file_name().display().to_string();
        let Some(stem) = name.strip_suffix(".c") else { continue };
        assert!(NAMES.contains(&stem) || ["content", "fault"].contains(&stem), "{name} is run by no test");
    }
}

#[test]
fn every_function_is_in_the_program_of_that_name_and_in_those_for_null_and_fork() {
    let functions = super::agree::declared();
    let every = read("tests/capi/every.c") + &read("tests/capi/check.h");
    let (null, forked) = (read("tests/capi/null.c"), read("tests/capi/forked.c"));
    for function in &functions {
        assert!(every.contains(&format!("{function}(")), "every.c does not call {function}");
        let without_pointer = ["version", "abi", "strerror", "last_error"];
        let handle = !without_pointer.iter().any(|name| *function == format!("pipelane_{name}"));
        assert!(!handle || null.contains(&format!("{function}(")), "null.c does not call {function}");
        let handle = handle && !function.ends_with("_log") && !function.ends_with("_new");
        let report = function.starts_with("pipelane_report_");
        assert!(!handle || report || forked.contains(&format!("{function}(")), "forked.c does not call {function}");
    }
}

#[test]
fn contents_arrive_as_they_must() {
    if !has(&["gcc"]) {
        return;
    }
    let program = compile(&root().join("tests/capi/content.c"), Language::C, &[]);
    let maildir = tempfile::tempdir().expect("a folder");
    let sink = Sink::start(&["--maildir", &maildir.path().display().to_string()]);
    done(Command::new(program).arg(&sink.next_hop));
    let mut contents: Vec<String> = std::fs::read_dir(maildir.path().join("new"))
        .expect("a Maildir")
        .map(|file| std::fs::read_to_string(file.expect("a message").path()).expect("text"))
        .collect();
    let letter = |n: u32| char::from(b'a' + (n % 26) as u8).to_string().repeat(98);
    let lines = |end: &'static str| (0..3000).map(move |n| letter(n) + end);
    let in_place: String = lines("\r\n").skip(1).collect();
    let copied: String = lines(" \r\n").skip(1).collect();
    let mended = "mended\r\n".to_owned();
    let part = "Subject: part\r\n\r\nHello.\r\n".to_owned();
    let mut expected = vec![part.clone(), part + "tail\r\n", in_place, copied];
    expected.extend(vec![mended; 4]);
    contents.sort();
    expected.sort();
    assert_eq!(contents.len(), expected.len());
    for (content, expected) in contents.iter().zip(&expected) {
        assert!(content == expected, "{} octets, not {}: {:.60?}", content.len(), expected.len(), content);
    }
}

#[test]
fn the_sanitizer_is_really_there() {
    if !has(&["gcc"]) {
        return;
    }
    let program = compile(&root().join("tests/capi/fault.c"), Language::C, &["-fsanitize=address"]);
    let output = run(&mut Command::new(program));
    assert!(text(&output).contains("heap-use-after-free"), "{}", text(&output));
}
