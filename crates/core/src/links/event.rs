//! What goes into the module and what comes out of it.

use std::time::Duration;

use bytes::Bytes;
use tidings_crypto::PeerKey;

use super::address::{Address, LinkKind, Source};
use crate::class::Class;
use crate::ids::{BatchNo, CommandId, DialId, LinkId};
use crate::record::BookAddress;
use crate::time::Age;
use crate::trust::Evidence;
use crate::wire::{Frame, Hello};

/// Names a parcel on its way over a link, from `Send` to `Got` or `Lost`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Token(pub(crate) u64);

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A deadline may have come.
    Tick,
    /// Every batch up to this one is durable.
    Durable(BatchNo),
    /// A link is open; its hello waits for `batch`.
    Up { link: LinkId, peer: PeerKey, kind: LinkKind, dial: Option<DialId>, address: Address, batch: BatchNo },
    /// A link is gone.
    Down { link: LinkId },
    /// A neighbour sent bytes.
    Bytes { link: LinkId, bytes: Bytes },
    /// A link takes so many more bytes.
    Writable { link: LinkId, bytes: u64 },
    /// A dial came to nothing.
    DialFailed { dial: DialId, reason: String },
    /// Addresses were found.
    Discovered { peer: Option<PeerKey>, addresses: Vec<Address>, source: Source, age: Age },
    /// An interface came, went or changed its address.
    NetworkChanged,
    /// An encoded parcel for a neighbour, over its best link.
    Send { peer: PeerKey, class: Class, token: Token, bytes: Bytes, batch: BatchNo },
    /// A parcel need not leave any more, unless it has begun to.
    Withdraw { token: Token },
    /// A frame that is no fragment, over this link or the best one.
    Control { link: Option<LinkId>, peer: PeerKey, frame: Frame, batch: BatchNo },
    /// Find out the round trip of a link that is up now; answered by [`Effect::RoundTrip`] if the link lives.
    Measure { link: LinkId },
    /// Whether something waits for a link to this peer.
    Wanted { peer: PeerKey, wanted: bool },
    /// A person asks for a link.
    Dial { command: CommandId, address: Address },
    /// No link to this peer for a while.
    ClosePeer { peer: PeerKey, pause: Duration },
    /// No links until `Resume`.
    Pause,
    /// Links again.
    Resume,
    /// No links any more.
    Stop,
    /// The number of this node's newest card.
    Own { card_seq: u64 },
    /// What the book held at the start.
    Book { peer: PeerKey, addresses: Vec<BookAddress> },
}

/// Something to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Write whole frames; the newest batch that any of them waits for.
    Transmit { link: LinkId, bytes: Bytes, batch: BatchNo },
    /// Open a link.
    Dial { dial: DialId, peer: Option<PeerKey>, address: Address },
    /// Close a link once what was transmitted is written.
    Close { link: LinkId },
    /// A peer can be sent to; after a `PeerUp` without `PeerDown` between, never again.
    PeerUp { peer: PeerKey, kind: LinkKind, hello: Hello },
    /// A peer cannot be sent to any more, or has restarted: a `PeerUp` with the new boot follows then.
    PeerDown { peer: PeerKey },
    /// Every address of a peer was tried in vain.
    Unreached { peer: PeerKey },
    /// A link has said hello; `round_trip` is measured, or guessed from how long that took.
    LinkUp { link: LinkId, peer: PeerKey, round_trip: Duration },
    /// A link that was up is not used any more.
    LinkDown { link: LinkId },
    /// A link is suspect: it owes an answer.
    LinkSilent { link: LinkId },
    /// A suspect link answers again.
    LinkAnswers { link: LinkId },
    /// A frame of routing found no room in a link's queue, and does not go.
    RoutingLeftOut { link: LinkId },
    /// A link's round trip was asked for and is measured, or has changed by a quarter, and by 2 ms at least.
    RoundTrip { link: LinkId, round_trip: Duration },
    /// A whole parcel arrived.
    Parcel { link: LinkId, peer: PeerKey, class: Class, bytes: Bytes },
    /// A frame arrived that is for others to judge.
    Control { link: LinkId, peer: PeerKey, frame: Frame },
    /// A parcel's last byte was handed to a link.
    Sent { token: Token },
    /// The neighbour has read a parcel's last byte.
    Got { token: Token },
    /// No link carries the parcel any more.
    Lost { token: Token },
    /// What the book is to keep of a peer, best first; empty forgets it.
    Book { peer: PeerKey, addresses: Vec<BookAddress> },
    /// A person's dial led to this peer.
    Dialled { command: CommandId, peer: PeerKey, kind: LinkKind },
    /// A person's dial came to nothing.
    DialFailed { command: CommandId, reason: String },
    /// A peer did what it must not do.
    Evidence { peer: PeerKey, evidence: Evidence },
}
