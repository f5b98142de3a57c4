//! The file of users and passwords: what is found in it, and when it is not used at all.

use super::*;
use proptest::prelude::*;
use std::fs::{self, Permissions};

/// A private file with this text.
fn file(text: impl AsRef<[u8]>) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("sasl_passwd");
    fs::write(&path, text).expect("written");
    fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("the owner may");
    (directory, path)
}

/// `user|password` for this host and next hop, `-` where there is none, or the error without the file's name.
fn find(text: impl AsRef<[u8]>, host: &str, next_hop: &str) -> String {
    let (_directory, path) = file(text);
    match Credentials::find(&path, host, next_hop) {
        Ok(Some(found)) => format!("{}|{}", found.user, found.password.expose()),
        Ok(None) => "-".to_owned(),
        Err(error) => error.to_string().replace(&path.display().to_string(), "F"),
    }
}

#[test]
fn postfix_own_example_is_understood() {
    let text = "# destination                   credentials\n\
        [mail.isp.example]            username:password\n\
        # Alternative form:\n\
        # [mail.isp.example]:submission username:password\n\
        \n\
        [Relay.example.net]:587\t \tuser@example.org:pass:word with  blanks \t\n\
        relay.example.org\n  \tuser:over\n\n   # a comment between\n   lines\n\
        last:25 a:b";
    for (host, next_hop, expected) in [
        ("mail.isp.example", "[mail.isp.example]", "username|password"),
        ("mail.isp.example", "[mail.isp.example]:25", "-"),
        ("relay.example.net", "[relay.example.net]:587", "user@example.org|pass:word with  blanks"),
        ("RELAY.EXAMPLE.ORG", "x", "user|over   lines"),
        ("last", "last:25", "a|b"),
        ("destination", "#", "-"),
    ] {
        assert_eq!(find(text, host, next_hop), expected, "{host} {next_hop}");
    }
}

#[test]
fn the_host_comes_before_the_next_hop_and_the_first_line_before_a_second() {
    let text = "[h]:25 one:1\nh two:2\nh three:3\n";
    assert_eq!(find(text, "h", "[h]:25"), "two|2");
    assert_eq!(find(text, "i", "[h]:25"), "one|1");
}

#[test]
fn a_bad_line_is_told_by_its_number_and_never_quoted() {
    let long = format!("h u:{}\n", "p".repeat(MAX_VALUE));
    for (text, line) in [
        ("h\n", 1),
        ("\n# x\nh hunter2\n", 3),
        ("h :hunter2\n", 1),
        ("h hunter2:\n", 1),
        ("h hun\0ter:2\n", 1),
        ("h hunter2:\x01auth\n", 1),
        ("  hunter2:x\n", 1),
        (long.as_str(), 1),
    ] {
        let error = find(text, "h", "h");
        assert!(error.starts_with(&format!("F:{line}: ")), "{text:?}: {error}");
        assert!(!error.contains("hunter2") && !error.contains("ppp"), "{error}");
        assert!(Credentials::check(&file(text).1).is_err());
    }
    assert_eq!(find(b"g u:p\nh \xff:x\n", "h", "h"), "F:2: is not UTF-8");
    // A bad line of another next hop does no harm to this one, but a check tells of it.
    assert_eq!(find("bad\nh u:p\n", "h", "h"), "u|p");
    let (_directory, path) = file("bad\nh u:p\n");
    assert!(matches!(Credentials::check(&path), Err(CredentialsError::BadLine(_, 1, _))));
    fs::write(&path, "h u:p\n").expect("written");
    assert!(Credentials::check(&path).is_ok());
}

#[test]
fn a_file_that_is_not_private_is_refused_and_the_error_says_what_to_do() {
    let (_directory, path) = file("h u:p\n");
    for mode in 0..0o1000 {
        fs::set_permissions(&path, Permissions::from_mode(mode | 0o400)).expect("the owner may");
        let found = Credentials::find(&path, "h", "h");
        match mode & 0o066 {
            0 => assert!(matches!(found, Ok(Some(_))), "{mode:o}: {found:?}"),
            _ => {
                let text = found.expect_err("not private").to_string();
                assert!(text.ends_with(&format!("say: chmod 600 {}", path.display())), "{mode:o}: {text}");
            }
        }
    }
}

#[test]
fn what_is_no_file_is_refused_without_waiting() {
    let directory = tempfile::tempdir().expect("a directory");
    let pipe = directory.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo(1)").success());
    for path in [pipe.as_path(), directory.path(), Path::new("/dev/zero")] {
        assert!(matches!(Credentials::find(path, "h", "h"), Err(CredentialsError::NotAFile(_))), "{path:?}");
    }
    let missing = Credentials::find(&directory.path().join("none"), "h", "h").expect_err("not there").to_string();
    assert!(missing.contains("none: cannot be read: "), "{missing}");
    let (_directory, path) = file(vec![b'#'; MAX_FILE as usize + 1]);
    assert!(matches!(Credentials::find(&path, "h", "h"), Err(CredentialsError::TooLarge(_))));
}

#[test]
fn a_changed_file_counts_at_once() {
    let (_directory, path) = file("h u:old\n");
    let password = || Credentials::find(&path, "h", "h").expect("a good file").map(|c| c.password.expose().to_owned());
    assert_eq!(password().as_deref(), Some("old"));
    fs::write(&path, "h u:new\n").expect("written");
    assert_eq!(password().as_deref(), Some("new"));
    fs::write(&path, "").expect("written");
    assert_eq!(password(), None);
}

proptest! {
    #[test]
    fn no_octets_make_it_panic(text in prop::collection::vec(any::<u8>(), 0..200)) {
        find(&text, "h", "[h]:25");
    }

    #[test]
    fn what_was_written_is_found(user in "[^:\\pC \t#][^:\\pC]{0,8}[^:\\pC \t]", password in "[^\\pC \t]([^\\pC]{0,20}[^\\pC \t])?") {
        // Blanks at the ends are not part of it, and U+0085 and its like end no line.
        let text = format!("other x:y\nhost\t {user}:{password} \n");
        prop_assert_eq!(find(text, "host", "h"), format!("{user}|{password}"));
    }
}

#[test]
fn a_file_of_somebody_else_is_not_used() {
    let (_directory, path) = file("h u:p\n");
    let own = own_uid().expect("a number");
    assert_eq!(own, fs::metadata(&path).expect("there").uid());
    for (owner, reader, expected) in [(0, 1000, true), (1000, 1000, true), (1001, 1000, false), (1001, 0, true)] {
        assert_eq!(is_ours(owner, reader), expected, "of {owner}, for {reader}");
    }
}
