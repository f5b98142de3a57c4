//! MAIL and RCPT (RFC 5321 4.1.1.2 and 4.1.1.3): the envelope of one transaction.

use super::End;
use super::answers::Reply;
use super::command::Path;
use super::content::Incoming;
use super::counters::Counters;
use super::hello::Hello;
use super::parameters::{self, MailParameters, Refused};
use super::personality::NestedMail;
use super::script::Wish;
use super::session::Session;
use super::storage::ReceivedRecipient;

/// Recipients of a transaction beyond this get 452 in any case: every buffer has a bound.
const MAX_RECIPIENTS: usize = 100_000;

/// What is known of the transaction.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    pub sender: Option<Sender>,
    /// Whether there was a MAIL at all, refused or not.
    pub mail_seen: bool,
    /// Whether there was an RCPT at all, refused or not.
    pub rcpt_seen: bool,
    pub recipients: Vec<ReceivedRecipient>,
    /// The content that comes in chunks.
    pub content: Option<Incoming>,
    /// BDAT commands so far.
    pub chunks: u64,
    /// Whether a chunk was refused, so that all others are.
    pub chunk_failed: bool,
    /// The first wish about the content, if there is one.
    pub content_wish: Option<Wish>,
}

/// An accepted MAIL.
#[derive(Debug)]
pub(super) struct Sender {
    pub address: String,
    pub words: Vec<String>,
    pub parameters: MailParameters,
}

impl Transaction {
    fn note_wish(&mut self, wish: Wish) {
        if matches!(wish, Wish::RefuseContent(_) | Wish::DropContent | Wish::EatContent) {
            self.content_wish.get_or_insert(wish);
        }
    }
}

impl Session<'_> {
    pub(super) fn mail(&mut self, path: Path) -> Result<(), End> {
        self.transactions += 1;
        if self.failed {
            self.mistake("MAIL without RSET behind a transaction that failed");
        }
        let nested = self.transaction.sender.is_some() || self.transaction.content.is_some();
        if nested {
            if !self.failed {
                self.mistake("MAIL inside a transaction");
            }
            match self.shared.behaviour.nested_mail {
                NestedMail::Refuse => return self.refuse_mail(Reply::new(503, "5.5.1", "Nested MAIL"), false),
                NestedMail::Restart => self.transaction = Transaction::default(),
                NestedMail::KeepRecipients => self.transaction.sender = None,
            }
        }
        self.transaction.mail_seen = true;
        let sender = match self.judge_mail(path)? {
            Ok(sender) => sender,
            Err(reply) => return self.refuse_mail(reply, true),
        };
        self.mails += 1;
        self.transaction.note_wish(Wish::of(&sender.address));
        self.transaction.sender = Some(sender);
        self.answer(Reply::new(250, "2.1.0", "Ok"))
    }

    fn refuse_mail(&mut self, reply: Reply, ends: bool) -> Result<(), End> {
        self.failed |= ends;
        Counters::one(&self.shared.counters.senders_refused);
        self.answer(reply)
    }

    /// The sender, or the refusal.
    fn judge_mail(&mut self, path: Path) -> Result<Result<Sender, Reply>, End> {
        if self.hello == Hello::None {
            self.mistake("MAIL without EHLO or HELO");
            return Ok(Err(Reply::new(503, "5.5.1", "Say EHLO first")));
        }
        if let Some(reply) = self.too_many_messages() {
            return Ok(Err(reply));
        }
        self.remark("MAIL", &path);
        let parameters = match parameters::mail(&path.parameters, self.offered()) {
            Ok(parameters) => parameters,
            Err(refused) => return Ok(Err(self.wrong_parameter("MAIL", refused))),
        };
        if let Some(reply) = self.check_ascii(&path.address, parameters) {
            return Ok(Err(reply));
        }
        if parameters.size.is_some_and(|size| size > self.shared.options.max_size) {
            return Ok(Err(Reply::new(552, "5.3.4", "Message too large")));
        }
        if let Some(reply) = self.grant(Wish::of(&path.address))? {
            return Ok(Err(reply));
        }
        Ok(Ok(Sender { address: path.address, words: path.parameters, parameters }))
    }

    fn too_many_messages(&self) -> Option<Reply> {
        let behaviour = &self.shared.behaviour;
        if behaviour.limits.mail_max.is_some_and(|most| self.mails >= most) {
            self.mistake("more transactions than LIMITS MAILMAX allows");
            return Some(Reply::new(421, "4.7.0", "MAILMAX is reached"));
        }
        let limit = behaviour.messages.filter(|limit| self.messages >= limit.count)?;
        let code = if limit.closes { 421 } else { 452 };
        Some(Reply::new(code, "4.3.0", "No more messages on this connection"))
    }

    pub(super) fn rcpt(&mut self, path: Path) -> Result<(), End> {
        self.transaction.rcpt_seen = true;
        let counters = &self.shared.counters;
        if let Some(reply) = self.judge_rcpt(&path)? {
            Counters::one(&counters.recipients_refused);
            return self.answer(reply);
        }
        Counters::one(&counters.recipients_accepted);
        self.transaction.note_wish(Wish::of(&path.address));
        self.transaction.recipients.push(ReceivedRecipient { address: path.address, parameters: path.parameters });
        self.answer(Reply::new(250, "2.1.5", "Ok"))
    }

    /// The refusal, if it is one.
    fn judge_rcpt(&mut self, path: &Path) -> Result<Option<Reply>, End> {
        let Some(sender) = self.transaction.sender.as_ref().map(|sender| sender.parameters) else {
            if !self.transaction.mail_seen {
                self.mistake("RCPT without MAIL");
            }
            return Ok(Some(Reply::new(503, "5.5.1", "MAIL first")));
        };
        if self.transaction.chunks > 0 {
            self.mistake("RCPT behind BDAT");
            return Ok(Some(Reply::new(503, "5.5.1", "RCPT behind BDAT")));
        }
        self.remark("RCPT", path);
        if let Err(refused) = parameters::rcpt(&path.parameters, self.offered()) {
            return Ok(Some(self.wrong_parameter("RCPT", refused)));
        }
        if let Some(reply) = self.check_ascii(&path.address, sender) {
            return Ok(Some(reply));
        }
        if self.too_many_recipients() {
            return Ok(Some(Reply::new(452, "4.5.3", "Too many recipients")));
        }
        self.grant(Wish::of(&path.address))
    }

    fn too_many_recipients(&self) -> bool {
        let (behaviour, have) = (&self.shared.behaviour, self.transaction.recipients.len());
        if behaviour.limits.rcpt_max.is_some_and(|most| have as u64 >= most) {
            self.mistake("more recipients than LIMITS RCPTMAX allows");
            return true;
        }
        have >= behaviour.max_recipients.unwrap_or(MAX_RECIPIENTS)
    }

    fn remark(&self, verb: &str, path: &Path) {
        if let Some(remark) = path.remark {
            self.mistake(&format!("{verb} has {remark}"));
        }
    }

    fn wrong_parameter(&self, verb: &str, refused: Refused) -> Reply {
        let (code, text) = match refused {
            Refused::NotOffered(text) => (555, text),
            Refused::Malformed(text) => (501, text),
        };
        self.mistake(&format!("{verb}: the parameter {text}"));
        Reply::new(code, "5.5.4", "Bad parameter")
    }

    fn check_ascii(&self, address: &str, parameters: MailParameters) -> Option<Reply> {
        if address.is_ascii() || parameters.smtputf8 {
            return None;
        }
        self.mistake("an address beyond ASCII without SMTPUTF8");
        Some(Reply::new(553, "5.6.7", "Address needs SMTPUTF8"))
    }
}
