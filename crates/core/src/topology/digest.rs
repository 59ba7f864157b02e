//! What this node tells of itself in its announcement: its neighbours, and how well it would serve as a hub;
//! docs/spec/topology.md §4.1, §5.

use std::time::Duration;

use tidings_crypto::{MAX_LISTED_NEIGHBOURS, Neighbours, PeerKey, Power};

use super::config::{DIGEST_INTERVAL, DIGEST_SETTLE};
use super::event::{Effect, Facts};
use super::kinds::Rank;
use super::peers::Peer;
use super::{State, Timer};
use crate::time::Instant;

/// The ages of a node at which it serves better as a hub: who has lived long lives on longest.
const UPTIMES: [Duration; 4] =
    [Duration::from_mins(10), Duration::from_hours(1), Duration::from_hours(6), Duration::from_hours(24)];
/// The bandwidths from which on it serves better, in kbit/s. What links have carried is the least they can.
const BANDWIDTHS: [u64; 3] = [25_000, 100_000, 500_000];
/// What counts for a bandwidth below these, or one that is not known.
const LEAST_BANDWIDTH: u8 = 2;
/// What a node that acts as a hub is ahead: more than one step of age or bandwidth.
const ACTING: Rank = 2;
/// Who is trusted less is no hub as long as there is somebody else.
const LEAST_TRUST: u16 = 300;
/// Below every fitness.
const UNTRUSTED: Rank = -32;

/// What this node is like, and what it said last.
#[derive(Debug)]
pub(super) struct Digest {
    began: Instant,
    power: Power,
    bandwidth_kbps: u64,
    told: Option<Told>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    at: Instant,
    neighbours: Neighbours,
    fitness: u8,
}

impl Digest {
    pub(super) fn new(now: Instant) -> Self {
        Self { began: now, power: Power::Unknown, bandwidth_kbps: 0, told: None }
    }

    pub(super) fn on_own(&mut self, power: Power, bandwidth_kbps: u64) {
        self.power = power;
        self.bandwidth_kbps = bandwidth_kbps;
    }

    pub(super) fn power(&self) -> Power {
        self.power
    }

    /// How many neighbours others think this node has.
    pub(super) fn told_count(&self) -> usize {
        self.told.as_ref().map_or(0, |told| told.neighbours.count as usize)
    }

    /// How well this node would serve as a hub, as others see it.
    pub(super) fn fitness(&self, now: Instant) -> u8 {
        self.told.as_ref().map_or_else(|| self.fitness_now(now), |told| told.fitness)
    }

    fn fitness_now(&self, now: Instant) -> u8 {
        let uptime = UPTIMES.iter().filter(|step| now.since(self.began) >= **step).count();
        let bandwidth = BANDWIDTHS.iter().filter(|step| self.bandwidth_kbps >= **step).count();
        of_power(self.power) + small(uptime) + LEAST_BANDWIDTH + small(bandwidth)
    }
}

fn small(count: usize) -> u8 {
    u8::try_from(count).unwrap_or(u8::MAX)
}

const fn of_power(power: Power) -> u8 {
    match power {
        Power::Mains => 6,
        Power::Unknown => 4,
        Power::Battery => 1,
        Power::BatteryLow => 0,
    }
}

/// The fitness that a peer says it has; without that, what its power says.
pub(super) fn fitness_of(facts: Option<&Facts>) -> Option<u8> {
    let facts = facts?;
    Some(facts.fitness.map_or_else(|| of_power(facts.power) + LEAST_BANDWIDTH, |fitness| fitness.min(15)))
}

/// How a node ranks as a hub.
pub(super) fn rank(fitness: Option<u8>, acts: bool, trust: u16) -> Rank {
    let fitness = fitness.unwrap_or(of_power(Power::Unknown) + LEAST_BANDWIDTH);
    let rank = Rank::try_from(fitness).unwrap_or(Rank::MAX);
    let rank = if acts { rank + ACTING } else { rank };
    if trust < LEAST_TRUST { rank + UNTRUSTED } else { rank }
}

/// The first 4 bytes of a peer's routing id, by which digests name it.
pub(super) fn name(peer: &PeerKey) -> [u8; 4] {
    let id = peer.routing_id().0;
    [id[0], id[1], id[2], id[3]]
}

impl State {
    /// What this node would tell of its neighbours now. Who lists it of itself is listed last.
    fn neighbours(&self) -> Neighbours {
        if !self.config.tell_neighbours {
            return Neighbours::default();
        }
        let lists_us = |peer: &Peer| {
            let neighbours = peer.facts.as_ref().map(|facts| &facts.neighbours);
            neighbours.is_some_and(|neighbours| !neighbours.listed.is_empty() && !is_full(neighbours))
        };
        let mut listed: Vec<_> = self.peers.linked().map(|(_, peer)| (lists_us(peer), peer.name)).collect();
        listed.sort_unstable();
        let count = u32::try_from(listed.len()).unwrap_or(u32::MAX);
        listed.truncate(MAX_LISTED_NEIGHBOURS);
        let mut listed: Vec<_> = listed.into_iter().map(|(_, name)| name).collect();
        listed.sort_unstable();
        Neighbours { count, listed }
    }

    /// Something that this node tells may have changed.
    pub(super) fn digest_later(&mut self) {
        let changed = self.digest.told.as_ref().is_none_or(|told| {
            told.fitness != self.digest.fitness_now(self.now) || told.neighbours != self.neighbours()
        });
        if changed && !self.timers.contains_key(&Timer::Digest) {
            let paced = self.digest.told.as_ref().map_or(self.now, |told| told.at + DIGEST_INTERVAL);
            self.timers.insert(Timer::Digest, paced.max(self.now + DIGEST_SETTLE));
        }
    }

    /// Tells what has changed.
    pub(super) fn announce(&mut self) {
        let (neighbours, fitness) = (self.neighbours(), self.digest.fitness_now(self.now));
        let same = |told: &Told| told.neighbours == neighbours && told.fitness == fitness;
        if !self.digest.told.as_ref().is_some_and(same) {
            let told = Told { at: self.now, neighbours: neighbours.clone(), fitness };
            self.digest.told = Some(told);
            self.effect(Effect::Announce { neighbours, fitness });
        }
    }
}

/// There are more neighbours than are listed.
pub(super) fn is_full(neighbours: &Neighbours) -> bool {
    neighbours.count as usize > neighbours.listed.len()
}
