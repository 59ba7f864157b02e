//! What applications send and receive, and the states a message goes through.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use tidings_crypto::PeerKey;

use crate::class::Class;
use crate::ids::{At, FlowId, MessageId, Seq};
use crate::time::{Age, Wall};
use crate::wire::Path;

/// The largest payload of one message, in bytes.
pub const MAX_PAYLOAD_BYTES: usize = 1 << 20;
/// The longest lifetime of a message.
pub const MAX_LIFETIME: Duration = Duration::from_hours(14 * 24);
/// The lifetime of a message that names none.
pub const DEFAULT_LIFETIME: Duration = Duration::from_hours(7 * 24);
/// The longest kind and stream name, in bytes.
pub const MAX_NAME_BYTES: usize = 64;
/// The most headers of a message.
pub const MAX_HEADERS: usize = 16;
/// The longest header, name and value together, in bytes.
pub const MAX_HEADER_BYTES: usize = 256;
/// Kinds that begin with this are the node's own; applications cannot send them.
pub const OWN_KINDS: &str = "tidings.";

/// What an application asks to send.
#[derive(Clone, PartialEq, Eq)]
pub struct Submission {
    /// The recipient.
    pub to: PeerKey,
    /// Its priority.
    pub class: Class,
    /// How long it may take to arrive, at most [`MAX_LIFETIME`].
    pub lifetime: Duration,
    /// What it is to the applications, at most [`MAX_NAME_BYTES`].
    pub kind: String,
    /// At most [`MAX_PAYLOAD_BYTES`].
    pub payload: Bytes,
    /// Messages of one stream arrive in the order sent.
    pub stream: Option<String>,
    /// At most [`MAX_HEADERS`] of [`MAX_HEADER_BYTES`], sealed with the payload.
    pub headers: Vec<(String, String)>,
    /// The message it answers.
    pub reply_to: Option<MessageId>,
    /// The ended message it is sent again for.
    pub retry_of: Option<MessageId>,
    /// Whether whoever carries it is to write itself down, so that both ends know the way it took.
    pub record_route: bool,
    /// Recognises a repeated call.
    pub idempotency: Option<Idempotency>,
}

impl fmt::Debug for Submission {
    /// Leaves the content out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Submission")
            .field("to", &self.to)
            .field("class", &self.class)
            .field("kind", &self.kind)
            .field("payload_bytes", &self.payload.len())
            .finish_non_exhaustive()
    }
}

/// A caller's key for a submission, and the hash of what it asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Idempotency {
    /// BLAKE3-128 of the caller's token and key.
    pub key: [u8; 16],
    /// BLAKE3-128 of the request: a repeat must be the same one.
    pub body: [u8; 16],
}

/// Idempotency keys are kept this long.
pub const IDEMPOTENCY_RETENTION: Duration = Duration::from_hours(24);
/// The most idempotency keys kept; the oldest go first.
pub const MAX_IDEMPOTENCY_KEYS: usize = 100_000;

/// The answer to a submission that is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Its name from now on.
    pub id: MessageId,
    /// When it was accepted.
    pub accepted_at: Wall,
    /// Whether an earlier call with the same key was answered.
    pub repeated: bool,
}

/// Why a command is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Payload, name or headers are beyond their limits.
    #[error("the {what} is larger than {limit} bytes")]
    TooLarge {
        /// The part that is too large.
        what: &'static str,
        /// Its limit.
        limit: usize,
    },
    /// The lifetime is zero or beyond [`MAX_LIFETIME`].
    #[error("the lifetime must be between 1 second and 14 days")]
    Lifetime,
    /// The kind is the node's own, or empty.
    #[error("a kind must not be empty and must not begin with \"tidings.\"")]
    Kind,
    /// A message to oneself.
    #[error("a node cannot send to itself")]
    ToSelf,
    /// A bound on what waits is reached.
    #[error("too much is waiting to be sent in this class; try again later")]
    Busy,
    /// The disk is full.
    #[error("the disk is full")]
    DiskFull,
    /// The key was used for another request.
    #[error("the idempotency key was used for another request")]
    IdempotencyMismatch,
    /// No such message, peer or contact.
    #[error("not known here")]
    Unknown,
    /// The message has ended or is delivered.
    #[error("the message has already ended")]
    Ended,
    /// The message is still on its way, or has arrived.
    #[error("the message has not ended")]
    NotEnded,
    /// The invite is not one, was altered, or has expired.
    #[error("the invite is damaged or has expired")]
    BadInvite,
    /// The name is another contact's.
    #[error("another contact has this name")]
    NameTaken,
    /// The node is shutting down or paused.
    #[error("the node is stopping")]
    Stopping,
}

/// Where a message stands at its sender; docs/spec/delivery.md §2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageState {
    /// On the sender's disk.
    Accepted,
    /// Handed to at least one link since.
    InFlight,
    /// On the recipient's disk.
    Delivered,
    /// Consumed by the recipient's application.
    Acknowledged,
    /// Its deadline passed first.
    Expired,
    /// It cannot be delivered.
    Failed(FailureCode),
    /// Withdrawn by the application.
    Cancelled,
}

impl MessageState {
    /// Whether nothing more happens, but for a late receipt.
    pub const fn is_ended(self) -> bool {
        matches!(self, Self::Expired | Self::Failed(_) | Self::Cancelled)
    }

    /// Whether this state or a later one in the ranking holds; an ended message meets only itself.
    pub fn meets(self, wanted: Self) -> bool {
        let rank = |state| match state {
            Self::Accepted => Some(0),
            Self::InFlight => Some(1),
            Self::Delivered => Some(2),
            Self::Acknowledged => Some(3),
            Self::Expired | Self::Failed(_) | Self::Cancelled => None,
        };
        match (rank(self), rank(wanted)) {
            (Some(have), Some(want)) => have >= want,
            (None, None) => self == wanted,
            (Some(_), None) => false,
            (None, Some(want)) => want == 0,
        }
    }

    /// Its name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::InFlight => "in_flight",
            Self::Delivered => "delivered",
            Self::Acknowledged => "acknowledged",
            Self::Expired => "expired",
            Self::Failed(_) => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Why a message failed for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FailureCode {
    /// The recipient came back from a restore: whether it once had the message cannot be known.
    OutcomeUnknown = 1,
    /// No link on the way carries parcels of this size.
    TooBig = 2,
}

impl FailureCode {
    /// Its name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OutcomeUnknown => "outcome_unknown",
            Self::TooBig => "too_big",
        }
    }

    /// Reads the stored number.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::OutcomeUnknown),
            2 => Some(Self::TooBig),
            _ => None,
        }
    }
}

/// A message that waits in the outbox, as stored: one part of it, or all.
#[derive(Clone, PartialEq, Eq)]
pub struct OutMessage {
    /// Its place in the flow.
    pub seq: Seq,
    /// When it ends undelivered.
    pub deadline: Age,
    /// An encoded `Message` (docs/spec/wire.proto), ready to be sealed.
    pub encoded: Bytes,
}

impl fmt::Debug for OutMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OutMessage({}, {} bytes)", self.seq, self.encoded.len())
    }
}

/// A message in the inbox, as its application sees it.
#[derive(Clone, PartialEq, Eq)]
pub struct InboxMessage {
    /// Its place among the events.
    pub at: At,
    /// The sender's name for it.
    pub id: MessageId,
    /// Who sent it, proven by the session.
    pub from: PeerKey,
    /// What it is to the applications.
    pub kind: String,
    /// The content.
    pub payload: Bytes,
    /// Its stream.
    pub stream: Option<String>,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// Its priority.
    pub class: Class,
    /// The message it answers.
    pub reply_to: Option<MessageId>,
    /// The sender's wall clock at acceptance.
    pub sent_at: Wall,
    /// The sender's wall clock at its deadline.
    pub expires_at: Wall,
    /// This node's wall clock at arrival.
    pub received_at: Wall,
    /// Links it crossed; 1 from a neighbour.
    pub hops: u32,
    /// The relays it says it crossed; `None` where its sender did not ask for them.
    pub path: Option<Path>,
}

impl fmt::Debug for InboxMessage {
    /// Leaves the content out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InboxMessage")
            .field("at", &self.at)
            .field("id", &self.id)
            .field("from", &self.from)
            .field("kind", &self.kind)
            .field("payload_bytes", &self.payload.len())
            .finish_non_exhaustive()
    }
}

/// What happened to messages of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// The recipient has them.
    Delivered,
    /// The recipient's application has consumed them.
    Acknowledged,
    /// They ended undelivered.
    Ended(Ending),
}

impl Change {
    /// The state after it.
    pub const fn state(self) -> MessageState {
        match self {
            Self::Delivered => MessageState::Delivered,
            Self::Acknowledged => MessageState::Acknowledged,
            Self::Ended(ending) => ending.state(),
        }
    }
}

/// How messages ended undelivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// The deadline passed.
    Expired,
    /// The application withdrew them.
    Cancelled,
    /// They cannot be delivered.
    Failed(FailureCode),
}

impl Ending {
    /// The state it leaves.
    pub const fn state(self) -> MessageState {
        match self {
            Self::Expired => MessageState::Expired,
            Self::Cancelled => MessageState::Cancelled,
            Self::Failed(code) => MessageState::Failed(code),
        }
    }
}

/// A step on a message's way, kept for `trace`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Handed to a link.
    Sent,
    /// A node refused to carry or take it.
    Refused,
    /// Sealed anew, since the recipient could not open it.
    SealedAnew,
}

/// The flow and class of messages, and what they share in the outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowName {
    /// The flow.
    pub flow: FlowId,
    /// The other end: recipient of an out flow, sender of an in flow.
    pub peer: PeerKey,
}
