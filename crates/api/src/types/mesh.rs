//! The mesh: routes, topology, figures of the network, and labels.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// `GET /v1/routes`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct RouteList {
    /// Everybody who can be reached, neighbours among them; the nearest first.
    pub routes: Vec<Route>,
}

/// The way to a peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Route {
    /// The peer's id.
    pub peer_id: String,
    /// What to call it: its name as a contact, else the one it gives itself, empty if none is known.
    pub name: String,
    /// Links crossed: 1 for a neighbour.
    pub hops: u8,
    /// What the whole way costs, 1 to 254: a fast cable is 1, a slow or lossy link up to 15.
    pub cost: u8,
    /// The neighbour that has it next.
    pub next_hop: String,
    /// What to call that one.
    pub next_hop_name: String,
    /// The neighbour that takes over at once if the first cannot; null if there is none.
    pub second_next_hop: Option<String>,
}

/// The shape of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum TopologyKind {
    /// A random, nearly regular graph.
    Mesh,
    /// Successors by key, with chords across.
    Ring,
    /// A few hubs that form a mesh; everybody else holds two of them.
    Hierarchical,
    /// One centre, or as few as can serve everybody.
    Star,
    /// Whichever of the others suits size, churn, loss and power.
    Adaptive,
}

impl TopologyKind {
    /// Its name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mesh => "mesh",
            Self::Ring => "ring",
            Self::Hierarchical => "hierarchical",
            Self::Star => "star",
            Self::Adaptive => "adaptive",
        }
    }
}

/// `GET /v1/topology`: the network as this node knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Topology {
    /// What a person chose.
    pub kind: TopologyKind,
    /// The shape in which links are laid now: another one than `kind` where that is `adaptive`.
    pub shape: TopologyKind,
    /// Why it is this one.
    pub reason: String,
    /// This node, then everybody who can be reached, or could within the last ten minutes.
    pub nodes: Vec<TopologyNode>,
    /// Links between them, as peer ids: this node's own, and those that others tell of.
    pub links: Vec<[String; 2]>,
}

/// A node of the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct TopologyNode {
    /// Its peer id.
    pub peer_id: String,
    /// What to call it: its name as a contact, else the one it gives itself, empty if none is known.
    pub name: String,
    /// Whether a way leads there now.
    pub reachable: bool,
    /// How many neighbours it says it has; null if it does not say.
    pub degree: Option<u32>,
}

/// `PUT /v1/topology`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TopologyChange {
    /// In which shape to lay links from now on, until the node ends.
    pub kind: TopologyKind,
}

/// `GET /v1/network`: figures of the network. What this node cannot know is null.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Network {
    /// Nodes that can be reached, this one included.
    pub size: u64,
    /// Those of them whose links are known, at least in part.
    pub drawn: u64,
    /// Links that are known.
    pub links: u64,
    /// Parts that the network is in, as far as known: this one, and what was lost within the last ten minutes.
    pub components: u64,
    /// Of the nodes of all parts, the share that cannot be reached: 0 to 1.
    pub fragmentation: f64,
    /// Links by those that there could be: 0 to 1.
    pub density: Option<f64>,
    /// Neighbours of a node, on average.
    pub average_degree: Option<f64>,
    /// How many of a node's neighbours are neighbours of one another, averaged over nodes that have two or more: 0 to
    /// 1.
    pub clustering: Option<f64>,
    /// Links on the shortest path between two nodes, on average.
    pub average_path_length: Option<f64>,
    /// Links on the longest shortest path.
    pub diameter: Option<u64>,
    /// Nodes that carry four times as many shortest paths as the average or more, the busiest first.
    pub hotspots: Vec<Hotspot>,
    /// Of the messages that this node knows to be done since its start, the share that was delivered before its
    /// deadline: 0 to 1. Those that were withdrawn count for neither; null before the first.
    pub delivery_rate: Option<f64>,
    /// How long it takes until this node has a receipt; null before the first.
    pub latency: Option<Latency>,
    /// How long the last loss of links left this node with fewer than it wants; null if that has not happened yet.
    pub recovery_seconds: Option<f64>,
}

/// A node that much would be cut by the loss of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Hotspot {
    /// Its peer id.
    pub peer_id: String,
    /// What to call it.
    pub name: String,
    /// Of the shortest paths between two others, the share that leads through it: 0 to 1.
    pub share: f64,
}

/// From a parcel's leaving this node for the first time until its receipt: there and back, both disks, and what had
/// to be sent again. Of the latest 1,024 parcels since the node's start.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Latency {
    /// How many were measured.
    pub samples: u64,
    /// Half of them took no longer.
    pub p50_seconds: f64,
    /// Nine in ten took no longer.
    pub p90_seconds: f64,
    /// Ninety-nine in a hundred took no longer.
    pub p99_seconds: f64,
    /// The longest.
    pub max_seconds: f64,
}

/// `GET` and `PUT /v1/labels`: what this node tells everybody about itself, until it ends. They are no secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Labels {
    /// At most 8; each `key=value` has at most 32 bytes, its key of lower-case letters, digits, `.`, `-` and `_`.
    pub labels: BTreeMap<String, String>,
}

/// Of the way to a peer, what a list of peers shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct PeerRoute {
    /// Links crossed: 1 for a neighbour.
    pub hops: u8,
    /// The neighbour that has it next.
    pub next_hop: String,
}

/// What of `GET /v1/peers` is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "server", into_params(parameter_in = Query))]
#[serde(deny_unknown_fields)]
pub struct PeerQuery {
    /// Only peers that tell this label of themselves: `key=value`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}
