//! One table of deadlines.

use std::collections::{BTreeMap, BTreeSet};

use crate::time::Instant;

/// At most one deadline for each key.
#[derive(Debug)]
pub(super) struct Timers<K> {
    due: BTreeMap<K, Instant>,
    order: BTreeSet<(Instant, K)>,
}

impl<K: Ord + Copy> Timers<K> {
    pub(super) fn new() -> Self {
        Self { due: BTreeMap::new(), order: BTreeSet::new() }
    }

    /// Makes sure that the key comes up at `due` at the latest. It may come up earlier.
    pub(super) fn set_at_latest(&mut self, key: K, due: Instant) {
        if self.due.get(&key).is_none_or(|before| *before > due) {
            self.clear(key);
            self.due.insert(key, due);
            self.order.insert((due, key));
        }
    }

    pub(super) fn clear(&mut self, key: K) {
        if let Some(due) = self.due.remove(&key) {
            self.order.remove(&(due, key));
        }
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.order.first().map(|(due, _)| *due)
    }

    /// Takes out a key whose deadline has come.
    pub(super) fn pop(&mut self, now: Instant) -> Option<K> {
        let (_, key) = *self.order.first().filter(|(due, _)| *due <= now)?;
        self.clear(key);
        Some(key)
    }
}
