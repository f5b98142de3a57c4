//! What one connection has cost its server: refusals are expensive ahead of their replies.
//!
//! Servers count errors and empty transactions and hang up at a limit, and their reset destroys replies that were
//! already sent, so that delivered messages come to be in doubt. Known: 20 errors without an accepted message
//! (Postfix), the 11th RSET that no accepted message paid for (Exim), the third error of any kind (chasquid). So
//! errors and unpaid RSETs are counted here; after a few refused transactions in a row nothing is sent ahead, and
//! the connection is given up in good order before a known limit.

use super::reply::Reply;

/// Refused transactions in a row after which nothing is sent ahead.
const ROW: u32 = 4;
/// Unpaid RSETs after which a connection is finished; the strictest server known refuses the 11th.
const UNPAID_RESETS: u32 = 8;

/// Errors at which the strictest server known hangs up.
const FEWEST_ERRORS: u32 = 3;

/// How a transaction came out, as a server counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Its message was accepted.
    Accepted,
    /// Something in it was refused, and no message came of it.
    Refused,
    /// No message came of it, and nothing was refused: an address verification, or the caller withdrew it.
    Empty,
}

/// The running counts of one connection.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    transactions: u32,
    accepted: u32,
    refused: u32,
    empty: u32,
    refused_in_a_row: u32,
    unpaid_resets: u32,
    errors: u32,
    errors_in_a_row: u32,
}

impl Tally {
    /// A transaction was begun.
    pub fn begun(&mut self) {
        self.transactions += 1;
    }

    /// Transactions begun so far.
    pub fn transactions(&self) -> u32 {
        self.transactions
    }

    /// Messages accepted so far.
    pub fn accepted(&self) -> u32 {
        self.accepted
    }

    /// Negative replies so far.
    pub fn errors(&self) -> u32 {
        self.errors
    }

    /// Whether a 421 that came now would be for errors: nothing else since a message was accepted, and with the 421
    /// itself as many as the strictest server known allows.
    pub fn errors_are_to_blame(&self) -> bool {
        self.errors_in_a_row >= FEWEST_ERRORS
    }

    /// A reply came.
    pub fn reply(&mut self, reply: &Reply) {
        if reply.is_negative() {
            self.errors += 1;
            self.errors_in_a_row += 1;
        }
    }

    /// A transaction has ended; `reset` tells whether a RSET began it.
    pub fn ended(&mut self, fate: Fate, reset: bool) {
        match fate {
            Fate::Accepted => {
                self.accepted += 1;
                self.refused_in_a_row = 0;
                self.errors_in_a_row = 0;
            }
            Fate::Refused => {
                self.refused += 1;
                self.refused_in_a_row += 1;
            }
            Fate::Empty => self.empty += 1,
        }
        self.unpaid_resets += u32::from(reset && fate != Fate::Accepted);
    }

    /// Whether refusals come in a row, so that nothing may be sent ahead of its replies.
    pub fn is_cautious(&self) -> bool {
        self.refused_in_a_row >= ROW
    }

    /// Whether the connection should take no more transactions.
    pub fn is_spent(&self, error_max: Option<u32>) -> bool {
        self.unpaid_resets >= UNPAID_RESETS || error_max.is_some_and(|max| self.errors > 0 && self.errors + 1 >= max)
    }

    /// Transactions that may be in flight at once, so that, if refusals go on as they have come (twice as often, to be
    /// safe), the unpaid RSETs stay below the limit.
    pub fn allowed_in_flight(&self) -> usize {
        let fruitless = u64::from(self.refused + self.empty);
        if fruitless == 0 {
            return usize::MAX;
        }
        let left = u64::from((UNPAID_RESETS + 2).saturating_sub(self.unpaid_resets));
        let ended = u64::from(self.accepted) + fruitless;
        usize::try_from((left * ended / (2 * fruitless)).max(1)).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(ends: &[bool]) -> Tally {
        let mut tally = Tally::default();
        let fate = |accepted: bool| if accepted { Fate::Accepted } else { Fate::Refused };
        ends.iter().for_each(|accepted| tally.ended(fate(*accepted), true));
        tally
    }

    #[test]
    fn four_refusals_in_a_row_make_it_cautious_until_a_message_is_accepted() {
        assert!(!tally(&[true, false, false, false]).is_cautious());
        assert!(tally(&[true, false, false, false, false]).is_cautious());
        assert!(!tally(&[false, false, false, false, true]).is_cautious());
    }

    #[test]
    fn a_connection_is_spent_before_the_eleventh_unpaid_reset() {
        let mut ends = [false, true].repeat(7);
        assert!(!tally(&ends).is_spent(None));
        ends.push(false);
        assert!(tally(&ends).is_spent(None));
    }

    #[test]
    fn a_verification_costs_a_reset_and_is_no_refusal() {
        let mut tally = Tally::default();
        (0..UNPAID_RESETS).for_each(|_| tally.ended(Fate::Empty, true));
        assert!(!tally.is_cautious() && tally.is_spent(None));
    }

    #[test]
    fn a_known_error_limit_is_not_reached() {
        let mut tally = Tally::default();
        let refusal = Reply::new(550, &[]);
        assert!(!tally.is_spent(Some(3)));
        tally.reply(&refusal);
        assert!(!tally.is_spent(Some(3)));
        tally.reply(&refusal);
        assert!(tally.is_spent(Some(3)) && !tally.is_spent(Some(20)) && !tally.is_spent(None));
    }

    #[test]
    fn what_is_in_flight_follows_how_often_the_server_refuses() {
        assert_eq!(tally(&[true]).allowed_in_flight(), usize::MAX);
        assert_eq!(tally(&[false]).allowed_in_flight(), 4);
        let rare: Vec<bool> = (0..50).map(|n| n != 10).collect();
        assert!(tally(&rare).allowed_in_flight() > 200);
    }
}
