//! One table of deadlines, for modules that have many of them.

use std::collections::{BTreeMap, BTreeSet};

use crate::time::Instant;

/// At most one deadline for each key.
#[derive(Debug)]
pub(crate) struct Timers<K> {
    due: BTreeMap<K, Instant>,
    order: BTreeSet<(Instant, K)>,
}

impl<K> Default for Timers<K> {
    fn default() -> Self {
        Self { due: BTreeMap::new(), order: BTreeSet::new() }
    }
}

impl<K: Ord + Clone> Timers<K> {
    pub(crate) fn len(&self) -> usize {
        self.due.len()
    }

    pub(crate) fn contains(&self, key: &K) -> bool {
        self.due.contains_key(key)
    }

    /// Replaces the key's deadline; `None` removes it.
    pub(crate) fn set(&mut self, key: &K, due: Option<Instant>) {
        let before = self.due.get(key).copied();
        if before == due {
            return;
        }
        if let Some(before) = before {
            self.order.remove(&(before, key.clone()));
            self.due.remove(key);
        }
        if let Some(due) = due {
            self.order.insert((due, key.clone()));
            self.due.insert(key.clone(), due);
        }
    }

    /// Makes sure that the key comes up at `due` at the latest. It may come up earlier.
    pub(crate) fn set_at_latest(&mut self, key: &K, due: Instant) {
        if self.due.get(key).is_none_or(|before| *before > due) {
            self.set(key, Some(due));
        }
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.order.first().map(|(due, _)| *due)
    }

    /// Takes out a key whose deadline has come.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<K> {
        let (due, key) = self.order.first()?;
        if *due > now {
            return None;
        }
        let key = key.clone();
        self.set(&key, None);
        Some(key)
    }
}
