//! One question as octets, and what the octets of a reply say to it (RFC 1035, 2181, 2308, 3225, 6891).
//!
//! Promises: no octets make it panic, and its work is bounded by their number. A reply that is not to this very
//! question (identifier, name, type, class), or that is broken, is no reply: [`Question::read`] gives `None`, and the
//! caller goes on listening. "No such name" and "no data" are believed only from a server that answers with
//! authority or recursion; without either it knows nothing, and mail would be returned for that.

use super::answer::{Answer, Content, Record, TEXT, Tlsa, Type};
use super::{CHAIN, Name};
use domain::base::iana::{Class, Opcode, OptRcode, Rcode, Rtype};
use domain::base::name::ParsedName;
use domain::base::{Message, MessageBuilder, ParsedRecord};
use domain::rdata::AllRecordData;
use std::net::IpAddr;
use std::time::Duration;

/// The largest datagram that is asked for: it needs no fragments on any path (RFC 9715).
pub(super) const PAYLOAD: u16 = 1232;

/// A day: no record is kept for longer, whatever its zone says.
const LONGEST: u32 = 24 * 3600;

/// As RFC 2308 section 5 advises for answers that something is not there.
const LONGEST_NEGATIVE: u32 = 3 * 3600;

/// A question on its way.
pub(super) struct Question<'a> {
    /// Unpredictable.
    pub id: u16,
    pub name: &'a Name,
    pub of: Type,
    /// Whether EDNS is used. Without it there is no DNSSEC.
    pub edns: bool,
}

/// What a reply says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// The answer. It says it is secure when the server says so, whoever that is.
    Answer(Answer),
    /// Aliases lead to another name, and the server does not tell what is there.
    Alias(Answer),
    /// It does not fit into a datagram.
    Truncated,
    /// The server does not know EDNS.
    NoEdns,
    /// It has no answer, for this reason.
    Trouble(String),
}

/// A record that matters, and whose it is.
struct Owned {
    owner: Name,
    ttl: u32,
    data: Data,
}

enum Data {
    Alias(Name),
    Record(Record),
}

impl Question<'_> {
    /// For the wire. `None` when the name cannot be asked for.
    pub(super) fn octets(&self) -> Option<Vec<u8>> {
        let name = self.name.to_wire()?;
        let mut builder = MessageBuilder::new_vec();
        let header = builder.header_mut();
        header.set_id(self.id);
        header.set_rd(true);
        // A server that knows this bit tells us its own verdict, even without DO (RFC 6840 5.7).
        header.set_ad(true);
        let mut question = builder.question();
        question.push((name, self.rtype())).ok()?;
        let mut additional = question.additional();
        if self.edns {
            let set = additional.opt(|options| {
                options.set_udp_payload_size(PAYLOAD);
                options.set_dnssec_ok(true);
                Ok(())
            });
            set.ok()?;
        }
        Some(additional.finish())
    }

    fn rtype(&self) -> Rtype {
        match self.of {
            Type::A => Rtype::A,
            Type::Aaaa => Rtype::AAAA,
            Type::Mx => Rtype::MX,
            Type::Tlsa => Rtype::TLSA,
            Type::Txt => Rtype::TXT,
            Type::Cname => Rtype::CNAME,
        }
    }

    /// What these octets say to this question; `None` when nothing that can be trusted to belong to it.
    pub(super) fn read(&self, octets: &[u8]) -> Option<Heard> {
        let message = Message::from_octets(octets).ok()?;
        let header = message.header();
        if header.id() != self.id || !header.qr() || header.opcode() != Opcode::QUERY {
            return None;
        }
        let rcode = message.opt_rcode();
        let answers = matches!(rcode, OptRcode::NOERROR | OptRcode::NXDOMAIN);
        // Some servers that refuse do not repeat the question.
        let repeats = message.header_counts().qdcount() > 0;
        if (answers || repeats) && !self.is_asked_by(&message) {
            return None;
        }
        match rcode {
            OptRcode::FORMERR | OptRcode::NOTIMP | OptRcode::BADVERS => Some(Heard::NoEdns),
            _ if !answers => Some(Heard::Trouble(format!("the name server answers {rcode}"))),
            _ if header.tc() => Some(Heard::Truncated),
            _ => self.judge(&message),
        }
    }

    fn is_asked_by(&self, message: &Message<&[u8]>) -> bool {
        let Ok(question) = message.sole_question() else { return false };
        let is_name = Name::of_wire(question.qname()) == *self.name;
        is_name && question.qtype() == self.rtype() && question.qclass() == Class::IN
    }

    fn judge(&self, message: &Message<&[u8]>) -> Option<Heard> {
        let header = message.header();
        let owned = self.owned(message)?;
        let (name, mut ttl, aliases) = match follow(self.name, &owned) {
            Ok(found) => found,
            Err(text) => return Some(Heard::Trouble(text)),
        };
        let mut records = Vec::new();
        for Owned { owner, ttl: own, data } in owned {
            if let Data::Record(record) = data
                && owner == name
                && !records.contains(&record)
            {
                ttl = ttl.min(own);
                records.push(record);
            }
        }
        let answer = |content, ttl| Answer { content, name, secure: header.ad(), lifetime: seconds(ttl) };
        if !records.is_empty() {
            return Some(Heard::Answer(answer(Content::Records(records), ttl)));
        }
        let (soa, delegates) = authority(message)?;
        if !header.aa() && (!header.ra() || (delegates && soa.is_none() && header.rcode() == Rcode::NOERROR)) {
            return Some(Heard::Trouble("the name server does not look up names for others".into()));
        }
        // Without the zone's own word on it, it is not kept (RFC 2308 section 5).
        let negative = ttl.min(soa.unwrap_or(0)).min(LONGEST_NEGATIVE);
        Some(match header.rcode() {
            Rcode::NXDOMAIN => Heard::Answer(answer(Content::NoSuchName, negative)),
            _ if aliases > 0 && soa.is_none() => Heard::Alias(answer(Content::NoData, ttl)),
            _ => Heard::Answer(answer(Content::NoData, negative)),
        })
    }

    /// An alias is followed, unless it is what was asked for.
    fn wanted(&self, data: Data) -> Data {
        match data {
            Data::Alias(to) if self.of == Type::Cname => Data::Record(Record::Alias(to)),
            data => data,
        }
    }

    /// The records of the answer that matter. `None` when the message is broken.
    fn owned(&self, message: &Message<&[u8]>) -> Option<Vec<Owned>> {
        let mut owned = Vec::new();
        for record in message.answer().ok()? {
            let record = record.ok()?;
            let matters = record.rtype() == self.rtype() || record.rtype() == Rtype::CNAME;
            if matters && record.class() == Class::IN {
                let (owner, ttl) = (Name::of_wire(&record.owner()), lifetime(&record));
                owned.push(Owned { owner, ttl, data: self.wanted(data(&record)?) });
            }
        }
        Some(owned)
    }
}

/// Follows aliases from `name` to their end: where that is, how long they hold, how many they were.
fn follow(name: &Name, owned: &[Owned]) -> Result<(Name, u32, usize), String> {
    let (mut name, mut ttl) = (name.clone(), LONGEST);
    for aliases in 0..=CHAIN {
        let alias = owned.iter().find_map(|entry| match &entry.data {
            Data::Alias(to) if entry.owner == name => Some((to, entry.ttl)),
            _ => None,
        });
        let Some((to, own)) = alias else { return Ok((name, ttl, aliases)) };
        (name, ttl) = (to.clone(), ttl.min(own));
    }
    Err(format!("the name is an alias with more than {CHAIN} others behind it"))
}

/// From the authority section: how long a negative answer holds, when the zone says so (RFC 2308 section 5), and
/// whether other name servers are named. `None` when the message is broken.
fn authority(message: &Message<&[u8]>) -> Option<(Option<u32>, bool)> {
    let (mut soa, mut delegates) = (None, false);
    for record in message.authority().ok()? {
        let record = record.ok()?;
        delegates |= record.rtype() == Rtype::NS;
        if record.rtype() == Rtype::SOA
            && let AllRecordData::Soa(data) = any(&record)?
        {
            soa = Some(lifetime(&record).min(data.minimum().as_secs()));
        }
    }
    Some((soa, delegates))
}

/// A time to live that has its highest bit set counts as none (RFC 2181 section 8).
fn lifetime(record: &ParsedRecord<'_, &[u8]>) -> u32 {
    let ttl = record.ttl().as_secs();
    if ttl > i32::MAX as u32 { 0 } else { ttl.min(LONGEST) }
}

fn seconds(ttl: u32) -> Duration {
    Duration::from_secs(ttl.into())
}

type Any<'a> = AllRecordData<&'a [u8], ParsedName<&'a [u8]>>;

fn any<'a>(record: &ParsedRecord<'a, &'a [u8]>) -> Option<Any<'a>> {
    record.to_any_record().ok().map(|record| record.into_data())
}

/// What a record says. `None` when it is broken.
fn data(record: &ParsedRecord<'_, &[u8]>) -> Option<Data> {
    let record = match any(record)? {
        AllRecordData::Cname(alias) => return Some(Data::Alias(Name::of_wire(alias.cname()))),
        AllRecordData::A(a) => Record::Address(IpAddr::V4(a.addr())),
        AllRecordData::Aaaa(aaaa) => Record::Address(IpAddr::V6(aaaa.addr())),
        AllRecordData::Mx(mx) => Record::Mx { preference: mx.preference(), exchange: Name::of_wire(mx.exchange()) },
        AllRecordData::Tlsa(tlsa) => Record::Tlsa(Tlsa {
            usage: tlsa.usage().into(),
            selector: tlsa.selector().into(),
            matching: tlsa.matching_type().into(),
            data: tlsa.data().to_vec(),
        }),
        AllRecordData::Txt(txt) => {
            let octets = txt.iter().flatten().copied().take(TEXT);
            Record::Txt(octets.collect())
        }
        _ => return None,
    };
    Some(Data::Record(record))
}
