//! Peers and the links to them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::PeerRoute;

/// `GET /v1/peers`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct PeerList {
    /// Everybody with a link, a way, an address or evidence; neighbours first, then the nearest.
    pub peers: Vec<Peer>,
}

/// A peer as this node knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Peer {
    /// Its libp2p peer id.
    pub peer_id: String,
    /// What it calls itself; unverified.
    pub name: String,
    /// Its name among the contacts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// The links to it now.
    pub links: Vec<Link>,
    /// The way there; null if there is none.
    pub route: Option<PeerRoute>,
    /// What it says that it offers.
    pub capabilities: Vec<String>,
    /// What it tells about itself, by key; unverified.
    pub labels: BTreeMap<String, String>,
    /// Where it says its energy comes from: `mains`, `battery`, `battery_low`, or null if it does not say.
    pub power: Option<String>,
    /// Where it was or may be reached, best first.
    pub addresses: Vec<String>,
    /// Messages accepted for it that are not done.
    pub waiting: u64,
    /// What it did wrong, counted since the start.
    pub evidence: BTreeMap<String, u64>,
}

/// A link now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Link {
    /// Over what: `quic`, `tcp`, `websocket`, `relayed` or `host`.
    pub kind: String,
    /// Who dialled.
    pub direction: Direction,
    /// The remote address.
    pub address: String,
    /// The smoothed round-trip time, once measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub round_trip_seconds: Option<f64>,
    /// Read from it.
    pub received_bytes: u64,
    /// Handed to it.
    pub sent_bytes: u64,
    /// Whether it has stopped answering.
    pub suspect: bool,
}

/// Who dialled a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The peer.
    Inbound,
    /// This node.
    Outbound,
}

/// `POST /v1/peers`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct DialRequest {
    /// A multiaddr, with or without `/p2p/…`.
    pub address: String,
}

/// The answer to a dial that led to somebody.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Dialled {
    /// Who is there.
    pub peer_id: String,
    /// The link.
    pub link: Link,
}
