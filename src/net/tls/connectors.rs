//! The connectors in use, each made once: one costs tens of milliseconds, for the authorities that a system trusts are
//! many.
//!
//! Settings whose files have changed since get a new one, so that a renewed certificate needs no restart. Which
//! implementation it is, the settings say. Files are read, and connectors made, with a lock held that only those wait
//! for who need the same one.

#[cfg(all(unix, not(target_vendor = "apple")))]
use super::libssl::{Kept, OpensslConnector};
use super::native::NativeConnector;
use super::{Connector, TlsError};
use crate::config::{TlsLibrary, TlsSettings};
use crate::sync::Mutex;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

/// Kept at the most; the one that was not used for the longest time makes room.
const CAPACITY: usize = 64;

/// When each file of some settings was last changed, and its length.
type Stamps = [Option<(SystemTime, u64)>; 3];

/// A connector, and how its files were; `None` until it is made.
type Slot = Mutex<Option<(Stamps, Arc<dyn Connector>)>>;

#[derive(Debug, Default)]
struct Slots {
    /// Each with a number larger than that of all that were used earlier.
    made: HashMap<TlsSettings, (Arc<Slot>, u64)>,
    uses: u64,
}

impl Slots {
    fn get(&mut self, key: &TlsSettings) -> Arc<Slot> {
        if self.made.len() >= CAPACITY && !self.made.contains_key(key) {
            let idlest = self.made.iter().min_by_key(|(_, (_, used))| *used).map(|(key, _)| key.clone());
            idlest.map(|key| self.made.remove(&key));
        }
        self.uses += 1;
        let (slot, used) = self.made.entry(key.clone()).or_default();
        *used = self.uses;
        Arc::clone(slot)
    }
}

/// Connectors by settings. Any thread.
#[derive(Debug, Default)]
pub struct Connectors {
    #[cfg(all(unix, not(target_vendor = "apple")))]
    kept: Kept,
    slots: Mutex<Slots>,
}

impl Connectors {
    /// The connector for these settings.
    pub fn get(&self, settings: &TlsSettings) -> Result<Arc<dyn Connector>, TlsError> {
        // The name is no part of a connector.
        let key = TlsSettings { name: None, ..settings.clone() };
        let now = [&key.ca_file, &key.cert_file, &key.key_file].map(stamp);
        let slot = self.slots.lock().get(&key);
        // Made under the slot's lock: lanes that start together wait for one instead of making one each.
        let mut made = slot.lock();
        if let Some((then, connector)) = &*made
            && *then == now
        {
            return Ok(Arc::clone(connector));
        }
        let connector = self.make(&key)?;
        *made = Some((now, Arc::clone(&connector)));
        Ok(connector)
    }

    fn make(&self, settings: &TlsSettings) -> Result<Arc<dyn Connector>, TlsError> {
        match settings.library {
            #[cfg(all(unix, not(target_vendor = "apple")))]
            TlsLibrary::Openssl => Ok(Arc::new(OpensslConnector::new(settings, &self.kept)?)),
            #[cfg(not(all(unix, not(target_vendor = "apple"))))]
            TlsLibrary::Openssl => Err(TlsError::Settings("tls_library = \"openssl\" is not in this build".into())),
            TlsLibrary::Native => Ok(Arc::new(NativeConnector::new(settings)?)),
        }
    }
}

fn stamp(path: &Option<PathBuf>) -> Option<(SystemTime, u64)> {
    let about = std::fs::metadata(path.as_ref()?).ok()?;
    Some((about.modified().ok()?, about.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(number: usize) -> TlsSettings {
        TlsSettings { cert_file: Some(format!("/nowhere/{number}").into()), ..TlsSettings::default() }
    }

    #[test]
    fn the_one_that_was_not_used_for_the_longest_time_makes_room() {
        let mut slots = Slots::default();
        let first = slots.get(&at(0));
        for number in 1..CAPACITY + 10 {
            slots.get(&at(number));
            assert!(Arc::ptr_eq(&first, &slots.get(&at(0))), "{number}");
        }
        assert_eq!(slots.made.len(), CAPACITY);
        assert!(!slots.made.contains_key(&at(1)) && slots.made.contains_key(&at(CAPACITY + 9)));
    }

    #[test]
    fn nobody_waits_for_a_file_that_others_need() {
        let folder = tempfile::tempdir().expect("a directory");
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo(1)");
        assert!(made.success());
        let settings = TlsSettings { cert_file: Some(pipe), ..TlsSettings::default() };
        let connectors = Connectors::default();
        let error = connectors.get(&settings).expect_err("no plain file").to_string();
        assert!(error.ends_with("is no plain file"), "{error}");
        let slot = connectors.slots.lock().get(&settings);
        let _busy = slot.lock();
        assert!(connectors.get(&TlsSettings::default()).is_ok(), "another is being made");
    }
}
