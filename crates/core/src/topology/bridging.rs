//! How what no route leads to is joined again; docs/spec/topology.md §2.4.

use tidings_crypto::PeerKey;

use super::config::{BRIDGE_PAUSE, BRIDGE_SHARE, JUDGED_TIME, LONGEST_BRIDGE_PAUSE};
use super::peers::Peer;
use super::{State, Timer};

/// The dial that bridges, and how often there is one.
#[derive(Debug, Default)]
pub(super) struct Bridging {
    target: Option<PeerKey>,
    /// Dials in a row that led nowhere.
    failures: u32,
}

impl Bridging {
    pub(super) fn target(&self) -> Option<PeerKey> {
        self.target
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
        if self.bridging.target.is_none() {
            let apart = |patient: bool| {
                let apart = self.peers.iter().filter(|(key, peer)| self.is_apart(key, peer));
                apart.filter(move |(_, peer)| peer.is_missing() == patient && peer.dial.is_none())
            };
            let patient = apart(true).next().is_some();
            let count = apart(patient).count() as u64;
            if count == 0 {
                return;
            }
            let keys: Vec<_> = apart(patient).map(|(key, _)| *key).collect();
            let drawn = usize::try_from(self.draw(count)).unwrap_or_default();
            self.bridging.target = keys.get(drawn).copied();
            self.stats.bridges += 1;
            self.look_soon();
        }
        self.set_bridge();
    }

    /// Somebody else has joined what this node was about to.
    pub(super) fn end_bridge(&mut self) {
        let Some(target) = self.bridging.target else { return };
        if self.peers.get(&target).is_none_or(Peer::is_alive) {
            self.bridging = Bridging::default();
        }
    }

    pub(super) fn on_bridged(&mut self, key: &PeerKey) {
        if self.bridging.target == Some(*key) {
            self.bridging = Bridging::default();
            self.bridge_later();
        }
    }

    pub(super) fn on_bridge_failed(&mut self, key: &PeerKey) {
        if self.bridging.target == Some(*key) {
            self.bridging.target = None;
            self.bridging.failures += 1;
            self.bridge_later();
        }
    }
}
