//! How a node is doing.

use std::fmt;
use std::time::Duration;

use tidings_core::links::Address;
use tidings_core::topology::Kind;
use tidings_core::view::Counters;
use tidings_crypto::PeerKey;

use crate::config::Profile;

/// What a node does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeState {
    /// It opens its database and listeners.
    Starting,
    /// It works.
    Active,
    /// It works in part; [`NodeInfo::reasons`] say what is missing.
    Degraded,
    /// It has no links and takes none until [`Node::resume`](crate::Node::resume).
    Paused,
    /// It says goodbye and finishes its commits.
    Stopping,
    /// It is gone.
    Stopped,
}

impl NodeState {
    /// Returns its name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Active => "active",
            Self::Degraded => "degraded",
            Self::Paused => "paused",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }
}

impl fmt::Display for NodeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A picture of a node at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NodeInfo {
    /// Who it is.
    pub peer_id: PeerKey,
    /// What it calls itself.
    pub name: String,
    /// What it does now.
    pub state: NodeState,
    /// Why it is degraded, for people; empty otherwise.
    pub reasons: Vec<String>,
    /// Where it listens: concrete addresses with ports and `/p2p/…`, loopback included.
    pub listen_addresses: Vec<Address>,
    /// How much energy and data it may spend.
    pub profile: Profile,
    /// In which shape it lays its links.
    pub topology: Kind,
    /// How its part of the DHT is; `None` where it takes no part.
    pub dht: Option<DhtFigures>,
    /// Since its start.
    pub uptime: Duration,
    /// Counts since its start.
    pub counters: Counters,
}

/// How a node's part of the DHT is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DhtFigures {
    /// Nodes that it knows to ask.
    pub peers: u64,
    /// Cards that it holds, its own among them; at most 256.
    pub records: u64,
    /// Cards that it refused to hold since its start.
    pub refused_records: u64,
    /// Questions that it refused since its start: too many of one peer, or of no use.
    pub refused_requests: u64,
}

/// What the driver tells its handles about itself.
#[derive(Clone, Debug)]
pub(crate) struct Status {
    pub(crate) boot: u64,
    pub(crate) state: NodeState,
    pub(crate) reasons: Vec<String>,
    pub(crate) listen_addresses: Vec<Address>,
    pub(crate) topology: Kind,
    pub(crate) dht: Option<DhtFigures>,
}

impl Status {
    pub(crate) fn starting(boot: u64, topology: Kind) -> Self {
        Self {
            boot,
            state: NodeState::Starting,
            reasons: Vec::new(),
            listen_addresses: Vec::new(),
            topology,
            dht: None,
        }
    }
}
