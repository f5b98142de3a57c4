//! scripts/install puts everything into an empty place, a C program is linked by pkg-config and runs, and --undo leaves
//! nothing.

use super::place::{Sink, done, has, library, root, run};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Every file and link below a folder.
fn below(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                true => folders.push(entry.path()),
                false => found.push(entry.path()),
            }
        }
    }
    found.sort();
    found
}

/// A target folder with this build's executable and library, as `cargo build` leaves them.
fn built() -> tempfile::TempDir {
    let target = tempfile::tempdir().expect("a folder");
    let folder = target.path().join("release");
    fs::create_dir(&folder).expect("a folder");
    fs::copy(env!("CARGO_BIN_EXE_pipelane"), folder.join("pipelane")).expect("a copy");
    fs::copy(library(), folder.join("libpipelane.so")).expect("a copy");
    target
}

fn install(target: &Path, settings: &[(&str, &Path)], arguments: &[&str]) {
    let mut command = Command::new(root().join("scripts/install"));
    for name in ["PREFIX", "LIBDIR", "UNITDIR", "DESTDIR", "PROFILE"] {
        command.env_remove(name);
    }
    command.arg("--no-build").args(arguments).env("CARGO_TARGET_DIR", target).envs(settings.iter().copied());
    done(&mut command);
}

#[test]
fn into_an_empty_prefix_and_out_again() {
    if !has(&["gcc", "pkg-config"]) {
        return;
    }
    let (target, place) = (built(), tempfile::tempdir().expect("a folder"));
    let prefix = place.path().join("prefix");
    let settings = [("PREFIX", prefix.as_path())];
    install(target.path(), &settings, &[]);
    for file in [
        "bin/pipelane",
        "include/pipelane.h",
        "lib/libpipelane.so.0",
        "lib/libpipelane.so",
        "share/man/man3/libpipelane.3",
        "lib/pkgconfig/pipelane.pc",
        "share/man/man1/pipelane.1",
        "lib/systemd/system/pipelane.service",
    ] {
        assert!(prefix.join(file).exists(), "{file} is not there");
    }
    let unit = fs::read_to_string(prefix.join("lib/systemd/system/pipelane.service")).expect("a unit");
    assert!(unit.contains(&format!("ExecStart={}/bin/pipelane serve", prefix.display())));

    let pkg_config = |argument: &str| {
        let mut command = Command::new("pkg-config");
        done(command.args([argument, "pipelane"]).env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig")))
            .trim()
            .to_owned()
    };
    assert_eq!(pkg_config("--modversion"), env!("CARGO_PKG_VERSION"));
    let program = place.path().join("send");
    let mut compiler = Command::new("gcc");
    compiler.args(["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]).arg(root().join("examples/c/send.c"));
    compiler.args(pkg_config("--cflags").split_whitespace()).args(pkg_config("--libs").split_whitespace());
    done(compiler.arg("-o").arg(&program));
    let sink = Sink::start(&[]);
    let mut send = Command::new(&program);
    send.args([&sink.next_hop, "a@example.org", "b@example.net"]).env("LD_LIBRARY_PATH", prefix.join("lib"));
    assert!(done(&mut send).starts_with("b@example.net: delivered"));
    // It is the name in the library that it was linked with, not the file's.
    assert!(!run(Command::new(&program).env_remove("LD_LIBRARY_PATH")).status.success());

    fs::write(prefix.join("bin/another"), "").expect("a file");
    install(target.path(), &settings, &["--undo"]);
    assert_eq!(below(&prefix), [prefix.join("bin/another")]);
}

#[test]
fn into_a_place_for_packagers() {
    let (target, place) = (built(), tempfile::tempdir().expect("a folder"));
    let settings =
        [("PREFIX", Path::new("/usr")), ("LIBDIR", Path::new("/usr/lib/somewhere")), ("DESTDIR", place.path())];
    install(target.path(), &settings, &[]);
    let library = place.path().join("usr/lib/somewhere/libpipelane.so.0");
    assert!(library.exists() && place.path().join("usr/bin/pipelane").exists());
    let pc = fs::read_to_string(place.path().join("usr/lib/somewhere/pkgconfig/pipelane.pc")).expect("a file");
    assert!(pc.contains("libdir=/usr/lib/somewhere\n") && !pc.contains(&place.path().display().to_string()), "{pc}");
    install(target.path(), &settings, &["--undo"]);
    assert!(below(place.path()).is_empty());
}
