//! Header and library say the same: names, numbers, prototypes, version.

use super::place::{done, folder, has, read, root};
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// The header without its comments.
fn header() -> String {
    let text = read("include/pipelane.h");
    let mut code = String::new();
    let mut rest = text.as_str();
    while let Some((before, comment)) = rest.split_once("/*") {
        code += before;
        rest = comment.split_once("*/").expect("a comment that ends").1;
    }
    code + rest
}

/// The functions that the header declares.
pub fn declared() -> BTreeSet<String> {
    let header = header();
    let words = header.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '(');
    let functions = words.filter_map(|word| word.split_once('(')).map(|(name, _)| name.to_owned());
    let functions: BTreeSet<String> = functions.filter(|name| name.starts_with("pipelane_")).collect();
    assert!(functions.len() > 40, "{functions:?}");
    functions
}

#[test]
fn the_library_exports_what_the_header_declares_and_nothing_else() {
    if !has(&["nm"]) {
        return;
    }
    let library = super::place::library();
    let symbols = done(Command::new("nm").args(["-D", "--defined-only", "-j"]).arg(library));
    let exported: BTreeSet<String> = symbols.lines().map(str::to_owned).collect();
    assert_eq!(exported, declared());
}

#[test]
fn every_number_is_the_same() {
    let defined: BTreeMap<String, i32> = header()
        .lines()
        .filter_map(|line| line.strip_prefix("#define PIPELANE_"))
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(name, value)| Some((name.to_owned(), value.trim().parse().ok()?)))
        .filter(|(name, _)| !name.starts_with("VERSION_") && name != "ABI")
        .collect();
    let known = pipelane::capi::NUMBERS.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect();
    assert_eq!(defined, known);
}

/// These are written down a second time on purpose: a number that was released keeps its meaning.
#[test]
fn numbers_stay_what_they_are() {
    let known: BTreeMap<&str, i32> = pipelane::capi::NUMBERS.iter().copied().collect();
    for (name, number) in [
        ("OK", 0),
        ("EMPTY", 1),
        ("ERR_NULL", 100),
        ("ERR_FORKED", 101),
        ("ERR_TEXT", 102),
        ("ERR_ARGUMENT", 103),
        ("ERR_STATE", 104),
        ("ERR_ADDRESS", 105),
        ("ERR_NEXT_HOP", 106),
        ("ERR_PARAMETER", 107),
        ("ERR_INCOMPLETE", 108),
        ("ERR_CONTENT", 109),
        ("ERR_FILE", 110),
        ("ERR_KEY", 200),
        ("ERR_VALUE", 201),
        ("ERR_CONFIG_FILE", 202),
        ("ERR_CONFLICT", 203),
        ("ERR_BUSY", 300),
        ("ERR_STOPPING", 301),
        ("ERR_UNKNOWN", 302),
        ("ERR_STORAGE", 303),
        ("ERR_SYSTEM", 304),
        ("ERR_TIMEOUT", 305),
        ("ERR_PANIC", 900),
        ("DELIVERED", 1),
        ("DEFERRED", 2),
        ("FAILED", 3),
        ("IN_DOUBT", 4),
        ("LINES_CRLF", 0),
        ("LINES_LF", 1),
    ] {
        assert_eq!(known.get(name), Some(&number), "{name}");
    }
}

#[test]
fn the_header_has_the_version_of_the_package() {
    let header = header();
    let value = |name: &str| {
        let (_, rest) = header.split_once(&format!("#define PIPELANE_VERSION_{name} ")).expect("defined");
        rest.split_whitespace().next().expect("a number").to_owned()
    };
    let parts = [value("MAJOR"), value("MINOR"), value("PATCH")];
    assert_eq!(parts.join("."), env!("CARGO_PKG_VERSION"));
    let numbers = parts.map(|part| part.parse::<u32>().expect("a number"));
    assert_eq!(value("NUMBER"), ((numbers[0] * 1000 + numbers[1]) * 100 + numbers[2]).to_string());
}

/// The prototypes that cbindgen finds in the code.
pub fn prototypes() -> String {
    let mut config = cbindgen::Config {
        language: cbindgen::Language::C,
        no_includes: true,
        usize_is_size_t: true,
        ..Default::default()
    };
    let rename = [
        ("ConfigHandle", "pipelane_config"),
        ("MessageHandle", "pipelane_message"),
        ("EngineHandle", "pipelane_engine"),
        ("ReportHandle", "pipelane_report"),
        ("LogFn", "pipelane_log_function"),
        ("ReportFn", "pipelane_report_function"),
    ];
    config.export.rename = rename.map(|(ours, theirs)| (ours.to_owned(), theirs.to_owned())).into();
    let handles = rename.iter().map(|(ours, _)| (*ours).to_owned()).filter(|ours| ours.ends_with("Handle"));
    config.export.exclude = handles.collect();
    let mut builder = cbindgen::Builder::new().with_config(config);
    for file in ["config", "desk", "engine", "error", "log", "message", "report", "version"] {
        builder = builder.with_src(root().join(format!("src/capi/{file}.rs")));
    }
    let mut found = Vec::new();
    builder.generate().expect("cbindgen reads the code").write(&mut found);
    String::from_utf8(found).expect("UTF-8")
}

/// They are compiled behind those of the header: a difference is an error of the compiler.
#[test]
fn every_prototype_is_the_same() {
    if !has(&["gcc"]) {
        return;
    }
    let found = prototypes();
    for function in declared() {
        assert!(found.contains(&format!("{function}(")), "cbindgen has not found {function}");
    }
    let compiles = |name: &str, found: &str| {
        let source = folder().join(format!("agree-{name}.c"));
        std::fs::write(&source, format!("#include <pipelane.h>\n{found}")).expect("a file");
        let mut command = Command::new("gcc");
        command.args(["-std=c11", "-Wall", "-Wpedantic", "-Werror", "-fsyntax-only", "-I"]);
        super::place::run(command.arg(root().join("include")).arg(&source))
    };
    let output = compiles("found", &found);
    assert!(output.status.success(), "{}\n{found}", super::place::text(&output));
    // And it can fail, for functions as for callbacks.
    for (name, from, to) in [
        (
            "function",
            "set_priority(pipelane_message *message, int32_t",
            "set_priority(pipelane_message *message, int64_t",
        ),
        ("callback", "(*pipelane_log_function)(int32_t level", "(*pipelane_log_function)(int64_t level"),
    ] {
        let wrong = found.replacen(from, to, 1);
        assert!(wrong != found && !compiles(name, &wrong).status.success(), "{name}: no difference noticed:\n{found}");
    }
}
