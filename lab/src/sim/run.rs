//! One seed of one scenario, in a thread of its own.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tidings_crypto::OlmSealer;

#[cfg(feature = "sqlite")]
use super::beside;
use super::dice::{Dice, Purpose};
use super::faults::{Fault, Tally, plan};
use super::hostile::Hostile;
use super::node::LabSealer;
use super::reuse;
use super::routes::Routes;
use super::seal::CheapSealer;
use super::swarm;
use super::world::{BEGIN, World};
use crate::checker::{Rule, Verdict, Violation, judge};
use crate::log::Line;
use crate::scenario::{FaultKind, Scenario, SealerChoice};

/// One of so many seeds runs the real sealer.
const REAL_EVERY: u64 = 20;

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) seed: u64,
    pub(crate) verdict: Verdict,
    pub(crate) tally: Tally,
    /// Of what happened, and of what was written where that follows from the seed.
    pub(crate) hash: blake3::Hash,
    pub(crate) wire: blake3::Hash,
    pub(crate) events: u64,
    pub(crate) nodes: usize,
    pub(crate) real_sealer: bool,
    /// Time in the simulation, and outside.
    pub(crate) simulated: Duration,
    pub(crate) took: Duration,
    pub(crate) log: Vec<Line>,
    /// Answers in which model and database agreed.
    pub(crate) compared: u64,
}

/// What two runs of a seed have in common: the hash of what happened, and of what was written.
pub(crate) type Hashes = (blake3::Hash, blake3::Hash);

impl Outcome {
    pub(crate) fn hashes(&self) -> Hashes {
        (self.hash, self.wire)
    }
}

/// How a seed is run.
#[derive(Clone, Debug, Default)]
pub(crate) struct How {
    /// Tell everything that happens.
    pub(crate) traced: bool,
    /// Keep the log.
    pub(crate) logged: bool,
    /// These faults and no others; those of the seed where none are given.
    pub(crate) faults: Option<Vec<Fault>>,
}

/// Whether what the real sealer draws follows from the seed.
pub(crate) const SEEDED: bool = cfg!(all(feature = "seeded", getrandom_backend = "custom"));

/// Whether a seed of a scenario runs the real sealer.
pub(crate) fn is_real(scenario: &Scenario, seed: u64) -> bool {
    match scenario.sim.sealer {
        SealerChoice::Mixed => seed.is_multiple_of(REAL_EVERY),
        SealerChoice::Cheap => false,
        SealerChoice::Real => true,
    }
}

/// Runs a seed in a fresh thread, so that nothing of another run is left in it.
pub(crate) fn run(scenario: &Arc<Scenario>, seed: u64, how: &How) -> Outcome {
    let (scenario, how) = (scenario.clone(), how.clone());
    let real = is_real(&scenario, seed);
    let body = move || {
        #[cfg(all(feature = "seeded", getrandom_backend = "custom"))]
        super::random::seed(seed);
        if real { run_with::<OlmSealer>(scenario, seed, &how) } else { run_with::<CheapSealer>(scenario, seed, &how) }
    };
    let thread = thread::Builder::new().name(format!("seed {seed}")).spawn(body).expect("the system has a thread left");
    thread.join().unwrap_or_else(|panic| panicked(seed, real, panic.as_ref()))
}

/// A panic is a violation like any other.
fn panicked(seed: u64, real_sealer: bool, panic: &(dyn std::any::Any + Send)) -> Outcome {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default();
    let mut verdict = Verdict::default();
    verdict.violations.push(Violation { rule: Rule::Log, at: 0, what: format!("the engine panicked: {text}") });
    Outcome {
        seed,
        verdict,
        tally: Tally::default(),
        hash: blake3::hash(text.as_bytes()),
        wire: blake3::hash(&[]),
        events: 0,
        nodes: 0,
        real_sealer,
        simulated: Duration::ZERO,
        took: Duration::ZERO,
        log: Vec::new(),
        compared: 0,
    }
}

fn run_with<S: LabSealer>(scenario: Arc<Scenario>, seed: u64, how: &How) -> Outcome {
    let began = Instant::now();
    let mut world = World::<S>::new(scenario.clone(), seed, how.traced);
    let faults = how.faults.clone().unwrap_or_else(|| planned(&scenario, seed));
    for fault in faults.iter().filter(|fault| fault.plan.kind == FaultKind::Hostile) {
        if let Some(conduct) = fault.plan.conduct {
            let dice = Dice::split(seed, Purpose::Hostile(fault.node));
            world.hostile[fault.node] = Some(Hostile::new(conduct, dice));
        }
    }
    world.tally.hostile = world.hostile.iter().flatten().count();
    swarm::vary(&mut world, seed);
    world.schedule(faults);
    #[cfg(feature = "sqlite")]
    if beside::is_beside(seed) {
        world.put_databases_beside();
    }
    world.run();
    #[cfg(feature = "sqlite")]
    let compared = world.compare_databases();
    #[cfg(not(feature = "sqlite"))]
    let compared = 0;
    if reuse::twice() > 0 {
        world.broken.get_or_insert(format!("{} texts were sealed under keys that had served before", reuse::twice()));
    }
    let mut verdict = judge(&world.log, Some(&scenario.expect));
    if let Some(broken) = world.broken.take() {
        verdict.violations.insert(0, Violation { rule: Rule::Log, at: world.now, what: broken });
    }
    verdict.violations.extend(std::mem::take(&mut world.routes.violations));
    verdict.violations.extend(world.judge(&scenario.sim.expect));
    world.tally.far_updates = world.far_updates();
    world.tally.reached = std::mem::take(&mut world.reach.reached);
    world.tally.shapes.extend(world.shaping.figures.take());
    let Routes { installed, followed, followed_all, recorded, .. } = world.routes;
    world.tally.recorded = recorded;
    (world.tally.installed, world.tally.followed, world.tally.followed_all) = (installed, followed, followed_all);
    Outcome {
        seed,
        verdict,
        hash: world.trace.hash(),
        wire: world.trace.wire_hash(),
        events: world.trace.events,
        nodes: world.nodes.len(),
        real_sealer: is_real(&scenario, seed),
        simulated: Duration::from_micros(world.now - BEGIN),
        took: began.elapsed(),
        tally: world.tally,
        log: if how.logged { world.log } else { Vec::new() },
        compared,
    }
}

/// All faults of a seed: those of the file, and those of the swarm.
pub(crate) fn planned(scenario: &Scenario, seed: u64) -> Vec<Fault> {
    let links = scenario.topology.links(&mut Dice::split(seed, Purpose::Topology));
    let roads: Vec<_> = links.into_iter().map(|(a, b)| [a, b]).collect();
    let mut dice = Dice::split(seed, Purpose::Faults);
    let mut faults = plan(scenario, &roads, &mut dice);
    if scenario.sim.swarm {
        faults.extend(swarm::faults(scenario, &roads, &mut dice));
    }
    faults
}
