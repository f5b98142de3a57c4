//! The resolvers in use, one for each choice of name servers, so that all lanes share what each has learnt.
//!
//! Where TLSA records decide whom mail goes to, no server is asked whose word does not count while there is one whose
//! does ([`Settings::only_believed`]); the answers of such a resolver are its own, and so is its memory. Others ask all
//! servers there are: mail that DNSSEC has no say in goes on when the server that validates is gone.

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
    made: Mutex<HashMap<(NameServers, bool), Arc<Resolver>>>,
}

impl Resolvers {
    /// The resolver that asks these; with `dane`, only those that are believed, if any is.
    pub fn get(&self, whom: &NameServers, dane: bool) -> Arc<Resolver> {
        let mut made = self.made.lock();
        let key = (whom.clone(), dane);
        if let Some(resolver) = made.get(&key) {
            return Arc::clone(resolver);
        }
        if made.len() >= CAPACITY {
            made.clear();
        }
        let resolver = Arc::new(made_for(whom, dane));
        made.insert(key, Arc::clone(&resolver));
        resolver
    }
}

fn made_for(whom: &NameServers, dane: bool) -> Resolver {
    if whom.addresses.is_empty() {
        return Resolver::system(dane);
    }
    let server = |address| Server { trusted: whom.trusted || Server::new(address).trusted, address };
    let settings = Settings::of(whom.addresses.iter().copied().map(server).collect());
    Resolver::new(if dane { settings.only_believed() } else { settings })
}
