//! The binary interface is the one that is kept in `abi/`, or has grown: nothing that programs rely on has changed or
//! gone.
//!
//! Compared is the interface that the code has for C: the functions that cbindgen finds in it, compiled with debugging
//! information to a library of nothing else. (The debugging information of the library itself has every type of the
//! code in it, which may change.) After an addition the kept one is renewed by `scripts/abi`.

use super::agree::prototypes;
use super::place::{done, folder, has, root, run, text};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const KEPT: &str = "abi/libpipelane.so.0.abi";

/// A library with these functions, each without any use.
fn shell_of(prototypes: &str, name: &str) -> PathBuf {
    let (mut code, mut in_typedef) = (String::new(), false);
    for line in prototypes.lines() {
        in_typedef = in_typedef || line.starts_with("typedef");
        let body = line.ends_with(");") && !in_typedef;
        code += &if body { line.replace(");", ") { __builtin_trap(); }\n") } else { format!("{line}\n") };
        in_typedef = in_typedef && !line.ends_with(';');
    }
    std::fs::write(folder().join(format!("{name}.c")), code).expect("a file");
    let mut command = Command::new("gcc");
    command
        .args(["-std=c11", "-g", "-shared", "-fPIC", "-Wl,-soname,libpipelane.so.0", "-I"])
        .arg(root().join("include"));
    done(command.current_dir(folder()).args([&format!("{name}.c"), "-o", &format!("{name}.so")]));
    folder().join(format!("{name}.so"))
}

fn compared(kept: &Path, shell: &Path) -> Output {
    run(Command::new("abidiff").arg("--no-added-syms").arg(kept).arg(shell))
}

#[test]
fn the_library_fits_programs_compiled_before() {
    if !has(&["gcc", "abidiff", "abidw"]) {
        return;
    }
    let (shell, kept) = (shell_of(&format!("#include <pipelane.h>\n{}", prototypes()), "abi"), root().join(KEPT));
    if std::env::var_os("PIPELANE_RENEW_ABI").is_some() {
        std::fs::create_dir_all(root().join("abi")).expect("a folder");
        let options = ["--no-corpus-path", "--no-comp-dir-path", "--no-show-locs", "--out-file"];
        done(Command::new("abidw").args(options).arg(&kept).arg(&shell));
    }
    let output = compared(&kept, &shell);
    assert!(output.status.success(), "{}", text(&output));
}

#[test]
fn what_changes_or_goes_is_noticed() {
    if !has(&["gcc", "abidiff", "abidw"]) || !root().join(KEPT).exists() {
        return;
    }
    let prototypes = prototypes();
    for (name, from, to) in [
        (
            "changed",
            "pipelane_message_set_priority(pipelane_message *message, int32_t",
            "pipelane_message_set_priority(pipelane_message *message, int64_t",
        ),
        ("gone", "int32_t pipelane_abi(void);", ""),
        ("returned", "uint64_t pipelane_report_number", "uint32_t pipelane_report_number"),
    ] {
        let wrong = prototypes.replacen(from, to, 1);
        assert_ne!(wrong, prototypes, "{name}");
        // Without the header, which has the right one.
        let handles = "#include <stdint.h>\n#include <stddef.h>\ntypedef struct pipelane_config pipelane_config;\n\
                       typedef struct pipelane_message pipelane_message;\ntypedef struct pipelane_engine pipelane_engine;\n\
                       typedef struct pipelane_report pipelane_report;\n";
        let shell = shell_of(&format!("{handles}{wrong}"), name);
        assert!(!compared(&root().join(KEPT), &shell).status.success(), "{name}");
    }
}
