//! Real lane threads over connections that follow a test's script: no sockets, and no moment that depends on a clock.

mod change;
mod order;
mod panics;
mod refusal;
mod stage;
mod stopping;
