//! What this node carries for others: a parcel from its arrival over one link until the next hop has it.
//! docs/spec/relay.md.
//!
//! A relay keeps a parcel's bytes until the next hop has read them, and after that only where it came from, for half
//! a minute: that is how a refusal finds its way back, and how a parcel that comes again is known. It never looks
//! into a parcel, and what it holds is in memory alone: custody is the sender's.

mod memory;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use tidings_crypto::{PeerKey, RoutingId};

use self::memory::{Carried, Memory};
use crate::class::Class;
use crate::ids::{ParcelId, RelayNo};
use crate::time::Instant;
use crate::wire::{Passage, RefusedReason};

/// How much a relay holds.
#[derive(Clone, Debug)]
pub struct Config {
    /// Bytes of others' parcels that no next hop has read, over all links; 0 relays nothing.
    pub held_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { held_bytes: 64 << 20 }
    }
}

/// Bytes that may wait for one next hop. Its bringers share them equally, so that none of them crowds out another.
const NEXT_BYTES: usize = 1 << 20;
/// Bytes of class `critical` that may wait for one next hop beside them, shared in the same way.
const NEXT_CRITICAL_BYTES: usize = 128 << 10;
/// The most next hops that are tried for one parcel.
const MAX_TRIES: usize = 3;

/// What happens to a relay.
#[derive(Debug)]
pub(crate) enum Event {
    /// Some parcel's lifetime may have ended.
    Tick,
    /// A neighbour brings a parcel for somebody else.
    Arrived { from: PeerKey, passage: Box<Passage> },
    /// The answer to [`Effect::Route`].
    Next { no: RelayNo, next: Option<PeerKey> },
    /// The next hop has read it to its last byte.
    Got(RelayNo),
    /// No link carries it any more.
    Lost(RelayNo),
    /// A neighbour does not take a parcel.
    Refused { by: PeerKey, parcel: ParcelId, reason: RefusedReason },
}

/// What a relay wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Find a next hop that is none of these; answered by [`Event::Next`] in the same call.
    Route { no: RelayNo, to: RoutingId, except: Vec<PeerKey> },
    /// Hand it to a link.
    Send { no: RelayNo, next: PeerKey, class: Class, bytes: Bytes },
    /// Take it out of the link's queue if it has not begun to leave.
    Withdraw(RelayNo),
    /// Tell the neighbour that brought it.
    Refuse { to: PeerKey, parcel: ParcelId, reason: RefusedReason },
    /// The next hop had no room for this recipient.
    Avoid { next: PeerKey, to: RoutingId },
}

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Parcels that a next hop has read.
    pub relayed: u64,
    /// Bytes of them.
    pub relayed_bytes: u64,
    /// Parcels that came again and were left out.
    pub duplicates: u64,
    /// Parcels refused to the neighbour that brought them.
    pub refused: u64,
    /// Parcels that went to a second next hop.
    pub rerouted: u64,
    /// Bytes that no next hop has read yet.
    pub held_bytes: u64,
}

/// A parcel that no next hop has read.
#[derive(Debug)]
struct Held {
    from: PeerKey,
    passage: Passage,
    arrived: Instant,
    ends: Instant,
    next: Option<PeerKey>,
    tried: Vec<PeerKey>,
}

impl Held {
    fn bytes(&self) -> usize {
        self.passage.len()
    }
}

/// What waits for a next hop, by who brought it.
type Shares = BTreeMap<(PeerKey, bool), BTreeMap<PeerKey, usize>>;

/// What this node carries for others.
#[derive(Debug)]
pub(crate) struct State {
    own: RoutingId,
    config: Config,
    held: BTreeMap<RelayNo, Held>,
    by_end: BTreeSet<(Instant, RelayNo)>,
    by_id: BTreeMap<ParcelId, RelayNo>,
    shares: Shares,
    memory: Memory,
    next_no: u64,
    effects: VecDeque<Effect>,
    stats: Stats,
}

impl State {
    pub(crate) fn new(config: Config, own: RoutingId) -> Self {
        Self {
            own,
            config,
            held: BTreeMap::new(),
            by_end: BTreeSet::new(),
            by_id: BTreeMap::new(),
            shares: Shares::new(),
            memory: Memory::default(),
            next_no: 0,
            effects: VecDeque::new(),
            stats: Stats::default(),
        }
    }

    /// Takes what happened.
    pub(crate) fn handle(&mut self, now: Instant, event: Event) {
        match event {
            Event::Tick => self.on_tick(now),
            Event::Arrived { from, passage } => self.on_arrived(now, from, *passage),
            Event::Next { no, next } => self.on_next(now, no, next),
            Event::Got(no) => self.on_got(no),
            Event::Lost(no) => self.try_another(no),
            Event::Refused { by, parcel, reason } => self.on_refused(by, parcel, reason),
        }
    }

    pub(crate) fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When the next parcel's lifetime ends.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.by_end.first().map(|(at, _)| *at)
    }

    pub(crate) fn stats(&self) -> Stats {
        self.stats
    }

    fn on_tick(&mut self, now: Instant) {
        while let Some((at, no)) = self.by_end.first().copied()
            && at <= now
        {
            self.effects.push_back(Effect::Withdraw(no));
            self.give_back(no, RefusedReason::Expired);
        }
    }

    fn on_arrived(&mut self, now: Instant, from: PeerKey, passage: Passage) {
        let id = passage.id;
        if let Some(known) = self.memory.get(&id) {
            self.stats.duplicates += 1;
            // From elsewhere it went round in a circle, or its first bringer has lost a link: it is to try another way.
            if known.from != from {
                self.refuse(from, id, RefusedReason::NoRoute);
            }
            return;
        }
        let held = usize::try_from(self.stats.held_bytes).unwrap_or(usize::MAX);
        let reason = if passage.ttl <= 1 {
            RefusedReason::Hops
        } else if passage.left_seconds == 0 {
            RefusedReason::Expired
        } else if held.saturating_add(passage.len()) > self.config.held_bytes {
            RefusedReason::Busy
        } else {
            self.hold(now, from, passage);
            return;
        };
        self.refuse(from, id, reason);
    }

    fn hold(&mut self, now: Instant, from: PeerKey, passage: Passage) {
        self.memory.add(now, passage.id, Carried { from, to: passage.to, next: None });
        let no = RelayNo(self.next_no);
        self.next_no += 1;
        let ends = now + Duration::from_secs(passage.left_seconds.into());
        self.stats.held_bytes += passage.len() as u64;
        self.by_end.insert((ends, no));
        self.by_id.insert(passage.id, no);
        self.held.insert(no, Held { from, passage, arrived: now, ends, next: None, tried: Vec::new() });
        self.route(no);
    }

    fn route(&mut self, no: RelayNo) {
        let Some(held) = self.held.get(&no) else { return };
        let mut except = held.tried.clone();
        except.push(held.from);
        self.effects.push_back(Effect::Route { no, to: held.passage.to, except });
    }

    fn on_next(&mut self, now: Instant, no: RelayNo, next: Option<PeerKey>) {
        let Some(next) = next else { return self.give_back(no, RefusedReason::NoRoute) };
        let Some(held) = self.held.get_mut(&no) else { return };
        let (from, class, bytes) = (held.from, held.passage.class, held.bytes());
        let lane = self.shares.entry((next, class == Class::Critical)).or_default();
        let bound = if class == Class::Critical { NEXT_CRITICAL_BYTES } else { NEXT_BYTES };
        let used = lane.get(&from).copied().unwrap_or_default();
        let bringers = lane.len() + usize::from(used == 0);
        // An empty share takes any parcel.
        if used > 0 && used + bytes > bound / bringers {
            return self.give_back(no, RefusedReason::Busy);
        }
        *lane.entry(from).or_default() += bytes;
        held.next = Some(next);
        if let Some(carried) = self.memory.get_mut(&held.passage.id) {
            carried.next = Some(next);
        }
        let held_for = u32::try_from(now.since(held.arrived).as_secs()).unwrap_or(u32::MAX);
        let left = held.passage.left_seconds.saturating_sub(held_for).max(1);
        let bytes = held.passage.onward(self.own, left);
        self.effects.push_back(Effect::Send { no, next, class, bytes });
    }

    /// Takes a parcel's bytes out of its next hop's share.
    fn leave_lane(&mut self, no: RelayNo) {
        let Some(held) = self.held.get_mut(&no) else { return };
        let Some(next) = held.next.take() else { return };
        let key = (next, held.passage.class == Class::Critical);
        if let Some(lane) = self.shares.get_mut(&key) {
            if let Some(used) = lane.get_mut(&held.from) {
                *used -= held.passage.len();
                if *used == 0 {
                    lane.remove(&held.from);
                }
            }
            if lane.is_empty() {
                self.shares.remove(&key);
            }
        }
        held.tried.push(next);
    }

    fn let_go(&mut self, no: RelayNo) -> Option<Held> {
        self.leave_lane(no);
        let held = self.held.remove(&no)?;
        self.stats.held_bytes -= held.bytes() as u64;
        self.by_end.remove(&(held.ends, no));
        self.by_id.remove(&held.passage.id);
        Some(held)
    }

    fn on_got(&mut self, no: RelayNo) {
        if let Some(held) = self.let_go(no) {
            self.stats.relayed += 1;
            self.stats.relayed_bytes += held.bytes() as u64;
        }
    }

    fn try_another(&mut self, no: RelayNo) {
        self.leave_lane(no);
        let Some(held) = self.held.get(&no) else { return };
        if held.tried.len() >= MAX_TRIES {
            return self.give_back(no, RefusedReason::NoRoute);
        }
        self.stats.rerouted += 1;
        self.route(no);
    }

    fn on_refused(&mut self, by: PeerKey, parcel: ParcelId, reason: RefusedReason) {
        // Only who has it can refuse it.
        let Some(carried) = self.memory.get(&parcel).copied().filter(|carried| carried.next == Some(by)) else {
            return;
        };
        if matches!(reason, RefusedReason::Busy) {
            self.effects.push_back(Effect::Avoid { next: by, to: carried.to });
        }
        match self.by_id.get(&parcel).copied() {
            // Its bytes are still here.
            Some(no) if !matches!(reason, RefusedReason::TooBig | RefusedReason::Expired) => self.try_another(no),
            Some(no) => self.give_back(no, reason),
            None => self.refuse(carried.from, parcel, reason),
        }
    }

    fn give_back(&mut self, no: RelayNo, reason: RefusedReason) {
        if let Some(held) = self.let_go(no) {
            self.refuse(held.from, held.passage.id, reason);
        }
    }

    fn refuse(&mut self, to: PeerKey, parcel: ParcelId, reason: RefusedReason) {
        self.stats.refused += 1;
        self.effects.push_back(Effect::Refuse { to, parcel, reason });
    }
}
