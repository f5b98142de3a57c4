//! Which process this is, asked at every call, and so without a system call at each.
//!
//! The number is kept in a page that the kernel hands to a child of fork(2) filled with zeroes (MADV_WIPEONFORK,
//! madvise(2)), however the child was made. Where there is no such page getpid(2) is asked.

use std::ptr::{self, NonNull};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// The page, which is never given back.
struct Page(NonNull<AtomicU32>);

// SAFETY: the page is only used as an atomic, and lives as long as the process.
unsafe impl Send for Page {}
// SAFETY: as above.
unsafe impl Sync for Page {}

static PAGE: OnceLock<Option<Page>> = OnceLock::new();

/// The number of this process.
pub(super) fn number() -> u32 {
    let Some(page) = PAGE.get_or_init(Page::new) else { return std::process::id() };
    // SAFETY: a live page of zeroes or of what was stored here.
    let kept = unsafe { page.0.as_ref() };
    match kept.load(Ordering::Relaxed) {
        0 => {
            let number = std::process::id();
            kept.store(number, Ordering::Relaxed);
            number
        }
        number => number,
    }
}

impl Page {
    fn new() -> Option<Page> {
        const SIZE: usize = 4096;
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping, wherever the kernel likes; nothing else is touched.
        let page = unsafe { libc::mmap(ptr::null_mut(), SIZE, access, kind, -1, 0) };
        if page == libc::MAP_FAILED {
            return None;
        }
        // SAFETY: the mapping from above; it keeps its content in this process.
        if unsafe { libc::madvise(page, SIZE, libc::MADV_WIPEONFORK) } != 0 {
            // SAFETY: the mapping from above, which nobody has.
            unsafe { libc::munmap(page, SIZE) };
            return None;
        }
        NonNull::new(page.cast()).map(Page)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_is_the_number_of_this_process() {
        assert_eq!(super::number(), std::process::id());
        assert_eq!(super::number(), std::process::id());
    }
}
