//! x

#![cfg_attr(
    not(test),
    deny(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

mod card;
mod identity;
mod random;
mod receipt_key;
mod safety_number;
mod sealer;
mod wrapper;

pub use card::{
    Card, CardError, MAX_ADDRESS_BYTES, MAX_ADDRESSES, MAX_CAPABILITIES, MAX_CAPABILITY_BYTES,
    MAX_CARD_BYTES, MAX_NAME_BYTES, RatchetKeys, SignedCard,
};
pub use identity::{IdentityKey, PeerKey, PeerKeyError, RoutingId, SignatureError};
pub use random::{RandomError, random};
pub use receipt_key::{Direction, ReceiptKey, ReceiptKeyId};
pub use safety_number::{fingerprint, safety_number};
pub use sealer::{
    Beginning, LoadError, MAX_GAP, MAX_OVERHEAD_BYTES, MAX_PLAINTEXT_BYTES, MAX_RECEIVING_CHAINS,
    MAX_SEALED_BYTES, MAX_SKIPPED_KEYS, OlmSealer, OlmSession, OpenError, SealError, Sealer,
    SessionId,
};
pub use wrapper::{KeyWrapper, PlainWrapper, WrapError, WrapperKind};
