//! Who has a link to whom.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::sim::Dice;

/// The most nodes of a scenario.
pub(crate) const MAX_NODES: usize = 100_000;
/// The most nodes of an open topology: each may link to every other.
pub(crate) const MAX_OPEN_NODES: usize = 500;

/// A shape and a number of nodes.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Topology {
    pub(crate) kind: Shape,
    pub(crate) nodes: usize,
    /// Of a grid.
    pub(crate) columns: Option<usize>,
    /// Of a random topology: the links of each node, on average.
    pub(crate) degree: Option<usize>,
    /// Of a random topology: into how many parts without links between them it falls.
    pub(crate) islands: Option<usize>,
    /// Of an open topology: the addresses of so many others are known to each node at its start.
    pub(crate) told: Option<usize>,
    /// Of an open topology: so many more are as if a person had given them.
    pub(crate) joined: Option<usize>,
}

/// The shapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Shape {
    /// Everybody with everybody.
    Clique,
    /// Each with the next.
    Line,
    /// Rows and columns.
    Grid,
    /// Everybody with node 0.
    Star,
    /// A ring, so that all are connected, and random links up to the degree.
    Random,
    /// Any two nodes can link; which do is the nodes' own choice.
    Open,
}

impl Topology {
    /// The links that there may be, each once, the smaller number first.
    pub(crate) fn links(&self, dice: &mut Dice) -> Vec<(usize, usize)> {
        let nodes = self.nodes;
        match self.kind {
            Shape::Clique | Shape::Open => (0..nodes).flat_map(|a| (a + 1..nodes).map(move |b| (a, b))).collect(),
            Shape::Line => (1..nodes).map(|b| (b - 1, b)).collect(),
            Shape::Star => (1..nodes).map(|b| (0, b)).collect(),
            Shape::Grid => {
                let columns = self.columns.unwrap_or(nodes).max(1);
                let right = (0..nodes).filter(|a| (a + 1) % columns != 0 && a + 1 < nodes).map(|a| (a, a + 1));
                let down = (0..nodes).filter(|a| a + columns < nodes).map(|a| (a, a + columns));
                right.chain(down).collect()
            }
            Shape::Random => {
                let size = nodes / self.islands.unwrap_or(1).max(1);
                (0..nodes).step_by(size.max(1)).flat_map(|first| self.random(first, size, dice)).collect()
            }
        }
    }

    /// Whom a node of an open topology knows at its start: first those whom a person gave, then the others. One of them
    /// has a lower number, so that all hang together.
    pub(crate) fn acquaintances(&self, node: usize, dice: &mut Dice) -> [Vec<usize>; 2] {
        let (told, joined) = (self.told.unwrap_or(0), self.joined.unwrap_or(0));
        let mut known = Vec::with_capacity(told + joined);
        if node > 0 {
            known.push(dice.index(node));
        }
        while known.len() < told + joined {
            let other = dice.index(self.nodes);
            if other != node && !known.contains(&other) {
                known.push(other);
            }
        }
        let told = known.split_off(joined);
        [known, told]
    }

    /// The links of one island, whose nodes follow one another from `first` on.
    fn random(&self, first: usize, nodes: usize, dice: &mut Dice) -> Vec<(usize, usize)> {
        let mut links: BTreeSet<_> = (0..nodes).map(|a| ordered(a, (a + 1) % nodes)).filter(|(a, b)| a != b).collect();
        let wanted = nodes * self.degree.unwrap_or(2) / 2;
        while links.len() < wanted {
            let (a, b) = (dice.index(nodes), dice.index(nodes));
            if a != b {
                links.insert(ordered(a, b));
            }
        }
        links.into_iter().map(|(a, b)| (first + a, first + b)).collect()
    }
}

fn ordered(a: usize, b: usize) -> (usize, usize) {
    (a.min(b), a.max(b))
}
