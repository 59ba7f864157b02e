//! What a scenario expects beyond the promise.

use super::{Checker, Rule};
use crate::scenario::{Amount, Expect};

impl Checker {
    pub(super) fn judge_expectations(&mut self, finished: u64, expect: &Expect) {
        let figures = self.verdict.figures.clone();
        if let Some(delivered) = expect.delivered {
            let least = match delivered {
                Amount::All => figures.accepted - figures.ended.min(figures.accepted),
                Amount::AtLeast(least) => least,
            };
            self.expect(finished, figures.delivered >= least, || {
                format!("expected {least} messages delivered, got {}", figures.delivered)
            });
        }
        if let Some(least) = expect.accepted {
            self.expect(finished, figures.accepted >= least, || {
                format!("expected at least {least} messages accepted, got {}", figures.accepted)
            });
        }
        if let Some(most) = expect.refused {
            self.expect(finished, figures.refused <= most, || {
                format!("expected at most {most} messages refused, got {}", figures.refused)
            });
        }
        if let Some(least) = expect.ended {
            self.expect(finished, figures.ended >= least, || {
                format!("expected at least {least} messages ended undelivered, got {}", figures.ended)
            });
        }
        for (class, within) in &expect.shown_within {
            let mut latencies = figures.latencies.get(class).cloned().unwrap_or_default();
            latencies.sort_unstable();
            let slowest = percentile(&latencies, 99).unwrap_or(u64::MAX);
            self.expect(finished, slowest <= within.micros(), || match latencies.len() {
                0 => format!("expected messages of class {class:?}, got none"),
                _ => format!("expected 99 of 100 {class:?} messages within {:?}, got {slowest} us", within.0),
            });
        }
    }

    fn expect(&mut self, at: u64, holds: bool, what: impl FnOnce() -> String) {
        self.check(Rule::Expectation, at, holds, what);
    }
}

/// The value below which so many of a hundred lie; the values are sorted.
pub(crate) fn percentile(sorted: &[u64], percent: usize) -> Option<u64> {
    let last = sorted.len().checked_sub(1)?;
    sorted.get((sorted.len() * percent / 100).min(last)).copied()
}
