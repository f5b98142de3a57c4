//! The boundary: what every function of the header does before and behind its own work.
//!
//! [`call`] lets no panic out. [`shared`], [`exclusive`] and [`text`] turn a caller's pointer into something safe to
//! use, or into a [`Failure`]; [`free`] takes a handle back. A handle belongs to the process that made it: in a child
//! of fork(2) its threads do not exist and its sockets are the parent's, so there it is not used, and not freed either.

use super::error::{ERR_FORKED, ERR_TEXT, Failure, OK};
use super::process;
use std::ffi::{CStr, c_char};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

/// What a pointer of the header points to.
pub(super) trait Handle {
    /// The process that made it.
    fn maker(&self) -> u32;
}

/// Runs the work of a function whose result is a number.
pub(super) fn call(work: impl FnOnce() -> Result<i32, Failure>) -> i32 {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => done.unwrap_or_else(Failure::tell),
        Err(payload) => {
            let code = Failure::panic(&*payload).tell();
            // Dropping a payload runs foreign code, which could panic again.
            mem::forget(payload);
            code
        }
    }
}

/// Runs the work of a function whose result is something else, and `otherwise` if it fails.
pub(super) fn get<T>(otherwise: T, work: impl FnOnce() -> Result<T, Failure>) -> T {
    let mut found = otherwise;
    call(|| {
        found = work()?;
        Ok(OK)
    });
    found
}

/// What the pointer points to, for reading.
///
/// # Safety
/// Null, or from [`hand_out`] and not freed, and nobody changes it meanwhile.
pub(super) unsafe fn shared<'a, T: Handle>(pointer: *const T, name: &str) -> Result<&'a T, Failure> {
    // SAFETY: as asked of the caller.
    let handle = unsafe { pointer.as_ref() }.ok_or_else(|| Failure::null(name))?;
    own(handle.maker(), name).map(|()| handle)
}

/// What the pointer points to, to be changed.
///
/// # Safety
/// Null, or from [`hand_out`] and not freed, and nobody else uses it meanwhile.
pub(super) unsafe fn exclusive<'a, T: Handle>(pointer: *mut T, name: &str) -> Result<&'a mut T, Failure> {
    // SAFETY: as asked of the caller.
    let handle = unsafe { pointer.as_mut() }.ok_or_else(|| Failure::null(name))?;
    own(handle.maker(), name).map(|()| handle)
}

fn own(maker: u32, name: &str) -> Result<(), Failure> {
    if maker == process::number() {
        return Ok(());
    }
    Err(Failure::new(ERR_FORKED, format!("the {name} was made by process {maker}, before fork()")))
}

/// Gives a new handle to the caller.
///
/// # Safety
/// `out` is null or may be written to.
pub(super) unsafe fn hand_out<T>(
    out: *mut *mut T,
    name: &str,
    make: impl FnOnce() -> Result<T, Failure>,
) -> Result<i32, Failure> {
    // SAFETY: as asked of the caller. Null first, so that a failure leaves no pointer to nowhere.
    let out = unsafe { out.as_mut() }.ok_or_else(|| Failure::null(name))?;
    *out = std::ptr::null_mut();
    *out = Box::into_raw(Box::new(make()?));
    Ok(OK)
}

/// Takes a handle back, unless it is null or another process's.
///
/// # Safety
/// As for [`exclusive`]; it is not used again.
pub(super) unsafe fn take_back<T: Handle>(pointer: *mut T) -> Option<Box<T>> {
    // SAFETY: as asked of the caller.
    let handle = unsafe { pointer.as_ref() }?;
    // SAFETY: it came from `hand_out`, which made it of a Box.
    (handle.maker() == process::number()).then(|| unsafe { Box::from_raw(pointer) })
}

/// Frees a handle.
///
/// # Safety
/// As for [`take_back`].
pub(super) unsafe fn free<T: Handle>(pointer: *mut T) {
    call(|| {
        // SAFETY: as asked of the caller.
        drop(unsafe { take_back(pointer) });
        Ok(OK)
    });
}

/// A text of the caller.
///
/// # Safety
/// Null, or ends with a NUL and is not changed meanwhile.
pub(super) unsafe fn text<'a>(pointer: *const c_char, name: &str) -> Result<&'a str, Failure> {
    // SAFETY: as asked of the caller.
    unsafe { optional_text(pointer, name) }?.ok_or_else(|| Failure::null(name))
}

/// A text of the caller that may be left out by a null pointer.
///
/// # Safety
/// As for [`text`].
pub(super) unsafe fn optional_text<'a>(pointer: *const c_char, name: &str) -> Result<Option<&'a str>, Failure> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: as asked of the caller.
    let text = unsafe { CStr::from_ptr(pointer) }.to_str();
    text.map(Some).map_err(|error| Failure::new(ERR_TEXT, format!("{name} is not UTF-8: {error}")))
}

/// From now on a panic of this library is a line of the log, not one on the host's standard error.
pub(super) fn quiet_panics() {
    static ONCE: Once = Once::new();
    // A test runner has a use for that line.
    if cfg!(not(test)) {
        ONCE.call_once(|| std::panic::set_hook(Box::new(|info| log::error!("a fault of pipelane: {info}"))));
    }
}

#[cfg(test)]
mod tests {
    use super::super::error::{ERR_NULL, ERR_PANIC, pipelane_last_error};
    use super::*;

    fn last_error() -> String {
        let mut room = [0u8; 200];
        // SAFETY: the size is that of the array.
        let length = unsafe { pipelane_last_error(room.as_mut_ptr().cast(), room.len()) };
        String::from_utf8_lossy(&room[..length.min(199)]).into_owned()
    }

    struct Thing(u32);

    impl Handle for Thing {
        fn maker(&self) -> u32 {
            self.0
        }
    }

    #[test]
    fn a_panic_ends_at_the_boundary() {
        assert_eq!(call(|| panic!("on purpose")), ERR_PANIC);
        assert!(last_error().ends_with("on purpose"), "{}", last_error());
        assert_eq!(get(7, || panic!("again {}", 1)), 7);
        assert!(last_error().ends_with("again 1"));
        assert_eq!(get(7, || Ok(8)), 8);
    }

    #[test]
    fn what_another_process_made_is_neither_used_nor_freed() {
        let theirs = Box::into_raw(Box::new(Thing(std::process::id() + 1)));
        // SAFETY: a live Thing that only this test has.
        let code = call(|| unsafe { shared(theirs, "thing") }.map(|_| OK));
        assert_eq!(code, ERR_FORKED);
        // SAFETY: as above; it is not taken, and so lives on.
        assert!(unsafe { take_back(theirs) }.is_none());
        // SAFETY: as above, and this time it is freed.
        drop(unsafe { Box::from_raw(theirs) });
    }

    #[test]
    fn null_is_told_by_name() {
        // SAFETY: null is allowed.
        let code = call(|| unsafe { exclusive(std::ptr::null_mut::<Thing>(), "thing") }.map(|_| OK));
        assert_eq!((code, last_error().as_str()), (ERR_NULL, "thing is NULL"));
    }
}
