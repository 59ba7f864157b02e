//! What a link costs, from what was measured on it; docs/spec/routing.md §6.

use std::time::Duration;

use crate::time::Instant;

/// The highest cost of a link.
pub(crate) const MAX_LINK_COST: u8 = 15;

/// Up to which round trip, in milliseconds and with losses counted in, a link costs 1, 2, 3 …; beyond the last it
/// costs 15. A hop on a local network costs 1, a continent 9: fifteen steps because a cost is a step of the chain.
const STEPS_MS: [u64; 14] = [5, 10, 15, 20, 30, 40, 60, 80, 120, 160, 250, 400, 800, 1_600];

/// How long a measurement must say the same before it is believed.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was measured on a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Measured {
    /// The smoothed round trip.
    pub(crate) round_trip: Duration,
    /// Lost out of a thousand; what is sent again takes another round trip.
    pub(crate) loss_permille: u16,
    /// What its energy costs, in steps: 0 on the mains, more for radios that a battery feeds.
    pub(crate) energy: u8,
}

impl Measured {
    /// The cost that this measurement stands for, 1 to 15.
    pub(crate) fn cost(&self) -> u8 {
        self.step(self.effective_us())
    }

    /// The round trip with what is lost both ways sent again: divided by (1 − loss)².
    fn effective_us(&self) -> u64 {
        let kept = 1000 - u64::from(self.loss_permille.min(900));
        let round_trip = u64::try_from(self.round_trip.as_micros()).unwrap_or(u64::MAX);
        round_trip.saturating_mul(1_000_000) / (kept * kept)
    }

    fn step(&self, effective_us: u64) -> u8 {
        let steps = STEPS_MS.iter().take_while(|limit| effective_us > **limit * 1000).count();
        let steps = u8::try_from(steps).unwrap_or(MAX_LINK_COST);
        (1 + steps).saturating_add(self.energy).min(MAX_LINK_COST)
    }
}

/// The cost of one link, changed only by what lasts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LinkCost {
    current: Option<u8>,
    /// What is measured instead, and since when.
    other: Option<Instant>,
}

impl LinkCost {
    /// Takes a measurement; returns the cost if it is the first or another one.
    ///
    /// A measurement is another one only if it would still be with a quarter more and with a quarter less, and for 10 s.
    pub(crate) fn on_measured(&mut self, now: Instant, measured: &Measured) -> Option<u8> {
        let (cost, effective) = (measured.cost(), measured.effective_us());
        let Some(current) = self.current else {
            self.current = Some(cost);
            return Some(cost);
        };
        let within = measured.step(effective / 4 * 3)..=measured.step(effective.saturating_add(effective / 4));
        if within.contains(&current) {
            self.other = None;
            return None;
        }
        let since = *self.other.get_or_insert(now);
        if now.since(since) < PATIENCE {
            return None;
        }
        (self.current, self.other) = (Some(cost), None);
        Some(cost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(round_trip_ms: u64, loss_permille: u16, energy: u8) -> Measured {
        Measured { round_trip: Duration::from_millis(round_trip_ms), loss_permille, energy }
    }

    #[test]
    fn cost_rises_with_round_trip_loss_and_energy() {
        let cases = [
            (at(0, 0, 0), 1),
            (at(5, 0, 0), 1),
            (at(6, 0, 0), 2),
            (at(100, 0, 0), 9),
            (at(100, 300, 0), 11),
            (at(100, 1000, 0), 15),
            (at(1_700, 0, 0), 15),
            (at(1, 0, 4), 5),
            (at(1, 0, 255), 15),
        ];
        for (measured, cost) in cases {
            assert_eq!(measured.cost(), cost, "{measured:?}");
        }
    }

    #[test]
    fn a_cost_changes_only_by_what_lasts_and_differs_enough() {
        let mut cost = LinkCost::default();
        let second = |n: u64| Instant(n * 1_000_000);
        assert_eq!(cost.on_measured(second(0), &at(5, 0, 0)), Some(1));
        // A little more is no news, however long it lasts.
        assert_eq!(cost.on_measured(second(1), &at(6, 0, 0)), None);
        assert_eq!(cost.on_measured(second(60), &at(6, 0, 0)), None);
        // Much more is, once it has lasted without a break.
        assert_eq!(cost.on_measured(second(61), &at(50, 0, 0)), None);
        assert_eq!(cost.on_measured(second(65), &at(5, 0, 0)), None);
        assert_eq!(cost.on_measured(second(66), &at(50, 0, 0)), None);
        assert_eq!(cost.on_measured(second(75), &at(50, 0, 0)), None);
        assert_eq!(cost.on_measured(second(76), &at(50, 0, 0)), Some(7));
    }
}
