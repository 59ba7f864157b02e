//! `tidings-lab kinds`: what each kind of topology comes to in the same circumstances.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::bail;
use tidings_core::topology::Kind;

use super::run::{How, Outcome, run};
use super::shape::Figures;
use crate::checker::percentile;
use crate::scenario::{self, KindName, Scenario, Shape, SimExpect};

/// Run a scenario of an open topology once in each kind of topology, and show what each comes to side by side.
#[derive(Debug, clap::Args)]
pub(crate) struct Kinds {
    /// The scenario's file
    scenario: PathBuf,
    /// The seed of all runs
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// These kinds only
    #[arg(long, value_name = "KIND")]
    kind: Vec<Kind>,
}

impl Kinds {
    /// Runs the kinds one after another; fails where the promise was not kept. What the scenario expects of one shape
    /// is not expected here.
    #[expect(clippy::print_stdout, reason = "the answer of a command")]
    pub(crate) fn run(&self) -> anyhow::Result<ExitCode> {
        let scenario = scenario::load(&self.scenario)?;
        if scenario.topology.kind != Shape::Open {
            bail!("{} has a topology whose links are given; kinds differ in open ones", scenario.name);
        }
        let kinds = if self.kind.is_empty() { Kind::ALL.to_vec() } else { self.kind.clone() };
        println!("{}, seed {}: {}", scenario.name, self.seed, scenario.about);
        println!("{}", COLUMNS.map(|(name, width)| format!("{name:>width$}")).join(" "));
        let mut well = true;
        for kind in kinds {
            let outcome = run(&Arc::new(of_kind(&scenario, kind)), self.seed, &How::default());
            println!("{}", row(kind, &outcome));
            for violation in &outcome.verdict.violations {
                println!("violation: {kind}: {violation}");
            }
            well &= outcome.verdict.violations.is_empty();
        }
        Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn of_kind(scenario: &Scenario, kind: Kind) -> Scenario {
    let mut scenario = scenario.clone();
    scenario.nodes.topology = Some(KindName(kind));
    let quiet_after = scenario.sim.expect.quiet_after;
    scenario.sim.expect = SimExpect { quiet_after, ..SimExpect::default() };
    scenario
}

/// What stands in each column, and how wide it is.
const COLUMNS: [(&str, usize); 17] = [
    ("kind", 12),
    ("whole s", 8),
    ("healed s", 8),
    ("parts", 5),
    ("diameter", 8),
    ("path", 5),
    ("degree", 6),
    ("largest", 7),
    ("battery", 7),
    ("laid", 6),
    ("dropped", 7),
    ("lost", 6),
    ("control", 7),
    ("batt. all", 9),
    ("p50 ms", 8),
    ("p99 ms", 8),
    ("changes", 7),
];

fn row(kind: Kind, outcome: &Outcome) -> String {
    let none = Figures::default();
    let figures = outcome.tally.shapes.first().unwrap_or(&none);
    let reached = &outcome.tally.reached;
    let seconds =
        |times: &[u64]| times.iter().max().map_or("-".to_owned(), |most| format!("{:.2}", *most as f64 / 1e6));
    let mut latencies: Vec<_> = outcome.verdict.figures.latencies.values().flatten().copied().collect();
    latencies.sort_unstable();
    let shown = |percent| {
        let within = percentile(&latencies, percent);
        within.map_or("-".to_owned(), |micros| format!("{:.1}", micros as f64 / 1e3))
    };
    let cells = [
        kind.to_string(),
        seconds(&reached.formed),
        seconds(&reached.after_loss),
        figures.components.to_string(),
        figures.diameter.to_string(),
        format!("{:.2}", figures.mean_path),
        format!("{:.2}", figures.mean_degree),
        figures.largest_degree.to_string(),
        figures.battery_degree.map_or("-".to_owned(), |degree| format!("{degree:.2}")),
        format!("{:.3}", figures.laid),
        format!("{:.3}", figures.dropped),
        format!("{:.3}", figures.lost),
        format!("{:.0}", figures.written.control),
        figures.battery_written.map_or("-".to_owned(), |written| format!("{:.0}", written.all)),
        shown(50),
        shown(99),
        figures.changes.to.values().sum::<u64>().to_string(),
    ];
    let cells = cells.iter().zip(COLUMNS).map(|(cell, (_, width))| format!("{cell:>width$}"));
    cells.collect::<Vec<_>>().join(" ")
}
