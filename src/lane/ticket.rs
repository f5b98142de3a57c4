//! The obligation to report (law: exactly one report per message, even on panic, shutdown or bug).
//!
//! [`Ticket::issue`] makes two ends. The [`Ticket`] travels down with the message; settling it sends the one report,
//! and dropping it unsettled *is* a report: every recipient deferred, or in doubt once the message was sent whole. The
//! [`Inbox`] stays with the door; it is waited on by a timeout or through a file descriptor, and dropping it says that
//! nobody waits any more, which cancels the message if it has not passed the point of no return.
//!
//! [`Ticket::issue_to`] is for a door with many messages and one place for all their reports: the report is handed to a
//! function of the door, on whichever thread made it, and the [`Withdrawal`] cancels. A message withdrawn is still
//! reported on.

use crate::mail::{EnhancedStatus, Outcome, Report, Verdict};
use crate::net::Wake;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Receiver, Sender, bounded};
use std::fmt;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

/// The sending end: one report, guaranteed.
#[derive(Debug)]
pub struct Ticket {
    recipients: usize,
    report: Option<Outlet>,
    sent_whole: bool,
    shared: Arc<Shared>,
}

/// What takes the one report of a ticket. Called with no lock held. It may leave a bell.
pub type Receive = Box<dyn FnOnce(Report) -> Option<Bell> + Send>;

/// Where reports were left for somebody to be told of.
pub trait Ring: Send + Sync {
    /// Tells of all that were left so far.
    fn ring(&self);
}

/// Tells somebody that reports were left for it, when it is dropped. Who leaves many keeps it until the last, since
/// each wake costs two threads more than a report does.
pub struct Bell(Option<Arc<dyn Ring>>);

impl Bell {
    /// One that rings there.
    pub fn new(ring: Arc<dyn Ring>) -> Bell {
        Bell(Some(ring))
    }

    /// Adds it to those that are kept, each of them once.
    pub fn keep(mut self, kept: &mut Vec<Bell>) {
        let is_same = |other: &Bell| matches!((&self.0, &other.0), (Some(a), Some(b)) if Arc::ptr_eq(a, b));
        if kept.iter().any(is_same) {
            self.0 = None;
        } else {
            kept.push(self);
        }
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        if let Some(ring) = self.0.take() {
            ring.ring();
        }
    }
}

impl fmt::Debug for Bell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bell")
    }
}

/// Where a ticket's report goes.
enum Outlet {
    Inbox(Sender<Report>),
    Function(Receive),
}

impl fmt::Debug for Outlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Outlet::Inbox(_) => "Inbox",
            Outlet::Function(_) => "Function",
        })
    }
}

/// By this a message is withdrawn whose report goes to a function.
#[derive(Debug, Clone)]
pub struct Withdrawal(Arc<Shared>);

impl Withdrawal {
    /// What was not sent whole need not be sent. The report comes all the same.
    pub fn withdraw(&self) {
        self.0.abandoned.store(true, Ordering::Release);
    }
}

/// The receiving end.
#[derive(Debug)]
pub struct Inbox {
    report: Receiver<Report>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    wake: Option<Wake>,
    abandoned: AtomicBool,
}

impl Ticket {
    /// The two ends for a message with so many recipients.
    pub fn issue(recipients: usize) -> (Ticket, Inbox) {
        Ticket::issue_with(recipients, None)
    }

    /// As [`Ticket::issue`], for a door that must watch a socket while it waits: `wake` becomes readable with the
    /// report.
    pub fn issue_with(recipients: usize, wake: Option<Wake>) -> (Ticket, Inbox) {
        let (sender, receiver) = bounded(1);
        let shared = Arc::new(Shared { wake, abandoned: AtomicBool::new(false) });
        let ticket =
            Ticket { recipients, report: Some(Outlet::Inbox(sender)), sent_whole: false, shared: Arc::clone(&shared) };
        (ticket, Inbox { report: receiver, shared })
    }

    /// A ticket whose report is handed to `receive`, once, on whichever thread settles or drops it.
    pub fn issue_to(recipients: usize, receive: Receive) -> (Ticket, Withdrawal) {
        let shared = Arc::new(Shared { wake: None, abandoned: AtomicBool::new(false) });
        let report = Some(Outlet::Function(receive));
        (Ticket { recipients, report, sent_whole: false, shared: Arc::clone(&shared) }, Withdrawal(shared))
    }

    /// Sends the report and ends the obligation.
    pub fn settle(mut self, report: Report) -> Option<Bell> {
        debug_assert_eq!(report.outcomes.len(), self.recipients);
        self.send(report)
    }

    /// From now on the server may have the message, so that nobody may say of it that it was not delivered.
    pub fn sent_whole(&mut self) {
        self.sent_whole = true;
    }

    /// Whether the caller has gone: what was not sent whole need not be sent.
    pub fn is_cancelled(&self) -> bool {
        self.shared.abandoned.load(Ordering::Acquire)
    }

    fn send(&mut self, report: Report) -> Option<Bell> {
        let bell = match self.report.take()? {
            // A door that has gone wants no report; its message was handed over again by then.
            Outlet::Inbox(sender) => {
                drop(sender.send(report));
                None
            }
            Outlet::Function(receive) => receive(report),
        };
        if let Some(wake) = &self.shared.wake {
            wake.signal();
        }
        bell
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.report.is_none() {
            return; // The report was made.
        }
        const DROPPED: EnhancedStatus = EnhancedStatus::new(4, 3, 0);
        let mut outcome = Outcome::deferred(DROPPED, "the message was given up inside pipelane before it was sent");
        if self.sent_whole {
            outcome.verdict = Verdict::InDoubt;
            outcome.text = "pipelane has failed after the message was sent; it may have been delivered".into();
        } else if self.is_cancelled() {
            outcome.text = "withdrawn by the caller before it was sent".into();
        }
        // Its bell rings at once.
        self.send(Report::uniform(self.recipients, outcome));
    }
}

impl Inbox {
    /// Waits for the report; `None` when the time ran out.
    pub fn wait(&self, patience: Duration) -> Option<Report> {
        self.report.recv_timeout(patience).ok()
    }

    /// The report, if it is here.
    pub fn take(&self) -> Option<Report> {
        self.report.try_recv().ok()
    }

    /// Readable once the report is here; only for a ticket issued with a [`Wake`].
    pub fn wake_fd(&self) -> Option<BorrowedFd<'_>> {
        self.shared.wake.as_ref().map(Wake::fd)
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.shared.abandoned.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_dropped_is_a_deferred_report() {
        let (ticket, inbox) = Ticket::issue(2);
        drop(ticket);
        let report = inbox.take().expect("a report");
        assert_eq!(report.outcomes.len(), 2);
        assert!(report.outcomes.iter().all(|o| o.verdict == Verdict::Deferred && o.status.class == 4));
    }

    #[test]
    fn a_panic_reports_too() {
        let (ticket, inbox) = Ticket::issue(1);
        let lane = std::thread::spawn(move || {
            let _held = ticket;
            panic!("a bug, on purpose");
        });
        assert!(lane.join().is_err());
        assert_eq!(inbox.take().expect("a report").outcomes[0].verdict, Verdict::Deferred);
    }

    #[test]
    fn one_dropped_after_its_message_was_sent_is_in_doubt() {
        let (mut ticket, inbox) = Ticket::issue(1);
        ticket.sent_whole();
        drop(ticket);
        let report = inbox.take().expect("a report");
        assert_eq!((report.outcomes[0].verdict, report.outcomes[0].status.class), (Verdict::InDoubt, 4));
    }

    #[test]
    fn one_report_and_no_second() {
        let (ticket, inbox) = Ticket::issue(1);
        let failed = Outcome {
            verdict: Verdict::Failed,
            status: EnhancedStatus::new(5, 1, 1),
            code: Some(550),
            text: String::new(),
        };
        ticket.settle(Report::uniform(1, failed));
        assert_eq!(inbox.take().expect("a report").outcomes[0].verdict, Verdict::Failed);
        assert!(inbox.take().is_none());
    }

    #[test]
    fn a_door_that_leaves_cancels() {
        let (ticket, inbox) = Ticket::issue(1);
        assert!(!ticket.is_cancelled());
        drop(inbox);
        assert!(ticket.is_cancelled());
    }

    #[test]
    fn a_function_gets_one_report_also_of_a_message_withdrawn() {
        let (sender, reports) = bounded(2);
        let receive = move |report| {
            sender.send(report).expect("room for it");
            None
        };
        let (ticket, withdrawal) = Ticket::issue_to(1, Box::new(receive));
        withdrawal.withdraw();
        assert!(ticket.is_cancelled());
        drop(ticket);
        let report = reports.try_recv().expect("a report");
        assert_eq!(report.outcomes[0].verdict, Verdict::Deferred);
        assert!(report.outcomes[0].text.starts_with("withdrawn"));
        assert!(reports.try_recv().is_err());
    }

    #[test]
    fn a_bell_rings_once_for_all_that_was_left_and_never_not_at_all() {
        #[derive(Default)]
        struct Count(std::sync::atomic::AtomicUsize);
        impl Ring for Count {
            fn ring(&self) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        let (one, other) = (Arc::new(Count::default()), Arc::new(Count::default()));
        let rung = || (one.0.load(Ordering::SeqCst), other.0.load(Ordering::SeqCst));
        let mut kept = Vec::new();
        for _ in 0..3 {
            Bell::new(one.clone()).keep(&mut kept);
            Bell::new(other.clone()).keep(&mut kept);
        }
        assert_eq!((kept.len(), rung()), (2, (0, 0)));
        kept.clear();
        assert_eq!(rung(), (1, 1));
        // Nobody keeps the one that a dropped ticket leaves.
        let ring = one.clone();
        let (ticket, _) = Ticket::issue_to(1, Box::new(move |_| Some(Bell::new(ring))));
        drop(ticket);
        assert_eq!(rung(), (2, 1));
    }

    #[test]
    fn the_wake_is_readable_with_the_report() {
        let wake = Wake::new().expect("an eventfd");
        let (ticket, inbox) = Ticket::issue_with(1, Some(wake.clone()));
        assert!(!wake.is_signalled());
        drop(ticket);
        assert!(wake.is_signalled());
        assert!(inbox.wake_fd().is_some() && inbox.take().is_some());
    }
}
