//! The node itself.

use serde::{Deserialize, Serialize};

use super::TopologyKind;

/// The node at this moment: `GET /v1/node`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct NodeInfo {
    /// Its libp2p peer id.
    pub peer_id: String,
    /// What it calls itself.
    pub name: String,
    /// The version of the program.
    pub version: String,
    /// How it is.
    pub state: NodeState,
    /// Why it is degraded, as stable words; empty otherwise.
    pub reasons: Vec<String>,
    /// Where it listens: concrete addresses with `/p2p/…`, loopback included.
    pub listen_addresses: Vec<String>,
    /// How much energy and data it may spend.
    pub profile: String,
    /// In which shape it lays its links, as a person chose it.
    pub topology: TopologyKind,
    /// Since its start.
    pub uptime_seconds: u64,
    /// Its half of a safety number: 30 digits.
    pub fingerprint: String,
    /// Counts since its start.
    pub counters: Counters,
}

/// How a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NodeState {
    /// Opens its store and its listeners.
    Starting,
    /// Works.
    Active,
    /// Works in part; the reasons say why.
    Degraded,
    /// Keeps store and API, has no links.
    Paused,
    /// Finishes its commits and ends.
    Stopping,
}

impl NodeState {
    /// Its name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Active => "active",
            Self::Degraded => "degraded",
            Self::Paused => "paused",
            Self::Stopping => "stopping",
        }
    }
}

/// Counts since the node's start; the last three are what waits now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Counters {
    /// Messages accepted for delivery.
    pub accepted: u64,
    /// Messages known to be on their recipient's disk.
    pub delivered: u64,
    /// Messages known to be consumed by their recipient's application.
    pub acknowledged: u64,
    /// Messages that expired, failed or were cancelled.
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
