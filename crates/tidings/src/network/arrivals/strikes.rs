//! Peers that are not let in for a while, because their links broke the format; docs/spec/links.md §8.5.
//!
//! The engine's own rule (§8.1) is another one. It counts floods and false `Got`s too, adds them up over ten minutes,
//! and refuses links with a goodbye: whoever stays connected can open one after the other. Here only malformed frames
//! count, which no version of a node writes, and connections are what is refused.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use libp2p::PeerId;

/// Malformed links after which a peer is refused.
pub(super) const STRIKES: usize = 3;
/// Within what time.
pub(super) const STRIKE_MEMORY: Duration = Duration::from_mins(1);
/// How long its connections are refused from the last of them on.
pub(super) const REFUSAL_TIME: Duration = Duration::from_mins(1);
/// The most peers that are remembered; beyond it the one whose last strike is oldest is forgotten.
pub(super) const MAX_STRUCK: usize = 1024;

/// The last strikes of each peer.
#[derive(Debug, Default)]
pub(super) struct Strikes {
    /// Oldest first.
    peers: HashMap<PeerId, [Option<Instant>; STRIKES]>,
}

impl Strikes {
    /// A link of this peer was malformed; says whether the peer is refused now.
    pub(super) fn on_strike(&mut self, peer: PeerId, now: Instant) -> bool {
        self.make_room(&peer, now);
        let strikes = self.peers.entry(peer).or_default();
        strikes.rotate_left(1);
        strikes[STRIKES - 1] = Some(now);
        self.is_refused(&peer, now)
    }

    /// Whether connections of this peer are refused.
    pub(super) fn is_refused(&self, peer: &PeerId, now: Instant) -> bool {
        let Some([Some(first), .., Some(last)]) = self.peers.get(peer) else {
            return false;
        };
        last.duration_since(*first) <= STRIKE_MEMORY && now.duration_since(*last) < REFUSAL_TIME
    }

    fn make_room(&mut self, peer: &PeerId, now: Instant) {
        if self.peers.len() < MAX_STRUCK || self.peers.contains_key(peer) {
            return;
        }
        let last = |strikes: &[Option<Instant>; STRIKES]| strikes[STRIKES - 1];
        self.peers.retain(|_, strikes| last(strikes).is_some_and(|at| now.duration_since(at) < STRIKE_MEMORY));
        if self.peers.len() >= MAX_STRUCK
            && let Some(oldest) = self.peers.iter().min_by_key(|(_, strikes)| last(strikes)).map(|(peer, _)| *peer)
        {
            self.peers.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_strikes_within_a_minute_refuse_a_peer_for_a_minute() {
        let (mut strikes, start, peer) = (Strikes::default(), Instant::now(), PeerId::random());
        for _ in 1..STRIKES {
            assert!(!strikes.on_strike(peer, start));
        }
        let last = start + STRIKE_MEMORY;
        assert!(strikes.on_strike(peer, last));
        assert!(!strikes.is_refused(&PeerId::random(), last));
        assert!(strikes.is_refused(&peer, last + REFUSAL_TIME - Duration::from_millis(1)));
        assert!(!strikes.is_refused(&peer, last + REFUSAL_TIME));
    }

    #[test]
    fn strikes_further_apart_refuse_nobody() {
        let (mut strikes, start, peer) = (Strikes::default(), Instant::now(), PeerId::random());
        for number in 0..10 {
            assert!(!strikes.on_strike(peer, start + STRIKE_MEMORY * number * 2 / 3));
        }
    }

    #[test]
    fn the_table_stays_bounded() {
        let (mut strikes, now) = (Strikes::default(), Instant::now());
        for _ in 0..MAX_STRUCK * 2 {
            strikes.on_strike(PeerId::random(), now);
        }
        assert_eq!(strikes.peers.len(), MAX_STRUCK);
    }
}
