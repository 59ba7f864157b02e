//! The network as everybody's announcements draw it; docs/spec/topology.md §5.

use std::collections::{BTreeMap, BTreeSet};

use tidings_crypto::PeerKey;

use super::State;
use super::digest;
use super::metrics::{self, Metrics};
use super::peers::Peer;

/// The network as one node knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Graph {
    /// This node first, then peers in the order of their keys.
    pub nodes: Vec<GraphNode>,
    /// Links between them, as places in `nodes`, the smaller first, in order.
    pub edges: Vec<(u32, u32)>,
}

/// A node of the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphNode {
    /// Who.
    pub peer: PeerKey,
    /// Whether a route or a link leads there; if not, one did within the last ten minutes.
    pub reachable: bool,
    /// How many neighbours it says it has, if it says so.
    pub degree: Option<u32>,
}

impl Graph {
    /// Computes the figures of the network. Follows shortest paths from up to 256 nodes, which takes a tenth of a
    /// second at the most: not for a thread that others wait for.
    pub fn measure(&self) -> Metrics {
        metrics::measured(self)
    }

    /// The neighbours of each node.
    pub(super) fn adjacency(&self) -> Vec<Vec<u32>> {
        let mut adjacency = vec![Vec::new(); self.nodes.len()];
        for (one, other) in &self.edges {
            adjacency[*one as usize].push(*other);
            adjacency[*other as usize].push(*one);
        }
        adjacency
    }
}

/// What a node tells of its neighbours.
#[derive(Debug, Default)]
struct Told {
    listed: BTreeSet<[u8; 4]>,
    full: bool,
}

impl Told {
    fn of(peer: &Peer) -> Self {
        let Some(facts) = &peer.facts else { return Self::default() };
        Self { listed: facts.neighbours.listed.iter().copied().collect(), full: digest::is_full(&facts.neighbours) }
    }

    /// Whether a link that only the other end lists may be there: this one does not deny it.
    fn admits(&self, name: &[u8; 4]) -> bool {
        self.listed.contains(name) || self.full || self.listed.is_empty()
    }
}

/// Draws the network from what this node knows of itself and what others say of themselves.
pub(super) fn known(state: &State) -> Graph {
    let shown = |peer: &Peer| peer.is_alive() || peer.is_lost(state.now);
    let peers: Vec<(&PeerKey, &Peer)> = state.peers.iter().filter(|(_, peer)| shown(peer)).collect();
    let own = GraphNode {
        peer: state.own,
        reachable: true,
        degree: Some(u32::try_from(state.peers.links()).unwrap_or(u32::MAX)),
    };
    let node =
        |(key, peer): &(&PeerKey, &Peer)| GraphNode { peer: **key, reachable: peer.is_alive(), degree: peer.degree() };
    let nodes: Vec<_> = std::iter::once(own).chain(peers.iter().map(node)).collect();
    let names: Vec<_> = nodes.iter().map(|node| digest::name(&node.peer)).collect();
    let told: Vec<_> = peers.iter().map(|(_, peer)| Told::of(peer)).collect();
    let mut named: BTreeMap<[u8; 4], Vec<usize>> = BTreeMap::new();
    for (place, name) in names.iter().enumerate().skip(1) {
        named.entry(*name).or_default().push(place);
    }
    let mut edges = BTreeSet::new();
    // What this node has it knows, whatever others say.
    for (place, (_, peer)) in peers.iter().enumerate() {
        if peer.link.is_some() {
            edges.insert((0, place + 1));
        }
    }
    for (place, said) in told.iter().enumerate() {
        let one = place + 1;
        for other in said.listed.iter().filter_map(|name| named.get(name)).flatten().copied() {
            let admitted = other != one && told[other - 1].admits(&names[one]);
            // A link across what no route crosses is one that was.
            if admitted && nodes[one].reachable == nodes[other].reachable {
                edges.insert((one.min(other), one.max(other)));
            }
        }
    }
    let place = |place: usize| u32::try_from(place).unwrap_or(u32::MAX);
    Graph { nodes, edges: edges.into_iter().map(|(one, other)| (place(one), place(other))).collect() }
}
