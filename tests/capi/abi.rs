//! The binary interface is the one that is kept in `abi/`, or has grown: nothing that programs rely on has changed or gone.
//!
//! After an addition the kept one is renewed: `scripts/abi`.

use super::place::{folder, has, library, root, run, text};
use std::process::Command;

#[test]
fn the_library_fits_programs_compiled_before() {
    if !has(&["abidiff"]) {
        return;
    }
    let kept = root().join("abi/libpipelane.so.0.abi");
    let headers = root().join("include");
    let mut command = Command::new("abidiff");
    command.args(["--no-added-syms", "--headers-dir2"]).arg(headers).arg(kept).arg(library());
    let output = run(&mut command);
    assert!(output.status.success(), "{}", text(&output));
}

#[test]
fn a_parameter_that_changes_is_noticed() {
    if !has(&["abidiff"]) {
        return;
    }
    let kept = std::fs::read_to_string(root().join("abi/libpipelane.so.0.abi")).expect("kept");
    let function = kept.find("<function-decl name='pipelane_message_set_priority'").expect("it is in there");
    let rest = &kept[function..];
    let parameter = rest.find("<parameter type-id='").expect("a first parameter");
    let second = parameter + rest[parameter + 1..].find("<parameter type-id='").expect("a second") + 1;
    let end = second + rest[second..].find("/>").expect("its end");
    let changed = format!("{}{}{}", &kept[..function + second], &rest[parameter..second].trim_end(), &rest[end + 2..]);
    let file = folder().join("changed.abi");
    std::fs::write(&file, changed).expect("a file");
    let output = run(Command::new("abidiff").arg(&file).arg(library()));
    assert!(!output.status.success(), "{}", text(&output));
}
