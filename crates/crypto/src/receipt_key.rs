//! Receipt keys: what receipts and other control items are sealed under, beside the ratchet (docs/spec/session.md §3).

use std::fmt;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use crate::identity::hex;
use crate::random::{RandomError, random};
use crate::sealer::{MAX_PLAINTEXT_BYTES, OpenError, SealError};

/// What the associated data begins with.
const DOMAIN: &str = "tidings receipt key v1";

/// The bytes of a nonce.
const NONCE_BYTES: usize = 24;

/// The bytes of the authentication tag.
const TAG_BYTES: usize = 16;

/// The name of a receipt key, random, in the clear.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReceiptKeyId(pub [u8; 8]);

impl fmt::Debug for ReceiptKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0, f)
    }
}

/// Who sealed: keeps what one end said from being given back to it as the other's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Sealed by whoever began the session and made the key.
    FromInitiator,
    /// Sealed by the other end.
    FromResponder,
}

impl Direction {
    const fn label(self) -> u8 {
        match self {
            Self::FromInitiator => 1,
            Self::FromResponder => 2,
        }
    }
}

/// A random key that both ends of a session know from its ratchet plaintexts; zeroized when dropped.
///
/// What is sealed under it does not turn the ratchet and has no order and no memory: it opens as often as it comes. So
/// only statements that may be repeated are sealed under it.
#[derive(Clone)]
pub struct ReceiptKey {
    id: ReceiptKeyId,
    key: Zeroizing<[u8; 32]>,
}

impl ReceiptKey {
    /// Makes a new key with a new name.
    ///
    /// # Errors
    ///
    /// [`RandomError`] where the operating system gives no random bytes.
    pub fn generate() -> Result<Self, RandomError> {
        Ok(Self { id: ReceiptKeyId(random()?), key: Zeroizing::new(random()?) })
    }

    /// Restores a key from its parts.
    pub fn from_parts(id: ReceiptKeyId, key: [u8; 32]) -> Self {
        Self { id, key: Zeroizing::new(key) }
    }

    /// Returns the key's name.
    pub fn id(&self) -> ReceiptKeyId {
        self.id
    }

    /// Borrows the secret key.
    pub fn key_bytes(&self) -> &[u8; 32] {
        &self.key
    }

    /// Seals a plaintext of at most [`MAX_PLAINTEXT_BYTES`] with XChaCha20-Poly1305.
    ///
    /// Returns *nonce (24 random bytes) ‖ ciphertext ‖ tag (16 bytes)*. Authenticated with it are the direction, the
    /// key's name and `aad`, which do not travel in it.
    ///
    /// # Errors
    ///
    /// [`SealError::TooLong`]; [`SealError::Random`] where the operating system gives no nonce.
    pub fn seal(&self, direction: Direction, aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, SealError> {
        let too_long = || SealError::TooLong { max: MAX_PLAINTEXT_BYTES, got: plaintext.len() };
        if plaintext.len() > MAX_PLAINTEXT_BYTES {
            return Err(too_long());
        }
        let nonce = random::<NONCE_BYTES>()?;
        let aad = self.associated(direction, aad);
        let sealed = self
            .cipher()
            .encrypt(&XNonce::from(nonce), Payload { msg: plaintext, aad: &aad })
            .map_err(|_| too_long())?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// Opens what was sealed in this direction, under this key, with the same `aad`.
    ///
    /// # Errors
    ///
    /// [`OpenError::TooLong`], [`OpenError::Malformed`] where it is shorter than nonce and tag, and
    /// [`OpenError::NotAuthentic`].
    pub fn open(&self, direction: Direction, aad: &[u8], bytes: &[u8]) -> Result<Vec<u8>, OpenError> {
        const MAX: usize = MAX_PLAINTEXT_BYTES + NONCE_BYTES + TAG_BYTES;
        if bytes.len() > MAX {
            return Err(OpenError::TooLong { max: MAX, got: bytes.len() });
        }
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_BYTES>().ok_or(OpenError::Malformed)?;
        if sealed.len() < TAG_BYTES {
            return Err(OpenError::Malformed);
        }
        let aad = self.associated(direction, aad);
        self.cipher()
            .decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: &aad })
            .map_err(|_| OpenError::NotAuthentic)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.key).into())
    }

    /// Builds *domain ‖ 0x00 ‖ direction ‖ id ‖ aad*; all but the last have fixed lengths.
    fn associated(&self, direction: Direction, aad: &[u8]) -> Vec<u8> {
        [DOMAIN.as_bytes(), &[0, direction.label()], &self.id.0, aad].concat()
    }
}

impl fmt::Debug for ReceiptKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceiptKey").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
