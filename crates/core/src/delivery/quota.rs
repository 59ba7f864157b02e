//! How much may wait in the outbox: the least urgent class is refused first, at the API.

use crate::class::Class;

/// How full the outbox may be for a class to be taken, in percent.
const SHARES: [u64; 5] = [100, 95, 85, 70, 50];

/// Bytes that wait, by class.
#[derive(Debug)]
pub(super) struct Quota {
    used: [u64; 5],
    limit: u64,
}

impl Quota {
    pub(super) fn restore(used: [u64; 5], limit: u64) -> Self {
        Self { used, limit }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.used.iter().sum()
    }

    /// Takes room for a message, if its class has any left.
    pub(super) fn take(&mut self, class: Class, bytes: u64) -> bool {
        // The bounds of the more urgent classes hold too: each is for the class and all below it.
        let fits = SHARES.iter().enumerate().take(class.index() + 1).all(|(bound, share)| {
            let below: u64 = self.used[bound..].iter().sum();
            below.saturating_add(bytes) <= self.limit / 100 * share
        });
        if fits {
            self.used[class.index()] += bytes;
        }
        fits
    }

    /// Gives room back.
    pub(super) fn give(&mut self, class: Class, bytes: u64) {
        let used = &mut self.used[class.index()];
        *used = used.saturating_sub(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_urgent_class_is_refused_first() {
        let mut quota = Quota::restore([0; 5], 1000);
        assert!(quota.take(Class::Bulk, 500));
        assert!(!quota.take(Class::Bulk, 1));
        assert!(quota.take(Class::Normal, 350));
        assert!(!quota.take(Class::Normal, 1));
        assert!(quota.take(Class::Critical, 150));
        assert!(!quota.take(Class::Critical, 1));
        quota.give(Class::Bulk, 500);
        quota.give(Class::Normal, 1);
        assert!(quota.take(Class::Bulk, 1));
    }
}
