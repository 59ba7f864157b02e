//! How much nodes say of a flapping link that they are far from.

use super::node::LabSealer;
use super::world::World;
use crate::checker::percentile;

/// Frames with updates, by minute since a link began to flap and by node.
#[derive(Debug)]
pub(super) struct Flaps {
    began: Option<u64>,
    minutes: Vec<Vec<u64>>,
    /// Nodes at a flapping link, and those with a link to one.
    near: Vec<bool>,
}

impl Flaps {
    pub(super) fn new(nodes: usize) -> Self {
        Self { began: None, minutes: Vec::new(), near: vec![false; nodes] }
    }

    /// A node says something about routes.
    pub(super) fn hear(&mut self, now: u64, node: usize, updates: usize) {
        let Some(minute) = self.minute(now).filter(|_| updates > 0) else { return };
        let nodes = self.near.len();
        if self.minutes.len() <= minute {
            self.minutes.resize_with(minute + 1, || vec![0; nodes]);
        }
        self.minutes[minute][node] += updates as u64;
    }

    fn minute(&self, now: u64) -> Option<usize> {
        usize::try_from((now - self.began?) / 60_000_000).ok()
    }
}

impl<S: LabSealer> World<S> {
    /// A link begins to flap.
    pub(super) fn on_flapping(&mut self, road: usize) {
        self.flaps.began.get_or_insert(self.now);
        for end in self.roads[road].ends {
            self.flaps.near[end] = true;
            for road in &self.nodes[end].roads {
                self.roads[*road].ends.iter().for_each(|near| self.flaps.near[*near] = true);
            }
        }
    }

    /// The most that a node far from all flapping links says in a minute, in the median minute: in some the network
    /// has something else to say. None where no link flaps.
    pub(super) fn far_updates(&self) -> Option<u64> {
        let minutes = self.flaps.minute(self.now)?;
        let far = |minute: &Vec<u64>| {
            let far = minute.iter().zip(&self.flaps.near).filter(|(_, near)| !**near);
            far.map(|(updates, _)| *updates).max().unwrap_or(0)
        };
        let mut most: Vec<_> = self.flaps.minutes.iter().map(far).collect();
        most.resize(minutes.max(most.len()), 0);
        most.sort_unstable();
        percentile(&most, 50)
    }
}
