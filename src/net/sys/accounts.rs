//! Users and groups by name or number (getpwnam_r(3), getgrnam_r(3)).

use std::ffi::{CStr, CString, c_char, c_int};
use std::io;
use std::mem;
use std::ptr;

/// The id of a user given by name or, when no user has that name, by number.
pub fn user_id(name: &str) -> io::Result<u32> {
    let found = account(name, |name, buffer| {
        // SAFETY: passwd holds integers and pointers only, so all zeroes is a value of it.
        let mut entry: libc::passwd = unsafe { mem::zeroed() };
        let mut result = ptr::null_mut();
        let (at, size) = (buffer.as_mut_ptr(), buffer.len());
        // SAFETY: the name ends with NUL; entry, buffer (with its true size) and result live through the call.
        let code = unsafe { libc::getpwnam_r(name.as_ptr(), &raw mut entry, at, size, &raw mut result) };
        (code, (!result.is_null()).then_some(entry.pw_uid))
    })?;
    found.or_else(|| number(name)).ok_or_else(|| unknown("user", name))
}

/// The id of a group given by name or, when no group has that name, by number.
pub fn group_id(name: &str) -> io::Result<u32> {
    let found = account(name, |name, buffer| {
        // SAFETY: group holds integers and pointers only, so all zeroes is a value of it.
        let mut entry: libc::group = unsafe { mem::zeroed() };
        let mut result = ptr::null_mut();
        let (at, size) = (buffer.as_mut_ptr(), buffer.len());
        // SAFETY: the name ends with NUL; entry, buffer (with its true size) and result live through the call.
        let code = unsafe { libc::getgrnam_r(name.as_ptr(), &raw mut entry, at, size, &raw mut result) };
        (code, (!result.is_null()).then_some(entry.gr_gid))
    })?;
    found.or_else(|| number(name)).ok_or_else(|| unknown("group", name))
}

/// The most that one account entry may need; a group with very many members is long.
const LONGEST_ENTRY: usize = 1 << 20;

/// Calls `look_up` with ever more room until the entry fits. `None` when there is no such entry.
fn account(name: &str, look_up: impl Fn(&CStr, &mut [c_char]) -> (c_int, Option<u32>)) -> io::Result<Option<u32>> {
    let Ok(c_name) = CString::new(name) else { return Ok(None) };
    let mut buffer: Vec<c_char> = vec![0; 1024];
    loop {
        match look_up(&c_name, &mut buffer) {
            (0, found) => return Ok(found),
            (libc::EINTR, _) => {}
            (libc::ERANGE, _) if buffer.len() < LONGEST_ENTRY => buffer.resize(buffer.len() * 4, 0),
            // getpwnam(3): some systems say "not found" with these.
            (libc::ENOENT | libc::ESRCH, _) => return Ok(None),
            (code, _) => return Err(io::Error::from_raw_os_error(code)),
        }
    }
}

/// An id in digits. The largest number is none: chown(2) and others take it for "leave as it is".
fn number(digits: &str) -> Option<u32> {
    digits.parse().ok().filter(|id| *id != u32::MAX && !digits.starts_with('+'))
}

fn unknown(what: &str, name: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::NotFound,
        format!("no {what} is named \"{}\", and it is no number", name.escape_debug()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_groups_are_found_by_name_or_number() {
        assert_eq!(user_id("root").expect("always there"), 0);
        assert_eq!(group_id("root").expect("always there"), 0);
        assert_eq!(user_id("4294900000").expect("a number"), 4_294_900_000);
        assert_eq!(group_id("4294900000").expect("a number"), 4_294_900_000);
        for name in ["", "no such user", "-1", "+1", "4294967295", "4294967296", "ro\0ot"] {
            assert_eq!(user_id(name).expect_err(name).kind(), io::ErrorKind::NotFound);
            assert_eq!(group_id(name).expect_err(name).kind(), io::ErrorKind::NotFound);
        }
    }

    #[test]
    fn an_entry_longer_than_the_first_buffer_is_found_and_an_endless_one_is_an_error() {
        let long = account("x", |_, buffer| if buffer.len() < 10_000 { (libc::ERANGE, None) } else { (0, Some(7)) });
        assert_eq!(long.expect("found"), Some(7));
        let endless = account("x", |_, _| (libc::ERANGE, None));
        assert_eq!(endless.expect_err("too long").raw_os_error(), Some(libc::ERANGE));
    }
}
