//! Which version this library is, and of which binary interface.

use std::ffi::{CStr, c_char};

/// The number in the library's name, `libpipelane.so.0`: another one only when programs must be compiled anew.
const ABI: i32 = 0;

const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => version,
    Err(_) => c"",
};

#[unsafe(no_mangle)]
pub extern "C" fn pipelane_version() -> *const c_char {
    VERSION.as_ptr()
}

#[unsafe(no_mangle)]
pub extern "C" fn pipelane_abi() -> i32 {
    ABI
}
