//! Who is linked to whom in the demo.

use std::collections::BTreeSet;

use clap::ValueEnum;

/// Links between the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Wiring {
    /// In a row, with one more node as a by-pass beside the middle one
    Line,
    /// In a circle
    Ring,
    /// Each with each
    Full,
    /// All with the first
    Star,
}

/// The links of a demo, by the places of its nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) nodes: usize,
    /// The lower place first: the higher one dials.
    pub(super) links: BTreeSet<(usize, usize)>,
    /// Who sends to whom: as far from each other as any.
    pub(super) ends: (usize, usize),
}

impl Plan {
    pub(super) fn new(wiring: Wiring, nodes: usize) -> Self {
        let last = nodes - 1;
        let row = (0..last).map(|node| (node, node + 1));
        match wiring {
            Wiring::Line => {
                let middle = nodes / 2;
                let by_pass = [(middle - 1, nodes), (middle + 1, nodes)].into_iter().filter(|(end, _)| *end < nodes);
                Self { nodes: nodes + 1, links: row.chain(by_pass).collect(), ends: (0, last) }
            }
            Wiring::Ring => Self { nodes, links: row.chain([(0, last)]).collect(), ends: (0, nodes / 2) },
            Wiring::Full => {
                let links = (0..nodes).flat_map(|a| (a + 1..nodes).map(move |b| (a, b))).collect();
                Self { nodes, links, ends: (0, last) }
            }
            Wiring::Star => Self { nodes, links: (1..nodes).map(|node| (0, node)).collect(), ends: (1, last) },
        }
    }

    /// Whom a node dials when it starts: those before it.
    pub(super) fn dialled_by(&self, node: usize) -> impl Iterator<Item = usize> {
        self.links.iter().filter(move |(_, dials)| *dials == node).map(|(dialled, _)| *dialled)
    }

    /// Of the nodes between the ends of a way, one whose loss leaves another way, nearest to the middle.
    pub(super) fn spare(&self, way: &[usize]) -> Option<usize> {
        let (from, to) = (*way.first()?, *way.last()?);
        let between = way.iter().enumerate().filter(|(_, node)| **node != from && **node != to);
        let can_go = between.filter(|(_, node)| self.reaches(from, to, **node));
        can_go.min_by_key(|(place, _)| (2 * place).abs_diff(way.len() - 1)).map(|(_, node)| *node)
    }

    /// Whether a way leads from one node to another without a third.
    fn reaches(&self, from: usize, to: usize, without: usize) -> bool {
        let mut reached = BTreeSet::from([from]);
        loop {
            let beyond = |(a, b): &(usize, usize)| match (reached.contains(a), reached.contains(b)) {
                (true, false) => Some(*b),
                (false, true) => Some(*a),
                (true, true) | (false, false) => None,
            };
            let more: Vec<usize> = self.links.iter().filter_map(beyond).filter(|node| *node != without).collect();
            if reached.contains(&to) || more.is_empty() {
                return reached.contains(&to);
            }
            reached.extend(more);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_a_by_pass_beside_its_middle() {
        let plan = Plan::new(Wiring::Line, 5);
        assert_eq!((plan.nodes, plan.ends), (6, (0, 4)));
        assert_eq!(plan.links, BTreeSet::from([(0, 1), (1, 2), (2, 3), (3, 4), (1, 5), (3, 5)]));
        assert_eq!(plan.dialled_by(5).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(plan.spare(&[0, 1, 2, 3, 4]), Some(2));
        assert_eq!(plan.spare(&[0, 1, 5, 3, 4]), Some(5));
    }

    #[test]
    fn every_wiring_of_every_size_joins_all_and_spares_somebody_where_it_can() {
        for nodes in 3..=8 {
            for wiring in [Wiring::Line, Wiring::Ring, Wiring::Full, Wiring::Star] {
                let plan = Plan::new(wiring, nodes);
                let (from, to) = plan.ends;
                assert!(plan.links.iter().all(|(a, b)| a < b && *b < plan.nodes), "{wiring:?} {nodes}");
                assert!((0..plan.nodes).all(|node| plan.reaches(0, node, plan.nodes)), "{wiring:?} {nodes}");
                let way: Vec<usize> = match wiring {
                    Wiring::Line => (0..nodes).collect(),
                    Wiring::Ring => (0..=to).collect(),
                    Wiring::Full => vec![from, to],
                    Wiring::Star => vec![from, 0, to],
                };
                let expected = matches!(wiring, Wiring::Line) || (wiring == Wiring::Ring && nodes > 3);
                assert_eq!(plan.spare(&way).is_some(), expected, "{wiring:?} {nodes}");
            }
        }
    }
}
