//! Makes a failing seed small: fewer faults, a shorter run, fewer kinds of messages, and the same rule broken.
//!
//! What is left is written as a scenario of its own, its faults at fixed times and places, that fails from the same
//! seed; where the circumstances of the swarm are needed too, it keeps them.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;

use super::faults::Fault;
use super::run::{How, Outcome, planned, run};
use crate::checker::Rule;
use crate::scenario::{Scenario, Span};

/// The most runs that are tried.
const MOST_RUNS: usize = 400;

/// A seed that fails, and what of it is still there.
struct Shrinking {
    scenario: Scenario,
    faults: Vec<Fault>,
    seed: u64,
    rule: Rule,
    runs: usize,
}

/// Writes the smallest scenario found that breaks the same rule from the same seed.
#[expect(clippy::print_stdout, reason = "the answer of a command")]
pub(super) fn shrink(scenario: &Arc<Scenario>, seed: u64, file: &Path) -> anyhow::Result<()> {
    let first = run(scenario, seed, &How::default());
    let Some(violation) = first.verdict.violations.first() else { return Ok(()) };
    let faults = planned(scenario, seed);
    let scenario = Scenario::clone(scenario);
    let mut shrinking = Shrinking { scenario, faults, seed, rule: violation.rule, runs: 0 };
    let before = shrinking.faults.len();
    shrinking.shorten();
    shrinking.drop_faults();
    shrinking.drop_sends();
    shrinking.shorten();
    let text = shrinking.written();
    fs::write(file, text).with_context(|| file.display().to_string())?;
    println!(
        "shrunk to {} of {before} faults, {} of the streams of messages, {:?}, in {} runs: {}",
        shrinking.faults.len(),
        shrinking.scenario.send.len(),
        shrinking.scenario.length.0,
        shrinking.runs,
        file.display(),
    );
    Ok(())
}

impl Shrinking {
    /// Whether the rule is still broken with this scenario and these faults.
    fn fails(&mut self, scenario: &Scenario, faults: &[Fault]) -> bool {
        if self.runs >= MOST_RUNS {
            return false;
        }
        self.runs += 1;
        let how = How { faults: Some(faults.to_vec()), ..How::default() };
        let Outcome { verdict, .. } = run(&Arc::new(scenario.clone()), self.seed, &how);
        verdict.violations.iter().any(|violation| violation.rule == self.rule)
    }

    /// Halves the time during which things happen, as long as that can be.
    fn shorten(&mut self) {
        while self.scenario.length.micros() > 2_000_000 {
            let mut shorter = self.scenario.clone();
            shorter.length = Span(self.scenario.length.0 / 2);
            for send in &mut shorter.send {
                send.end = send.end.map(|end| end.min(shorter.length));
            }
            shorter.send.retain(|send| send.begin.is_none_or(|begin| begin <= shorter.length));
            let within = |fault: &&Fault| fault.begins_after() <= shorter.length.micros();
            let faults: Vec<_> = self.faults.iter().filter(within).cloned().collect();
            if shorter.send.is_empty() || !self.fails(&shorter, &faults) {
                return;
            }
            (self.scenario, self.faults) = (shorter, faults);
        }
    }

    /// Leaves out faults: halves, quarters, and so on down to single ones.
    fn drop_faults(&mut self) {
        let mut size = self.faults.len().div_ceil(2);
        while size > 0 && !self.faults.is_empty() {
            let mut at = 0;
            while at < self.faults.len() {
                let mut fewer = self.faults.clone();
                fewer.drain(at..(at + size).min(fewer.len()));
                let scenario = self.scenario.clone();
                if self.fails(&scenario, &fewer) {
                    self.faults = fewer;
                } else {
                    at += size;
                }
            }
            size /= 2;
        }
    }

    /// Leaves out streams of messages.
    fn drop_sends(&mut self) {
        let mut at = 0;
        while self.scenario.send.len() > 1 && at < self.scenario.send.len() {
            let mut fewer = self.scenario.clone();
            fewer.send.remove(at);
            let faults = self.faults.clone();
            if self.fails(&fewer, &faults) {
                self.scenario = fewer;
            } else {
                at += 1;
            }
        }
    }

    /// What is left, as a file.
    fn written(&self) -> String {
        let mut scenario = self.scenario.clone();
        scenario.about =
            format!("Seed {} of {}, made small: breaks the rule {:?}.", self.seed, scenario.name, self.rule);
        scenario.fault = self.faults.iter().map(|fault| fault.plan.clone()).collect();
        (scenario.sim.circumstances, scenario.sim.swarm) = (scenario.sim.swarm, false);
        scenario.to_text()
    }
}
