//! Everything that can happen to an engine.

use std::time::Duration;

use bytes::Bytes;
use tidings_crypto::PeerKey;

use crate::ids::{BatchNo, CommandId, DialId, LinkId, LoadId, MessageId};
use crate::links::{Address, LinkKind, Source};
use crate::message::Submission;
use crate::record::Loaded;
use crate::topology::Kind;

/// Something that happened; docs/spec/engine.md §3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A deadline of [`Engine::next_deadline`](crate::Engine::next_deadline) may have come.
    Tick,
    /// The application asks for something.
    Command(CommandId, Command),
    /// Every batch up to this one is durable.
    Persisted(BatchNo),
    /// The store answers.
    Loaded(LoadId, Loaded),
    /// The disk has become full, or has room again.
    Disk(DiskState),
    /// A neighbour's link stream is open, its key proven by the transport's handshake.
    LinkUp {
        /// The runtime's number for it.
        link: LinkId,
        /// Who is there.
        peer: PeerKey,
        /// Over what.
        kind: LinkKind,
        /// The dial that led to it; `None` if the peer dialled.
        dial: Option<DialId>,
        /// The remote address, as seen here.
        address: Address,
    },
    /// A link is gone; what was not [`Got`](crate::wire::Frame::Got) may be lost.
    LinkDown {
        /// The link.
        link: LinkId,
    },
    /// A neighbour sent bytes, in order.
    Bytes {
        /// The link.
        link: LinkId,
        /// At most what the runtime's read buffer holds.
        bytes: Bytes,
    },
    /// The link's writer can take so many more bytes.
    Writable {
        /// The link.
        link: LinkId,
        /// Added to what it could take before.
        bytes: u64,
    },
    /// Addresses of a peer were found.
    Discovered {
        /// The peer; `None` for an address that names none.
        peer: Option<PeerKey>,
        /// Where it may be.
        addresses: Vec<Address>,
        /// How they were found.
        source: Source,
    },
    /// A dial came to nothing.
    DialFailed {
        /// The dial.
        dial: DialId,
        /// For people.
        reason: String,
    },
    /// A search of the DHT brought a card. It may be anything.
    CardFound {
        /// Who is searched for.
        peer: PeerKey,
        /// What somebody says is its card.
        card: Bytes,
        /// Who says so; `None` if it is not known.
        by: Option<PeerKey>,
    },
    /// A search of the DHT is over.
    SearchEnded {
        /// Who was searched for.
        peer: PeerKey,
    },
    /// The set of this node's own addresses, to be told in its card.
    Listening(Vec<Address>),
    /// An interface came, went or changed its address.
    NetworkChanged,
}

/// Whether the disk takes writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskState {
    /// A batch waits for room; nothing is lost.
    Full,
    /// Writes go through.
    Ready,
}

/// What an application can ask for. Each is answered by one [`Reply`](crate::Reply).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Accept messages for delivery; all that are accepted are durable together.
    Submit(Vec<Submission>),
    /// The application has consumed messages of the inbox.
    Consume(Vec<MessageId>),
    /// Withdraw a message that is not delivered.
    Cancel(MessageId),
    /// Open a link to an address.
    Dial(Address),
    /// Close the links of a peer and take none from it for a while.
    ClosePeer {
        /// Who.
        peer: PeerKey,
        /// For how long.
        pause: Duration,
    },
    /// Add a contact or change its name or verification.
    SetContact {
        /// Who.
        peer: PeerKey,
        /// The local name; `None` keeps the one it has.
        name: Option<String>,
        /// `None` keeps what it is.
        verified: Option<bool>,
    },
    /// Remove a contact.
    RemoveContact(PeerKey),
    /// Make an invite: a card with a secret that lets its bearer become a contact.
    CreateInvite {
        /// How long it can be used.
        lifetime: Duration,
    },
    /// Use an invite: add its maker as a contact, dial, and introduce oneself.
    AcceptInvite {
        /// What [`Command::CreateInvite`] gave.
        invite: Bytes,
        /// The local name; `None` takes the one in the invite.
        name: Option<String>,
    },
    /// Lay links in this shape from now on.
    SetTopology(Kind),
    /// Tell everybody this about the node, in place of what it told before: at most 8 `key=value` of at most 32 bytes.
    SetLabels(Vec<String>),
    /// Close all links and take none.
    Pause,
    /// Take and dial links again.
    Resume,
    /// Say goodbye on every link; nothing is accepted from now on.
    Stop,
}
