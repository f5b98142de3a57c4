//! Holds the source to the house's plan: imports go down only, and a few things stand in one place only.
//!
//! It reads `src/` as text: comments and literals are blanked, then paths, items and braces are followed. That is
//! less than a compiler knows and enough for these rules; the tests at the end show that each rule can fail.

use std::fs;
use std::path::{Path, PathBuf};

/// The floors, lowest first. Modules of one floor do not see each other, but for [`SIDEWAYS`].
const FLOORS: &[&[&str]] = &[
    &["sync"],
    &["mail", "config"],
    &["smtp", "net"],
    &["conn"],
    &["lane"],
    &["engine"],
    &["door", "sink", "capi"],
    &["trial"],
    &["cli", "main"],
];
/// Who may look at whom on its own floor.
const SIDEWAYS: &[(&str, &str)] = &[("config", "mail")];
/// Where `unsafe` may stand.
const UNSAFE: &[&str] = &["net/sys/", "capi/", "link/sys.rs"];
/// Crates that come through one module.
const WRAPPED: &[(&str, &str)] = &[
    ("parking_lot", "sync"),
    ("crossbeam", "sync"),
    ("crossbeam_channel", "sync"),
    ("shuttle", "sync/explored.rs"),
    ("native_tls", "net/tls/native.rs"),
    ("openssl", "net/"),
    ("ureq", "net/mta_sts/"),
    ("rsasl", "smtp/sasl/scram.rs"),
];
/// What `smtp` is without.
const NOT_IN_SMTP: &[&str] =
    &["std::net", "std::time", "std::thread", "std::fs", "std::os", "std::process", "log", "socket2"];
const LINES_OF_A_FILE: usize = 400;
const LINES_OF_A_FUNCTION: usize = 60;

/// One file, ready to be judged.
struct Source {
    /// Below `src/`.
    path: String,
    /// Without comments and literals; the same lines.
    code: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), code: blank(text) }
    }

    /// The module it is, from the crate's root: `smtp::session::sending`.
    fn module(&self) -> Vec<String> {
        let path = self.path.trim_end_matches(".rs").trim_end_matches("/mod");
        path.split('/').filter(|part| *part != "lib").map(str::to_owned).collect()
    }

    /// Its code without the `mod tests { .. }` at the end.
    fn without_tests(&self) -> &str {
        self.code.find("#[cfg(test)]\nmod tests {").map_or(&self.code, |at| &self.code[..at])
    }
}

/// Replaces comments and the inside of literals by blanks; line ends stay.
fn blank(text: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(first) = rest.chars().next() {
        let end = literal_or_comment(rest);
        let (taken, next) = rest.split_at(if end == 0 { first.len_utf8() } else { end });
        match end {
            0 => out.push_str(taken),
            _ => out.extend(taken.chars().map(|c| if c == '\n' { '\n' } else { ' ' })),
        }
        rest = next;
    }
    out
}

/// How many octets the comment or literal has that `text` begins with; 0 for none.
fn literal_or_comment(text: &str) -> usize {
    let until = |mark: &str, from: usize| text[from..].find(mark).map_or(text.len(), |at| from + at + mark.len());
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return until("*/", 2);
    }
    if let Some(hashes) =
        text.strip_prefix('r').and_then(|t| t.find('"').filter(|n| t[..*n].bytes().all(|b| b == b'#')))
    {
        return until(&format!("\"{}", "#".repeat(hashes)), 2 + hashes);
    }
    match text.as_bytes() {
        [b'"', ..] => quoted(text, b'"'),
        // A lifetime is no literal: 'a is, only when closed behind one character or an escape.
        [b'\'', b'\\', ..] => quoted(text, b'\''),
        [b'\'', ..] if text.chars().nth(2) == Some('\'') => text.char_indices().nth(3).map_or(text.len(), |(at, _)| at),
        _ => 0,
    }
}

fn quoted(text: &str, mark: u8) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            _ if byte == mark => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Words, `::` and single signs, each with its line (from 1).
fn tokens(code: &str) -> Vec<(usize, &str)> {
    let (mut found, mut line, mut rest) = (Vec::new(), 1, code);
    while let Some(first) = rest.chars().next() {
        let length = match first {
            c if c.is_alphanumeric() || c == '_' => {
                rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
            }
            ':' if rest.starts_with("::") => 2,
            c => c.len_utf8(),
        };
        if !first.is_whitespace() {
            found.push((line, &rest[..length]));
        }
        line += usize::from(first == '\n');
        rest = &rest[length..];
    }
    found
}

/// The paths that begin at `at`, groups taken apart: `a::{b, c::d}` is `a::b` and `a::c::d`. And where they end.
fn paths(tokens: &[(usize, &str)], mut at: usize) -> (Vec<Vec<String>>, usize) {
    let mut path = Vec::new();
    loop {
        match tokens.get(at).map(|(_, token)| *token) {
            Some("{") => break,
            Some(word) if word == "*" || word.chars().all(|c| c.is_alphanumeric() || c == '_') => {
                path.push(word.to_owned())
            }
            _ => return (vec![path], at),
        }
        at += 1;
        if tokens.get(at).map(|(_, token)| *token) != Some("::") {
            return (vec![path], at);
        }
        at += 1;
    }
    let mut all = Vec::new();
    while !matches!(tokens.get(at), None | Some((_, "}"))) {
        let (inner, end) = paths(tokens, at + 1);
        all.extend(inner.into_iter().map(|tail| path.iter().cloned().chain(tail).collect()));
        let rest = tokens.iter().skip(end).position(|(_, token)| matches!(*token, "," | "}"));
        at = rest.map_or(tokens.len(), |n| end + n);
    }
    (all, at + 1)
}

/// Every module of this crate that the file names, with the line: `crate::x`, `pipelane::x`, and `super::`s that lead
/// there.
fn modules_named(source: &Source) -> Vec<(usize, String)> {
    let tokens = tokens(&source.code);
    let mut here = source.module();
    let (mut found, mut depth, mut inline) = (Vec::new(), 0, Vec::new());
    for (at, (line, token)) in tokens.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|n| tokens.get(n)).map_or("", |(_, token)| *token);
        match *token {
            "{" => depth += 1,
            "}" => depth -= 1,
            "mod" if tokens.get(at + 2).is_some_and(|(_, token)| *token == "{") => {
                here.push(tokens[at + 1].1.to_owned());
                inline.push(depth);
            }
            "crate" | "pipelane" | "super" if before != "::" && tokens.get(at + 1).is_some_and(|(_, t)| *t == "::") => {
                let resolved = paths(&tokens, at).0.into_iter().filter_map(|path| root(&here, &path));
                found.extend(resolved.map(|root| (*line, root)));
            }
            _ => {}
        }
        if *token == "}" && inline.last() == Some(&depth) {
            inline.pop();
            here.pop();
        }
    }
    found
}

/// The first segment, seen from the crate's root, of a path that stands in module `here`.
fn root(here: &[String], path: &[String]) -> Option<String> {
    let supers = path.iter().take_while(|segment| *segment == "super").count();
    match supers {
        0 => path.get(1).cloned(),
        n if n >= here.len() => path.get(n).cloned(),
        _ => here.first().cloned(),
    }
}

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

fn imports(source: &Source) -> Vec<String> {
    let own = source.module().first().cloned().unwrap_or_default();
    let Some(own_floor) = floor(&own) else {
        // The crate's root names every module and is named by none.
        let is_root = own.is_empty();
        return if is_root { Vec::new() } else { vec![format!("{}: which floor is {own} on?", source.path)] };
    };
    let allowed = |other: &str| match floor(other) {
        _ if other == own => true,
        Some(below) => below < own_floor || SIDEWAYS.contains(&(own.as_str(), other)),
        // Not a module: an item of the crate's root.
        None => true,
    };
    let wrong = modules_named(source).into_iter().filter(|(_, other)| !allowed(other));
    wrong.map(|(line, other)| format!("{}:{line}: {own} must not import {other}", source.path)).collect()
}

fn places(source: &Source) -> Vec<String> {
    let mut wrong = Vec::new();
    // A test may use such a crate by itself, as a second opinion.
    let own = source.without_tests().lines().count();
    for (line, token) in tokens(&source.code) {
        if token == "unsafe" && !UNSAFE.iter().any(|place| source.path.starts_with(place)) {
            wrong.push(format!("{}:{line}: unsafe belongs into {UNSAFE:?}", source.path));
        }
        if let Some((name, place)) =
            WRAPPED.iter().find(|(name, place)| *name == token && !source.path.starts_with(place))
            && line <= own
        {
            wrong.push(format!("{}:{line}: {name} comes through {place}", source.path));
        }
    }
    wrong
}

/// `smtp` has no socket, clock, thread or log.
fn purity(source: &Source) -> Vec<String> {
    if !source.path.starts_with("smtp/") {
        return Vec::new();
    }
    let tokens = tokens(&source.code);
    let starts = |at: usize| at == 0 || tokens[at - 1].1 != "::";
    let named = tokens.iter().enumerate().filter(|(at, _)| starts(*at)).flat_map(|(at, (line, token))| {
        let follows = tokens.get(at + 1).is_some_and(|(_, next)| *next == "::");
        let all = if *token == "std" || follows { paths(&tokens, at).0 } else { Vec::new() };
        all.into_iter().map(|path| (*line, path.join("::")))
    });
    let forbidden = |path: &str| {
        let is = |name: &&&str| path == **name || path.starts_with(&format!("{name}::"));
        path != "std::time::Duration" && NOT_IN_SMTP.iter().any(|name| is(&name))
    };
    let wrong = named.filter(|(_, path)| forbidden(path));
    wrong.map(|(line, path)| format!("{}:{line}: smtp is a pure state machine, without {path}", source.path)).collect()
}

fn sizes(source: &Source) -> Vec<String> {
    let mut wrong = Vec::new();
    let lines = source.without_tests().lines().count();
    if lines > LINES_OF_A_FILE && !source.path.ends_with("tests.rs") {
        wrong.push(format!("{}: {lines} lines without its tests, over {LINES_OF_A_FILE}", source.path));
    }
    let tokens = tokens(&source.code);
    for (at, (line, _)) in tokens.iter().enumerate().filter(|(_, (_, token))| *token == "fn") {
        let Some((name, last)) = tokens.get(at + 1).zip(end_of_body(&tokens[at..])) else { continue };
        let length = last + 1 - line;
        if length > LINES_OF_A_FUNCTION {
            wrong.push(format!("{}:{line}: fn {} has {length} lines, over {LINES_OF_A_FUNCTION}", source.path, name.1));
        }
    }
    wrong
}

/// The line of the brace that closes the first one opened; `None` for a function without a body.
fn end_of_body(tokens: &[(usize, &str)]) -> Option<usize> {
    let (mut depth, mut brackets) = (0, 0);
    for (line, token) in tokens {
        match *token {
            "(" | "[" => brackets += 1,
            ")" | "]" => brackets -= 1,
            "{" => depth += 1,
            "}" if depth == 1 => return Some(*line),
            "}" => depth -= 1,
            ";" if depth == 0 && brackets == 0 => return None,
            _ => {}
        }
    }
    None
}

/// The files below `folder`, each path with `prefix` before it.
fn sources_below(folder: &str, prefix: &str) -> Vec<Source> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let (mut folders, mut found) = (vec![top.clone()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path: PathBuf = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = format!("{prefix}{}", path.strip_prefix(&top).expect("below it").display());
                found.push(Source::new(&name, &fs::read_to_string(&path).expect("a source file")));
            }
        }
    }
    found
}

fn hold(rule: fn(&Source) -> Vec<String>) {
    let sources = sources_below("src", "");
    assert!(sources.len() > 50, "src/ was not found");
    hold_for(&sources, rule);
}

/// For the link emulator, which is a crate without floors.
fn hold_for_the_link(rule: fn(&Source) -> Vec<String>) {
    let sources = sources_below("link/src", "link/");
    assert!(sources.len() > 5, "link/src/ was not found");
    hold_for(&sources, rule);
}

fn hold_for(sources: &[Source], rule: fn(&Source) -> Vec<String>) {
    let wrong: Vec<String> = sources.iter().flat_map(rule).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn imports_go_down_only() {
    hold(imports);
}

#[test]
fn unsafe_and_the_wrapped_crates_stand_in_their_place() {
    hold(places);
    hold_for_the_link(places);
}

#[test]
fn the_protocol_has_no_socket_clock_thread_or_log() {
    hold(purity);
}

#[test]
fn files_and_functions_can_be_read_at_a_sitting() {
    hold(sizes);
    hold_for_the_link(sizes);
}

mod the_rules_can_fail {
    use super::*;

    fn lines(rule: fn(&Source) -> Vec<String>, path: &str, text: &str) -> Vec<usize> {
        let number = |wrong: &String| wrong.split(':').nth(1).and_then(|n| n.parse().ok()).unwrap_or(0);
        rule(&Source::new(path, text)).iter().map(number).collect()
    }

    #[test]
    fn an_import_upwards_in_every_way_of_writing_it() {
        let text = "use crate::mail::Address;\nuse crate::{mail, engine::Engine};\nfn f() { crate::lane::x() }\n\
                    use super::super::conn;\nuse super::duplex;\n// use crate::door;\nlet s = \"crate::door\";\n\
                    mod tests {\n use super::super::super::door;\n use super::super::duplex; }\nuse super::super::mail;\n";
        assert_eq!(lines(imports, "net/sys/mod.rs", text), [2, 3, 4, 9]);
        assert_eq!(
            lines(imports, "smtp/mod.rs", "use crate::{\n config::{a, b},\n net::{Duplex}};\nuse super::conn::X;"),
            [1, 4]
        );
        assert_eq!(lines(imports, "cli/serve.rs", "use pipelane::door;\nuse pipelane::config;\n"), [0; 0]);
        assert_eq!(lines(imports, "door/mod.rs", "use crate::sink;\n"), [1]);
        assert_eq!(lines(imports, "config/keys/kind.rs", "use crate::mail;\n"), [0; 0]);
        assert_eq!(lines(imports, "mail/mod.rs", "use crate::config;\n"), [1]);
        assert_eq!(imports(&Source::new("attic.rs", "")).len(), 1, "a module on no floor");
    }

    #[test]
    fn unsafe_or_a_wrapped_crate_elsewhere() {
        let text =
            "// unsafe\nlet a = r#\"unsafe \"#;\nunsafe { f() }\nuse parking_lot::Mutex;\nlet q = '\"'; unsafe {}";
        assert_eq!(lines(places, "lane/mod.rs", text), [3, 4, 5]);
        assert_eq!(lines(places, "net/sys/mod.rs", text), [4]);
        assert_eq!(lines(places, "sync.rs", text), [3, 5]);
    }

    #[test]
    fn a_clock_or_a_log_in_the_protocol() {
        let text = "use std::time::Duration;\nuse std::time::{Duration, Instant};\nuse log::debug;\nfn f() { log::info!(); std::thread::yield_now() }\nlet log = x.log;\n";
        assert_eq!(lines(purity, "smtp/window.rs", text), [2, 3, 4, 4]);
        assert_eq!(lines(purity, "conn/drive.rs", text), [0; 0]);
    }

    #[test]
    fn a_long_function_or_file() {
        let body = |lines: usize| {
            format!("trait T {{ fn none(a: [u8; 3]); }}\nfn f(a: [u8; 3]) {{\n{}}}\n", "{ x }\n".repeat(lines))
        };
        assert_eq!(lines(sizes, "a.rs", &body(58)), [0; 0]);
        assert_eq!(lines(sizes, "a.rs", &body(59)), [2]);
        let tests = format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", "x\n".repeat(400), "y\n".repeat(400));
        assert_eq!(sizes(&Source::new("a.rs", &tests)).len(), 0);
        assert_eq!(sizes(&Source::new("a.rs", &"x\n".repeat(401))).len(), 1);
    }
}
