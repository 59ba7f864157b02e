//! The session ratchet as the protocol sees it: one trait, so that the library behind it can be replaced.
//!
//! [`OlmSealer`] is the real one. A simulator may bring another; whatever it does instead of cryptography, it keeps
//! the limits stated here (docs/spec/session.md §5), because the delivery protocol is built around them.

mod olm;
mod pickle;

use crate::announcement::SignedAnnouncement;
use crate::card::SignedCard;
use std::fmt;

use zeroize::Zeroizing;

pub use self::olm::{OlmSealer, OlmSession};
use crate::card::RatchetKeys;
use crate::identity::hex;
use crate::random::RandomError;

/// The longest plaintext that is sealed: 64 KiB, what a parcel may have in all.
pub const MAX_PLAINTEXT_BYTES: usize = 64 * 1024;

/// The longest ciphertext that is looked at: the longest plaintext and what sealing adds to it at most.
pub const MAX_SEALED_BYTES: usize = MAX_PLAINTEXT_BYTES + MAX_OVERHEAD_BYTES;

/// What sealing adds at most; measured: 197 bytes until the session's first answer has come, 91 after it.
pub const MAX_OVERHEAD_BYTES: usize = 256;

/// How many keys of skipped messages a session keeps in each receiving chain; the oldest are dropped.
pub const MAX_SKIPPED_KEYS: usize = 40;

/// How many receiving chains a session keeps: so many turns back a message can still be opened.
pub const MAX_RECEIVING_CHAINS: usize = 5;

/// How many messages of a chain may be missing in a row before the next one cannot be opened.
pub const MAX_GAP: u64 = 2_000;

/// A session's name, the same at both ends: SHA-256 of the three public keys it was begun with.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId([u8; 32]);

impl SessionId {
    /// Names the session with these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes that travel.
    pub const fn to_bytes(self) -> [u8; 32] {
        self.0
    }

    /// Borrows the bytes that travel.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0, f)
    }
}

/// What a message that begins a session says before it is opened; nothing of it is authenticated yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beginning {
    /// The session that it begins, or has begun already.
    pub session: SessionId,
    /// The Curve25519 identity key of whoever began it.
    pub ratchet_identity: [u8; 32],
}

/// Seals and opens with a ratchet: long-lived keys in `self`, one state per session.
///
/// A session carries messages one way, from whoever began it. What comes back in it is the ratcheted receipt that
/// turns it.
pub trait Sealer {
    /// One end of a session. Holds secrets: its `Debug`, where it has one, shows none.
    type Session;

    /// Returns the public keys that a card carries.
    fn ratchet_keys(&self) -> RatchetKeys;

    /// Signs `message` as it is with the Ed25519 key whose public half is [`RatchetKeys::signing`].
    ///
    /// Cards use it to prove that their owner holds these keys (docs/spec/session.md §2).
    fn possession(&self, message: &[u8]) -> [u8; 64];

    /// Begins a session towards the holder of these keys, from its fallback key and without its being there.
    ///
    /// # Errors
    ///
    /// [`SealError::WeakKey`] where one of the keys is of small order.
    fn begin(&self, to: &RatchetKeys) -> Result<Self::Session, SealError>;

    /// Seals a plaintext of at most [`MAX_PLAINTEXT_BYTES`] and moves the session on by one message.
    ///
    /// The first byte says what follows: 0 a message that begins the session and is repeated in this form until
    /// something has been opened in it, 1 any other. The session has to be saved before the ciphertext leaves.
    ///
    /// # Errors
    ///
    /// [`SealError::TooLong`]; [`SealError::WeakKey`] where the other end's last ratchet key is of small order.
    fn seal(&self, session: &mut Self::Session, plaintext: &[u8]) -> Result<Vec<u8>, SealError>;

    /// Returns which session a ciphertext begins; `None` where it begins none or cannot be read.
    ///
    /// Costs a parse and a hash (0.2 µs measured), no public-key step and no copy; what it says is what the sender
    /// claims, and not that the message can be opened.
    fn first_of(&self, ciphertext: &[u8]) -> Option<Beginning>;

    /// Opens a message that begins a session and returns the new session and the plaintext.
    ///
    /// The fallback key serves many sessions, so the same ciphertext is accepted again as a session of the same id:
    /// the caller opens in the session that [`first_of`](Self::first_of) names where it has one, and keeps the ids of
    /// those it has dropped for as long as their fallback key lives.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; nothing has changed then.
    fn accept(&mut self, ciphertext: &[u8]) -> Result<(Self::Session, Vec<u8>), OpenError>;

    /// Opens a message in its session.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; the session goes on as if the ciphertext had not come, and need not be saved.
    fn open(&self, session: &mut Self::Session, ciphertext: &[u8]) -> Result<Vec<u8>, OpenError>;

    /// Returns the session's id, the same at both ends.
    fn session_id(&self, session: &Self::Session) -> SessionId;

    /// Returns the session's secrets to be stored, with a version byte in front.
    fn save_session(&self, session: &Self::Session) -> Zeroizing<Vec<u8>>;

    /// Restores what [`save_session`](Self::save_session) returned.
    ///
    /// # Errors
    ///
    /// [`LoadError`] where the bytes are not that.
    fn load_session(&self, bytes: &[u8]) -> Result<Self::Session, LoadError>;

    /// Returns the long-lived secrets, identity and fallback keys, to be stored, with a version byte in front.
    fn save(&self) -> Zeroizing<Vec<u8>>;

    /// Reads an announcement and checks its signature. Who runs many nodes in one process may remember what it has
    /// checked.
    fn verify_announcement(&self, bytes: &[u8]) -> Option<SignedAnnouncement> {
        SignedAnnouncement::verify(bytes).ok()
    }

    /// Reads a card and checks its signatures; what was said of announcements holds here too.
    fn verify_card(&self, bytes: &[u8]) -> Option<SignedCard> {
        SignedCard::verify(bytes).ok()
    }
}

/// Why something could not be sealed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The plaintext is longer than the limit.
    #[error("expected a plaintext of at most {max} bytes, got {got}")]
    TooLong {
        /// The limit in bytes.
        max: usize,
        /// The plaintext's length in bytes.
        got: usize,
    },
    /// A key of the other end is of small order: whoever sees the exchange would know the secret.
    #[error("expected curve25519 keys that contribute to the secret, got one of small order")]
    WeakKey,
    /// The operating system gave no random bytes.
    #[error(transparent)]
    Random(#[from] RandomError),
}

/// Why a ciphertext could not be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The ciphertext is longer than the limit.
    #[error("expected a ciphertext of at most {max} bytes, got {got}")]
    TooLong {
        /// The limit in bytes.
        max: usize,
        /// The ciphertext's length in bytes.
        got: usize,
    },
    /// The bytes are not a ciphertext.
    #[error("expected a sealed message, got bytes that cannot be read as one")]
    Malformed,
    /// The message does not begin a session.
    #[error("expected a message that begins a session, got one from within a session")]
    NotABeginning,
    /// The message begins a session with a fallback key that is not, or no longer, ours.
    #[error("expected a session begun with a fallback key of ours, got an unknown key")]
    UnknownFallback,
    /// The message was sealed by another version of the ratchet.
    #[error("expected ratchet version {expected}, got another")]
    OtherVersion {
        /// The version spoken here.
        expected: u8,
    },
    /// The message begins another session than the one it was opened in.
    #[error("expected a message of session {expected:?}, got one of {got:?}")]
    OtherSession {
        /// The session it was opened in.
        expected: SessionId,
        /// The session that it names.
        got: SessionId,
    },
    /// A key of the sender is of small order.
    #[error("expected curve25519 keys that contribute to the secret, got one of small order")]
    WeakKey,
    /// The message's key is gone: it was opened before, or too many others came first.
    #[error("expected a message whose key is still held, got number {index} of its chain: opened before or too late")]
    KeyGone {
        /// The message's place in its chain.
        index: u64,
    },
    /// More messages are missing before this one than the ratchet bridges.
    #[error("expected at most {max} missing messages in a row, got {got}")]
    Gap {
        /// The limit.
        max: u64,
        /// How many are missing.
        got: u64,
    },
    /// The message is not authentic: altered on the way, for another key, or from another session.
    #[error("expected an authentic message, got one that does not verify")]
    NotAuthentic,
}

/// Why saved keys could not be restored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// There is nothing.
    #[error("expected saved keys, got nothing")]
    Empty,
    /// They were saved in another format.
    #[error("expected saved keys of format {expected}, got format {got}")]
    OtherFormat {
        /// The format read here.
        expected: u8,
        /// The first byte of what was given.
        got: u8,
    },
    /// They are damaged.
    #[error("expected saved keys, got bytes that cannot be read as such")]
    Malformed,
    /// The session speaks another version of the ratchet.
    #[error("expected a session of ratchet version {expected}, got version {got}")]
    OtherVersion {
        /// The version spoken here.
        expected: u8,
        /// The session's version.
        got: u8,
    },
    /// The account has no fallback key.
    #[error("expected a ratchet account with a fallback key, got one without")]
    NoFallback,
}
