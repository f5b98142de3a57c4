//! The hand-over points of lanes in every order that a scheduler may come up with: real lanes
//! ([`pipelane::lane::worker`]) and a real engine over played connections, on twins of locks, channels and wakes under
//! which shuttle chooses who goes on.
//!
//! Built with `--cfg pipelane_shuttle` only; `scripts/test` does so. In most runs no time passes: whoever waits for
//! what nobody will tell is found as a deadlock, and so is a message without its report. In the others every wait with
//! an end may be over at any moment, so that lanes grow tired and idle connections are closed while everything else
//! goes on. Each test can be made longer with `PIPELANE_EXPLORE`, which multiplies the number of schedules.
#![cfg(pipelane_shuttle)]

use pipelane::config::{Config, Level, Limits, NextHopSettings, Order, Timeouts};
use pipelane::conn::{Feed, Opener, Retry, Vacancy};
use pipelane::engine::Engine;
use pipelane::lane::{Carrier, Connector, Inbox, Job, Obligation, Ticket};
use pipelane::mail::{Address, Content, EnhancedStatus, Envelope, Message, NextHop, Outcome, Report, Verdict};
use pipelane::net::Wake;
use pipelane::smtp::{Cause, CloseReason, Extensions};
use pipelane::sync::{LONGEST, after, let_time_pass};
use shuttle::rand::{Rng, thread_rng};
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Runner, thread};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Messages of up to 100, 1000 octets, and all others.
const BOUNDS: [u64; 3] = [100, 1000, u64::MAX];
const SIZES: [usize; 3] = [50, 500, 5000];

/// How servers behave: one chance in so many that an attempt is refused, and that a connection is lost when it might
/// answer; 0 for never.
#[derive(Debug, Clone, Copy, Default)]
struct Server {
    refuses: u32,
    loses: u32,
    /// Connections that it takes at a time; 0 for any number.
    most: usize,
}

fn one_in(n: u32) -> bool {
    n > 0 && thread_rng().gen_ratio(1, n)
}

#[derive(Debug)]
struct Player {
    server: Server,
    open: Arc<std::sync::atomic::AtomicUsize>,
}

impl Connector for Player {
    fn connect(&self, opener: &Opener, _: &dyn Fn() -> bool) -> Result<Box<dyn Carrier>, Outcome> {
        use std::sync::atomic::Ordering::SeqCst;
        // Dialling takes its time.
        thread::yield_now();
        let full = self.server.most > 0 && self.open.load(SeqCst) >= self.server.most;
        if full || one_in(self.server.refuses) {
            return Err(Outcome::deferred(EnhancedStatus::new(4, 4, 1), "refused"));
        }
        self.open.fetch_add(1, SeqCst);
        let (news, idle, server) = (opener.news.clone(), opener.settings.timeouts.idle, self.server);
        Ok(Box::new(Line { news, idle, server, open: Arc::clone(&self.open), aboard: VecDeque::new(), answered: 0 }))
    }
}

/// A connection that takes two messages at a time.
struct Line {
    news: Wake,
    idle: Duration,
    server: Server,
    open: Arc<std::sync::atomic::AtomicUsize>,
    aboard: VecDeque<Job>,
    answered: u64,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.open.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
    }
}

impl Line {
    fn take_work(&mut self, feed: &mut dyn Feed<Token = Obligation>) {
        while !feed.is_stopping() {
            let (carried, alone) = (self.aboard.len(), self.aboard.iter().any(|job| job.is_suspect()));
            let fits = |_| !alone && carried < 2;
            let vacancy = Vacancy { fits: &fits, is_empty: carried == 0, is_proven: self.answered > 0 };
            let Some(job) = feed.next(vacancy) else { return };
            self.aboard.push_back(job);
        }
    }

    fn answer(&mut self, feed: &mut dyn Feed<Token = Obligation>) {
        let Some(mut job) = self.aboard.pop_front() else { return };
        // The reply is on its way.
        thread::yield_now();
        let status = EnhancedStatus::new(2, 0, 0);
        job.give_up(&Outcome { verdict: Verdict::Delivered, status, code: Some(250), text: String::new() });
        self.answered += 1;
        feed.settled(job, "mx.test", Level::Stream);
    }

    fn lose(&mut self, feed: &mut dyn Feed<Token = Obligation>) -> CloseReason {
        for (n, job) in std::mem::take(&mut self.aboard).into_iter().enumerate() {
            let retry = Retry { cause: Cause::Lost("lost".into()), counts: n == 0 };
            feed.unsent(job, "mx.test", Level::Stream, retry);
        }
        CloseReason::Lost("lost".into())
    }
}

impl Carrier for Line {
    fn run(&mut self, feed: &mut dyn Feed<Token = Obligation>) -> CloseReason {
        feed.offered(&Extensions::default(), "mx.test");
        loop {
            self.take_work(feed);
            if !self.aboard.is_empty() {
                if one_in(self.server.loses) {
                    return self.lose(feed);
                }
                self.answer(feed);
            } else if feed.is_stopping() {
                return CloseReason::Quit(None);
            } else {
                // As `conn::line` does: the wake is cleared before the queue is looked at.
                let woken = self.news.wait(Some(after(self.idle)));
                self.news.clear();
                if !woken {
                    return CloseReason::Quit(None);
                }
            }
        }
    }

    fn answered(&self) -> u64 {
        self.answered
    }

    fn is_fruitless(&self, _: bool) -> bool {
        self.answered == 0
    }

    fn close(self: Box<Self>, _: &CloseReason) {}
}

fn settings(lanes: &[usize], max_connections: usize) -> NextHopSettings {
    let timeouts = Timeouts { idle: LONGEST, ..Timeouts::default() };
    NextHopSettings {
        sizebins: BOUNDS.to_vec(),
        lanes: lanes.to_vec(),
        max_connections,
        timeouts,
        ..Default::default()
    }
}

fn unsorted(lanes: usize) -> NextHopSettings {
    NextHopSettings { order: Order::Unsorted, ..settings(&[lanes], 0) }
}

fn config(settings: NextHopSettings) -> Arc<Config> {
    let limits = Limits { drain: LONGEST, ..Limits::default() };
    Arc::new(Config { defaults: Arc::new(settings), limits, ..Config::default() })
}

fn engine(settings: NextHopSettings, server: Server) -> Arc<Engine> {
    Engine::with_connector(config(settings), Arc::new(Player { server, open: Arc::default() }))
}

fn hop() -> NextHop {
    "mx.test".parse().expect("a next hop")
}

fn submit(engine: &Engine, size: usize, wake: Option<Wake>) -> Inbox {
    let message = Message {
        queue_id: None,
        next_hop: hop(),
        envelope: Envelope::new(Address::null(), vec![Address::parse("a@x").expect("an address")]).into(),
        content: Some(Content::from_bytes(&vec![b'x'; size - 2]).expect("content")),
    };
    let room = engine.room(&message.next_hop, message.size(), LONGEST).expect("room");
    let (ticket, inbox) = Ticket::issue_with(1, wake);
    engine.submit(message, room, ticket);
    inbox
}

/// Waits for the one report.
fn verdict(inbox: &Inbox) -> Verdict {
    let report = std::iter::repeat_with(|| inbox.wait(LONGEST)).flatten().next().expect("without end");
    assert!(inbox.take().is_none(), "reported twice");
    report.outcomes[0].verdict
}

/// A thread that submits messages of these bins, waits for all of them, and tells what became of them.
fn door(engine: &Arc<Engine>, bins: &'static [usize]) -> thread::JoinHandle<Vec<Verdict>> {
    let engine = Arc::clone(engine);
    thread::spawn(move || {
        let inboxes: Vec<Inbox> = bins.iter().map(|bin| submit(&engine, SIZES[*bin], None)).collect();
        inboxes.iter().map(verdict).collect()
    })
}

/// The same, but each message is submitted some time after the one before was done, so that lanes have nothing to do in
/// between.
fn patient_door(engine: &Arc<Engine>, bins: &'static [usize]) -> thread::JoinHandle<Vec<Verdict>> {
    let engine = Arc::clone(engine);
    let one = move |bin: &usize| {
        let done = verdict(&submit(&engine, SIZES[*bin], None));
        (0..thread_rng().gen_range(0..40)).for_each(|_| thread::yield_now());
        done
    };
    thread::spawn(move || bins.iter().map(one).collect())
}

fn ends(doors: Vec<thread::JoinHandle<Vec<Verdict>>>) -> Vec<Verdict> {
    doors.into_iter().flat_map(|door| door.join().expect("the door ends")).collect()
}

/// Schedules of each kind and each way with time.
const SCHEDULES: usize = 2000;

/// Tries many schedules, at random and by priorities, without time and with it.
fn explore(what: impl Fn() + Send + Sync + 'static) {
    let times = std::env::var("PIPELANE_EXPLORE").ok().and_then(|times| times.parse().ok()).unwrap_or(1);
    let (what, count) = (Arc::new(what), SCHEDULES * times);
    for passes in [false, true] {
        let mut config = shuttle::Config::new();
        config.stack_size = 1 << 18;
        config.silence_warnings = true;
        config.max_steps = shuttle::MaxSteps::FailAfter(100_000);
        let run = || {
            let what = Arc::clone(&what);
            move || {
                let_time_pass(passes);
                what();
            }
        };
        Runner::new(RandomScheduler::new(count), config.clone()).run(run());
        Runner::new(PctScheduler::new(3, count), config).run(run());
    }
}

fn all_delivered(verdicts: &[Verdict]) {
    assert!(verdicts.iter().all(|verdict| *verdict == Verdict::Delivered), "{verdicts:?}");
}

#[test]
fn a_report_wakes_the_door_that_waits_for_it() {
    explore(|| {
        let wake = Wake::new().expect("a descriptor");
        let (ticket, inbox) = Ticket::issue_with(1, Some(wake.clone()));
        let lane = thread::spawn(move || match thread_rng().gen_bool(0.5) {
            true => drop(ticket),
            false => {
                let outcome = Outcome::deferred(EnhancedStatus::new(4, 0, 0), "so it is");
                ticket.settle(Report::uniform(1, outcome));
            }
        });
        // As a door does that watches its client too: it waits, clears, and looks.
        let report = loop {
            wake.wait(None);
            wake.clear();
            if let Some(report) = inbox.take() {
                break report;
            }
        };
        assert_eq!(report.outcomes[0].verdict, Verdict::Deferred);
        lane.join().expect("it ends");
        assert!(inbox.take().is_none() && !wake.is_signalled());
    });
}

#[test]
fn a_door_that_leaves_and_a_lane_that_settles_do_not_miss_each_other() {
    explore(|| {
        let engine = engine(unsorted(1), Server::default());
        let inbox = submit(&engine, SIZES[0], None);
        let leaving = thread::spawn(move || drop(inbox));
        let stays = submit(&engine, SIZES[0], None);
        leaving.join().expect("it ends");
        all_delivered(&[verdict(&stays)]);
        drop(engine);
    });
}

#[test]
fn every_message_of_every_bin_is_taken() {
    explore(|| {
        let engine = engine(settings(&[1], 0), Server::default());
        let doors = vec![door(&engine, &[0, 2]), door(&engine, &[2, 0]), door(&engine, &[1, 0])];
        all_delivered(&ends(doors));
        drop(engine);
    });
}

#[test]
fn a_helper_that_turns_to_its_own_work_leaves_nobody_behind() {
    explore(|| {
        let engine = engine(settings(&[1], 0), Server::default());
        all_delivered(&[verdict(&submit(&engine, SIZES[2], None))]);
        let doors = vec![door(&engine, &[0, 0]), door(&engine, &[2, 2]), door(&engine, &[1])];
        all_delivered(&ends(doors));
        drop(engine);
    });
}

#[test]
fn the_only_lane_that_grows_tired_and_a_message_that_comes_do_not_miss_each_other() {
    explore(|| {
        let engine = engine(unsorted(1), Server::default());
        all_delivered(&ends(vec![patient_door(&engine, &[0, 0, 0, 0])]));
        drop(engine);
    });
}

#[test]
fn lanes_that_grow_tired_and_messages_that_come_do_not_miss_each_other() {
    explore(|| {
        let engine = engine(settings(&[1], 0), Server::default());
        let doors = vec![patient_door(&engine, &[0, 2, 0, 1]), patient_door(&engine, &[2, 0])];
        all_delivered(&ends(doors));
        drop(engine);
    });
}

#[test]
fn lanes_of_one_queue_share_what_comes() {
    explore(|| {
        let engine = engine(unsorted(3), Server::default());
        let doors = vec![door(&engine, &[0, 0, 0, 0, 0, 0]), door(&engine, &[0, 0, 0])];
        all_delivered(&ends(doors));
        drop(engine);
    });
}

#[test]
fn fewer_connections_than_bins_serve_them_all() {
    explore(|| {
        let engine = engine(settings(&[1], 2), Server::default());
        let doors = vec![door(&engine, &[0, 1, 2]), door(&engine, &[2, 1, 0])];
        all_delivered(&ends(doors));
        drop(engine);
    });
}

#[test]
fn a_server_that_takes_one_connection_gets_everything_over_it() {
    explore(|| {
        let engine = engine(settings(&[1], 0), Server { most: 1, ..Server::default() });
        let doors = vec![door(&engine, &[0, 1, 2]), door(&engine, &[2, 0])];
        // Between two connections there may be none, and then it is in trouble.
        assert_eq!(ends(doors).len(), 5);
        drop(engine);
    });
}

#[test]
fn refusals_and_losses_leave_every_message_one_report() {
    explore(|| {
        let engine = engine(settings(&[2, 1, 1], 0), Server { refuses: 4, loses: 4, most: 0 });
        let doors = vec![door(&engine, &[0, 1, 2]), door(&engine, &[0, 0, 2])];
        assert_eq!(ends(doors).len(), 6);
        drop(engine);
    });
}

#[test]
fn a_change_of_settings_in_mid_flow_disturbs_nothing() {
    explore(|| {
        let engine = engine(settings(&[1], 0), Server::default());
        let doors = vec![door(&engine, &[0, 1, 2]), door(&engine, &[2, 0])];
        for settings in [unsorted(1), settings(&[1], 2), unsorted(2), settings(&[1], 0)] {
            engine.reconfigure(config(settings));
        }
        all_delivered(&ends(doors));
        drop(engine);
    });
}

#[test]
fn a_stop_at_any_moment_ends_all_and_reports_all() {
    explore(|| {
        let engine = engine(settings(&[1], 0), Server { refuses: 6, loses: 6, most: 0 });
        let doors = vec![door(&engine, &[0, 2]), door(&engine, &[1, 0])];
        engine.drain();
        assert_eq!(ends(doors).len(), 4);
        let status = engine.status();
        assert!(status.channels.iter().all(|channel| channel.lanes.is_empty()), "lanes are left: {status:?}");
    });
}

#[test]
fn whoever_asks_what_the_server_offers_hears_of_it() {
    explore(|| {
        let engine = engine(settings(&[1], 0), Server { refuses: 3, ..Server::default() });
        let asking = thread::spawn({
            let engine = Arc::clone(&engine);
            move || engine.offers(&hop(), LONGEST).is_ok()
        });
        let doors = vec![door(&engine, &[0]), door(&engine, &[2])];
        asking.join().expect("it ends");
        assert_eq!(ends(doors).len(), 2);
        drop(engine);
    });
}
