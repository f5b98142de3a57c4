//! The beginning of a job: control file, recipients, room, locks, content, and over to the engine.
//!
//! A message is made of all recipients that have the same sender and the same headers. None of them is locked before
//! the engine has room for it, so that what waits here can still be taken by somebody else. Messages that find no room
//! come in a further turn of the job, behind those that did.

use super::agent::Agent;
use super::control::{self, ControlFile, Entry, State};
use super::jobs::{Key, Turn};
use super::marks::{self, Marks};
use super::output;
use super::parcel::{Active, Held, Parcel};
use super::recipient::{self, Listed};
use super::verbose::Trace;
use crate::door::lmtp::intake;
use crate::door::{Delivery, Reply};
use crate::lane::Ticket;
use crate::mail::{
    Address, Content, ContentError, ContentRules, EnhancedStatus, Envelope, Message, NextHop, Outcome, Recipient,
    Report, Verdict,
};
use std::fs::{File, OpenOptions};
use std::iter::repeat_n;
use std::sync::Arc;
use std::time::Duration;

/// Messages of one control file on their way at a time.
const MAX_GROUPS: usize = 64;

/// Recipients with the same sender and the same headers.
#[derive(Clone, Copy)]
struct Group<'e, 'f> {
    first: &'f Entry<'f>,
    entries: &'e [&'f Entry<'f>],
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

/// Begins a job, or goes on with it.
pub(super) fn begin<D: Delivery>(agent: &Arc<Agent<D>>, turn: Turn) {
    let (key, from) = (turn.key.clone(), turn.from);
    let held = Held::new(agent, turn);
    let (mut marks, octets) = match agent.open(&key) {
        Ok(opened) => opened,
        Err(why) => return over(agent, held, &output::resync(key.path.as_str(), &why)),
    };
    match control::parse(&octets) {
        Ok(file) => {
            marks.set_width(file.lock_width);
            Beginning { agent, key: &key, octets: &octets, file: &file, from }.begin(held, marks);
        }
        Err(error) => over(agent, held, &output::resync(key.path.as_str(), &error.to_string())),
    }
}

/// There was nothing to begin. The scheduler is told so when the job is not in hand any more: it may feed it again at
/// once.
fn over<D: Delivery>(agent: &Agent<D>, held: Held<D>, lines: &str) {
    drop(held);
    agent.output.say(lines.as_bytes());
}

/// A job whose control file was read.
struct Beginning<'f, D: Delivery> {
    agent: &'f Arc<Agent<D>>,
    key: &'f Key,
    octets: &'f [u8],
    file: &'f ControlFile<'f>,
    /// Recipients before this offset were tried.
    from: usize,
}

impl<'f, D: Delivery> Beginning<'f, D> {
    fn begin(&self, held: Held<D>, marks: Marks) {
        let mut entries = waiting(self.file, &self.agent.options.channel, &self.key.host);
        entries.retain(|entry| entry.offset >= self.from);
        if entries.is_empty() {
            let is_known = self.file.is_turn || self.from > 0;
            let lines = if is_known { String::new() } else { output::resync(self.key.path.as_str(), "") };
            return over(self.agent, held, &lines);
        }
        let next_hop = match self.agent.options.route.next_hop(&self.key.host) {
            Ok(next_hop) => next_hop,
            Err(why) => {
                let outcome = Outcome::deferred(EnhancedStatus::new(4, 1, 2), why);
                return self.defer(held, false, &entries, outcome);
            }
        };
        if let Some(trouble) = self.agent.delivery.trouble(&next_hop) {
            return self.defer(held, true, &entries, trouble);
        }
        match self.spool() {
            Ok(spool) => self.dispatch(held, marks, next_hop, &entries, &Arc::new(spool)),
            Err(why) => self.defer(held, false, &entries, Outcome::deferred(EnhancedStatus::new(4, 3, 0), why)),
        }
    }

    /// Tells that nothing was tried, perhaps since the site cannot be reached. Nothing was locked, so there is nothing
    /// to mark.
    fn defer(&self, held: Held<D>, of_site: bool, entries: &[&Entry<'_>], outcome: Outcome) {
        let listed: Vec<Listed> = entries.iter().map(|entry| Listed::of(entry, None).0).collect();
        let report = Report::uniform(listed.len(), outcome);
        let verdicts = self.agent.verdicts(self.key, of_site, &listed, &report);
        drop(held);
        self.agent.tell(&verdicts);
    }

    fn spool(&self) -> Result<File, String> {
        let name = std::str::from_utf8(self.file.spool).ok().and_then(|name| self.key.path.spool(name));
        let name = name.ok_or("the line \"i\" of the control file names no spool file")?;
        let opened = marks::open(&self.agent.options.directory.join(&name), OpenOptions::new().read(true));
        opened.map_err(|error| format!("the message cannot be read: {name}: {error}"))
    }

    /// Hands over the messages that there is room for; the rest of the job comes behind them.
    fn dispatch(
        &self,
        mut held: Held<D>,
        marks: Marks,
        next_hop: NextHop,
        entries: &[&'f Entry<'f>],
        spool: &Arc<File>,
    ) {
        let config = self.agent.delivery.config();
        let groups = groups(entries);
        let body = spool.metadata().map_or(0, |data| data.len()).saturating_sub(self.file.body);
        let size = |group: &Group<'_, '_>| body + self.headers(group).map_or(0, <[u8]>::len) as u64;
        // One by one: whoever has some goes on with it, so that no two jobs wait for each other's.
        let room = |group| self.agent.delivery.room(&next_hop, size(group), Duration::ZERO);
        let rooms: Vec<D::Room> = groups.iter().take(MAX_GROUPS).map_while(room).collect();
        if rooms.is_empty() {
            return held.lacks_room();
        }
        self.agent.jobs.found_room();
        for why in self.file.left_out.iter().filter(|_| self.from == 0) {
            self.agent.output.comment(&format!("{}: {why}", self.key.path.as_str()));
        }
        held.rest = groups.get(rooms.len()).map(|group| group.first.offset);
        // The rules of the next hop, but a line end is LF in the files of the queue.
        let rules = intake::rules(&config, std::slice::from_ref(&next_hop), config.limits.message_size);
        let rules = ContentRules { normalise_newlines: true, ..rules };
        let verbose = self.file.verbose.and_then(|path| Trace::of(path, spool));
        let job = Arc::new(Active { held, key: self.key.clone(), next_hop, marks, verbose });
        // The last group has the job itself: with its end the job is over, wherever this thread is then.
        for ((group, job), room) in groups.into_iter().zip(repeat_n(job, rooms.len())).zip(rooms) {
            self.hand_over(job, group, room, &|head| Content::headed(head, spool, self.file.body, &rules));
        }
    }

    fn headers(&self, group: &Group<'_, '_>) -> Option<&'f [u8]> {
        let range = self.file.headers.get(group.first.headers?)?;
        self.octets.get(range.clone())
    }

    /// Locks the recipients of a group and submits their message. Those that cannot be told to a server are settled at
    /// once.
    fn hand_over(&self, job: Arc<Active<D>>, group: Group<'_, 'f>, room: D::Room, content: &MakeContent<'_>) {
        let headers = group.first.headers.map(|index| self.file.headers[index].start);
        let (mut parcel, mut recipients) = (Parcel::new(&job), Vec::new());
        for entry in group.entries {
            match Listed::of(entry, headers) {
                (one, Ok(recipient)) => recipients.extend(parcel.lock(one).then_some(recipient)),
                (one, Err(why)) => {
                    let mut alone = Parcel::new(&job);
                    alone.lock(one);
                    alone.settle(&Report::uniform(1, unfit(5, 1, 3, &why)));
                }
            }
        }
        if recipients.is_empty() {
            return;
        }
        let message = self.message(&job, group, recipients, content);
        drop(job);
        match message {
            Ok(message) => {
                let (agent, host) = (Arc::clone(self.agent), Arc::clone(&self.key.host));
                let count = message.envelope.recipients.len();
                let receive = move |report| {
                    agent.jobs.finish(&host, (parcel, report));
                    None
                };
                let (ticket, _) = Ticket::issue_to(count, Box::new(receive));
                self.agent.delivery.submit(message, room, ticket);
            }
            Err(outcome) => {
                // Free before its end wakes somebody up who looks for it.
                drop(room);
                let report = Report::uniform(parcel.len(), outcome);
                parcel.settle(&report);
            }
        }
    }

    fn message(
        &self,
        job: &Active<D>,
        group: Group<'_, '_>,
        recipients: Vec<Recipient>,
        content: &MakeContent<'_>,
    ) -> Result<Message, Outcome> {
        let broken = |what: &str| Outcome::deferred(EnhancedStatus::new(4, 3, 0), format!("the control file {what}"));
        let sender = group.first.sender.ok_or_else(|| broken("names no sender"))?;
        let sender = self.sender(sender).map_err(|why| unfit(5, 1, 7, &why))?;
        let head = self.headers(&group).ok_or_else(|| broken("ends before the headers"))?;
        let content = content(head).map_err(|error| of_reply(&intake::refusal(&error)))?;
        let first = group.first;
        let envelope = Envelope {
            ret: recipient::ret(first.ret),
            envelope_id: recipient::envelope_id(first.envelope_id),
            recipients,
            ..Envelope::new(sender, Vec::new())
        };
        let queue_id = Some(self.key.path.as_str().to_owned());
        Ok(Message { queue_id, next_hop: job.next_hop.clone(), envelope: envelope.into(), content: Some(content) })
    }

    /// Channel `error` is the null sender, whatever the user; so is no user on any channel.
    fn sender(&self, index: usize) -> Result<Address, String> {
        let sender = &self.file.senders[index];
        match (sender.channel, sender.user) {
            (b"error", _) | (_, b"" | b"<>") => Ok(Address::null()),
            (_, user) => recipient::address(user),
        }
    }
}

/// Makes a content of these headers.
type MakeContent<'c> = dyn Fn(&[u8]) -> Result<Content, ContentError> + 'c;

/// The recipients by sender and headers. In a control file those of a group stand together.
fn groups<'e, 'f>(entries: &'e [&'f Entry<'f>]) -> Vec<Group<'e, 'f>> {
    let by = |entry: &Entry<'_>| (entry.sender, entry.headers);
    let runs = entries.chunk_by(|one, next| by(one) == by(next));
    runs.filter_map(|entries| Some(Group { first: entries.first()?, entries })).collect()
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
