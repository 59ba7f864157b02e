//! What goes into the module and what comes out of it.

use bytes::Bytes;
use tidings_crypto::{Announcement, AnnouncementHash, Neighbours, PeerKey, Power, RoutingId, SignedAnnouncement};

use crate::ids::LinkId;
use crate::time::Instant;
use crate::trust::Evidence;
use crate::wire::Routing;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A deadline may have come.
    Tick,
    /// A link to a neighbour has said hello; it costs so much, 1 to 15.
    LinkUp { link: LinkId, peer: PeerKey, cost: u8 },
    /// A link is gone.
    LinkDown { link: LinkId },
    /// A link is suspect: it owes an answer.
    Silent { link: LinkId },
    /// A suspect link answers again.
    Answers { link: LinkId },
    /// Something that was said on a link did not go.
    LeftOut { link: LinkId },
    /// A link has another cost, 1 to 15.
    Cost { link: LinkId, cost: u8 },
    /// A neighbour said something.
    Frame { link: LinkId, frame: Routing },
    /// What this node says of itself; the first time it begins to announce itself.
    Facts(Facts),
    /// This node's boot has jumped above one seen elsewhere.
    Boot { boot: u64 },
    /// What [`Effect::Sign`] asked for.
    Signed(SignedAnnouncement),
    /// What [`Effect::Verify`] asked for; nothing if the bytes are no announcement or not signed by its peer.
    Verified { hash: AnnouncementHash, announcement: Option<SignedAnnouncement> },
    /// How much somebody matters to this node.
    Prefer { peer: PeerKey, preference: Preference },
    /// A next hop is not to be used for a destination until then: it was `busy`, or receipts do not come back.
    Avoid { to: RoutingId, next: PeerKey, until: Instant },
}

/// What a node says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The number of its newest card.
    pub(crate) card_seq: u64,
    /// Where its energy comes from.
    pub(crate) power: Power,
    /// What people call it.
    pub(crate) labels: Vec<String>,
    /// What it offers.
    pub(crate) capabilities: Vec<String>,
    /// What it subscribes to.
    pub(crate) topics: Vec<[u8; 8]>,
    /// Its neighbours, as it tells them.
    pub(crate) neighbours: Neighbours,
}

/// How much a destination matters when the table is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Preference {
    /// No more than its distance says.
    #[default]
    None,
    /// A contact.
    Contact,
    /// Something waits for it.
    InUse,
}

/// Where to send what is for a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NextHop {
    /// The link.
    pub(crate) link: LinkId,
    /// The neighbour at its other end.
    pub(crate) peer: PeerKey,
    /// What the whole way costs.
    pub(crate) cost: u8,
    /// How many links it crosses.
    pub(crate) hops: u8,
}

/// Something to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Say something to a neighbour. In order, and never dropped while the link lives.
    Send { link: LinkId, frame: Routing },
    /// Sign what this node says of itself.
    Sign(Box<Announcement>),
    /// Read and check an announcement; `hash` is that of the bytes.
    Verify { hash: AnnouncementHash, bytes: Bytes },
    /// The way to a peer changed; nothing if there is none any more.
    Route { peer: PeerKey, next: Option<NextHop> },
    /// A peer says something new of itself.
    Announced(SignedAnnouncement),
    /// Nothing is known of a peer any more.
    Forgotten { peer: PeerKey },
    /// This node was announced with a boot that is not below its own: its own must go above.
    OwnBoot { boot: u64 },
    /// A neighbour did what it must not do.
    Evidence { peer: PeerKey, evidence: Evidence },
}
