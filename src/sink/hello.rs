//! EHLO, HELO and RSET (RFC 5321 4.1.1.1 and 4.1.1.5): how a session and a transaction begin anew.

use super::End;
use super::answers::Reply;
use super::envelope::Transaction;
use super::options::Extensions;
use super::session::Session;

/// How the client has introduced itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hello {
    None,
    Helo,
    Ehlo,
}

impl Session<'_> {
    pub(super) fn helo(&mut self) -> Result<(), End> {
        self.greeted(Hello::Helo);
        self.answer(Reply::new(250, "", &self.shared.options.hostname))
    }

    pub(super) fn ehlo(&mut self) -> Result<(), End> {
        let behaviour = &self.shared.behaviour;
        if !behaviour.ehlo {
            return self.answer(Reply::new(502, "5.5.1", "Only HELO here"));
        }
        self.greeted(Hello::Ehlo);
        let mut lines = vec![self.shared.options.hostname.clone()];
        lines.extend(behaviour.extensions.offered().into_iter().map(|name| match name {
            "SIZE" => format!("SIZE {}", self.shared.options.max_size),
            _ => name.to_owned(),
        }));
        lines.extend(behaviour.limits.line());
        let last = lines.len() - 1;
        let line = |(at, text): (usize, &String)| format!("250{}{text}\r\n", if at == last { ' ' } else { '-' });
        let bytes: String = lines.iter().enumerate().map(line).collect();
        self.answers.give(self.now(), bytes.into_bytes(), None);
        Ok(())
    }

    fn greeted(&mut self, hello: Hello) {
        self.hello = hello;
        self.forget();
    }

    pub(super) fn rset(&mut self) -> Result<(), End> {
        self.forget();
        if let Some(free) = self.shared.behaviour.free_resets {
            let paid = std::mem::take(&mut self.reset_paid);
            self.unpaid_resets += u32::from(!paid);
            if self.unpaid_resets > free {
                self.say(&Reply::new(554, "5.5.0", "Too many nonmail commands"), None);
                return Err(End::Close(self.shared.behaviour.closing));
            }
        }
        self.answer(Reply::new(250, "2.0.0", "Ok"))
    }

    /// Forgets the transaction and how it went.
    fn forget(&mut self) {
        self.transaction = Transaction::default();
        self.failed = false;
        self.receiving = false;
    }

    /// Extensions that this client was offered: none with HELO.
    pub(super) fn offered(&self) -> Extensions {
        if self.hello == Hello::Ehlo { self.shared.behaviour.extensions } else { Extensions::NONE }
    }
}
