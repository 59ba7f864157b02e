//! Measures a scenario: one run without the swarm, whose figures follow from its seed, and a number of seeds with it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::baseline::Figures;
use crate::log::{Entry, Line, Outcome as Result};
use crate::scenario::{ClassName, Scenario, SealerChoice};
use crate::sim::{BEGIN, Fault, How, Summary, planned, run, swarm};

/// The seed of the run that is compared.
const SEED: u64 = 1;

/// What is known of a scenario.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) scenario: Arc<Scenario>,
    pub(super) nodes: usize,
    pub(super) figures: Figures,
    /// From acceptance to the first showing, in microseconds, sorted, by class.
    pub(super) latencies: Vec<(ClassName, Vec<u64>)>,
    /// Microseconds after the beginning, one for each message.
    pub(super) accepted_at: Vec<u64>,
    pub(super) shown_at: Vec<u64>,
    pub(super) faults: Vec<Fault>,
    pub(super) violations: Vec<String>,
    pub(super) simulated: Duration,
    pub(super) took: Duration,
    pub(super) swarm: Summary,
}

/// Runs a scenario once as it stands, with the sealer that follows from the seed, and then so many of its seeds.
pub(super) fn measure(scenario: &Arc<Scenario>, seeds: u64) -> Measured {
    let mut plain = Scenario::clone(scenario);
    (plain.sim.swarm, plain.sim.circumstances, plain.sim.sealer) = (false, false, SealerChoice::Cheap);
    let plain = Arc::new(plain);
    let faults = planned(&plain, SEED);
    let how = How { traced: false, logged: true, faults: Some(faults.clone()) };
    let outcome = run(&plain, SEED, &how);
    let (accepted_at, shown_at) = times(&outcome.log);
    let mut latencies: Vec<_> = outcome.verdict.figures.latencies.into_iter().collect();
    latencies.iter_mut().for_each(|(_, latencies)| latencies.sort_unstable());
    Measured {
        nodes: outcome.nodes,
        figures: Figures {
            events: outcome.events,
            frames: outcome.tally.frames,
            bytes: outcome.tally.bytes,
            accepted: outcome.verdict.figures.accepted,
            delivered: outcome.verdict.figures.delivered,
            ended: outcome.verdict.figures.ended,
        },
        latencies,
        accepted_at,
        shown_at,
        faults,
        violations: outcome.verdict.violations.iter().map(ToString::to_string).collect(),
        simulated: outcome.simulated,
        took: outcome.took,
        swarm: swarm(scenario, 0..seeds),
        scenario: scenario.clone(),
    }
}

/// When messages were accepted, and when they were shown first.
fn times(log: &[Line]) -> (Vec<u64>, Vec<u64>) {
    let (mut accepted, mut shown, mut known) = (Vec::new(), Vec::new(), BTreeSet::new());
    for line in log {
        let at = line.at.saturating_sub(BEGIN);
        if let Entry::Answer { results, .. } = &line.entry {
            let count = results.iter().filter(|result| matches!(result, Result::Accepted(_))).count();
            accepted.extend(std::iter::repeat_n(at, count));
        } else if let Entry::Shown { id, from, .. } = &line.entry
            && known.insert((*id, *from))
        {
            shown.push(at);
        }
    }
    (accepted, shown)
}
