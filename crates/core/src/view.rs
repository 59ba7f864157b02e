//! What a running engine knows, for people: read by the runtime, never by the protocol.

use std::collections::BTreeMap;
use std::time::Duration;

use tidings_crypto::{PeerKey, Power};

use crate::ids::LinkId;
use crate::links::{Address, LinkKind};
use crate::record::Contact;
use crate::topology::Kind;
use crate::trust::Evidence;

/// A picture of the engine at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Everybody with a link, an address or evidence.
    pub peers: Vec<PeerView>,
    /// Everybody to whom there is a way, neighbours among them.
    pub routes: Vec<RouteView>,
    /// The contacts.
    pub contacts: Vec<Contact>,
    /// Counts since the start.
    pub counters: Counters,
    /// Counts of links since the start.
    pub links: crate::links::Stats,
    /// Counts of searches of the DHT.
    pub searches: SearchStats,
    /// Which links are wanted, and why.
    pub topology: TopologyView,
    /// Counts of routing.
    pub routing: crate::routing::Stats,
    /// Counts of what was carried for others.
    pub relay: crate::relay::Stats,
    /// How well what this node sends arrives.
    pub delivery: DeliveryView,
}

/// Counts of searches of the DHT since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SearchStats {
    /// Peers that are searched for until nothing waits for them.
    pub wanted: u64,
    /// Searches begun.
    pub begun: u64,
    /// Cards that came and verified, and are not older than what was known.
    pub found: u64,
    /// Cards that came and do not verify, or are somebody else's.
    pub bad: u64,
    /// Cards of whom nobody searches for, or beyond what one search may bring.
    pub unasked: u64,
    /// Peers that were not searched for because the table was full.
    pub refused: u64,
}

/// Which links a node wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopologyView {
    /// What a person chose.
    pub kind: Kind,
    /// The shape in which links are laid now: another one than `kind` where that is `adaptive`.
    pub shape: Kind,
    /// Why it is this one.
    pub reason: String,
    /// Counts of topology.
    pub stats: crate::topology::Stats,
}

/// How well what this node sends arrives, counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeliveryView {
    /// Messages known to be delivered before they ended.
    pub in_time: u64,
    /// Messages that expired, or failed on the way. What was withdrawn is in neither, nor what nobody knows about.
    pub missed: u64,
    /// Parcels of which the receipt came, having left in this life of the node.
    pub receipts: u64,
    /// How long all these receipts took together, each from the parcel's last byte on its first way out.
    pub receipt_time: Duration,
    /// What the latest 1,024 of them took; `None` before the first.
    pub latest: Option<ReceiptTimes>,
}

/// How long receipts take: there and back, with what had to be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiptTimes {
    /// How many were measured.
    pub samples: u64,
    /// Half of them took no longer.
    pub p50: Duration,
    /// Nine in ten took no longer.
    pub p90: Duration,
    /// Ninety-nine in a hundred took no longer.
    pub p99: Duration,
    /// The longest.
    pub max: Duration,
}

/// Where what is for a peer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// The neighbour that has it next.
    pub next: PeerKey,
    /// What the whole way costs, 1 to 254.
    pub cost: u8,
    /// Links crossed.
    pub hops: u8,
}

/// The way to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteView {
    /// To whom.
    pub peer: PeerKey,
    /// The neighbour that has it next.
    pub next: PeerKey,
    /// What the whole way costs, 1 to 254.
    pub cost: u8,
    /// Links crossed.
    pub hops: u8,
    /// The neighbour that has it next if the first cannot.
    pub second: Option<PeerKey>,
}

/// A peer as this node knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerView {
    /// Who.
    pub peer: PeerKey,
    /// What it calls itself, from its hello or card.
    pub name: String,
    /// The links to it now.
    pub links: Vec<LinkView>,
    /// Where it was or may be reached, best first.
    pub addresses: Vec<Address>,
    /// What it did wrong, counted since the start.
    pub evidence: BTreeMap<Evidence, u64>,
    /// Messages accepted for it that are not done.
    pub waiting: u64,
    /// What it says of itself; `None` while its announcement is not known.
    pub announced: Option<AnnouncedView>,
}

/// What a node tells everybody about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnnouncedView {
    /// Where its energy comes from.
    pub power: Power,
    /// `key=value`, at most 8 of at most 32 bytes.
    pub labels: Vec<String>,
    /// What it offers.
    pub capabilities: Vec<String>,
}

/// A link now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkView {
    /// The runtime's number.
    pub link: LinkId,
    /// Over what.
    pub kind: LinkKind,
    /// Whether this node dialled.
    pub dialled: bool,
    /// The remote address.
    pub address: Address,
    /// The smoothed round-trip time, once measured.
    pub round_trip: Option<Duration>,
    /// Read from it.
    pub bytes_in: u64,
    /// Handed to it.
    pub bytes_out: u64,
    /// Whether it has stopped answering.
    pub suspect: bool,
}

/// Counts since the start of the engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages accepted for delivery.
    pub accepted: u64,
    /// Messages known to be on their recipient's disk.
    pub delivered: u64,
    /// Messages known to be consumed.
    pub acknowledged: u64,
    /// Messages that ended undelivered.
    pub ended: u64,
    /// Messages received.
    pub received: u64,
    /// Messages received again and left out.
    pub duplicates: u64,
    /// Parcels handed to links.
    pub parcels_sent: u64,
    /// Parcels handed to links again.
    pub parcels_resent: u64,
    /// Parcels that arrived.
    pub parcels_received: u64,
    /// Parcels refused to neighbours.
    pub parcels_refused: u64,
    /// Messages that wait in the outbox.
    pub outbox_messages: u64,
    /// Bytes that wait in the outbox.
    pub outbox_bytes: u64,
    /// Messages in the inbox.
    pub inbox_messages: u64,
}
