//! Token buckets.

use std::time::Duration;

use crate::time::Instant;

/// How many at once, and how long one more takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate {
    pub(super) burst: u32,
    pub(super) interval: Duration,
}

/// A token bucket, kept as the moment at which it is full again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bucket {
    full_at: Instant,
}

impl Bucket {
    /// Takes a token if there is one.
    pub(super) fn take(&mut self, now: Instant, rate: Rate) -> bool {
        let enough = self.ready_at(rate) <= now;
        if enough {
            self.full_at = self.full_at.max(now) + rate.interval;
        }
        enough
    }

    /// From when on there is a token.
    pub(super) fn ready_at(&self, rate: Rate) -> Instant {
        let spread = rate.interval * rate.burst.saturating_sub(1);
        Instant(self.full_at.0.saturating_sub(u64::try_from(spread.as_micros()).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_one_an_interval() {
        let rate = Rate { burst: 5, interval: Duration::from_secs(5) };
        let (mut bucket, start) = (Bucket::default(), Instant(100_000_000));
        assert_eq!((0..10).filter(|_| bucket.take(start, rate)).count(), 5);
        assert_eq!(bucket.ready_at(rate), start + Duration::from_secs(5));
        let taken = (0..600).filter(|second| bucket.take(start + Duration::from_secs(*second), rate)).count();
        assert_eq!(taken, 119);
    }
}
