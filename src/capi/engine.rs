//! The engine as C has it: [`Engine`] with its [`Desk`]. Every function may be called from any thread at any time, but
//! for the last one, which frees it.
//!
//! The end is bounded: lanes are joined on a thread of their own, and whoever drains or frees does not wait longer than
//! it was told and [`END_BOUND`] more. Only the system's resolver can hold a lane up for longer; it then ends by
//! itself.

use super::config::ConfigHandle;
use super::desk::{Cookie, Cover, Desk, Entry, ReportFn};
use super::error::{EMPTY, ERR_BUSY, ERR_PANIC, ERR_STOPPING, ERR_SYSTEM, ERR_TIMEOUT, Failure, OK, copy_out};
use super::guard::{self, Handle};
use super::message::MessageHandle;
use super::parcel::Parcel;
use super::process;
use super::report::ReportHandle;
use crate::config::Config;
use crate::engine::{Engine, Room};
use crate::lane::{Ticket, Withdrawal};
use crate::mail::{ContentRules, EnhancedStatus, Message, NextHop, Outcome, Report, Verdict};
use crate::net::with_signals_blocked;
use crate::sync::after;
use std::ffi::{c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How much longer than it was told a drain waits for threads to end.
const END_BOUND: Duration = Duration::from_secs(5);

/// How long a delivery that was given up waits for its report.
const GRACE: Duration = Duration::from_secs(1);

/// `pipelane_engine`
pub struct EngineHandle {
    process: u32,
    engine: Arc<Engine>,
    desk: Arc<Desk>,
    stopping: AtomicBool,
    /// A panic came out of the engine: nothing is known of it any more.
    broken: AtomicBool,
}

impl Handle for EngineHandle {
    fn maker(&self) -> u32 {
        self.process
    }
}

/// A message that can be handed over without any further failure.
struct Ready {
    message: Message,
    room: Room,
}

impl EngineHandle {
    fn new(config: Config) -> Result<EngineHandle, Failure> {
        let system = |error| Failure::new(ERR_SYSTEM, format!("no descriptor for the reports: {error}"));
        guard::quiet_panics();
        Ok(EngineHandle {
            process: process::number(),
            engine: Engine::new(Arc::new(config)),
            desk: Arc::new(Desk::new().map_err(system)?),
            stopping: AtomicBool::new(false),
            broken: AtomicBool::new(false),
        })
    }

    /// Takes the message from the caller, if all is well with it and there is room.
    ///
    /// # Safety
    /// `message` is null or a message that nobody else uses.
    unsafe fn take(&self, message: *mut MessageHandle, patience: Duration) -> Result<Ready, Failure> {
        // SAFETY: as asked of the caller.
        let given = unsafe { guard::exclusive(message, "message") }?;
        if self.broken.load(Ordering::Relaxed) {
            return Err(Failure::new(ERR_PANIC, "the engine has failed before; free it and make another"));
        }
        if self.stopping.load(Ordering::Acquire) {
            return Err(Failure::new(ERR_STOPPING, "the engine was drained and takes no more messages"));
        }
        let (next_hop, size) = given.complete()?;
        let next_hop = next_hop.clone();
        let busy =
            || Failure::new(ERR_BUSY, format!("pipelane holds as many messages for {next_hop}, or in all, as it may"));
        let room = match patience.is_zero() {
            true => self.engine.room_now(&next_hop, size),
            false => self.engine.room(&next_hop, size, patience),
        };
        let room = room.ok_or_else(busy)?;
        let content = given.content(self.rules(&next_hop))?;
        // SAFETY: it came from `hand_out`, which made it of a Box, and it is ours from now on.
        let message = unsafe { Box::from_raw(message) };
        Ok(Ready { message: message.into_message(next_hop, content), room })
    }

    fn rules(&self, next_hop: &NextHop) -> ContentRules {
        let config = self.engine.config();
        let settings = config.settings(next_hop);
        ContentRules {
            normalise_newlines: settings.normalise_newlines,
            refuse_long_lines: settings.refuse_long_lines,
            memory_limit: config.limits.content_memory,
            size_limit: config.limits.message_size,
            directory: config.limits.content_directory.clone(),
        }
    }

    /// Hands a message over; its report goes to the desk.
    fn submit(&self, ready: Ready, cookie: *mut c_void) -> u64 {
        let number = self.desk.number();
        let cover = cover(number, cookie, &ready);
        let desk = Arc::clone(&self.desk);
        let recipients = cover.envelope.recipients.len();
        let (ticket, withdrawal) = Ticket::issue_to(recipients, Box::new(move |report| desk.report(cover, report)));
        self.desk.enter(number, withdrawal, ready.message.next_hop.clone());
        self.hand_over(ready, ticket);
        number
    }

    /// Hands a message over; its report comes in the parcel.
    fn send(&self, ready: Ready) -> (Parcel<Entry>, Withdrawal) {
        let (parcel, cover) = (Parcel::new(), cover(0, ptr::null_mut(), &ready));
        let (address, recipients) = (parcel.address(), cover.envelope.recipients.len());
        // Whoever has stopped waiting has made a report of its own.
        let receive = move |report| {
            address.send((cover, report));
            None
        };
        let (ticket, withdrawal) = Ticket::issue_to(recipients, Box::new(receive));
        self.hand_over(ready, ticket);
        (parcel, withdrawal)
    }

    fn hand_over(&self, ready: Ready, ticket: Ticket) {
        let submit = || self.engine.submit(ready.message, ready.room, ticket);
        // The ticket reports also then, so that the caller need not be told twice.
        if catch_unwind(AssertUnwindSafe(submit)).is_err() {
            self.broken.store(true, Ordering::Relaxed);
        }
    }

    fn deliver(&self, ready: Ready, patience: Duration) -> ReportHandle {
        let (next_hop, spare) = (ready.message.next_hop.clone(), cover(0, ptr::null_mut(), &ready));
        let (parcel, withdrawal) = self.send(ready);
        let entry = parcel.wait(patience).or_else(|| {
            withdrawal.withdraw();
            self.engine.tidy(&next_hop);
            parcel.wait(GRACE)
        });
        let (cover, report) = entry.unwrap_or_else(|| {
            let report = out_of_time(spare.envelope.recipients.len());
            (spare, report)
        });
        ReportHandle::new(cover, report)
    }

    /// Takes no further message; `false` when lanes are left at the end.
    fn drain(&self, patience: Duration) -> bool {
        self.stopping.store(true, Ordering::Release);
        let (engine, desk, ends) = (Arc::clone(&self.engine), Arc::clone(&self.desk), after(patience));
        let parcel = Parcel::new();
        let address = parcel.address();
        let end = move || {
            let _ = catch_unwind(AssertUnwindSafe(|| engine.drain_until(ends)));
            desk.close();
            drop(engine);
            address.send(());
        };
        let spawn = || std::thread::Builder::new().name("pipelane end".into()).spawn(end);
        match with_signals_blocked(spawn) {
            Ok(thread) => {
                let over = parcel.wait(patience.saturating_add(END_BOUND)).is_some();
                if over {
                    // It has nothing more to do, and cannot panic.
                    let _ = thread.join();
                }
                over
            }
            // No thread can be had: it is done here, at the risk of waiting for the resolver.
            Err(_) => {
                self.engine.drain_until(ends);
                self.desk.close();
                true
            }
        }
    }
}

fn cover(number: u64, cookie: *mut c_void, ready: &Ready) -> Cover {
    Cover { number, cookie: Cookie(cookie), envelope: Arc::clone(&ready.message.envelope) }
}

/// The report of a message that nobody could call back in time.
fn out_of_time(recipients: usize) -> Report {
    let text = "no result within the time given; it may have been delivered";
    let outcome = Outcome { verdict: Verdict::InDoubt, ..Outcome::deferred(EnhancedStatus::new(4, 4, 7), text) };
    Report::uniform(recipients, outcome)
}

/// Milliseconds of the caller; `None` for less than 0, which is without end.
fn patience(timeout_ms: i32) -> Option<Duration> {
    u64::try_from(timeout_ms).ok().map(Duration::from_millis)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pipelane_engine_new(config: *const ConfigHandle, engine: *mut *mut EngineHandle) -> i32 {
    guard::call(|| {
        let make = || {
            if config.is_null() {
                return EngineHandle::new(Config::default());
            }
            // SAFETY: the header asks for this of the caller.
            EngineHandle::new(unsafe { guard::shared(config, "config") }?.build()?)
        };
        // SAFETY: as above.
        unsafe { guard::hand_out(engine, "engine", make) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pipelane_engine_set_callback(
    engine: *mut EngineHandle,
    function: ReportFn,
    user: *mut c_void,
) -> i32 {
    guard::call(|| {
        // SAFETY: the header asks for this of the caller.
        unsafe { guard::shared(engine, "engine") }?.desk.set_callback(function, user)?;
        Ok(OK)
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pipelane_engine_submit(
    engine: *mut EngineHandle,
    message: *mut MessageHandle,
    cookie: *mut c_void,
    timeout_ms: i32,
    number: *mut u64,
) -> i32 {
    guard::call(|| {
        // SAFETY: the header asks for these of the caller.
        let (engine, number) = unsafe { (guard::shared(engine, "engine")?, number.as_mut()) };
        // SAFETY: as above.
        let ready = unsafe { engine.take(message, patience(timeout_ms).unwrap_or(Duration::MAX)) }?;
        let given = engine.submit(ready, cookie);
        if let Some(number) = number {
            *number = given;
        }
        Ok(OK)
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pipelane_engine_cancel(engine: *mut EngineHandle, number: u64) -> i32 {
    guard::call(|| {
        // SAFETY: the header asks for this of the caller.
        let engine = unsafe { guard::shared(engine, "engine") }?;
        let next_hop = engine.desk.withdraw(number)?;
        engine.engine.tidy(&next_hop);
        Ok(OK)
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pipelane_engine_poll(
    engine: *mut EngineHandle,
    timeout_ms: i32,
    report: *mut *mut ReportHandle,
) -> i32 {
    guard::call(|| {
        // SAFETY: the header asks for these of the caller.
        let (engine, out) = unsafe { (guard::shared(engine, "engine")?, report.as_mut()) };
        *out.ok_or_else(|| Failure::null("report"))? = ptr::null_mut();
        let Some((cover, found)) = engine.desk.next(patience(timeout_ms))? else { return Ok(EMPTY) };
        // SAFETY: as above.
        unsafe { guard::hand_out(report, "report", || Ok(ReportHandle::new(cover, found))) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pipelane_engine_event_fd(engine: *const EngineHandle) -> c_int {
    // SAFETY: the header asks for this of the caller.
    guard::get(-1, || Ok(unsafe { guard::shared(engine, "engine") }?.desk.descriptor()))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pipelane_engine_status_json(
    engine: *const EngineHandle,
    buffer: *mut c_char,
    size: usize,
) -> usize {
    guard::get(0, || {
        // SAFETY: the header asks for this of the caller.
        let status = unsafe { guard::shared(engine, "engine") }?.engine.status();
        let text = serde_json::to_string(&status).map_err(|error| Failure::new(ERR_PANIC, error.to_string()))?;
        // SAFETY: the header asks for room for `size` octets.
        Ok(unsafe { copy_out(&text, buffer, size) })
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pipelane_engine_drain(engine: *mut EngineHandle, timeout_ms: i32) -> i32 {
    guard::call(|| {
        // SAFETY: the header asks for this of the caller.
        let engine = unsafe { guard::shared(engine, "engine") }?;
        let patience = patience(timeout_ms).unwrap_or_else(|| engine.engine.config().limits.drain);
        match engine.drain(patience) {
            true => Ok(OK),
            false => Err(Failure::new(ERR_TIMEOUT, "a lane has not ended yet; the resolver may hold it up")),
        }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pipelane_engine_free(engine: *mut EngineHandle) {
    guard::call(|| {
        // SAFETY: the header asks for a handle that is not used again, or NULL.
        let Some(engine) = (unsafe { guard::take_back(engine) }) else { return Ok(OK) };
        let over = engine.drain(Duration::ZERO);
        engine.desk.abandon();
        if !over {
            // Its last holder, the thread that ends it, takes it down; this one must not wait.
            let EngineHandle { engine, desk, .. } = *engine;
            drop((engine, desk));
        }
        Ok(OK)
    });
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pipelane_deliver(
    engine: *mut EngineHandle,
    message: *mut MessageHandle,
    timeout_ms: i32,
    report: *mut *mut ReportHandle,
) -> i32 {
    guard::call(|| {
        // SAFETY: the header asks for this of the caller.
        let engine = unsafe { guard::shared(engine, "engine") }?;
        let until = after(patience(timeout_ms).unwrap_or(Duration::MAX));
        let left = || until.saturating_duration_since(std::time::Instant::now());
        // SAFETY: as above.
        unsafe {
            guard::hand_out(report, "report", || {
                let ready = engine.take(message, left())?;
                Ok(engine.deliver(ready, left()))
            })
        }
    })
}
