//! Who has a link to whom.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::sim::Dice;

/// The most nodes of a scenario.
pub(crate) const MAX_NODES: usize = 100_000;

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
}

impl Topology {
    /// The links, each once, the smaller number first.
    pub(crate) fn links(&self, dice: &mut Dice) -> Vec<(usize, usize)> {
        let nodes = self.nodes;
        match self.kind {
            Shape::Clique => (0..nodes).flat_map(|a| (a + 1..nodes).map(move |b| (a, b))).collect(),
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
