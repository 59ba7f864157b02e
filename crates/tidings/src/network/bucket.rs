//! Token buckets, one for each of those who come.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// The most keys whose buckets are remembered. A bucket that is full again says nothing and goes first.
pub(in crate::network) const MAX_BUCKETS: usize = 1024;

/// How much may come.
#[derive(Clone, Copy, Debug)]
pub(in crate::network) struct Rate {
    /// At once.
    pub(in crate::network) burst: u32,
    /// One more may come each time.
    pub(in crate::network) interval: Duration,
}

impl Rate {
    /// How long an empty bucket takes to be full.
    fn fill_time(self) -> Duration {
        self.interval * self.burst
    }
}

/// Buckets of one rate.
#[derive(Debug)]
pub(in crate::network) struct Buckets<K> {
    rate: Rate,
    /// When each is full again. One that is not here is full.
    full_at: HashMap<K, Instant>,
}

impl<K: Copy + Eq + Hash> Buckets<K> {
    pub(in crate::network) fn new(rate: Rate) -> Self {
        Self { rate, full_at: HashMap::new() }
    }

    /// Takes one out of a bucket; says whether there was one.
    pub(in crate::network) fn take(&mut self, key: K, now: Instant) -> bool {
        self.make_room(&key, now);
        let full_at = self.full_at.entry(key).or_insert(now);
        let after = (*full_at).max(now) + self.rate.interval;
        let within = after <= now + self.rate.fill_time();
        if within {
            *full_at = after;
        }
        within
    }

    fn make_room(&mut self, key: &K, now: Instant) {
        if self.full_at.len() < MAX_BUCKETS || self.full_at.contains_key(key) {
            return;
        }
        self.full_at.retain(|_, full_at| *full_at > now);
        if self.full_at.len() >= MAX_BUCKETS
            && let Some(fullest) = self.full_at.iter().min_by_key(|(_, full_at)| **full_at).map(|(key, _)| *key)
        {
            self.full_at.remove(&fullest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { burst: 8, interval: Duration::from_millis(250) };

    #[test]
    fn a_bucket_holds_its_burst_and_fills_at_its_rate() {
        let (mut buckets, start) = (Buckets::new(RATE), Instant::now());
        for _ in 0..RATE.burst {
            assert!(buckets.take('a', start));
        }
        assert!(!buckets.take('a', start));
        assert!(buckets.take('b', start), "another one has a bucket of its own");
        let next = start + RATE.interval;
        assert!(buckets.take('a', next));
        assert!(!buckets.take('a', next));
        let full = next + RATE.fill_time() * 2;
        assert_eq!((0..100).filter(|_| buckets.take('a', full)).count(), RATE.burst as usize);
    }

    #[test]
    fn the_table_forgets_the_fullest_and_stays_bounded() {
        let (mut buckets, now) = (Buckets::new(RATE), Instant::now());
        while buckets.take(usize::MAX, now) {}
        for key in 0..MAX_BUCKETS * 2 {
            assert!(buckets.take(key, now));
            assert!(buckets.full_at.len() <= MAX_BUCKETS);
        }
        assert!(!buckets.take(usize::MAX, now), "who comes most is not forgotten for those who came once");
    }
}
