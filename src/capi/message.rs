//! A message in the making. Addresses and parameters are checked when they are set, the content when the message is
//! handed over, because what is allowed in it depends on the next hop.
//!
//! Content in a file is read by pread(2) only, through a descriptor of our own. Up to `content_memory` octets are read
//! into memory, and the descriptor is closed; a longer content stays in the caller's file if it can go on the wire as
//! it is, else it is copied by [`ContentBuilder`]'s rules.

use super::config::parse_next_hop;
use super::error::{
    BODY_7BIT, BODY_8BITMIME, BODY_UNSPECIFIED, ERR_ADDRESS, ERR_ARGUMENT, ERR_FILE, ERR_INCOMPLETE, ERR_PARAMETER,
    Failure, LINES_CRLF, LINES_LF, OK, unreadable,
};
use super::guard::{self, Handle};
use super::process;
use crate::mail::{
    Address, Body, Content, ContentBuilder, ContentRules, Envelope, Message, NextHop, Parameter, Priority, Recipient,
    Return,
};
use std::cell::RefCell;
use std::ffi::{c_char, c_int};
use std::fs::File;
use std::os::fd::FromRawFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Octets read at once.
const PIECE: usize = 64 * 1024;

/// The longest name that a message has in the log.
const MAX_ID: usize = 255;

/// `pipelane_message`
#[derive(Debug)]
pub struct MessageHandle {
    process: u32,
    id: Option<String>,
    next_hop: Option<NextHop>,
    sender: Option<Address>,
    envelope: Envelope,
    source: Option<Source>,
    unix_lines: bool,
}

/// Where the content is.
#[derive(Debug)]
enum Source {
    Buffer(Vec<u8>),
    File { file: Arc<File>, start: u64, len: u64 },
}

impl Handle for MessageHandle {
    fn maker(&self) -> u32 {
        self.process
    }
}

impl MessageHandle {
    fn new() -> MessageHandle {
        MessageHandle {
            process: process::number(),
            id: None,
            next_hop: None,
            sender: None,
            envelope: Envelope::new(Address::null(), Vec::new()),
            source: None,
            unix_lines: false,
        }
    }

    /// Where it goes and about how many octets it has, if nothing is missing.
    pub(super) fn complete(&self) -> Result<(&NextHop, u64), Failure> {
        let lacks = |what: &str| Failure::new(ERR_INCOMPLETE, format!("the message has no {what}"));
        let next_hop = self.next_hop.as_ref().ok_or_else(|| lacks("next hop"))?;
        let size = match &self.source {
            _ if self.sender.is_none() => return Err(lacks("sender; an empty one is the null sender of bounces")),
            _ if self.envelope.recipients.is_empty() => return Err(lacks("recipient")),
            Some(Source::Buffer(octets)) => octets.len() as u64,
            Some(Source::File { len, .. }) => *len,
            None => return Err(lacks("content")),
        };
        Ok((next_hop, size))
    }

    /// The content as it will be sent. If it fails the message is as it was.
    pub(super) fn content(&mut self, rules: ContentRules) -> Result<Content, Failure> {
        let rules = ContentRules { normalise_newlines: rules.normalise_newlines || self.unix_lines, ..rules };
        match &mut self.source {
            None => Err(Failure::new(ERR_INCOMPLETE, "the message has no content")),
            Some(Source::Buffer(octets)) => match Content::as_it_is(std::mem::take(octets), &rules) {
                Ok(content) => Ok(content),
                Err(back) => {
                    *octets = back;
                    built(rules, octets)
                }
            },
            Some(Source::File { file, start, len }) => of_file(file, *start, *len, rules),
        }
    }

    /// The whole, for the engine, which tells of its recipients by the envelope; only behind [`MessageHandle::complete`].
    pub(super) fn into_message(self, next_hop: NextHop, content: Content) -> Message {
        let sender = self.sender.unwrap_or_else(Address::null);
        let envelope = Arc::new(Envelope { sender, ..self.envelope });
        Message { queue_id: self.id, next_hop, envelope, content: Some(content) }
    }
}

/// The next hop of this text. Most programs name the same one again and again.
fn next_hop_of(text: &str) -> Result<NextHop, Failure> {
    thread_local!(static LAST: RefCell<Option<NextHop>> = const { RefCell::new(None) });
    LAST.with_borrow_mut(|last| match last {
        Some(known) if known.as_str() == text => Ok(known.clone()),
        _ => Ok(last.insert(parse_next_hop(text)?).clone()),
    })
}

fn built(rules: ContentRules, octets: &[u8]) -> Result<Content, Failure> {
    let mut builder = ContentBuilder::new(rules);
    builder.push(octets)?;
    Ok(builder.finish()?)
}

fn of_file(file: &Arc<File>, start: u64, len: u64, rules: ContentRules) -> Result<Content, Failure> {
    if let Some(small) = usize::try_from(len).ok().filter(|_| len <= rules.memory_limit) {
        let mut octets = vec![0; small];
        file.read_exact_at(&mut octets, start).map_err(|e| unreadable(&e))?;
        return Content::as_it_is(octets, &rules).or_else(|octets| built(rules, &octets));
    }
    if let Some(content) = Content::in_place(file, start, len, &rules).map_err(|e| unreadable(&e))? {
        return Ok(content);
    }
    let (mut builder, mut piece, mut done) = (ContentBuilder::new(rules), vec![0; PIECE], 0);
    while done < len {
        let most = usize::try_from(len - done).map_or(PIECE, |left| left.min(PIECE));
        file.read_exact_at(&mut piece[..most], start + done).map_err(|e| unreadable(&e))?;
        builder.push(&piece[..most])?;
        done += most as u64;
    }
    Ok(builder.finish()?)
}

fn not_allowed(what: &str, number: impl std::fmt::Display) -> Failure {
    Failure::new(ERR_ARGUMENT, format!("{what} {number} is not one of those allowed"))
}

fn unix_lines(lines: i32) -> Result<bool, Failure> {
    match lines {
        LINES_CRLF => Ok(false),
        LINES_LF => Ok(true),
        _ => Err(not_allowed("lines", lines)),
    }
}

/// A descriptor of our own for the caller's file, if the range is there to be read.
fn duplicate(fd: c_int, offset: u64, length: u64) -> Result<Source, Failure> {
    // SAFETY: no pointer is passed; a number that is no descriptor is an error of the call.
    let own = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 0) };
    if own < 0 {
        return Err(unreadable(&std::io::Error::last_os_error()));
    }
    // SAFETY: a new descriptor that nothing else owns.
    let file = unsafe { File::from_raw_fd(own) };
    let found = file.metadata().map_err(|e| unreadable(&e))?;
    if !found.is_file() {
        return Err(Failure::new(ERR_FILE, "the content's descriptor is not one of a regular file"));
    }
    let len = if length == u64::MAX { found.len().saturating_sub(offset) } else { length };
    if offset.checked_add(len).is_none_or(|end| end > found.len()) {
        let text = format!("the file of the content has {} octets, fewer than offset and length say", found.len());
        return Err(Failure::new(ERR_FILE, text));
    }
    if len > 0 {
        file.read_exact_at(&mut [0], offset).map_err(|e| unreadable(&e))?;
    }
    Ok(Source::File { file: Arc::new(file), start: offset, len })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pipelane_message_new(message: *mut *mut MessageHandle) -> i32 {
    // SAFETY: the header asks for these of the caller.
    guard::call(|| unsafe { guard::hand_out(message, "message", || Ok(MessageHandle::new())) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pipelane_message_set_sender(message: *mut MessageHandle, address: *const c_char) -> i32 {
    guard::call(|| {
        // SAFETY: the header asks for these of the caller.
        let (message, address) = unsafe { (guard::exclusive(message, "message")?, guard::text(address, "address")?) };
        let address = Address::parse_reverse(address).map_err(|e| Failure::new(ERR_ADDRESS, e.to_string()))?;
        message.sender = Some(address);
        Ok(OK)
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pipelane_message_add_recipient(
    message: *mut MessageHandle,
    address: *const c_char,
    notify: *const c_char,
    orcpt: *const c_char,
) -> i32 {
    guard::call(|| {
        // SAFETY: the header asks for these of the caller.
        let (message, address) = unsafe { (guard::exclusive(message, "message")?, guard::text(address, "address")?) };
        // SAFETY: as above.
        let (notify, orcpt) =
            unsafe { (guard::optional_text(notify, "notify")?, guard::optional_text(orcpt, "orcpt")?) };
        let address = Address::parse(address).map_err(|e| Failure::new(ERR_ADDRESS, e.to_string()))?;
        let wrong = |name: &str| Failure::new(ERR_PARAMETER, format!("the value is none of {name} (RFC 3461)"));
        let notify = notify.map(|text| Parameter::notify(text).ok_or_else(|| wrong("NOTIFY"))).transpose()?;
        let original = orcpt.map(|text| Parameter::original(text).ok_or_else(|| wrong("ORCPT"))).transpose()?;
        message.envelope.recipients.push(Recipient { address, notify, original });
        Ok(OK)
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pipelane_message_set_dsn(
    message: *mut MessageHandle,
    ret: *const c_char,
    envid: *const c_char,
) -> i32 {
    guard::call(|| {
        // SAFETY: the header asks for these of the caller.
        let message = unsafe { guard::exclusive(message, "message")? };
        // SAFETY: as above.
        let (ret, envid) = unsafe { (guard::optional_text(ret, "ret")?, guard::optional_text(envid, "envid")?) };
        let wrong = |why: &str| Failure::new(ERR_PARAMETER, why);
        let ret = ret.map(|text| Return::parse(text).ok_or_else(|| wrong("RET is FULL or HDRS"))).transpose()?;
        let envid = envid.map(|text| {
            Parameter::envelope_id(text).ok_or_else(|| wrong("ENVID is xtext, of at most 100 octets (RFC 3461 4.4)"))
        });
        message.envelope.envelope_id = envid.transpose()?;
        message.envelope.ret = ret;
        Ok(OK)
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pipelane_message_set_body(message: *mut MessageHandle, body: i32) -> i32 {
    guard::call(|| {
        // SAFETY: the header asks for this of the caller.
        let message = unsafe { guard::exclusive(message, "message")? };
        message.envelope.body = match body {
            BODY_UNSPECIFIED => Body::Unspecified,
            BODY_7BIT => Body::SevenBit,
            BODY_8BITMIME => Body::EightBit,
            _ => return Err(not_allowed("body", body)),
        };
        Ok(OK)
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pipelane_message_set_smtputf8(message: *mut MessageHandle, needed: c_int) -> i32 {
    guard::call(|| {
        // SAFETY: the header asks for this of the caller.
        unsafe { guard::exclusive(message, "message")? }.envelope.smtputf8 = needed != 0;
        Ok(OK)
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pipelane_message_set_next_hop(message: *mut MessageHandle, next_hop: *const c_char) -> i32 {
    guard::call(|| {
        // SAFETY: the header asks for these of the caller.
        let (message, text) = unsafe { (guard::exclusive(message, "message")?, guard::text(next_hop, "next_hop")?) };
        message.next_hop = Some(next_hop_of(text)?);
        Ok(OK)
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pipelane_message_set_priority(message: *mut MessageHandle, priority: i32) -> i32 {
    guard::call(|| {
        // SAFETY: the header asks for this of the caller.
        let message = unsafe { guard::exclusive(message, "message")? };
        let known = i8::try_from(priority).ok().and_then(|number| Priority::new(number).ok());
        message.envelope.priority = Some(known.ok_or_else(|| not_allowed("priority", priority))?);
        Ok(OK)
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pipelane_message_set_id(message: *mut MessageHandle, id: *const c_char) -> i32 {
    guard::call(|| {
        // SAFETY: the header asks for these of the caller.
        let (message, id) = unsafe { (guard::exclusive(message, "message")?, guard::text(id, "id")?) };
        if id.len() > MAX_ID {
            return Err(Failure::new(ERR_ARGUMENT, format!("the id has {} octets, over {MAX_ID}", id.len())));
        }
        message.id = Some(id.to_owned());
        Ok(OK)
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pipelane_message_set_content_fd(
    message: *mut MessageHandle,
    fd: c_int,
    offset: u64,
    length: u64,
    lines: i32,
) -> i32 {
    guard::call(|| {
        // SAFETY: the header asks for this of the caller.
        let message = unsafe { guard::exclusive(message, "message")? };
        let unix_lines = unix_lines(lines)?;
        message.source = Some(duplicate(fd, offset, length)?);
        message.unix_lines = unix_lines;
        Ok(OK)
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pipelane_message_set_content_buffer(
    message: *mut MessageHandle,
    octets: *const u8,
    size: usize,
    lines: i32,
) -> i32 {
    guard::call(|| {
        // SAFETY: the header asks for this of the caller.
        let message = unsafe { guard::exclusive(message, "message")? };
        let unix_lines = unix_lines(lines)?;
        if octets.is_null() {
            return Err(Failure::null("octets"));
        }
        if isize::try_from(size).is_err() {
            return Err(not_allowed("size", size));
        }
        // SAFETY: the header asks for `size` octets that can be read.
        message.source = Some(Source::Buffer(unsafe { std::slice::from_raw_parts(octets, size) }.to_vec()));
        message.unix_lines = unix_lines;
        Ok(OK)
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pipelane_message_free(message: *mut MessageHandle) {
    // SAFETY: the header asks for a handle that is not used again, or NULL.
    unsafe { guard::free(message) };
}
