//! Answers that still hold (RFC 1035 7.4, RFC 2308), by name and type.
//!
//! Promises: an answer is given until its lifetime is over and not a moment longer; there are never more than the
//! limit; any thread may use it. Failures are not kept: who asks again asks the servers.

use super::Name;
use super::answer::{Answer, Record, Type};
use crate::sync::Mutex;
use std::collections::HashMap;
use std::time::Instant;

/// A longer answer, counted in octets of memory, is not kept, so that the cache's memory is bounded by its number of
/// entries.
const OCTETS: usize = 8 << 10;

/// The answers, each with the moment when it ends.
#[derive(Debug)]
pub(super) struct Cache {
    entries: Mutex<HashMap<(Name, Type), (Answer, Instant)>>,
    limit: usize,
}

impl Cache {
    pub(super) fn new(limit: usize) -> Cache {
        Cache { entries: Mutex::new(HashMap::new()), limit }
    }

    /// The answer, if it still holds at this moment.
    pub(super) fn get(&self, name: &Name, of: Type, now: Instant) -> Option<Answer> {
        let entries = self.entries.lock();
        let (answer, until) = entries.get(&(name.clone(), of))?;
        (now < *until).then(|| Answer { lifetime: *until - now, ..answer.clone() })
    }

    /// Keeps an answer that was given at this moment.
    pub(super) fn put(&self, name: &Name, of: Type, answer: &Answer, now: Instant) {
        let may_be_kept = !answer.lifetime.is_zero() && octets(answer) <= OCTETS;
        if !may_be_kept || self.limit == 0 {
            return;
        }
        let (key, until) = ((name.clone(), of), now + answer.lifetime);
        let mut entries = self.entries.lock();
        if entries.len() >= self.limit && !entries.contains_key(&key) {
            entries.retain(|_, (_, until)| now < *until);
            self.make_room(&mut entries);
        }
        entries.insert(key, (answer.clone(), until));
    }

    /// Drops those that end first, an eighth of all at once: looking through them costs more than asking again.
    fn make_room(&self, entries: &mut HashMap<(Name, Type), (Answer, Instant)>) {
        if entries.len() < self.limit {
            return;
        }
        let mut ends: Vec<Instant> = entries.values().map(|(_, until)| *until).collect();
        let (_, last, _) = ends.select_nth_unstable(self.limit / 8);
        let last = *last;
        entries.retain(|_, (_, until)| *until > last);
    }
}

/// What the records of an answer take.
fn octets(answer: &Answer) -> usize {
    let beside = |record: &Record| match record {
        Record::Address(_) => 0,
        Record::Mx { exchange, .. } => exchange.as_str().len(),
        Record::Tlsa(tlsa) => tlsa.data.capacity(),
        Record::Txt(text) => text.len(),
        Record::Alias(to) => to.as_str().len(),
    };
    answer.records().iter().map(|record| size_of::<Record>() + beside(record)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::dns::Content;
    use std::time::Duration;

    fn name(text: &str) -> Name {
        Name::parse(text).expect("a name")
    }

    fn answer(seconds: u64) -> Answer {
        let lifetime = Duration::from_secs(seconds);
        Answer { content: Content::NoData, name: name("a.test"), secure: false, lifetime }
    }

    #[test]
    fn an_answer_is_kept_for_its_lifetime() {
        let (cache, now) = (Cache::new(10), Instant::now());
        cache.put(&name("A.test"), Type::A, &answer(60), now);
        let later = now + Duration::from_secs(59);
        assert_eq!(cache.get(&name("a.test"), Type::A, later), Some(answer(1)));
        assert_eq!(cache.get(&name("a.test"), Type::A, now + Duration::from_secs(60)), None);
        assert_eq!(cache.get(&name("a.test"), Type::Aaaa, now), None);
        assert_eq!(cache.get(&name("b.test"), Type::A, now), None);
    }

    #[test]
    fn what_has_no_lifetime_is_not_kept() {
        let (cache, now) = (Cache::new(10), Instant::now());
        cache.put(&name("a.test"), Type::A, &answer(0), now);
        assert_eq!(cache.get(&name("a.test"), Type::A, now), None);
    }

    #[test]
    fn what_takes_much_memory_is_not_kept() {
        let (cache, now) = (Cache::new(10), Instant::now());
        let txt = |length: usize| Record::Txt(vec![b'x'; length].into());
        for (records, is_kept) in [
            (vec![txt(1024); 7], true),
            (vec![txt(1024); 8], false),
            (vec![Record::Address([192, 0, 2, 1].into()); 64], true),
            (vec![Record::Address([192, 0, 2, 1].into()); 8000], false),
        ] {
            let content = Content::Records(records);
            cache.put(&name("a.test"), Type::Txt, &Answer { content, ..answer(60) }, now);
            assert_eq!(cache.entries.lock().remove(&(name("a.test"), Type::Txt)).is_some(), is_kept);
        }
    }

    #[test]
    fn there_is_always_room_and_never_too_much() {
        for limit in [1, 2, 10] {
            let (cache, now) = (Cache::new(limit), Instant::now());
            for n in 0..100u64 {
                let named = name(&format!("n{n}.test"));
                cache.put(&named, Type::A, &answer(60 + n % 7), now);
                assert!(cache.get(&named, Type::A, now).is_some());
                assert!(cache.entries.lock().len() <= limit);
            }
        }
    }

    #[test]
    fn those_that_are_over_go_first() {
        let (cache, now) = (Cache::new(2), Instant::now());
        cache.put(&name("short.test"), Type::A, &answer(1), now);
        cache.put(&name("long.test"), Type::A, &answer(60), now);
        let later = now + Duration::from_secs(2);
        cache.put(&name("next.test"), Type::A, &answer(60), later);
        assert!(cache.get(&name("long.test"), Type::A, later).is_some());
        assert!(cache.get(&name("next.test"), Type::A, later).is_some());
    }
}
