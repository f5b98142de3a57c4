//! The numbers of the header, and what is told of a call that failed: a number, and a text that waits for the thread
//! that made the call.
//!
//! A number once released keeps its meaning, and the number of one that is given up is not used again. Hundreds by
//! layer: 1 the call itself, 2 configuration, 3 the engine, 9 faults of pipelane.

use crate::config::ConfigErrors;
use crate::mail::ContentError;
use std::any::Any;
use std::cell::RefCell;
use std::ffi::{CStr, c_char};
use std::io;

/// Makes a constant of each row, and a table of all of them.
macro_rules! numbers {
    ($($name:ident = $number:literal $(, $text:literal)?;)*) => {
        // Some stand in the header only.
        $(#[allow(dead_code)] pub(super) const $name: i32 = $number;)*

        /// Every number of the header by the name that it has there, without `PIPELANE_`.
        pub const NUMBERS: &[(&str, i32)] = &[$((stringify!($name), $number)),*];

        /// The text for a result.
        const TEXTS: &[(i32, &CStr)] = &[$($(($number, $text),)?)*];
    };
}

numbers! {
    OK = 0, c"done";
    EMPTY = 1, c"nothing came within the time";

    ERR_NULL = 100, c"a pointer is NULL that must not be";
    ERR_FORKED = 101, c"the handle was made by another process, before fork()";
    ERR_TEXT = 102, c"a text is not UTF-8";
    ERR_ARGUMENT = 103, c"a number is not one of those allowed";
    ERR_STATE = 104, c"not allowed at this point";
    ERR_ADDRESS = 105, c"a text is no mail address";
    ERR_NEXT_HOP = 106, c"a text is no next hop";
    ERR_PARAMETER = 107, c"a text is no such parameter of MAIL or RCPT";
    ERR_INCOMPLETE = 108, c"the message lacks a part";
    ERR_CONTENT = 109, c"the content must not be sent as it is";
    ERR_FILE = 110, c"the file of the content cannot be read";

    ERR_KEY = 200, c"no such key";
    ERR_VALUE = 201, c"the value is not allowed for this key";
    ERR_CONFIG_FILE = 202, c"the configuration file is wrong or cannot be read";
    ERR_CONFLICT = 203, c"settings do not fit together";

    ERR_BUSY = 300, c"the engine holds as many messages as it may";
    ERR_STOPPING = 301, c"the engine was drained and takes no more messages";
    ERR_UNKNOWN = 302, c"no such message is held";
    ERR_STORAGE = 303, c"the content cannot be stored";
    ERR_SYSTEM = 304, c"the system has refused a thread or a descriptor";
    ERR_TIMEOUT = 305, c"the engine's threads have not all ended within the time";

    ERR_PANIC = 900, c"a fault of pipelane";

    LINES_CRLF = 0;
    LINES_LF = 1;

    BODY_UNSPECIFIED = 0;
    BODY_7BIT = 1;
    BODY_8BITMIME = 2;

    NO_OUTCOME = 0;
    DELIVERED = 1;
    DEFERRED = 2;
    FAILED = 3;
    IN_DOUBT = 4;

    LOG_OFF = 0;
    LOG_ERROR = 1;
    LOG_WARN = 2;
    LOG_INFO = 3;
    LOG_DEBUG = 4;
    LOG_TRACE = 5;
}

thread_local! {
    static LAST: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Why a call failed.
#[derive(Debug)]
pub(super) struct Failure {
    code: i32,
    text: String,
}

impl Failure {
    pub fn new(code: i32, text: impl Into<String>) -> Failure {
        Failure { code, text: text.into() }
    }

    /// A null pointer as the argument of this name.
    pub fn null(name: &str) -> Failure {
        Failure::new(ERR_NULL, format!("{name} is NULL"))
    }

    pub fn panic(payload: &(dyn Any + Send)) -> Failure {
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a text");
        Failure::new(ERR_PANIC, format!("a fault of pipelane, which is worth a report: {text}"))
    }

    /// Keeps the text for this thread and tells the number.
    pub fn tell(self) -> i32 {
        // Not there any more when the thread ends at this moment: then there is nobody to ask.
        let _ = LAST.try_with(|last| *last.borrow_mut() = self.text);
        self.code
    }
}

impl From<ContentError> for Failure {
    fn from(error: ContentError) -> Failure {
        let code = match error {
            ContentError::Refused { .. } | ContentError::TooLarge(_) => ERR_CONTENT,
            ContentError::Storage { .. } => ERR_STORAGE,
        };
        Failure::new(code, error.to_string())
    }
}

impl From<ConfigErrors> for Failure {
    fn from(errors: ConfigErrors) -> Failure {
        Failure::new(ERR_CONFIG_FILE, errors.to_string())
    }
}

/// The file of a content.
pub(super) fn unreadable(error: &io::Error) -> Failure {
    Failure::new(ERR_FILE, format!("the file of the content: {error}"))
}

/// Copies as much of the text as fits, ends it with a NUL, and tells how many octets the whole text has.
///
/// # Safety
/// `buffer` has room for `size` octets, or is null.
pub(super) unsafe fn copy_out(text: &str, buffer: *mut c_char, size: usize) -> usize {
    if !buffer.is_null() && size > 0 {
        let octets = text.len().min(size - 1);
        // SAFETY: at most size - 1 octets are copied and one is written, within the caller's `size`; the text is ours, so they
        // do not overlap.
        unsafe {
            std::ptr::copy_nonoverlapping(text.as_ptr().cast(), buffer, octets);
            buffer.add(octets).write(0);
        }
    }
    text.len()
}

#[unsafe(no_mangle)]
pub extern "C" fn pipelane_strerror(result: i32) -> *const c_char {
    let known = TEXTS.iter().find(|(number, _)| *number == result);
    known.map_or(c"no such result", |(_, text)| *text).as_ptr()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pipelane_last_error(buffer: *mut c_char, size: usize) -> usize {
    // SAFETY: the header asks for room for `size` octets.
    LAST.try_with(|last| unsafe { copy_out(&last.borrow(), buffer, size) }).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_to_its_room_and_its_length_told() {
        let mut room = [b'x' as c_char; 8];
        // SAFETY: the size is that of the array, or smaller.
        let told = unsafe { copy_out("twelve chars", room.as_mut_ptr(), 5) };
        assert_eq!((told, &room[..6]), (12, &b"twel\0x".map(|b| b as c_char)[..]));
        // SAFETY: nothing is written.
        assert_eq!(unsafe { copy_out("ab", std::ptr::null_mut(), 5) }, 2);
        // SAFETY: as above.
        assert_eq!(unsafe { copy_out("ab", room.as_mut_ptr(), 0) }, 2);
    }

    #[test]
    fn every_result_has_a_text_of_its_own() {
        let results: Vec<_> =
            NUMBERS.iter().filter(|(name, n)| name.starts_with("ERR_") || *name == "OK" || *n == 900).collect();
        assert_eq!(TEXTS.len(), results.len() + 1, "and EMPTY");
        let mut numbers: Vec<i32> = TEXTS.iter().map(|(number, _)| *number).collect();
        numbers.dedup();
        assert_eq!(numbers.len(), TEXTS.len());
    }
}
