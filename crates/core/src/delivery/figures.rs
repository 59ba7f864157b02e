//! How well what this node sends arrives, measured at its sender. For people: nothing here decides anything.

use std::collections::VecDeque;
use std::time::Duration;

use crate::view::{DeliveryView, ReceiptTimes};

/// Receipt times that are kept for their distribution: 16 KiB.
const MAX_LATEST: usize = 1024;

/// What is measured since the start.
#[derive(Debug, Default)]
pub(super) struct Figures {
    /// Messages delivered before they ended.
    pub(super) in_time: u64,
    /// Messages that expired or failed.
    pub(super) missed: u64,
    receipts: u64,
    receipt_time: Duration,
    /// The latest, oldest first.
    latest: VecDeque<Duration>,
}

impl Figures {
    /// A receipt came so long after its parcel first left.
    pub(super) fn on_receipt(&mut self, took: Duration) {
        self.receipts += 1;
        self.receipt_time += took;
        if self.latest.len() >= MAX_LATEST {
            self.latest.pop_front();
        }
        self.latest.push_back(took);
    }

    pub(super) fn view(&self) -> DeliveryView {
        DeliveryView {
            in_time: self.in_time,
            missed: self.missed,
            receipts: self.receipts,
            receipt_time: self.receipt_time,
            latest: self.distribution(),
        }
    }

    fn distribution(&self) -> Option<ReceiptTimes> {
        let mut times: Vec<_> = self.latest.iter().copied().collect();
        times.sort_unstable();
        let max = *times.last()?;
        // The nearest rank: the lowest that so many in a hundred do not exceed.
        let quantile = |percent: usize| times[(times.len() * percent).div_ceil(100) - 1];
        let samples = times.len() as u64;
        Some(ReceiptTimes { samples, p50: quantile(50), p90: quantile(90), p99: quantile(99), max })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn quantiles_are_those_of_the_nearest_rank() {
        let mut figures = Figures::default();
        assert_eq!(figures.view().latest, None);
        figures.on_receipt(ms(7));
        let one = ReceiptTimes { samples: 1, p50: ms(7), p90: ms(7), p99: ms(7), max: ms(7) };
        assert_eq!(figures.view().latest, Some(one));
        for n in (1..=200).rev() {
            figures.on_receipt(ms(n));
        }
        let latest = figures.view().latest;
        let expected = ReceiptTimes { samples: 201, p50: ms(100), p90: ms(180), p99: ms(198), max: ms(200) };
        assert_eq!(latest, Some(expected));
    }

    #[test]
    fn only_the_latest_are_kept_and_all_are_counted() {
        let mut figures = Figures::default();
        figures.on_receipt(Duration::from_secs(3600));
        for _ in 0..MAX_LATEST {
            figures.on_receipt(ms(1));
        }
        let view = figures.view();
        assert_eq!(view.receipts, 1 + MAX_LATEST as u64);
        assert_eq!(view.receipt_time, Duration::from_secs(3600) + ms(MAX_LATEST as u64));
        let latest = view.latest.expect("there are some");
        assert_eq!((latest.samples, latest.max), (MAX_LATEST as u64, ms(1)));
    }
}
