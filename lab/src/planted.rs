//! `tidings-lab planted`: plants known bugs, one at a time, and sees whether the simulator notices.
//!
//! A bug is a diff in `lab/planted`. Each is applied to a copy of the workspace within the target folder, where the
//! simulator is built and runs seeds until one breaks a rule. A bug that nobody notices is a hole in the lab; a diff
//! that does not apply any more describes code that is gone.

mod bug;
mod copy;
mod hunt;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};

use self::bug::Bug;
use self::copy::Copy;
use self::hunt::{End, Hunt};

/// Says which bugs `--rotate` takes, in place of the day.
const ROTATION: &str = "TIDINGS_LAB_ROTATION";

/// Plant bugs in a copy of the source tree, and see whether the simulator notices.
#[derive(Debug, clap::Args)]
pub(crate) struct Planted {
    /// Bugs by name; all of lab/planted where none is named
    names: Vec<String>,
    /// How many seeds are run for each, shared out among the scenarios
    #[arg(long, default_value_t = 300)]
    seeds: u64,
    /// Take so many of the bugs: others each day, or by the number in TIDINGS_LAB_ROTATION
    #[arg(long, value_name = "COUNT", conflicts_with = "names")]
    rotate: Option<usize>,
    /// Run these scenario files only
    #[arg(long, value_name = "FILE")]
    scenario: Vec<PathBuf>,
    /// How long seeds are run for one bug at most, in seconds
    #[arg(long, default_value_t = 900)]
    limit: u64,
    /// How many seeds run, and crates are built, at the same time; as many as there are processors
    #[arg(long)]
    jobs: Option<usize>,
    /// Only check that every diff applies
    #[arg(long)]
    check: bool,
}

/// What became of the bugs.
#[derive(Debug, Default)]
struct Tally {
    /// How many seeds it took, for each that was caught.
    caught: Vec<u64>,
    panics: usize,
    survived: Vec<String>,
    /// Seeds that fail without the bug too.
    unfounded: Vec<String>,
}

impl Planted {
    /// Plants the bugs; fails where a diff does not apply or a bug survives.
    pub(crate) fn run(&self) -> anyhow::Result<ExitCode> {
        let all = bug::load()?;
        let bugs = self.choose(&all)?;
        let copy = Copy::of_workspace(self.jobs)?;
        let stale: Vec<_> = all.iter().filter_map(|bug| copy.refuses(bug).transpose()).collect::<Result<_, _>>()?;
        if !stale.is_empty() {
            bail!("expected every diff to apply, got {}:\n{}", stale.len(), stale.join("\n"));
        }
        if self.check {
            tell(&format!("planted {}: all apply", all.len()));
            return Ok(ExitCode::SUCCESS);
        }
        let healthy = copy.build_healthy()?;
        let limit = Duration::from_secs(self.limit);
        let hunt = Hunt { scenarios: self.scenarios()?, seeds: self.seeds, jobs: self.jobs, limit, tree: copy.tree() };
        let mut tally = Tally::default();
        for bug in bugs {
            let sick = copy.plant(bug)?;
            let end = hunt.run(&sick)?;
            let unfounded = match &end {
                End::Caught(caught) => !hunt.passes(&healthy, caught)?,
                End::Survived { .. } => false,
            };
            tell(&format!("{:<34} {end}", bug.name));
            tally.add(bug, &end, unfounded);
        }
        tell(&tally.sentence());
        Ok(if tally.is_well() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn choose<'a>(&self, all: &'a [Bug]) -> anyhow::Result<Vec<&'a Bug>> {
        if let Some(count) = self.rotate {
            return Ok(bug::rotated(all, count, rotation()?));
        }
        if self.names.is_empty() {
            return Ok(all.iter().collect());
        }
        let find = |name: &String| {
            let found = all.iter().find(|bug| bug.name == *name);
            found.with_context(|| format!("expected a bug of {}, got {name:?}", bug::FOLDER))
        };
        self.names.iter().map(find).collect()
    }

    /// The simulator runs within the copy.
    fn scenarios(&self) -> anyhow::Result<Vec<PathBuf>> {
        let absolute = |file: &PathBuf| file.canonicalize().with_context(|| file.display().to_string());
        self.scenario.iter().map(absolute).collect()
    }
}

/// The day, or what the environment says.
fn rotation() -> anyhow::Result<u64> {
    match std::env::var(ROTATION) {
        Ok(text) => text.parse().with_context(|| format!("expected a number in {ROTATION}, got {text:?}")),
        Err(_) => Ok(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() / 86_400)),
    }
}

impl Tally {
    fn add(&mut self, bug: &Bug, end: &End, unfounded: bool) {
        match end {
            End::Caught(_) if unfounded => self.unfounded.push(bug.name.clone()),
            End::Caught(caught) => {
                self.caught.push(caught.seeds);
                self.panics += usize::from(caught.panicked());
            }
            End::Survived { .. } => self.survived.push(bug.name.clone()),
        }
    }

    fn is_well(&self) -> bool {
        self.survived.is_empty() && self.unfounded.is_empty()
    }

    fn sentence(&self) -> String {
        let mut seeds = self.caught.clone();
        seeds.sort_unstable();
        let median = seeds.get(seeds.len() / 2).copied().unwrap_or_default();
        let most = seeds.last().copied().unwrap_or_default();
        let count = self.caught.len() + self.survived.len() + self.unfounded.len();
        let mut text = format!(
            "planted {count}: caught {} ({} by a panic), survived {}; median {median} seeds, at most {most}",
            self.caught.len(),
            self.panics,
            self.survived.len(),
        );
        for name in &self.survived {
            text.push_str(&format!("\nsurvived: {name}"));
        }
        for name in &self.unfounded {
            text.push_str(&format!("\nthe seed fails without the bug too: {name}"));
        }
        text
    }
}

#[expect(clippy::print_stdout, reason = "the answer of a command")]
fn tell(text: &str) {
    println!("{text}");
}
