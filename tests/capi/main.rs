//! The C library as C programs use it: every program of `tests/capi/` and `examples/`, compiled as C99 and as C++, run
//! plain, under valgrind and with AddressSanitizer, each against a sink that is a process of its own; and whether
//! header and library agree.
//!
//! What a test needs and this machine does not have (a compiler, valgrind, ...) is named as skipped;
//! scripts/install-needs installs it.

mod abi;
mod agree;
mod examples;
mod install;
mod place;
mod programs;
