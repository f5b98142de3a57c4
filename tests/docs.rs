//! Holds the documentation to the program: what README.md, ARCHITECTURE.md and the manual pages say is there, and
//! what is there they say.
//!
//! What the texts mean is for people to judge. Here only names, defaults, bounds, examples and links are compared. That
//! the README's recipes work is shown by `tests/mta`.

use pipelane::config::Config;
use pipelane::config::keys;
use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every run of white space is one blank.
fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A manual page's source without the escapes that it is written with.
fn unescaped(roff: &str) -> String {
    roff.replace("\\(dq", "\"").replace("\\-", "-").replace("\\e", "\\").replace("\\&", "")
}

/// The fenced blocks of a Markdown text: what stands behind the fence, and the lines.
fn fenced(markdown: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in markdown.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(language), None) => open = Some((language.to_owned(), String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some((_, text))) => *text += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is never closed");
    blocks
}

/// The literal blocks of a manual page.
fn literal(roff: &str) -> Vec<String> {
    let parts = roff.split("\n.Bd -literal").skip(1);
    let block = |part: &str| {
        let (_, rest) = part.split_once('\n').expect("a line behind .Bd");
        unescaped(rest.split_once(".Ed").expect("an .Ed").0)
    };
    parts.map(block).collect()
}

/// The README's block whose first line is `# name`, without that line.
fn recipe(name: &str) -> String {
    let head = format!("# {name}\n");
    let found: Vec<String> = fenced(&read("README.md"))
        .into_iter()
        .filter_map(|(_, text)| text.strip_prefix(&head).map(str::to_owned))
        .collect();
    assert_eq!(found.len(), 1, "README.md has {} blocks \"{name}\"", found.len());
    found[0].clone()
}

/// `pipelane ... --help`, or another quick command line.
fn pipelane(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_pipelane")).args(arguments).output().expect("the executable runs");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The subcommands that `pipelane --help` lists.
fn commands() -> Vec<String> {
    let help = pipelane(&["--help"]);
    let (_, list) = help.split_once("Commands:\n").expect("a list of commands");
    let (list, _) = list.split_once("\n\n").expect("an end of the list");
    let entries = list.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names: Vec<String> = entries.filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect();
    assert!(names.len() > 3, "{names:?}");
    names
}

/// The long and short options in a command's help: what stands at the start of the lines of its list.
fn options(command: &str) -> BTreeSet<String> {
    let help = pipelane(&[command, "--help"]);
    let lines = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    let words = lines.flat_map(|line| line.split_whitespace().take(2));
    let options = words.map(|word| word.trim_end_matches(',')).filter(|word| word.len() > 1 && word.starts_with('-'));
    options.map(str::to_owned).collect()
}

#[test]
fn the_manual_has_every_key_with_its_default_and_its_bounds() {
    let page = unescaped(&read("doc/man/pipelane.toml.5"));
    let (mut entries, text) = (Vec::new(), squeezed(&page));
    for key in keys::all() {
        let entry = format!(".It Li {} = {}", key.name, key.default_toml());
        let at = page.find(&format!("\n{entry}\n")).unwrap_or_else(|| panic!("no line \"{entry}\""));
        let rest = &page[at + 1..];
        let own = squeezed(rest.split("\n.It Li ").next().unwrap_or_default());
        let takes = squeezed(&format!("Takes {}.", key.expected()));
        assert!(own.contains(&takes), "{}: \"{takes}\" is not in \"{own}\"", key.name);
        entries.push(entry);
    }
    let there = text.matches(".It Li ").count();
    // The tables' own five entries and [route]'s one come on top.
    assert_eq!(there, entries.len() + 6, "the page has keys that are none");
}

#[test]
fn the_example_configuration_has_every_key_with_its_default() {
    let example = read("doc/pipelane.toml");
    for key in keys::all() {
        let line = format!("\n# {} = {}\n", key.name, key.default_toml());
        assert!(example.contains(&line), "{line:?} is not in doc/pipelane.toml");
    }
    Config::parse(&example, "doc/pipelane.toml").unwrap_or_else(|errors| panic!("{errors}"));
}

#[test]
fn the_manual_has_every_command_and_option() {
    let page = read("doc/man/pipelane.1");
    let readme = read("README.md");
    for command in commands() {
        let head = format!("\n.Ss pipelane {command}\n");
        let (_, rest) = page.split_once(&head).unwrap_or_else(|| panic!("no section for {command}"));
        let section = rest.split("\n.Ss ").flat_map(|part| part.split("\n.Sh ")).next().unwrap_or_default();
        if command == "help" {
            continue;
        }
        assert!(readme.contains(&format!("| `pipelane {command}")), "{command} is not in the README's table");
        let options = options(&command);
        assert!(options.contains("--help"), "{command}: {options:?}");
        for option in &options {
            // The macro Fl writes the first dash.
            let written = format!("Fl {}", &option[1..]);
            let known = section.lines().filter(|line| line.starts_with(".It "));
            let mut words = known.flat_map(|line| line.split(" , ")).map(|item| item.trim_start_matches(".It "));
            let is_it = |item: &str| item == written || item.starts_with(&format!("{written} "));
            assert!(words.any(is_it), "{command}: {option} is not in its section");
        }
        for item in section.lines().filter_map(|line| line.strip_prefix(".It Fl ")) {
            let names = item.split(" , ").filter_map(|part| part.trim_start_matches("Fl ").split(' ').next());
            for name in names {
                assert!(options.contains(&format!("-{name}")), "{command} has no option -{name}");
            }
        }
    }
}

#[test]
fn the_configurations_that_are_shown_are_good_ones() {
    let mut shown: Vec<(String, String)> = Vec::new();
    for file in markdown() {
        let blocks = fenced(&read(&file)).into_iter().filter(|(language, _)| language == "toml");
        shown.extend(blocks.map(|(_, text)| (file.clone(), text)));
    }
    for page in pages() {
        let blocks = literal(&read(&page)).into_iter().filter(|text| text.starts_with('['));
        shown.extend(blocks.map(|text| (page.clone(), text)));
    }
    assert!(shown.len() >= 6, "only {} configurations were found", shown.len());
    for (file, text) in shown {
        Config::parse(&text, &file).unwrap_or_else(|errors| panic!("{errors}\nin:\n{text}"));
    }
}

#[test]
fn the_recipes_of_the_readme_and_of_the_manual_are_the_same() {
    let page = literal(&read("doc/man/pipelane-postfix.7"));
    let files = ["main.cf", "master.cf", "transport"].map(|file| format!("/etc/postfix/{file}"));
    let both = files.iter().flat_map(|file| [file.clone(), format!("{file} (pipe)")]);
    for name in both.chain(["/etc/pipelane/pipelane.toml".to_owned()]) {
        let text = recipe(&name);
        assert!(page.contains(&text), "the manual does not have the README's \"{name}\":\n{text}\nbut:\n{page:?}");
    }
}

/// The Markdown files of the project.
fn markdown() -> Vec<String> {
    ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"].map(str::to_owned).to_vec()
}

/// The manual pages.
fn pages() -> Vec<String> {
    ["pipelane.1", "libpipelane.3", "pipelane.toml.5", "pipelane-postfix.7"]
        .map(|page| format!("doc/man/{page}"))
        .to_vec()
}

#[test]
fn relative_links_lead_somewhere() {
    let mut count = 0;
    for file in markdown() {
        let text = read(&file);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap_or_default();
            if target.contains("://") || target.is_empty() {
                continue;
            }
            count += 1;
            assert!(root().join(target).exists(), "{file}: {target} is not there");
        }
    }
    assert!(count > 5, "only {count} links were found");
}

#[test]
fn the_manual_pages_name_each_other_and_nothing_that_is_not_there() {
    let own: BTreeSet<&str> = ["pipelane 1", "pipelane.toml 5", "pipelane-postfix 7"].into();
    for page in pages() {
        let text = read(&page);
        for name in text.lines().filter_map(|line| line.strip_prefix(".Xr pipelane")) {
            let words: Vec<&str> = name.split(' ').collect();
            let called = format!("pipelane{} {}", words[0], words.get(1).unwrap_or(&""));
            assert!(own.contains(called.as_str()), "{page}: there is no {called}");
        }
    }
}

#[test]
fn the_manual_pages_are_well_formed() {
    let has = |program: &str| Command::new(program).arg("--version").output().is_ok();
    let mandoc = has_mandoc();
    if !mandoc && !has("groff") {
        return skip("the manual pages: neither mandoc nor groff is here to read them");
    }
    for page in pages() {
        let source = read(&page);
        let complaints = match mandoc {
            true => complaints(Command::new("mandoc").args(["-Tlint", "-Wwarning"]), &source),
            false => complaints(Command::new("groff").args(["-mandoc", "-ww", "-z", "-Tutf8"]), &source),
        };
        assert_eq!(complaints, "", "{page}");
    }
}

/// mandoc has no --version.
fn has_mandoc() -> bool {
    Command::new("mandoc").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// What a formatter says about a page that it is given on standard input.
fn complaints(command: &mut Command, source: &str) -> String {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it was here a moment ago");
    // Dropped at the end of the statement: the formatter sees the end.
    child.stdin.take().expect("a pipe").write_all(source.as_bytes()).expect("a formatter reads its input");
    let output = child.wait_with_output().expect("it ends");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Says loudly that a test did not run.
fn skip(why: &str) {
    eprintln!("skipped: {why}");
    if let Some(list) = std::env::var_os("PIPELANE_SKIP_LIST") {
        let file = fs::OpenOptions::new().create(true).append(true).open(list);
        let mut file = file.expect("the list of what is skipped can be written");
        writeln!(file, "skipped: {why}").expect("the list of what is skipped can be written");
    }
}

/// The rows of the page's tables: Postfix's setting, and what it is here.
fn postfix_settings() -> Vec<(String, String)> {
    let page = read("docs/postfix-settings.md");
    let cut = |row: &str| {
        let cells: Vec<&str> = row.split(" |").collect();
        assert_eq!(cells.len(), 4, "three cells and an end: {row}");
        (cells[0].trim_matches('`').to_owned(), cells[1].trim().to_owned())
    };
    page.lines().filter_map(|line| line.strip_prefix("| `")).map(cut).collect()
}

#[test]
fn what_the_settings_of_postfix_are_here_is_there() {
    let rows = postfix_settings();
    assert!(rows.len() > 120, "only {} rows", rows.len());
    for (setting, here) in rows {
        let key = here.trim_matches('`');
        let is_word = ["-", "lmtp", "qmgr"].contains(&here.as_str());
        // A key with a dagger comes with a later change.
        let comes = here.ends_with("` \u{2020}");
        assert!(is_word || comes || keys::all().any(|k| k.name == key), "{setting}: {here}");
    }
    let page = read("docs/postfix-settings.md");
    for target in page.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        assert!(root().join("docs/..").join(target.trim_start_matches("../")).exists(), "{target} is not there");
    }
}

#[test]
fn no_setting_of_postfix_smtp_is_left_out() {
    let Ok(output) = Command::new("postconf").arg("-d").output() else {
        return skip("Postfix's settings: postconf(1) is not here");
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let names: BTreeSet<&str> = text.lines().filter_map(|line| line.split(" =").next()).collect();
    let smtp: Vec<&str> = names.into_iter().filter(|name| name.starts_with("smtp_")).collect();
    assert!(smtp.len() > 100, "{smtp:?}");
    let rows = postfix_settings();
    let missing: Vec<&str> = smtp.into_iter().filter(|name| !rows.iter().any(|(row, _)| row == name)).collect();
    assert!(missing.is_empty(), "docs/postfix-settings.md does not have {missing:?}");
}

#[test]
fn the_changelog_has_this_version() {
    let version = concat!("\n## ", env!("CARGO_PKG_VERSION"));
    assert!(read("CHANGELOG.md").contains(version), "CHANGELOG.md has no {version:?}");
}

#[test]
fn the_unit_gives_a_stop_the_time_that_it_takes() {
    let unit = read("packaging/systemd/pipelane.service");
    let seconds = unit.lines().find_map(|line| line.strip_prefix("TimeoutStopSec=")).and_then(|n| n.parse().ok());
    let drain = Config::default().limits.drain.as_secs();
    assert!(seconds > Some(drain + 5), "TimeoutStopSec is {seconds:?}, a stop may take {drain} s and 5 more");
}

/// Every source file below `src/`, by its path there.
fn sources() -> Vec<PathBuf> {
    sources_below("src")
}

fn sources_below(top: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(top)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of sources can be read").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(root().join(top)).expect("below it").to_owned());
            }
        }
    }
    found
}

fn texts_below(top: &str) -> Vec<(PathBuf, String)> {
    sources_below(top).into_iter().map(|path| (path.clone(), read(&format!("{top}/{}", path.display())))).collect()
}

#[test]
fn the_functions_that_the_architecture_names_are_there() {
    let page = read("ARCHITECTURE.md");
    let named: BTreeSet<&str> = page.split('`').filter(|code| code.contains("::") && !code.contains(' ')).collect();
    assert!(named.len() > 60, "only {} names were found", named.len());
    let (own, link) = (texts_below("src"), texts_below("link/src"));
    let found = |name: &&str| match name.strip_prefix("pipelane_link::") {
        Some(name) => is_there(name, &link),
        None => is_there(name, &own),
    };
    let wrong: Vec<&str> = named.into_iter().filter(|name| !found(name)).collect();
    assert!(wrong.is_empty(), "ARCHITECTURE.md names what is not there: {wrong:#?}");
}

/// Whether the modules of `a::b::Type::function()` or `a::b::Type` have that type, and an implementation of it that
/// function.
fn is_there(name: &str, sources: &[(PathBuf, String)]) -> bool {
    let mut parts: Vec<&str> = name.split("::").collect();
    let function = parts.last().and_then(|last| last.strip_suffix("()"));
    parts.truncate(parts.len() - usize::from(function.is_some()));
    let is_type = |part: &&str| part.starts_with(char::is_uppercase);
    let kind = parts.last().copied().filter(is_type);
    parts.truncate(parts.len() - usize::from(kind.is_some()));
    let module: PathBuf = parts.iter().collect();
    let own = |path: &Path| path == module.with_extension("rs") || path.starts_with(&module);
    let texts: Vec<&str> = sources.iter().filter(|(path, _)| own(path)).map(|(_, text)| text.as_str()).collect();
    let declared = |kind: &str| {
        texts
            .iter()
            .any(|text| ["struct", "enum", "trait"].iter().any(|what| has_word(text, &format!("{what} {kind}"))))
    };
    let implements = |text: &str| kind.is_none_or(|kind| has_word(text, kind));
    let has_function =
        |function: &str| texts.iter().any(|text| implements(text) && has_word(text, &format!("fn {function}")));
    kind.is_none_or(declared) && function.is_none_or(has_function)
}

/// Whether the text has these words, with no letter going on behind them.
fn has_word(text: &str, words: &str) -> bool {
    let goes_on = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(words).any(|(at, _)| !text[at + words.len()..].starts_with(goes_on))
}

#[test]
fn the_architecture_names_every_module() {
    let page = read("ARCHITECTURE.md");
    for path in sources() {
        let text = path.display().to_string();
        if text.contains("tests") || text.ends_with("mod.rs") || ["lib.rs", "main.rs"].contains(&text.as_str()) {
            continue;
        }
        let (section, name) = match text.split_once('/') {
            Some((floor, _)) => (format!("\n### `{floor}/`\n"), path.file_stem().expect("a name")),
            None => (
                format!("\n### `{}`\n", path.file_stem().expect("a name").display()),
                path.file_name().expect("a name"),
            ),
        };
        let (_, rest) = page.split_once(&section).unwrap_or_else(|| panic!("no section for {text}"));
        let own = rest.split("\n#").next().unwrap_or_default();
        let name = name.display().to_string();
        let is_named = own.contains(&format!("`{name}`"))
            || own.contains(&format!("`{name}/`"))
            || own.contains(&format!("/{name}`"));
        assert!(is_named, "ARCHITECTURE.md does not name {text} in its section");
    }
}
