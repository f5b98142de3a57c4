//! The machine: compilers, tools, a folder for what is built, and processes that are ended in time.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// The longest that a program of a test may take.
pub const PATIENCE: Duration = Duration::from_secs(600);

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The library of this build. (Where `cargo build` puts it there may be an older one.)
pub fn library() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_pipelane")).with_file_name("deps").join("libpipelane.so")
}

/// A folder for programs, with the library in it under the name that programs look for.
pub fn folder() -> PathBuf {
    static ONCE: Mutex<()> = Mutex::new(());
    let _guard = ONCE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("capi");
    std::fs::create_dir_all(&folder).expect("a folder in target/");
    for name in ["libpipelane.so", "libpipelane.so.0"] {
        let (link, file) = (folder.join(name), library());
        if std::fs::read_link(&link).ok().as_deref() != Some(file.as_path()) {
            let _ = std::fs::remove_file(&link);
            std::os::unix::fs::symlink(file, link).expect("a link");
        }
    }
    folder
}

/// Whether these commands are here. If not, it says so and the test returns.
pub fn has(commands: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = |name: &str| std::env::split_paths(&path).any(|folder| folder.join(name).is_file());
    let Some(missing) = commands.iter().find(|name| !found(name)) else { return true };
    skip(&format!("the command {missing} was not found (Debian: scripts/install-needs)"));
    false
}

/// Says loudly that a test, or a part of it, did not run.
pub fn skip(why: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let line = format!("skipped: {test}: {why}");
    let _ = writeln!(std::io::stderr(), "{line}");
    if let Some(list) = std::env::var_os("PIPELANE_SKIP_LIST") {
        let opened = OpenOptions::new().create(true).append(true).open(list);
        let _ = opened.and_then(|mut file| writeln!(file, "{line}"));
    }
}

/// A compiler's language and options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    C,
    CPlusPlus,
}

impl Language {
    pub const fn compiler(self) -> &'static str {
        match self {
            Language::C => "gcc",
            Language::CPlusPlus => "g++",
        }
    }

    fn options(self) -> &'static [&'static str] {
        match self {
            Language::C => &["-std=c99", "-x", "c"],
            Language::CPlusPlus => &["-std=c++11", "-x", "c++"],
        }
    }
}

/// Compiles a program and links it with the library of this build.
pub fn compile(source: &Path, language: Language, more: &[&str]) -> PathBuf {
    let (folder, stem) = (folder(), source.file_stem().expect("a name").display().to_string());
    let program = folder.join(format!("{stem}-{}{}", language.compiler(), more.concat().replace(['/', '=', ' '], "")));
    let mut command = Command::new(language.compiler());
    command.args(language.options()).args(["-g", "-O1", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]).args(more);
    command.arg("-I").arg(root().join("include")).arg(source).arg("-o").arg(&program);
    command.args(["-x", "none", "-pthread"]).arg("-L").arg(&folder).arg("-lpipelane");
    command.arg(format!("-Wl,-rpath,{}", folder.display()));
    done(&mut command);
    program
}

/// Runs a command to its good end.
pub fn done(command: &mut Command) -> String {
    let output = run(command);
    assert!(output.status.success(), "{command:?}: {}\n{}", output.status, text(&output));
    text(&output)
}

pub fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Runs a command to its end, which must come in time.
pub fn run(command: &mut Command) -> Output {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (stdout, stderr) = (drain(child.stdout.take()), drain(child.stderr.take()));
    let until = Instant::now() + PATIENCE;
    let status = loop {
        match child.try_wait().expect("a child of ours") {
            Some(status) => break status,
            None if Instant::now() > until => {
                let _ = child.kill();
                let _ = child.wait();
                panic!("{command:?} has not ended in {PATIENCE:?}");
            }
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    let collected = |thread: std::thread::JoinHandle<Vec<u8>>| thread.join().expect("a reader");
    Output { status, stdout: collected(stdout), stderr: collected(stderr) }
}

fn drain(pipe: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut octets = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut octets);
        }
        octets
    })
}

/// `pipelane sink` as a process.
pub struct Sink {
    child: Child,
    pub next_hop: String,
}

impl Sink {
    pub fn start(options: &[&str]) -> Sink {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pipelane"));
        command.args(["sink", "--listen", "127.0.0.1:0", "--exit-after-seconds", "700"]).args(options);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the sink starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
        let address = line.trim().strip_prefix("listening on ").expect("an address").to_owned();
        let port = address.rsplit(':').next().expect("a port");
        Sink { child, next_hop: format!("[127.0.0.1]:{port}") }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
