//! Floor 6: the C library. `include/pipelane.h` is its manual and its contract; the functions here are those declared
//! there.
//!
//! What holds for every function: a pointer is checked for null before it is followed, a handle of another process (a
//! parent before fork(2)) is not touched, a text must be UTF-8, a panic comes back as a number (`guard`), and what went
//! wrong is told by a number and by a text of the calling thread (`error`). Nothing here writes to standard error,
//! changes a signal's disposition or the limits of the process.
//!
//! One file for each noun: `config`, `message`, `engine` with its `desk` of reports, `report`; and `log`, `version`.
//! Whoever writes Rust uses [`crate::engine`] instead.

// A panic must come to an end inside the library. Built like this it would end the host.
#[cfg(all(panic = "abort", not(doc)))]
compile_error!("the C library of pipelane must be able to unwind: build it without panic = \"abort\"");

mod config;
mod desk;
mod engine;
mod error;
mod guard;
mod log;
mod message;
mod parcel;
mod process;
mod report;
mod version;

pub use error::NUMBERS;
