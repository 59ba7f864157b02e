//! `tidings-lab report`: every scenario on one page, its figures compared with the baseline in the tree.
//!
//! What follows from a seed is compared for equality: any difference is a change of what Tidings does, meant or not.
//! What follows from the machine is shown and never compared.

mod baseline;
mod measure;
mod page;
mod plot;

#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;

use self::baseline::{Baseline, Difference, FILE, differences, gone};
use self::measure::measure;
use crate::sim::scenarios;

/// Run every scenario, write one page with figures and plots, and compare with the baseline.
#[derive(Debug, clap::Args)]
pub(crate) struct Report {
    /// Scenario files; all of lab/scenarios where none is named
    scenarios: Vec<PathBuf>,
    /// How many seeds of each scenario run besides, with all that a seed adds
    #[arg(long, default_value_t = 10)]
    seeds: u64,
    /// Where the page is written
    #[arg(long, value_name = "FILE", default_value = "target/report.html")]
    out: PathBuf,
    /// Fail where a figure differs from the baseline
    #[arg(long, conflicts_with = "bless")]
    check: bool,
    /// Take what is measured as the baseline from now on
    #[arg(long)]
    bless: bool,
}

impl Report {
    /// Measures, writes and compares; fails where a rule did not hold, or a figure differs that is checked.
    #[expect(clippy::print_stdout, reason = "the answer of a command")]
    pub(crate) fn run(&self) -> anyhow::Result<ExitCode> {
        let known = baseline::read(Path::new(FILE))?;
        let mut measured = Vec::new();
        for scenario in scenarios(&self.scenarios)? {
            let result = measure(&scenario, self.seeds);
            let (simulated, took) = (result.simulated.as_secs_f64(), result.took.as_secs_f64());
            println!("{}: {simulated:.0} s simulated in {took:.2} s", scenario.name);
            for violation in &result.violations {
                println!("violation: {}: {violation}", scenario.name);
            }
            measured.push(result);
        }
        let figures: Baseline =
            measured.iter().map(|measured| (measured.scenario.name.clone(), measured.figures)).collect();
        let found = self.compare(&known, &figures);
        for Difference { scenario, what } in &found {
            println!("{scenario}: {what}");
        }
        self.write_page(&page::page(&measured, &known, &found))?;
        if self.bless {
            baseline::write(Path::new(FILE), &self.blessed(known, figures))?;
            println!("{FILE} is written");
        } else if !found.is_empty() {
            println!("{} differences; where they are meant: tidings-lab report --bless", found.len());
        }
        println!("{} is written", self.out.display());
        let kept = measured.iter().all(|measured| measured.violations.is_empty() && measured.swarm.failed.is_empty());
        Ok(if kept && (found.is_empty() || !self.check) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn compare(&self, known: &Baseline, figures: &Baseline) -> Vec<Difference> {
        let mut found = differences(known, figures);
        if self.scenarios.is_empty() {
            found.extend(gone(known, figures));
        }
        found
    }

    /// Scenarios that did not run keep their figures, unless all that there are have run.
    fn blessed(&self, mut known: Baseline, figures: Baseline) -> Baseline {
        if self.scenarios.is_empty() {
            return figures;
        }
        known.extend(figures);
        known
    }

    fn write_page(&self, page: &str) -> anyhow::Result<()> {
        if let Some(folder) = self.out.parent() {
            fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        fs::write(&self.out, page).with_context(|| self.out.display().to_string())
    }
}
