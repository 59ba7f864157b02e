//! `tidings-lab sim`: runs seeds of scenarios, and says what it saw.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::faults::Tally;
use super::run::{Hashes, How, Outcome, SEEDED, run};
use super::traffic::frame_kind;
use crate::checker::percentile;
use crate::log::Line;
use crate::scenario::{self, ClassName, Scenario};

/// Where scenarios stand, seen from the root of the source tree.
const SCENARIOS: &str = "lab/scenarios";

/// Run scenarios in virtual time, from seeds, and judge what their clients wrote down.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Sim {
    /// Scenario files; all of lab/scenarios where none is named
    scenarios: Vec<PathBuf>,
    /// How many seeds, shared out among the scenarios
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// This seed of one scenario only
    #[arg(long)]
    seed: Option<u64>,
    /// Tell everything that happens; with --seed
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Run each seed twice, and expect the same trace
    #[arg(long)]
    verify: bool,
    /// Make a failing seed's scenario as small as it still fails, and write it to this file; with --seed
    #[arg(long, value_name = "FILE", requires = "seed")]
    shrink: Option<PathBuf>,
    /// Write the clients' logs of the seed into this folder; with --seed
    #[arg(long, value_name = "FOLDER", requires = "seed")]
    log: Option<PathBuf>,
    /// How many seeds run at the same time; as many as there are processors
    #[arg(long)]
    jobs: Option<usize>,
}

/// What all seeds came to.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    pub(crate) seeds: u64,
    real_sealer: u64,
    events: u64,
    pub(crate) checks: u64,
    pub(crate) accepted: u64,
    pub(crate) delivered: u64,
    ended: u64,
    refused: u64,
    shown_again: u64,
    node_time: Duration,
    pub(crate) simulated: Duration,
    pub(crate) took: Duration,
    pub(crate) tally: Tally,
    pub(crate) failed: Vec<(String, u64)>,
    unequal: Vec<(String, u64)>,
    with_database: u64,
    compared: u64,
    /// From acceptance to the first showing, in microseconds, by class.
    latencies: BTreeMap<ClassName, Vec<u64>>,
}

impl Sim {
    /// Runs the seeds; fails where a rule did not hold or a trace differed.
    pub(crate) fn run(&self) -> anyhow::Result<ExitCode> {
        let scenarios = scenarios(&self.scenarios)?;
        if let Some(seed) = self.seed {
            let [scenario] = scenarios.as_slice() else { bail!("--seed needs exactly one scenario") };
            return self.explain(scenario, seed);
        }
        let seeds = self.first..self.first + self.seeds;
        let work: Vec<_> = in_turn(&scenarios).zip(seeds).collect();
        let began = Instant::now();
        let summary = self.run_all(&work);
        summary.print(began.elapsed());
        Ok(if summary.is_well() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// Shares the seeds out among threads, and adds up what they came to in the order of the seeds.
    fn run_all(&self, work: &[(Arc<Scenario>, u64)]) -> Summary {
        let jobs = self.jobs.or_else(|| thread::available_parallelism().ok().map(usize::from)).unwrap_or(1).max(1);
        let next = AtomicU64::new(0);
        let (send, receive) = sync_channel(jobs * 2);
        let mut summary = Summary::default();
        thread::scope(|scope| {
            for _ in 0..jobs {
                let (send, next) = (send.clone(), &next);
                scope.spawn(move || {
                    while let Some((number, (scenario, seed))) = {
                        let number = usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap_or(usize::MAX);
                        work.get(number).map(|item| (number, item))
                    } {
                        let outcome = run(scenario, *seed, &How::default());
                        let again = self.verify.then(|| run(scenario, *seed, &How::default()).hashes());
                        if send.send((number, outcome, again)).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(send);
            let mut waiting = BTreeMap::new();
            let mut expected = 0;
            for (number, outcome, again) in receive {
                waiting.insert(number, (outcome, again));
                while let Some((outcome, again)) = waiting.remove(&expected) {
                    summary.add(&work[expected].0.name, outcome, again);
                    expected += 1;
                }
            }
        });
        summary
    }

    /// Runs one seed and says all about it.
    #[expect(clippy::print_stdout, reason = "the answer of a command")]
    fn explain(&self, scenario: &Arc<Scenario>, seed: u64) -> anyhow::Result<ExitCode> {
        let how = How { traced: self.trace, logged: self.log.is_some(), faults: None };
        let outcome = run(scenario, seed, &how);
        let again = self.verify.then(|| run(scenario, seed, &How::default()).hashes());
        if let Some(folder) = &self.log {
            write_log(folder, &outcome.log)?;
        }
        println!("trace {}", outcome.hash);
        let well = outcome.verdict.violations.is_empty();
        let mut summary = Summary::default();
        let took = outcome.took;
        summary.add(&scenario.name, outcome, again);
        summary.print(took);
        if let (Some(file), false) = (&self.shrink, well) {
            super::shrink::shrink(scenario, seed, file)?;
        }
        Ok(if summary.is_well() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Reads scenarios; all of lab/scenarios where none is named.
pub(crate) fn scenarios(named: &[PathBuf]) -> anyhow::Result<Vec<Arc<Scenario>>> {
    let mut files = named.to_vec();
    if files.is_empty() {
        let entries = fs::read_dir(SCENARIOS).with_context(|| format!("expected the folder {SCENARIOS}"))?;
        files = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
        files.retain(|file| file.extension().is_some_and(|ending| ending == "toml"));
        files.sort();
    }
    if files.is_empty() {
        bail!("expected at least one scenario in {SCENARIOS}");
    }
    let scenarios = files.iter().map(|file| scenario::load(file).map(Arc::new));
    Ok(scenarios.collect::<Result<_, _>>()?)
}

/// Whose turn it is, round after round; there is at least one scenario.
fn in_turn(scenarios: &[Arc<Scenario>]) -> impl Iterator<Item = Arc<Scenario>> {
    (1..).flat_map(|round: u64| {
        let has_turn =
            move |scenario: &&Arc<Scenario>| scenario.sim.rare.is_none_or(|rounds| round.is_multiple_of(rounds.get()));
        scenarios.iter().filter(has_turn).cloned()
    })
}

/// Runs so many seeds of a scenario, and tells what was violated.
pub(crate) fn swarm(scenario: &Arc<Scenario>, seeds: std::ops::Range<u64>) -> Summary {
    let work: Vec<_> = seeds.map(|seed| (scenario.clone(), seed)).collect();
    Sim::default().run_all(&work)
}

/// Writes a log as clients and harness would have: one file each.
fn write_log(folder: &Path, lines: &[Line]) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let mut files: BTreeMap<Option<u32>, Vec<u8>> = BTreeMap::new();
    for line in lines {
        let file = files.entry(line.node).or_default();
        serde_json::to_writer(&mut *file, line)?;
        file.push(b'\n');
    }
    for (node, bytes) in files {
        let name = node.map_or_else(|| "harness.jsonl".to_owned(), |node| format!("node-{node:05}.jsonl"));
        let mut file = fs::File::create(folder.join(&name)).with_context(|| name.clone())?;
        file.write_all(&bytes).with_context(|| name)?;
    }
    Ok(())
}

impl Summary {
    #[expect(clippy::print_stdout, reason = "the answer of a command")]
    fn add(&mut self, scenario: &str, outcome: Outcome, again: Option<Hashes>) {
        let hashes = outcome.hashes();
        let Outcome { seed, verdict, tally, events, nodes, real_sealer, simulated, took, compared, .. } = outcome;
        for violation in &verdict.violations {
            println!("violation: {scenario}, seed {seed}: {violation}");
        }
        if !verdict.violations.is_empty() {
            self.failed.push((scenario.to_owned(), seed));
        }
        if again.is_some_and(|again| again != hashes) {
            println!("unequal: {scenario}, seed {seed}: two runs, two traces");
            self.unequal.push((scenario.to_owned(), seed));
        }
        let figures = verdict.figures;
        self.seeds += 1;
        self.real_sealer += u64::from(real_sealer);
        self.events += events;
        self.checks += figures.checks;
        self.with_database += u64::from(compared > 0);
        self.compared += compared;
        self.accepted += figures.accepted;
        self.delivered += figures.delivered;
        self.ended += figures.ended;
        self.refused += figures.refused;
        self.shown_again += figures.shown_again;
        self.node_time += simulated * u32::try_from(nodes).unwrap_or(u32::MAX);
        self.simulated += simulated;
        self.took += took;
        self.tally.add(tally);
        for (class, latencies) in figures.latencies {
            self.latencies.entry(class).or_default().extend(latencies);
        }
    }

    fn is_well(&self) -> bool {
        self.failed.is_empty() && self.unequal.is_empty()
    }

    #[expect(clippy::print_stdout, reason = "the answer of a command")]
    fn print(&self, elapsed: Duration) {
        let tally = &self.tally;
        println!("seeds {} ({} with the real sealer), {:.1} s", self.seeds, self.real_sealer, elapsed.as_secs_f64());
        println!(
            "simulated {:.0} s = {:.1} node-hours; {:.0} : 1 for each thread; {:.2} million events, {:.2} us each",
            self.simulated.as_secs_f64(),
            self.node_time.as_secs_f64() / 3600.0,
            self.simulated.as_secs_f64() / self.took.as_secs_f64().max(1e-9),
            self.events as f64 / 1e6,
            self.took.as_secs_f64() * 1e6 / (self.events.max(1) as f64),
        );
        println!(
            "messages accepted {}, delivered {}, ended {}, refused {}, shown again {}; links {}, given up {}, MB {:.1}",
            self.accepted,
            self.delivered,
            self.ended,
            self.refused,
            self.shown_again,
            tally.links,
            tally.resets,
            tally.bytes as f64 / 1e6,
        );
        let faults: Vec<_> = tally.faults.iter().map(|(kind, count)| format!("{} {count}", kind.name())).collect();
        println!("faults {}: {}", tally.faults.values().sum::<u64>(), faults.join(", "));
        if tally.searches > 0 {
            println!("searches of a DHT that there is not: {}", tally.searches);
        }
        if tally.forged > 0 {
            println!("written by hostile nodes: {}; seen: {:?}", tally.forged, tally.convicted);
        }
        if !tally.accused.is_empty() {
            println!("honest nodes accused: {:?}", tally.accused);
        }
        if !tally.degraded.is_empty() {
            println!("degraded: {:?}", tally.degraded);
        }
        if self.real_sealer > 0 && !SEEDED {
            println!(
                "built without the feature seeded: keys and ciphertexts of the real sealer differ from run to run"
            );
        }
        for (class, latencies) in &self.latencies {
            println!("{} messages shown after: {}", class.name(), quantiles(latencies).unwrap_or_default());
        }
        self.print_routing();
        println!("checks {}", self.checks);
        if self.with_database > 0 {
            println!(
                "seeds with the database beside the model {}, answers compared {}",
                self.with_database, self.compared
            );
        }
        for (scenario, seed) in self.failed.iter().chain(&self.unequal) {
            println!("failed: tidings-lab sim --seed {seed} {}", path_of(scenario).display());
        }
        println!("violations {}", self.failed.len() + self.unequal.len());
    }
}

/// Where a scenario of that name lies.
fn path_of(scenario: &str) -> PathBuf {
    let folders = ["", "large", "topology"].map(|folder| Path::new(SCENARIOS).join(folder));
    let paths = folders.map(|folder| folder.join(format!("{scenario}.toml")));
    paths.into_iter().find(|path| path.exists()).unwrap_or_else(|| PathBuf::from(format!("{scenario}.toml")))
}

impl Summary {
    #[expect(clippy::print_stdout, reason = "the answer of a command")]
    fn print_routing(&self) {
        let tally = &self.tally;
        println!(
            "next hops installed {}, followed {}; both next hops followed {}",
            tally.installed, tally.followed, tally.followed_all
        );
        println!("recorded routes followed at recipients {}, at senders {}", tally.recorded[0], tally.recorded[1]);
        let reached = &tally.reached;
        for (after, times) in [
            ("the last link came up", &reached.formed),
            ("something was lost", &reached.after_loss),
            ("something came", &reached.after_gain),
        ] {
            if let Some(times) = quantiles(times) {
                println!("everybody reached everybody after {after}: {times}");
            }
        }
        let node_minutes = self.node_time.as_secs_f64() / 60.0;
        let kinds = tally.by_kind.iter();
        let kinds: Vec<_> =
            kinds.map(|(kind, [frames, bytes])| format!("{} {frames} ({bytes} B)", frame_kind(*kind))).collect();
        println!("frames {}: {}", tally.frames, kinds.join(", "));
        println!(
            "routing: {:.0} bytes per node and minute, {} while everybody reached everybody",
            tally.routing_bytes as f64 / node_minutes.max(1e-9),
            reached.quiet_bytes_per_minute().map_or("unknown".to_owned(), |bytes| bytes.to_string()),
        );
        if let Some(updates) = tally.far_updates {
            println!("updates a minute far from what flaps: {updates}");
        }
        super::shape::print(&tally.shapes);
        println!(
            "parcels relayed {}, tried another way {}, given back {}; held by a relay at most {} bytes; frames dropped {}",
            tally.relayed, tally.rerouted, tally.given_back, tally.held_bytes, tally.frames_dropped,
        );
    }
}

/// Times in microseconds, for people.
pub(crate) fn quantiles(times: &[u64]) -> Option<String> {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let at = |percent| percentile(&sorted, percent).map(|time| time as f64 / 1e3);
    let (half, most, all) = (at(50)?, at(99)?, at(100)?);
    Some(format!("median {half:.1} ms, 99 of 100 within {most:.1} ms, all within {all:.1} ms ({} times)", sorted.len()))
}

impl Tally {
    fn add(&mut self, other: Self) {
        for (kind, count) in other.faults {
            *self.faults.entry(kind).or_default() += count;
        }
        for (evidence, count) in other.accused {
            *self.accused.entry(evidence).or_default() += count;
        }
        for (evidence, count) in other.convicted {
            *self.convicted.entry(evidence).or_default() += count;
        }
        for (reason, count) in other.degraded {
            *self.degraded.entry(reason).or_default() += count;
        }
        self.hostile += other.hostile;
        self.forged += other.forged;
        self.links += other.links;
        self.resets += other.resets;
        self.bytes += other.bytes;
        self.frames += other.frames;
        self.submitted += other.submitted;
        self.refused += other.refused;
        self.shown += other.shown;
        for (kind, [frames, bytes]) in other.by_kind {
            let sum = self.by_kind.entry(kind).or_default();
            *sum = [sum[0] + frames, sum[1] + bytes];
        }
        self.routing_bytes += other.routing_bytes;
        self.installed += other.installed;
        self.followed += other.followed;
        self.followed_all += other.followed_all;
        self.recorded = std::array::from_fn(|end| self.recorded[end] + other.recorded[end]);
        self.reached.add(other.reached);
        self.shapes.extend(other.shapes);
        self.held_bytes = self.held_bytes.max(other.held_bytes);
        self.far_updates = self.far_updates.max(other.far_updates);
        self.relayed += other.relayed;
        self.rerouted += other.rerouted;
        self.given_back += other.given_back;
        self.frames_dropped += other.frames_dropped;
        self.searches += other.searches;
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;

    #[test]
    fn a_rare_scenario_has_its_turn_in_the_last_of_so_many_rounds() {
        let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scenarios/two-slow.toml");
        let scenario = |name: &str, rare| {
            let mut scenario = scenario::load(&file).unwrap();
            scenario.name = name.to_owned();
            scenario.sim.rare = NonZeroU64::new(rare);
            Arc::new(scenario)
        };
        let all = [scenario("a", 0), scenario("b", 3), scenario("c", 0)];
        let names: String = in_turn(&all).take(16).map(|scenario| scenario.name.clone()).collect();
        assert_eq!(names, "acacabcacacabcac");
    }
}
