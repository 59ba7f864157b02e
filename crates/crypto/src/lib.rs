//! The cryptography of Tidings: identities, cards, the session ratchet, receipt keys and safety numbers.
//!
//! No I/O, no clock, no `unsafe`, no panic path: everything here is a function of its arguments and of random bytes.
//! The normative description is docs/spec/session.md.
//!
//! # What is composed, and why
//!
//! **An identity signs and never encrypts.** [`IdentityKey`] is an Ed25519 key; its public half, [`PeerKey`], is the
//! node's name. Every signature is made for a domain, so that one over a card never passes for another object.
//!
//! **A card carries the keys to write to somebody who is not there.** [`SignedCard`] is signed twice: by the identity
//! key, which binds the ratchet keys to the name, and by the ratchet's own Ed25519 key over the same bytes, so that
//! nobody can publish another's ratchet account under their own name. The ratchet library signs no prekeys itself; the
//! card is that signature.
//!
//! **Sessions go one way.** [`Sealer`] is the Double Ratchet, begun by 3DH from a card's identity and fallback keys
//! ([`OlmSealer`]: Olm, by `vodozemac`, always with the untruncated MAC). A session carries messages only from whoever
//! began it: two peers that begin at the same time have two sessions and need no rule for which one counts, and
//! answers do not turn a session that parcels on slow paths still depend on, because the ratchet keeps only
//! [`MAX_RECEIVING_CHAINS`] turns. One receipt in many goes through the ratchet, to turn it.
//!
//! **The other receipts are sealed beside the ratchet,** under a [`ReceiptKey`] that travels in the ratchet's
//! plaintexts: they may be lost, repeated and reordered without limit and cost the session nothing.
//!
//! # What is bound where
//!
//! | fact | bound by |
//! |---|---|
//! | name ↔ ratchet keys | the card's identity signature |
//! | card ↔ holder of the ratchet's Ed25519 key | the card's possession signature |
//! | ciphertext ↔ ratchet keys of both ends | 3DH and the ratchet's MAC |
//! | plaintext ↔ names of both ends | fields in the plaintext that the caller writes and checks: 3DH knows no names |
//! | receipt ↔ session and direction | the receipt key, a direction label, the caller's associated data |
//! | person ↔ name | a [`safety_number`] that two people compare |
//!
//! # Left to the caller
//!
//! * Recognising duplicates: a message that begins a session by a fallback key can be accepted again and again
//!   ([`Sealer::accept`]).
//! * Expiry and rollback: there is no clock here, and no memory of the highest card seen.
//! * Saving a session before what it sealed leaves, and in the transaction that stores what it opened.
//!
//! # Random bytes
//!
//! [`random`] reports when the operating system has none. The ratchet library has a generator per thread and cannot
//! report it: it panics where that is seeded without any. A node draws its start's seed with [`random`] first.

#![cfg_attr(
    not(test),
    deny(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unreachable, clippy::unwrap_used)
)]
#![forbid(unsafe_code)]

mod announcement;
mod card;
mod identity;
mod random;
mod receipt_key;
mod safety_number;
mod sealer;
mod wrapper;

pub use announcement::{
    Announcement, AnnouncementError, AnnouncementHash, CHAIN_LENGTH, Chain, ChainValue, MAX_ANNOUNCEMENT_BYTES,
    MAX_LABEL_BYTES, MAX_LABELS, MAX_LIFETIME_S, MAX_LISTED_NEIGHBOURS, MAX_TOPICS, Neighbours, Power,
    SignedAnnouncement,
};
pub use card::{
    Card, CardError, MAX_ADDRESS_BYTES, MAX_ADDRESSES, MAX_CAPABILITIES, MAX_CAPABILITY_BYTES, MAX_CARD_BYTES,
    MAX_NAME_BYTES, RatchetKeys, SignedCard,
};
pub use identity::{IdentityKey, PeerKey, PeerKeyError, RoutingId, SignatureError};
pub use random::{RandomError, random};
pub use receipt_key::{Direction, ReceiptKey, ReceiptKeyId};
pub use safety_number::{fingerprint, safety_number};
pub use sealer::{
    Beginning, LoadError, MAX_GAP, MAX_OVERHEAD_BYTES, MAX_PLAINTEXT_BYTES, MAX_RECEIVING_CHAINS, MAX_SEALED_BYTES,
    MAX_SKIPPED_KEYS, OlmSealer, OlmSession, OpenError, SealError, Sealer, SessionId,
};
pub use wrapper::{KeyWrapper, PlainWrapper, WrapError, WrapperKind};
