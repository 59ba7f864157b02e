//! How what no route leads to is joined again; docs/spec/topology.md §2.4.

use std::collections::BTreeSet;

use tidings_crypto::PeerKey;

use super::config::{BRIDGE_PAUSE, BRIDGE_SHARE, JUDGED_TIME, LONGEST_BRIDGE_PAUSE};
use super::peers::Peer;
use super::{State, Timer};

/// The most peers dialled at once to bridge: one, and others beside those that are slow to answer.
const MAX_TARGETS: usize = 4;

/// The dials that bridge, and how often there is one.
#[derive(Debug, Default)]
pub(super) struct Bridging {
    targets: BTreeSet<PeerKey>,
    /// Dials in a row that led nowhere.
    failures: u32,
}

impl Bridging {
    pub(super) fn dials(&self, peer: &PeerKey) -> bool {
        self.targets.contains(peer)
    }
}

impl State {
    /// Somebody may have come to be out of reach.
    pub(super) fn bridge_later(&mut self) {
        if !self.timers.contains_key(&Timer::Bridge) && self.peers.iter().any(|(key, peer)| self.is_apart(key, peer)) {
            self.set_bridge();
        }
    }

    /// A part of the network is lost: the pauses that futile dials have made long begin anew.
    pub(super) fn bridge_again(&mut self) {
        self.bridging.failures = 0;
        self.timers.remove(&Timer::Bridge);
        self.bridge_later();
    }

    /// Everybody in an island shares the work: alone a node dials twice a second, a thousand together as often.
    fn set_bridge(&mut self) {
        let nodes = u32::try_from(self.alive()).unwrap_or(u32::MAX);
        let pause = BRIDGE_PAUSE.saturating_mul(nodes.div_ceil(BRIDGE_SHARE));
        let pause = pause.saturating_mul(1 << self.bridging.failures.min(10)).min(LONGEST_BRIDGE_PAUSE);
        let draw = self.draw(2048);
        let jittered = pause.saturating_mul(u32::try_from(draw).unwrap_or_default()) / 1024;
        self.at_latest(Timer::Bridge, self.now + jittered);
    }

    /// Nothing leads to a peer, but it might answer.
    fn is_apart(&self, key: &PeerKey, peer: &Peer) -> bool {
        let settled = peer.lost.is_none_or(|lost| self.now.since(lost.since) >= JUDGED_TIME);
        settled && !peer.is_alive() && peer.is_dialable(self.now) && self.is_allowed(key) && self.may_dial(peer)
    }

    /// Dials one peer that is apart: at random, and rather one that has not failed to answer.
    pub(super) fn bridge(&mut self) {
        let now = self.now;
        let waits = |key: &PeerKey| self.peers.get(key).is_some_and(|peer| peer.is_dialling(now));
        let targets = &self.bridging.targets;
        if targets.len() < MAX_TARGETS && !targets.iter().any(waits) {
            let apart = |patient: bool| {
                let apart = self.peers.iter().filter(|(key, peer)| self.is_apart(key, peer));
                let apart = apart.filter(move |(_, peer)| peer.is_missing() == patient && peer.dial.is_none());
                apart.map(|(key, _)| *key).collect::<Vec<_>>()
            };
            let mut apart_now = apart(true);
            if apart_now.is_empty() {
                apart_now = apart(false);
            }
            if apart_now.is_empty() {
                return;
            }
            let drawn = usize::try_from(self.draw(apart_now.len() as u64)).unwrap_or_default();
            self.bridging.targets.insert(apart_now[drawn]);
            self.stats.bridges += 1;
            self.look_soon();
        }
        self.set_bridge();
    }

    /// Forgets what somebody else has joined meanwhile.
    pub(super) fn end_bridges(&mut self) {
        let alive = |key: &PeerKey| self.peers.get(key).is_none_or(Peer::is_alive);
        let (joined, apart) = std::mem::take(&mut self.bridging.targets).into_iter().partition(alive);
        let joined: BTreeSet<PeerKey> = joined;
        self.bridging.targets = apart;
        if !joined.is_empty() {
            self.bridging.failures = 0;
        }
    }

    pub(super) fn on_bridged(&mut self, key: &PeerKey) {
        if self.bridging.targets.remove(key) {
            self.bridging.failures = 0;
            self.bridge_later();
        }
    }

    pub(super) fn on_bridge_failed(&mut self, key: &PeerKey) {
        if self.bridging.targets.remove(key) {
            self.bridging.failures += 1;
            self.bridge_later();
        }
    }
}
