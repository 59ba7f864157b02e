//! What nodes are like: in which kind of topology they lay links, and where their energy comes from.

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use tidings_core::topology::Kind;
use tidings_crypto::Power;

use super::Nodes;

/// What is said of nodes; what is not is as every node has it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NodesTable {
    /// The kind of topology that they are set to.
    pub(crate) topology: Option<KindName>,
    /// Who is on mains; all means all that are not on batteries.
    pub(crate) mains: Option<Nodes>,
    /// Who is on a battery; all means all that are not on mains.
    pub(crate) battery: Option<Nodes>,
}

impl NodesTable {
    /// Whether anything is said.
    #[cfg(feature = "net")]
    pub(crate) fn is_given(&self) -> bool {
        self.topology.is_some() || self.mains.is_some() || self.battery.is_some()
    }

    /// Where a node's energy comes from.
    pub(crate) fn power(&self, node: usize) -> Power {
        let listed = |nodes: &Option<Nodes>| matches!(nodes, Some(Nodes::These(nodes)) if nodes.contains(&node));
        let all = |nodes: &Option<Nodes>| *nodes == Some(Nodes::All);
        if listed(&self.mains) || all(&self.mains) && !listed(&self.battery) {
            Power::Mains
        } else if listed(&self.battery) || all(&self.battery) {
            Power::Battery
        } else {
            Power::Unknown
        }
    }
}

/// A kind of topology by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KindName(pub(crate) Kind);

impl<'de> Deserialize<'de> for KindName {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map(Self).map_err(D::Error::custom)
    }
}
