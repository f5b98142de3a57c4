//! What a next hop's server offers, for a door to mirror.

use crate::smtp::Extensions;

/// The extensions in which a door must not promise more than the server does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Offers {
    /// 8BITMIME
    pub eight_bit_mime: bool,
    /// SMTPUTF8
    pub smtputf8: bool,
    /// DSN
    pub dsn: bool,
    /// SIZE: `Some(0)` is offered without a limit.
    pub size: Option<u64>,
    /// `host[address]:port`
    pub server: String,
}

impl Offers {
    /// As if everything were offered, where there is no server whose word could be taken.
    pub fn everything() -> Offers {
        Offers { eight_bit_mime: true, smtputf8: true, dsn: true, size: Some(0), server: String::new() }
    }

    /// What this server said in its EHLO reply.
    pub fn of(offered: &Extensions, server: &str) -> Offers {
        Offers {
            eight_bit_mime: offered.eight_bit_mime,
            smtputf8: offered.smtputf8,
            dsn: offered.dsn,
            size: offered.size,
            server: server.to_owned(),
        }
    }
}
