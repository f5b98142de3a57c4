//! Questions to the name servers there are, in turn, with a memory.
//!
//! Promises: an answer comes from the cache while it holds; else from the first server, in their order, that has one
//! before the moment is over. A server that says it has none is asked once, one that is silent as often as the
//! settings say; for half a minute it then comes behind those that talk, so that not every question waits for it.
//! Aliases that a server does not follow are followed here, no more than [`CHAIN`] of them. Any
//! thread may ask; each waits for its own question only, which others may have asked already (`on_its_way`), and no
//! lock is held meanwhile.

use super::answer::{Answer, Content, SoftFailure, Type};
use super::cache::Cache;
use super::exchange::{self, Trouble, Wait};
use super::message::Heard;
use super::on_its_way::{Asking, OnItsWay, Part, Told as Learnt};
use super::source::{InUse, Known, Source};
use super::{CHAIN, Name, Settings};
use crate::sync::after;
use std::time::{Duration, Instant};

/// How long a server that was silent comes last.
const LAST: Duration = Duration::from_secs(30);

/// The most answers that are remembered, unless the caller says something else.
pub(super) const REMEMBERED: usize = 4096;

/// Asks, and remembers.
#[derive(Debug)]
pub struct Resolver {
    source: Source,
    cache: Cache,
    on_its_way: OnItsWay,
}

/// How the way through the servers ended.
enum Told {
    Answer(Answer),
    Alias(Answer),
}

impl Resolver {
    /// One that asks these servers, and remembers nothing yet.
    pub fn new(settings: Settings) -> Resolver {
        let cache = Cache::new(settings.remembered);
        Resolver { cache, source: Source::fixed(settings), on_its_way: OnItsWay::default() }
    }

    /// One that asks those of this machine's resolv.conf(5), as it is at each time; where only those that are believed
    /// are wanted, and there is one, none but those.
    pub fn system(only_believed: bool) -> Resolver {
        let source = Source::system(only_believed);
        Resolver { cache: Cache::new(REMEMBERED), source, on_its_way: OnItsWay::default() }
    }

    /// What there is of this type under this name.
    pub fn query(&self, name: &Name, of: Type, wait: &Wait<'_>) -> Result<Answer, SoftFailure> {
        loop {
            if let Some(answer) = self.cache.get(name, of, Instant::now()) {
                return Ok(answer);
            }
            let question = match self.on_its_way.join(name, of) {
                Part::Ask(asking) => return self.ask(name, of, wait, asking),
                Part::Wait(question) => question,
            };
            match question.wait(wait) {
                Some(told) => return told,
                None if wait.is_over() => {
                    let why = if wait.is_interrupted() { "interrupted" } else { "no answer in time" };
                    return Err(SoftFailure(format!("{} of {name}: {why}", of.as_str())));
                }
                None => {}
            }
        }
    }

    /// Threads that wait for another's question.
    #[cfg(test)]
    pub(super) fn waiting(&self, name: &Name, of: Type) -> usize {
        self.on_its_way.waiting(name, of)
    }

    /// Asks for all that wait.
    fn ask(&self, name: &Name, of: Type, wait: &Wait<'_>, asking: Asking<'_>) -> Learnt {
        // Another may have been told just before.
        if let Some(answer) = self.cache.get(name, of, Instant::now()) {
            return Ok(answer);
        }
        let told = self.look_up(name, of, wait);
        if let Ok(answer) = &told {
            self.cache.put(name, of, answer, Instant::now());
        }
        if told.is_ok() || !wait.is_over() {
            asking.tell(told.clone());
        }
        told
    }

    fn look_up(&self, name: &Name, of: Type, wait: &Wait<'_>) -> Result<Answer, SoftFailure> {
        let failure = |text: String| SoftFailure(format!("{} of {name}: {text}", of.as_str()));
        let (mut current, mut secure, mut lifetime) = (name.clone(), true, Duration::MAX);
        for _ in 0..=CHAIN {
            let (told, is_end) = match self.ask_in_turn(&current, of, wait).map_err(failure)? {
                Told::Answer(answer) => (answer, true),
                Told::Alias(answer) => (answer, false),
            };
            secure &= told.secure;
            lifetime = lifetime.min(told.lifetime);
            if is_end {
                return Ok(Answer { secure, lifetime, ..told });
            }
            current = told.name;
        }
        Err(failure(format!("it is an alias with more than {CHAIN} others behind it")))
    }

    /// Asks one server after the other. The error is what each has to say for itself.
    fn ask_in_turn(&self, name: &Name, of: Type, wait: &Wait<'_>) -> Result<Told, String> {
        let in_use = self.source.current();
        let servers = in_order(&in_use);
        let mut said: Vec<Option<String>> = vec![None; servers.len()];
        for _ in 0..in_use.attempts.max(1) {
            for (known, said) in servers.iter().zip(&mut said) {
                if said.is_some() || wait.is_over() {
                    continue;
                }
                let until = wait.until.min(after(in_use.timeout));
                let told = ask(known, name, of, &Wait { until, ..*wait });
                // When the caller's patience ended it, nothing is known.
                let is_silent = matches!(told, Err(Trouble::Silence | Trouble::Interrupted));
                if !is_silent || !wait.is_over() {
                    *known.silent.lock() = is_silent.then(Instant::now);
                }
                match told {
                    Ok(told) => return Ok(told),
                    Err(Trouble::Silence | Trouble::Interrupted) => {}
                    Err(Trouble::Because(text)) => *said = Some(text),
                }
            }
        }
        if wait.is_interrupted() {
            return Err("interrupted".into());
        }
        let each = servers.iter().zip(said);
        let all: Vec<String> = each
            .map(|(known, said)| {
                format!("{}: {}", known.server.address, said.as_deref().unwrap_or("no answer in time"))
            })
            .collect();
        Err(if all.is_empty() { "there is no name server to ask".into() } else { all.join("; ") })
    }
}

/// As they are given, but for those that were silent lately.
fn in_order(in_use: &InUse) -> Vec<&Known> {
    let mut servers: Vec<&Known> = in_use.servers.iter().collect();
    servers.sort_by_cached_key(|known| known.silent.lock().is_some_and(|since| since.elapsed() < LAST));
    servers
}

fn ask(known: &Known, name: &Name, of: Type, wait: &Wait<'_>) -> Result<Told, Trouble> {
    let believed = |answer: Answer| Answer { secure: answer.secure && known.server.trusted, ..answer };
    match exchange::ask(&known.server, name, of, wait)? {
        Heard::Answer(answer) => Ok(Told::Answer(believed(answer))),
        Heard::Alias(answer) => Ok(Told::Alias(believed(answer))),
        Heard::Trouble(text) => Err(Trouble::Because(text)),
        Heard::Truncated | Heard::NoEdns => Err(Trouble::Because("the name server's answer is broken".into())),
    }
}

/// Whether DNSSEC proves that a name is an alias, wherever it leads to (RFC 7672 section 2.2.2).
pub fn is_proved_alias(resolver: &Resolver, name: &Name, wait: &Wait<'_>) -> Result<bool, SoftFailure> {
    let answer = resolver.query(name, Type::Cname, wait)?;
    Ok(answer.secure && !answer.records().is_empty())
}

/// The TLSA records for a port of a host (RFC 6698 section 3). They count only when the answer is secure; a failure
/// to learn of them is not "there are none" (RFC 7672 2.1).
pub fn tlsa(resolver: &Resolver, port: u16, host: &Name, wait: &Wait<'_>) -> Result<Answer, SoftFailure> {
    match host.below(&format!("_{port}._tcp")) {
        Some(name) => resolver.query(&name, Type::Tlsa, wait),
        // A name that cannot exist.
        None => {
            Ok(Answer { content: Content::NoSuchName, name: host.clone(), secure: false, lifetime: Duration::ZERO })
        }
    }
}
