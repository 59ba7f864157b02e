//! A sealer that costs little and keeps the real ratchet's limits exactly (docs/spec/session.md §5.2).
//!
//! It hides nothing from whoever knows its recipe: it only keeps payloads from being seen in the clear, and refuses
//! what the real one refuses: what was opened before, what comes too late, what skips too much, what was altered, what
//! another key began. No other program can name it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;

use ed25519_dalek::{Signer, SigningKey};
use serde::{Deserialize, Serialize};
use tidings_crypto::{
    Beginning, LoadError, MAX_GAP, MAX_PLAINTEXT_BYTES, MAX_RECEIVING_CHAINS, MAX_SEALED_BYTES, MAX_SKIPPED_KEYS,
    OpenError, RatchetKeys, SealError, Sealer, SessionId, SignedAnnouncement, SignedCard,
};
use zeroize::Zeroizing;

use super::node::LabSealer;
use super::reuse;

/// The first byte of a message that begins a session, and of any other.
const BEGINNING: u8 = 0;
const ORDINARY: u8 = 1;
/// The first byte of what is saved.
const FORMAT: u8 = 1;
/// The three keys that begin a session.
const KEYS_BYTES: usize = 96;
/// Chain, index, and what a public ratchet key would take.
const HEADER_BYTES: usize = 44;
/// What authenticates.
const TAG_BYTES: usize = 32;

thread_local! {
    /// What each announcement and each card of this seed came to, which runs in a thread of its own: every node reads
    /// it, one checks its signature.
    static ANNOUNCEMENTS: RefCell<HashMap<[u8; 32], Option<SignedAnnouncement>>> = RefCell::default();
    static CARDS: RefCell<HashMap<[u8; 32], Option<SignedCard>>> = RefCell::default();
}

/// The keys of a node.
pub(crate) struct CheapSealer {
    secret: [u8; 32],
    keys: RatchetKeys,
    /// Where new sessions draw their keys from.
    seed: [u8; 32],
    drawn: Cell<u64>,
}

/// One end of a session.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct CheapSession {
    id: [u8; 32],
    root: [u8; 32],
    /// Identity, base and fallback key.
    keys: Vec<u8>,
    began: bool,
    /// Whether anything was opened in it.
    answered: bool,
    /// The newest chain of either end. Those of whoever began are even.
    latest: u64,
    sending: Option<(u64, u64)>,
    /// Oldest first.
    receiving: Vec<Receiving>,
}

/// A chain of the other end.
#[derive(Clone, Serialize, Deserialize)]
struct Receiving {
    chain: u64,
    next: u64,
    /// Oldest first.
    skipped: Vec<u64>,
}

impl LabSealer for CheapSealer {
    fn make(seed: [u8; 32]) -> Self {
        Self::of(derive("secret", &[&seed]), seed)
    }

    fn restore(bytes: &[u8], seed: [u8; 32]) -> Result<Self, LoadError> {
        let secret = unsaved(bytes)?.try_into().map_err(|_| LoadError::Malformed)?;
        Ok(Self::of(secret, seed))
    }
}

impl CheapSealer {
    fn of(secret: [u8; 32], seed: [u8; 32]) -> Self {
        let keys = RatchetKeys {
            identity: derive("identity", &[&secret]),
            signing: signing(&secret).verifying_key().to_bytes(),
            fallback: derive("fallback", &[&secret]),
            fallback_id: 1,
        };
        Self { secret, keys, seed, drawn: Cell::new(0) }
    }
}

fn signing(secret: &[u8; 32]) -> SigningKey {
    SigningKey::from_bytes(&derive("signing", &[secret]))
}

fn derive(what: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(what.as_bytes());
    for part in parts {
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}

fn unsaved(bytes: &[u8]) -> Result<&[u8], LoadError> {
    match bytes.split_first() {
        None => Err(LoadError::Empty),
        Some((&FORMAT, rest)) => Ok(rest),
        Some((got, _)) => Err(LoadError::OtherFormat { expected: FORMAT, got: *got }),
    }
}

/// The key of one message, and the bytes that hide its plaintext.
struct MessageKey([u8; 32]);

impl MessageKey {
    fn hide(&self, bytes: &mut [u8]) {
        let mut stream = blake3::Hasher::new_keyed(&self.0).finalize_xof();
        let mut pad = [0; 512];
        for piece in bytes.chunks_mut(pad.len()) {
            stream.fill(&mut pad);
            piece.iter_mut().zip(&pad).for_each(|(byte, pad)| *byte ^= pad);
        }
    }

    fn tag(&self, message: &[u8]) -> [u8; TAG_BYTES] {
        *blake3::keyed_hash(&self.0, message).as_bytes()
    }
}

impl CheapSession {
    fn new(keys: [&[u8; 32]; 3], began: bool) -> Self {
        let keys = keys.map(|key| key.as_slice());
        Self {
            id: derive("session", &keys),
            root: derive("root", &keys),
            keys: keys.concat(),
            began,
            answered: false,
            latest: 0,
            sending: began.then_some((0, 0)),
            receiving: Vec::new(),
        }
    }

    fn key(&self, chain: u64, index: u64) -> MessageKey {
        MessageKey(derive("message", &[&self.root, &chain.to_le_bytes(), &index.to_le_bytes()]))
    }

    fn seal(&mut self, plaintext: &[u8]) -> Vec<u8> {
        let (chain, index) = self.sending.unwrap_or((self.latest + 1, 0));
        self.latest = self.latest.max(chain);
        self.sending = Some((chain, index + 1));
        let key = self.key(chain, index);
        let mut message = Vec::with_capacity(1 + KEYS_BYTES + HEADER_BYTES + plaintext.len() + 16 + TAG_BYTES);
        if self.began && !self.answered {
            message.push(BEGINNING);
            message.extend_from_slice(&self.keys);
        } else {
            message.push(ORDINARY);
        }
        message.extend_from_slice(&chain.to_le_bytes());
        message.extend_from_slice(&index.to_le_bytes());
        message.extend_from_slice(&[0; HEADER_BYTES - 16]);
        let body = message.len();
        message.extend_from_slice(plaintext);
        // As the real one's cipher does: up to whole blocks of 16, by one byte at least.
        let pad = 16 - plaintext.len() % 16;
        message.extend(std::iter::repeat_n(pad.to_le_bytes()[0], pad));
        key.hide(&mut message[body..]);
        let tag = key.tag(&message);
        message.extend_from_slice(&tag);
        message
    }

    /// Opens a message whose keys, if any, are this session's. Nothing changes on an error.
    fn open(&mut self, message: &Message<'_>) -> Result<Vec<u8>, OpenError> {
        let Message { chain, index, .. } = *message;
        let known = self.receiving.iter().position(|receiving| receiving.chain == chain);
        let theirs = chain % 2 == u64::from(self.began);
        let (next, skipped) = match known {
            Some(at) => (self.receiving[at].next, self.receiving[at].skipped.as_slice()),
            None if theirs && (chain == self.latest + 1 || chain == 0 && self.latest == 0) => (0, [].as_slice()),
            None => return Err(OpenError::NotAuthentic),
        };
        let late = index < next;
        if late && !skipped.contains(&index) {
            // A genuine text is noted, whether it can be opened or not: the key must not have served for another one.
            message.reveal(&self.key(chain, index)).ok();
            return Err(OpenError::KeyGone { index });
        }
        if !late && index - next > MAX_GAP {
            return Err(OpenError::Gap { max: MAX_GAP, got: index - next });
        }
        let plaintext = message.reveal(&self.key(chain, index))?;
        let at = known.unwrap_or_else(|| {
            self.receiving.push(Receiving { chain, next: 0, skipped: Vec::new() });
            if self.receiving.len() > MAX_RECEIVING_CHAINS {
                self.receiving.remove(0);
            }
            self.latest = self.latest.max(chain);
            self.sending = None;
            self.receiving.len() - 1
        });
        let receiving = &mut self.receiving[at];
        if late {
            receiving.skipped.retain(|skipped| *skipped != index);
        } else {
            receiving.skipped.extend(receiving.next..index);
            let surplus = receiving.skipped.len().saturating_sub(MAX_SKIPPED_KEYS);
            receiving.skipped.drain(..surplus);
            receiving.next = index + 1;
        }
        self.answered = true;
        Ok(plaintext)
    }
}

/// A message taken apart.
struct Message<'a> {
    keys: Option<[&'a [u8; 32]; 3]>,
    chain: u64,
    index: u64,
    /// All but the tag, and where the body begins in it.
    signed: &'a [u8],
    body: usize,
    tag: &'a [u8; TAG_BYTES],
}

impl<'a> Message<'a> {
    fn parse(ciphertext: &'a [u8]) -> Result<Self, OpenError> {
        if ciphertext.len() > MAX_SEALED_BYTES {
            return Err(OpenError::TooLong { max: MAX_SEALED_BYTES, got: ciphertext.len() });
        }
        Self::split(ciphertext).ok_or(OpenError::Malformed)
    }

    fn split(ciphertext: &'a [u8]) -> Option<Self> {
        let (signed, tag) = ciphertext.split_last_chunk()?;
        let (first, rest) = signed.split_first()?;
        let (keys, rest) = match *first {
            BEGINNING => {
                let (identity, rest) = rest.split_first_chunk()?;
                let (base, rest) = rest.split_first_chunk()?;
                let (fallback, rest) = rest.split_first_chunk()?;
                (Some([identity, base, fallback]), rest)
            }
            ORDINARY => (None, rest),
            _ => return None,
        };
        let (header, body) = rest.split_first_chunk::<HEADER_BYTES>()?;
        let number = |at: usize| header[at..at + 8].try_into().map(u64::from_le_bytes).ok();
        let well = !body.is_empty() && body.len().is_multiple_of(16) && header[16..].iter().all(|byte| *byte == 0);
        let body = signed.len() - body.len();
        well.then_some(Self { keys, chain: number(0)?, index: number(8)?, signed, body, tag })
    }

    fn reveal(&self, key: &MessageKey) -> Result<Vec<u8>, OpenError> {
        if key.tag(self.signed) != *self.tag {
            return Err(OpenError::NotAuthentic);
        }
        reuse::note(&key.0, self.tag);
        let mut plaintext = self.signed[self.body..].to_vec();
        key.hide(&mut plaintext);
        let pad = plaintext.last().map_or(0, |pad| usize::from(*pad));
        plaintext.truncate(plaintext.len() - pad.min(plaintext.len()));
        Ok(plaintext)
    }
}

impl Sealer for CheapSealer {
    type Session = CheapSession;

    fn ratchet_keys(&self) -> RatchetKeys {
        self.keys
    }

    fn possession(&self, message: &[u8]) -> [u8; 64] {
        signing(&self.secret).sign(message).to_bytes()
    }

    fn begin(&self, to: &RatchetKeys) -> Result<CheapSession, SealError> {
        let drawn = self.drawn.get();
        self.drawn.set(drawn + 1);
        let base = derive("base", &[&self.seed, &drawn.to_le_bytes()]);
        Ok(CheapSession::new([&self.keys.identity, &base, &to.fallback], true))
    }

    fn seal(&self, session: &mut CheapSession, plaintext: &[u8]) -> Result<Vec<u8>, SealError> {
        if plaintext.len() > MAX_PLAINTEXT_BYTES {
            return Err(SealError::TooLong { max: MAX_PLAINTEXT_BYTES, got: plaintext.len() });
        }
        Ok(session.seal(plaintext))
    }

    fn first_of(&self, ciphertext: &[u8]) -> Option<Beginning> {
        let [identity, base, fallback] = Message::parse(ciphertext).ok()?.keys?;
        let session = SessionId::from_bytes(derive("session", &[identity, base, fallback]));
        Some(Beginning { session, ratchet_identity: *identity })
    }

    fn accept(&mut self, ciphertext: &[u8]) -> Result<(CheapSession, Vec<u8>), OpenError> {
        let message = Message::parse(ciphertext)?;
        let Some(keys) = message.keys else { return Err(OpenError::NotABeginning) };
        if *keys[2] != self.keys.fallback {
            return Err(OpenError::UnknownFallback);
        }
        let mut session = CheapSession::new(keys, false);
        let plaintext = session.open(&message)?;
        Ok((session, plaintext))
    }

    fn open(&self, session: &mut CheapSession, ciphertext: &[u8]) -> Result<Vec<u8>, OpenError> {
        let message = Message::parse(ciphertext)?;
        if let Some(keys) = message.keys {
            let got = SessionId::from_bytes(derive("session", &keys.map(|key| key.as_slice())));
            let expected = SessionId::from_bytes(session.id);
            if got != expected {
                return Err(OpenError::OtherSession { expected, got });
            }
        }
        session.open(&message)
    }

    fn session_id(&self, session: &CheapSession) -> SessionId {
        SessionId::from_bytes(session.id)
    }

    fn save_session(&self, session: &CheapSession) -> Zeroizing<Vec<u8>> {
        let mut bytes = vec![FORMAT];
        rmp_serde::encode::write(&mut bytes, session).expect("a vector takes everything");
        Zeroizing::new(bytes)
    }

    fn load_session(&self, bytes: &[u8]) -> Result<CheapSession, LoadError> {
        rmp_serde::from_slice(unsaved(bytes)?).map_err(|_| LoadError::Malformed)
    }

    fn save(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new([&[FORMAT], self.secret.as_slice()].concat())
    }

    fn verify_announcement(&self, bytes: &[u8]) -> Option<SignedAnnouncement> {
        ANNOUNCEMENTS.with_borrow_mut(|checked| {
            let check = || SignedAnnouncement::verify(bytes).ok();
            checked.entry(*blake3::hash(bytes).as_bytes()).or_insert_with(check).clone()
        })
    }

    fn verify_card(&self, bytes: &[u8]) -> Option<SignedCard> {
        CARDS.with_borrow_mut(|checked| {
            let check = || SignedCard::verify(bytes).ok();
            checked.entry(*blake3::hash(bytes).as_bytes()).or_insert_with(check).clone()
        })
    }
}

impl fmt::Debug for CheapSealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheapSealer").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
