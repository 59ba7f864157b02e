//! How the topology behaves, what is counted about it, and every bound of its tables.

use std::collections::BTreeSet;
use std::time::Duration;

use tidings_crypto::PeerKey;

use super::event::Kind;

/// How the topology behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The shape to begin with.
    pub kind: Kind,
    /// Links below which a node looks for more, 1 or more. In a random graph of 3 links per node all but a few in
    /// a thousand hang together; what does not is joined by spec §2.4.
    pub min_degree: usize,
    /// Links above which a node that is no hub drops some, at least `min_degree`. Each takes buffers, and two
    /// probes per idle interval.
    pub max_degree: usize,
    /// The same for a hub or centre, at least `max_degree` and at most 128, beyond which links refuses strangers.
    pub max_hub_degree: usize,
    /// Whom this node links to.
    pub allow: Allow,
    /// Dial nobody but those whom a person joined.
    pub no_dial: bool,
    /// Tell others which neighbours this node has: 40 bytes in its announcement, and a new announcement every ten
    /// minutes while they change. A phone does not.
    pub tell_neighbours: bool,
}

/// Whom a node links to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Allow {
    /// Anybody.
    #[default]
    Anybody,
    /// These and nobody else.
    Listed(BTreeSet<PeerKey>),
}

impl Allow {
    pub(super) fn allows(&self, peer: &PeerKey) -> bool {
        match self {
            Self::Anybody => true,
            Self::Listed(peers) => peers.contains(peer),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            kind: Kind::default(),
            min_degree: 3,
            max_degree: 10,
            max_hub_degree: 100,
            allow: Allow::default(),
            no_dial: false,
            tell_neighbours: true,
        }
    }
}

/// Degrees that contradict one another.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The least is 1.
    #[error("expected a minimum degree of 1 or more, got 0")]
    NoLinks,
    /// The bounds of a node that is no hub.
    #[error("expected a maximum degree of at least the minimum, {min}, got {max}")]
    MaxBelowMin {
        /// The configured minimum.
        min: usize,
        /// The configured maximum.
        max: usize,
    },
    /// The bound of a hub.
    #[error("expected a maximum degree of hubs from {max} to 128, got {hub}")]
    Hub {
        /// The configured maximum of others.
        max: usize,
        /// The configured maximum of hubs.
        hub: usize,
    },
}

impl Config {
    /// Checks that the degrees can be kept.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] where `1 ≤ min_degree ≤ max_degree ≤ max_hub_degree ≤ 128` does not hold.
    pub fn check(&self) -> Result<(), ConfigError> {
        let (min, max, hub) = (self.min_degree, self.max_degree, self.max_hub_degree);
        if min == 0 {
            return Err(ConfigError::NoLinks);
        }
        if max < min {
            return Err(ConfigError::MaxBelowMin { min, max });
        }
        if hub < max || hub > MAX_HUB_DEGREE {
            return Err(ConfigError::Hub { max, hub });
        }
        Ok(())
    }
}

/// Counts since the start, with what is now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Peers known now.
    pub peers: u64,
    /// Links now.
    pub links: u64,
    /// Links that came.
    pub linked: u64,
    /// Links that went.
    pub unlinked: u64,
    /// Peers that this node began to want.
    pub wanted: u64,
    /// Dials that came to nothing.
    pub dials_failed: u64,
    /// Links dropped because there were too many.
    pub dropped_surplus: u64,
    /// Links dropped because the shape does not have them.
    pub dropped_unfit: u64,
    /// Dials made to join what no route leads to.
    pub bridges: u64,
    /// Times the shape changed.
    pub kind_changes: u64,
    /// Peers that were not taken up, or forgotten, because the table was full.
    pub table_full: u64,
    /// How long the last loss of links left this node below its minimum, in milliseconds.
    pub last_recovery_ms: Option<u64>,
}

/// The most links that a hub may be configured for; beyond it the links module refuses strangers.
const MAX_HUB_DEGREE: usize = 128;
/// The most peers known: as many as routing has destinations; some 300 bytes each, 1.3 MiB at worst.
pub(super) const MAX_PEERS: usize = 4_096;
/// The most effects that wait: two for each known peer, and what is rare.
pub(super) const MAX_EFFECTS: usize = 2 * MAX_PEERS + 64;

/// How long events are collected before links are looked at: a burst of routes costs one look.
pub(super) const REACTION: Duration = Duration::from_millis(50);
/// The same for what concerns no link of this node.
pub(super) const LAZY_REACTION: Duration = Duration::from_secs(1);
/// How often links are looked at when nothing happens.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_secs(30);
/// A dial that takes longer does not count any more when links are missing.
pub(super) const SLOW_DIAL: Duration = Duration::from_secs(1);
/// A dial that takes longer has failed.
pub(super) const DIAL_TIME: Duration = Duration::from_secs(5);
/// The pause after a dial that failed; it doubles.
pub(super) const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// The longest.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_mins(10);
/// Dials in a row that fail before a peer counts as gone.
pub(super) const PATIENCE: u32 = 2;
/// A link that ends sooner counts as a dial that failed.
pub(super) const STEADY: Duration = Duration::from_secs(30);
/// How long a peer that takes no link, though a route leads to it, is no hub for this node; it doubles.
pub(super) const DECLINED_TIME: Duration = Duration::from_hours(1);
/// The longest.
pub(super) const LONGEST_DECLINED_TIME: Duration = Duration::from_hours(24);
/// How long a link has to be without use before it is dropped.
pub(super) const UNFIT_TIME: Duration = Duration::from_mins(1);
/// How long there have to be too many links before one is dropped.
pub(super) const SURPLUS_TIME: Duration = Duration::from_secs(10);
/// The least time between two links dropped.
pub(super) const DROP_PAUSE: Duration = Duration::from_secs(2);
/// How long a peer whose link was surplus is refused.
pub(super) const SURPLUS_PAUSE: Duration = Duration::from_mins(1);
/// A route that is lost so soon after a link was dropped was lost for it.
pub(super) const REGRET_TIME: Duration = Duration::from_secs(30);
/// How long a peer is lost before that is taken for true: routes may be on their way.
pub(super) const JUDGED_TIME: Duration = Duration::from_secs(2);
/// How long a link whose drop cost a route is not dropped again.
pub(super) const ESSENTIAL_TIME: Duration = Duration::from_hours(1);
/// The least time between two dials that bridge.
pub(super) const BRIDGE_PAUSE: Duration = Duration::from_millis(500);
/// Nodes of an island that bridge together as often as one alone would with [`BRIDGE_PAUSE`].
pub(super) const BRIDGE_SHARE: u32 = 2;
/// The longest time between two dials that bridge.
pub(super) const LONGEST_BRIDGE_PAUSE: Duration = Duration::from_mins(5);
/// How long a peer that no route leads to any more counts as a lost part of the network.
pub(super) const LOST_TIME: Duration = Duration::from_mins(10);
/// The least time between two announcements of neighbours.
pub(super) const DIGEST_INTERVAL: Duration = Duration::from_mins(10);
/// How long neighbours have to be the same before they are announced.
pub(super) const DIGEST_SETTLE: Duration = Duration::from_secs(30);
/// The least time between two changes of kind.
pub(super) const KIND_INTERVAL: Duration = Duration::from_mins(10);
/// How long the situation has to ask for another kind.
pub(super) const KIND_SETTLE: Duration = Duration::from_mins(1);
/// How often `adaptive` looks at the situation.
pub(super) const KIND_LOOK: Duration = Duration::from_secs(20);
/// The most peers from which shortest paths are counted; beyond it they are a sample.
pub(super) const MAX_SOURCES: usize = 256;
