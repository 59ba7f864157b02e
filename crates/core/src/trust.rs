//! What a peer did wrong, counted, and what it may cost us before we stop listening.
//!
//! Trust is computed from evidence alone: facts this node verified itself. In this version the evidence is
//! counted and shown, and admission runs on fixed numbers; docs/spec/wire.md §7.

use std::collections::BTreeMap;
use std::time::Duration;

use tidings_crypto::PeerKey;

use crate::time::Instant;

/// A fact about a peer's conduct.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Evidence {
    /// A frame that cannot be read, or is not allowed where it stands.
    MalformedFrame,
    /// A parcel that cannot be read, or whose parts contradict one another.
    MalformedParcel,
    /// A parcel that nothing here opens.
    CannotOpen,
    /// A parcel whose plaintext contradicts its clear header or its session.
    Forged,
    /// A card that does not verify.
    BadCard,
    /// More than the admission bucket allows.
    Flood,
    /// A statement about a flow beyond its bounds.
    BadFlow,
    /// A `Got` for bytes that were never sent.
    BadGot,
    /// An announcement that its peer did not sign, or an update that contradicts the announcement it names.
    ForgedRoute,
    /// A route that is cheaper than the neighbour can prove.
    CheapRoute,
    /// An older announcement after a newer one, on the same link.
    RolledBackRoute,
}

/// The most peers whose conduct is remembered; beyond it the one with the lowest key makes room.
const MAX_PEERS: usize = 4096;
/// What a neighbour may cost at once.
const BURST: u64 = 20_000;
/// What it earns back each second.
const REFILL: u64 = 2_000;

/// What a parcel from a neighbour costs before it is opened, and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cost {
    /// A parcel for a session or key that is known, some 20 µs. Flow control bounds these: they cost nothing here
    /// and are refused only to a neighbour that has overdrawn otherwise.
    Probe,
    /// A parcel that begins a session: 200 µs of public-key work, and a row on disk.
    Session,
    /// It could not be opened: nobody honest brings many.
    FailedOpen,
}

impl Cost {
    const fn units(self) -> u64 {
        match self {
            Self::Probe => 0,
            Self::Session | Self::FailedOpen => 1_000,
        }
    }
}

/// What each peer has done and may still cost.
#[derive(Debug, Default)]
pub(crate) struct State {
    peers: BTreeMap<PeerKey, Conduct>,
}

#[derive(Debug)]
struct Conduct {
    evidence: BTreeMap<Evidence, u64>,
    credit: u64,
    refilled: Instant,
}

impl State {
    /// Whether a neighbour has credit for this, and takes it.
    pub(crate) fn admit(&mut self, peer: PeerKey, cost: Cost, now: Instant) -> bool {
        let conduct = self.conduct(peer, now);
        let enough = conduct.credit >= cost.units().max(1);
        if enough {
            conduct.credit -= cost.units();
        }
        enough
    }

    /// Takes credit for what has already been done.
    pub(crate) fn charge(&mut self, peer: PeerKey, cost: Cost, now: Instant) {
        let conduct = self.conduct(peer, now);
        conduct.credit = conduct.credit.saturating_sub(cost.units());
    }

    /// Counts a fact about a peer.
    pub(crate) fn note(&mut self, peer: PeerKey, evidence: Evidence) {
        let at = self.peers.get(&peer).map_or(Instant(0), |conduct| conduct.refilled);
        *self.conduct(peer, at).evidence.entry(evidence).or_default() += 1;
    }

    /// Peers about which something is known.
    pub(crate) fn peers(&self) -> impl Iterator<Item = &PeerKey> {
        self.peers.iter().filter(|(_, conduct)| !conduct.evidence.is_empty()).map(|(peer, _)| peer)
    }

    /// What a peer did wrong, counted.
    pub(crate) fn evidence(&self, peer: &PeerKey) -> BTreeMap<Evidence, u64> {
        self.peers.get(peer).map(|conduct| conduct.evidence.clone()).unwrap_or_default()
    }

    fn conduct(&mut self, peer: PeerKey, now: Instant) -> &mut Conduct {
        if self.peers.len() >= MAX_PEERS && !self.peers.contains_key(&peer) {
            self.peers.pop_first();
        }
        let conduct = self.peers.entry(peer).or_insert_with(|| Conduct {
            evidence: BTreeMap::new(),
            credit: BURST,
            refilled: now,
        });
        // Whole milliseconds only; the rest is earned with the next call, however often that comes.
        let earned = u64::try_from(now.since(conduct.refilled).as_millis()).unwrap_or(u64::MAX);
        conduct.credit = conduct.credit.saturating_add(earned.saturating_mul(REFILL) / 1000).min(BURST);
        conduct.refilled = conduct.refilled + Duration::from_millis(earned);
        conduct
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_refused_when_the_credit_is_used_and_again_taken_later() {
        let (mut state, peer) = (State::default(), PeerKey::from_bytes([1; 32]));
        let taken = (0..100).filter(|_| state.admit(peer, Cost::Session, Instant(0))).count();
        assert_eq!(taken, 20);
        assert!(!state.admit(peer, Cost::Probe, Instant(0)));
        assert!(state.admit(peer, Cost::Session, Instant(0) + Duration::from_secs(1)));
    }

    #[test]
    fn the_table_of_peers_is_bounded() {
        let mut state = State::default();
        for number in 0..=MAX_PEERS as u64 {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&number.to_be_bytes());
            state.note(PeerKey::from_bytes(key), Evidence::Flood);
        }
        assert_eq!(state.peers.len(), MAX_PEERS);
    }
}
