//! pipelane
pub mod config;
pub mod door;
pub mod engine;
pub mod lane;
pub mod mail;
pub mod net;
pub mod smtp;
pub mod sync;
