//! The log, to a function of the host. One for the whole process, since lanes are not the threads of anybody.
//!
//! The function is called without any lock, by several threads at once. It is read anew for each line, so that another
//! one can be set; a line that is being said at that moment still goes to the old one.

use super::error::{ERR_ARGUMENT, ERR_STATE, Failure, OK};
use super::guard;
use crate::sync::RwLock;
use log::{LevelFilter, Log, Metadata, Record};
use std::ffi::{CString, c_char, c_void};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Once};

/// The host's function.
pub type LogFn = Option<unsafe extern "C" fn(level: i32, text: *const c_char, user: *mut c_void)>;

#[derive(Clone, Copy)]
struct Target {
    function: unsafe extern "C" fn(i32, *const c_char, *mut c_void),
    user: *mut c_void,
}

// SAFETY: `user` is not followed here; the header says that the function is called by any thread, several at once.
unsafe impl Send for Target {}
// SAFETY: as above.
unsafe impl Sync for Target {}

struct ToHost;

/// Lazy, since the schedule explorer's twin of the lock cannot be made at compile time.
static TARGET: LazyLock<RwLock<Option<Target>>> = LazyLock::new(|| RwLock::new(None));

impl Log for ToHost {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let Some(target) = *TARGET.read() else { return };
        let text = record.args().to_string().replace('\0', "?");
        let Ok(text) = CString::new(text) else { return };
        // SAFETY: the header asks for a function that takes these and may be called at any time.
        unsafe { (target.function)(record.level() as i32, text.as_ptr(), target.user) };
    }

    fn flush(&self) {}
}

#[unsafe(no_mangle)]
pub extern "C" fn pipelane_set_log(function: LogFn, user: *mut c_void, level: i32) -> i32 {
    guard::call(|| set(function, user, level))
}

fn set(function: LogFn, user: *mut c_void, level: i32) -> Result<i32, Failure> {
    static ONCE: Once = Once::new();
    static OURS: AtomicBool = AtomicBool::new(false);
    let filter = usize::try_from(level).ok().and_then(|level| LevelFilter::iter().nth(level));
    let filter = filter.ok_or_else(|| Failure::new(ERR_ARGUMENT, format!("there is no log level {level}")))?;
    ONCE.call_once(|| OURS.store(log::set_logger(&ToHost).is_ok(), Ordering::Relaxed));
    if !OURS.load(Ordering::Relaxed) {
        return Err(Failure::new(ERR_STATE, "this program, which is written in Rust, has a logger of its own"));
    }
    let target = function.map(|function| Target { function, user });
    log::set_max_level(if target.is_some() { filter } else { LevelFilter::Off });
    *TARGET.write() = target;
    Ok(OK)
}
