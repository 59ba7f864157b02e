//! Which links to keep, to lay and to drop, and what the network looks like; docs/spec/topology.md.
//!
//! [`Event`]s say who is known, linked and reachable, [`Effect`]s say whom to dial and whose link to close. Nothing
//! is sent: what others say comes with their announcements, and what this node says of itself goes with its own.
//!
//! * `peers`: everybody who is known, linked or not.
//! * `kinds`: which links a mesh, ring, hierarchy or star wants: pure functions of a view.
//! * `maintenance`: from the links wanted to dials and drops, the same for all kinds; `bridging` joins what no
//!   route leads to.
//! * `adaptive`: which kind suits the situation, and why.
//! * `digest`: which neighbours this node tells of; `graph`, `metrics`: what everybody's tell of the network.

mod adaptive;
mod bridging;
mod config;
mod digest;
mod event;
mod graph;
mod kinds;
mod maintenance;
mod metrics;
mod peers;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use rand_chacha::ChaCha12Rng;
use rand_core::{Rng as _, SeedableRng as _};
use tidings_crypto::PeerKey;

pub use config::{Allow, Config, ConfigError, Stats};
pub(crate) use event::{Effect, Event, Facts, Reach, Standing};
pub use event::{Kind, KindError};
pub use graph::{Graph, GraphNode};
pub use metrics::{Hotspot, Metrics};

use crate::time::Instant;
use adaptive::Adaptive;
use bridging::Bridging;
use config::{DECLINED_TIME, KIND_LOOK, LONGEST_DECLINED_TIME, MAX_EFFECTS};
use config::{DIGEST_SETTLE, FIRST_PAUSE, LAZY_REACTION, LONGEST_PAUSE, LOOK_INTERVAL, REACTION, REGRET_TIME, STEADY};
use digest::Digest;
use maintenance::Upkeep;
use peers::{Link, Lost, Owner, Peer, Peers, Place};

/// The links that one node wants, and what it knows of the network.
#[derive(Debug)]
pub(crate) struct State {
    config: Config,
    own: PeerKey,
    rng: ChaCha12Rng,
    now: Instant,
    /// What a person chose.
    kind: Kind,
    peers: Peers,
    upkeep: Upkeep,
    bridging: Bridging,
    adaptive: Adaptive,
    digest: Digest,
    timers: BTreeMap<Timer, Instant>,
    effects: VecDeque<Effect>,
    stats: Stats,
}

/// Everything that waits for a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// Links are looked at.
    Look,
    /// A peer that no route leads to may be dialled.
    Bridge,
    /// What this node announces may have changed for long enough.
    Digest,
    /// The situation may ask for another kind.
    Kind,
}

impl State {
    /// A node that knows nobody. `seed` is for what is random in its choices.
    pub(crate) fn new(config: Config, own: PeerKey, now: Instant, seed: [u8; 32]) -> Self {
        let timers = BTreeMap::from([
            (Timer::Look, now + LOOK_INTERVAL),
            (Timer::Digest, now + DIGEST_SETTLE),
            (Timer::Kind, now + KIND_LOOK),
        ]);
        Self {
            kind: config.kind,
            config,
            own,
            rng: ChaCha12Rng::from_seed(seed),
            now,
            peers: Peers::default(),
            upkeep: Upkeep::default(),
            bridging: Bridging::default(),
            adaptive: Adaptive::new(now),
            digest: Digest::new(now),
            timers,
            effects: VecDeque::new(),
            stats: Stats::default(),
        }
    }

    /// Takes what happened.
    pub(crate) fn handle(&mut self, now: Instant, event: Event) {
        self.now = now;
        match event {
            Event::Tick => {}
            Event::Known { peer, reach } => self.on_known(peer, reach),
            Event::Standing { peer, standing } => self.on_standing(peer, standing),
            Event::Linked { peer } => self.on_linked(peer),
            Event::Unlinked { peer } => self.on_unlinked(peer),
            Event::DialFailed { peer } => self.on_dial_failed(peer),
            Event::Routed { peer } => self.on_routed(peer),
            Event::Unrouted { peer } => self.on_unrouted(peer),
            Event::Announced { peer, facts } => self.on_announced(peer, facts),
            Event::Forgotten { peer } => self.on_forgotten(peer),
            Event::Trust { peer, permille } => self.on_trust(peer, permille),
            Event::Own { power, bandwidth_kbps } => self.digest.on_own(power, bandwidth_kbps),
            Event::Loss { permille } => self.adaptive.on_loss(permille),
            Event::Kind(kind) => self.on_kind(kind),
        }
        self.on_time();
    }

    /// Gives what is to be done.
    pub(crate) fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    pub(crate) fn has_effects(&self) -> bool {
        !self.effects.is_empty()
    }

    /// When to call [`Self::handle`] with [`Event::Tick`] at the latest.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.timers.values().min().copied()
    }

    /// Counts, with what is now.
    pub(crate) fn stats(&self) -> Stats {
        Stats { peers: self.peers.len() as u64, links: self.peers.links() as u64, ..self.stats }
    }

    /// What a person chose.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// The shape in which links are laid: never [`Kind::Adaptive`].
    pub(crate) fn shape(&self) -> Kind {
        if self.kind == Kind::Adaptive { self.adaptive.shape() } else { self.kind }
    }

    /// Why links are laid in this shape.
    pub(crate) fn reason(&self) -> &str {
        self.adaptive.reason()
    }

    /// The network as far as this node knows it.
    pub(crate) fn graph(&self) -> Graph {
        graph::known(self)
    }

    /// What [`Self::graph`] comes to.
    pub(crate) fn metrics(&self) -> Metrics {
        self.graph().measure()
    }

    fn on_time(&mut self) {
        while let Some(timer) = self.due() {
            self.timers.remove(&timer);
            match timer {
                Timer::Look => self.look(),
                Timer::Bridge => self.bridge(),
                Timer::Digest => self.announce(),
                Timer::Kind => self.adapt(),
            }
        }
    }

    fn due(&self) -> Option<Timer> {
        self.timers.iter().find(|(_, due)| **due <= self.now).map(|(timer, _)| *timer)
    }

    /// Makes sure that a timer comes up at `due` at the latest.
    fn at_latest(&mut self, timer: Timer, due: Instant) {
        let timer = self.timers.entry(timer).or_insert(due);
        *timer = (*timer).min(due);
    }

    /// Something concerns links of this node.
    fn look_soon(&mut self) {
        self.at_latest(Timer::Look, self.now + REACTION);
    }

    /// Something concerns peers that may come to be linked.
    fn look_later(&mut self) {
        self.at_latest(Timer::Look, self.now + LAZY_REACTION);
    }

    fn effect(&mut self, effect: Effect) {
        debug_assert!(self.effects.len() < MAX_EFFECTS, "effects are taken after every event");
        self.effects.push_back(effect);
    }

    /// A number from 0 to `below`, that one excluded.
    fn draw(&mut self, below: u64) -> u64 {
        self.rng.next_u64() % below.max(1)
    }

    /// The peer's place in the table, made if there is room.
    fn peer(&mut self, key: PeerKey) -> Option<&mut Peer> {
        if key == self.own {
            return None;
        }
        if self.peers.get(&key).is_none() {
            let draw = self.rng.next_u64();
            match self.peers.place(key, draw, self.now) {
                Ok(Place::Free) => {}
                Ok(Place::InsteadOf(_)) => self.stats.table_full += 1,
                Err(peers::Full) => {
                    self.stats.table_full += 1;
                    return None;
                }
            }
        }
        self.peers.get_mut(&key)
    }

    fn on_known(&mut self, key: PeerKey, reach: Reach) {
        let now = self.now;
        let Some(peer) = self.peer(key) else { return };
        peer.reach = reach;
        if reach > Reach::Nowhere {
            peer.failures = 0;
            peer.retry_at = now;
        }
        self.news_of(&key);
    }

    fn on_standing(&mut self, key: PeerKey, standing: Standing) {
        let Some(peer) = self.peer(key) else { return };
        peer.standing = standing;
        self.news_of(&key);
    }

    fn on_announced(&mut self, key: PeerKey, facts: Facts) {
        let Some(peer) = self.peer(key) else { return };
        peer.facts = Some(facts);
        self.look_later();
    }

    fn on_forgotten(&mut self, key: PeerKey) {
        if let Some(peer) = self.peers.get_mut(&key) {
            peer.facts = None;
            self.news_of(&key);
        }
    }

    fn on_trust(&mut self, key: PeerKey, permille: u16) {
        if let Some(peer) = self.peers.get_mut(&key) {
            peer.trust = Some(permille.min(1000));
            self.look_later();
        }
    }

    /// Something about a peer changed that may concern links, or leave nothing to know about it.
    fn news_of(&mut self, key: &PeerKey) {
        if let Some(peer) = self.peers.forget_blank(key) {
            if peer.wanted {
                self.effect(Effect::Unwant { peer: *key });
            }
            return;
        }
        let short = self.peers.links() < self.config.min_degree;
        if short {
            self.look_soon()
        } else {
            self.look_later()
        }
        self.bridge_later();
    }

    fn on_linked(&mut self, key: PeerKey) {
        let now = self.now;
        let Some(peer) = self.peer(key) else { return };
        if peer.link.is_some() {
            return;
        }
        let owner = if peer.wanted { Owner::Own } else { Owner::Other };
        peer.dial = None;
        peer.lost = None;
        self.peers.link(&key, Some(Link { since: now, owner, unfit_since: None }));
        self.stats.linked += 1;
        self.on_bridged(&key);
        self.look_soon();
    }

    fn on_unlinked(&mut self, key: PeerKey) {
        let now = self.now;
        let Some(link) = self.peers.link(&key, None) else { return };
        self.stats.unlinked += 1;
        let Some(peer) = self.peers.get_mut(&key) else { return };
        let dropped = peer.dropped_at.is_some_and(|at| now.since(at) < REGRET_TIME);
        if !peer.routed {
            peer.lost = Some(Lost { since: now, judged: false });
        }
        if now.since(link.since) >= STEADY {
            peer.failures = 0;
        } else if !dropped {
            self.fail(&key);
        }
        let Some(peer) = self.peers.get_mut(&key) else { return };
        // Whoever is wanted is dialled by the links module without being told again.
        peer.dial = peer.wanted.then_some(now);
        self.look_soon();
    }

    fn on_dial_failed(&mut self, key: PeerKey) {
        let dialled = self.peers.get(&key).is_some_and(|peer| peer.link.is_none() && peer.dial.is_some());
        if dialled {
            self.fail(&key);
            self.look_soon();
        }
    }

    /// A dial led nowhere: the peer is not dialled for a while.
    fn fail(&mut self, key: &PeerKey) {
        let now = self.now;
        let jitter = self.draw(512);
        let Some(peer) = self.peers.get_mut(key) else { return };
        let pause = FIRST_PAUSE.saturating_mul(1 << peer.failures.min(16)).min(LONGEST_PAUSE);
        peer.failures = peer.failures.saturating_add(1);
        // Three to five quarters of it.
        peer.retry_at = now + pause.saturating_mul(768 + u32::try_from(jitter).unwrap_or_default()) / 1024;
        peer.dial = None;
        if peer.routed {
            // It is reached without the link, which is not essential any more.
            peer.essential_until = Instant::default();
            let time = DECLINED_TIME.saturating_mul(1 << peer.declines.min(8)).min(LONGEST_DECLINED_TIME);
            peer.declined_until = now + time;
            peer.declines += 1;
        }
        let told = std::mem::take(&mut peer.wanted);
        if told {
            self.effect(Effect::Unwant { peer: *key });
        }
        self.stats.dials_failed += 1;
        self.on_bridge_failed(key);
    }

    fn on_routed(&mut self, key: PeerKey) {
        let Some(peer) = self.peer(key) else { return };
        if peer.routed {
            return;
        }
        peer.routed = true;
        peer.lost = None;
        if peer.link.is_none() {
            peer.failures = 0;
            peer.retry_at = Instant::default();
        }
        self.look_later();
    }

    fn on_unrouted(&mut self, key: PeerKey) {
        let now = self.now;
        let Some(peer) = self.peers.get_mut(&key) else { return };
        if !std::mem::take(&mut peer.routed) || peer.link.is_some() {
            return;
        }
        peer.lost = Some(Lost { since: now, judged: false });
        self.look_later();
    }

    fn on_kind(&mut self, kind: Kind) {
        if kind == self.kind {
            return;
        }
        let before = self.shape();
        self.kind = kind;
        if kind == Kind::Adaptive {
            // From the shape that there is: what follows is judged by the situation.
            self.adaptive.begin(before);
            self.at_latest(Timer::Kind, self.now + KIND_LOOK);
        } else {
            self.choose(kind, format!("a person set the kind to {kind}"));
        }
        self.look_soon();
    }

    /// Lays links in this shape from now on.
    fn choose(&mut self, kind: Kind, reason: String) {
        self.stats.kind_changes += 1;
        self.adaptive.on_chosen(kind, reason.clone());
        self.effect(Effect::Kind { kind, reason });
    }
}
