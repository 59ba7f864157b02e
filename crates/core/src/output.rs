//! Everything an engine can want done.

use bytes::Bytes;
use tidings_crypto::PeerKey;

use crate::ids::{At, BatchNo, CommandId, DialId, FlowId, LinkId, LoadId, MessageId};
use crate::interval::IntervalSet;
use crate::links::{Address, LinkKind};
use crate::message::{Accepted, Change, Refusal};
use crate::record::{Contact, InboxBatch, Query, Record};
use crate::time::Wall;
use crate::trust::Evidence;

/// Something to be done; docs/spec/engine.md §3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Store these records atomically, after all earlier batches, and answer [`Input::Persisted`](crate::Input).
    Persist {
        /// Rising by one.
        batch: BatchNo,
        /// Never empty.
        records: Vec<Record>,
    },
    /// Ask the store, after all earlier batches, and answer [`Input::Loaded`](crate::Input).
    Load {
        /// Names the answer.
        load: LoadId,
        /// The question.
        query: Query,
    },
    /// Write bytes to a link, in order. Never more than it was granted.
    Transmit {
        /// The link.
        link: LinkId,
        /// Whole frames.
        bytes: Bytes,
    },
    /// Open a link; answered by `LinkUp` or `DialFailed`.
    Dial {
        /// Names the answer.
        dial: DialId,
        /// Who must be there; `None` if the address names nobody.
        peer: Option<PeerKey>,
        /// Where.
        address: Address,
    },
    /// Close a link once what was transmitted is written.
    Close {
        /// The link.
        link: LinkId,
    },
    /// Let the DHT hold this card of this node in place of the one before.
    Publish {
        /// Encoded and signed.
        card: Bytes,
    },
    /// Search the DHT for a peer's card; answered by any number of `CardFound` and one `SearchEnded`.
    FindPeer {
        /// Whose.
        peer: PeerKey,
    },
    /// Answer a command.
    Reply(CommandId, Reply),
    /// Tell whoever listens.
    Event(Event),
}

/// The answer to a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// To [`Command::Submit`](crate::Command::Submit): one for each, in order, on disk.
    Submitted(Vec<Result<Accepted, Refusal>>),
    /// To [`Command::Consume`](crate::Command::Consume): on disk; names those that were not in the inbox.
    Consumed {
        /// Unknown or consumed before.
        unknown: Vec<MessageId>,
    },
    /// The command is done, and durable if it changes anything durable.
    Done,
    /// To [`Command::Dial`](crate::Command::Dial).
    Dialled {
        /// Who is there.
        peer: PeerKey,
        /// Over what.
        kind: LinkKind,
    },
    /// To [`Command::Dial`](crate::Command::Dial): nobody answered, and why.
    DialFailed {
        /// For people.
        reason: String,
    },
    /// To [`Command::SetContact`](crate::Command::SetContact) and
    /// [`Command::AcceptInvite`](crate::Command::AcceptInvite).
    Contact(Contact),
    /// To [`Command::CreateInvite`](crate::Command::CreateInvite).
    Invite(Bytes),
    /// The command was refused and has changed nothing.
    Refused(Refusal),
}

/// Something an application may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Messages arrived and are durable; the first stands at `at`, the others follow by one.
    Received(InboxBatch),
    /// Links are laid in another shape from now on.
    Topology {
        /// Which.
        kind: crate::topology::Kind,
        /// Why, with figures.
        reason: String,
    },
    /// What is for a peer goes to another neighbour from now on, or nowhere.
    Route {
        /// For whom.
        peer: PeerKey,
        /// Where it goes; `None` if no way leads there any more.
        way: Option<crate::view::Way>,
    },
    /// A message that waited for parts or a predecessor can be read from the inbox at this place.
    Released(At),
    /// A receipt says that messages are on the recipient's disk. Not yet durable here: the resumable
    /// [`Event::Changed`] follows.
    Delivered {
        /// The flow.
        flow: FlowId,
        /// Which messages, by first part.
        seqs: IntervalSet,
    },
    /// The state of sent messages changed, and is durable.
    Changed {
        /// Its place.
        at: At,
        /// The flow.
        flow: FlowId,
        /// The recipient.
        peer: PeerKey,
        /// Which messages, by first part.
        seqs: IntervalSet,
        /// What happened.
        change: Change,
        /// When.
        wall: Wall,
    },
    /// A neighbour has said hello.
    NeighbourUp {
        /// Who.
        peer: PeerKey,
        /// What it calls itself.
        name: String,
        /// Over what.
        kind: LinkKind,
    },
    /// The last link to a neighbour is gone.
    NeighbourDown {
        /// Who.
        peer: PeerKey,
    },
    /// A contact was added or changed, also by an invite that somebody used.
    Contact(Contact),
    /// A peer did something it must not do.
    Misconduct {
        /// Who.
        peer: PeerKey,
        /// What.
        evidence: Evidence,
    },
    /// This node's identity is in use elsewhere, or its database was restored: a receipt or card proves it.
    Degraded {
        /// A stable word.
        reason: &'static str,
    },
}
