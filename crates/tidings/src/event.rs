//! What happens at a node, as a stream that misses nothing it can resume.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::Stream;
use futures::stream::BoxStream;
use tidings_core::ids::{At, FlowId, MessageId};
use tidings_core::interval::IntervalSet;
use tidings_core::links::LinkKind;
use tidings_core::message::{InboxMessage, MessageState};
use tidings_core::record::Contact;
use tidings_core::time::Wall;
use tidings_core::topology::Kind;
use tidings_core::trust::Evidence;
use tidings_core::view::Way;
use tidings_crypto::PeerKey;

mod catch_up;

pub(crate) use catch_up::{PAGE, PAGE_BYTES, Source, follow};

/// Something that happened at a node.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A message arrived and is on disk; resumable from its `at`.
    Message(InboxMessage),
    /// Sent messages changed state; resumable where it has an `at`.
    State(StateChange),
    /// A neighbour has said hello.
    NeighbourUp {
        /// Who.
        peer: PeerKey,
        /// What it calls itself; anybody can take any name.
        name: String,
        /// Over what.
        kind: LinkKind,
    },
    /// The last link to a neighbour is gone.
    NeighbourDown {
        /// Who.
        peer: PeerKey,
    },
    /// Links are laid in another shape from now on.
    Topology {
        /// Which.
        kind: Kind,
        /// Why, with figures.
        reason: String,
    },
    /// Where what is for some peers goes has changed, at the same moment for all of them.
    Routes(Vec<RouteChange>),
    /// A contact was added or changed.
    Contact(Contact),
    /// A peer did something it must not do.
    Security {
        /// Who.
        peer: PeerKey,
        /// What.
        evidence: Evidence,
    },
    /// The node found that something is wrong with itself.
    Degraded {
        /// Why, for people.
        reason: String,
    },
    /// The reader was slower than the events, and so many passed it by. Messages and changes of state among them
    /// follow from the database, as far as it keeps them.
    Lagged {
        /// How many, at least.
        missed: u64,
    },
}

impl Event {
    /// Returns the place to resume from, where it has one.
    pub fn at(&self) -> Option<At> {
        match self {
            Self::Message(message) => Some(message.at),
            Self::State(change) => change.at,
            Self::NeighbourUp { .. }
            | Self::NeighbourDown { .. }
            | Self::Topology { .. }
            | Self::Routes(_)
            | Self::Contact(_)
            | Self::Security { .. }
            | Self::Degraded { .. }
            | Self::Lagged { .. } => None,
        }
    }
}

/// What is for a peer goes to another neighbour from now on, or nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteChange {
    /// For whom.
    pub peer: PeerKey,
    /// Where it goes; `None` if no way leads there any more.
    pub way: Option<Way>,
}

/// Sent messages changed state together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateChange {
    /// Its place among the events. `None` for the news that a receipt brought before it is on disk here: the same
    /// change follows with its place.
    pub at: Option<At>,
    /// The recipient, where known.
    pub to: Option<PeerKey>,
    /// The flow of the messages.
    pub flow: FlowId,
    /// Which messages of it.
    pub seqs: IntervalSet,
    /// Their state now.
    pub state: MessageState,
    /// When.
    pub when: Wall,
}

impl StateChange {
    /// Returns the ids of the messages, rising.
    pub fn ids(&self) -> impl Iterator<Item = MessageId> + '_ {
        self.seqs.seqs().map(|seq| MessageId { flow: self.flow, seq })
    }

    /// Returns whether the message is among them.
    pub fn contains(&self, id: MessageId) -> bool {
        id.flow == self.flow && self.seqs.contains(id.seq)
    }
}

/// Events of a node, from [`Node::events`](crate::Node::events). Ends when the node has stopped.
pub struct EventStream {
    inner: BoxStream<'static, Event>,
}

impl EventStream {
    pub(crate) fn new(inner: BoxStream<'static, Event>) -> Self {
        Self { inner }
    }
}

impl std::fmt::Debug for EventStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventStream").finish_non_exhaustive()
    }
}

impl Stream for EventStream {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.inner.as_mut().poll_next(cx)
    }
}

/// Copies out what a shared change says.
pub(crate) fn owned(change: &Arc<StateChange>) -> Event {
    Event::State(StateChange::clone(change))
}
