//! Messages that are on this disk and cannot be shown yet: parts of a message that is not whole, and messages of
//! a stream whose predecessors are missing.

use std::collections::BTreeMap;

use crate::ids::{FlowId, MessageId, Seq};
use crate::interval::IntervalSet;
use crate::record::Pended;

/// The most messages of one sender that wait; beyond it only what may complete them is taken.
pub(super) const MAX_PENDED: usize = 4096;

/// A message that waits, whole or in part.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) parts: u32,
    pub(super) have: IntervalSet,
    /// Known when its first part is here.
    predecessors: Vec<MessageId>,
}

impl Waiting {
    pub(super) fn is_whole(&self) -> bool {
        self.have.count() == u64::from(self.parts)
    }
}

/// What waits of one sender, by flow and first part.
#[derive(Debug, Default)]
pub(super) struct Pending {
    waiting: BTreeMap<(FlowId, Seq), Waiting>,
}

impl Pending {
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Takes a message or part. `false` if it contradicts the parts that are here.
    pub(super) fn add(&mut self, pended: &Pended) -> bool {
        let (index, parts) = pended.part.unwrap_or((0, 1));
        let Some(first) = pended.seq.checked_sub(u64::from(index)) else { return false };
        let waiting = self.waiting.entry((pended.flow, first)).or_insert_with(|| Waiting {
            parts,
            have: IntervalSet::new(),
            predecessors: Vec::new(),
        });
        if waiting.parts != parts {
            return false;
        }
        waiting.have.insert(pended.seq, pended.seq);
        if index == 0 {
            waiting.predecessors.clone_from(&pended.predecessors);
        }
        true
    }

    /// Takes out a message that is whole and that no predecessor blocks any more.
    pub(super) fn release(&mut self, blocks: impl Fn(MessageId) -> bool) -> Option<(FlowId, Seq, u32)> {
        let free = |waiting: &Waiting| waiting.is_whole() && !waiting.predecessors.iter().any(|id| blocks(*id));
        let (flow, first) = self.waiting.iter().find(|(_, waiting)| free(waiting)).map(|(key, _)| *key)?;
        let waiting = self.waiting.remove(&(flow, first))?;
        Some((flow, first, waiting.parts))
    }

    /// Takes out the messages of a flow that are not whole and of which a part ended. Returns, for each, all its
    /// parts and those that are here.
    pub(super) fn drop_ended(
        &mut self,
        flow: FlowId,
        ended: impl Fn(Seq, Seq) -> bool,
    ) -> Vec<(IntervalSet, IntervalSet)> {
        let of_flow = self.waiting.range((flow, 0)..=(flow, Seq::MAX));
        let dropped: Vec<_> = of_flow
            .filter(|((_, first), waiting)| !waiting.is_whole() && ended(*first, first + u64::from(waiting.parts) - 1))
            .map(|(key, _)| *key)
            .collect();
        dropped
            .into_iter()
            .filter_map(|key| {
                let waiting = self.waiting.remove(&key)?;
                Some((IntervalSet::of(key.1, key.1 + u64::from(waiting.parts) - 1), waiting.have))
            })
            .collect()
    }
}
