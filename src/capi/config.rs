//! A configuration in the making: the keys of the configuration file, set one by one or read from one.
//!
//! What is set for one next hop is kept apart and laid over the rest when an engine is made, so that the order of the
//! calls does not matter. `[listen]` and `[route]` are for `pipelane serve`; a library listens to nobody.

use super::error::{ERR_CONFLICT, ERR_KEY, ERR_NEXT_HOP, ERR_VALUE, Failure, OK};
use super::guard::{self, Handle};
use super::process;
use crate::config::keys::{self, KeyError, Section, set_limits, set_next_hop};
use crate::config::{Config, NextHopSettings};
use crate::mail::NextHop;
use std::collections::BTreeMap;
use std::ffi::c_char;
use std::sync::Arc;

/// `pipelane_config`
#[derive(Debug)]
pub struct ConfigHandle {
    process: u32,
    base: Config,
    /// Keys and values for one next hop, in the order in which they were set.
    own: BTreeMap<NextHop, Vec<(String, String)>>,
}

impl Handle for ConfigHandle {
    fn maker(&self) -> u32 {
        self.process
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Failure {
        let code = match error {
            KeyError::Unknown { .. } => ERR_KEY,
            KeyError::BadValue { .. } => ERR_VALUE,
        };
        Failure::new(code, error.to_string())
    }
}

impl ConfigHandle {
    fn new() -> ConfigHandle {
        ConfigHandle { process: process::number(), base: Config::default(), own: BTreeMap::new() }
    }

    fn set(&mut self, key: &str, value: &str) -> Result<i32, Failure> {
        match keys::all().find(|known| known.name == key).map(|known| known.section()) {
            Some(Section::Limits) => set_limits(&mut self.base.limits, key, value)?,
            _ => set_next_hop(Arc::make_mut(&mut self.base.defaults), key, value)?,
        }
        Ok(OK)
    }

    fn set_for(&mut self, next_hop: &str, key: &str, value: &str) -> Result<i32, Failure> {
        let next_hop = parse_next_hop(next_hop)?;
        set_next_hop(&mut NextHopSettings::default(), key, value)?;
        self.own.entry(next_hop).or_default().push((key.to_owned(), value.to_owned()));
        Ok(OK)
    }

    fn load(&mut self, path: &str) -> Result<i32, Failure> {
        self.base = Config::load(path)?;
        self.own.clear();
        Ok(OK)
    }

    /// The whole, checked.
    pub(super) fn build(&self) -> Result<Config, Failure> {
        let mut config = self.base.clone();
        conflict(&config.defaults, None)?;
        for (next_hop, own) in &self.own {
            let mut settings = (*config.settings(next_hop)).clone();
            own.iter().try_for_each(|(key, value)| set_next_hop(&mut settings, key, value))?;
            conflict(&settings, Some(next_hop))?;
            config.next_hops.insert(next_hop.clone(), Arc::new(settings));
        }
        Ok(config)
    }
}

fn conflict(settings: &NextHopSettings, next_hop: Option<&NextHop>) -> Result<(), Failure> {
    let Some((key, why)) = settings.conflict() else { return Ok(()) };
    let place = next_hop.map_or(String::new(), |next_hop| format!("{next_hop}: "));
    Err(Failure::new(ERR_CONFLICT, format!("{place}{key}: {why}")))
}

/// A next hop of the caller.
pub(super) fn parse_next_hop(text: &str) -> Result<NextHop, Failure> {
    text.parse().map_err(|error: crate::mail::next_hop::NextHopError| Failure::new(ERR_NEXT_HOP, error.to_string()))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pipelane_config_new(config: *mut *mut ConfigHandle) -> i32 {
    // SAFETY: the header asks for these of the caller.
    guard::call(|| unsafe { guard::hand_out(config, "config", || Ok(ConfigHandle::new())) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pipelane_config_set(
    config: *mut ConfigHandle,
    key: *const c_char,
    value: *const c_char,
) -> i32 {
    guard::call(|| {
        // SAFETY: the header asks for these of the caller.
        let (config, key, value) =
            unsafe { (guard::exclusive(config, "config")?, guard::text(key, "key")?, guard::text(value, "value")?) };
        config.set(key, value)
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pipelane_config_set_for(
    config: *mut ConfigHandle,
    next_hop: *const c_char,
    key: *const c_char,
    value: *const c_char,
) -> i32 {
    guard::call(|| {
        // SAFETY: the header asks for these of the caller.
        let (config, next_hop) = unsafe { (guard::exclusive(config, "config")?, guard::text(next_hop, "next_hop")?) };
        // SAFETY: as above.
        let (key, value) = unsafe { (guard::text(key, "key")?, guard::text(value, "value")?) };
        config.set_for(next_hop, key, value)
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pipelane_config_load_file(config: *mut ConfigHandle, path: *const c_char) -> i32 {
    guard::call(|| {
        // SAFETY: the header asks for these of the caller.
        let (config, path) = unsafe { (guard::exclusive(config, "config")?, guard::text(path, "path")?) };
        config.load(path)
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pipelane_config_free(config: *mut ConfigHandle) {
    // SAFETY: the header asks for a handle that is not used again, or NULL.
    unsafe { guard::free(config) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_for_one_next_hop_lies_over_the_rest_in_any_order() {
        let mut config = ConfigHandle::new();
        assert!(config.set_for("[a.test]:25", "window_messages", "7").is_ok());
        assert!(config.set("idle_timeout", "9s").is_ok());
        assert!(config.set("messages", "77").is_ok());
        let built = config.build().expect("good");
        let (own, other) = ("[a.test]:25".parse().expect("a"), "[b.test]:25".parse().expect("b"));
        assert_eq!((built.settings(&own).window_messages, built.settings(&other).window_messages), (7, 64));
        assert_eq!(built.settings(&own).timeouts.idle.as_secs(), 9);
        assert_eq!(built.limits.messages, 77);
    }

    #[test]
    fn keys_that_do_not_fit_together_are_found_when_all_are_known() {
        let mut config = ConfigHandle::new();
        assert!(config.set("lanes", "1 2 3").is_ok());
        assert!(config.build().is_err());
        assert!(config.set("sizebins", "4 64 0").is_ok());
        assert!(config.build().is_ok());
        assert!(config.set_for("h", "sizebins", "4 0").is_ok());
        assert!(format!("{:?}", config.build()).contains("h: lanes: 3"));
    }
}
