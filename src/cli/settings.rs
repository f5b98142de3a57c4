//! The configuration of a command that speaks to one next hop by itself: a file, and keys of the command line over it.

use pipelane::config::keys::{KeyError, set_limits, set_next_hop};
use pipelane::config::{Config, NextHopSettings};
use pipelane::mail::NextHop;
use std::path::PathBuf;
use std::sync::Arc;

/// What the file says, or the defaults without one, with these `KEY=VALUE` over it: keys of the next hop, or of
/// `[limits]`.
pub fn settings(file: Option<PathBuf>, options: &[String], next_hop: &NextHop) -> Result<Config, String> {
    let mut config = match file {
        Some(file) => Config::load(file).map_err(|errors| errors.to_string())?,
        None => Config::default(),
    };
    let mut of_hop = NextHopSettings::clone(&config.settings(next_hop));
    for option in options {
        let (key, value) = option.split_once('=').ok_or_else(|| format!("-o {option}: expected KEY=VALUE"))?;
        match set_next_hop(&mut of_hop, key, value) {
            Err(KeyError::Unknown { .. }) => set_limits(&mut config.limits, key, value),
            done => done,
        }
        .map_err(|error| format!("-o {option}: {error}"))?;
    }
    if let Some((key, why)) = of_hop.conflict() {
        return Err(format!("{key}: {why}"));
    }
    config.next_hops.insert(next_hop.clone(), Arc::new(of_hop));
    Ok(config)
}
