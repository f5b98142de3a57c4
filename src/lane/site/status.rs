//! How a site is at one moment.

use super::{Site, State};
use crate::lane::member::{Member, Standing};
use crate::lane::status::{BinStatus, ChannelStatus, LaneState, LaneStatus};
use std::time::Instant;

impl Site {
    /// For who asks.
    pub fn status(&self) -> ChannelStatus {
        let (settings, now) = (self.settings(), Instant::now());
        let state = self.state.lock();
        let mut lanes: Vec<LaneStatus> = state.crew.members().iter().map(|member| state.lane(member, now)).collect();
        lanes.sort_by_key(|lane| lane.number);
        ChannelStatus {
            next_hop: self.next_hop.to_string(),
            passed: self.passed.to_vec(),
            order: settings.order.name().to_owned(),
            trouble: state.trouble.now(now).map(|outcome| outcome.text.clone()),
            max_connections: state.crew.max_connections(),
            bins: (0..state.queue.bins().len()).map(|bin| state.bin(bin, now)).collect(),
            lanes,
        }
    }
}

impl State {
    fn bin(&self, bin: usize, now: Instant) -> BinStatus {
        BinStatus {
            up_to: self.queue.bins().bound(bin),
            waiting: self.queue.len(bin..bin + 1),
            waiting_octets: self.queue.octets(bin..bin + 1),
            oldest_wait: self.queue.oldest(bin).map(|since| seconds(since, now)),
            unanswered: self.crew.members().iter().map(|member| member.carries(bin)).sum(),
        }
    }

    fn lane(&self, member: &Member, now: Instant) -> LaneStatus {
        let reading = member.handle.gauge.read();
        let bins = self.crew.plan().bins(member.group);
        LaneStatus {
            number: member.number(),
            bins: (!bins.is_empty()).then(|| (bins.start, bins.end - 1)),
            state: match member.standing {
                Standing::Resting => LaneState::Resting,
                Standing::Connecting => LaneState::Connecting,
                Standing::Connected if member.group.is_none() => LaneState::Leaving,
                Standing::Connected if reading.yielding => LaneState::Yielding,
                Standing::Connected if member.carried() > 0 => LaneState::Busy,
                Standing::Connected => LaneState::Idle,
            },
            level: reading.level.map(|level| level.name().to_owned()),
            server: member.server.clone(),
            window_messages: reading.transactions.0 as usize,
            window_messages_limit: reading.transactions.1 as usize,
            window_octets: reading.octets.0,
            window_octets_limit: reading.octets.1,
            messages: reading.done.0,
            octets: reading.done.1,
            in_doubt: reading.in_doubt,
            oldest: member.oldest().map(|since| seconds(since, now)),
            last_trouble: member.trouble.clone(),
        }
    }
}

fn seconds(since: Instant, now: Instant) -> f64 {
    now.saturating_duration_since(since).as_secs_f64()
}
