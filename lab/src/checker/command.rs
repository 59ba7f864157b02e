//! `tidings-lab check`: judges the logs in a folder.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};

use super::judge;
use crate::log::Line;
use crate::scenario;

/// Judge what the clients of a run wrote down.
#[derive(Debug, clap::Args)]
pub(crate) struct Check {
    /// The folder with the logs, `*.jsonl`
    logs: PathBuf,
    /// The scenario whose expectations are to be met
    #[arg(long)]
    scenario: Option<PathBuf>,
}

impl Check {
    /// Prints the verdict; fails where a rule did not hold.
    #[expect(clippy::print_stdout, reason = "the answer of a command")]
    pub(crate) fn run(&self) -> anyhow::Result<ExitCode> {
        let scenario = self.scenario.as_deref().map(scenario::load).transpose()?;
        let lines = read(&self.logs)?;
        let verdict = judge(&lines, scenario.as_ref().map(|scenario| &scenario.expect));
        let figures = &verdict.figures;
        println!("{} lines, {} checks", lines.len(), figures.checks);
        println!(
            "accepted {}, refused {}, delivered {}, ended {}, shown again {}",
            figures.accepted, figures.refused, figures.delivered, figures.ended, figures.shown_again
        );
        for violation in &verdict.violations {
            println!("violation: {violation}");
        }
        let kept = verdict.violations.is_empty();
        println!("{}", if kept { "the promise was kept" } else { "the promise was broken" });
        Ok(if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Reads all logs of a folder, ordered by time, and in each file's own order.
pub(crate) fn read(folder: &Path) -> anyhow::Result<Vec<Line>> {
    let entries = fs::read_dir(folder).with_context(|| format!("{}: expected a folder of logs", folder.display()))?;
    let mut files = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()?;
    files.retain(|file| file.extension().is_some_and(|ending| ending == "jsonl"));
    files.sort();
    if files.is_empty() {
        bail!("{}: expected at least one *.jsonl file, got none", folder.display());
    }
    let mut lines = Vec::new();
    for file in files {
        let reader = BufReader::new(fs::File::open(&file).with_context(|| file.display().to_string())?);
        for (number, text) in reader.lines().enumerate() {
            let text = text.with_context(|| file.display().to_string())?;
            let line: Line = serde_json::from_str(&text)
                .with_context(|| format!("{}, line {}: expected a log line", file.display(), number + 1))?;
            lines.push(line);
        }
    }
    // A stable order: lines of one moment stay as they stand.
    lines.sort_by_key(|line| line.at);
    Ok(lines)
}
