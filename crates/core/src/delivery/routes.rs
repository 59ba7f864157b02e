//! Recorded routes of received messages, until their senders know them; docs/spec/delivery.md §4.

use std::collections::{BTreeMap, VecDeque};

use tidings_crypto::PeerKey;

use crate::ids::{FlowId, Seq};
use crate::record::{MAX_UNTOLD, Snapshot};
use crate::wire::{MAX_RECORDED, RecordedRoute};

/// A flow and who sends in it.
type Key = (FlowId, PeerKey);

/// The newest [`MAX_RECORDED`] routes of each flow, [`MAX_UNTOLD`] in all: 4 MiB.
#[derive(Debug, Default)]
pub(super) struct Untold {
    by_flow: BTreeMap<Key, VecDeque<(u64, RecordedRoute)>>,
    /// All of them, oldest first.
    order: BTreeMap<u64, Key>,
    next: u64,
}

impl Untold {
    pub(super) fn restore(snapshot: &Snapshot) -> Self {
        let mut untold = Self::default();
        for (sender, flow, route) in &snapshot.routes {
            untold.add((*flow, *sender), route.clone());
        }
        untold
    }

    /// Keeps a route; beyond the bounds the oldest of the flow goes, and the oldest of all.
    pub(super) fn add(&mut self, key: Key, route: RecordedRoute) {
        let of_flow = self.by_flow.entry(key).or_default();
        of_flow.push_back((self.next, route));
        self.order.insert(self.next, key);
        self.next += 1;
        if of_flow.len() > MAX_RECORDED {
            self.forget_oldest_of(key);
        }
        if self.order.len() > MAX_UNTOLD
            && let Some(oldest) = self.order.values().next().copied()
        {
            self.forget_oldest_of(oldest);
        }
    }

    fn forget_oldest_of(&mut self, key: Key) {
        let Some(of_flow) = self.by_flow.get_mut(&key) else { return };
        if let Some((no, _)) = of_flow.pop_front() {
            self.order.remove(&no);
        }
        if of_flow.is_empty() {
            self.by_flow.remove(&key);
        }
    }

    /// The sender knows all about what lies below its floor.
    pub(super) fn forget_below(&mut self, key: Key, floor: Seq) {
        let Some(of_flow) = self.by_flow.get_mut(&key) else { return };
        let order = &mut self.order;
        of_flow.retain(|(no, route)| {
            let stays = route.seqs.last().is_some_and(|last| last >= floor);
            if !stays {
                order.remove(no);
            }
            stays
        });
        if of_flow.is_empty() {
            self.by_flow.remove(&key);
        }
    }

    /// What a receipt of a flow tells.
    pub(super) fn of(&self, key: Key, floor: Seq) -> Vec<RecordedRoute> {
        let routes = self.by_flow.get(&key).into_iter().flatten().map(|(_, route)| {
            let mut route = route.clone();
            route.seqs.remove_below(floor);
            route
        });
        routes.filter(|route| !route.seqs.is_empty()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interval::IntervalSet;
    use crate::wire::Path;

    fn key(n: u64) -> Key {
        (FlowId(n.to_be_bytes()), PeerKey::from_bytes([1; 32]))
    }

    fn route(seq: Seq) -> RecordedRoute {
        RecordedRoute { seqs: IntervalSet::of(seq, seq + 1), hops: 1, path: Path::default() }
    }

    #[test]
    fn a_flow_keeps_its_newest_above_the_floor() {
        let mut untold = Untold::default();
        for n in 0..20 {
            untold.add(key(1), route(2 * n));
        }
        assert_eq!(untold.of(key(1), 0), (12..20).map(|n| route(2 * n)).collect::<Vec<_>>());
        let half = RecordedRoute { seqs: IntervalSet::of(35, 35), ..route(0) };
        assert_eq!(untold.of(key(1), 35), [half, route(36), route(38)]);
        untold.forget_below(key(1), 36);
        assert_eq!((untold.of(key(1), 0).len(), untold.order.len()), (2, 2));
        untold.forget_below(key(1), Seq::MAX);
        assert!(untold.by_flow.is_empty() && untold.order.is_empty());
    }

    #[test]
    fn all_flows_together_are_bounded() {
        let mut untold = Untold::default();
        for n in 0..MAX_UNTOLD as u64 + 10 {
            untold.add(key(n), route(0));
        }
        assert_eq!((untold.by_flow.len(), untold.order.len()), (MAX_UNTOLD, MAX_UNTOLD));
        assert_eq!((untold.of(key(9), 0).len(), untold.of(key(10), 0).len()), (0, 1));
    }
}
