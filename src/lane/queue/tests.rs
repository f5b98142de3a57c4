//! What waits: bins, order, ageing, suspects, and the account of octets.

use super::*;
use crate::config::NextHopSettings;
use crate::config::keys::set_next_hop;
use crate::lane::Inbox;
use crate::lane::fixture::{self, SIZES, job};
use crate::mail::{Envelope, Priority};
use std::sync::Arc;
use std::time::Duration;

/// A queue with messages of these sizes, which nobody has given up.
fn queue(sizes: &[usize]) -> (Queue, Vec<Inbox>) {
    let mut queue = Queue::new(Bins::of(&settings("0")));
    let inboxes = sizes.iter().map(|size| {
        let (job, inbox) = job(*size);
        queue.put(job);
        inbox
    });
    let inboxes = inboxes.collect();
    (queue, inboxes)
}

/// Settings with these bins.
fn settings(bounds: &str) -> NextHopSettings {
    let mut settings = NextHopSettings::default();
    set_next_hop(&mut settings, "sizebins", bounds).expect(bounds);
    settings
}

/// Takes the next message of the only bin.
fn take(queue: &mut Queue, vacancy: Vacancy<'_>) -> Option<Job> {
    match queue.take(0..1, vacancy) {
        Taken::Job(job) => Some(job),
        Taken::NoRoom | Taken::Nothing => None,
    }
}

fn vacancy(is_empty: bool, is_proven: bool) -> Vacancy<'static> {
    Vacancy { fits: &|_| true, is_empty, is_proven }
}

fn sizes(queue: &mut Queue) -> Vec<u64> {
    queue.take_all().iter().map(|job| job.size()).collect()
}

#[test]
fn a_message_that_comes_back_has_its_old_place() {
    let (mut queue, _inboxes) = queue(&[10, 20, 30]);
    let first = take(&mut queue, vacancy(true, false)).expect("the oldest");
    let second = take(&mut queue, vacancy(false, false)).expect("the next");
    queue.put(second);
    queue.put(first);
    let (new, _inbox) = job(40);
    queue.put(new);
    assert_eq!(sizes(&mut queue), [10, 20, 30, 40]);
}

#[test]
fn nothing_is_taken_without_room_and_the_abandoned_are_handed_out_all_the_same() {
    let (mut queue, mut inboxes) = queue(&[10, 20]);
    inboxes.remove(0);
    let full = Vacancy { fits: &|size| size < 20, is_empty: false, is_proven: true };
    assert!(take(&mut queue, full).expect("abandoned").token.is_void());
    assert!(take(&mut queue, full).is_none());
    assert_eq!(queue.total(), 1);
    assert_eq!(take(&mut queue, vacancy(false, true)).expect("room").size(), 20);
}

#[test]
fn the_abandoned_are_found_wherever_they_stand() {
    let (mut queue, mut inboxes) = queue(&[10, 20, 30, 40]);
    drop((inboxes.remove(3), inboxes.remove(1)));
    let gone: Vec<u64> = queue.take_void().iter().map(|job| job.size()).collect();
    assert_eq!((gone, sizes(&mut queue)), (vec![20, 40], vec![10, 30]));
}

#[test]
fn a_suspect_waits_for_a_connection_that_is_proven_and_empty() {
    let (mut queue, _inboxes) = queue(&[10, 20]);
    let mut suspect = take(&mut queue, vacancy(true, false)).expect("the oldest");
    suspect.attempts = 2;
    queue.put(suspect);
    assert!(take(&mut queue, vacancy(false, true)).is_none(), "the window runs empty for it");
    assert_eq!(take(&mut queue, vacancy(true, true)).expect("proven and empty").size(), 10);
}

#[test]
fn a_new_connection_begins_with_another_message_if_there_is_one() {
    let (mut queue, _inboxes) = queue(&[10, 20]);
    let mut suspect = take(&mut queue, vacancy(true, false)).expect("the oldest");
    suspect.attempts = 2;
    queue.put(suspect);
    assert_eq!(take(&mut queue, vacancy(true, false)).expect("the innocent one").size(), 20);
    assert!(take(&mut queue, vacancy(false, false)).is_none(), "the suspect goes alone");
    assert_eq!(take(&mut queue, vacancy(true, false)).expect("no other waits").size(), 10);
}

/// A queue with the bins of [`fixture`](crate::lane::fixture), and messages of these bins which came so many seconds
/// after the first.
fn sorted_queue(messages: &[(usize, u64)]) -> (Queue, Vec<Inbox>) {
    let (mut queue, start) = (Queue::new(Bins::of(&fixture::sorted(&[1], 0))), Instant::now());
    let put = |(bin, second): &(usize, u64)| {
        let (job, inbox) = fixture::job_with(SIZES[*bin], start + Duration::from_secs(*second), None);
        assert_eq!(queue.put(job), *bin);
        inbox
    };
    let inboxes = messages.iter().map(put).collect();
    (queue, inboxes)
}

/// The places of all messages of these bins in the order in which they are taken.
fn order(queue: &mut Queue, bins: Range<usize>) -> Vec<u64> {
    let mut order = Vec::new();
    while let Taken::Job(job) = queue.take(bins.clone(), vacancy(true, true)) {
        order.push(job.place.expect("it has been in the queue"));
    }
    order
}

#[test]
fn each_bin_is_a_queue_of_its_own() {
    let (mut queue, _inboxes) = sorted_queue(&[(3, 0), (0, 1), (2, 2), (0, 3), (3, 4)]);
    assert_eq!(order(&mut queue, 0..1), [1, 3]);
    assert_eq!(order(&mut queue, 1..2), [0; 0]);
    assert_eq!(order(&mut queue, 3..4), [0, 4]);
    assert_eq!((queue.total(), queue.len(2..3)), (1, 1));
    assert!(matches!(queue.take(0..2, vacancy(true, true)), Taken::Nothing), "what is left is larger");
}

#[test]
fn on_a_lane_that_serves_several_bins_a_step_of_size_is_worth_ten_seconds() {
    for (messages, expected, why) in [
        (&[(1, 0), (0, 9)][..], &[1, 0][..], "the smaller one came nine seconds later and goes first"),
        (&[(1, 0), (0, 10)], &[0, 1], "ten seconds later: who came first"),
        (&[(1, 0), (0, 11)], &[0, 1], "eleven seconds later: the larger one has waited long enough"),
        (&[(3, 0), (0, 29)], &[1, 0], "three steps"),
        (&[(3, 0), (0, 31)], &[0, 1], "and a little"),
        (&[(3, 0), (2, 0), (1, 0), (0, 0)], &[3, 2, 1, 0], "all at once: smallest first"),
        (&[(0, 1), (0, 0)], &[1, 0], "in a bin by the time of submission"),
        (&[(0, 0), (0, 0)], &[0, 1], "and then by place"),
    ] {
        let (mut queue, _inboxes) = sorted_queue(messages);
        assert_eq!(order(&mut queue, 0..4), expected, "{why}");
    }
}

#[test]
fn octets_are_counted_by_bin_whatever_way_a_message_goes() {
    let (mut queue, mut inboxes) = sorted_queue(&[(0, 0), (0, 1), (1, 2), (3, 3), (3, 4)]);
    let octets = |queue: &Queue| [0, 1, 2, 3].map(|bin| queue.octets(bin..bin + 1));
    assert_eq!((octets(&queue), queue.octets(0..4)), ([100, 500, 0, 40_000], 40_600));
    let Taken::Job(first) = queue.take(0..1, vacancy(true, true)) else { panic!("one waits") };
    assert_eq!(octets(&queue)[0], 50);
    queue.put(first);
    assert_eq!(octets(&queue)[0], 100);
    drop(inboxes.remove(4));
    assert_eq!(queue.take_void().len(), 1);
    assert_eq!(octets(&queue)[3], 20_000);
    assert_eq!(queue.take_bins(1..4).len(), 2);
    assert_eq!(octets(&queue), [100, 0, 0, 0]);
    queue.sort_anew(Bins::of(&settings("0")));
    assert_eq!((queue.octets(0..1), queue.octets(1..9)), (100, 0));
    assert_eq!((queue.take_all().len(), queue.octets(0..4), queue.total()), (2, 0, 0));
}

#[test]
fn other_bins_keep_every_message_and_its_place() {
    let (mut queue, _inboxes) = sorted_queue(&[(3, 0), (0, 0), (2, 0), (1, 0)]);
    queue.sort_anew(Bins::of(&settings("0")));
    let (late, _inbox) = job(50);
    queue.put(late);
    queue.sort_anew(Bins::of(&fixture::sorted(&[1], 0)));
    assert_eq!([0, 1, 2, 3].map(|bin| queue.len(bin..bin + 1)), [2, 1, 1, 1]);
    assert_eq!(order(&mut queue, 0..1), [1, 4], "a new message does not get the place of an old one");
    queue.sort_anew(Bins::of(&settings("0")));
    assert_eq!(order(&mut queue, 0..1), [0, 2, 3]);
}

#[test]
fn there_is_room_for_the_first_in_order_or_for_none() {
    let (mut queue, _inboxes) = sorted_queue(&[(2, 0), (0, 100)]);
    let small_only = Vacancy { fits: &|size| size < 1000, is_empty: false, is_proven: true };
    assert!(matches!(queue.take(0..4, small_only), Taken::NoRoom), "the large one has waited long enough");
    assert!(matches!(queue.take(0..1, small_only), Taken::Job(_)), "on another lane the small one goes");
    assert!(matches!(queue.take(0..1, small_only), Taken::Nothing));
}

#[test]
fn a_suspect_of_one_bin_gives_way_to_the_innocent_of_another() {
    let (mut queue, _inboxes) = sorted_queue(&[(0, 0), (1, 0)]);
    let Taken::Job(mut suspect) = queue.take(0..1, vacancy(true, true)) else { panic!("one waits") };
    suspect.attempts = 2;
    queue.put(suspect);
    assert!(matches!(queue.take(0..2, vacancy(false, true)), Taken::NoRoom), "the window runs empty for it");
    let Taken::Job(innocent) = queue.take(0..2, vacancy(true, false)) else { panic!("one may go") };
    assert_eq!(innocent.size(), SIZES[1] as u64, "a new connection begins with another");
    assert!(matches!(queue.take(1..4, vacancy(true, true)), Taken::Nothing), "it is not of these bins");
    assert!(matches!(queue.take(0..2, vacancy(true, true)), Taken::Job(_)));
}

#[test]
fn the_last_is_the_last_of_all_bins_that_is_no_suspect_and_has_room() {
    let places = |queue: &mut Queue, fits: &dyn Fn(u64) -> bool| {
        let empty = Vacancy { fits, is_empty: true, is_proven: false };
        let taken = std::iter::from_fn(|| match queue.take_last(0..4, empty) {
            Taken::Job(job) => job.place,
            Taken::NoRoom | Taken::Nothing => None,
        });
        taken.collect::<Vec<u64>>()
    };
    // The large one came before the small one and goes behind it.
    let (mut queue, _inboxes) = sorted_queue(&[(0, 10), (3, 5), (0, 0)]);
    assert_eq!(places(&mut queue, &|_| true), [1, 0, 2]);
    let (mut queue, _inboxes) = sorted_queue(&[(0, 0), (0, 1), (3, 2)]);
    let Taken::Job(mut suspect) = queue.take(0..1, vacancy(true, true)) else { panic!("one waits") };
    suspect.attempts = 2;
    queue.put(suspect);
    assert_eq!(places(&mut queue, &|size| size < 1000), [1], "no suspect, and none that there is no room for");
    assert_eq!(places(&mut queue, &|_| true), [2, 0], "a suspect when no other is left");
}

#[test]
fn the_abandoned_are_found_in_every_bin() {
    let (mut queue, mut inboxes) = sorted_queue(&[(0, 0), (1, 0), (2, 0), (3, 0), (3, 1)]);
    drop((inboxes.remove(3), inboxes.remove(1)));
    let gone: Vec<Option<u64>> = queue.take_void().iter().map(|job| job.place).collect();
    assert_eq!(gone, [Some(1), Some(3)]);
    assert_eq!([0, 1, 2, 3].map(|bin| queue.len(bin..bin + 1)), [1, 0, 1, 1]);
    assert!(queue.take_void().is_empty() && queue.oldest(1).is_none() && queue.oldest(3).is_some());
}

/// The order in which messages go that came this many seconds apart from the first, with these priorities.
fn by_priority(messages: &[(u64, i8)]) -> Vec<usize> {
    let (mut queue, start) = (Queue::new(Bins::of(&settings("0"))), Instant::now());
    let mut inboxes = Vec::new();
    for (seconds, priority) in messages {
        let (mut job, inbox) = fixture::job_with(50, start + Duration::from_secs(*seconds), None);
        let envelope = Envelope::clone(&job.envelope);
        job.envelope = Arc::new(Envelope { priority: Some(Priority::new(*priority).expect("a priority")), ..envelope });
        queue.put(job);
        inboxes.push(inbox);
    }
    let places = std::iter::from_fn(|| take(&mut queue, vacancy(true, true)).and_then(|job| job.place));
    places.map(|place| place as usize).collect()
}

#[test]
fn the_higher_priority_goes_first_and_the_lower_only_waits_so_long() {
    assert_eq!(by_priority(&[(0, 0), (0, 9), (0, -9), (0, 1)]), [1, 3, 0, 2]);
    assert_eq!(by_priority(&[(0, 4), (1, 4), (2, 4)]), [0, 1, 2], "who came first among equals");
    let step = PRIORITY_STEP.as_secs();
    assert_eq!(by_priority(&[(0, 0), (step - 1, 1)]), [1, 0]);
    assert_eq!(by_priority(&[(0, 0), (step + 1, 1)]), [0, 1], "it has waited for a step");
    assert_eq!(
        by_priority(&[(0, -9), (18 * step + 1, 9)]),
        [0, 1],
        "even the lowest, behind an endless stream of the highest"
    );
}
