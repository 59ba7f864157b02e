//! What only the simulator does, and what it expects of a network that it sees as a whole.

use std::num::NonZeroU64;

use serde::Deserialize;

use super::nodes::KindName;
use super::{Percent, Span};

/// What only the simulator does.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SimOnly {
    /// Each seed adds a random set of faults to those of the file.
    #[serde(default)]
    pub(crate) swarm: bool,
    /// Each seed has random circumstances; a part of the swarm.
    #[serde(default)]
    pub(crate) circumstances: bool,
    /// Which sealer runs; the real one in one of twenty seeds.
    #[serde(default)]
    pub(crate) sealer: SealerChoice,
    /// Where seeds are shared out among scenarios, this one has a share in one of so many rounds.
    pub(crate) rare: Option<NonZeroU64>,
    #[serde(default)]
    pub(crate) expect: SimExpect,
}

/// What must hold in the simulator, which sees the whole network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SimExpect {
    /// From the last link that comes up at the beginning until everybody reaches everybody.
    pub(crate) formed_within: Option<Span>,
    /// The same after something was lost, in 99 of 100 cases.
    pub(crate) healed_within: Option<Span>,
    /// The most bytes of routing's frames per node and minute while everybody reaches everybody.
    pub(crate) quiet_bytes: Option<u64>,
    /// What is said before counts for nothing.
    pub(crate) quiet_after: Option<Span>,
    /// The most frames with updates of a node that has no link to an end of a flapping link, in the median minute.
    pub(crate) far_updates: Option<u64>,
    /// The most bytes of others' parcels that a relay may hold.
    pub(crate) held_bytes: Option<u64>,
    /// Jain's index over what is shown of each sender while messages are sent, at least.
    pub(crate) fairness: Option<Percent>,
    /// The most links of the longest of the shortest ways between two nodes, at the end of the scenario's length.
    pub(crate) diameter: Option<u64>,
    /// The most links of a node at that time.
    pub(crate) largest_degree: Option<u64>,
    /// Whether all nodes that run then are one component.
    #[serde(default)]
    pub(crate) one_component: bool,
    /// The most links that are laid and dropped per node and hour, once the network has formed.
    pub(crate) link_changes: Option<u64>,
    /// The kind in which nine of ten nodes lay links at the end of the scenario's length.
    pub(crate) kind: Option<KindName>,
    /// The most changes of kind of a node in one of its lives.
    pub(crate) kind_changes: Option<u64>,
    /// The least time between two of them.
    pub(crate) kinds_apart: Option<Span>,
}

/// Which sealer runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SealerChoice {
    #[default]
    Mixed,
    Cheap,
    Real,
}
