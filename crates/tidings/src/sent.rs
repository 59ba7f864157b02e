//! Messages this node has sent, as lists and one by one.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use tidings_core::class::Class;
use tidings_core::ids::MessageId;
use tidings_core::message::{MessageState, Step};
use tidings_core::time::Wall;
use tidings_core::wire::Path;
use tidings_crypto::PeerKey;
pub use tidings_store::MessageFilter;
use tidings_store::{Place, StoredMessage, TimelineEntry};

/// A message that this node accepted for sending.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SentMessage {
    /// Its name.
    pub id: MessageId,
    /// The recipient.
    pub to: PeerKey,
    /// What it is to the applications.
    pub kind: String,
    /// The payload.
    pub payload: Bytes,
    /// Its stream.
    pub stream: Option<String>,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// The message it answers.
    pub reply_to: Option<MessageId>,
    /// Its priority.
    pub priority: Class,
    /// Where it stands.
    pub state: MessageState,
    /// How often it was handed to a link.
    pub attempts: u64,
    /// When it was accepted.
    pub created_at: Wall,
    /// When it ends undelivered.
    pub expires_at: Wall,
    /// The ended message it was sent again for.
    pub retry_of: Option<MessageId>,
    /// Whether relays are to write themselves down.
    pub record_route: bool,
    /// The way it took, once the recipient has told; only of messages with `record_route`, and not in lists.
    pub route: Option<RecordedRoute>,
    /// What happened to its parcels, oldest first; empty in lists.
    pub timeline: Vec<(Wall, Step)>,
    /// The states it came to and when, oldest first; empty in lists.
    pub states: Vec<(Wall, MessageState)>,
}

/// The way that a message took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedRoute {
    /// Links crossed, as the recipient has counted.
    pub hops: u32,
    /// The relays that wrote themselves down; nobody vouches for them.
    pub path: Path,
}

impl fmt::Debug for SentMessage {
    /// Leaves the content out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SentMessage")
            .field("id", &self.id)
            .field("to", &self.to)
            .field("kind", &self.kind)
            .field("payload_bytes", &self.payload.len())
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl From<StoredMessage> for SentMessage {
    fn from(stored: StoredMessage) -> Self {
        let (mut timeline, mut states) = (Vec::new(), Vec::new());
        for (wall, entry) in stored.timeline {
            match entry {
                TimelineEntry::Step(step) => timeline.push((wall, step)),
                TimelineEntry::State(state) => states.push((wall, state)),
            }
        }
        Self {
            id: stored.id,
            to: stored.to,
            kind: stored.content.kind,
            payload: stored.content.payload,
            stream: stored.content.stream,
            headers: stored.content.headers,
            reply_to: stored.content.reply_to,
            priority: stored.class,
            state: stored.state,
            attempts: stored.attempts,
            created_at: stored.accepted_at,
            expires_at: stored.content.expires_at,
            retry_of: stored.retry_of,
            record_route: stored.content.record_route,
            route: stored.route.map(|(hops, path)| RecordedRoute { hops, path }),
            timeline,
            states,
        }
    }
}

/// A place in the list of sent messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor(pub(crate) Place);

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0.row, self.0.seq)
    }
}

/// A text that is no [`Cursor`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected the cursor of an earlier page; leave it out to start from the newest message")]
pub struct CursorError;

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (row, seq) = text.split_once('.')?;
            Some(Self(Place { row: row.parse().ok()?, seq: seq.parse().ok()? }))
        };
        parse().ok_or(CursorError)
    }
}

/// One page of the list of sent messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessagePage {
    /// The messages.
    pub messages: Vec<SentMessage>,
    /// Where the next page begins; `None` if this is the last.
    pub next: Option<Cursor>,
}

impl From<tidings_store::MessagePage> for MessagePage {
    fn from(page: tidings_store::MessagePage) -> Self {
        Self { messages: page.messages.into_iter().map(SentMessage::from).collect(), next: page.next.map(Cursor) }
    }
}
