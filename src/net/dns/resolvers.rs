//! The resolvers in use, one for each choice of name servers, so that all lanes share what each has learnt.

use super::{Resolver, Server, Settings};
use crate::config::NameServers;
use crate::sync::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// Kept at the most; beyond it all are made anew as they are needed, and what they know is lost.
const CAPACITY: usize = 64;

/// Resolvers by settings. Any thread.
#[derive(Debug, Default)]
pub struct Resolvers {
    made: Mutex<HashMap<NameServers, Arc<Resolver>>>,
}

impl Resolvers {
    /// The resolver that asks these.
    pub fn get(&self, whom: &NameServers) -> Arc<Resolver> {
        let mut made = self.made.lock();
        if let Some(resolver) = made.get(whom) {
            return Arc::clone(resolver);
        }
        if made.len() >= CAPACITY {
            made.clear();
        }
        let resolver = Arc::new(made_for(whom));
        made.insert(whom.clone(), Arc::clone(&resolver));
        resolver
    }
}

fn made_for(whom: &NameServers) -> Resolver {
    if whom.addresses.is_empty() {
        return Resolver::system();
    }
    let server = |address| Server { trusted: whom.trusted, ..Server::new(address) };
    Resolver::new(Settings::of(whom.addresses.iter().copied().map(server).collect()))
}
