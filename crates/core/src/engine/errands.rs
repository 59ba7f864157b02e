//! Questions for cards that this node passes on, and cards that it holds for whoever asks next.
//! docs/spec/relay.md §4.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use tidings_crypto::PeerKey;

use crate::time::Instant;

/// How long an answer finds its way back.
const REMEMBERED: Duration = Duration::from_secs(30);
/// The most questions whose way back is remembered.
const MAX_PASSED: usize = 4096;
/// The most of them that one neighbour has asked.
const MAX_PASSED_OF_ONE: usize = 256;
/// The most cards of others held, at most 8 KiB each; the oldest makes room.
const MAX_HELD: usize = 256;

/// A question on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Errand {
    /// Who asked this node.
    pub(super) from: PeerKey,
    /// Whose card is asked for.
    pub(super) wanted: PeerKey,
}

/// Questions by their nonce, and cards that have come by.
#[derive(Debug, Default)]
pub(super) struct Errands {
    passed: BTreeMap<u64, Errand>,
    order: VecDeque<(Instant, u64)>,
    held: BTreeMap<PeerKey, Bytes>,
    held_order: VecDeque<PeerKey>,
}

impl Errands {
    /// Remembers a question. `false` if it has come by already, or there is no room for it.
    pub(super) fn pass(&mut self, now: Instant, nonce: u64, errand: Errand) -> bool {
        while let Some((at, oldest)) = self.order.front().copied()
            && at + REMEMBERED <= now
        {
            self.order.pop_front();
            self.passed.remove(&oldest);
        }
        let of_one = self.passed.values().filter(|passed| passed.from == errand.from).count();
        if self.passed.contains_key(&nonce) || self.passed.len() >= MAX_PASSED || of_one >= MAX_PASSED_OF_ONE {
            return false;
        }
        self.passed.insert(nonce, errand);
        self.order.push_back((now, nonce));
        true
    }

    /// The question that an answer belongs to; it is answered once.
    pub(super) fn answered(&mut self, nonce: u64) -> Option<Errand> {
        self.order.retain(|(_, other)| *other != nonce);
        self.passed.remove(&nonce)
    }

    /// Keeps a verified card for whoever asks next.
    pub(super) fn hold(&mut self, peer: PeerKey, card: Bytes) {
        if self.held.insert(peer, card).is_none() {
            self.held_order.push_back(peer);
        }
        if self.held_order.len() > MAX_HELD
            && let Some(oldest) = self.held_order.pop_front()
        {
            self.held.remove(&oldest);
        }
    }

    pub(super) fn held(&self, peer: &PeerKey) -> Option<&Bytes> {
        self.held.get(peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u16) -> PeerKey {
        let mut bytes = [0; 32];
        bytes[..2].copy_from_slice(&n.to_be_bytes());
        PeerKey::from_bytes(bytes)
    }

    #[test]
    fn questions_are_bounded_for_each_neighbour_and_in_all_and_forgotten() {
        let mut errands = Errands::default();
        let errand = |from| Errand { from: key(from), wanted: key(999) };
        let taken = (0..1000).filter(|nonce| errands.pass(Instant(0), *nonce, errand(1))).count();
        assert_eq!(taken, MAX_PASSED_OF_ONE);
        assert!(!errands.pass(Instant(0), 0, errand(2)), "it has come by");
        let taken = (1000..10_000).filter(|n| errands.pass(Instant(0), *n, errand((*n % 100) as u16 + 2))).count();
        assert_eq!(taken + MAX_PASSED_OF_ONE, MAX_PASSED);
        assert!(errands.pass(Instant(0) + REMEMBERED, 0, errand(1)));
        assert_eq!(errands.answered(0), Some(errand(1)));
        assert_eq!(errands.answered(0), None);
    }

    #[test]
    fn cards_held_are_bounded() {
        let mut errands = Errands::default();
        for n in 0..=MAX_HELD as u16 {
            errands.hold(key(n), Bytes::from_static(b"card"));
        }
        assert!(errands.held(&key(0)).is_none());
        assert!(errands.held(&key(1)).is_some());
        assert_eq!(errands.held.len(), MAX_HELD);
    }
}
