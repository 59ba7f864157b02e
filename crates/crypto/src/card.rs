//! Cards: a node's slow-changing facts, signed (docs/spec/session.md §2, docs/spec/card.proto).

#[expect(unreachable_pub, reason = "generated from docs/spec/card.proto")]
mod proto;

use prost::Message;

use crate::identity::{IdentityKey, PeerKey, SignatureError, in_domain, verify};
use crate::sealer::Sealer;

/// What card signatures are made for.
const DOMAIN: &str = "tidings card v1";

/// The only version of a card's contents.
const CARD_VERSION: u32 = 1;

/// The only version of the ratchet: Olm with the untruncated MAC.
const RATCHET_VERSION: u32 = 2;

/// The only kind of signature: Ed25519 by the identity key.
const ALG_ED25519: u32 = 1;

/// The most bytes of a signed card.
pub const MAX_CARD_BYTES: usize = 8_192;

/// The most bytes of a name.
pub const MAX_NAME_BYTES: usize = 64;

/// The most addresses in a card.
pub const MAX_ADDRESSES: usize = 16;

/// The most bytes of an address.
pub const MAX_ADDRESS_BYTES: usize = 256;

/// The most capabilities in a card.
pub const MAX_CAPABILITIES: usize = 16;

/// The most bytes of a capability.
pub const MAX_CAPABILITY_BYTES: usize = 32;

/// The most box handles in a card.
const MAX_BOXES: usize = 3;

/// The bytes of a box handle.
const BOX_BYTES: usize = 16;

/// The public keys from which a session is begun without the peer being there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RatchetKeys {
    /// The long-lived Curve25519 key.
    pub identity: [u8; 32],
    /// The Ed25519 key that proves possession.
    pub signing: [u8; 32],
    /// The Curve25519 key that stands in for a one-time key, changed weekly.
    pub fallback: [u8; 32],
    /// Which fallback key this is; counts up.
    pub fallback_id: u64,
}

/// What a card says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// Whose card it is.
    pub peer: PeerKey,
    /// Rises with every card of this identity.
    pub seq: u64,
    /// When it was made, by its owner's wall clock, in Unix milliseconds.
    pub issued_ms: u64,
    /// From when on it is not to be used, in Unix milliseconds.
    pub expires_ms: u64,
    /// A name to show, at most [`MAX_NAME_BYTES`], chosen by the owner and verified by nobody; may be empty.
    pub name: String,
    /// The keys to begin a session with.
    pub ratchet: RatchetKeys,
    /// Where the node may be dialled, as multiaddr texts: at most [`MAX_ADDRESSES`] of at most [`MAX_ADDRESS_BYTES`].
    pub addresses: Vec<String>,
    /// What the node offers: at most [`MAX_CAPABILITIES`] of at most [`MAX_CAPABILITY_BYTES`].
    pub capabilities: Vec<String>,
}

/// A card whose signatures hold.
///
/// It can only be made by [`sign`](Self::sign) and [`verify`](Self::verify). Whether it has expired is a question for
/// a clock: [`is_expired`](Self::is_expired).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCard {
    card: Card,
    bytes: Vec<u8>,
}

impl SignedCard {
    /// Signs a card with the identity key and with the ratchet's own.
    ///
    /// # Errors
    ///
    /// [`CardError`] where the card breaks a limit, or names another peer or other ratchet keys than the signers'.
    pub fn sign<S: Sealer>(card: &Card, identity: &IdentityKey, sealer: &S) -> Result<Self, CardError> {
        if card.peer != identity.peer() {
            return Err(CardError::OtherPeer { expected: identity.peer(), got: card.peer });
        }
        if card.ratchet != sealer.ratchet_keys() {
            return Err(CardError::OtherRatchet);
        }
        let encoded = encode(card);
        check(&encoded)?;
        let contents = encoded.encode_to_vec();
        let signature = identity.sign(DOMAIN, &contents);
        let possession = sealer.possession(&in_domain(DOMAIN, &contents));
        let bytes = proto::SignedCard {
            card: contents.into(),
            alg: ALG_ED25519,
            signature: signature.to_vec().into(),
            possession: possession.to_vec().into(),
        }
        .encode_to_vec();
        within("signed card", MAX_CARD_BYTES, bytes.len())?;
        Ok(Self { card: card.clone(), bytes })
    }

    /// Reads a signed card and checks everything but its expiry.
    ///
    /// The order: size, the outer message's only form, kind of signature, limits and versions, then the identity's
    /// signature and the ratchet's. Fields of the card that are not known here are kept in [`bytes`](Self::bytes).
    ///
    /// # Errors
    ///
    /// [`CardError`], the first that was found.
    pub fn verify(bytes: &[u8]) -> Result<Self, CardError> {
        within("signed card", MAX_CARD_BYTES, bytes.len())?;
        let signed = proto::SignedCard::decode(bytes).map_err(|_| CardError::Malformed)?;
        if signed.encode_to_vec() != bytes {
            return Err(CardError::NotCanonical);
        }
        if signed.alg != ALG_ED25519 {
            return Err(CardError::OtherAlgorithm { expected: ALG_ED25519, got: signed.alg });
        }
        let encoded = proto::Card::decode(signed.card.clone()).map_err(|_| CardError::Malformed)?;
        check(&encoded)?;
        let card = decode(encoded)?;
        let covered = in_domain(DOMAIN, &signed.card);
        verify(card.peer.as_bytes(), &covered, &signed.signature).map_err(CardError::Signature)?;
        verify(&card.ratchet.signing, &covered, &signed.possession).map_err(CardError::Possession)?;
        Ok(Self { card, bytes: bytes.to_vec() })
    }

    /// Reads whose card this claims to be and its seq, without checking a signature: enough to see that it is not
    /// worth one. `None` if it cannot be read.
    pub fn claim(bytes: &[u8]) -> Option<(PeerKey, u64)> {
        within("signed card", MAX_CARD_BYTES, bytes.len()).ok()?;
        let signed = proto::SignedCard::decode(bytes).ok()?;
        let card = proto::Card::decode(signed.card).ok()?;
        check(&card).ok()?;
        let card = decode(card).ok()?;
        Some((card.peer, card.seq))
    }

    /// Returns what the card says.
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// Returns the bytes that travel, exactly as they were received.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Tells whether the card has expired at this wall-clock time, in Unix milliseconds.
    pub fn is_expired(&self, wall_ms: u64) -> bool {
        wall_ms >= self.card.expires_ms
    }
}

/// Why a card was not signed or not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CardError {
    /// Something is longer than its limit, or there are too many of it.
    #[error("expected a {what} of at most {max}, got {got}")]
    TooLong {
        /// What it is.
        what: &'static str,
        /// The limit, in bytes or in items.
        max: usize,
        /// What was found.
        got: usize,
    },
    /// A field has another length than it must have.
    #[error("expected a {what} of {expected} bytes, got {got}")]
    WrongLength {
        /// What it is.
        what: &'static str,
        /// The length it must have, in bytes.
        expected: usize,
        /// The length it has.
        got: usize,
    },
    /// The bytes are no card.
    #[error("expected a card, got bytes that cannot be read as one")]
    Malformed,
    /// The outer message is not in its only form.
    #[error("expected a signed card in canonical encoding, got another form of it")]
    NotCanonical,
    /// The kind of signature is not known.
    #[error("expected signature kind {expected}, got {got}")]
    OtherAlgorithm {
        /// The kind known here.
        expected: u32,
        /// The kind named.
        got: u32,
    },
    /// A version is not known.
    #[error("expected {what} version {expected}, got {got}")]
    OtherVersion {
        /// What has the version.
        what: &'static str,
        /// The version known here.
        expected: u32,
        /// The version named.
        got: u32,
    },
    /// It expires before it begins.
    #[error("expected a card that expires after {issued_ms} ms, got one that expires at {expires_ms} ms")]
    Lifetime {
        /// When it was made, in Unix milliseconds.
        issued_ms: u64,
        /// When it expires, in Unix milliseconds.
        expires_ms: u64,
    },
    /// It names no ratchet keys.
    #[error("expected a card with ratchet keys, got one without")]
    NoRatchet,
    /// It names another peer than the one that signs it.
    #[error("expected a card of {expected}, got one of {got}")]
    OtherPeer {
        /// Who signs.
        expected: PeerKey,
        /// Who is named.
        got: PeerKey,
    },
    /// It names other ratchet keys than those that sign it.
    #[error("expected a card with the ratchet keys that sign it, got others")]
    OtherRatchet,
    /// The identity's signature does not hold.
    #[error("expected a card signed by its peer: {0}")]
    Signature(#[source] SignatureError),
    /// The ratchet's signature does not hold.
    #[error("expected a card signed by its ratchet keys: {0}")]
    Possession(#[source] SignatureError),
}

/// Refuses what is longer than its limit.
fn within(what: &'static str, max: usize, got: usize) -> Result<(), CardError> {
    if got > max { Err(CardError::TooLong { what, max, got }) } else { Ok(()) }
}

/// Checks the limits and versions of docs/spec/card.proto.
fn check(card: &proto::Card) -> Result<(), CardError> {
    version("card", CARD_VERSION, card.version)?;
    let ratchet = card.ratchet.as_ref().ok_or(CardError::NoRatchet)?;
    version("ratchet", RATCHET_VERSION, ratchet.version)?;
    within("name", MAX_NAME_BYTES, card.name.len())?;
    within("list of addresses", MAX_ADDRESSES, card.addresses.len())?;
    for address in &card.addresses {
        within("address", MAX_ADDRESS_BYTES, address.multiaddr.len())?;
    }
    within("list of capabilities", MAX_CAPABILITIES, card.capabilities.len())?;
    for capability in &card.capabilities {
        within("capability", MAX_CAPABILITY_BYTES, capability.len())?;
    }
    within("list of boxes", MAX_BOXES, card.boxes.len())?;
    for handle in &card.boxes {
        let _: [u8; BOX_BYTES] = exactly("box handle", handle)?;
    }
    if card.expires_ms <= card.issued_ms {
        return Err(CardError::Lifetime { issued_ms: card.issued_ms, expires_ms: card.expires_ms });
    }
    Ok(())
}

/// Refuses a version that is not known.
fn version(what: &'static str, expected: u32, got: u32) -> Result<(), CardError> {
    if got == expected { Ok(()) } else { Err(CardError::OtherVersion { what, expected, got }) }
}

/// Reads a field of fixed length.
fn exactly<const N: usize>(what: &'static str, bytes: &[u8]) -> Result<[u8; N], CardError> {
    bytes.try_into().map_err(|_| CardError::WrongLength { what, expected: N, got: bytes.len() })
}

fn encode(card: &Card) -> proto::Card {
    proto::Card {
        version: CARD_VERSION,
        peer: card.peer.as_bytes().to_vec().into(),
        seq: card.seq,
        issued_ms: card.issued_ms,
        expires_ms: card.expires_ms,
        name: card.name.clone(),
        ratchet: Some(proto::Ratchet {
            version: RATCHET_VERSION,
            identity: card.ratchet.identity.to_vec().into(),
            signing: card.ratchet.signing.to_vec().into(),
            fallback: card.ratchet.fallback.to_vec().into(),
            fallback_id: card.ratchet.fallback_id,
        }),
        addresses: card.addresses.iter().map(|address| proto::Address { multiaddr: address.clone() }).collect(),
        capabilities: card.capabilities.clone(),
        ..proto::Card::default()
    }
}

fn decode(card: proto::Card) -> Result<Card, CardError> {
    let ratchet = card.ratchet.ok_or(CardError::NoRatchet)?;
    Ok(Card {
        peer: PeerKey::from_bytes(exactly("peer key", &card.peer)?),
        seq: card.seq,
        issued_ms: card.issued_ms,
        expires_ms: card.expires_ms,
        name: card.name,
        ratchet: RatchetKeys {
            identity: exactly("ratchet identity key", &ratchet.identity)?,
            signing: exactly("ratchet signing key", &ratchet.signing)?,
            fallback: exactly("fallback key", &ratchet.fallback)?,
            fallback_id: ratchet.fallback_id,
        },
        addresses: card.addresses.into_iter().map(|address| address.multiaddr).collect(),
        capabilities: card.capabilities,
    })
}

#[cfg(test)]
mod tests;
