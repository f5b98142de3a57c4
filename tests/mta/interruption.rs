//! pipelane is interrupted in mid-flow: killed, or told to end. The sending Postfix still owns what was not answered.

use crate::mail::Mail;
use crate::needs::{Need, announce, met};
use crate::pipelane::Pipelane;
use crate::place::wait;
use crate::postfix::{Postfix, Setup};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(240);
const MESSAGES: usize = 900;

/// A chain in which mail flows, and what was sent into it.
struct Flow {
    receiving: Postfix,
    pipelane: Pipelane,
    sending: Postfix,
    mails: Vec<Mail>,
}

impl Flow {
    /// Returns when the receiving side has taken about a third.
    fn begin(name: &str) -> Flow {
        let receiving = Postfix::receiving();
        let pipelane = Pipelane::serve(&receiving.next_hop(), "trust = \"stream\"\nwindow_messages = 64");
        // Few at a time, so that plenty is left in the queue when the interruption comes.
        let few = "lanes_destination_concurrency_limit=20\nlanes_initial_destination_concurrency=20";
        let sending = Postfix::start(Setup::sending(&pipelane.transport()).main(few).held());
        let mails = Mail::series(name, MESSAGES, 8000);
        sending.submit(&mails);
        sending.wait_queued(MESSAGES);
        let mark = receiving.log().mark();
        sending.release();
        let diagnose = || receiving.trouble() + &sending.trouble() + &pipelane.trouble();
        let third = || (receiving.log().accepted(mark) >= MESSAGES / 3).then_some(());
        wait("a third of the messages to arrive", LIMIT, diagnose, third);
        Flow { receiving, pipelane, sending, mails }
    }

    /// The interruption came while mail flowed: a test of what happens then needs that.
    fn assert_unfinished(&self) {
        assert!(self.sending.queued() > 0, "all {MESSAGES} messages had been delivered before the interruption");
    }

    /// pipelane runs again, and everything comes through.
    fn finish(&mut self) {
        self.pipelane.restart();
        self.sending.drain(LIMIT);
        self.receiving.drain(LIMIT);
    }
}

#[test]
fn killed_in_mid_flow_and_started_again_it_has_lost_nothing() {
    if !met(&[Need::Postfix]) {
        return;
    }
    let mut flow = Flow::begin("killed");
    flow.pipelane.kill_hard();
    flow.assert_unfinished();
    flow.finish();
    let tally = flow.receiving.maildir().tally(&flow.mails);
    tally.assert_nothing_lost();
    announce(&format!("killed in mid-flow: {MESSAGES} messages, {} came twice", tally.duplicates));
    assert!(tally.duplicates <= 64, "{} duplicates are more than the window holds", tally.duplicates);
}

#[test]
fn told_to_end_in_mid_flow_it_drains_and_nothing_is_lost_or_doubled() {
    if !met(&[Need::Postfix]) {
        return;
    }
    let mut flow = Flow::begin("drained");
    let status = flow.pipelane.terminate(LIMIT);
    assert!(status.success(), "it ended with {status}\n{}", flow.pipelane.trouble());
    flow.assert_unfinished();
    flow.finish();
    flow.receiving.maildir().tally(&flow.mails).assert_exactly_once();
}
