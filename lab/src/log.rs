//! What clients write down: one JSON object a line, in append-only files. docs/spec/scenario.md §5.
//!
//! The checker reads this and nothing else.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tidings_core::ids::MessageId;

use crate::scenario::ClassName;

/// A line of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Line {
    /// Microseconds of one clock for all files.
    pub(crate) at: u64,
    /// Whose client wrote it; none for what the harness writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) node: Option<u32>,
    #[serde(flatten)]
    pub(crate) entry: Entry,
}

/// What was written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub(crate) enum Entry {
    /// The harness: a run begins.
    Run {
        scenario: String,
        nodes: u32,
        /// Nodes for which nothing is promised.
        hostile: Vec<u32>,
        /// Whether any clock jumps or drifts: deadlines may come early by it then.
        clocks_jump: bool,
    },
    /// The client has a node to talk to, from now on.
    Start,
    /// It has none any more; calls that are not answered never will be.
    End,
    /// The client asks for messages to be sent.
    Submit {
        call: u64,
        messages: Vec<Submitted>,
        /// An earlier call of this node that was not answered, and is made again with its key.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        repeats: Option<u64>,
    },
    /// The answer, one for each message.
    Answer { call: u64, results: Vec<Outcome> },
    /// A message is shown to the client.
    Shown {
        id: Id,
        from: u32,
        hash: Hash,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stream: Option<String>,
    },
    /// The client acknowledges messages.
    Acknowledge { call: u64, ids: Vec<Id> },
    /// The answer: all but these are acknowledged durably.
    Acknowledged { call: u64, unknown: Vec<Id> },
    /// The client withdraws a message. What comes of it is told as a state.
    Cancel { id: Id },
    /// The client is told where a message stands.
    State { id: Id, state: State },
    /// The harness: a payload was seen in the clear where only sealed bytes may be.
    Plaintext { place: String },
    /// The harness: all faults are over.
    Healed { settle_micros: u64 },
    /// The harness: the run is over.
    Finished,
}

/// A message as it was submitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Submitted {
    pub(crate) to: u32,
    pub(crate) class: ClassName,
    pub(crate) hash: Hash,
    pub(crate) bytes: u64,
    pub(crate) lifetime_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stream: Option<String>,
}

/// What became of a submitted message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    Accepted(Id),
    Refused(String),
}

/// A state that a client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    Delivered,
    Acknowledged,
    Expired,
    Failed,
    Cancelled,
}

/// A message's name, as 26 base32 characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Id(pub(crate) MessageId);

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        MessageId::from_str(&text).map(Self).map_err(D::Error::custom)
    }
}

/// BLAKE3-128 of a payload, as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Hash(pub(crate) u128);

impl Hash {
    /// Hashes a payload.
    pub(crate) fn of(payload: &[u8]) -> Self {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&blake3::hash(payload).as_bytes()[..16]);
        Self(u128::from_be_bytes(bytes))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{self:?}"))
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let expected = || D::Error::custom(format!("expected 32 hexadecimal digits, got {text:?}"));
        if text.len() != 32 {
            return Err(expected());
        }
        u128::from_str_radix(&text, 16).map(Self).map_err(|_| expected())
    }
}
