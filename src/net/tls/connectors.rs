//! The connectors in use, each made once: one costs tens of milliseconds, for the authorities that a system trusts are
//! many.
//!
//! Settings whose files have changed since get a new one, so that a renewed certificate needs no restart. Which
//! implementation it is, the settings say.

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

/// Kept at the most; beyond it all are made anew as they are needed.
const CAPACITY: usize = 64;

/// When each file of some settings was last changed, and its length.
type Stamps = [Option<(SystemTime, u64)>; 3];

/// A connector, and how its files were.
type Made = (Stamps, Arc<dyn Connector>);

/// Connectors by settings. Any thread.
#[derive(Debug, Default)]
pub struct Connectors {
    #[cfg(all(unix, not(target_vendor = "apple")))]
    kept: Kept,
    made: Mutex<HashMap<TlsSettings, Made>>,
}

impl Connectors {
    /// The connector for these settings.
    pub fn get(&self, settings: &TlsSettings) -> Result<Arc<dyn Connector>, TlsError> {
        // The name is no part of a connector.
        let key = TlsSettings { name: None, ..settings.clone() };
        let now = [&key.ca_file, &key.cert_file, &key.key_file].map(stamp);
        // Made under the lock: lanes that start together wait for one instead of making one each.
        let mut made = self.made.lock();
        if let Some((then, connector)) = made.get(&key)
            && *then == now
        {
            return Ok(Arc::clone(connector));
        }
        let connector = self.make(&key)?;
        if made.len() >= CAPACITY {
            made.clear();
        }
        made.insert(key, (now, Arc::clone(&connector)));
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
