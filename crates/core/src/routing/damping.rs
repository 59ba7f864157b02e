//! Keeps a flapping neighbour from the rest of the network; docs/spec/routing.md §5.4.
//!
//! A neighbour that goes for the third time within a minute is likely to come back. What was announced through it
//! then stays announced for a while: what arrives for it meanwhile is refused or takes a detour, and if it comes back
//! in time nobody further away has heard of it. Forwarding itself follows the link at once. This cannot make a loop,
//! because a feasibility distance that is lower than need be only forbids routes.

use std::collections::BTreeMap;

use tidings_crypto::PeerKey;

use super::bucket::Bucket;
use super::config::{DEPARTURES, HELD_BACK, MAX_FLAPPING};
use crate::time::Instant;

#[derive(Debug, Default)]
pub(super) struct Damping {
    peers: BTreeMap<PeerKey, Flapping>,
}

#[derive(Debug, Default)]
struct Flapping {
    departures: Bucket,
    held_until: Instant,
}

impl Damping {
    /// A neighbour went. Returns until when changes through it are held back, if they are.
    pub(super) fn on_departure(&mut self, peer: PeerKey, now: Instant) -> Option<Instant> {
        if self.peers.len() >= MAX_FLAPPING && !self.peers.contains_key(&peer) {
            self.peers
                .retain(|_, flapping| flapping.departures.ready_at(DEPARTURES) > now || flapping.held_until > now);
            if self.peers.len() >= MAX_FLAPPING {
                self.peers.pop_first();
            }
        }
        let flapping = self.peers.entry(peer).or_default();
        if flapping.held_until <= now && flapping.departures.take(now, DEPARTURES) {
            return None;
        }
        flapping.held_until = now + HELD_BACK;
        Some(flapping.held_until)
    }

    /// Until when changes through this neighbour are held back.
    pub(super) fn held_until(&self, peer: &PeerKey, now: Instant) -> Option<Instant> {
        self.peers.get(peer).map(|flapping| flapping.held_until).filter(|until| *until > now)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }
}
