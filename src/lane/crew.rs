//! Which lanes of a channel run, whose bins each serves, and whether a further one pays: pure account, the clock is the
//! caller's.
//!
//! A lane that runs is *resting*, *connecting* or *connected*. Late binding decides what it carries ([`super::queue`]);
//! here it is decided who may ask. A connection is opened only for messages that no open lane has room for:
//! - for a group's first: when no idle lane of a larger group can help;
//! - for a further one of the same group: when all of its open lanes are full and a backlog waits behind each.
//!
//! **Crowding.** A lane refused while others are connected has met the server's own limit. The bins are then dealt out to the
//! connections that there are ([`Plan`] with a smaller number), so that no bin waits for a lane that cannot be had; the
//! lane left over tries again later, when messages of different bins are in each other's way or many wait, one at a
//! time, after pauses that double and are scattered. Each success makes the plan larger again.

mod late;

use super::bins::{Bins, Plan};
use super::member::{Carried, Handle, Member, Standing};
use crate::config::NextHopSettings;
use std::ops::Range;
use std::time::{Duration, Instant};

/// A backlog that justifies one more lane beside those of the same group: messages, or octets, for each that is open.
const BACKLOG: usize = 4;
const BACKLOG_OCTETS: u64 = 512 << 10;
/// How long a server that refuses a further connection is left alone with the ones it has: at first, and at the most.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// Smaller messages that wait for a connection which is being made hold back larger ones for so long.
const HEAD_START: Duration = Duration::from_secs(10);

/// What waits, as far as the crew must know.
pub trait Backlog {
    /// Messages that wait in these bins.
    fn messages(&self, bins: Range<usize>) -> usize;
    /// Their octets.
    fn octets(&self, bins: Range<usize>) -> u64;
}

/// See the [module](self).
#[derive(Debug)]
pub struct Crew {
    bins: Bins,
    /// Lanes allowed for each bin, and connections in all, as configured.
    lanes: Vec<usize>,
    most: usize,
    plan: Plan,
    members: Vec<Member>,
    crowding: Option<Crowding>,
}

/// The server takes no more connections than it has.
#[derive(Debug, Clone, Copy)]
struct Crowding {
    connections: usize,
    until: Instant,
    pause: Duration,
}

impl Crew {
    /// Nobody yet.
    pub fn new(settings: &NextHopSettings) -> Crew {
        let (lanes, most) = (settings.lanes_by_bin(), settings.max_connections);
        let plan = Plan::new(&lanes, most);
        Crew { bins: Bins::of(settings), lanes, most, plan, members: Vec::new(), crowding: None }
    }

    /// Other settings are in force: every lane gets its place in the new plan, or none.
    pub fn reform(&mut self, settings: &NextHopSettings) {
        for member in &mut self.members {
            member.resort(&Bins::of(settings));
        }
        (self.bins, self.lanes, self.most) = (Bins::of(settings), settings.lanes_by_bin(), settings.max_connections);
        self.assign();
    }

    /// The plan in force.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Lanes running.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// One of them.
    pub fn member(&self, number: usize) -> Option<&Member> {
        self.members.iter().find(|member| member.number() == number)
    }

    /// One of them, to be changed.
    pub fn member_mut(&mut self, number: usize) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.number() == number)
    }

    /// Lanes with a session ready.
    pub fn connected(&self) -> usize {
        self.members.iter().filter(|member| member.standing == Standing::Connected).count()
    }

    /// Lanes with a session ready, and lanes that try to get one.
    pub fn open(&self) -> usize {
        self.members.iter().filter(|member| member.is_open()).count()
    }

    /// The bins from this one on are served by no lane that runs; those below are, if need be as the last resort.
    pub fn reach(&self) -> usize {
        self.members.iter().map(|member| self.plan.bins(member.group).end).max().unwrap_or(0)
    }

    /// Wakes the lanes that a message of this bin is news for. One that is full and has the bin looks again by itself,
    /// with the next reply; one with larger bins may have to yield, an idle one to step in for one that comes late.
    pub fn tell_of(&self, bin: usize) {
        let expected = self.is_expected(bin);
        let is_news = |member: &&Member| {
            let own = self.plan.bins(member.group);
            (own.end > bin && !(member.is_full && own.contains(&bin))) || (expected && member.is_idle())
        };
        self.members.iter().filter(is_news).for_each(|member| member.handle.news.signal());
    }

    /// Wakes the lanes that have no connection.
    pub fn tell_resting(&self) {
        self.members.iter().filter(|member| !member.is_open()).for_each(|member| member.handle.news.signal());
    }

    /// Wakes every lane.
    pub fn tell(&self) {
        self.members.iter().for_each(|member| member.handle.news.signal());
    }

    /// Wakes every lane and makes it stop whatever it waits for.
    pub fn halt(&self) {
        self.members.iter().for_each(|member| member.handle.halt.signal());
        self.tell();
    }

    /// A lane takes a message. When it could help smaller bins until now and cannot any more, their lanes that rest are
    /// told: they may have relied on it.
    pub fn carry(&mut self, number: usize, place: u64, size: u64, now: Instant) {
        let (bin, own) = (self.bins.bin(size), self.own_bins(number));
        let Some(member) = self.member_mut(number) else { return };
        let helped = member.carries_only_below(own.start);
        member.take(place, Carried { size, bin, since: now });
        if helped && own.contains(&bin) {
            let relied = |member: &&Member| !member.is_open() && self.plan.bins(member.group).start < own.start;
            self.members.iter().filter(relied).for_each(|member| member.handle.news.signal());
        }
    }

    /// A lane is done with a message. When that was the last of its bin, lanes of larger ones, which may have held back
    /// for it, are told.
    pub fn release(&mut self, number: usize, place: u64) {
        let Some(bin) = self.member_mut(number).and_then(|member| member.release(place)) else { return };
        if self.members.iter().all(|member| member.carries(bin) == 0) {
            self.tell_of(bin);
        }
    }

    /// Whether no other lane runs for the bins of this one.
    pub fn is_only_of_its_group(&self, number: usize) -> bool {
        let group = self.member(number).and_then(|member| member.group);
        group.is_some() && self.members.iter().filter(|member| member.group == group).count() == 1
    }

    /// The bins that a lane serves first.
    pub fn own_bins(&self, number: usize) -> Range<usize> {
        self.plan.bins(self.member(number).and_then(|member| member.group))
    }

    /// The smaller bins that a lane may serve at this time: all of them while it carries nothing of its own and nothing
    /// of its own waits.
    pub fn bins_to_help(&self, number: usize, waiting: &dyn Backlog) -> Range<usize> {
        let own = self.own_bins(number);
        let idle = self.member(number).is_some_and(|member| member.carries_only_below(own.start));
        if idle && waiting.messages(own.clone()) == 0 { 0..own.start } else { 0..0 }
    }

    /// Whether a further thread pays for a message of this bin.
    pub fn wants_member(&self, bin: usize, waiting: &dyn Backlog, now: Instant) -> bool {
        let group = self.plan.group(bin);
        let bins = self.plan.bins(Some(group));
        let running = self.members.iter().filter(|member| member.group == Some(group)).count();
        let allowed = self.plan.groups().get(group).map_or(1, |group| group.lanes);
        if running == 0 {
            return !self.can_help(bins.start);
        }
        let may_probe = self.may_probe(now) && self.members.iter().all(|member| member.group.is_some());
        (is_backlog(waiting, bins, running) && running < allowed) || (may_probe && self.pays_to_probe(waiting))
    }

    /// Enters a lane that is about to be started, for a message of this bin. Fails when no descriptor is left for it.
    pub fn enter(&mut self, bin: usize, now: Instant) -> std::io::Result<Handle> {
        let is_free = |number: &usize| self.members.iter().all(|member| member.number() != *number);
        let number = (1..).find(is_free).unwrap_or(1);
        let member = Member::new(number, bin, &self.bins, now)?;
        let handle = member.handle.clone();
        self.members.push(member);
        self.assign();
        Ok(handle)
    }

    /// A lane has ended.
    pub fn leave(&mut self, number: usize) {
        self.members.retain(|member| member.number() != number);
        self.assign();
    }

    /// Whether this lane, which has no connection, should make one. `doubtful`: the last attempt to connect failed.
    /// `asked`: somebody wants to know what the server offers.
    pub fn wants_connection(
        &self,
        number: usize,
        waiting: &dyn Backlog,
        asked: bool,
        doubtful: bool,
        now: Instant,
    ) -> bool {
        let Some(member) = self.member(number) else { return false };
        let one_at_a_time = doubtful || (self.crowding.is_some() && self.connected() > 0);
        let connecting = self.open() - self.connected();
        if one_at_a_time && connecting > 0 {
            return false;
        }
        match member.group {
            Some(group) => (asked && self.open() == 0) || self.pays(group, waiting),
            None => self.may_probe(now) && self.pays_to_probe(waiting),
        }
    }

    /// Whether one more connection of this group pays.
    fn pays(&self, group: usize, waiting: &dyn Backlog) -> bool {
        let bins = self.plan.bins(Some(group));
        let of_group = || self.members.iter().filter(|member| member.group == Some(group));
        let open = of_group().filter(|member| member.is_open()).count();
        if open > 0 {
            let full = of_group().filter(|member| member.standing == Standing::Connected).all(|member| member.is_full);
            return full && is_backlog(waiting, bins, open);
        }
        let own = waiting.messages(bins.clone()) > 0 && !self.can_help(bins.start);
        own || self.is_last_resort(bins.start, waiting)
    }

    /// Whether smaller messages wait for which no lane runs and none that is open can help: a larger group's lane then
    /// serves them too.
    fn is_last_resort(&self, below: usize, waiting: &dyn Backlog) -> bool {
        let has_lane = |bin: usize| self.members.iter().any(|member| self.plan.bins(member.group).contains(&bin));
        let is_stranded = |bin: usize| waiting.messages(bin..bin + 1) > 0 && !has_lane(bin) && !self.can_help(bin);
        (0..below).any(is_stranded)
    }

    /// Whether an idle lane of a larger group is open that would take a message of this bin.
    fn can_help(&self, bin: usize) -> bool {
        self.members.iter().any(|member| {
            let own = self.plan.bins(member.group);
            let idle = member.standing == Standing::Connected && member.carries_only_below(own.start);
            own.start > bin && idle && !member.is_full
        })
    }

    /// Whether one more connection than a crowded server took would help: there is a backlog, or a message waits behind
    /// others that it would not share a lane with.
    fn pays_to_probe(&self, waiting: &dyn Backlog) -> bool {
        let all = 0..self.bins.len();
        let full = Plan::new(&self.lanes, self.most);
        let apart = |bin: usize, other: usize| full.group(bin) != full.group(other);
        let blocks = |bin: usize, member: &Member| {
            let carries_other = || all.clone().any(|other| member.carries(other) > 0 && apart(bin, other));
            member.is_full && self.plan.bins(member.group).contains(&bin) && carries_other()
        };
        let is_behind = |bin: usize| self.members.iter().any(|member| blocks(bin, member));
        is_backlog(waiting, all.clone(), self.open())
            || all.clone().any(|bin| waiting.messages(bin..bin + 1) > 0 && is_behind(bin))
    }

    fn may_probe(&self, now: Instant) -> bool {
        self.crowding.is_some_and(|crowding| crowding.until <= now)
    }

    /// When a lane that is left over may try again.
    pub fn probe_at(&self) -> Option<Instant> {
        self.crowding.map(|crowding| crowding.until)
    }

    /// A lane is now resting, connecting or connected.
    pub fn stand(&mut self, number: usize, standing: Standing, now: Instant) {
        let Some(member) = self.member_mut(number) else { return };
        let before = member.stand(standing, now);
        if before == standing {
            return;
        }
        let connected = self.connected();
        if let Some(crowding) = &mut self.crowding {
            let grown = standing == Standing::Connected && connected > crowding.connections;
            crowding.connections = crowding.connections.max(connected);
            crowding.pause = if grown { Duration::ZERO } else { crowding.pause };
        }
        let full = Plan::new(&self.lanes, self.most).lanes();
        self.crowding =
            self.crowding.filter(|crowding| (connected > 0 || crowding.until > now) && crowding.connections < full);
        self.assign();
    }

    /// A connection was refused while others are open or being made. `scatter` is a number from 0 to 1 by which sites
    /// that were refused together do not come again together. Attempts that began before the first refusal do not make
    /// the pause longer.
    pub fn crowded(&mut self, now: Instant, scatter: f64) {
        let connections = self.open().max(1);
        let known = self.crowding.filter(|crowding| crowding.until > now);
        let before = self.crowding.map_or(Duration::ZERO, |crowding| crowding.pause);
        let pause = (before * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        let new = Crowding { connections, until: now + scattered(pause, scatter), pause };
        self.crowding = Some(known.map_or(new, |known| Crowding { connections, ..known }));
        self.assign();
    }

    /// Connections that the lanes make do with.
    pub fn max_connections(&self) -> usize {
        self.plan.lanes()
    }

    /// Messages that wait for, or are on, lanes other than this one, and are smaller than what it serves: it holds its
    /// own back for them.
    pub fn must_yield(&self, number: usize, waiting: &dyn Backlog, now: Instant) -> bool {
        let own = self.own_bins(number);
        let others = || self.members.iter().filter(|member| member.number() != number);
        let carried = |member: &Member| (0..own.start).any(|bin| member.carries(bin) > 0);
        let awaited = |member: &Member| {
            let bins = self.plan.bins(member.group);
            bins.start < own.start && member.is_ready_within(HEAD_START, now) && waiting.messages(bins) > 0
        };
        !own.is_empty() && others().any(|member| carried(member) || awaited(member))
    }

    /// Deals the plan's places out: lanes with a connection first, each to its old bin or the nearest that is free. Who
    /// gets other bins than before is told.
    fn assign(&mut self) {
        let before: Vec<Range<usize>> = self.members.iter().map(|member| self.plan.bins(member.group)).collect();
        let connections = self.crowding.map(|crowding| crowding.connections).into_iter();
        let most = connections.chain(Some(self.most).filter(|most| *most > 0)).min().unwrap_or(0);
        self.plan = Plan::new(&self.lanes, most);
        let mut order: Vec<usize> = (0..self.members.len()).collect();
        order.sort_by_key(|at| {
            let member = &self.members[*at];
            (std::cmp::Reverse(member.standing), member.home(), member.number())
        });
        let mut free: Vec<usize> = self.plan.groups().iter().map(|group| group.lanes).collect();
        for at in order {
            let wanted = self.plan.group(self.members[at].home());
            let group = nearest_free(&free, wanted);
            free.iter_mut().enumerate().filter(|(n, _)| Some(*n) == group).for_each(|(_, places)| *places -= 1);
            self.members[at].group = group;
            let bins = self.plan.bins(group);
            if group.is_some() && !bins.contains(&self.members[at].home()) {
                self.members[at].move_to(bins.start, &self.bins);
            }
        }
        let others = self.members.iter().zip(before).filter(|(member, bins)| self.plan.bins(member.group) != *bins);
        others.for_each(|(member, _)| member.handle.news.signal());
    }
}

/// The place itself, or else the nearest with room: a larger one first, since a lane may help smaller bins.
fn nearest_free(free: &[usize], wanted: usize) -> Option<usize> {
    let has_room = |group: &usize| free.get(*group).is_some_and(|places| *places > 0);
    (wanted..free.len()).find(has_room).or_else(|| (0..wanted.min(free.len())).rev().find(has_room))
}

fn is_backlog(waiting: &dyn Backlog, bins: Range<usize>, lanes: usize) -> bool {
    let octets = BACKLOG_OCTETS.saturating_mul(lanes as u64);
    let messages = waiting.messages(bins.clone());
    messages > BACKLOG * lanes || (messages > 1 && waiting.octets(bins) > octets)
}

/// Between half of the pause and all of it.
pub(super) fn scattered(pause: Duration, scatter: f64) -> Duration {
    pause.mul_f64(0.5 + scatter.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests;
