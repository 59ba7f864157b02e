//! When this node's card is put into the DHT; docs/spec/dht.md §4.

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;
use libp2p::PeerId;
use tokio::time::Instant;

/// The card is put to the nodes nearest to its key for the first time so long after it was made, and up to as much
/// later: they are found by asking around and dialled, which a card that changes soon, or a node that is gone soon, is
/// not worth.
const FIRST_SPREAD: Duration = Duration::from_mins(30);
/// And then this often, and up to half as much later: four times before it is forgotten.
const SPREAD: Duration = Duration::from_hours(8);
/// The most neighbours of whom it is remembered that they have the card.
const MAX_TOLD: usize = 1024;

/// This node's card, and who has it.
#[derive(Debug, Default)]
pub(super) struct Publication {
    pub(super) card: Option<Bytes>,
    told: HashSet<PeerId>,
    spread: Option<Instant>,
}

impl Publication {
    /// Takes a new card. `random` is any number.
    pub(super) fn renew(&mut self, card: Bytes, now: Instant, random: u32) {
        self.card = Some(card);
        self.told.clear();
        self.spread = Some(now + FIRST_SPREAD + part(FIRST_SPREAD, random));
    }

    /// Whether a neighbour has yet to be told; it is from now on.
    pub(super) fn tell(&mut self, peer: PeerId) -> bool {
        if self.card.is_none() || self.told.contains(&peer) {
            return false;
        }
        if self.told.len() >= MAX_TOLD {
            self.told.clear();
        }
        self.told.insert(peer)
    }

    /// A neighbour is gone; it may have forgotten the card when it comes back.
    pub(super) fn on_gone(&mut self, peer: &PeerId) {
        self.told.remove(peer);
    }

    /// When the card is to be spread.
    pub(super) fn due(&self) -> Option<Instant> {
        self.spread
    }

    /// The card is being spread: neighbours are told it again too, and the next time is set.
    pub(super) fn on_spread(&mut self, now: Instant, random: u32) {
        self.told.clear();
        self.spread = Some(now + SPREAD + part(SPREAD / 2, random));
    }
}

/// A random part of a duration.
fn part(whole: Duration, random: u32) -> Duration {
    whole.mul_f64(f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_card_is_told_once_to_each_neighbour_and_spread_later() {
        let (mut publication, now) = (Publication::default(), Instant::now());
        let (a, b) = (PeerId::random(), PeerId::random());
        assert!(!publication.tell(a), "there is no card yet");
        publication.renew(Bytes::from_static(b"one"), now, 0);
        assert_eq!(publication.due(), Some(now + FIRST_SPREAD));
        assert_eq!([a, a, b].map(|peer| publication.tell(peer)), [true, false, true]);
        publication.on_gone(&a);
        assert_eq!([a, b].map(|peer| publication.tell(peer)), [true, false]);
        publication.renew(Bytes::from_static(b"two"), now, u32::MAX);
        assert_eq!(publication.due(), Some(now + FIRST_SPREAD * 2));
        assert_eq!([a, b].map(|peer| publication.tell(peer)), [true, true]);
        publication.on_spread(now, 0);
        assert_eq!(publication.due(), Some(now + SPREAD));
        assert_eq!([a, b].map(|peer| publication.tell(peer)), [true, true]);
    }

    #[test]
    fn those_who_were_told_are_a_bounded_number() {
        let mut publication = Publication { card: Some(Bytes::new()), ..Publication::default() };
        for _ in 0..MAX_TOLD * 2 {
            assert!(publication.tell(PeerId::random()));
            assert!(publication.told.len() <= MAX_TOLD);
        }
    }
}
