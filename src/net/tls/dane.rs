//! TLSA records that a server can be held to (RFC 6698, RFC 7671, RFC 7672), before there is a connection.
//!
//! Promises: of what DNS says only records are left that mail can use: usage 2 (DANE-TA) and 3 (DANE-EE), selectors and
//! digests that are known, data as long as it must be (RFC 7672 section 3.1); and of digests of one thing only the
//! strongest kind (RFC 7671 section 9). How many there are is bounded. It asks nobody, and does not know whether DNSSEC
//! has proved them: that is the caller's to know.

use crate::net::dns::Tlsa;

/// Records of one server that count; RFC 6698 has no limit, and servers have two or three.
const RECORDS: usize = 64;
/// Octets of one record's data: no certificate is longer.
const DATA: usize = 64 << 10;

/// The certificate that issued the server's, or one above it.
pub(super) const ANCHOR: u8 = 2;
/// The server's own certificate.
pub(super) const SERVER: u8 = 3;
const CERTIFICATE: u8 = 0;
const PUBLIC_KEY: u8 = 1;
const WHOLE: u8 = 0;
pub(super) const SHA256: u8 = 1;
pub(super) const SHA512: u8 = 2;

/// What a server's certificate has to match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dane {
    records: Vec<Tlsa>,
    names: Vec<String>,
}

impl Dane {
    /// The usable ones of these records; `None` when there are none. `names`: whose certificate an authority's has to
    /// vouch for (RFC 7672 section 3.2.2).
    pub fn new(records: &[Tlsa], names: Vec<String>) -> Option<Dane> {
        let mut records: Vec<Tlsa> = records.iter().filter(|one| is_usable(one)).take(RECORDS).cloned().collect();
        let strong: Vec<(u8, u8)> = records.iter().filter(|one| one.matching == SHA512).map(of).collect();
        records.retain(|one| one.matching != SHA256 || !strong.contains(&of(one)));
        (!records.is_empty()).then_some(Dane { records, names })
    }

    /// The records of this usage.
    pub(super) fn of_usage(&self, usage: u8) -> impl Iterator<Item = &Tlsa> {
        self.records.iter().filter(move |one| one.usage == usage)
    }

    /// Under which names the server may be known.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }
}

/// Digests of the same thing compete.
fn of(record: &Tlsa) -> (u8, u8) {
    (record.usage, record.selector)
}

fn is_usable(record: &Tlsa) -> bool {
    let length = record.data.len();
    matches!(record.usage, ANCHOR | SERVER)
        && matches!(record.selector, CERTIFICATE | PUBLIC_KEY)
        && match record.matching {
            WHOLE => (1..=DATA).contains(&length) && has_its_shape(record),
            SHA256 => length == 32,
            SHA512 => length == 64,
            _ => false,
        }
}

/// Whether a certificate is one element of DER from its first octet to its last, and has a key; or a key is such an
/// element.
fn has_its_shape(record: &Tlsa) -> bool {
    let is_one = Element::of(&record.data).is_some_and(|element| element.tag == SEQUENCE && element.rest.is_empty());
    is_one && (record.selector == PUBLIC_KEY || public_key(&record.data).is_some())
}

/// What of a certificate, in DER, a record is about.
pub(super) fn selected<'a>(record: &Tlsa, certificate: &'a [u8]) -> Option<&'a [u8]> {
    if record.selector == PUBLIC_KEY { public_key(certificate) } else { Some(certificate) }
}

/// Whether the record has a whole certificate.
pub(super) fn is_certificate(record: &Tlsa) -> bool {
    (record.selector, record.matching) == (CERTIFICATE, WHOLE)
}

/// Tags of DER (X.690).
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// One element of DER, as far as certificates have it: tags of one octet.
struct Element<'a> {
    tag: u8,
    whole: &'a [u8],
    inside: &'a [u8],
    rest: &'a [u8],
}

impl Element<'_> {
    /// The element that these octets begin with.
    fn of(octets: &[u8]) -> Option<Element<'_>> {
        let (&tag, &first) = (octets.first()?, octets.get(1)?);
        let more = match first {
            0..=0x7f => 0,
            0x81..=0x84 => usize::from(first - 0x80),
            _ => return None,
        };
        let head = 2 + more;
        let length = match more {
            0 => usize::from(first),
            _ => octets.get(2..head)?.iter().fold(0, |sum: usize, octet| (sum << 8) | usize::from(*octet)),
        };
        let end = head.checked_add(length)?;
        let (whole, rest) = octets.split_at_checked(end)?;
        Some(Element { tag, whole, inside: &whole[head..], rest })
    }
}

/// The SubjectPublicKeyInfo of a certificate (RFC 5280 section 4.1), octet for octet as it stands there.
fn public_key(certificate: &[u8]) -> Option<&[u8]> {
    let signed = Element::of(Element::of(certificate)?.inside)?;
    let mut at = signed.inside;
    if at.first() == Some(&VERSION) {
        at = Element::of(at)?.rest;
    }
    // Number, algorithm of the signature, issuer, validity, subject.
    for _ in 0..5 {
        at = Element::of(at)?.rest;
    }
    Element::of(at).filter(|element| element.tag == SEQUENCE).map(|element| element.whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::tls::certificates::Certificates;

    fn record(usage: u8, selector: u8, matching: u8, octets: usize) -> Tlsa {
        Tlsa { usage, selector, matching, data: vec![usage; octets] }
    }

    #[test]
    fn only_what_mail_can_use_is_left() {
        let table = [
            (record(3, 1, 1, 32), true),
            (record(3, 0, 1, 32), true),
            (record(3, 1, 2, 64), true),
            (record(2, 0, 1, 32), true),
            (record(2, 1, 2, 64), true),
            // Usages of the public authorities are for others (RFC 7672 section 3.1.3).
            (record(0, 0, 1, 32), false),
            (record(1, 1, 1, 32), false),
            (record(4, 1, 1, 32), false),
            (record(255, 1, 1, 32), false),
            (record(3, 2, 1, 32), false),
            (record(3, 1, 3, 32), false),
            (record(3, 1, 1, 31), false),
            (record(3, 1, 1, 33), false),
            (record(3, 1, 1, 0), false),
            (record(3, 1, 2, 32), false),
            (record(3, 0, 0, 0), false),
            (record(3, 0, 0, 100), false),
            (record(3, 1, 0, 100), false),
        ];
        for (record, usable) in table {
            let dane = Dane::new(std::slice::from_ref(&record), Vec::new());
            assert_eq!(dane.map(|dane| dane.records), usable.then(|| vec![record.clone()]), "{record:?}");
        }
        assert_eq!(Dane::new(&[], Vec::new()), None);
    }

    #[test]
    fn of_digests_of_the_same_thing_the_strongest_counts() {
        let left = |records: &[Tlsa]| Dane::new(records, Vec::new()).map(|dane| dane.records);
        let (weak, strong) = (record(3, 1, 1, 32), record(3, 1, 2, 64));
        assert_eq!(left(&[weak.clone(), strong.clone()]), Some(vec![strong.clone()]));
        let (other, anchor) = (record(3, 0, 1, 32), record(2, 1, 1, 32));
        let expected = vec![strong.clone(), other.clone(), anchor.clone()];
        assert_eq!(left(&[strong, other, anchor, weak.clone()]), Some(expected));
        // One that cannot be used puts none out.
        assert_eq!(left(&[weak.clone(), record(3, 1, 2, 63)]), Some(vec![weak]));
    }

    #[test]
    fn they_are_no_more_than_a_few() {
        let many: Vec<Tlsa> = (0..1000).map(|_| record(3, 1, 1, 32)).collect();
        assert_eq!(Dane::new(&many, Vec::new()).expect("usable").records.len(), RECORDS);
    }

    #[test]
    fn a_public_key_is_found_as_it_stands_in_the_certificate() {
        for name in ["mx.pem", "stranger.pem", "curve.pem"] {
            let pem = std::fs::read(Certificates::get().path(name)).expect("made");
            let certificate = openssl::x509::X509::from_pem(&pem).expect("a certificate");
            let (der, key) = (certificate.to_der().expect("DER"), certificate.public_key().expect("a key"));
            assert_eq!(public_key(&der), Some(&key.public_key_to_der().expect("DER")[..]), "{name}");
            let whole = Tlsa { usage: 3, selector: 0, matching: 0, data: der.clone() };
            assert!(is_usable(&whole));
            for end in 0..der.len() {
                assert_eq!(public_key(&der[..end]), None, "cut at {end}");
                assert!(!is_usable(&Tlsa { data: der[..end].to_vec(), ..whole.clone() }), "cut at {end}");
            }
        }
    }

    #[test]
    fn lengths_that_lead_nowhere_are_no_elements() {
        for bad in [&[][..], &[0x30], &[0x30, 0x80], &[0x30, 0x85, 0, 0, 0, 0, 0], &[0x30, 0x84, 255, 255, 255, 255]] {
            assert!(Element::of(bad).is_none(), "{bad:?}");
        }
        let nested = [0x30, 0x04, 0x30, 0x81, 0x01, 0x05, 0x07];
        let element = Element::of(&nested).expect("one");
        assert_eq!((element.inside, element.rest), (&[0x30, 0x81, 0x01, 0x05][..], &[7][..]));
    }
}
