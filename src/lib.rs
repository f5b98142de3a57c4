//! pipelane
pub mod config;
pub mod conn;
pub mod door;
pub mod engine;
pub mod lane;
pub mod mail;
pub mod net;
pub mod sink;
pub mod smtp;
pub mod sync;
pub mod trial;
