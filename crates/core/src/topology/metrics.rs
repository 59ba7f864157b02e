//! What the network as this node knows it comes to, in figures; docs/spec/topology.md §6.

use std::collections::VecDeque;

use tidings_crypto::PeerKey;

use super::config::MAX_SOURCES;
use super::graph::Graph;

/// The most hotspots named.
const MAX_HOTSPOTS: usize = 10;
/// A hotspot carries so many times as many shortest paths as nodes do on average.
const HOTSPOT_SHARE: f64 = 4.0;
/// Of the nodes that can be reached, those whose links have to be known for figures about all of them.
const LEAST_COVERAGE: f64 = 0.9;

/// Figures about the network. What this node cannot know is `None`: the links of others are known from their
/// announcements, and not everybody tells of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics {
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
    /// 1 (Watts and Strogatz 1998).
    pub clustering: Option<f64>,
    /// Links on the shortest path between two nodes, on average.
    pub average_path_length: Option<f64>,
    /// Links on the longest shortest path. From a sample of the nodes where there are more than 256, and then at least
    /// that.
    pub diameter: Option<u64>,
    /// Nodes that carry four times as many shortest paths as the average or more, the busiest first.
    pub hotspots: Vec<Hotspot>,
}

/// A node that much would be cut by the loss of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hotspot {
    /// Who.
    pub peer: PeerKey,
    /// Of the shortest paths between two others, the share that leads through it: 0 to 1.
    pub share: f64,
}

/// Computes the figures of a graph. The work is bounded: paths are followed from at most 256 nodes, and each node lists
/// at most 10 links.
pub(super) fn measured(graph: &Graph) -> Metrics {
    let adjacency = graph.adjacency();
    let reachable: Vec<usize> = (0..graph.nodes.len()).filter(|place| graph.nodes[*place].reachable).collect();
    let size = reachable.len();
    let drawn = reachable.iter().filter(|place| **place == 0 || !adjacency[**place].is_empty()).count();
    let mut metrics = Metrics {
        size: size as u64,
        drawn: drawn as u64,
        links: graph.edges.iter().filter(|(one, _)| graph.nodes[*one as usize].reachable).count() as u64,
        components: components(graph, &adjacency),
        fragmentation: (graph.nodes.len() - size) as f64 / graph.nodes.len().max(1) as f64,
        average_degree: average_degree(graph, &adjacency, &reachable),
        ..Metrics::default()
    };
    if size > 1 {
        metrics.density = metrics.average_degree.map(|degree| degree / (size - 1) as f64);
    }
    let joined = distances(&adjacency, 0).order;
    if joined.len() as f64 >= LEAST_COVERAGE * size as f64 {
        metrics.clustering = clustering(&adjacency, &joined);
        let paths = paths(&adjacency, &joined);
        metrics.diameter = Some(u64::from(paths.longest));
        metrics.average_path_length = paths.average();
        metrics.hotspots = paths.hotspots(graph, joined.len());
    }
    metrics
}

/// The reachable part is one, because routes lead everywhere in it, whether its links are known or not. What was lost
/// hangs together as far as its own announcements say.
fn components(graph: &Graph, adjacency: &[Vec<u32>]) -> u64 {
    let mut seen: Vec<bool> = graph.nodes.iter().map(|node| node.reachable).collect();
    let mut count = 1;
    for start in 0..graph.nodes.len() {
        if !seen[start] {
            count += 1;
            for place in distances(adjacency, start).order {
                seen[place] = true;
            }
        }
    }
    count
}

/// What nodes say, and where one says nothing, as many links as others say it has.
fn average_degree(graph: &Graph, adjacency: &[Vec<u32>], reachable: &[usize]) -> Option<f64> {
    let degree = |place: usize| {
        let listed = adjacency[place].len();
        graph.nodes[place].degree.map(f64::from).or((listed > 0).then_some(listed as f64))
    };
    let known: Vec<f64> = reachable.iter().filter_map(|place| degree(*place)).collect();
    let enough = known.len() as f64 >= LEAST_COVERAGE * reachable.len() as f64;
    (enough && !known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
}

/// Triangles are found from the end with the fewer links, so that a hub costs no more than others.
fn clustering(adjacency: &[Vec<u32>], nodes: &[usize]) -> Option<f64> {
    let before = |one: usize, other: usize| (adjacency[one].len(), one) < (adjacency[other].len(), other);
    let mut triangles = vec![0u64; adjacency.len()];
    let mut marked = vec![usize::MAX; adjacency.len()];
    for one in nodes.iter().copied() {
        let up: Vec<usize> =
            adjacency[one].iter().map(|other| *other as usize).filter(|other| before(one, *other)).collect();
        for other in &up {
            marked[*other] = one;
        }
        for other in up {
            for third in adjacency[other].iter().map(|third| *third as usize) {
                if before(other, third) && marked[third] == one {
                    triangles[one] += 1;
                    triangles[other] += 1;
                    triangles[third] += 1;
                }
            }
        }
    }
    let local = |place: &usize| {
        let degree = adjacency[*place].len() as f64;
        (degree >= 2.0).then(|| triangles[*place] as f64 * 2.0 / (degree * (degree - 1.0)))
    };
    let local: Vec<f64> = nodes.iter().filter_map(local).collect();
    (!local.is_empty()).then(|| local.iter().sum::<f64>() / local.len() as f64)
}

/// The way from one node to all others.
#[derive(Debug)]
struct Distances {
    /// Those that are reached, nearest first.
    order: Vec<usize>,
    /// Links to each, [`u32::MAX`] if it is not reached.
    links: Vec<u32>,
}

fn distances(adjacency: &[Vec<u32>], start: usize) -> Distances {
    let mut links = vec![u32::MAX; adjacency.len()];
    let mut order = Vec::new();
    let mut queue = VecDeque::from([start]);
    links[start] = 0;
    while let Some(place) = queue.pop_front() {
        order.push(place);
        for next in adjacency[place].iter().map(|next| *next as usize) {
            if links[next] == u32::MAX {
                links[next] = links[place] + 1;
                queue.push_back(next);
            }
        }
    }
    Distances { order, links }
}

/// What the shortest paths from some nodes to all others come to.
#[derive(Debug)]
struct Paths {
    longest: u32,
    links: u64,
    count: u64,
    /// Paths that lead through each node.
    through: Vec<f64>,
}

impl Paths {
    fn average(&self) -> Option<f64> {
        (self.count > 0).then(|| self.links as f64 / self.count as f64)
    }

    fn hotspots(&self, graph: &Graph, nodes: usize) -> Vec<Hotspot> {
        let mean = self.through.iter().sum::<f64>() / nodes as f64;
        let busy = |(_, paths): &(usize, &f64)| **paths > 0.0 && **paths >= HOTSPOT_SHARE * mean;
        let mut hotspots: Vec<_> = self
            .through
            .iter()
            .enumerate()
            .filter(busy)
            .map(|(place, paths)| {
                // Paths that begin or end at the node itself do not lead through it.
                let others = self.count as f64 * (nodes as f64 - 2.0) / nodes as f64;
                Hotspot { peer: graph.nodes[place].peer, share: (paths / others).min(1.0) }
            })
            .collect();
        hotspots.sort_by(|one, other| other.share.total_cmp(&one.share).then(one.peer.cmp(&other.peer)));
        hotspots.truncate(MAX_HOTSPOTS);
        hotspots
    }
}

/// Follows the paths from every node, or from an even sample of them (Brandes 2001 for what leads through each).
fn paths(adjacency: &[Vec<u32>], nodes: &[usize]) -> Paths {
    let mut paths = Paths { longest: 0, links: 0, count: 0, through: vec![0.0; adjacency.len()] };
    let step = nodes.len().div_ceil(MAX_SOURCES).max(1);
    for source in nodes.iter().copied().step_by(step) {
        let Distances { order, links } = distances(adjacency, source);
        let mut ways = vec![0.0f64; adjacency.len()];
        ways[source] = 1.0;
        for place in &order {
            for next in adjacency[*place].iter().map(|next| *next as usize) {
                if links[next] == links[*place] + 1 {
                    ways[next] += ways[*place];
                }
            }
        }
        let mut beyond = vec![0.0f64; adjacency.len()];
        for place in order.iter().rev().copied() {
            for before in adjacency[place].iter().map(|before| *before as usize) {
                if links[before] + 1 == links[place] {
                    beyond[before] += ways[before] / ways[place] * (1.0 + beyond[place]);
                }
            }
            if place != source {
                paths.through[place] += beyond[place];
            }
        }
        paths.longest = paths.longest.max(order.last().map_or(0, |place| links[*place]));
        paths.links += order.iter().map(|place| u64::from(links[*place])).sum::<u64>();
        paths.count += order.len() as u64 - 1;
    }
    paths
}
