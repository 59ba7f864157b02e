//! Which idempotency keys were used lately: only those few need a look into the database.

use std::collections::{BTreeSet, VecDeque};

use crate::message::{IDEMPOTENCY_RETENTION, MAX_IDEMPOTENCY_KEYS};
use crate::time::Age;

/// Keys used within their retention, the oldest forgotten first. At most 100,000 of 24 bytes, twice.
#[derive(Debug, Default)]
pub(super) struct UsedKeys {
    by_age: VecDeque<(Age, [u8; 16])>,
    keys: BTreeSet<[u8; 16]>,
}

impl UsedKeys {
    /// The ages of restored keys are not known; they count from now.
    pub(super) fn restore(keys: &[[u8; 16]], age: Age) -> Self {
        let mut used = Self::default();
        for key in keys {
            used.insert(*key, age);
        }
        used
    }

    pub(super) fn contains(&self, key: &[u8; 16]) -> bool {
        self.keys.contains(key)
    }

    pub(super) fn insert(&mut self, key: [u8; 16], age: Age) {
        while self.by_age.front().is_some_and(|(used, _)| {
            self.by_age.len() >= MAX_IDEMPOTENCY_KEYS || used.until(age) >= IDEMPOTENCY_RETENTION
        }) {
            if let Some((_, oldest)) = self.by_age.pop_front() {
                self.keys.remove(&oldest);
            }
        }
        if self.keys.insert(key) {
            self.by_age.push_back((age, key));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_key_goes_when_the_bound_is_reached() {
        let mut used = UsedKeys::default();
        for number in 0..=MAX_IDEMPOTENCY_KEYS as u128 {
            used.insert(number.to_be_bytes(), Age(0));
        }
        assert!(!used.contains(&0u128.to_be_bytes()));
        assert!(used.contains(&1u128.to_be_bytes()));
        assert_eq!(used.keys.len(), MAX_IDEMPOTENCY_KEYS);
    }

    #[test]
    fn a_key_is_forgotten_after_its_retention() {
        let mut used = UsedKeys::default();
        used.insert([1; 16], Age(0));
        used.insert([2; 16], Age(0) + IDEMPOTENCY_RETENTION);
        assert!(!used.contains(&[1; 16]));
    }
}
