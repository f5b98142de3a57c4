//! The beginning of a job: control file, recipients, room, locks, content, and over to the engine.
//!
//! Nothing is locked before the engine has room for all of it, so that what waits here can still be taken by somebody
//! else. A message is made of all recipients that have the same sender and the same headers.

use super::agent::Agent;
use super::control::{self, ControlFile, Entry, State};
use super::jobs::Key;
use super::marks::{self, Marks};
use super::output;
use super::parcel::{Active, Parcel};
use super::recipient::{self, Listed};
use crate::config::Config;
use crate::door::lmtp::intake;
use crate::door::{Delivery, Reply};
use crate::lane::Ticket;
use crate::mail::{
    Address, Content, ContentError, ContentRules, EnhancedStatus, Envelope, Message, NextHop, Outcome, Recipient,
    Report, Verdict,
};
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::sync::Arc;
use std::time::Duration;

/// Messages of one control file on their way at a time.
const MAX_GROUPS: usize = 64;

/// How a beginning ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Begun {
    /// There was nothing to begin. The scheduler is to be told this, once the job is not in hand any more: it may feed
    /// it again at once.
    Over(String),
    /// The engine has no room. Nothing was touched.
    LacksRoom,
    /// Messages are on their way; the last one ends the job.
    OnItsWay,
}

/// Recipients with the same sender and the same headers.
struct Group<'f> {
    sender: Option<usize>,
    /// `None` when the file ends before them.
    headers: Option<usize>,
    entries: Vec<&'f Entry<'f>>,
}

/// The recipients of this channel and host that wait.
pub(super) fn waiting<'f>(file: &'f ControlFile<'f>, channel: &str, host: &str) -> Vec<&'f Entry<'f>> {
    let is_ours = |entry: &&Entry<'_>| {
        entry.state == State::Waiting
            && entry.place.channel == channel.as_bytes()
            && entry.place.host.eq_ignore_ascii_case(host.as_bytes())
    };
    file.recipients.iter().filter(is_ours).collect()
}

/// Begins a job.
pub(super) fn begin<D: Delivery>(agent: &Arc<Agent<D>>, key: &Key) -> Begun {
    let Ok((mut marks, octets)) = Marks::open(&agent.options.directory.join(key.path.as_str())) else {
        return refused(key, "");
    };
    match control::parse(&octets) {
        Ok(file) => {
            marks.set_width(file.lock_width);
            Beginning { agent, key, octets: &octets, file: &file }.begin(marks)
        }
        Err(error) => refused(key, &error.to_string()),
    }
}

/// The scheduler is to look at this file again. Why, if there is something to tell people.
fn refused(key: &Key, why: &str) -> Begun {
    Begun::Over(output::resync(key.path.as_str(), why))
}

/// A job whose control file was read.
struct Beginning<'f, D: Delivery> {
    agent: &'f Arc<Agent<D>>,
    key: &'f Key,
    octets: &'f [u8],
    file: &'f ControlFile<'f>,
}

impl<'f, D: Delivery> Beginning<'f, D> {
    fn begin(&self, marks: Marks) -> Begun {
        let entries = waiting(self.file, &self.agent.options.channel, &self.key.host);
        if entries.is_empty() {
            return if self.file.is_turn { Begun::Over(String::new()) } else { refused(self.key, "") };
        }
        let next_hop = match self.agent.options.route.next_hop(&self.key.host) {
            Ok(next_hop) => next_hop,
            Err(why) => return self.defer(None, &entries, Outcome::deferred(EnhancedStatus::new(4, 1, 2), why)),
        };
        if let Some(trouble) = self.agent.delivery.trouble(&next_hop) {
            return self.defer(Some(&next_hop), &entries, trouble);
        }
        match self.spool() {
            Ok(spool) => self.dispatch(marks, next_hop, entries, &Arc::new(spool)),
            Err(why) => refused(self.key, &why),
        }
    }

    /// Tells that nothing was tried. Nothing was locked, so there is nothing to mark.
    fn defer(&self, next_hop: Option<&NextHop>, entries: &[&Entry<'_>], outcome: Outcome) -> Begun {
        let listed: Vec<Listed> = entries.iter().map(|entry| Listed::of(entry, None).0).collect();
        let report = Report::uniform(listed.len(), outcome);
        let verdicts = self.agent.verdicts(self.key, next_hop, &listed, &report);
        Begun::Over(verdicts.into_iter().map(|verdict| verdict.line).collect())
    }

    fn spool(&self) -> Result<File, String> {
        let name = std::str::from_utf8(self.file.spool).ok().and_then(|name| self.key.path.spool(name));
        let name = name.ok_or("its line \"i\" names no spool file")?;
        let opened = marks::open(&self.agent.options.directory.join(&name), OpenOptions::new().read(true));
        opened.map_err(|error| format!("{name}: {error}"))
    }

    fn dispatch(&self, marks: Marks, next_hop: NextHop, entries: Vec<&'f Entry<'f>>, spool: &Arc<File>) -> Begun {
        let config = self.agent.delivery.config();
        let (groups, has_more) = groups(entries, most_groups(&config, &next_hop));
        let body = spool.metadata().map_or(0, |data| data.len()).saturating_sub(self.file.body);
        let size = |group: &Group<'_>| body + self.headers(group).map_or(0, <[u8]>::len) as u64;
        let rooms: Option<Vec<D::Room>> =
            groups.iter().map(|group| self.agent.delivery.room(&next_hop, size(group), Duration::ZERO)).collect();
        let Some(rooms) = rooms else { return Begun::LacksRoom };
        // The rules of the next hop, but a line end is LF in the files of the queue.
        let rules = intake::rules(&config, std::slice::from_ref(&next_hop), config.limits.message_size);
        let rules = ContentRules { normalise_newlines: true, ..rules };
        let verbose = self.file.verbose.map(|path| String::from_utf8_lossy(path).into_owned());
        let (agent, key) = (Arc::clone(self.agent), self.key.clone());
        let job = Arc::new(Active { agent, key, next_hop, marks, verbose, has_more });
        for (group, room) in groups.into_iter().zip(rooms) {
            self.hand_over(&job, &group, room, &|head| Content::headed(head, spool, self.file.body, &rules));
        }
        Begun::OnItsWay
    }

    fn headers(&self, group: &Group<'_>) -> Option<&'f [u8]> {
        let range = self.file.headers.get(group.headers?)?;
        self.octets.get(range.clone())
    }

    /// Locks the recipients of a group and submits their message. Those that cannot be told to a server are settled at
    /// once.
    fn hand_over(&self, job: &Arc<Active<D>>, group: &Group<'_>, room: D::Room, content: &MakeContent<'_>) {
        let headers = group.headers.map(|index| self.file.headers[index].start);
        let (mut listed, mut recipients) = (Vec::new(), Vec::new());
        for entry in group.entries.iter().filter(|entry| self.lock(job, entry.offset)) {
            match Listed::of(entry, headers) {
                (one, Ok(recipient)) => {
                    listed.push(one);
                    recipients.push(recipient);
                }
                (one, Err(why)) => Parcel::new(job, vec![one]).settle(&Report::uniform(1, unfit(5, 1, 3, &why))),
            }
        }
        if listed.is_empty() {
            return;
        }
        let parcel = Parcel::new(job, listed);
        match self.message(job, group, recipients, content) {
            Ok(message) => {
                let agent = Arc::clone(self.agent);
                let receive = move |report| agent.jobs.finish((parcel, report));
                let (ticket, _) = Ticket::issue_to(message.envelope.recipients.len(), Box::new(receive));
                self.agent.delivery.submit(message, room, ticket);
            }
            Err(outcome) => {
                let report = Report::uniform(parcel.len(), outcome);
                parcel.settle(&report);
            }
        }
    }

    fn lock(&self, job: &Active<D>, offset: usize) -> bool {
        job.marks.lock(offset, self.agent.pid).unwrap_or_else(|error| {
            self.agent.output.comment(&format!("{}/{offset}: cannot be locked: {error}", self.key.path.as_str()));
            false
        })
    }

    fn message(
        &self,
        job: &Active<D>,
        group: &Group<'_>,
        recipients: Vec<Recipient>,
        content: &MakeContent<'_>,
    ) -> Result<Message, Outcome> {
        let broken = |what: &str| Outcome::deferred(EnhancedStatus::new(4, 3, 0), format!("the control file {what}"));
        let sender = group.sender.ok_or_else(|| broken("names no sender"))?;
        let sender = self.sender(sender).map_err(|why| unfit(5, 1, 7, &why))?;
        let head = self.headers(group).ok_or_else(|| broken("ends before the headers"))?;
        let content = content(head).map_err(|error| of_reply(&intake::refusal(&error)))?;
        let first = group.entries.first().ok_or_else(|| broken("has no recipient"))?;
        let envelope = Envelope {
            ret: recipient::ret(first.ret),
            envelope_id: recipient::envelope_id(first.envelope_id),
            recipients,
            ..Envelope::new(sender, Vec::new())
        };
        let queue_id = Some(self.key.path.as_str().to_owned());
        Ok(Message { queue_id, next_hop: job.next_hop.clone(), envelope, content: Some(content) })
    }

    /// Channel `error` is the null sender, whatever the user.
    fn sender(&self, index: usize) -> Result<Address, String> {
        let sender = &self.file.senders[index];
        match sender.channel {
            b"error" => Ok(Address::null()),
            _ => recipient::address(sender.user),
        }
    }
}

/// Makes a content of these headers.
type MakeContent<'c> = dyn Fn(&[u8]) -> Result<Content, ContentError> + 'c;

/// So many messages at a time the engine can surely have room for.
fn most_groups(config: &Config, next_hop: &NextHop) -> usize {
    let most = config.settings(next_hop).max_messages.min(config.limits.messages);
    usize::try_from(most).map_or(MAX_GROUPS, |most| most.clamp(1, MAX_GROUPS))
}

/// The recipients by sender and headers, in the order of the file, and whether there are more groups than may be.
fn groups<'f>(entries: Vec<&'f Entry<'f>>, most: usize) -> (Vec<Group<'f>>, bool) {
    let (mut groups, mut places, mut has_more) = (Vec::<Group<'f>>::new(), HashMap::new(), false);
    for entry in entries {
        let by = (entry.sender, entry.headers);
        match places.get(&by) {
            Some(&place) => {
                let group: &mut Group<'f> = &mut groups[place];
                group.entries.push(entry);
            }
            None if groups.len() < most => {
                places.insert(by, groups.len());
                groups.push(Group { sender: entry.sender, headers: entry.headers, entries: vec![entry] });
            }
            None => has_more = true,
        }
    }
    (groups, has_more)
}

/// What could not be sent to any server as it is.
fn unfit(class: u8, subject: u16, detail: u16, why: &str) -> Outcome {
    let status = EnhancedStatus::new(class, subject, detail);
    Outcome { verdict: Verdict::Failed, status, code: None, text: why.to_owned() }
}

fn of_reply(reply: &Reply) -> Outcome {
    let verdict = if reply.is_permanent() { Verdict::Failed } else { Verdict::Deferred };
    Outcome { verdict, status: reply.status, code: None, text: reply.text.clone() }
}
