//! What a scenario expects of the simulated network itself; docs/spec/scenario.md §7.

use std::collections::{BTreeMap, HashMap};

use super::node::LabSealer;
use super::world::World;
use crate::checker::{Rule, Violation, percentile};
use crate::log::{Entry, Line};
use crate::scenario::{ClassName, KindName, SimExpect};

impl<S: LabSealer> World<S> {
    /// What is not as expected.
    pub(super) fn judge(&self, expect: &SimExpect) -> Vec<Violation> {
        let mut missed = Vec::new();
        let mut miss = |what| missed.push(Violation { rule: Rule::Expectation, at: self.now, what });
        let reached = &self.reach.reached;
        for (name, within, times) in [
            ("after the last link came up", expect.formed_within, &reached.formed),
            ("after something was lost", expect.healed_within, &reached.after_loss),
        ] {
            let mut times = times.clone();
            times.sort_unstable();
            match (within, percentile(&times, 99)) {
                (Some(within), Some(took)) if took > within.micros() => {
                    miss(format!(
                        "expected that everybody reaches everybody within {:?} {name}, got {took} us",
                        within.0
                    ));
                }
                (Some(_), None) => miss(format!("expected that everybody reaches everybody {name}, got never")),
                (Some(_) | None, _) => {}
            }
        }
        for (most, got, what) in [
            (expect.quiet_bytes, reached.quiet_bytes_per_minute(), "bytes of routing per node and minute"),
            (expect.far_updates, self.far_updates(), "updates a minute far from what flaps"),
        ] {
            match (most, got) {
                (Some(most), Some(got)) if got > most => miss(format!("expected at most {most} {what}, got {got}")),
                (Some(most), None) => miss(format!("expected at most {most} {what}, and nothing was measured")),
                (Some(_), Some(_)) | (None, _) => {}
            }
        }
        if let Some(most) = expect.held_bytes.filter(|most| self.tally.held_bytes > *most) {
            miss(format!("expected at most {most} bytes held by a relay, got {}", self.tally.held_bytes));
        }
        if let Some(least) = expect.fairness {
            let got = fairness(&self.log);
            if got < u64::from(least.0) {
                miss(format!("expected a fairness of {} millionths, got {got}", least.0));
            }
        }
        self.judge_shape(expect, &mut miss);
        missed
    }
}

impl<S: LabSealer> World<S> {
    /// What is not as expected of the shape that nodes gave to an open topology.
    fn judge_shape(&self, expect: &SimExpect, miss: &mut impl FnMut(String)) {
        let Some(figures) = &self.shaping.figures else { return };
        let changes = &figures.changes;
        for (most, got, what) in [
            (expect.diameter, u64::from(figures.diameter), "links between two nodes"),
            (expect.largest_degree, figures.largest_degree as u64, "links of a node"),
            (expect.one_component.then_some(1), figures.components as u64, "component"),
            (expect.kind_changes, changes.most, "changes of kind of a node"),
        ] {
            if let Some(most) = most.filter(|most| got > *most) {
                miss(format!("expected at most {most} {what}, got {got}"));
            }
        }
        let per_hour = (figures.laid + figures.dropped) * 60.0;
        if let Some(most) = expect.link_changes.filter(|most| per_hour > *most as f64) {
            miss(format!("expected at most {most} links laid and dropped per node and hour, got {per_hour:.2}"));
        }
        if let Some(KindName(kind)) = expect.kind {
            let of = figures.kinds.get(&kind).copied().unwrap_or_default();
            if of * 10 < figures.living * 9 {
                miss(format!("expected that nine in ten nodes lay links as {kind}, got {of} of {}", figures.living));
            }
        }
        if let (Some(least), Some(got)) = (expect.kinds_apart, changes.apart)
            && got < least.micros()
        {
            miss(format!("expected at least {:?} between two changes of a node's kind, got {got} us", least.0));
        }
    }
}

/// Jain's index over what was shown of each sender while messages were sent, in millionths: that of the class in which
/// it is lowest, of those that several nodes send in.
pub(super) fn fairness(log: &[Line]) -> u64 {
    let mut classes: BTreeMap<ClassName, BTreeMap<u32, u128>> = BTreeMap::new();
    let mut sent = HashMap::new();
    for line in log {
        match (&line.entry, line.node) {
            (Entry::Submit { messages, .. }, Some(node)) => {
                for message in messages {
                    sent.insert(message.hash, (message.class, node));
                    classes.entry(message.class).or_default().entry(node).or_default();
                }
            }
            (Entry::Shown { hash, .. }, _) => {
                if let Some((class, node)) = sent.remove(hash) {
                    *classes.entry(class).or_default().entry(node).or_default() += 1;
                }
            }
            (Entry::Healed { .. }, _) => break,
            (_, _) => {}
        }
    }
    classes.values().filter(|senders| senders.len() > 1).map(jain).min().unwrap_or(1_000_000)
}

fn jain(shown: &BTreeMap<u32, u128>) -> u64 {
    let sum: u128 = shown.values().sum();
    let squares: u128 = shown.values().map(|count| count.pow(2)).sum();
    u64::try_from(sum.pow(2) * 1_000_000 / (squares * shown.len() as u128).max(1)).unwrap_or(u64::MAX)
}
