//! Runs seeds with a bug until one is noticed.

use std::fmt;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// The first seed. Seed 0 runs the real sealer, whose keys the system draws.
const FIRST: u64 = 1;
/// What a panic of the engine looks like in a violation.
const PANIC: &str = "the engine panicked";

/// How seeds are run.
#[derive(Debug)]
pub(super) struct Hunt {
    /// Scenario files; all of lab/scenarios where there are none.
    pub(super) scenarios: Vec<PathBuf>,
    pub(super) seeds: u64,
    pub(super) jobs: Option<usize>,
    pub(super) limit: Duration,
    /// Where the simulator runs.
    pub(super) tree: PathBuf,
}

/// A seed that broke a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Caught {
    pub(super) scenario: String,
    pub(super) seed: u64,
    /// How many seeds it took.
    pub(super) seeds: u64,
    pub(super) violation: String,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    Caught(Caught),
    Survived { seeds: u64, took: Duration },
}

impl Hunt {
    /// Runs the simulator until a seed is caught.
    pub(super) fn run(&self, simulator: &Path) -> anyhow::Result<End> {
        let began = Instant::now();
        let mut command = self.simulator(simulator);
        command.args(&self.scenarios).arg("--first").arg(FIRST.to_string()).arg("--seeds").arg(self.seeds.to_string());
        command.args(self.jobs.map(|jobs| format!("--jobs={jobs}")));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().context("the simulator")?;
        let found = self.first_violation(&mut child, began);
        let ended = child.try_wait()?;
        child.kill()?;
        child.wait()?;
        match (found?, ended) {
            (Some(caught), _) => Ok(End::Caught(caught)),
            (None, Some(status)) if !status.success() => bail!("expected violations or none, got {status}"),
            (None, Some(_) | None) => Ok(End::Survived { seeds: self.seeds, took: began.elapsed() }),
        }
    }

    /// Whether a seed breaks no rule in a simulator.
    pub(super) fn passes(&self, simulator: &Path, caught: &Caught) -> anyhow::Result<bool> {
        let by_name = |file: &&PathBuf| file.file_stem().is_some_and(|stem| *stem == *caught.scenario);
        let usual = || PathBuf::from(format!("lab/scenarios/{}.toml", caught.scenario));
        let file = self.scenarios.iter().find(by_name).cloned().unwrap_or_else(usual);
        let mut command = self.simulator(simulator);
        command.arg(file).arg("--seed").arg(caught.seed.to_string()).stdout(Stdio::null());
        Ok(command.status().context("the simulator")?.success())
    }

    fn simulator(&self, simulator: &Path) -> Command {
        let mut command = Command::new(simulator);
        command.arg("sim").current_dir(&self.tree);
        command
    }

    /// Reads what the simulator tells, as long as the limit allows.
    fn first_violation(&self, child: &mut Child, began: Instant) -> anyhow::Result<Option<Caught>> {
        let output = child.stdout.take().context("the simulator's output")?;
        let (send, receive) = sync_channel(16);
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        loop {
            match receive.recv_timeout(self.limit.saturating_sub(began.elapsed())) {
                Ok(line) => {
                    if let Some(caught) = read_violation(&line) {
                        return Ok(Some(caught));
                    }
                }
                Err(RecvTimeoutError::Timeout) => return Ok(None),
                Err(RecvTimeoutError::Disconnected) => {
                    child.wait()?;
                    return Ok(None);
                }
            }
        }
    }
}

/// Reads `violation: SCENARIO, seed SEED: TEXT`.
pub(super) fn read_violation(line: &str) -> Option<Caught> {
    let (scenario, rest) = line.strip_prefix("violation: ")?.split_once(", seed ")?;
    let (seed, violation) = rest.split_once(": ")?;
    let seed: u64 = seed.parse().ok()?;
    let seeds = (seed + 1).checked_sub(FIRST)?;
    Some(Caught { scenario: scenario.to_owned(), seed, seeds, violation: violation.to_owned() })
}

impl Caught {
    pub(super) fn panicked(&self) -> bool {
        self.violation.contains(PANIC)
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Caught(caught) => {
                let rule = caught.violation.split_once(" at ").map_or("", |(rule, _)| rule);
                let how = if caught.panicked() { "a panic" } else { rule };
                write!(f, "caught by {how} after {} seeds: {} --seed {}", caught.seeds, caught.scenario, caught.seed)
            }
            Self::Survived { seeds, took } => write!(f, "SURVIVED {seeds} seeds, {:.0} s", took.as_secs_f64()),
        }
    }
}
