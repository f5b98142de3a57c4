//! What a server offers in its EHLO reply (RFC 5321 4.1.1.1), as far as an outbound client can use it.
//!
//! Keywords in any case; unknown ones and malformed parameters are passed over, as if they were not there.

use super::reply::Reply;

/// Limits below this many octets in SIZE are taken for nonsense and read as "no limit".
const SMALLEST_SIZE: u64 = 1024;

/// The longest name of a priority assignment policy (RFC 6710 section 7).
const LONGEST_POLICY: usize = 20;

/// The offered extensions. The default offers none: a server that was greeted with HELO.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Extensions {
    /// PIPELINING (RFC 2920)
    pub pipelining: bool,
    /// SIZE (RFC 1870): `Some(0)` is offered without a limit.
    pub size: Option<u64>,
    /// 8BITMIME (RFC 6152)
    pub eight_bit_mime: bool,
    /// SMTPUTF8 (RFC 6531)
    pub smtputf8: bool,
    /// DSN (RFC 3461)
    pub dsn: bool,
    /// CHUNKING (RFC 3030)
    pub chunking: bool,
    /// ENHANCEDSTATUSCODES (RFC 2034)
    pub enhanced_status_codes: bool,
    /// STARTTLS (RFC 3207)
    pub starttls: bool,
    /// AUTH mechanisms (RFC 4954), in upper case.
    pub auth: Vec<String>,
    /// LIMITS (RFC 9422)
    pub limits: Limits,
    /// MT-PRIORITY (RFC 6710)
    pub mt_priority: bool,
    /// The name of the server's priority assignment policy in upper case, such as MIXER, if it tells one. For people
    /// only: any priority may be sent to any policy.
    pub priority_policy: Option<String>,
}

/// The LIMITS that a client must keep (RFC 9422 section 4); `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Transactions in one session.
    pub mail_max: Option<u32>,
    /// RCPT commands in one transaction.
    pub rcpt_max: Option<u32>,
    /// Different recipient domains in one transaction.
    pub rcpt_domain_max: Option<u32>,
}

impl Extensions {
    /// Reads an EHLO reply; its first line is the server's name. Keywords in `ignored` (upper case) are not seen.
    pub fn parse(reply: &Reply, ignored: &[String]) -> Extensions {
        let mut offered = Extensions::default();
        for line in reply.lines().skip(1) {
            let mut words = line.split_ascii_whitespace();
            let keyword = words.next().unwrap_or("").to_ascii_uppercase();
            if !ignored.contains(&keyword) {
                offered.take(&keyword, words);
            }
        }
        offered
    }

    fn take<'a>(&mut self, keyword: &str, mut parameters: impl Iterator<Item = &'a str>) {
        match keyword {
            "PIPELINING" => self.pipelining = true,
            "SIZE" => {
                let limit = parameters.next().and_then(|n| n.parse().ok()).unwrap_or(0);
                self.size = Some(if limit < SMALLEST_SIZE { 0 } else { limit });
            }
            "8BITMIME" => self.eight_bit_mime = true,
            "SMTPUTF8" => self.smtputf8 = true,
            "DSN" => self.dsn = true,
            "CHUNKING" => self.chunking = true,
            "ENHANCEDSTATUSCODES" => self.enhanced_status_codes = true,
            "STARTTLS" => self.starttls = true,
            "AUTH" => self.auth.extend(parameters.map(str::to_ascii_uppercase)),
            "MT-PRIORITY" => {
                self.mt_priority = true;
                self.priority_policy = parameters.next().and_then(policy);
            }
            "LIMITS" => parameters.for_each(|limit| self.limits.take(limit)),
            _ => {}
        }
    }
}

/// `priority-profile` of RFC 6710 section 7.
fn policy(name: &str) -> Option<String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    (name.len() <= LONGEST_POLICY && name.bytes().all(plain)).then(|| name.to_ascii_uppercase())
}

impl Limits {
    fn take(&mut self, limit: &str) {
        let Some((name, value)) = limit.split_once('=') else { return };
        // 0 is not a legal limit (RFC 9422 section 4): nothing could be sent at all.
        let Some(value) = value.parse().ok().filter(|n| *n > 0) else { return };
        match name.to_ascii_uppercase().as_str() {
            "MAILMAX" => self.mail_max = Some(value),
            "RCPTMAX" => self.rcpt_max = Some(value),
            "RCPTDOMAINMAX" => self.rcpt_domain_max = Some(value),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(lines: &[&str], ignored: &[&str]) -> Extensions {
        let reply = Reply::new(250, lines);
        Extensions::parse(&reply, &ignored.iter().map(|k| (*k).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn keywords_in_any_case_with_their_parameters() {
        let offered = parse(
            &[
                "mx",
                "pipelining",
                "SIZE 52428800",
                "8BitMime",
                "CHUNKING",
                "auth plain Login",
                "LIMITS MAILMAX=20 rcptmax=100 X=1",
                "XFOO",
            ],
            &[],
        );
        assert!(offered.pipelining && offered.eight_bit_mime && offered.chunking && !offered.dsn);
        assert_eq!(offered.size, Some(52_428_800));
        assert_eq!(offered.auth, ["PLAIN", "LOGIN"]);
        assert_eq!((offered.limits.mail_max, offered.limits.rcpt_max), (Some(20), Some(100)));
    }

    #[test]
    fn the_server_name_is_no_keyword_and_nonsense_is_passed_over() {
        let offered = parse(&["PIPELINING", "SIZE banana", "LIMITS MAILMAX=0 RCPTMAX=-1 RCPTMAX", ""], &[]);
        assert_eq!(offered, Extensions { size: Some(0), ..Extensions::default() });
        assert_eq!(parse(&["mx", "SIZE 5"], &[]).size, Some(0));
    }

    #[test]
    fn an_ignored_keyword_is_not_seen() {
        let offered = parse(&["mx", "CHUNKING", "PIPELINING", "MT-PRIORITY MIXER"], &["CHUNKING", "MT-PRIORITY"]);
        assert_eq!(offered, Extensions { pipelining: true, ..Extensions::default() });
    }

    #[test]
    fn mt_priority_is_offered_whatever_its_policy_is_called() {
        for (line, name) in [
            ("MT-PRIORITY", None),
            ("mt-priority Mixer", Some("MIXER")),
            ("MT-PRIORITY STANAG4406", Some("STANAG4406")),
            ("MT-PRIORITY nsep and more", Some("NSEP")),
            ("MT-PRIORITY my_own-1.0", Some("MY_OWN-1.0")),
            ("MT-PRIORITY abcdefghij0123456789", Some("ABCDEFGHIJ0123456789")),
            ("MT-PRIORITY abcdefghij0123456789x", None),
            ("MT-PRIORITY M\u{cd}XER", None),
            ("MT-PRIORITY \x1b[2J", None),
        ] {
            let offered = parse(&["mx", line], &[]);
            assert_eq!((offered.mt_priority, offered.priority_policy.as_deref()), (true, name), "{line:?}");
        }
        for line in ["MT-PRIORITYX", "MT-PRIORITY=MIXER", "MTPRIORITY", "PRIORITY"] {
            assert_eq!(parse(&["mx", line], &[]), Extensions::default(), "{line:?}");
        }
    }
}
