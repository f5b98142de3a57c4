//! What must hold of a [`World`]: when all its lanes wait, and at its end.

use super::*;
use crate::lane::member::Member;

impl World {
    /// All lanes wait: none of them would do anything more if it only looked again, and nobody is stranded.
    pub fn check_settled(&mut self) {
        for number in self.resting() {
            let state = self.site.state.lock();
            // A lane that is left over tries by the clock.
            let in_a_group = state.crew.member(number).is_some_and(|member| member.group.is_some());
            let missed = !self.site.is_stopping() && in_a_group && state.wants_connection(number);
            drop(state);
            assert!(!missed, "lane {number} was not told that it may connect: {}", self.picture());
        }
        for number in self.serving() {
            let is_full = |state: &State| state.crew.member(number).is_some_and(|member| member.is_full);
            if !self.site.is_dismissed(number) && !is_full(&self.site.state.lock()) {
                let job = self.take(number);
                assert!(job.is_none(), "lane {number} was not told of a message: {}", self.picture());
            }
        }
        self.check_that_nobody_is_stranded();
    }

    /// Every message that waits has an open lane that will come to it, or lanes that are told when an attempt under way
    /// has ended.
    fn check_that_nobody_is_stranded(&self) {
        let state = self.site.state.lock();
        if self.site.is_stopping() || !self.dialling().is_empty() {
            return;
        }
        for bin in (0..state.queue.bins().len()).filter(|bin| state.queue.len(*bin..bin + 1) > 0) {
            let serves = |number: &usize| state.crew.own_bins(*number).contains(&bin);
            assert!(self.serving().iter().any(serves), "bin {bin} is stranded: {}", picture(&state));
        }
    }

    /// Exactly one report for every message that somebody waits for, and no room is held.
    pub fn check_reports(&mut self) {
        for (message, inbox) in self.inboxes.iter().enumerate() {
            self.reports[message] += inbox.iter().map(|inbox| usize::from(inbox.take().is_some())).sum::<usize>();
            let (reports, withdrawn) = (self.reports[message], inbox.is_none());
            assert!(reports == 1 || (withdrawn && reports == 0), "message {message}: {reports} reports");
            assert!(inbox.as_ref().is_none_or(|inbox| inbox.take().is_none()), "message {message}: a second report");
        }
        assert_eq!(self.room.messages(), 0, "room is held for nobody");
    }

    /// Nothing is accounted for that is not there.
    pub fn check_accounts(&self) {
        let state = self.site.state.lock();
        let bins = 0..state.queue.bins().len();
        assert_eq!((state.queue.total(), state.queue.octets(bins.clone())), (0, 0));
        for member in state.crew.members() {
            assert_eq!(member.carried(), 0, "lane {}", member.number());
            assert!(bins.clone().all(|bin| member.carries(bin) == 0), "lane {}", member.number());
        }
    }

    pub fn picture(&self) -> String {
        picture(&self.site.state.lock())
    }
}

/// How things stand, in a line: what waits by bin, and of each lane its number, its bins, its standing, what it carries
/// by bin, `!` if full.
fn picture(state: &State) -> String {
    let bins = state.queue.bins().len();
    let waits: Vec<usize> = (0..bins).map(|bin| state.queue.len(bin..bin + 1)).collect();
    let lane = |member: &Member| {
        let carries: Vec<usize> = (0..bins).map(|bin| member.carries(bin)).collect();
        let (number, own, full) = (member.number(), state.crew.own_bins(member.number()), member.is_full);
        format!("{number} of {own:?} {:?} {carries:?}{}", member.standing, if full { "!" } else { "" })
    };
    let lanes: Vec<String> = state.crew.members().iter().map(lane).collect();
    format!("waiting {waits:?}; {}", lanes.join("; "))
}
