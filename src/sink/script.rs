//! What an address asks the sink to do, by its local part, so that a test writes its wishes into the envelope.
//!
//! | local part | as a recipient | as the sender |
//! | --- | --- | --- |
//! | `reject-NNN`, `defer-NNN` | RCPT is answered with that code | MAIL is |
//! | `dot-NNN` | the content is answered with that code and not stored | the same |
//! | `slow-NNNms` | RCPT is answered so much later | MAIL is |
//! | `drop` | the connection is closed at that RCPT, unanswered | at MAIL |
//! | `reset` | the same, with a TCP reset | the same |
//! | `dropdot` | the content is taken, not stored, and the connection closed unanswered | the same |
//! | `eatdot` | the content is stored, and the connection closed unanswered | the same |
//!
//! NNN is any 4yz or 5yz; 421 ends the connection too. `+anything` may follow each (`reject-550+17@example.org`). Other
//! local parts are plain mailboxes.

use std::time::Duration;

/// The longest delay that an address can ask for.
const MAX_DELAY: Duration = Duration::from_secs(60);

/// What an address asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    Accept,
    Refuse(u16),
    RefuseContent(u16),
    Slow(Duration),
    Drop,
    Reset,
    DropContent,
    EatContent,
}

impl Wish {
    /// The wish of an address.
    pub(super) fn of(address: &str) -> Wish {
        let local = address.rsplit_once('@').map_or(address, |(local, _)| local);
        let word = local.split_once('+').map_or(local, |(word, _)| word);
        match word {
            "drop" => Wish::Drop,
            "reset" => Wish::Reset,
            "dropdot" => Wish::DropContent,
            "eatdot" => Wish::EatContent,
            _ => Wish::with_number(word).unwrap_or(Wish::Accept),
        }
    }

    fn with_number(word: &str) -> Option<Wish> {
        let (kind, number) = word.split_once('-')?;
        match kind {
            "reject" | "defer" => code(number).map(Wish::Refuse),
            "dot" => code(number).map(Wish::RefuseContent),
            "slow" => {
                let delay = Duration::from_millis(number.strip_suffix("ms")?.parse().ok()?);
                Some(Wish::Slow(delay.min(MAX_DELAY)))
            }
            _ => None,
        }
    }
}

/// A 4yz or 5yz.
fn code(digits: &str) -> Option<u16> {
    let plain = digits.len() == 3 && digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|code| plain && (400..600).contains(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_local_part_says_what_happens() {
        assert_eq!(Wish::of("reject-550@example.org"), Wish::Refuse(550));
        assert_eq!(Wish::of("defer-452+17@example.org"), Wish::Refuse(452));
        assert_eq!(Wish::of("dot-450@example.org"), Wish::RefuseContent(450));
        assert_eq!(Wish::of("slow-500ms@example.org"), Wish::Slow(Duration::from_millis(500)));
        assert_eq!(Wish::of("slow-9999999ms@example.org"), Wish::Slow(MAX_DELAY));
        assert_eq!(Wish::of("dropdot"), Wish::DropContent);
    }

    #[test]
    fn other_mailboxes_are_plain() {
        for plain in ["", "a@reject-550", "reject-250@x", "reject-@x", "reject-5500@x", "reject-+50@x", "dropped@x"] {
            assert_eq!(Wish::of(plain), Wish::Accept, "{plain}");
        }
    }
}
