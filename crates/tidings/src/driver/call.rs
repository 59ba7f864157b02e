//! What handles ask of the driver.

use std::fmt;
use std::sync::Arc;

use tidings_core::ids::{At, MessageId};
use tidings_core::links::LinkKind;
use tidings_core::message::{Accepted, InboxMessage, MessageState, Refusal, Submission};
use tidings_core::record::{Contact, InboxBatch};
use tidings_core::topology::Kind;
use tidings_core::trust::Evidence;
use tidings_core::{Command, Reply};
use tidings_crypto::PeerKey;
use tidings_store::Arrival;
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};

use super::NodeEngine;
use crate::event::{RouteChange, StateChange};
use crate::labels::Labels;
use crate::sent::{Cursor, MessageFilter, MessagePage, SentMessage};

/// One call. Dropping the answer's sender means that the database was lost before it could be given.
#[derive(Debug)]
pub(crate) enum Call {
    /// Accept messages; joined with other submissions of the same wake.
    Submit { submissions: Vec<Submission>, track: Track, answer: oneshot::Sender<Vec<Result<Submitted, Refusal>>> },
    /// Hand a command to the engine.
    Command(Command, oneshot::Sender<Reply>),
    /// Watch the state of a message.
    Track(MessageId, oneshot::Sender<Option<States>>),
    /// Ask the database, behind everything that was written before. The permit bounds how many wait.
    Read(Read, OwnedSemaphorePermit),
    /// Read what the engine knows.
    Look(Look),
    /// Lay links in this shape from now on.
    SetTopology(Kind, oneshot::Sender<Reply>),
    /// Tell others this from now on.
    SetLabels(Labels, oneshot::Sender<Reply>),
    /// The machine's network has changed.
    NetworkChanged,
    /// Close links and listeners.
    Pause(oneshot::Sender<Reply>),
    /// Open them again.
    Resume(oneshot::Sender<Reply>),
}

/// Something that is read from the engine on the driver's own task. It must be short: everything else waits for it.
pub(crate) struct Look(Box<dyn FnOnce(&NodeEngine) + Send>);

impl Look {
    pub(crate) fn new<T: Send + 'static>(
        look: impl FnOnce(&NodeEngine) -> T + Send + 'static,
        answer: oneshot::Sender<T>,
    ) -> Self {
        Self(Box::new(move |engine| {
            // An error means that the caller is gone.
            let _ = answer.send(look(engine));
        }))
    }

    pub(super) fn at(self, engine: &NodeEngine) {
        (self.0)(engine);
    }
}

impl fmt::Debug for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Look")
    }
}

/// Whether somebody will want to follow the messages of a submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Track {
    /// From the moment they are accepted, so that no change is missed.
    Yes,
    /// Not by this call.
    No,
}

/// The states of one message as they become known; `None` before the first change.
pub(crate) type States = watch::Receiver<Option<MessageState>>;

/// A message that is on disk.
#[derive(Clone, Debug)]
pub(crate) struct Submitted {
    pub(crate) accepted: Accepted,
    /// Set if tracking was asked for and there was room.
    pub(crate) states: Option<States>,
}

/// A question to the database.
#[derive(Debug)]
pub(crate) enum Read {
    /// Unconsumed messages after a place.
    Inbox { after: At, limit: usize, max_bytes: u64, kind: Option<String>, answer: oneshot::Sender<Vec<InboxMessage>> },
    /// One sent message.
    Message { id: MessageId, answer: oneshot::Sender<Option<SentMessage>> },
    /// How a received message came.
    Arrival { id: MessageId, answer: oneshot::Sender<Option<Arrival>> },
    /// A page of sent messages, newest first.
    Messages { filter: MessageFilter, cursor: Option<Cursor>, limit: usize, answer: oneshot::Sender<MessagePage> },
    /// Changes of sent messages after a place.
    Changes { after: At, limit: usize, answer: oneshot::Sender<ChangePage> },
}

/// Changes of sent messages, rising.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChangePage {
    pub(crate) changes: Vec<StateChange>,
    /// Whether some between the place asked for and the first are no longer kept.
    pub(crate) lagged: bool,
}

/// What the driver broadcasts to streams, in the order it happened.
#[derive(Clone, Debug)]
pub(crate) enum News {
    /// Messages that can be read from the inbox now.
    Received(Arc<InboxBatch>),
    /// A message further down in the inbox can be read now.
    Released(At),
    /// Sent messages changed state.
    State(Arc<StateChange>),
    /// A neighbour came.
    NeighbourUp { peer: PeerKey, name: Arc<str>, kind: LinkKind },
    /// A neighbour went.
    NeighbourDown { peer: PeerKey },
    /// A contact was added or changed.
    Contact(Arc<Contact>),
    /// A peer did something it must not do.
    Misconduct { peer: PeerKey, evidence: Evidence },
    /// Links are laid in another shape.
    Topology { kind: Kind, reason: Arc<str> },
    /// Where what is for some peers goes has changed.
    Routes(Arc<[RouteChange]>),
    /// The node found that something is wrong with itself.
    Degraded { reason: Arc<str> },
}
