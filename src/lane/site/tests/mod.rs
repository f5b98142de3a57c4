//! The site alone, without threads: lanes are played by a model, event by event, in random order.

mod cases;
mod properties;
mod world;
