//! What a seed adds of its own: a random set of faults, and random circumstances.
//!
//! Each seed takes only some kinds of faults, each at a rate of its own: what one kind hides, the seeds without it show
//! (swarm testing, Groce and others 2012).

use super::dice::{Dice, Purpose};
use super::faults::{Fault, place};
use super::node::LabSealer;
use super::world::World;
use crate::scenario::{Fault as Plan, FaultKind, Percent, Rate, Scenario, Shift, Span};

use std::time::Duration;

/// What a seed may add. A hostile neighbour is added by a scenario only: it takes the promise from a node.
const KINDS: [FaultKind; 15] = [
    FaultKind::Kill,
    FaultKind::PowerCut,
    FaultKind::Stop,
    FaultKind::Freeze,
    FaultKind::DiskFull,
    FaultKind::DiskSlow,
    FaultKind::DiskError,
    FaultKind::ClockJump,
    FaultKind::ClockDrift,
    FaultKind::Reset,
    FaultKind::Cut,
    FaultKind::Flap,
    FaultKind::Silent,
    FaultKind::Worse,
    FaultKind::Split,
];

/// The most faults of one kind that a seed adds for each node.
const MOST_PER_NODE: u64 = 3;

/// The faults that a seed adds.
pub(super) fn faults(scenario: &Scenario, roads: &[[usize; 2]], dice: &mut Dice) -> Vec<Fault> {
    let length = scenario.length.micros();
    let nodes = scenario.topology.nodes;
    let mut faults = Vec::new();
    for kind in KINDS {
        let taken = dice.below(3) == 0;
        let most = (nodes as u64 * MOST_PER_NODE).min(100);
        let count = if taken { dice.between(1, most) } else { 0 };
        for _ in 0..count {
            let begins = dice.below(length);
            let plan = random(kind, length, dice);
            faults.push(place(&plan, begins, nodes, roads, dice));
        }
    }
    faults
}

/// A fault of a kind, of random length and strength.
fn random(kind: FaultKind, length: u64, dice: &mut Dice) -> Plan {
    let micros = |micros: u64| Some(Span(Duration::from_micros(micros)));
    let lasting = !matches!(kind, FaultKind::Reset | FaultKind::ClockJump);
    let mut plan = Plan::of(kind);
    plan.lasts = micros(skewed(length / 8 + 1, dice)).filter(|_| lasting);
    match kind {
        FaultKind::DiskSlow => plan.commit = micros(dice.between(10_000, 2_000_000)),
        FaultKind::ClockJump => {
            let by = Duration::from_secs(skewed(10 * 366 * 86_400, dice));
            plan.by = Some(Shift { by, back: dice.below(2) == 0 });
        }
        FaultKind::ClockDrift => plan.ppm = i64::try_from(dice.below(1_001)).ok().map(|ppm| ppm - 500),
        FaultKind::Flap => {
            plan.down = micros(dice.between(1_000, 5_000_000));
            plan.up = micros(dice.between(100_000, 20_000_000));
        }
        FaultKind::Silent => plan.one_way = dice.below(2) == 0,
        FaultKind::Worse => {
            plan.delay = micros(dice.below(2_000_000));
            plan.jitter = micros(dice.below(500_000));
            plan.rate = Some(Rate(dice.between(2_000, 1_000_000)));
            plan.loss = Some(Percent(u32::try_from(dice.below(500_000)).unwrap_or(0)));
            plan.burst = Some(u32::try_from(dice.between(1, 10)).unwrap_or(1));
            plan.one_way = dice.below(2) == 0;
        }
        FaultKind::Kill
        | FaultKind::PowerCut
        | FaultKind::Stop
        | FaultKind::Freeze
        | FaultKind::DiskFull
        | FaultKind::DiskError
        | FaultKind::Reset
        | FaultKind::Cut
        | FaultKind::Split
        | FaultKind::Hostile => {}
    }
    plan
}

/// A number below a limit, small ones as likely as large ones.
fn skewed(limit: u64, dice: &mut Dice) -> u64 {
    let bits = u64::from(64 - limit.leading_zeros());
    let bound = 1_u64.checked_shl(u32::try_from(dice.between(1, bits)).unwrap_or(1)).unwrap_or(limit);
    dice.below(bound.min(limit))
}

/// Circumstances that are no faults: how reads are cut, how slow disks are, where clocks stand.
pub(super) fn vary<S: LabSealer>(world: &mut World<S>, seed: u64) {
    if !world.scenario.sim.swarm && !world.scenario.sim.circumstances {
        return;
    }
    let mut dice = Dice::split(seed, Purpose::Swarm);
    world.chopping = dice.below(2) == 0;
    let clocks_off = dice.below(2) == 0;
    let disks_differ = world.scenario.disk.commit.is_none() && dice.below(2) == 0;
    for node in &mut world.nodes {
        if clocks_off {
            let years = i64::try_from(skewed(10 * 366 * 86_400_000, &mut dice)).unwrap_or(0);
            node.clock = super::clock::Clock::new(if dice.below(2) == 0 { years } else { -years });
        }
        if disks_differ {
            node.disk.commit = dice.between(100, 50_000);
        }
    }
}
