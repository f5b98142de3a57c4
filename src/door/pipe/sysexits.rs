//! Exit statuses, as sysexits.h numbers them.
//!
//! Only those that say the same to every MTA are here. Postfix takes 64 (usage), 66, 69 (unavailable), 70 (software),
//! 72 and 74 (input or output error) for a refusal and returns the mail to its sender, and so it does with 1 and with
//! the 101 of a panic: pipelane ends with none of them.

/// All recipients were delivered.
pub const EX_OK: u8 = 0;
/// The content was refused.
pub const EX_DATAERR: u8 = 65;
/// No such mailbox.
pub const EX_NOUSER: u8 = 67;
/// No such host or domain.
pub const EX_NOHOST: u8 = 68;
/// The mailbox cannot take it.
pub const EX_CANTCREAT: u8 = 73;
/// Try again later: also every mistake of our own.
pub const EX_TEMPFAIL: u8 = 75;
/// Refused, for a reason that the others do not name.
pub const EX_PROTOCOL: u8 = 76;
/// Refused by policy.
pub const EX_NOPERM: u8 = 77;
/// A configuration that cannot be used; never the end of a delivery.
pub const EX_CONFIG: u8 = 78;
