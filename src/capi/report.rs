//! A report as C reads it: every text ends with a NUL and lives as long as the report.

use super::desk::Cover;
use super::error::{DEFERRED, DELIVERED, ERR_ARGUMENT, FAILED, Failure, IN_DOUBT, NO_OUTCOME};
use super::guard::{self, Handle};
use super::process;
use crate::mail::{Outcome, Report, Verdict};
use std::collections::BTreeMap;
use std::ffi::{CString, c_char, c_void};
use std::ptr;
use std::sync::OnceLock;
use std::time::Duration;

/// `pipelane_report`
#[derive(Debug)]
pub struct ReportHandle {
    process: u32,
    cover: Cover,
    report: Report,
    /// Texts are made for C when one is asked for, since most reports are not read but for their outcome.
    texts: OnceLock<Texts>,
}

#[derive(Debug)]
struct Texts {
    addresses: Vec<CString>,
    /// The status and the text of each recipient.
    outcomes: Vec<(CString, CString)>,
    /// The servers that have decided before the last, by recipient.
    earlier: BTreeMap<usize, CString>,
    server: Option<Server>,
    lane: Option<CString>,
    level: Option<CString>,
}

#[derive(Debug)]
struct Server {
    whole: CString,
    name: CString,
    address: CString,
    port: i32,
}

impl Handle for ReportHandle {
    fn maker(&self) -> u32 {
        self.process
    }
}

impl ReportHandle {
    pub(super) fn new(cover: Cover, report: Report) -> ReportHandle {
        ReportHandle { process: process::number(), cover, report, texts: OnceLock::new() }
    }

    fn outcome(&self, recipient: usize) -> Result<&Outcome, Failure> {
        self.report.outcomes.get(recipient).ok_or_else(|| beyond(recipient))
    }

    fn texts(&self) -> &Texts {
        let of_outcome = |outcome: &Outcome| (c_text(&outcome.status.to_string()), c_text(&outcome.text));
        let route = self.report.route.as_deref();
        let recipients = &self.cover.envelope.recipients;
        self.texts.get_or_init(|| Texts {
            addresses: recipients.iter().map(|recipient| c_text(recipient.address.as_str())).collect(),
            outcomes: self.report.outcomes.iter().map(of_outcome).collect(),
            earlier: self.report.earlier.iter().map(|(index, route)| (*index, c_text(&route.server))).collect(),
            server: route.map(|route| Server::of(&route.server)),
            lane: route.map(|route| c_text(&route.lane)),
            level: route.map(|route| c_text(route.level)),
        })
    }

    fn texts_of(&self, recipient: usize) -> Result<&(CString, CString), Failure> {
        self.texts().outcomes.get(recipient).ok_or_else(|| beyond(recipient))
    }
}

const fn number_of(verdict: Verdict) -> i32 {
    match verdict {
        Verdict::Delivered => DELIVERED,
        Verdict::Deferred => DEFERRED,
        Verdict::Failed => FAILED,
        Verdict::InDoubt => IN_DOUBT,
    }
}

impl Server {
    /// Of `host[address]:port`.
    fn of(text: &str) -> Server {
        let (rest, port) = text.rsplit_once("]:").unwrap_or((text, ""));
        let (name, address) = rest.rsplit_once('[').unwrap_or((rest, ""));
        Server { whole: c_text(text), name: c_text(name), address: c_text(address), port: port.parse().unwrap_or(0) }
    }
}

fn beyond(recipient: usize) -> Failure {
    Failure::new(ERR_ARGUMENT, format!("the report has no recipient {recipient}; the first is 0"))
}

/// The text for C; a NUL, which only a server gone wrong would send, is a question mark.
pub(super) fn c_text(text: &str) -> CString {
    CString::new(text).unwrap_or_else(|_| CString::new(text.replace('\0', "?")).unwrap_or_default())
}

fn or_null(text: Option<&CString>) -> *const c_char {
    text.map_or(ptr::null(), |text| text.as_ptr())
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Reads one thing of a report.
unsafe fn read<T>(
    report: *const ReportHandle,
    otherwise: T,
    what: impl FnOnce(&'static ReportHandle) -> Result<T, Failure>,
) -> T {
    // SAFETY: the header asks for a report that is not freed. What is read of it is a number, or a pointer of which the header says
    // that it lives as long as the report.
    guard::get(otherwise, || what(unsafe { guard::shared(report, "report") }?))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pipelane_report_cookie(report: *const ReportHandle) -> *mut c_void {
    // SAFETY: the header asks for a report, or NULL; so in all functions below.
    unsafe { read(report, ptr::null_mut(), |report| Ok(report.cover.cookie.0)) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pipelane_report_number(report: *const ReportHandle) -> u64 {
    // SAFETY: as above.
    unsafe { read(report, 0, |report| Ok(report.cover.number)) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pipelane_report_recipients(report: *const ReportHandle) -> usize {
    // SAFETY: as above.
    unsafe { read(report, 0, |report| Ok(report.report.outcomes.len())) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pipelane_report_address(report: *const ReportHandle, recipient: usize) -> *const c_char {
    let address = |report: &'static ReportHandle| {
        report.texts().addresses.get(recipient).map(|address| address.as_ptr()).ok_or_else(|| beyond(recipient))
    };
    // SAFETY: as above.
    unsafe { read(report, ptr::null(), address) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pipelane_report_outcome(report: *const ReportHandle, recipient: usize) -> i32 {
    // SAFETY: as above.
    unsafe { read(report, NO_OUTCOME, |report| Ok(number_of(report.outcome(recipient)?.verdict))) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pipelane_report_code(report: *const ReportHandle, recipient: usize) -> i32 {
    // SAFETY: as above.
    unsafe { read(report, 0, |report| Ok(report.outcome(recipient)?.code.map_or(0, i32::from))) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pipelane_report_status(report: *const ReportHandle, recipient: usize) -> *const c_char {
    // SAFETY: as above.
    unsafe { read(report, ptr::null(), |report| Ok(report.texts_of(recipient)?.0.as_ptr())) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pipelane_report_text(report: *const ReportHandle, recipient: usize) -> *const c_char {
    // SAFETY: as above.
    unsafe { read(report, ptr::null(), |report| Ok(report.texts_of(recipient)?.1.as_ptr())) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pipelane_report_decided_by(report: *const ReportHandle, recipient: usize) -> *const c_char {
    let decided_by = |report: &'static ReportHandle| {
        report.outcome(recipient)?;
        let texts = report.texts();
        let last = || texts.server.as_ref().map(|server| &server.whole);
        Ok(or_null(texts.earlier.get(&recipient).or_else(last)))
    };
    // SAFETY: as above.
    unsafe { read(report, ptr::null(), decided_by) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pipelane_report_server_name(report: *const ReportHandle) -> *const c_char {
    // SAFETY: as above.
    unsafe {
        read(report, ptr::null(), |report| Ok(or_null(report.texts().server.as_ref().map(|server| &server.name))))
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pipelane_report_server_address(report: *const ReportHandle) -> *const c_char {
    // SAFETY: as above.
    unsafe {
        read(report, ptr::null(), |report| Ok(or_null(report.texts().server.as_ref().map(|server| &server.address))))
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pipelane_report_server_port(report: *const ReportHandle) -> i32 {
    // SAFETY: as above.
    unsafe { read(report, 0, |report| Ok(report.texts().server.as_ref().map_or(0, |server| server.port))) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pipelane_report_lane(report: *const ReportHandle) -> *const c_char {
    // SAFETY: as above.
    unsafe { read(report, ptr::null(), |report| Ok(or_null(report.texts().lane.as_ref()))) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pipelane_report_level(report: *const ReportHandle) -> *const c_char {
    // SAFETY: as above.
    unsafe { read(report, ptr::null(), |report| Ok(or_null(report.texts().level.as_ref()))) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pipelane_report_queued_us(report: *const ReportHandle) -> u64 {
    // SAFETY: as above.
    unsafe { read(report, 0, |report| Ok(microseconds(report.report.timings.queued))) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pipelane_report_delivery_us(report: *const ReportHandle) -> u64 {
    // SAFETY: as above.
    unsafe { read(report, 0, |report| Ok(microseconds(report.report.timings.delivery))) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pipelane_report_free(report: *mut ReportHandle) {
    // SAFETY: the header asks for a handle that is not used again, or NULL.
    unsafe { guard::free(report) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_taken_apart() {
        for (text, name, address, port) in [
            ("mx.test[192.0.2.1]:25", "mx.test", "192.0.2.1", 25),
            ("::1[::1]:2525", "::1", "::1", 2525),
            ("odd", "odd", "", 0),
        ] {
            let server = Server::of(text);
            assert_eq!((server.name, server.address, server.port), (c_text(name), c_text(address), port));
        }
    }

    #[test]
    fn a_nul_does_not_cut_a_text() {
        assert_eq!(c_text("a\0b").as_bytes(), b"a?b");
    }
}
