//! What the DHT holds: the signed card of a peer under a key that only its own key gives; docs/spec/dht.md §2.

use std::time::{Duration, Instant};

use libp2p::PeerId;
use libp2p::kad::store::{MemoryStore, MemoryStoreConfig, RecordStore};
use libp2p::kad::{Record, RecordKey};
use tidings_crypto::{MAX_CARD_BYTES, PeerKey, SignedCard};

/// What keys of the DHT are derived for.
const CONTEXT: &str = "tidings dht card v1";
/// The most cards held for others and for this node, at most 8 KiB each.
pub(super) const MAX_RECORDS: usize = 256;
/// How long a card is held unless it is put again.
pub(super) const RECORD_TIME: Duration = Duration::from_hours(48);

/// Under which key a peer's card stands.
pub(super) fn key_of(peer: &PeerKey) -> RecordKey {
    RecordKey::new(&blake3::derive_key(CONTEXT, peer.as_bytes()))
}

/// Why a card is not held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotHeld {
    #[error("expected a card of at most {MAX_CARD_BYTES} bytes")]
    TooLarge,
    #[error("expected a signed card")]
    NoCard,
    #[error("expected the card of the peer whose key gives the record's key")]
    OtherKey,
    #[error("expected a card that is not older than the one that is held")]
    Older,
    #[error("expected a card whose signatures hold")]
    Forged,
}

/// Checks what somebody wants held, the cheap checks first: a signature is the last.
pub(super) fn check(store: &mut MemoryStore, record: &Record) -> Result<(), NotHeld> {
    if record.value.len() > MAX_CARD_BYTES {
        return Err(NotHeld::TooLarge);
    }
    let (peer, seq) = SignedCard::claim(&record.value).ok_or(NotHeld::NoCard)?;
    if key_of(&peer) != record.key {
        return Err(NotHeld::OtherKey);
    }
    if let Some(held) = store.get(&record.key) {
        if held.value == record.value {
            return Ok(());
        }
        if SignedCard::claim(&held.value).is_some_and(|(_, held)| held >= seq) {
            return Err(NotHeld::Older);
        }
    }
    SignedCard::verify(&record.value).map(drop).map_err(|_| NotHeld::Forged)
}

pub(super) fn store(own: PeerId) -> MemoryStore {
    let config = MemoryStoreConfig {
        max_records: MAX_RECORDS,
        // Exclusive.
        max_value_bytes: MAX_CARD_BYTES + 1,
        max_providers_per_key: 0,
        max_provided_keys: 0,
    };
    MemoryStore::with_config(own, config)
}

/// Holds a card that was checked. Where there is no room, those that are out of date go, then the one whose key is
/// farthest from this node, so that whoever is nearest to a key holds it; `own` stays.
pub(super) fn hold(store: &mut MemoryStore, own_id: PeerId, own: &RecordKey, record: Record, now: Instant) {
    if store.get(&record.key).is_none() && store.records().count() >= MAX_RECORDS {
        store.retain(|_, held| !held.is_expired(now));
    }
    if store.get(&record.key).is_none() && store.records().count() >= MAX_RECORDS {
        let here = libp2p::kad::KBucketKey::from(own_id);
        let distance = |key: &RecordKey| here.distance(&libp2p::kad::KBucketKey::new(key.clone()));
        let others = store.records().filter(|held| held.key != *own).map(|held| held.key.clone());
        let farthest = others.max_by_key(distance);
        match farthest.filter(|farthest| distance(farthest) > distance(&record.key)) {
            Some(farthest) => store.remove(&farthest),
            None => return,
        }
    }
    if let Err(error) = store.put(record) {
        tracing::debug!(%error, "a card is not held");
    }
}
