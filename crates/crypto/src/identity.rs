//! Who a node is: an Ed25519 key that signs and never encrypts (docs/spec/session.md §1).

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

use crate::random::{RandomError, random};

/// What stands before the key in the bytes of a libp2p peer id.
///
/// Multihash code *identity* (0x00) and length 36, then the protobuf `PublicKey` message: field 1, type Ed25519
/// (0x08 0x01), field 2 of 32 bytes (0x12 0x20); libp2p specification, peer-ids.
const PEER_ID_PREFIX: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];

/// The length of a libp2p peer id of an Ed25519 key.
const PEER_ID_BYTES: usize = PEER_ID_PREFIX.len() + 32;

/// The longest text that is read as a peer id; an Ed25519 one has 52 characters.
const MAX_PEER_ID_TEXT_BYTES: usize = 64;

/// A node's public name: its Ed25519 public key.
///
/// Its text is the libp2p `PeerId` (`12D3KooW…`). That 32 bytes are a point on the curve is checked by
/// [`verify`](Self::verify), not before.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerKey([u8; 32]);

impl PeerKey {
    /// Names the peer with this Ed25519 public key.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the public key.
    pub const fn to_bytes(self) -> [u8; 32] {
        self.0
    }

    /// Borrows the public key.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Returns what a parcel's header names the peer by: the first 16 bytes of BLAKE3 of the key.
    pub fn routing_id(&self) -> RoutingId {
        let mut id = [0; 16];
        blake3::Hasher::new().update(&self.0).finalize_xof().fill(&mut id);
        RoutingId(id)
    }

    /// Returns the bytes of the libp2p peer id, a multihash.
    pub(crate) fn peer_id_bytes(&self) -> [u8; PEER_ID_BYTES] {
        let mut bytes = [0; PEER_ID_BYTES];
        let (prefix, key) = bytes.split_at_mut(PEER_ID_PREFIX.len());
        prefix.copy_from_slice(&PEER_ID_PREFIX);
        key.copy_from_slice(&self.0);
        bytes
    }

    /// Checks that this peer signed `message` for `domain`.
    ///
    /// What is signed is *domain ‖ 0x00 ‖ message*. The check is the strict one: small-order keys and signatures that
    /// are not in canonical form are refused (RFC 8032 §5.1.7 without the cofactor), so that a signature is unique.
    ///
    /// # Errors
    ///
    /// [`SignatureError`] where the key is not on the curve, the signature has not 64 bytes, or it is not this peer's
    /// over these bytes.
    pub fn verify(&self, domain: &'static str, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        verify(&self.0, &in_domain(domain, message), signature)
    }
}

impl fmt::Display for PeerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&bs58::encode(self.peer_id_bytes()).into_string())
    }
}

impl fmt::Debug for PeerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PeerKey {
    type Err = PeerKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > MAX_PEER_ID_TEXT_BYTES {
            return Err(PeerKeyError::TooLong { got: text.len() });
        }
        let bytes = bs58::decode(text).into_vec().map_err(|_| PeerKeyError::NotBase58)?;
        let key = bytes.strip_prefix(&PEER_ID_PREFIX).ok_or(PeerKeyError::NotEd25519)?;
        let key = key.try_into().map_err(|_| PeerKeyError::WrongLength { got: key.len() })?;
        Ok(Self(key))
    }
}

/// A text that names no peer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerKeyError {
    /// It is longer than any peer id.
    #[error("expected a peer id of at most {MAX_PEER_ID_TEXT_BYTES} characters, got {got}")]
    TooLong {
        /// Its length in bytes.
        got: usize,
    },
    /// It has characters that base58 does not.
    #[error("expected a peer id in base58 (12D3KooW…), got other characters")]
    NotBase58,
    /// It is a peer id of another kind of key.
    #[error("expected the peer id of an ed25519 key (12D3KooW…), got another kind")]
    NotEd25519,
    /// It holds a key of the wrong length.
    #[error("expected a peer id with a key of 32 bytes, got {got}")]
    WrongLength {
        /// The key's length in bytes.
        got: usize,
    },
}

/// What a parcel is addressed to: the first 16 bytes of BLAKE3 of the recipient's key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoutingId(pub [u8; 16]);

impl fmt::Debug for RoutingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0, f)
    }
}

/// A node's secret signing key, zeroized when dropped.
pub struct IdentityKey {
    signing: SigningKey,
}

impl IdentityKey {
    /// Makes a new identity.
    ///
    /// # Errors
    ///
    /// [`RandomError`] where the operating system gives no random bytes.
    pub fn generate() -> Result<Self, RandomError> {
        let seed = Zeroizing::new(random()?);
        Ok(Self::from_seed(&seed))
    }

    /// Restores the identity with this seed, the private key of RFC 8032 §5.1.5.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self { signing: SigningKey::from_bytes(seed) }
    }

    /// Returns the seed, to be wrapped and stored.
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.signing.to_bytes())
    }

    /// Returns the public key.
    pub fn peer(&self) -> PeerKey {
        PeerKey(self.signing.verifying_key().to_bytes())
    }

    /// Signs *domain ‖ 0x00 ‖ message*.
    ///
    /// A domain is a constant text without a zero byte, one for each kind of signed object, so that a signature over
    /// one kind never passes for another.
    pub fn sign(&self, domain: &'static str, message: &[u8]) -> [u8; 64] {
        self.signing.sign(&in_domain(domain, message)).to_bytes()
    }
}

impl fmt::Debug for IdentityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdentityKey").field("peer", &self.peer()).finish_non_exhaustive()
    }
}

/// A signature that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// The key is 32 bytes that are no point on the curve.
    #[error("expected an ed25519 public key, got 32 bytes that are not on the curve")]
    NotAKey,
    /// The signature has another length.
    #[error("expected a signature of 64 bytes, got {got}")]
    WrongLength {
        /// Its length in bytes.
        got: usize,
    },
    /// The signature is not this key's over these bytes.
    #[error("expected a signature by this key over these bytes, got one that does not verify")]
    Mismatch,
}

/// Puts a domain before a message: *domain ‖ 0x00 ‖ message*.
pub(crate) fn in_domain(domain: &'static str, message: &[u8]) -> Vec<u8> {
    [domain.as_bytes(), &[0], message].concat()
}

/// Checks a signature by `key` over exactly `signed`.
pub(crate) fn verify(key: &[u8; 32], signed: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
    let key = VerifyingKey::from_bytes(key).map_err(|_| SignatureError::NotAKey)?;
    let signature = signature.try_into().map_err(|_| SignatureError::WrongLength { got: signature.len() })?;
    key.verify_strict(signed, &Signature::from_bytes(signature)).map_err(|_| SignatureError::Mismatch)
}

/// Writes bytes in lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

#[cfg(test)]
mod tests;
