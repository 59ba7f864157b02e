//! Names of things: flows, messages, parcels, links, sessions and what numbers them.

use std::fmt;
use std::str::FromStr;

use tidings_crypto::PeerKey;

/// One ordered sequence of messages from a sender to one recipient in one class.
///
/// The first 8 bytes of BLAKE3(sender key ‖ recipient key ‖ 8 random bytes); docs/spec/delivery.md §1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowId(pub [u8; 8]);

impl FlowId {
    /// Derives the id that `sender` must use for `recipient` with these random bytes.
    pub fn derive(sender: &PeerKey, recipient: &PeerKey, random: &[u8; 8]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(sender.as_bytes());
        hasher.update(recipient.as_bytes());
        hasher.update(random);
        let mut id = [0; 8];
        hasher.finalize_xof().fill(&mut id);
        Self(id)
    }
}

impl fmt::Debug for FlowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", base32(&self.0))
    }
}

/// A message's place in its flow, from 0.
pub type Seq = u64;

/// A message's name, the same at both ends: flow ‖ seq, printed as 26 base32 characters.
///
/// A message of several parts is named by its first part.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId {
    /// The flow it belongs to.
    pub flow: FlowId,
    /// Its place in the flow.
    pub seq: Seq,
}

impl MessageId {
    /// The 16 bytes that travel: flow ‖ seq, big-endian.
    pub fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.flow.0);
        bytes[8..].copy_from_slice(&self.seq.to_be_bytes());
        bytes
    }

    /// Reads what [`Self::to_bytes`] writes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        let (flow, seq) = bytes.split_at(8);
        let mut id = Self { flow: FlowId([0; 8]), seq: 0 };
        id.flow.0.copy_from_slice(flow);
        id.seq = seq.iter().fold(0, |n, byte| (n << 8) | u64::from(*byte));
        id
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base32(&self.to_bytes()))
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}#{}", self.flow, self.seq)
    }
}

/// A text that is not a message id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a message id of 26 base32 characters, got {got:?}")]
pub struct MessageIdError {
    got: String,
}

impl FromStr for MessageId {
    type Err = MessageIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        unbase32(text).map(Self::from_bytes).ok_or_else(|| MessageIdError { got: text.chars().take(64).collect() })
    }
}

/// One attempt to carry a parcel: BLAKE3-128 of fixed header ‖ body as received.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParcelId(pub [u8; 16]);

impl fmt::Debug for ParcelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "parcel {}", base32(&self.0))
    }
}

/// A connection to a neighbour, numbered by the runtime, never reused within a boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// A dialling attempt, numbered by the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DialId(pub u64);

/// A call into the engine, numbered by the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub u64);

/// A question to the store, numbered by the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LoadId(pub u64);

/// An atomic batch of records, numbered from 1 in each boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchNo(pub u64);

/// A sealed parcel in the outbox, numbered by the engine for the database's lifetime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutParcelNo(pub u64);

/// A parcel that this node carries for others, numbered from 0 in each boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelayNo(pub u64);

/// The place of an event: events are ordered by boot, then by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct At {
    /// The boot in which it happened.
    pub boot: u64,
    /// Its number within the boot, from 1.
    pub n: u64,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.boot, self.n)
    }
}

impl FromStr for At {
    type Err = AtError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (boot, n) = text.split_once('.')?;
            Some(Self { boot: boot.parse().ok()?, n: n.parse().ok()? })
        };
        parse().ok_or_else(|| AtError { got: text.chars().take(64).collect() })
    }
}

/// A text that is not an event's place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected BOOT.NUMBER, got {got:?}")]
pub struct AtError {
    got: String,
}

/// RFC 4648 base32, lower case, without padding.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

fn base32(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 8 / 5 + 1);
    let (mut buffer, mut bits) = (0u32, 0u32);
    for byte in bytes {
        buffer = (buffer << 8) | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(char::from(ALPHABET[(buffer >> bits & 31) as usize]));
        }
        buffer &= (1 << bits) - 1;
    }
    if bits > 0 {
        text.push(char::from(ALPHABET[(buffer << (5 - bits) & 31) as usize]));
    }
    text
}

fn unbase32(text: &str) -> Option<[u8; 16]> {
    if text.len() != 26 {
        return None;
    }
    let mut bytes = [0; 16];
    let (mut buffer, mut bits, mut filled) = (0u32, 0u32, 0);
    for character in text.bytes() {
        let value = ALPHABET.iter().position(|c| *c == character.to_ascii_lowercase())?;
        buffer = (buffer << 5) | u32::try_from(value).ok()?;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            *bytes.get_mut(filled)? = u8::try_from(buffer >> bits & 255).ok()?;
            filled += 1;
        }
        buffer &= (1 << bits) - 1;
    }
    (filled == 16 && buffer == 0).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_id_survives_its_text() {
        for seq in [0, 1, 255, u64::MAX] {
            let id = MessageId { flow: FlowId([7, 0, 255, 1, 2, 3, 4, 5]), seq };
            let text = id.to_string();
            assert_eq!(text.len(), 26);
            assert_eq!(text.parse(), Ok(id));
            assert_eq!(text.to_uppercase().parse(), Ok(id));
        }
    }

    #[test]
    fn other_texts_are_no_message_ids() {
        for text in
            ["", "abc", "aaaaaaaaaaaaaaaaaaaaaaaaa1", "aaaaaaaaaaaaaaaaaaaaaaaaab", "aaaaaaaaaaaaaaaaaaaaaaaaaaa"]
        {
            assert!(text.parse::<MessageId>().is_err(), "{text}");
        }
    }
}
